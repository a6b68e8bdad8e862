#!/bin/sh
# pull.sh REGION KIND DATE OUTPUT: what was sold, as out-REGION-KIND.csv.
set -eu
printf 'id,amount\n1,%s\n2,%s\n' "$(printf '%s' "$1" | wc -c)" "$(printf '%s' "$2" | wc -c)" \
  >"out-$1-$2.csv"
echo "pulled $1 $2 of $3"
{
  echo "rows=2"
  echo 'shards={"shard":["north","south"]}'
} >>"$4"
