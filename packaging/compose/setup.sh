#!/bin/sh
# Makes what the nodes of a cluster and its store prove by who they are, in one folder
# for each of them: what compose.yaml has as volumes.
#
#   setup.sh FOLDER NODE...
#
#   FOLDER/authority   signs the certificates of nodes
#   FOLDER/store       password, key.pem and cert.pem of the PostgreSQL server
#   FOLDER/NODE        cluster/ (its key and certificate, and the roster), and what it
#                      needs for the store: store-password, store.pem
#
# What is there stays as it is, so it may be run again: with another node, or to give
# all nodes the roster after one was revoked. As root it makes what is a node's as
# NODE_USER (troupe), since commands of that user can put links into its folder.
set -eu
umask 077

folder=$1
shift
node_user=${NODE_USER:-troupe}
# The user postgres of the image, who is not known here.
store_user=999

is_root() { [ "$(id -u)" -eq 0 ]; }

as_node() {
  if is_root; then
    setpriv --reuid="$node_user" --regid="$(id -g "$node_user")" --clear-groups "$@"
  else
    "$@"
  fi
}

# `troupe cluster`, of the authority.
authority() { troupe cluster "$@" --authority "$folder/authority"; }

make_store() {
  mkdir -p "$folder/store"
  if [ ! -e "$folder/store/password" ]; then
    openssl rand -hex -out "$folder/store/password" 32
  fi
  if [ ! -e "$folder/store/cert.pem" ]; then
    # It is its own authority: only nodes of this cluster have to know it.
    if ! openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj /CN=store \
      -addext subjectAltName=DNS:store -keyout "$folder/store/key.pem" \
      -out "$folder/store/new.pem" 2>"$folder/store/log"; then
      cat "$folder/store/log" >&2
      exit 1
    fi
    mv "$folder/store/new.pem" "$folder/store/cert.pem"
  fi
  if is_root; then
    chown -R "0:$store_user" "$folder/store"
    chmod -R u=rwX,g=rX,o= "$folder/store"
  fi
}

# By files and not through a pipe, of which all but the last command may fail unseen.
enrol() {
  home=$folder/$1
  mkdir -p "$home"
  if is_root; then chown "$node_user:" "$home"; fi
  chmod 0700 "$home"
  if as_node test -e "$home/cluster/identity.pem"; then return; fi
  work=$(mktemp -d)
  authority token "$1" >"$work/token" 2>"$work/said"
  as_node troupe cluster enrol --folder "$home/cluster" --token - \
    <"$work/token" >"$work/request" 2>>"$work/said"
  authority sign <"$work/request" >"$work/answer"
  as_node troupe cluster enrol --folder "$home/cluster" --answer - <"$work/answer"
  rm -r "$work"
}

# In one step: a node that runs may read it at any moment.
give() {
  # shellcheck disable=SC2016 # For the other shell.
  as_node sh -c 'cat >"$1.new" && mv -T "$1.new" "$1"' sh "$2" <"$1"
}

[ -e "$folder/authority/authority.pem" ] || authority init
make_store
for node in "$@"; do enrol "$node"; done
for node in "$@"; do
  give "$folder/authority/roster.json" "$folder/$node/cluster/roster.json"
  give "$folder/store/password" "$folder/$node/store-password"
  give "$folder/store/cert.pem" "$folder/$node/store.pem"
done
