#!/usr/bin/env bash
# Builds a Debian package, installing what is missing for that, and prints where
# it is. Install it with apt-get install ./FILE.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/install_packages.sh build package
# shellcheck source=scripts/build_environment.sh
. scripts/build_environment.sh

cmake --preset release
cmake --build --preset release --target package -- -j "$jobs"
