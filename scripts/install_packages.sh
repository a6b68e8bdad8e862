#!/usr/bin/env bash
# Installs what is missing of the given sections of packaging/debian-packages.txt
# (all of them if none is given). Asks dpkg first, so that a second run takes
# no time and needs neither rights nor network.
#
#   scripts/install_packages.sh [SECTION...]
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

list=packaging/debian-packages.txt

say() { printf 'install_packages: %s\n' "$*" >&2; }

known_sections() { sed -n 's/^\[\([a-z0-9]*\)\].*/\1/p' "$list"; }

packages_of() {
  awk -v wanted="$1" '
    { sub(/#.*/, ""); gsub(/[ \t]/, "") }
    /^\[/ { inside = ($0 == "[" wanted "]"); next }
    inside && $0 != ""' "$list"
}

if [ $# -eq 0 ]; then
  mapfile -t sections < <(known_sections)
else
  sections=("$@")
fi

wanted=()
for section in "${sections[@]}"; do
  if ! known_sections | grep -qxF -- "$section"; then
    say "no section \"$section\" in $list; there are: $(known_sections | xargs)"
    exit 2
  fi
  mapfile -t -O "${#wanted[@]}" wanted < <(packages_of "$section")
done

if ! command -v dpkg-query >/dev/null; then
  say "this is not a Debian system: please install the equivalents of" \
    "${wanted[*]}; going on, CMake will name what it misses"
  exit 0
fi

# dpkg-query fails as soon as it does not know one of the names.
installed=" $({ dpkg-query -W -f '${Package} ${db:Status-Status}\n' \
  "${wanted[@]}" 2>/dev/null || true; } |
  awk '$2 == "installed" { print $1 }' | xargs) "
missing=()
for package in "${wanted[@]}"; do
  [[ $installed == *" $package "* ]] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
  as_root=(env)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root=(sudo -n env)
elif command -v sudo >/dev/null && [ -t 0 ]; then
  as_root=(sudo env)
else
  say "${#missing[@]} packages are missing, and there is neither root nor a" \
    "sudo that works without a password. Run this once, as root:"
  printf '\n  apt-get update && apt-get install -y --no-install-recommends %s\n\n' \
    "${missing[*]}" >&2
  exit 1
fi

apt_get=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get
  -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)

say "installing ${missing[*]}"
# A failed update is no reason to give up: the lists may be recent enough.
"${apt_get[@]}" update -q </dev/null || say "apt-get update failed, going on"
"${apt_get[@]}" install -q -y --no-install-recommends "${missing[@]}" </dev/null
