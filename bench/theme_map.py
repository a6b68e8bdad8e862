#!/usr/bin/env python3
"""Commands per second: `troupe map` against the machine's limit and its peers.

    bench/theme_map.py [-n N] [-j 1,2,8,32] [--rounds R] [--program P]

Each rival runs N commands, J at a time, each with an argument of its own: `true`
takes twice as long with one as without. `raw` (bench/raw_spawn.c) captures both
streams, waits by a pidfd, and does nothing else: it is what the machine can do.
GNU parallel, which is slow, runs a fifth of them. Peers that are not installed are
left out.
"""

import os
import shutil

from rivals import (Results, c_program, gnu_parallel, in_folder, median, numbers,
                    options_of, peer, ratio, run, spread, take_turns)

DIRECT, SHELL = "true", "sh -c true"
COLUMNS = ["command", "-j", "rival", "/s", "range", "of raw", "CPU ms each",
           "CPU of raw"]


class Rivals:
    """Programs that run `count` commands, `at_once` at a time."""

    def __init__(self, folder, program, count):
        self.folder = folder
        self.program = program
        self.count = count
        self.few = max(1, count // 5)
        self.raw = c_program("raw_spawn")
        self.true = shutil.which("true")
        self.sh = shutil.which("sh")
        self.lines = self.write_lines(count)
        self.few_lines = self.write_lines(self.few)
        self.parallel = gnu_parallel()
        self.make = peer("make")
        self.moreutils = peer("parallel.moreutils")
        # GNU parallel starts the user's shell, whatever that is.
        self.env = dict(os.environ, PARALLEL_SHELL=self.sh, HOME=str(folder))
        self.env.pop("MAKEFLAGS", None)

    def write_lines(self, count):
        path = self.folder / f"lines{count}"
        path.write_text("".join(f"{i}\n" for i in range(count)))
        return path

    def words(self, command):
        return [self.true] if command == DIRECT else [self.sh, "-c", "true"]

    def makefile(self, command):
        path = self.folder / f"{command.replace(' ', '')}.mk"
        if not path.exists():
            tasks = " ".join(f"t{i}" for i in range(self.count))
            line = " ".join(self.words(command))
            path.write_text(f".PHONY: all {tasks}\nall: {tasks}\n{tasks}:\n"
                            f"\t@{line} $@\n")
        return path

    def measure(self, count, words, **options):
        used = run(words, env=self.env, cwd=self.folder, **options)
        return {"rate": count / used["wall"], "cpu": used["cpu"] / count}

    def all(self, command, at_once):
        """{name: function}. GNU parallel hands each line to a shell, so it gets
        the program alone, or what is built into the shell."""
        jobs, words = str(at_once), self.words(command)
        line = f"{self.true} {{}}" if command == DIRECT else "true {}"
        troupe = [self.program, "map", "-j", jobs]
        rivals = {
            "raw": lambda: self.measure(
                self.count, [self.raw, "-l", jobs, *words], stdin=self.lines),
            "troupe map": lambda: self.measure(
                self.count, [*troupe, *words], stdin=self.lines),
            "troupe map -k": lambda: self.measure(
                self.count, [*troupe, "-k", *words], stdin=self.lines),
            "xargs -P": lambda: self.measure(
                self.count, ["xargs", "-P", jobs, "-n", "1", *words],
                stdin=self.lines),
        }
        if self.make:
            file = str(self.makefile(command))
            rivals["make -j"] = lambda: self.measure(
                self.count, [self.make, "-s", "-j", jobs, "-f", file])
        if self.moreutils:
            arguments = [str(i) for i in range(self.count)]
            rivals["moreutils parallel"] = lambda: self.measure(
                self.count, [self.moreutils, "-j", jobs, *words, "--",
                             *arguments])
        if self.parallel:
            start = [self.parallel, "--will-cite", "-j", jobs]
            rivals["GNU parallel"] = lambda: self.measure(
                self.few, [*start, line], stdin=self.few_lines)
            rivals["GNU parallel -k"] = lambda: self.measure(
                self.few, [*start, "-k", line], stdin=self.few_lines)
        return rivals


def goals(results, samples, command, at_once):
    where = f"{command}, -j {at_once}"

    def rate(one, other, limit):
        if other in samples:
            results.goal(f"{one} / {other}, {where}",
                         ratio(samples[one], samples[other], "rate"), ">=", limit)

    rate("troupe map", "raw", 0.95)
    results.goal(f"CPU per command, troupe map / raw, {where}",
                 ratio(samples["troupe map"], samples["raw"], "cpu"), "<=", 1.05)
    rate("troupe map", "xargs -P", 1.2)
    rate("troupe map", "make -j", 1.1)
    rate("troupe map", "GNU parallel", 4.0)
    rate("troupe map -k", "GNU parallel -k", 3.5)


def measure(options, folder):
    results = Results("map", "Spawn rate", options)
    rivals = Rivals(folder, options.program, options.n)
    rows = []
    for command in (DIRECT, SHELL):
        for at_once in options.j:
            samples = take_turns(rivals.all(command, at_once), options.rounds,
                                 f"{command}, -j {at_once}")
            raw = samples["raw"]
            rows += [[command, at_once, name, median(of, "rate"),
                      spread(of, "rate"), ratio(of, raw, "rate"),
                      median(of, "cpu") * 1000, ratio(of, raw, "cpu")]
                     for name, of in samples.items()]
            goals(results, samples, command, at_once)
    results.table(f"{options.n} commands", COLUMNS, rows)
    results.note("`raw` is a launcher that captures both streams, waits by a pidfd "
                 "and does nothing else (`bench/raw_spawn.c`), one process for each "
                 "processor: what the machine can do.")
    results.note("`xargs` and `make` capture nothing; the others capture both "
                 "streams of each command. `-k` prints in the order of the "
                 "arguments.")
    results.note("`true` is executed directly, but for GNU parallel, which starts "
                 "a shell for each line; of `sh -c true` it gets the line `true`, "
                 "so that it starts one shell as the others do. It runs a "
                 "fifth as many commands.")
    results.note("CPU is that of the rival and of all that it has started.")
    results.finish()


def add_options(parser):
    parser.add_argument("-n", type=int, default=2000,
                        help="commands per measurement (%(default)s)")
    parser.add_argument("-j", type=numbers, default=[1, 2, 8, 32],
                        help="how many at a time (1,2,8,32)")


def main():
    options = options_of(__doc__, add_options)
    in_folder(lambda folder: measure(options, folder))


if __name__ == "__main__":
    main()
