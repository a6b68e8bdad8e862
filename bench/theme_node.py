#!/usr/bin/env python3
"""Jobs per second of a node that keeps them on disk, against a bare launcher and
task-spooler.

    bench/theme_node.py [-n N] [-j J] [--singles N] [--rounds R] [--program P]

A node in a folder of its own, on the disk of $TMPDIR, gets an array of N tasks;
every result is in the store when the job has ended, and what was written is kept.
It also gets jobs one by one, each synced to the disk before it is acknowledged.
`raw` (bench/raw_spawn.c) runs the same commands, J at a time, and keeps nothing;
task-spooler keeps output in files, and the queue in memory. For task-spooler two
times are told: with the submissions, each a start of its client, and of a queue
that stands already and is let go.
"""

import concurrent.futures
import os
import shutil
import time
import uuid

from backlog import Client
from measured_node import MeasuredNode, seconds_of
from rivals import (Results, c_program, in_folder, median, options_of, peer, ratio,
                    run, spread, take_turns)

CLIENTS = 8
COLUMNS = ["command", "rival", "/s", "range", "of raw", "CPU ms each"]
SPOOLER = "task-spooler"
CROWD = f"troupe node, single jobs of {CLIENTS} clients"
COMMANDS = {"true": [shutil.which("true")],
            "sh -c true": [shutil.which("sh"), "-c", "true"]}

# Prints the times of begin and end. $1 is the number of jobs, $2 how many run at
# a time, $3 a program that waits for the FIFO $4, or nothing; the rest a command.
SPOOL = r"""
set -eu
count=$1; at_once=$2; waits=$3; fifo=$4; shift 4
exec 3<>"$fifo"         # What reads it waits as long as this is open.
tsp() { command tsp "$@" 3>&-; }
trap 'tsp -K' EXIT
tsp -S "$at_once"
if [ -n "$waits" ]; then
  tsp -S 1
  first=$(tsp "$waits" /dev/null "$fifo")
fi
begin=$(date +%s.%N)
i=0
while [ "$i" -lt "$count" ]; do
  last=$(tsp "$@")
  i=$((i + 1))
done
if [ -n "$waits" ]; then
  begin=$(date +%s.%N)
  tsp -S "$((at_once + 1))"
fi
i=0
while [ "$i" -lt "$at_once" ] && [ "$i" -lt "$count" ]; do
  tsp -w "$((last - i))" || exit 1
  i=$((i + 1))
done
printf '%s %s\n' "$begin" "$(date +%s.%N)"
exec 3>&-
[ -z "$waits" ] || tsp -w "$first"
"""


class Rivals:
    def __init__(self, node, folder, options, words):
        self.node = node
        self.folder = folder
        self.options = options
        self.words = words
        self.raw_spawn = c_program("raw_spawn")

    def raw(self):
        count = self.options.n
        used = run([self.raw_spawn, str(count), str(self.options.j), *self.words])
        return {"rate": count / used["wall"], "cpu": used["cpu"] / count}

    def array(self):
        count = self.options.n
        used = self.node.run(self.words, array={"from": 1, "to": count})
        return {"rate": count / used["wall"], "cpu": used["cpu"] / count}

    def singles(self):
        """Acknowledged one after the other, while those before run."""
        count, cpu, begin = self.options.singles, self.node.cpu(), time.time()
        jobs = [self.node.submit(self.words) for _ in range(count)]
        acknowledged = time.time() - begin
        end = max(seconds_of(self.node.wait(job)["ended"]) for job in jobs)
        return {"rate": count / (end - begin), "acknowledged": count / acknowledged,
                "cpu": (self.node.cpu() - cpu) / count}

    def from_clients(self):
        """Likewise, but by several at once, each with a connection of its own."""
        count, cpu, begin = self.options.singles, self.node.cpu(), time.time()

        def submit(number):
            client = Client(self.node.socket)
            return [client.ask("POST", "/v1/jobs", {
                "request_id": uuid.uuid4().hex,
                "command": {"words": self.words, "cwd": "/"}})["job"]
                for _ in range(number, count, CLIENTS)]

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            jobs = [job for some in pool.map(submit, range(CLIENTS)) for job in some]
        acknowledged = time.time() - begin
        end = max(seconds_of(self.node.wait(job)["ended"]) for job in jobs)
        return {"rate": count / (end - begin), "acknowledged": count / acknowledged,
                "cpu": (self.node.cpu() - cpu) / count}

    def spool(self, stands_already):
        count = self.options.singles
        place = self.folder / "spool"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        fifo = place / "fifo"
        os.mkfifo(fifo)
        env = dict(os.environ, TS_SOCKET=str(place / "socket"), TMPDIR=str(place),
                   TS_MAXFINISHED=str(count + 10))
        waits = c_program("stamp") if stands_already else ""
        used = run(["sh", "-c", SPOOL, "sh", str(count), str(self.options.j), waits,
                    str(fifo), *self.words], env=env, stdout=place / "times")
        begin, end = map(float, (place / "times").read_text().split())
        return {"rate": count / (end - begin), "cpu": used["cpu"] / count}

    def all(self):
        rivals = {"raw": self.raw, "troupe node, an array": self.array,
                  "troupe node, single jobs": self.singles,
                  CROWD: self.from_clients}
        if peer("tsp"):
            rivals[SPOOLER] = lambda: self.spool(False)
            rivals[f"{SPOOLER}, queued before"] = lambda: self.spool(True)
        return rivals


def show(results, command, samples):
    raw = samples["raw"]
    array = samples["troupe node, an array"]
    singles = samples["troupe node, single jobs"]
    results.goal(f"array / raw, {command}", ratio(array, raw, "rate"), ">=", 0.85)
    if SPOOLER in samples:
        for name, of in (("array", array), ("single jobs", singles),
                         (f"single jobs of {CLIENTS} clients", samples[CROWD])):
            results.goal(f"{name} / {SPOOLER}, {command}",
                         ratio(of, samples[SPOOLER], "rate"), ">=", 3.0)
    return [[command, name, median(of, "rate"), spread(of, "rate"),
             ratio(of, raw, "rate"), median(of, "cpu") * 1000]
            for name, of in samples.items()]


def measure(options, folder):
    results = Results("node", "The durable queue", options)
    rows, acknowledged, by_crowd = [], [], []
    settings = f"slots: {options.j}\n"
    with MeasuredNode(options.program, folder / "node", settings) as node:
        for command, words in COMMANDS.items():
            samples = take_turns(Rivals(node, folder, options, words).all(),
                                 options.rounds, command)
            rows += show(results, command, samples)
            acknowledged += samples["troupe node, single jobs"]
            by_crowd += samples[CROWD]
    results.table(f"{options.n} tasks, {options.singles} single jobs, -j "
                  f"{options.j}", COLUMNS, rows)
    results.table("Submissions that are acknowledged, each synced to the disk, "
                  "while those before run", ["clients", "/s", "range"],
                  [[clients, median(told, "acknowledged"),
                    spread(told, "acknowledged")]
                   for clients, told in ((1, acknowledged), (CLIENTS, by_crowd))])
    results.note("`raw` (`bench/raw_spawn.c`) keeps nothing. A node keeps jobs, "
                 "results and output; task-spooler keeps output, and its queue in "
                 "memory.")
    results.note("Single jobs are submitted one after the other over one "
                 "connection, or over one for each client. task-spooler gets "
                 "as many, each by a start of its client; \"queued before\" is "
                 "timed from when a full queue is let go, and there is no goal for "
                 "it: what is submitted is as much a part of a queue.")
    results.finish()


def add_options(parser):
    parser.add_argument("-n", type=int, default=2000,
                        help="tasks of an array (%(default)s)")
    parser.add_argument("-j", type=int, default=8,
                        help="how many at a time (%(default)s)")
    parser.add_argument("--singles", type=int, default=300,
                        help="jobs one by one (%(default)s)")


def main():
    options = options_of(__doc__, add_options)
    in_folder(lambda folder: measure(options, folder))


if __name__ == "__main__":
    main()
