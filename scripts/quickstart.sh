#!/usr/bin/env bash
# From a fresh clone to a first workflow: installs the packages that are
# missing, builds Troupe into build/release/bin, runs examples/quickstart.yaml.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/install_packages.sh build
# shellcheck source=scripts/build_environment.sh
. scripts/build_environment.sh

cmake --preset release
cmake --build --preset release --target troupe troupe-warden -- -j "$jobs"

echo
echo '$ build/release/bin/troupe run examples/quickstart.yaml'
exec build/release/bin/troupe run examples/quickstart.yaml
