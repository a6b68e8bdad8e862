#!/usr/bin/env python3
"""Whether a command costs more when there is much of something already.

    bench/theme_scaling.py [-n N] [--running 1,100,10000] [--mib 0,1024]
                           [--rounds R] [--program P]

N short commands are run, 8 at a time, while others run that do nothing, each of
which costs its launcher three descriptors; or by a program with 1 GiB of memory.
What counts is each rival against itself without the burden. The limit of open
descriptors (ulimit -Hn) is raised if that is permitted, otherwise there are fewer
commands, and that is told.
"""

import os
import resource
import subprocess
import time
from pathlib import Path

from measured_node import MeasuredNode, cpu_with_children
from rivals import (LATEST, Results, c_program, children_of, in_folder, median,
                    numbers, options_of, ratio, reap_orphans, spread, take_turns,
                    text_of)

AT_ONCE = 8         # Short commands at a time.
RECORD_BYTES = 16   # What bench/stamp.c writes.
FDS_EACH = 3        # Two pipes and the process.
FDS_BESIDES = 1000
COLUMNS = ["burden", "rival", "/s", "range", "of no burden", "CPU us each",
           "CPU of no burden"]


def raise_open_files(wanted):
    """The limit of open descriptors that we have then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limits in ((max(wanted, soft), max(wanted, hard)), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            break
        except (OSError, ValueError):
            pass
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def launchers(pid):
    """A process and its descendants, without the commands that it has started."""
    found = []
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        name = text_of(Path(f"/proc/{one}/comm")).strip()
        if name and name != "stamp":
            found.append(one)
            waiting += children_of(one)
    return found


class Fifo:
    """Commands that read it wait until it is closed."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            os.unlink(self.path)
        self.fd = None


class Tasks:
    """First come those that stay, then as many as run at a time that wait at a
    gate, then the short ones: with the gate open, these have all the places."""

    def __init__(self, folder, staying, count):
        self.count = count
        self.records = folder / "records"
        self.records.write_bytes(b"")
        self.stay = Fifo(folder / "stay")
        self.gate = Fifo(folder / "gate")
        self.lines = folder / "lines"
        self.lines.write_text(f"{self.stay.path}\n" * staying
                              + f"{self.gate.path}\n" * AT_ONCE + "0\n" * count)
        self.command = [c_program("stamp"), str(self.records)]
        self.at_once = staying + AT_ONCE

    def await_records(self, count, check):
        deadline = time.monotonic() + LATEST
        while (there := self.records.stat().st_size // RECORD_BYTES) < count:
            check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{there} of {count} commands have started")
            time.sleep(0.002)

    def measure(self, pids, check):
        """`pids()` are the launchers; `check()` raises if they have failed. Times
        how long it takes to start those that stay, and then the short ones."""
        def cpu():
            return sum(map(cpu_with_children, pids()))

        begin = time.monotonic()
        self.await_records(self.at_once, check)
        ready = time.monotonic()
        before = cpu()
        start = time.monotonic()
        self.gate.close()
        self.await_records(self.at_once + self.count, check)
        wall = time.monotonic() - start
        used = cpu() - before
        return {"rate": self.count / wall, "cpu": used / self.count,
                "filling": self.at_once / (ready - begin)}

    def close(self):
        self.gate.close()
        self.stay.close()


def with_program(words, tasks, environment):
    """Measures a program that reads the lines from standard input."""
    known = children_of(os.getpid())
    with open(tasks.lines, "rb") as lines:
        process = subprocess.Popen(
            words + tasks.command, stdin=lines, stdout=subprocess.DEVNULL,
            env=dict(os.environ, **environment))

    def check():
        if process.poll() is not None:
            raise RuntimeError(f"it has ended with {process.returncode}")

    try:
        told = tasks.measure(lambda: launchers(process.pid), check)
        tasks.close()
        if process.wait(LATEST) != 0:
            raise RuntimeError(f"it has ended with {process.returncode}")
        return told
    finally:
        tasks.close()
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        reap_orphans(known)


def with_raw(_options, tasks, environment):
    return with_program([c_program("raw_spawn"), "-l", str(tasks.at_once)], tasks,
                        environment)


def with_map(options, tasks, environment):
    return with_program([options.program, "map", "-j", str(tasks.at_once)], tasks,
                        environment)


def with_node(options, tasks, environment):
    """A node, started with the environment; its tasks get the lines."""
    settings = f"slots: {tasks.at_once}\nmost-running: {tasks.at_once + 1}\n"
    folder = tasks.records.parent / "node"
    known = children_of(os.getpid())
    try:
        with MeasuredNode(options.program, folder, settings, environment) as node:
            try:
                with open(tasks.lines, "rb") as lines:
                    node.troupe("submit", "--each-line", "-", "--", *tasks.command,
                                "{}", stdin=lines)

                def check():
                    if node.process.poll() is not None:
                        raise RuntimeError("the node has ended")

                told = tasks.measure(node.processes, check)
                tasks.close()
                node.wait(1)
                return told
            finally:
                tasks.close()
    finally:
        reap_orphans(known)


RIVALS = {"raw": with_raw, "troupe map": with_map, "troupe node": with_node}


def one(measure, options, staying, environment=None):
    """One measurement, in a folder of its own."""
    def work(folder):
        tasks = Tasks(folder, staying, options.n)
        try:
            return measure(options, tasks, environment or {})
        finally:
            tasks.close()
    return in_folder(work)


def show(results, title, burdens, samples, names):
    """The first burden is none. `samples` is of (burden, name)."""
    rows = []
    for name in names:
        none = samples[(burdens[0], name)]
        for burden in burdens:
            of = samples[(burden, name)]
            if None in of + none:
                rows.append([burden, name, *[None] * (len(COLUMNS) - 2)])
                continue
            rows.append([burden, name, median(of, "rate"), spread(of, "rate"),
                         ratio(of, none, "rate"), median(of, "cpu") * 1e6,
                         ratio(of, none, "cpu")])
            if name != "raw" and burden != burdens[0]:
                results.goal(f"{name}, rate with {burden} / {burdens[0]}",
                             ratio(of, none, "rate"), ">=", 0.8)
    results.table(title, COLUMNS, rows)


def by_running(results, options):
    limit = raise_open_files(FDS_EACH * max(options.running) + FDS_BESIDES)
    most = (limit - FDS_BESIDES) // FDS_EACH
    levels = sorted({min(level, most) for level in options.running})
    if most < max(options.running):
        results.note(f"Open descriptors are limited to {limit}, so no more than "
                     f"{most} commands ran at a time.")
    burdens = {f"{level:,} running": level for level in levels}
    failures = {}

    def attempt(burden, name):
        """None if it cannot have so many; it is not asked again then."""
        if (burden, name) not in failures:
            try:
                return one(RIVALS[name], options, burdens[burden])
            except (RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
                failures[(burden, name)] = error
        return None

    samples = take_turns(
        {(burden, name): lambda b=burden, n=name: attempt(b, n)
         for burden in burdens for name in RIVALS},
        options.rounds, "commands that run")
    for (burden, name), error in failures.items():
        results.note(f"{name} with {burden} failed: {error}")
    show(results, f"{options.n} short commands beside others that run",
         list(burdens), samples, RIVALS)
    last = list(burdens)[-1]
    results.goal("rivals that can have as many running as asked for",
                 len(RIVALS) - len({name for _, name in failures}), ">=",
                 len(RIVALS))
    results.table(f"Starting {last.split()[0]} that stay", ["rival", "/s", "range"], [
        [name, median(samples[(last, name)], "filling"),
         spread(samples[(last, name)], "filling")]
        for name in RIVALS if (last, name) not in failures])


def by_memory(results, options):
    burdens = {f"{mib:,} MiB": mib for mib in options.mib}
    names = {"raw": "raw_spawn", "troupe map": "troupe", "troupe node": "troupe"}

    def heavy(name, mib):
        # With one that stays a launcher is still there at the end, to be asked.
        return one(RIVALS[name], options, 1, {
            "LD_PRELOAD": c_program("ballast"), "BALLAST": f"{names[name]}:{mib}"})

    samples = take_turns(
        {(burden, name): lambda n=name, m=mib: heavy(n, m)
         for burden, mib in burdens.items() for name in names},
        options.rounds, "memory")
    show(results, "A program that has so much more memory", list(burdens), samples,
         names)


def measure_all(options):
    results = Results("scaling", "What does not get dearer", options)
    by_running(results, options)
    by_memory(results, options)
    results.note("Commands need no library (`bench/stamp.c`), so that most of what "
                 "they cost is the launcher's. The others that run wait for a "
                 f"FIFO; each has its launcher hold {FDS_EACH} descriptors.")
    results.note("CPU is that of the launcher and of the commands that ended in "
                 "that time.")
    results.note("Memory is taken before `main()`, by the process that decides "
                 "(`bench/ballast.c`); Troupe starts commands in another one.")
    results.finish()


def add_options(parser):
    parser.add_argument("-n", type=int, default=500,
                        help="short commands per measurement (%(default)s)")
    parser.add_argument("--running", type=numbers, default=[1, 100, 1000, 4000, 10000],
                        help="others that run (1,100,1000,4000,10000)")
    parser.add_argument("--mib", type=numbers, default=[0, 1024],
                        help="memory (0,1024)")


def main():
    options = options_of(__doc__, add_options)
    measure_all(options)


if __name__ == "__main__":
    main()
