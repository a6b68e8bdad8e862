#!/usr/bin/env bash
# Lays out a new part: folder = CMake target = namespace, with its "start here"
# header and a first test, which fails until there is something to test.
#
#   scripts/new_part.sh NAME
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

name=${1:-}
if [[ ! $name =~ ^[a-z][a-z0-9_]*$ ]]; then
  echo 'usage: scripts/new_part.sh NAME     (snake_case, a noun)' >&2
  exit 2
fi
if [ -e "$name" ] || [ -e "tests/$name" ]; then
  echo "new_part: $name or tests/$name is there already" >&2
  exit 1
fi

mkdir -p "$name/include/troupe/$name" "$name/src" "tests/$name"

cat >"$name/CMakeLists.txt" <<END
# One sentence: what it does; see include/troupe/$name/$name.hpp.
troupe_part($name
  CORE src/$name.cpp
  USES base)
END

cat >"$name/include/troupe/$name/$name.hpp" <<END
#pragma once

/// Start here. One paragraph: what this part is for, what it knows, and what it
/// leaves to others.
///
///   x.hpp    the one idea that is in x.hpp

namespace troupe::$name {}  // namespace troupe::$name
END

cat >"$name/src/$name.cpp" <<END
#include <troupe/$name/$name.hpp>
END

cat >"tests/$name/CMakeLists.txt" <<END
troupe_test(${name}_test
  SOURCES ${name}_test.cpp
  LINKS troupe::$name)
END

cat >"tests/$name/${name}_test.cpp" <<END
#include <troupe/$name/$name.hpp>

#include <gtest/gtest.h>

namespace troupe::$name {
namespace {

TEST(FirstIdea, SaysInOneSentenceWhatIsTrueOfIt) {
  FAIL() << "given, when, then";
}

}  // namespace
}  // namespace troupe::$name
END

cat <<END
$name/ and tests/$name/ are laid out. What is left is a decision each:

  CMakeLists.txt              add_subdirectory($name), below what it uses
  tests/CMakeLists.txt        add_subdirectory($name)
  scripts/check_includes.py   $name into its row of ROWS
  ARCHITECTURE.md             a line in the map
END
