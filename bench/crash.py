#!/usr/bin/env python3
"""Whether the node keeps what it promises while it is killed again and again.

    bench/crash.py [--minutes N] [--seed S] [--folder F] [--program P]
    bench/crash.py --lying-disk [--seed S] [--folder F] [--program P]

A node runs in a folder of its own. Several submitters hand in jobs and repeat
each request until it is answered. Meanwhile the node, its warden, or both are
killed with SIGKILL or stopped for a while, the disk is full for a moment, and
descriptors run out. A power cut kills all that runs, and takes back or tears
what the node has written and not synced, and output of the last seconds
(tests/support/volatile_disk.py; needs a C compiler). Commands are tracers: each
start and each end of one is a line in a file that nothing buffers, and what they
print is known. At the end all faults stop but for one more power cut, and a
checker compares what was acknowledged, what ran, and what was recorded:

  lost            acknowledged, and not there or not ended
  twice           more than one result of a task
  ran twice       what runs at most once, and did more often
  without end     recorded as a success, though its end was not written
  taken back      seen as ended once, and something else later
  output          other than what was printed, or less without a power cut
  orphans         processes of commands that are left

Prints how often each fault was injected, and how long after a kill the next
command starts. Exits with 1 if anything is wrong. Kills only what it has
started. Needs no root, but for the full disk (a tmpfs of its own).

With --lying-disk it is the checker that is on trial: the disk says that it has
synced and has not. Exits with 0 if the checker finds that jobs are lost.
"""

import argparse
import http.client
import json
import os
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "scripts")]

import volatile_disk  # noqa: E402
from node_as_root import allow_root  # noqa: E402

# The node and its commands have it in their environment, with the folder.
MARK = "TROUPE_CRASH_FOLDER"

TRACER = ('printf "S %s.%s.%s\\n" "$TROUPE_JOB" "$TROUPE_TASK" '
          '"$TROUPE_ATTEMPT" >> {trace}; seq {lines}; sleep {nap}; echo end; '
          'printf "E %s.%s.%s\\n" "$TROUPE_JOB" "$TROUPE_TASK" '
          '"$TROUPE_ATTEMPT" >> {trace}; exit {code}')


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("node", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Refused(Exception):
    """The node has answered, and the answer is no."""

    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


def fetch(path, method, target, body=None, timeout=5.0):
    """The bytes of the answer."""
    connection = UnixConnection(path, timeout)
    try:
        text = None if body is None else json.dumps(body)
        headers = {} if text is None else {"Content-Type": "application/json"}
        connection.request(method, target, text, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise Refused(answer.status, data.decode(errors="replace"))
        return data
    finally:
        connection.close()


def ask(path, method, target, body=None, timeout=5.0):
    data = fetch(path, method, target, body, timeout)
    return json.loads(data) if data else None


class Node:
    """The node under test, started again whenever it has ended."""

    def __init__(self, program, folder, log, disk=None):
        self.program = program
        self.disk = disk
        self.mark = {MARK: str(folder)}
        self.environment = os.environ | self.mark | (
            disk.environment() if disk else {})
        self.folder = folder
        self.socket = str(folder / "node.sock")
        self.log = log
        self.process = None
        self.config = folder / "troupe.yaml"
        self.config.write_text(allow_root(program) + "orphan-time: 2m\nslots: 4\n"
                               "disk-reserve: 1MiB\n")

    def start(self, *options):
        self.process = subprocess.Popen(
            [self.program, "node", "--config", str(self.config), "--folder",
             str(self.folder), "--socket", self.socket, *options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env=self.environment)

    def is_up(self):
        try:
            ask(self.socket, "GET", "/v1/node", timeout=1.0)
            return True
        except (OSError, http.client.HTTPException, Refused):
            return False

    def warden(self):
        try:
            pid = int((self.folder / "warden.lock").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return None
        return pid if name.startswith("troupe-warden") else None

    def keep_running(self):
        if self.process is None or self.process.poll() is not None:
            self.start()

    def await_up(self, within=30.0):
        deadline = time.monotonic() + within
        while not self.is_up():
            self.keep_running()
            if time.monotonic() > deadline:
                raise TimeoutError("the node does not come up")
            time.sleep(0.02)

    def processes(self):
        """The node, its warden and commands, without those that are zombies."""
        mark = f"{MARK}={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark in environment.split(b"\0"):
                found.append(int(entry.name))
        return found

    def kill_all(self):
        deadline = time.monotonic() + 30
        while found := self.processes():
            for pid in found:
                kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise TimeoutError(f"still there after SIGKILL: {found}")
        self.process.wait()

    def end(self, within=30.0):
        """Politely; whether it has ended."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=within)
            return True
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False


def kill(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


class Job:
    """What was acknowledged."""

    def __init__(self, name, tasks, delivery, lines):
        self.name = name
        self.tasks = tasks
        self.delivery = delivery
        self.output = b"".join(b"%d\n" % i for i in range(1, lines + 1)) + b"end\n"
        self.end = None         # What the node has told of it as it had ended,
        self.taken_back = None  # and what else it has told later.

    def look(self, node, number):
        """What the node says of it now."""
        info = ask(node.socket, "GET", f"/v1/jobs/{number}")
        told = {key: info[key] for key in ("name", "state", "ended", "counts")}
        if self.end is None and told["ended"]:
            self.end = told
        elif self.end not in (None, told):
            self.taken_back = told
        return told


class Submitter(threading.Thread):
    """Hands in jobs, each until it is acknowledged."""

    def __init__(self, node, trace, seed, stop):
        super().__init__(daemon=True)
        self.node = node
        self.trace = trace
        self.random = random.Random(seed)
        self.stop = stop
        self.acknowledged = {}  # number -> Job
        self.wrong = []
        self.repeats = 0

    def job(self):
        tasks = self.random.choice([1, 1, 1, 1, 3, 8])
        once = self.random.random() < 0.3
        # So many are compressed once the task has ended.
        lines = self.random.choice([1, 1, 1, 1, 1, 1, 1, 6000])
        script = TRACER.format(trace=self.trace,
                               nap=f"{self.random.random() * 0.2:.3f}",
                               lines=lines,
                               code=1 if self.random.random() < 0.1 else 0)
        name = uuid.UUID(int=self.random.getrandbits(128)).hex
        body = {"request_id": name, "name": name,
                "delivery": "at_most_once" if once else "at_least_once",
                "command": {"words": ["sh", "-c", script],
                            "env": {"PATH": "/usr/bin:/bin"} | self.node.mark,
                            "retries": self.random.choice([0, 1, 2]),
                            "retry_delay_ms": 50}}
        if tasks > 1:
            body["array"] = {"from": 1, "to": tasks}
            body["command"]["words"] = ["sh", "-c", script, "sh", "{}"]
        return body, Job(name, tasks, body["delivery"], lines)

    def look_back(self):
        """What is told of one of our jobs has to be true for ever."""
        number, job = self.random.choice(list(self.acknowledged.items()))
        try:
            job.look(self.node, number)
        except (OSError, http.client.HTTPException, ValueError, Refused):
            pass

    def submit(self):
        """Whether the next job was acknowledged, in the end."""
        body, job = self.job()
        while True:
            try:
                answer = ask(self.node.socket, "POST", "/v1/jobs", body)
                break
            except Refused as refused:
                if refused.status not in (429, 503, 500):
                    self.wrong.append(str(refused))
                    return False
            except (OSError, http.client.HTTPException, ValueError):
                pass
            self.repeats += 1
            time.sleep(0.05)
            if self.stop.is_set() and self.repeats > 10_000:
                return False
        number = answer["job"]
        if number in self.acknowledged:
            self.wrong.append(f"job {number} was acknowledged for two requests")
        self.acknowledged[number] = job
        return True

    def run(self):
        while not self.stop.is_set() and self.submit():
            self.look_back()
            time.sleep(self.random.random() * 0.5)


class Chaos:
    def __init__(self, node, seed, has_small_disk):
        self.node = node
        self.random = random.Random(seed)
        self.has_small_disk = has_small_disk
        self.counts = {}
        self.kills = []
        self.cuts = []  # volatile_disk.Cut

    def note(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def once(self):
        pid = self.node.process.pid
        warden = self.node.warden()
        what = self.random.choices(
            ["node", "warden", "both", "stop node", "stop warden", "term",
             "upgrade", "descriptors", "disk", "power cut"],
            [6, 3, 3, 2, 1, 2, 1, 1, 1 if self.has_small_disk else 0,
             5 if self.node.disk else 0])[0]
        if what == "node":
            kill(pid, signal.SIGKILL)
            self.kills.append(time.time())
        elif what == "warden" and warden:
            kill(warden, signal.SIGKILL)
            self.kills.append(time.time())
        elif what == "both" and warden:
            for victim in self.random.sample([pid, warden], 2):
                kill(victim, signal.SIGKILL)
            self.kills.append(time.time())
        elif what == "stop node":
            self.pause(pid)
        elif what == "stop warden" and warden:
            self.pause(warden)
        elif what == "term":
            kill(pid, signal.SIGTERM)
        elif what == "upgrade":
            self.upgrade()
        elif what == "descriptors":
            self.few_descriptors(pid)
        elif what == "disk":
            self.fill_disk()
        elif what == "power cut":
            self.cut_power()
        else:
            return
        self.note(what)

    def cut_power(self, kind=None):
        """In the middle of a transaction, mostly: the node is killed before one
        of the next changes of its files."""
        if kind is None and self.random.random() < 0.8:
            self.node.disk.control(steps=self.random.randint(1, 60))
            try:
                self.node.process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                pass
        self.kills.append(time.time())
        self.node.kill_all()
        self.node.disk.control()
        self.cuts.append(self.node.disk.cut_power(self.random, kind))

    def torn(self):
        """Attempts whose output is not all there, for a reason."""
        return {attempt_of(path) for cut in self.cuts for path in cut.torn}

    def pause(self, pid):
        if kill(pid, signal.SIGSTOP):
            time.sleep(self.random.random() * 3)
            kill(pid, signal.SIGCONT)

    def upgrade(self):
        old = self.node.process
        self.node.start("--upgrade")
        try:
            old.wait(timeout=20)
        except subprocess.TimeoutExpired:
            kill(old.pid, signal.SIGKILL)
            old.wait()

    def few_descriptors(self, pid):
        try:
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            open_now = len(os.listdir(f"/proc/{pid}/fd"))
            resource.prlimit(pid, resource.RLIMIT_NOFILE,
                             (open_now, before[1]))
            time.sleep(1)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        except (OSError, ProcessLookupError):
            pass

    def fill_disk(self):
        filler = self.node.folder / "filler"
        try:
            with open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 65536)
        except OSError:
            pass
        time.sleep(1)
        filler.unlink(missing_ok=True)


def attempt_of(record):
    """(job, task, attempt) of the file output/0/JOB/[0k/]TASK.ATTEMPT[.zst]."""
    below = record.parts[len(record.parts) -
                         record.parts[::-1].index("output"):]
    task, attempt = record.name.split(".")[:2]
    return int(below[1]), int(task), int(attempt)


def read_trace(trace):
    starts, ends = {}, set()
    if not trace.exists():
        return starts, ends
    for line in trace.read_text().splitlines():
        kind, _, name = line.partition(" ")
        job, task, attempt = name.split(".")
        if kind == "S":
            starts.setdefault((int(job), int(task)), []).append(int(attempt))
        else:
            ends.add((int(job), int(task), int(attempt)))
    return starts, ends


def drain(node, jobs, limit):
    """Waits until all that was acknowledged has ended, but not for longer than
    `limit` without any end; what has not. What is not there is not waited for."""
    deadline = time.monotonic() + limit
    open_jobs = dict(jobs)
    while open_jobs and time.monotonic() < deadline:
        node.keep_running()
        for number, job in list(open_jobs.items()):
            try:
                if job.look(node, number)["ended"]:
                    del open_jobs[number]
                    deadline = time.monotonic() + limit
            except Refused as refused:
                if refused.status == 404:
                    del open_jobs[number]
            except (OSError, http.client.HTTPException):
                time.sleep(0.2)
                break
        time.sleep(0.1)
    return open_jobs


def results_of(node, job):
    found, start = [], 0
    while True:
        page = ask(node.socket, "GET",
                   f"/v1/jobs/{job}/tasks?from={start}&limit=1000")["tasks"]
        found += page
        if len(page) < 1000:
            return found
        start = page[-1]["task"] + 1


def check(node, acknowledged, trace, torn=frozenset()):
    """Everything that is not as it was promised, in words."""
    wrong = []
    starts, ends = read_trace(trace)
    for number, job in sorted(acknowledged.items()):
        try:
            told = job.look(node, number)
            results = results_of(node, number)
        except Refused as refused:
            wrong.append(f"lost: job {number}: {refused}")
            continue
        if told["name"] != job.name:
            wrong.append(f"lost: job {number} is another one now: {told}")
            continue
        if job.taken_back:
            wrong.append(f"taken back: job {number}: first {job.end}, then "
                         f"{job.taken_back}")
        indices = [result["task"] for result in results]
        if sorted(indices) != list(range(job.tasks)):
            wrong.append(f"lost or twice: job {number} has results of {indices}, "
                         f"not of {job.tasks} tasks")
        for result in results:
            wrong += check_result(job, (number, result["task"]), result, starts,
                                  ends)
            wrong += check_output(node, job, (number, result["task"]), result,
                                  torn)
    return wrong


def check_result(job, task, result, starts, ends):
    wrong = []
    if job.delivery == "at_most_once" and len(starts.get(task, [])) > 1:
        wrong.append(f"ran twice: {task}: {starts[task]}")
    if result["outcome"] == "success" and \
            task + (result["attempt"],) not in ends:
        wrong.append(f"without end: {task}: {result}")
    # What runs at most once cannot wait again when a node ends.
    is_interrupted = job.delivery == "at_most_once" and "wall_ms" in result
    if result["outcome"] == "cancelled" and not is_interrupted:
        wrong.append(f"cancelled by nobody: {task}: {result}")
    if result["outcome"] in ("success", "failed") and \
            result["attempt"] not in starts.get(task, []):
        wrong.append(f"recorded but never ran: {task}: {result}")
    return wrong


def check_output(node, job, task, result, torn):
    """What is there of the output of each attempt is what it has printed, from
    the beginning; all of it if it has ended by itself and no power was cut."""
    wrong = []
    for attempt in range(1, result["attempt"] + 1):
        log = f"/v1/jobs/{task[0]}/tasks/{task[1]}/log?attempt={attempt}"
        is_torn = task + (attempt,) in torn
        try:
            output = fetch(node.socket, "GET", log)
            if is_torn:
                # However it is asked for.
                for how in ("follow=true", "tail=2", "format=record"):
                    fetch(node.socket, "GET", f"{log}&{how}")
        except (OSError, http.client.HTTPException, Refused) as error:
            wrong.append(f"output: {log}: {error!r}")
            continue
        if is_torn:
            output = output.rstrip(b"\0")  # Sectors that were not written.
        is_whole = attempt == result["attempt"] and not is_torn and \
            result["outcome"] in ("success", "failed") and \
            "unrecorded_bytes" not in result
        if not job.output.startswith(output) or \
                (is_whole and output != job.output):
            wrong.append(f"output: {log}: {len(output)} bytes, ending in "
                         f"{output[-30:]}, not {len(job.output)}: {result}")
    return wrong


def first_starts_after(kills, starts_at):
    """How long after each kill something started."""
    gaps = []
    for moment in kills:
        later = [at for at in starts_at if at > moment]
        if later:
            gaps.append(min(later) - moment)
    return sorted(gaps)


class StartClock(threading.Thread):
    """Notes when a command starts."""

    def __init__(self, trace, stop):
        super().__init__(daemon=True)
        self.trace = trace
        self.stop = stop
        self.moments = []

    def run(self):
        size = 0
        while not self.stop.is_set():
            try:
                with open(self.trace, "rb") as file:
                    file.seek(size)
                    news = file.read()
            except OSError:
                news = b""
            if b"S " in news:
                self.moments.append(time.time())
            size += len(news)
            time.sleep(0.002)


def disk_for(folder, state):
    """None if it cannot be built here."""
    try:
        return volatile_disk.VolatileDisk(
            state, volatile_disk.build_library(folder))
    except FileNotFoundError:
        print("no power cuts: there is no C compiler (cc)")
        return None


def run(options, folder):
    """What is wrong."""
    state = folder / "node"
    state.mkdir(parents=True, exist_ok=True)
    small_disk = options.folder is None and os.geteuid() == 0 and \
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m",
                        "troupe-crash", str(state)],
                       check=False).returncode == 0
    try:
        with open(folder / "log", "wb") as log:
            node = Node(options.program, state, log, disk_for(folder, state))
            try:
                return storm(options, node, folder / "trace", small_disk)
            finally:
                node.kill_all()
    finally:
        if small_disk:
            subprocess.run(["umount", "-l", str(state)], check=False)


def storm(options, node, trace, small_disk):
    stop, stop_clock = threading.Event(), threading.Event()
    node.start()
    clock = StartClock(trace, stop_clock)
    clock.start()
    submitters = [Submitter(node, trace, options.seed * 100 + i, stop)
                  for i in range(4)]
    for submitter in submitters:
        submitter.start()
    chaos = Chaos(node, options.seed, small_disk)
    deadline = time.monotonic() + options.minutes * 60
    while time.monotonic() < deadline:
        node.keep_running()
        time.sleep(chaos.random.random() * 1.5)
        chaos.once()
    stop.set()
    wrong = await_answers(node, submitters)
    stop_clock.set()
    acknowledged = {}
    for submitter in submitters:
        wrong += [f"job {number} was acknowledged for two requests"
                  for number in submitter.acknowledged if number in acknowledged]
        acknowledged.update(submitter.acknowledged)
        wrong += submitter.wrong
    stuck = drain(node, acknowledged, options.drain)
    wrong += [f"lost: job {number} has not ended" for number in stuck]
    if not stuck:
        if node.disk:
            chaos.cut_power(volatile_disk.NOTHING)
            chaos.note("power cut")
        node.await_up()
        wrong += check(node, acknowledged, trace, chaos.torn())
    if not node.end():
        wrong.append("the node did not end")
    wrong += [f"orphan: {pid}" for pid in node.processes()]
    report(chaos, acknowledged, submitters, clock, wrong)
    return wrong


def await_answers(node, submitters):
    deadline = time.monotonic() + 60
    for submitter in submitters:
        while submitter.is_alive() and time.monotonic() < deadline:
            node.keep_running()
            submitter.join(timeout=0.1)
    return ["a submitter never got an answer"
            for submitter in submitters if submitter.is_alive()]


def report(chaos, acknowledged, submitters, clock, wrong):
    tasks = sum(job.tasks for job in acknowledged.values())
    print(f"jobs acknowledged   {len(acknowledged)} with {tasks} tasks; "
          f"{sum(s.repeats for s in submitters)} requests repeated")
    print("faults              " + ", ".join(
        f"{name} {count}" for name, count in sorted(chaos.counts.items())))
    if chaos.cuts:
        print(f"at power cuts       "
              f"{sum(cut.unsynced for cut in chaos.cuts)} changes not synced, in "
              f"{sum(cut.unsynced > 0 for cut in chaos.cuts)} of "
              f"{len(chaos.cuts)}; {len(chaos.torn())} outputs torn")
    gaps = first_starts_after(chaos.kills, clock.moments)
    if gaps:
        print(f"kill to next start  p50 {statistics.median(gaps) * 1000:.0f} ms,"
              f" p99 {gaps[int(len(gaps) * 0.99)] * 1000:.0f} ms, "
              f"worst {gaps[-1] * 1000:.0f} ms")
    for line in wrong[:50]:
        print(f"WRONG: {line}")
    print("wrong               " + str(len(wrong)))


LYING_ROUNDS = 10


def find_losses(options, folder):
    """What the checker says of a disk that says `synced` and has not; nothing if
    it is blind. Each round begins with another disk; on the last one certainly
    nothing is left."""
    for number in range(LYING_ROUNDS):
        kind = volatile_disk.NOTHING if number == LYING_ROUNDS - 1 else None
        state = folder / f"node-{number}"
        trace = folder / f"trace-{number}"
        state.mkdir(parents=True)
        with open(folder / "log", "ab") as log:
            node = Node(options.program, state, log, disk_for(folder, state))
            try:
                found = lose_jobs(node, trace, options.seed + number, kind)
            finally:
                node.kill_all()
        print(f"round {number + 1}: " + (found[0] if found else "nothing found"))
        if found:
            return found
    return []


def lose_jobs(node, trace, seed, kind):
    if node.disk is None:
        return []
    node.start()
    node.await_up()
    submitter = Submitter(node, trace, seed, threading.Event())
    node.disk.control(lies=True)
    for _ in range(10):
        submitter.submit()
    node.kill_all()
    node.disk.control()
    cut = node.disk.cut_power(random.Random(seed), kind)
    print(f"{len(submitter.acknowledged)} jobs acknowledged, {cut.unsynced} "
          f"changes not synced; on the disk: {cut.kind}")
    node.start()
    while not node.is_up():
        if node.process.poll() is not None:
            # The database is damaged, which says nothing of the checker.
            return []
        time.sleep(0.02)
    return [wrong for wrong in check(node, submitter.acknowledged, trace)
            if wrong.startswith("lost: ")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder")
    parser.add_argument("--lying-disk", action="store_true",
                        help="whether the checker finds what such a disk loses")
    parser.add_argument("--drain", type=float, default=120.0,
                        help="seconds without an end of a job, at the end")
    parser.add_argument("--program",
                        default=os.environ.get(
                            "TROUPE", str(ROOT / "build/release/bin/troupe")))
    options = parser.parse_args()
    if not os.access(options.program, os.X_OK):
        sys.exit(f"no program at {options.program}; build it first")
    folder = Path(options.folder or tempfile.mkdtemp(prefix="troupe-crash-"))
    folder.mkdir(parents=True, exist_ok=True)
    if options.lying_disk:
        has_passed = bool(find_losses(options, folder))
        print("the checker finds what is lost" if has_passed else
              "WRONG: the checker finds nothing lost")
    else:
        has_passed = not run(options, folder)
    if has_passed:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept for you to look at: {folder}")
    sys.exit(0 if has_passed else 1)


if __name__ == "__main__":
    main()
