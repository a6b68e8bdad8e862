#!/bin/sh
# Takes a job from a queue now and then, and fails at every fourth.
set -eu

number=0
while :; do
  number=$((number + 1))
  sleep 1
  redis-cli -p "$CACHE_PORT" rpush done "$TROUPE_SERVICE job $number" >/dev/null
  echo "job $number done"
  if [ "$number" -eq 4 ]; then
    echo "out of luck" >&2
    exit 1
  fi
done
