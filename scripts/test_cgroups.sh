#!/bin/sh
# Runs the tests that need cgroup v2 with its controllers in a kernel of their
# own (user-mode Linux), since few machines let a test have them. Needs what
# scripts/test.sh builds; not part of the suite.
#
#   scripts/test_cgroups.sh [BUILD-FOLDER]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/ci}
command -v linux.uml > /dev/null || apt-get install -y user-mode-linux

# The kernel sees the files of this machine, read-only, and empty folders for
# what is written.
init=$(mktemp "$root/build/cgroups.XXXXXX")
trap 'rm -f "$init" "$init.out"' EXIT
cat > "$init" << END
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /run
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
export HOME=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin
export TROUPE=$build/bin/troupe
cd $root/tests/e2e
timeout 300 python3 -B up_settings_test.py TreeLimits LimitsThatCannotBeKept Limits &&
  echo cgroup tests passed
echo o > /proc/sysrq-trigger
sleep 10
END
chmod +x "$init"
timeout 360 linux.uml mem=2G rootfstype=hostfs ro quiet init="$init" \
  con=null con0=fd:0,fd:1 < /dev/null > "$init.out" 2>&1 || true
cat "$init.out"
grep -q '^cgroup tests passed' "$init.out"
