#!/usr/bin/env python3
"""What running tasks takes beyond the tasks: of 0, 1, 10 and 100 ms.

    bench/theme_tasks.py [-n N] [-j J] [--durations MS,MS] [--rounds R] [--program P]

The protocol is that of HyperQueue's authors (many tasks of one length, the time
that all of them take), with the overhead over a bare launcher: `raw`
(bench/raw_spawn.c) runs the same N tasks, J at a time, captures what they write
and keeps nothing. A task is sleep(1), as there. Of long tasks there are fewer: so
many that the ideal, all places busy all the time, is five seconds.
"""

import shutil

from measured_node import MeasuredNode
from rivals import (Results, c_program, in_folder, median, numbers, options_of,
                    ratio, run, spread, take_turns)

COLUMNS = ["task", "tasks", "rival", "s", "range", "of raw", "CPU ms each"]
LONGEST = 5.0   # Seconds for the tasks alone.


class Rivals:
    def __init__(self, node, options, folder):
        self.node = node
        self.options = options
        self.folder = folder

    def count(self, duration):
        if duration == 0:
            return self.options.n
        fits = round(LONGEST * self.options.j / duration * 1000)
        return max(1, min(self.options.n, fits))

    def all(self, duration):
        count, places = self.count(duration), str(self.options.j)
        task = [shutil.which("sleep"), str(duration / 1000)]
        lines = self.folder / f"lines{duration}"
        lines.write_text(f"{task[-1]}\n" * count)
        return {
            "raw": lambda: run([c_program("raw_spawn"), str(count), places, *task]),
            "troupe map": lambda: run(
                [self.options.program, "map", "-j", places, *task[:-1]],
                stdin=lines),
            "troupe node": lambda: self.node.run(
                task, array={"from": 1, "to": count}),
        }


def measure(options, folder):
    results = Results("tasks", "Tasks of one length", options)
    rows = []
    with MeasuredNode(options.program, folder / "node",
                      f"slots: {options.j}\n") as node:
        rivals = Rivals(node, options, folder)
        for duration in options.durations:
            count = rivals.count(duration)
            samples = take_turns(rivals.all(duration), options.rounds,
                                 f"{duration} ms")
            for name, of in samples.items():
                over = ratio(of, samples["raw"], "wall")
                rows.append([f"{duration} ms", count, name, median(of, "wall"),
                             spread(of, "wall"), over,
                             median(of, "cpu") / count * 1000])
                if name != "raw":
                    results.goal(f"time, {name} / raw, tasks of {duration} ms",
                                 over, "<=", 1.05)
    results.table(f"-j {options.j}", COLUMNS, rows)
    results.note("`raw` (`bench/raw_spawn.c`) captures what is written and keeps "
                 "nothing. `map` keeps nothing either; the node has the tasks, as an "
                 "array, and their results on the disk.")
    results.finish()


def add_options(parser):
    parser.add_argument("-n", type=int, default=2000,
                        help="tasks at most (%(default)s)")
    parser.add_argument("-j", type=int, default=8,
                        help="how many at a time (%(default)s)")
    parser.add_argument("--durations", type=numbers, default=[0, 1, 10, 100],
                        help="of tasks, in ms (0,1,10,100)")


def main():
    options = options_of(__doc__, add_options)
    in_folder(lambda folder: measure(options, folder))


if __name__ == "__main__":
    main()
