#!/usr/bin/env python3
"""What it costs to start Troupe, and to let a node wait.

    bench/theme_start.py [-n N] [--idle SECONDS] [--rounds R] [--program P]

Starts each program N times in a row, for each round. Then a node without work is
watched: its processor time and how often its threads wake up, with those of its
warden, which it has after the first command.
"""

import os
import shutil
import time

from measured_node import MeasuredNode, own_cpu, wakeups
from rivals import (Results, children_of, gnu_parallel, in_folder, median,
                    options_of, ratio, reap_orphans, spread, take_turns)

COLUMNS = ["command", "wall ms", "range", "of sh -c true", "CPU ms"]
SETTLING = 3.0      # Seconds after which a node has nothing more to do.


def programs(program):
    true, sh = shutil.which("true"), shutil.which("sh")
    found = {
        "true": [true],
        "sh -c true": [sh, "-c", "true"],
        "troupe version": [program, "version"],
        "troupe exec -- true": [program, "exec", "--", true],
        "troupe map true ::: 1": [program, "map", true, ":::", "1"],
    }
    parallel = gnu_parallel()
    if parallel:
        found["GNU parallel true ::: 1"] = [parallel, "--will-cite", true, ":::",
                                            "1"]
    return found


def start(words, count, folder):
    """{"wall": ms, "cpu": ms} of one start, in the mean of `count`."""
    null = os.open(os.devnull, os.O_RDWR)
    env = dict(os.environ, HOME=str(folder))
    known = children_of(os.getpid())
    cpu, begin = 0.0, time.monotonic()
    for _ in range(count):
        pid = os.posix_spawn(words[0], words, env, file_actions=[
            (os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)])
        _, status, usage = os.wait4(pid, 0)
        if status != 0:
            raise RuntimeError(f"{words}: status {status}")
        cpu += usage.ru_utime + usage.ru_stime
    wall = time.monotonic() - begin
    os.close(null)
    cpu += reap_orphans(known)
    return {"wall": wall / count * 1000, "cpu": cpu / count * 1000}


def measure_starts(results, options, folder):
    rivals = {name: lambda words=words: start(words, options.n, folder)
              for name, words in programs(options.program).items()}
    samples = take_turns(rivals, options.rounds, "starts")
    shell = samples["sh -c true"]
    results.table(f"{options.n} starts in a row, of each", COLUMNS, [
        [name, median(of, "wall"), spread(of, "wall"), ratio(of, shell, "wall"),
         median(of, "cpu")] for name, of in samples.items()])
    results.goal("wall, troupe exec -- true / sh -c true",
                 ratio(samples["troupe exec -- true"], shell, "wall"), "<=", 5.0)
    results.goal("CPU ms of troupe version",
                 median(samples["troupe version"], "cpu"), "<=", 5.0)


def watch(node, seconds):
    """CPU share and wake-ups per second of node and warden, doing nothing."""
    time.sleep(SETTLING)
    pids = node.processes()

    def now():
        return (time.monotonic(), sum(map(own_cpu, pids)), sum(map(wakeups, pids)))

    before = now()
    time.sleep(seconds)
    passed, cpu, woken = (after - first for after, first in zip(now(), before))
    return cpu / passed * 100, woken / passed


def measure_idle(results, options, folder):
    rows = []
    with MeasuredNode(options.program, folder / "node") as node:
        states = {"new": 0, "after 1,000 tasks": 1000}
        for state, tasks in states.items():
            if tasks:
                node.run([shutil.which("true")], array={"from": 1, "to": tasks})
            percent, woken = watch(node, options.idle)
            rows.append([state, percent, woken, node.rss_mib()])
            results.goal(f"CPU % of an idle node, {state}", percent, "<=", 0.1)
            results.goal(f"wake-ups per second of an idle node, {state}", woken,
                         "<=", 5.0)
    results.table(f"A node that does nothing, for {options.idle} s",
                  ["node", "CPU %", "wake-ups/s", "RSS MiB"], rows)


def measure(options, folder):
    results = Results("start", "Start, and a node at rest", options)
    measure_starts(results, options, folder)
    measure_idle(results, options, folder)
    results.note("CPU of a command is that of all processes that it starts. "
                 "Wake-ups are those of all threads of node and warden.")
    results.finish()


def add_options(parser):
    parser.add_argument("-n", type=int, default=50,
                        help="starts per measurement (%(default)s)")
    parser.add_argument("--idle", type=int, default=20,
                        help="seconds to watch a node at rest (%(default)s)")


def main():
    options = options_of(__doc__, add_options)
    in_folder(lambda folder: measure(options, folder))


if __name__ == "__main__":
    main()
