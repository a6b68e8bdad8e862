#!/usr/bin/env python3
"""What a node costs without the commands, and what timers cost.

    bench/theme_engine.py [-n N,N,..] [--slots S] [--timers T] [--rounds R]
                          [--program P]

schedule_bench has the dispatcher and the store of a node work off an array of N
tasks whose commands end as soon as they start. The store is a file: in /dev/shm,
where nothing is ever synced, and on the disk of $TMPDIR, where each transaction
is. timer_bench arms T timers at once. Both stand beside the program.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from rivals import (Results, in_folder, median, numbers, options_of, spread,
                    take_turns)

COLUMNS = ["store", "tasks", "tasks/s", "range", "CPU us each", "memory MiB"]
TIMER_COLUMNS = ["timers", "CPU s", "late by p50 ms", "p99 ms", "max ms"]
NUMBER = re.compile(r"[\d.]+")


def told_by(words):
    return subprocess.run(words, check=True, capture_output=True, text=True,
                          timeout=600).stdout


def scheduled(program, folder, tasks, slots):
    """{"rate", "cpu", "mib"} of one run."""
    line = told_by([program, folder, str(tasks), str(slots)])
    _, _, rate, cpu, mib, *_ = map(float, NUMBER.findall(line.replace(",", "")))
    return {"rate": rate, "cpu": cpu, "mib": mib}


def waited(program, timers):
    """{what waits: {"cpu", "p50", "p99", "max"}}."""
    found = {}
    for line in told_by([program, str(timers)]).splitlines():
        what, _, rest = line.partition(f" {timers} timers: ")
        cpu, _, p50, _, p99, most = map(float, NUMBER.findall(rest))
        found[what.strip()] = {"cpu": cpu, "p50": p50, "p99": p99, "max": most}
    return found


def measure_schedule(results, options, folder):
    program = Path(options.program).parent / "schedule_bench"
    places = {"in memory": Path("/dev/shm"), "on disk": folder}
    rivals = {(where, tasks): lambda place=place, tasks=tasks: scheduled(
                  program, place, tasks, options.slots)
              for tasks in options.n for where, place in places.items()}
    samples = take_turns(rivals, options.rounds, "schedule")
    results.table(
        f"Tasks whose commands end at once, {options.slots} at a time", COLUMNS,
        [[where, tasks, median(of, "rate"), spread(of, "rate"), median(of, "cpu"),
          median(of, "mib")] for (where, tasks), of in samples.items()])
    few, many = min(options.n), max(options.n)
    for where, limit in (("in memory", 100_000), ("on disk", 50_000)):
        of = {tasks: samples[where, tasks] for tasks in options.n}
        rates = [median(of[tasks], "rate") for tasks in options.n]
        results.goal(f"tasks/s, {where}", max(rates), ">=", limit)
        results.goal(f"CPU us per task, {where}",
                     min(median(of[tasks], "cpu") for tasks in options.n), "<=", 10.0)
        if many > few:
            results.goal(f"rate of {many:,} tasks / of {few:,}, {where}",
                         median(of[many], "rate") / median(of[few], "rate"), ">=", 0.9)
            more = median(of[many], "mib") - median(of[few], "mib")
            results.goal(f"KiB per queued task, {where}",
                         max(more, 0.0) * 1024 / (many - few), "<=", 0.4)
    results.note("Memory is the most that the process had, whatever was queued.")


def measure_timers(results, options):
    program = Path(options.program).parent / "timer_bench"
    rounds = [waited(program, options.timers) for _ in range(options.rounds)]
    rows = []
    for what in rounds[0]:
        of = [one[what] for one in rounds]
        rows.append([what, *(median(of, key) for key in ("cpu", "p50", "p99", "max"))])
        results.goal(f"CPU s of {options.timers:,} timers, {what}",
                     median(of, "cpu"), "<=", 1.0)
        results.goal(f"ms late at most, {what}", median(of, "max"), "<=", 10.0)
    results.table(f"{options.timers:,} timers, armed at once, that end within 10 s",
                  TIMER_COLUMNS, rows)


def add_options(parser):
    parser.add_argument("-n", type=numbers, default=[10_000, 100_000, 1_000_000],
                        help="tasks (10000,100000,1000000)")
    parser.add_argument("--slots", type=int, default=1024,
                        help="tasks at a time (%(default)s)")
    parser.add_argument("--timers", type=int, default=100_000,
                        help="timers (%(default)s)")


def measure(options, folder):
    results = Results("engine", "The engine without commands", options)
    measure_schedule(results, options, folder)
    measure_timers(results, options)
    results.finish()


def main():
    options = options_of(__doc__, add_options, rounds=3)
    for name in ("schedule_bench", "timer_bench"):
        if not os.access(Path(options.program).parent / name, os.X_OK):
            sys.exit(f"theme_engine: no {name} beside {options.program}; build it "
                     f"with: cmake --build --preset release --target {name}")
    in_folder(lambda folder: measure(options, folder))


if __name__ == "__main__":
    main()
