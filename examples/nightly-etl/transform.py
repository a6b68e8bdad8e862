#!/usr/bin/env python3
"""transform.py SHARD: adds up what was pulled, and asks the service."""

import glob
import os
import sys
import urllib.request

shard = sys.argv[1]
total = 0
for name in sorted(glob.glob("out-*.csv")):
    with open(name, encoding="ascii") as lines:
        total += sum(int(line.split(",")[1]) for line in list(lines)[1:])
with urllib.request.urlopen(f"{os.environ['API']}/{shard}") as answer:
    title = answer.read().decode().strip("/")
with open(f"shard-{shard}.txt", "w", encoding="ascii") as out:
    out.write(f"{title} {total}\n")
print(f"{title}: {total}")
