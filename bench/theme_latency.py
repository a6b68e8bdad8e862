#!/usr/bin/env python3
"""How long it takes from the end of a command to the start of the next one.

    bench/theme_latency.py [-n N] [-j 1,2] [--nap US] [--rounds R] [--program P]

The commands (bench/stamp.c) need no library and write down the time of their
first and of their last instruction; N of them run, J at a time, each sleeping for
US microseconds. Of J places the k-th that becomes free is taken by the start
number k + J; what lies in between is the gap: the exit of a process, the rival,
and the start of a process.
"""

import struct

from measured_node import MeasuredNode
from rivals import (Results, c_program, in_folder, numbers, options_of, quantile,
                    ratio, run, take_turns)

COLUMNS = ["-j", "sleep us", "rival", "p50 us", "p99 us", "max us", "p50 of raw"]
RECORD = struct.Struct("qq")


def read_records(path):
    """(start, end) of each command, in nanoseconds."""
    return list(RECORD.iter_unpack(path.read_bytes()))


def gaps_of(records, at_once):
    """Microseconds from each end to the start that takes its place."""
    starts = sorted(start for start, _ in records)
    ends = sorted(end for _, end in records)
    return [(start - end) / 1000 for start, end in zip(starts[at_once:], ends)]


class Rivals:
    def __init__(self, options, folder, node, at_once, nap):
        self.options = options
        self.node = node
        self.at_once = at_once
        self.nap = str(nap)
        self.records = folder / "records"
        self.stamp = [c_program("stamp"), str(self.records)]
        self.lines = folder / "lines"
        self.lines.write_text(f"{nap}\n" * options.n)

    def measure(self, work):
        self.records.write_bytes(b"")
        work()
        records = read_records(self.records)
        if len(records) != self.options.n:
            raise RuntimeError(f"{len(records)} of {self.options.n} commands ran")
        gaps = sorted(gaps_of(records, self.at_once))
        return {"gaps": gaps, "p50": quantile(gaps, 0.5)}

    def all(self):
        count, jobs = str(self.options.n), str(self.at_once)
        raw = [c_program("raw_spawn"), count, jobs, *self.stamp, self.nap]
        troupe = [self.options.program, "map", "-j", jobs, *self.stamp]
        xargs = ["xargs", "-P", jobs, "-n", "1", *self.stamp]
        works = {
            "raw": lambda: run(raw),
            "troupe map": lambda: run(troupe, stdin=self.lines),
            "troupe node": lambda: self.node.run(
                [*self.stamp, self.nap], array={"from": 1, "to": self.options.n}),
            "xargs -P": lambda: run(xargs, stdin=self.lines),
        }
        return {name: lambda work=work: self.measure(work)
                for name, work in works.items()}


def row(at_once, nap, name, samples, raw):
    gaps = sorted(gap for sample in samples for gap in sample["gaps"])
    return [at_once, nap, name, quantile(gaps, 0.5), quantile(gaps, 0.99), gaps[-1],
            ratio(samples, raw, "p50")]


def measure(options, folder):
    results = Results("latency", "From one command to the next", options)
    rows = []
    for at_once in options.j:
        settings = f"slots: {at_once}\n"
        with MeasuredNode(options.program, folder / f"node{at_once}",
                          settings) as node:
            for nap in options.nap:
                rivals = Rivals(options, folder, node, at_once, nap)
                samples = take_turns(rivals.all(), options.rounds,
                                     f"-j {at_once}, {nap} us")
                rows += [row(at_once, nap, name, of, samples["raw"])
                         for name, of in samples.items()]
    for at_once, nap, name, p50, p99, *_ in rows:
        if name == "troupe map":
            where = f"us, -j {at_once}, commands of {nap} us"
            results.goal(f"p50 {where}", p50, "<=", 150.0)
            results.goal(f"p99 {where}", p99, "<=", 1000.0)
    results.table(f"{options.n} commands, of all rounds", COLUMNS, rows)
    results.note("From the last instruction of a command to the first one of that "
                 "which takes its place (`bench/stamp.c`): with the exit and the "
                 "start of a process, which `raw` has as well.")
    results.finish()


def add_options(parser):
    parser.add_argument("-n", type=int, default=500,
                        help="commands per measurement (%(default)s)")
    parser.add_argument("-j", type=numbers, default=[1, 2],
                        help="how many at a time (1,2)")
    parser.add_argument("--nap", type=numbers, default=[0, 2000],
                        help="microseconds that commands sleep (0,2000)")


def main():
    options = options_of(__doc__, add_options)
    in_folder(lambda folder: measure(options, folder))


if __name__ == "__main__":
    main()
