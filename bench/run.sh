#!/usr/bin/env bash
# Measures, and prints tables. Installs the peers from Debian that are missing,
# and builds the release preset.
#
#   bench/run.sh [THEME [OPTION...]]
#
#   map       commands per second: xargs, make, GNU parallel, the machine's limit
#   node      jobs per second of a node that keeps them; task-spooler
#   tasks     what tasks of 0, 1, 10 and 100 ms take beyond themselves
#   start     what it costs to start a program, and to have a node
#   output    how much output per second, how fair, and readers that do not read
#   latency   from the end of a command to the start of the next one
#   scaling   whether a command costs more if there are many others
#   engine    what scheduling costs without commands, and timers
#   cluster   nodes that share a store: whether more do more, and fail-over; needs
#             PostgreSQL, and takes half an hour
#
# Without a theme all of them, with their defaults. OPTIONs are those of
# bench/theme_THEME.py; with --program nothing is built. Results are kept in
# build/bench; bench/report.py writes them into docs/benchmarks.md.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

themes=(map node tasks start output latency scaling engine cluster)

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' bench/run.sh
}

build() {
  scripts/install_packages.sh build
  # shellcheck source=scripts/build_environment.sh
  . scripts/build_environment.sh
  cmake --preset release
  cmake --build --preset release --target troupe schedule_bench timer_bench \
    store_bench \
    -- -j "$jobs" </dev/null
}

case ${1:-} in
-h | --help)
  usage
  exit
  ;;
esac
if [ $# -gt 0 ]; then
  if [ ! -f "bench/theme_$1.py" ]; then
    echo "run: no theme \"$1\"; there are: ${themes[*]}" >&2
    exit 2
  fi
  themes=("$1")
  shift
fi

scripts/install_packages.sh bench
if [[ " $* " != *' --program'* && -z ${TROUPE:-} ]]; then
  build >&2
fi
for theme in "${themes[@]}"; do
  "bench/theme_$theme.py" "$@"
  echo
done
