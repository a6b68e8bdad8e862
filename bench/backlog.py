#!/usr/bin/env python3
"""What a node costs with a long queue: 1,000,000 tasks that wait.

    bench/backlog.py [--tasks N] [--jobs N] [--program P]

In a folder of its own, on the disk of $TMPDIR, a node that is paused gets an
array of N tasks by `troupe submit --array`, N lines by `--each-line`, and many
single jobs over HTTP. With that backlog it is asked to list, to show and to
cancel, 200 times each; it is killed and started again; and 500 jobs are added
to an empty queue and to the full one. Prints a line per number.
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crash import ROOT, UnixConnection, allow_root, kill

REPEATS = 200


class Client:
    """One connection that is kept."""

    def __init__(self, path):
        self.connection = UnixConnection(path, 60)
        self.connection.connect()

    def ask(self, method, target, body=None):
        text = None if body is None else json.dumps(body)
        headers = {} if text is None else {"Content-Type": "application/json"}
        self.connection.request(method, target, text, headers)
        answer = self.connection.getresponse()
        value = json.loads(answer.read() or b"null")
        if answer.status >= 300:
            raise RuntimeError(f"{method} {target}: {answer.status} {value}")
        return value


class Node:
    def __init__(self, program, folder, settings=""):
        self.program = program
        self.folder = folder
        self.socket = str(folder / "node.sock")
        self.config = folder / "troupe.yaml"
        self.config.write_text(allow_root(program) + settings)
        self.start()

    def start(self):
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [self.program, "node", "--config", str(self.config), "--folder",
             str(self.folder), "--socket", self.socket], stdin=subprocess.DEVNULL)
        while True:
            try:
                self.client = Client(self.socket)
                self.client.ask("GET", "/v1/node")
                return time.monotonic() - begin
            except (OSError, http.client.HTTPException):
                if self.process.poll() is not None:
                    sys.exit("the node did not come up")
                time.sleep(0.005)

    def rss_mib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def troupe(self, *words, **options):
        begin = time.monotonic()
        subprocess.run([self.program, words[0], "--socket", self.socket,
                        *words[1:]], check=True, stdout=subprocess.DEVNULL,
                       **options)
        return time.monotonic() - begin


def show(name, value, unit=""):
    print(f"{name:<44} {value:>10.1f} {unit}", flush=True)


def show_times(name, work):
    times = []
    for _ in range(REPEATS):
        begin = time.monotonic()
        work()
        times.append((time.monotonic() - begin) * 1000)
    times.sort()
    show(f"{name}, p50", statistics.median(times), "ms")
    show(f"{name}, p99", times[int(len(times) * 0.99)], "ms")


def job(number):
    return {"request_id": f"r{number}", "command": {"words": ["true"]}}


def add_500(node, first):
    begin = time.monotonic()
    for i in range(500):
        node.client.ask("POST", "/v1/jobs", job(first + i))
    return (time.monotonic() - begin) * 1000


def run(options, folder):
    node = Node(options.program, folder)
    try:
        node.client.ask("POST", "/v1/node/hold")
        show("500 jobs onto an empty queue", add_500(node, 0), "ms")
        show(f"submit --array 1-{options.tasks}", node.troupe(
            "submit", "--array", f"1-{options.tasks}", "--", "true", "{}"), "s")
        lines = b"".join(b"%d\n" % i for i in range(options.tasks))
        show(f"submit --each-line with {options.tasks} lines", node.troupe(
            "submit", "--each-line", "-", "--", "true", "{}", input=lines), "s")
        begin = time.monotonic()
        for i in range(options.jobs):
            node.client.ask("POST", "/v1/jobs", job(1_000_000 + i))
        show(f"{options.jobs} single jobs, one client",
             options.jobs / (time.monotonic() - begin), "jobs/s")
        show("500 jobs onto the full queue", add_500(node, 500), "ms")
        show_times("list (50 jobs)", lambda: node.client.ask("GET", "/v1/jobs"))
        show_times("status of the array",
                   lambda: node.client.ask("GET", "/v1/jobs/501"))
        numbers = iter(range(1, 500))
        show_times("cancel a job", lambda: node.client.ask(
            "POST", f"/v1/jobs/{next(numbers)}/cancel"))
        show("cancel the array", node.troupe("cancel", "501") * 1000, "ms")
        show("memory of the node (RSS)", node.rss_mib(), "MiB")
        kill(node.process.pid, 9)
        node.process.wait()
        show("start of the node with it", node.start(), "s")
        show("store on the disk", (folder / "store.db").stat().st_size / 2**20,
             "MiB")
    finally:
        node.process.terminate()
        node.process.wait(timeout=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--program",
                        default=os.environ.get(
                            "TROUPE", str(ROOT / "build/release/bin/troupe")))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="troupe-backlog-"))
    try:
        run(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
