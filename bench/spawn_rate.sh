#!/usr/bin/env bash
# Commands per second: `troupe map` against xargs -P, GNU parallel and bare
# launchers, one per processor (raw_spawn.c), which is what the machine can do.
# The rivals take turns within each round, so that a busy moment of the machine
# hits all of them; medians are compared.
#
#   TROUPE=build/release/bin/troupe bench/spawn_rate.sh
#
#   N=2000            commands per measurement
#   J=8               at a time
#   ROUNDS=5          measurements per rival and command
#   PARALLEL_N=       commands for GNU parallel, which is slow; default N / 4
#
# Read with care: xargs captures nothing, the others capture both streams. And
# with other work on the machine the ratios say more about its scheduler.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

TROUPE=${TROUPE:-build/release/bin/troupe}
N=${N:-2000}
J=${J:-8}
ROUNDS=${ROUNDS:-5}
PARALLEL_N=${PARALLEL_N:-$((N >= 4 ? N / 4 : 1))}

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
cc -O2 -Wall -Wextra -o "$scratch/raw_spawn" bench/raw_spawn.c

# Each rival runs $1 commands; the rest is the command. The argument that a
# rival appends is not wanted by `true`, and becomes $0 of `sh -c true`.
# One launching process per processor, as the machine can do no more.
raw() {
  local n=$1 cores pid pids=()
  shift
  cores=$(nproc)
  for ((core = 0; core < cores; ++core)); do
    "$scratch/raw_spawn" $(((n + cores - 1) / cores)) \
      $(((J + cores - 1) / cores)) "$@" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    wait "$pid"
  done
}
xargs_p() {
  local n=$1
  shift
  seq "$n" | xargs -P "$J" -n 1 -- "$@"
}
troupe_map() {
  local n=$1
  shift
  seq "$n" | "$TROUPE" map -j "$J" "$(command_line "$@") {}"
}
gnu_parallel() {
  local n=$1
  shift
  seq "$n" | parallel --will-cite -j "$J" -- "$(command_line "$@") {}"
}

# The words of a command as one line that a shell reads back as they are.
command_line() {
  local line
  printf -v line '%q ' "$@"
  printf '%s' "${line% }"
}

rivals=(raw xargs_p)
if [ -x "$TROUPE" ]; then
  TROUPE=$(realpath -- "$TROUPE")
  rivals+=(troupe_map)
else
  echo "note: no program at TROUPE=$TROUPE; it is left out" >&2
fi
if command -v parallel >/dev/null && parallel --version 2>/dev/null | grep -q '^GNU'; then
  rivals+=(gnu_parallel)
else
  echo 'note: GNU parallel is not installed; it is left out' >&2
fi

# Prints the commands per second of one measurement.
measure() {
  local rival=$1 n=$N begin end
  shift
  if [ "$rival" = gnu_parallel ]; then
    n=$PARALLEL_N
  fi
  begin=$EPOCHREALTIME
  "$rival" "$n" "$@" >/dev/null 2>"$scratch/errors" || {
    echo "$rival failed on: $*" >&2
    cat "$scratch/errors" >&2
    exit 1
  }
  end=$EPOCHREALTIME
  awk -v n="$n" -v begin="$begin" -v end="$end" \
    'BEGIN { printf "%.1f\n", n / (end - begin) }'
}

median() {
  sort -n "$1" | awk '{ rate[NR] = $1 }
    END { print NR % 2 ? rate[(NR + 1) / 2] : (rate[NR / 2] + rate[NR / 2 + 1]) / 2 }'
}

bench_command() {
  local round rival raw_median rate
  for ((round = 1; round <= ROUNDS; ++round)); do
    for rival in "${rivals[@]}"; do
      measure "$rival" "$@" >>"$scratch/$rival"
    done
  done
  raw_median=$(median "$scratch/raw")
  for rival in "${rivals[@]}"; do
    rate=$(median "$scratch/$rival")
    awk -v command="$*" -v rival="$rival" -v rate="$rate" -v raw="$raw_median" \
      -v low="$(sort -n "$scratch/$rival" | head -n 1)" \
      -v high="$(sort -n "$scratch/$rival" | tail -n 1)" \
      'BEGIN { printf "| %-10s | %-12s | %8.0f | %15s | %12.2f |\n",
               command, rival, rate, sprintf("%.0f to %.0f", low, high),
               rate / raw }'
    rm -- "$scratch/$rival"
  done
}

printf '%s CPUs, Linux %s, commit %s; %s commands, %s at a time, %s rounds\n\n' \
  "$(nproc)" "$(uname -r)" "$(git rev-parse --short HEAD 2>/dev/null || echo none)" \
  "$N" "$J" "$ROUNDS"
echo '| command    | rival        | median/s |           range |       of raw |'
echo '|------------|--------------|---------:|----------------:|-------------:|'
bench_command true
bench_command sh -c true
