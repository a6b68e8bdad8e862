#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) over sources. Needs a configured dev build.
#
#   scripts/check_tidy.sh [COMMIT | --all]
#
# Without an argument, over those that differ from the main branch; on the main
# branch itself, those are none that is committed. With COMMIT, over those that
# differ from it; with --all, over every source.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

database=build/dev/compile_commands.json
if [ ! -f "$database" ]; then
  echo "check_tidy: no $database; run: cmake --preset dev" >&2
  exit 1
fi

# Sources of the parts only: tests repeat themselves on purpose, and what a
# test does badly, no user meets.
is_product_source() {
  [[ $1 == *.cpp && $1 != tests/* && $1 != bench/* && $1 != build/* && -f $1 ]]
}

# Those that differ from a commit, those not committed among them.
changed_since() {
  git diff --name-only "$1"
  git ls-files --others --exclude-standard
}

changed_files() {
  local base
  for base in origin/main main HEAD~1; do
    if base=$(git merge-base HEAD "$base" 2>/dev/null); then
      changed_since "$base"
      return
    fi
  done
  git ls-files
}

if [ "${1:-}" = --all ]; then
  listing=$(git ls-files)
elif [ -n "${1:-}" ]; then
  if ! base=$(git rev-parse --verify --quiet --end-of-options "$1^{commit}"); then
    echo "check_tidy: no commit \"$1\"" >&2
    exit 2
  fi
  listing=$(changed_since "$base")
else
  listing=$(changed_files)
fi
files=()
while read -r file; do
  if is_product_source "$file"; then
    files+=("$PWD/$file")
  fi
done <<<"$listing"
if [ ${#files[@]} -eq 0 ]; then
  echo 'check_tidy: no source of a part has changed'
  exit 0
fi

# GCC's precompiled headers are nothing that clang could read.
mkdir -p build/tidy
sed -E 's/ -Winvalid-pch| -include [^ ]*cmake_pch\.hxx//g' "$database" \
  >build/tidy/compile_commands.json

# The flags in the database are GCC's; clang need not know each of them.
run-clang-tidy -quiet -j "$(nproc)" -p build/tidy \
  -extra-arg=-Wno-unknown-warning-option "${files[@]}" \
  2> >(grep -v 'warnings generated\.$' >&2) |
  { grep -v '^clang-tidy' || true; }
