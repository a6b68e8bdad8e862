#!/usr/bin/env python3
"""What a node does when more is submitted than it takes.

    bench/flood.py [--clients N] [--seconds S] [--limit N] [--program P]

In a folder of its own, a node with a queue of N tasks gets submissions from 64
clients at a time, each as fast as the answers come; now and then a job is
cancelled, so that some are accepted all the time. Another client asks for the
status of a job and notes how long that takes. Every answer must be 201, or 429
with a time to come back. At the end the node is killed, and the next one must
have all that was accepted. Prints a line per number; exits with 1 if anything is
wrong.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

from backlog import Node, show
from crash import ROOT, UnixConnection, kill


def submit(connection):
    """One submission; the status of the answer and its value."""
    connection.request("POST", "/v1/jobs", json.dumps(
        {"request_id": uuid.uuid4().hex,
         "command": {"words": ["true"], "cwd": "/"}}),
        {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def client(path, until, results):
    accepted, refused, wrong = [], 0, []
    connection = UnixConnection(path, 60)
    try:
        while time.monotonic() < until:
            status, value = submit(connection)
            if status == 201:
                accepted.append(value["job"])
            elif status == 429 and value["error"]["retry_after_ms"] > 0:
                refused += 1
            else:
                wrong.append(f"{status} {value}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        wrong.append(repr(error))
    results.put((accepted, refused, wrong))


def run(options, folder):
    node = Node(options.program, folder, f"queue-limit: {options.limit}\n")
    try:
        node.client.ask("POST", "/v1/node/hold")
        first = node.client.ask("POST", "/v1/jobs", {
            "request_id": "first", "command": {"words": ["true"]}})["job"]
        results = multiprocessing.Queue()
        until = time.monotonic() + options.seconds
        clients = [multiprocessing.Process(target=client,
                                           args=(node.socket, until, results))
                   for _ in range(options.clients)]
        for one in clients:
            one.start()
        waits, peak, cancelled = [], 0.0, set()
        while time.monotonic() < until:
            begin = time.monotonic()
            node.client.ask("GET", f"/v1/jobs/{first}")
            waits.append((time.monotonic() - begin) * 1000)
            peak = max(peak, node.rss_mib())
            if len(waits) % 5 == 0:
                job = node.client.ask("GET", "/v1/jobs?limit=1")["jobs"][0]["job"]
                if job != first:
                    node.client.ask("POST", f"/v1/jobs/{job}/cancel")
                    cancelled.add(job)
            time.sleep(0.002)
        answers = [results.get(timeout=60) for _ in clients]
        for one in clients:
            one.join()
        accepted = [job for jobs, _, _ in answers for job in jobs]
        wrong = [text for _, _, texts in answers for text in texts]
        refused = sum(count for _, count, _ in answers)
        kill(node.process.pid, 9)
        node.process.wait()
        node.start()
        there, before = set(), 0
        while True:
            page = node.client.ask(
                "GET", f"/v1/jobs?limit=1000&before={before}")["jobs"]
            there.update(job["job"] for job in page)
            if len(page) < 1000:
                break
            before = page[-1]["job"]
        wrong += [f"job {job} was accepted and is lost"
                  for job in accepted if job not in there]
        if len(set(accepted)) != len(accepted):
            wrong.append("a job was acknowledged twice")
        waits.sort()
        show(f"answers to {options.clients} clients",
             (len(accepted) + refused) / options.seconds, "/s")
        show("accepted", len(accepted))
        show("refused, with a time to come back", refused)
        show("status, p50", statistics.median(waits), "ms")
        show("status, p99", waits[int(len(waits) * 0.99)], "ms")
        show("status, slowest", waits[-1], "ms")
        show("memory of the node at most (RSS)", peak, "MiB")
        for text in wrong[:20]:
            print(f"WRONG: {text}")
        show("wrong", len(wrong))
        return 1 if wrong or not accepted or not refused else 0
    finally:
        node.process.terminate()
        node.process.wait(timeout=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--program",
                        default=os.environ.get(
                            "TROUPE", str(ROOT / "build/release/bin/troupe")))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="troupe-flood-"))
    try:
        sys.exit(run(options, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
