#!/usr/bin/env bash
# Installs what is missing, builds the ci preset and runs every test.
#
#   scripts/test.sh [CTEST-OPTION...]     for example: -L unit, -R Quantity
#
# Ends with ctest's verdict and the names of skipped tests. Bounded in time:
# each test by its own limit, the build and the whole of the tests by these,
# which are for two slow processors and an empty compiler cache.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

build_limit=29m
tests_limit=29m

scripts/install_packages.sh build test
# shellcheck source=scripts/build_environment.sh
. scripts/build_environment.sh

# With a terminal, Ctrl-C has to reach what runs below `timeout`; without one,
# `timeout` has to reach all of it.
limited=(timeout --kill-after=20s)
if [ -t 0 ]; then
  limited+=(--foreground)
fi

cmake --preset ci
"${limited[@]}" "$build_limit" \
  cmake --build --preset ci -- -j "$jobs" </dev/null

# Those that take long wait for most of it: one more than there are processors
# keeps these busy, and two for each would make others too slow for their limits.
log=build/ci/test.log
status=0
"${limited[@]}" "$tests_limit" \
  ctest --preset ci -j "$((jobs + 1))" --no-tests=error "$@" </dev/null |
  tee "$log" || status=$?
if [ "$status" -eq 124 ]; then
  echo "the tests did not end within $tests_limit and were stopped"
fi

echo
echo '--- summary ---'
grep -E ' +[0-9]+ - .*\(Skipped\)' "$log" | sed 's/^[ \t]*/skipped: /' || true
grep -E '^[0-9]+% tests passed|^Total Test time|\((Failed|Timeout|SEGFAULT|Not Run|Subprocess aborted|Child aborted)\)$' \
  "$log" || true
exit "$status"
