#!/bin/sh
# tracer.sh FOLDER SECONDS CODE CHILD
#
# A command that writes down when it runs, in a file for its task: each line is
# one write that nothing buffers.
#
#   S ATTEMPT PID BORN TIME SESSION     it has started
#   O ATTEMPT PID TIME OTHER-PID        the command of an earlier attempt is alive
#   E ATTEMPT PID TIME CODE             it ends now
#
# TIME is since the machine was started. PID and BORN are one process and no
# other. With CHILD "child" it leaves a process behind that has run away.
file=$1/$TROUPE_JOB.$TROUPE_TASK

now() {
  read -r up idle < /proc/uptime
}

# Sets `state` and `born` of a process; fails if it is gone.
look() {
  stat=
  { read -r stat < "/proc/$1/stat"; } 2> /dev/null
  [ -n "$stat" ] || return 1
  # shellcheck disable=SC2086 # Its fields, after the name.
  set -- ${stat##*) }
  state=$1
  shift 19
  born=$1
}

look $$
session=${TROUPE_COMMAND##*/}
now
echo "S $TROUPE_ATTEMPT $$ $born $up ${session%%.*}" >> "$file"
while read -r kind _ pid since _; do
  if [ "$kind" = S ] && [ "$pid" != $$ ] && look "$pid" &&
    [ "$born" = "$since" ] && [ "$state" != Z ] && [ "$state" != X ]; then
    now
    echo "O $TROUPE_ATTEMPT $$ $up $pid" >> "$file"
  fi
done < "$file"
if [ "$4" = child ]; then
  setsid sleep 1000 &
fi
echo "this is attempt $TROUPE_ATTEMPT"
sleep "$2"
now
echo "E $TROUPE_ATTEMPT $$ $up $3" >> "$file"
exit "$3"
