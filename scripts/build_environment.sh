# shellcheck shell=bash
# Sourced by the scripts that build, from the top of the tree: makes a build
# work with no home directory, a read-only one, or little memory.
#
# Sets `jobs`, and CCACHE_DIR where ccache could not write otherwise.

# A batch of sources (TROUPE_UNITY) costs the compiler up to 1.5 GB.
jobs=$(nproc)
memory_mb=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
if [ "$((memory_mb / 1500))" -lt "$jobs" ]; then
  jobs=$((memory_mb / 1500 > 0 ? memory_mb / 1500 : 1))
fi

# True if ccache can keep its files in $1, which need not be there yet. A home
# directory that is not there is not created.
can_hold_cache() {
  if [ -n "$1" ] && [ ! -d "$1" ]; then
    [ -d "${HOME:-/nonexistent}" ] && mkdir -p -- "$1" 2>/dev/null || return 1
  fi
  [ -n "$1" ] && [ -w "$1" ]
}

cache=${CCACHE_DIR:-}
if [ -z "$cache" ] && [ -d "${HOME:-/nonexistent}/.ccache" ]; then
  cache=$HOME/.ccache
elif [ -z "$cache" ]; then
  cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/ccache
fi
if ! can_hold_cache "$cache"; then
  mkdir -p build/ccache
  export CCACHE_DIR=$PWD/build/ccache
fi
