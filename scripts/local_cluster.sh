#!/usr/bin/env bash
# A cluster on this machine, to try things out: PostgreSQL and several nodes of
# Troupe that share it.
#
#   scripts/local_cluster.sh N [OPTION...]   start N nodes: n1, n2, ..
#   scripts/local_cluster.sh status          how each of them stands
#   eval "$(scripts/local_cluster.sh env n2)"   troupe speaks to n2
#   scripts/local_cluster.sh kill n2         kill -9 the node, its warden and all
#                                            that runs there: its machine is gone
#   scripts/local_cluster.sh start n2        bring it back
#   scripts/local_cluster.sh cut n2          the node does not reach the store
#   scripts/local_cluster.sh heal n2         ... and does again
#   scripts/local_cluster.sh stop            end all of it, and leave nothing
#
#   --folder F       where all of it is (/tmp/troupe-cluster-UID)
#   --slots N        commands at a time, of each node (2)
#   --lease-time D   how soon the others take over (10s, the shortest)
#   --plain          no network namespaces, even as root
#
# As root each node has a network of its own, as on a machine of its own, and the
# server is on another one. Else all are on loopback, and nothing can be cut.
# The program is $TROUPE, or build/release/bin/troupe. Needs PostgreSQL
# (apt-get install postgresql), openssl and python3.
set -euo pipefail
exec python3 -B "$(dirname -- "${BASH_SOURCE[0]}")/local_cluster.py" "$@"
