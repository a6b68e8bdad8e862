#!/usr/bin/env python3
"""Output: how much of it per second, how fair, and what a reader that does not
read costs.

    bench/theme_output.py [--mib N] [--writers N] [--rounds R] [--program P]

One command (bench/pour.c) writes N MiB, read by each rival; then many write at
the same time, and what counts is the slowest of them; then a job of a node writes
while clients follow its output and never read what they get. --mib 4096 is the
size for which there is a goal.
"""

import threading
import time
import uuid

from crash import UnixConnection
from measured_node import MeasuredNode
from rivals import (Results, c_program, gnu_parallel, in_folder, median, options_of,
                    ratio, run, spread, take_turns)

MIB = 2 ** 20
SECONDS = 2.0       # For which writers write at the same time.
STARTING = 2.0      # Seconds until all of them have started.
FOLLOWERS = [0, 1, 20]


class One:
    """One command that writes, and who reads it."""

    def __init__(self, options, folder, node):
        self.bytes = options.mib * MIB
        self.program = options.program
        self.pour = c_program("pour")
        self.raw_spawn = c_program("raw_spawn")
        self.folder = folder
        self.node = node
        self.parallel = gnu_parallel()

    def measure(self, words, is_kept=False):
        target = self.folder / "output"
        used = run(words, **({"stdout": target} if is_kept else {}),
                   cwd=self.folder)
        target.unlink(missing_ok=True)
        return self.told(used)

    def by_node(self):
        begin = time.monotonic()
        job = self.node.submit([self.pour, str(self.bytes)])
        cpu = self.node.cpu()
        self.node.wait(job)
        used = {"wall": time.monotonic() - begin, "cpu": self.node.cpu() - cpu}
        self.node.ask("DELETE", f"/v1/jobs/{job}")
        return self.told(used)

    def told(self, used):
        return {"rate": self.bytes / MIB / used["wall"],
                "cpu": used["cpu"] / self.bytes * 1e9}

    def all(self):
        size = str(self.bytes)
        pour = [self.pour, size]
        raw = [self.raw_spawn, "1", "1", *pour]
        copied = [self.raw_spawn, "-c", "1", "1", *pour]
        mapped = [self.program, "map", self.pour, ":::", size]
        live = [self.program, "map", "--line-buffer", self.pour, ":::", size]
        works = {
            "raw, dropped": (raw, False),
            "raw, copied to a file": (copied, True),
            "straight into a file": (pour, True),
            "troupe exec, into a file": (
                [self.program, "exec", "--", *pour], True),
            "troupe map": (mapped, False),
            "troupe map, into a file": (mapped, True),
            "troupe map --line-buffer": (live, False),
            "troupe map --line-buffer, into a file": (live, True),
        }
        if self.parallel:
            words = [self.parallel, "--will-cite", self.pour, ":::", size]
            works["GNU parallel"] = (words, False)
            works["GNU parallel, into a file"] = (words, True)
        rivals = {name: lambda work=work: self.measure(*work)
                  for name, work in works.items()}
        rivals["troupe node"] = self.by_node
        return rivals


# What each of ours should reach 0.8 of: who does the same. What is printed in one
# piece, or kept and can be followed, has been copied into a file before.
BEST = {
    "troupe exec, into a file": "straight into a file",
    "troupe map": "raw, copied to a file",
    "troupe map, into a file": "GNU parallel, into a file",
    "troupe map --line-buffer": "raw, dropped",
    "troupe map --line-buffer, into a file": "raw, copied to a file",
    "troupe node": "raw, copied to a file",
}


def by_size(results, options, folder, node):
    samples = take_turns(One(options, folder, node).all(), options.rounds,
                         "one command")
    results.table(f"One command that writes {options.mib:,} MiB",
                  ["reader", "MiB/s", "range", "compared with", "ratio",
                   "CPU s per GB"],
                  [[name, median(of, "rate"), spread(of, "rate"),
                    BEST.get(name, "-"),
                    ratio(of, samples[BEST[name]], "rate")
                    if BEST.get(name) in samples else None, median(of, "cpu")]
                   for name, of in samples.items()])
    for name, best in BEST.items():
        if best not in samples:
            continue
        results.goal(f"{name} / {best}",
                     ratio(samples[name], samples[best], "rate"), ">=", 0.8)


class Many:
    """Commands that all write between the same two moments."""

    def __init__(self, options, folder, node):
        self.writers = options.writers
        self.program = options.program
        self.node = node
        self.counts = folder / "counts"
        self.pour = c_program("pour")
        self.raw_spawn = c_program("raw_spawn")
        self.lines = folder / "lines"
        self.lines.write_text(f"{self.counts}\n" * self.writers)

    def measure(self, work):
        self.counts.unlink(missing_ok=True)
        begin = time.clock_gettime(time.CLOCK_MONOTONIC) + STARTING
        work([self.pour, str(int(begin * 1000)),
              str(int((begin + SECONDS) * 1000))])
        told = [tuple(map(int, line.split()))
                for line in self.counts.read_text().splitlines()]
        late = [time for _, time in told if time < SECONDS * 500]
        if len(told) != self.writers or late:
            raise RuntimeError(f"{len(told)} of {self.writers} have written, and "
                               f"{len(late)} were started too late")
        speeds = [count / time for count, time in told]
        return {"rate": sum(count for count, _ in told) / MIB / SECONDS,
                "slowest": min(speeds) * len(speeds) / sum(speeds)}

    def in_node(self, pour):
        job = self.node.submit([*pour, "{}"],
                               arguments=[str(self.counts)] * self.writers)
        self.node.wait(job)
        self.node.ask("DELETE", f"/v1/jobs/{job}")

    def all(self):
        at_once = str(self.writers)

        def mapped(*options):
            return lambda pour: run([self.program, "map", "-j", at_once, *options,
                                     *pour], stdin=self.lines)
        works = {
            "raw, dropped": lambda pour: run(
                [self.raw_spawn, "-l", at_once, *pour], stdin=self.lines),
            "troupe map": mapped(),
            "troupe map --line-buffer": mapped("--line-buffer"),
            "troupe node": self.in_node,
        }
        return {name: lambda work=work: self.measure(work)
                for name, work in works.items()}


def by_fairness(results, options, folder, node):
    samples = take_turns(Many(options, folder, node).all(), options.rounds,
                         "many commands")
    results.table(f"{options.writers} commands that write at the same time, for "
                  f"{SECONDS:.0f} s", ["reader", "MiB/s", "range",
                                       "slowest of mean", "range of that"],
                  [[name, median(of, "rate"), spread(of, "rate"),
                    median(of, "slowest"), spread(of, "slowest")]
                   for name, of in samples.items()])
    for name, of in samples.items():
        if name != "raw, dropped":
            results.goal(f"slowest of {options.writers} / mean, {name}",
                         median(of, "slowest"), ">=", 0.5)


def follow(node, job):
    """A connection that asks for the output and reads nothing."""
    connection = UnixConnection(node.socket, 60)
    connection.request("GET", f"/v1/jobs/{job}/tasks/0/log?follow=true")
    return connection


def with_followers(node, options, count):
    """{"rate": MiB/s, "rss": MiB at most} of a job that so many follow."""
    pour = [c_program("pour"), str(options.mib * MIB // 4)]
    # It waits for the followers to be there.
    job = node.submit(["sh", "-c", 'sleep 0.5; exec "$@"', uuid.uuid4().hex, *pour])
    begin = time.monotonic()
    connections = [follow(node, job) for _ in range(count)]
    peak, ended = [node.rss_mib()], threading.Event()

    def look():
        while not ended.wait(0.02):
            peak.append(node.rss_mib())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        node.wait(job)
        wall = time.monotonic() - begin - 0.5
    finally:
        ended.set()
        looking.join()
        for connection in connections:
            connection.close()
    node.ask("DELETE", f"/v1/jobs/{job}")
    return {"rate": options.mib / 4 / wall, "rss": max(peak)}


def by_followers(results, options, node):
    samples = take_turns({count: lambda n=count: with_followers(node, options, n)
                          for count in FOLLOWERS}, options.rounds, "followers")
    alone = samples[0]
    results.table(f"A job that writes {options.mib // 4:,} MiB, and clients that "
                  "follow it and do not read",
                  ["followers", "MiB/s", "range", "of none", "RSS MiB at most"],
                  [[count, median(of, "rate"), spread(of, "rate"),
                    ratio(of, alone, "rate"), max(one["rss"] for one in of)]
                   for count, of in samples.items()])
    for count in FOLLOWERS[1:]:
        of = samples[count]
        results.goal(f"rate with {count} followers that do not read / none",
                     ratio(of, alone, "rate"), ">=", 0.9)
        results.goal(f"MiB of memory for each of {count} followers",
                     (median(of, "rss") - median(alone, "rss")) / count, "<=", 4.0)


def measure(options, folder):
    results = Results("output", "Output", options)
    settings = f"slots: {options.writers}\noutput-total: 1TiB\n"
    with MeasuredNode(options.program, folder / "node", settings) as node:
        by_size(results, options, folder, node)
        by_fairness(results, options, folder, node)
        by_followers(results, options, node)
    results.note("`raw` (`bench/raw_spawn.c`) reads a pipe that it has enlarged to "
                 "1 MiB, and drops or copies what it gets; \"straight into a file\" "
                 "is a command with the file as its standard output. Files are on "
                 "the disk of $TMPDIR and in the page cache.")
    results.note("`troupe map` and GNU parallel print in one piece when a command "
                 "has ended, so that they keep all of it until then.")
    results.finish()


def add_options(parser):
    parser.add_argument("--mib", type=int, default=512,
                        help="what one command writes (%(default)s)")
    parser.add_argument("--writers", type=int, default=200,
                        help="commands at the same time (%(default)s)")


def main():
    options = options_of(__doc__, add_options)
    in_folder(lambda folder: measure(options, folder))


if __name__ == "__main__":
    main()
