#!/bin/sh
# Says how many rows there are, as JSON. Needs the password, and a ticket.
set -eu
test "$PGPASSWORD" = "open sesame"
test -n "$TICKET"
printf '{"rows": %s}\n' "$(cat shard-*.txt | wc -l)"
