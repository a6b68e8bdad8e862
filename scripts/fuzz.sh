#!/usr/bin/env bash
# Feeds what we read from outside with what libFuzzer thinks of.
#
#   scripts/fuzz.sh [SECONDS] [TARGET...]     60 seconds each, all targets
#
# Builds the targets of tests/fuzz with clang into build/fuzz, and runs each,
# as many at a time as there are processors, with its seeds
# (tests/fuzz/corpus/TARGET) and with what earlier runs have found
# (build/fuzz/corpus/TARGET). Fails if a target crashes, hangs for 10 s or uses
# 1 GiB; the input is then left in build/fuzz/crashes/, and all that libFuzzer
# has said in build/fuzz/TARGET.log.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
shift || true
if ! [[ $seconds =~ ^[0-9]+$ ]]; then
  echo "fuzz: expected a number of seconds, got \"$seconds\"" >&2
  exit 2
fi

scripts/install_packages.sh build fuzz
# shellcheck source=scripts/build_environment.sh
. scripts/build_environment.sh

cmake -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O1 -g1' \
  -DTROUPE_FUZZ=ON >/dev/null

if [ $# -gt 0 ]; then
  targets=("$@")
else
  mapfile -t targets < <(cd tests/fuzz/corpus && printf '%s\n' *)
fi
cmake --build build/fuzz -- -j "$jobs" "${targets[@]/%/_fuzz}"

fuzz() {
  local found=build/fuzz/corpus/$1
  mkdir -p "$found" build/fuzz/crashes
  "build/fuzz/bin/${1}_fuzz" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/crashes/$1-" \
    "$found" "tests/fuzz/corpus/$1" >"build/fuzz/$1.log" 2>&1
}

declare -A running # from process to target
failed=0
trap '[ ${#running[@]} -eq 0 ] || kill "${!running[@]}" 2>/dev/null' EXIT

await_one() {
  local process status=0
  wait -n -p process "${!running[@]}" || status=$?
  local target=${running[$process]}
  unset "running[$process]"
  if [ "$status" -eq 0 ]; then
    printf 'fuzz: %s: nothing found in %s inputs\n' "$target" \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$target.log")"
  else
    failed=1
    tail -n 60 "build/fuzz/$target.log"
    printf 'fuzz: %s: FAILED with %s\n' "$target" "$status"
  fi
}

for target in "${targets[@]}"; do
  fuzz "$target" &
  running[$!]=$target
  [ ${#running[@]} -lt "$(nproc)" ] || await_one
done
while [ ${#running[@]} -gt 0 ]; do
  await_one
done
exit "$failed"
