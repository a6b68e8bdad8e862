#!/usr/bin/env bash
# Compares two commits by the instructions that their hot paths execute, which
# says the same on a busy machine: a table with a line for each path, and exit
# code 1 if one takes over 5 % more (LIMIT); a node may take four times that, as
# how it batches its work depends on the clock.
#
#   bench/compare.sh BASE [NEW]
#
# BASE and NEW are commits, or build folders (with bin/troupe) that stand
# already. NEW is the tree as it stands here if it is left out. Commits are
# built, as a release, in build/compare, and kept there for the next time.
#
#   LIMIT=5         per cent
#   RUNS=3          of each path; the least counts, as threads wait differently
#
# Counted by callgrind, in all processes of ours: the commands that are started
# are not ours. What is told for each task is the difference between many tasks
# and few, so that the start is not in it.
set -euo pipefail
shopt -s inherit_errexit
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

LIMIT=${LIMIT:-5}
RUNS=${RUNS:-3}
few=50
many=250

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ "$1" = --help ]; then
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' bench/compare.sh
  exit 2
fi
scripts/install_packages.sh bench
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# The build folder of a commit, which is built if need be.
build() {
  local what=$1 commit tree
  if [ -x "$what/bin/troupe" ]; then
    realpath -- "$what"
    return
  fi
  commit=$(git rev-parse --verify --quiet "$what^{commit}") || {
    echo "compare: \"$what\" is neither a commit nor a build folder" >&2
    exit 2
  }
  tree=build/compare/$commit
  if [ ! -d "$tree" ]; then
    mkdir -p "$tree"
    git archive "$commit" | tar -x -C "$tree"
  fi
  build_tree "$tree"
}

build_tree() {
  # shellcheck source=scripts/build_environment.sh
  . scripts/build_environment.sh
  (
    cd -- "$1"
    cmake --preset release
    cmake --build --preset release --target troupe -- -j "${jobs:?}"
  ) </dev/null >&2
  realpath -- "$1/build/release"
}

# Counts the instructions of a program and of those that it starts, but for
# `true`, each process in a file of its own.
counted=(valgrind --quiet --tool=callgrind --trace-children=yes
  "--callgrind-out-file=$scratch/callgrind.%p" '--trace-children-skip=*/true')

# What has been counted since the last time, in all processes.
instructions() {
  awk '/^totals:/ { sum += $2 } END { print sum }' "$scratch"/callgrind.*
  rm -f -- "$scratch"/callgrind.*
}

count() {
  "${counted[@]}" "$@" >/dev/null 2>"$scratch/errors" </dev/null || fail "$*"
  instructions
}

fail() {
  echo "compare: failed: $1" >&2
  cat -- "$scratch/errors" >&2
  exit 1
}

# The paths: $1 is the build folder, $2 the number of tasks.
version() { count "$1/bin/troupe" version; }
exec_true() { count "$1/bin/troupe" exec -- /bin/true; }
map_true() {
  seq "$2" >"$scratch/lines"
  count "$1/bin/troupe" map -j 2 -a "$scratch/lines" /bin/true
}
map_in_order() {
  seq "$2" >"$scratch/lines"
  count "$1/bin/troupe" map -j 2 -k -a "$scratch/lines" /bin/true
}
node_array() {
  local node tries socket=$scratch/node.sock
  rm -rf -- "$scratch/node" "$socket"
  "${counted[@]}" "$1/bin/troupe" node --folder "$scratch/node" \
    --socket "$socket" >/dev/null 2>"$scratch/errors" </dev/null &
  node=$!
  for ((tries = 0; tries < 300; ++tries)); do
    if "$1/bin/troupe" list --socket "$socket" >/dev/null 2>&1; then
      break
    fi
    sleep 0.1
  done
  "$1/bin/troupe" submit --socket "$socket" --wait --array "1-$2" -- \
    /bin/true >/dev/null 2>>"$scratch/errors" || {
    kill "$node"
    fail "an array of $2 tasks"
  }
  kill "$node"
  wait "$node" || fail "the node"
  instructions
}

# The least of what a path takes.
least() {
  local run count found=
  for ((run = 0; run < RUNS; ++run)); do
    count=$("$@")
    if [ -z "$found" ] || [ "$count" -lt "$found" ]; then
      found=$count
    fi
  done
  echo "$found"
}

# For each of many tasks.
each() {
  local of_few of_many
  of_few=$(least "$1" "$2" "$few")
  of_many=$(least "$1" "$2" "$many")
  echo $(((of_many - of_few) / (many - few)))
}

is_worse=0
compare() {
  local name=$1 limit=$2 base new
  shift 2
  base=$("$@" "$base_build")
  new=$("$@" "$new_build")
  awk -v name="$name" -v base="$base" -v new="$new" 'BEGIN {
    printf "| %-23s | %12d | %12d | %+6.1f %% |\n", name, base, new,
           (new / base - 1) * 100 }'
  if awk -v base="$base" -v new="$new" -v limit="$limit" \
    'BEGIN { exit new <= base * (1 + limit / 100) }'; then
    is_worse=1
  fi
}

base_build=$(build "$1")
if [ $# -eq 2 ]; then
  new_build=$(build "$2")
else
  new_build=$(build_tree .)
fi
echo '| instructions            |         base |          new |   change |'
echo '|-------------------------|-------------:|-------------:|---------:|'
compare 'troupe version' "$LIMIT" least version
compare 'troupe exec -- true' "$LIMIT" least exec_true
compare 'troupe map, each task' "$LIMIT" each map_true
compare 'troupe map -k, each' "$LIMIT" each map_in_order
compare 'node, array, each task' "$((4 * LIMIT))" each node_array
[ "$is_worse" -eq 0 ]
