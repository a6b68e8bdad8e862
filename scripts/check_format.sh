#!/usr/bin/env bash
# Refuses C and C++ files that clang-format would change. Repair with
#   scripts/check_format.sh --fix
# Exit codes: 0 all well, 1 something to repair, 77 no clang-format here.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

if ! command -v clang-format >/dev/null; then
  echo 'check_format: clang-format is not installed' >&2
  exit 77
fi

# Tracked files, or without git (a tarball) all that are there.
patterns=('*.hpp' '*.cpp' '*.c')
if ! listing=$(git ls-files -- "${patterns[@]}" 2>/dev/null); then
  listing=$(find . -path ./build -prune -o -type f \
    \( -name '*.hpp' -o -name '*.cpp' -o -name '*.c' \) -print)
fi
files=()
while read -r file; do
  if [ -f "$file" ]; then
    files+=("$file")
  fi
done <<<"$listing"

if [ "${1:-}" = --fix ]; then
  clang-format -i -- "${files[@]}"
else
  clang-format --dry-run -Werror -- "${files[@]}"
fi
