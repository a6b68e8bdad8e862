"""What the themes of bench/ share: rivals that take turns, and their results.

A theme (bench/theme_NAME.py) names its rivals, each a function that does some
work and returns numbers. `take_turns` runs them in rounds, each round in another
order, so that a busy moment of the machine hits all of them. What is compared
are medians of the rounds, and ratios within one round. `Results` prints tables
and goals, and writes them to NAME.json, of which bench/report.py makes the
sections of docs/benchmarks.md.
"""

import argparse
import ctypes
import datetime
import json
import math
import os
import platform
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build" / "bench" / "programs"

PR_SET_CHILD_SUBREAPER = 36
LATEST = 600    # Seconds after which a measurement is given up.

C_FLAGS = ["-O2", "-Wall", "-Wextra"]
C_PROGRAMS = {
    "raw_spawn": [],
    "pour": [],
    "stamp": ["-static", "-nostdlib", "-fno-stack-protector", "-fno-pie",
              "-no-pie"],
    "ballast": ["-shared", "-fPIC"],
}


# What is measured, and with what.

def c_program(name):
    """The path of bench/NAME.c, compiled if need be."""
    source = ROOT / "bench" / f"{name}.c"
    program = PROGRAMS / name
    if (not program.exists()
            or program.stat().st_mtime < source.stat().st_mtime):
        PROGRAMS.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", *C_FLAGS, *C_PROGRAMS[name], "-o", program,
                        source], check=True)
    return str(program)


def peer(name, *flavours):
    """The path of a program of others, or None and a note. With `flavours` what
    it says of its version begins with the first of them."""
    path = shutil.which(name)
    if path and flavours:
        said = subprocess.run([path, "--version"], capture_output=True,
                              text=True, check=False).stdout
        path = path if said.startswith(flavours) else None
    if path is None:
        print(f"note: {name} is not installed; it is left out", file=sys.stderr)
    return path


def gnu_parallel():
    return peer("parallel", "GNU parallel")


def options_of(doc, add=None, rounds=5):
    """The command line of a theme; `add(parser)` adds what only it has."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.environ.get(
        "TROUPE", str(ROOT / "build/release/bin/troupe")),
        help="default: $TROUPE, else build/release/bin/troupe")
    parser.add_argument("--rounds", type=int, default=rounds,
                        help="measurements of each rival (%(default)s)")
    parser.add_argument("--results", type=Path, default=ROOT / "build/bench",
                        help="folder for the JSON file (build/bench)")
    if add:
        add(parser)
    options = parser.parse_args()
    options.program = os.path.realpath(options.program)
    if not os.access(options.program, os.X_OK):
        parser.error(f"no program at {options.program}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def numbers(text):
    """Of `1,2,8`; for argparse."""
    return [int(word) for word in text.split(",")]


def in_folder(work):
    """Calls `work(folder)` with a new folder in $TMPDIR, which goes afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="troupe-bench-"))
    try:
        return work(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# Running a rival.

def adopt_orphans():
    """Processes whose parents have ended become our children, so that their
    processor time can be counted, too."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def text_of(path):
    """Nothing of what has just ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def threads_of(pid):
    try:
        return [Path(f"/proc/{pid}/task/{thread}")
                for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def children_of(pid):
    found = set()
    for thread in threads_of(pid):
        found.update(map(int, text_of(thread / "children").split()))
    return found


def reap_orphans(known, within=5.0):
    """Processor seconds of our children that are not `known`. Waits for them, and
    kills those that do not end."""
    seconds = 0.0
    deadline = time.monotonic() + within
    while orphans := children_of(os.getpid()) - known:
        for pid in orphans:
            try:
                ended, _, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if ended:
                seconds += usage.ru_utime + usage.ru_stime
            elif time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)
    return seconds


def run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=None,
        cwd=None):
    """Runs a program to its end: {"wall": s, "cpu": s} of it and of all that it
    has started. `stdin` and `stdout` may be paths."""
    known = children_of(os.getpid())
    source = open(stdin, "rb") if isinstance(stdin, Path) else stdin
    target = open(stdout, "wb") if isinstance(stdout, Path) else stdout
    with tempfile.TemporaryFile() as errors:
        begin = time.monotonic()
        process = subprocess.Popen(words, stdin=source, stdout=target,
                                   stderr=errors, env=env, cwd=cwd)
        status, usage = wait(process)
        wall = time.monotonic() - begin
        cpu = usage.ru_utime + usage.ru_stime + reap_orphans(known)
        errors.seek(0)
        said = errors.read()[-2000:].decode(errors="replace")
    for file in (source, target):
        if hasattr(file, "close"):
            file.close()
    if status != 0:
        sys.exit(f"{shlex.join(map(str, words))[:500]}: status {status}\n{said}")
    return {"wall": wall, "cpu": cpu}


def wait(process):
    """Its exit status and what it has used."""
    def give_up(_signal, _frame):
        process.kill()
        raise TimeoutError(f"{process.args[0]} did not end in {LATEST} s")
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LATEST)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def take_turns(rivals, rounds, say=None):
    """{name: [what its function returned, for each round]}."""
    samples = {name: [] for name in rivals}
    names = list(rivals)
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            samples[name].append(rivals[name]())
        if say and sys.stderr.isatty():
            print(f"{say}: round {turn + 1} of {rounds}", file=sys.stderr)
    return samples


# Comparing them.

def values(samples, key):
    return [sample[key] for sample in samples]


def median(samples, key):
    return statistics.median(values(samples, key))


def spread(samples, key):
    """Lowest to highest, as text."""
    of_key = values(samples, key)
    return f"{as_text(min(of_key))} to {as_text(max(of_key))}"


def ratio(samples, base, key):
    """The median of the ratios within each round."""
    return statistics.median(
        one / other if other else math.nan
        for one, other in zip(values(samples, key), values(base, key)))


def quantile(sorted_values, share):
    index = min(int(len(sorted_values) * share), len(sorted_values) - 1)
    return sorted_values[index]


# Telling.

def as_text(value):
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{round(value):,}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def as_markdown(columns, rows):
    """The lines of a table. A column is to the left if it holds only texts, and
    none of them begins with a digit."""
    cells = [[as_text(value) for value in row] for row in rows]
    is_left = [all(isinstance(row[i], str) and not row[i][:1].isdigit()
                   for row in rows) for i in range(len(columns))]
    widths = [max(3, *(len(line[i]) for line in [columns, *cells]))
              for i in range(len(columns))]

    def line(words):
        return "| " + " | ".join(
            word.ljust(width) if left else word.rjust(width)
            for word, width, left in zip(words, widths, is_left)) + " |"

    rule = "|" + "|".join("-" * (width + 2) if left else "-" * (width + 1) + ":"
                          for width, left in zip(widths, is_left)) + "|"
    return [line(columns), rule, *map(line, cells)]


GOAL_COLUMNS = ["goal", "is", "should be", "reached"]


def goal_rows(goals):
    return [[goal["what"], goal["is"], f'{goal["how"]} {as_text(goal["limit"])}',
             "yes" if goal["reached"] else "no"] for goal in goals]


def first_line_with(path, start):
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(start):
                return line
    except OSError:
        pass
    return ""


def machine():
    model = first_line_with("/proc/cpuinfo", "model name").partition(":")[2]
    name = first_line_with("/etc/os-release", "PRETTY_NAME").partition("=")[2]
    return {"processors": os.cpu_count(), "model": model.strip(),
            "kernel": platform.release(), "distribution": name.strip('"')}


def commit():
    try:
        return subprocess.run(
            ["git", "-C", ROOT, "describe", "--always", "--dirty"], check=True,
            capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def build_type(program):
    cache = Path(program).parent.parent / "CMakeCache.txt"
    kind = first_line_with(cache, "CMAKE_BUILD_TYPE:").partition("=")[2]
    return kind or "unknown"


def command_line():
    """As somebody at the top of the tree would type it."""
    def shorten(word):
        path = Path(word)
        if not path.is_absolute():
            return word
        return (str(path.relative_to(ROOT)) if path.is_relative_to(ROOT)
                else path.name)
    script = f"bench/{Path(sys.argv[0]).name}"
    return shlex.join([script, *map(shorten, sys.argv[1:])])


class Results:
    """What a theme has found; printed as it comes, and kept as a file."""

    def __init__(self, theme, title, options):
        self.path = options.results / f"{theme}.json"
        self.told = {
            "theme": theme, "title": title, "machine": machine(),
            "commit": commit(), "build": build_type(options.program),
            "date": datetime.date.today().isoformat(),
            "command_line": command_line(), "rounds": options.rounds,
            "tables": [], "notes": [], "goals": []}
        adopt_orphans()
        of = self.told["machine"]
        print(f'{title}: {of["processors"]} processors ({of["model"]}), Linux '
              f'{of["kernel"]}, {of["distribution"]}; commit '
              f'{self.told["commit"]}, {self.told["build"]} build; medians of '
              f'{options.rounds} rounds', flush=True)

    def table(self, title, columns, rows):
        self.told["tables"].append(
            {"title": title, "columns": columns, "rows": rows})
        print("", title, "", *as_markdown(columns, rows), sep="\n", flush=True)

    def note(self, text):
        self.told["notes"].append(text)

    def goal(self, what, value, how, limit):
        """`how` is ">=" or "<=". A goal is told, and fails nothing: a busy machine
        says little about the program."""
        reached = value >= limit if how == ">=" else value <= limit
        self.told["goals"].append({"what": what, "is": value, "how": how,
                                   "limit": limit, "reached": bool(reached)})

    def finish(self):
        if self.told["goals"]:
            print("", *as_markdown(GOAL_COLUMNS, goal_rows(self.told["goals"])),
                  sep="\n")
        if self.told["notes"]:
            print("", *(f"- {note}" for note in self.told["notes"]), sep="\n")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.told, indent=1) + "\n")
