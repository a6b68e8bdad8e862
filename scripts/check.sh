#!/usr/bin/env bash
# All that is checked before a change is merged, cheapest first: format,
# layers, shell scripts, build and tests, headers by themselves, clang-tidy,
# and a minute of fuzzing for each reader of what comes from outside.
#
#   scripts/check.sh [COMMIT | --all]    for clang-tidy: over what differs from
#                                        COMMIT, or over every source
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/install_packages.sh build test check fuzz
scripts/check_format.sh
scripts/check_includes.py
shellcheck -x scripts/*.sh bench/*.sh .ci/run
scripts/test.sh
# One file at a time, as headers and clang-tidy want it; little of it is built.
cmake --preset dev
cmake --build --preset dev --target header_check
scripts/check_tidy.sh "$@"
scripts/fuzz.sh 60
