#!/usr/bin/env python3
"""Whether a cluster keeps what it promises while everything around it breaks.

    bench/chaos [--minutes N] [--seed S] [--nodes N] [--longest S] [--faults KINDS]
                [--plain] [--folder F] [--keep] [--program P]

Real nodes share a real PostgreSQL server, as scripts/local_cluster.sh starts them:
as root each in a network namespace of its own, else with relays before the server.
Submitters hand in jobs, each request again and again, and at any node, until it is
acknowledged. Meanwhile nodes, wardens, whole hosts and the server are killed,
stopped, cut off (also one way only), drained, ended, and a disk is full. Commands
are tracers (tracer.sh), so it is known what has run. At the end all faults stop,
and a checker compares what was acknowledged, what ran and what is in the store:

  lost            acknowledged, and not there, not ended, or not run
  twice           two jobs of one request
  recorded twice  a result that was there and has changed
  taken back      a node has said that a job had ended, and one says something else
  too early       a job began before the one that it needs had ended
  ran twice       what runs at most once, and did more often
  other result    than what a command that has ended says
  overlap         two attempts of a task at the same time
  late start      a command of a session that had ended
  orphan          a process of a session that had ended, or of a node that has

Overlaps and late starts are excused if the warden of the earlier session was
stopped, or the machine stood still: then there is nobody who could have ended it in
time; they are counted. Exits with 1 if anything is wrong, and prints the seed. The
same seed does the same things in the same order; moments depend on the machine.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

# pylint: disable=wrong-import-position
from checker import (AT_LEAST_ONCE, AT_MOST_ONCE, RUN_JOBS, Checker,  # noqa: E402
                     History, JobRow, Recorded, RunRow, Submitted, parse_trace,
                     percentile)
from local_cluster import (NO_ANSWER, LocalCluster, Refused, Trouble,  # noqa: E402
                           born, is_of, marks, run, server_programs)
from nemesis import FAULTS, Nemesis, boot_now  # noqa: E402
from relay import Relay  # noqa: E402

SMALL_DISK = "128m"
MOST_WAITING = 60    # Tasks; more than that tell nothing new.
# A process that is killed takes a moment to be gone, and to be found.
ORPHAN_GRACE = 2.0
NO_PROGRESS = 300.0  # Seconds without any end of a job, when all faults are over.


class Submitter(threading.Thread):
    """Hands in jobs, each until it is acknowledged."""

    def __init__(self, chaos, seed):
        super().__init__(daemon=True)
        self.chaos = chaos
        self.random = random.Random(seed)
        self.repeats = 0
        self.wrong = []

    def job(self):
        once = self.random.random() < 0.4
        code = 3 if self.random.random() < 0.1 else 0
        # Half are short; the others are there when something happens, and some
        # still when another node has taken over.
        nap = self.random.random() * self.random.choice([0.5] * 5 + [15] * 4 + [45])
        submitted = Submitted(0, uuid.UUID(int=self.random.getrandbits(128)).hex,
                              self.random.choice([1, 1, 1, 2, 3, 6]),
                              AT_MOST_ONCE if once else AT_LEAST_ONCE,
                              self.random.choice([0, 1]), code)
        child = "child" if self.random.random() < 0.2 else "none"
        body = {"request_id": submitted.name, "name": submitted.name,
                "delivery": submitted.delivery,
                "command": {"words": [str(self.chaos.tracer), str(self.chaos.trace),
                                      f"{nap:.2f}", str(code), child],
                            "cwd": "/", "retries": submitted.retries,
                            "retry_delay_ms": 50}}
        which = self.random.random()
        if which < 0.15:
            body["key"] = self.random.choice(["north", "south"])
        elif which < 0.3 and (known := self.chaos.some_job(self.random)):
            submitted.after = known.number
            body["needs"] = [{"job": known.number, "when": "finished"}]
        elif which < 0.4:
            body["delay_ms"] = self.random.randrange(5000)
        if submitted.tasks > 1:
            body["array"] = {"from": 1, "to": submitted.tasks}
            body["command"]["words"].append("{}")
        return body, submitted

    def workflow(self):
        """A chain of jobs; and what the acknowledgement is of."""
        name = uuid.UUID(int=self.random.getrandbits(128)).hex
        text = f"name: {name}\njobs:\n"
        for job, needs in zip(RUN_JOBS, (None, *RUN_JOBS)):
            text += f"  {job}:\n" + (f"    needs: [{needs}]\n" if needs else "")
            text += (f"    run: TROUPE_JOB={name} TROUPE_TASK={job} "
                     f"{self.chaos.tracer} {self.chaos.trace} "
                     f"{self.random.random() * 4:.2f} 0 none\n")
        return {"request_id": name, "file": "chaos.yaml", "text": text, "cwd": "/",
                "env": {"PATH": "/usr/bin:/bin"}}, name

    def submit(self):
        if self.random.random() < 0.1:
            self.hand_in("/v1/runs", *self.workflow())
        else:
            self.hand_in("/v1/jobs", *self.job())

    def hand_in(self, target, body, submitted):
        while not self.chaos.is_over.is_set():
            member = self.random.choice(list(self.chaos.cluster.members.values()))
            try:
                answer = member.ask("POST", target, body, timeout=8.0)
            except Refused as refused:
                if refused.status not in (429, 500, 503):
                    self.wrong.append(f"refused: a submission: {refused}")
                    return
            except NO_ANSWER:
                pass
            else:
                if target == "/v1/runs":
                    self.chaos.history.acknowledged_runs[answer["run"]] = submitted
                    return
                submitted.number = answer["job"]
                self.chaos.acknowledge(submitted)
                return
            self.repeats += 1
            self.chaos.is_over.wait(0.2)

    def cancel(self):
        """One that was submitted lately."""
        member = self.random.choice(list(self.chaos.cluster.members.values()))
        job = self.chaos.some_job(self.random)
        if job is None:
            return
        job.is_cancelled = True  # Also if the answer is lost.
        try:
            member.ask("POST", f"/v1/jobs/{job.number}/cancel")
        except (*NO_ANSWER, Refused):
            pass

    def run(self):
        while not self.chaos.is_over.is_set():
            if self.chaos.waiting < MOST_WAITING:
                self.submit()
            if self.random.random() < 0.03:
                self.cancel()
            self.chaos.is_over.wait(self.random.random() * 0.8)


class Reader(threading.Thread):
    """Asks any node of any job: what was said of an end has to be true for ever."""

    def __init__(self, chaos, seed):
        super().__init__(daemon=True)
        self.chaos = chaos
        self.random = random.Random(seed)
        self.told = {}    # number -> what was said of its end
        self.answers = 0

    def look(self, number, member):
        try:
            info = member.ask("GET", f"/v1/jobs/{number}")
        except Refused as refused:
            if refused.status == 404:
                self.chaos.history.wrong.append(
                    f"lost: {member.name} does not know of job {number}")
            return
        except NO_ANSWER:
            return
        self.answers += 1
        told = {key: info[key] for key in ("state", "ended", "counts")}
        if not told["ended"] and number not in self.told:
            return
        if self.told.setdefault(number, told) != told:
            self.chaos.history.wrong.append(
                f"taken back: job {number}: first {self.told[number]}, then {told} by "
                f"{member.name} at {boot_now():.2f}")

    def run(self):
        while not self.chaos.is_over.is_set():
            job = self.chaos.some_job(self.random)
            if job is not None:
                self.look(job.number, self.random.choice(
                    list(self.chaos.cluster.members.values())))
            self.chaos.is_over.wait(0.1)


class Watch(threading.Thread):
    """Looks at the store and at the processes of this machine all the time."""

    def __init__(self, chaos):
        super().__init__(daemon=True)
        self.chaos = chaos
        self.history = chaos.history
        self.is_over = threading.Event()
        self.seen = {}        # (job, task) -> Recorded
        self.newest = 0
        self.suspects = {}    # (pid, born) -> when it was first found
        self.reported = set()
        self.sessions = {}    # session -> whether it is open
        self.evictions = 0

    def run(self):
        while not self.is_over.wait(0.5):
            try:
                self.look_at_store()
            except Trouble:
                pass  # It is gone for a moment, as it is to be.
            self.look_for_orphans()
            self.keep_nodes()

    def look_at_store(self):
        query = self.chaos.cluster.server.query
        began = boot_now()
        for line in query("SELECT convert_from(id,'UTF8'), open FROM troupe.session",
                          5).splitlines():
            session, is_open = line.split("|")
            self.sessions[session] = is_open != "0"
            if is_open == "0":
                # It had ended by the time of the answer.
                self.history.ended_sessions.setdefault(session, boot_now())
        self.chaos.waiting = int(query(
            "SELECT coalesce(sum(n_waiting+n_retrying),0) FROM troupe.job WHERE "
            "ended IS NULL", 5))
        for task, row in read_results(query, "WHERE at >= "
                                      f"{self.newest - 120_000_000_000}").items():
            known = self.seen.setdefault(task, row)
            if known != row:
                self.history.changed.append(f"task {task}: {known}, then {row}")
        newest = query("SELECT coalesce(max(at),0) FROM troupe.result", 5)
        self.newest = int(newest)
        self.last = boot_now() - began

    def look_for_orphans(self):
        """Processes of sessions that have ended. A host that has lost its warden
        has nobody to end them until its next node is up."""
        now = boot_now()
        down = {member.name for member in self.chaos.cluster.members.values()
                if not member.warden()}
        ended = set(self.history.ended_sessions)
        found = {}
        for pid, mark in marks().items():
            for part in mark.split("/"):
                session = part.split(".")[0]
                if session in ended and \
                        self.chaos.home_of.get(session) not in down:
                    found[(pid, born(pid))] = (session, mark)
        self.suspects = {one: self.suspects.get(one, now) for one in found}
        for one, since in self.suspects.items():
            session, mark = found[one]
            if one[1] is None or now - since < ORPHAN_GRACE or one in self.reported:
                continue
            self.reported.add(one)
            words = Path(f"/proc/{one[0]}/cmdline")
            try:
                text = words.read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            report = f"process {one[0]} ({text}, {mark}) at {now}"
            if Checker(self.history).excuse(session, now) or \
                    self.chaos.is_stopped(session):
                self.chaos.excused_orphans.append(report)
            else:
                self.history.orphans.append(report)

    def keep_nodes(self):
        """Who is there: sessions by host; and who has ended by itself begins anew."""
        for member in self.chaos.cluster.members.values():
            session = member.session()
            if session:
                self.chaos.home_of[session] = member.name
            if not self.chaos.nemesis.is_busy(member.name) and not member.pid():
                self.chaos.unexpected.append(
                    f"{boot_now():.2f} {member.name}: {member.last_words()}")
                member.start()


class Stalls:
    """When this machine does not let anybody run for a while: seen by a process of
    its own, since threads of this one wait for each other."""

    SCRIPT = """
import os, time
now = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
before = now()
while os.getppid() == PARENT:
    time.sleep(0.05)
    if now() - before > 0.2:
        print(now(), now() - before, flush=True)
    before = now()
"""

    def __init__(self):
        script = self.SCRIPT.replace("PARENT", str(os.getpid()))
        self.process = subprocess.Popen([sys.executable, "-c", script], text=True,
                                        stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE)

    def end(self):
        """(when it went on, seconds), in order."""
        self.process.kill()
        out, _ = self.process.communicate()
        return [tuple(map(float, line.split())) for line in out.splitlines()
                if line.count(" ") == 1]


def read_results(query, where=""):
    found = {}
    for line in query("SELECT job, idx, attempt, convert_from(session,'UTF8'), outcome,"
                      f" coalesce(status,0) FROM troupe.result {where}").splitlines():
        job, index, attempt, session, outcome, status = line.split("|")
        found[(int(job), int(index))] = Recorded(int(attempt), session, int(outcome),
                                                 int(status))
    return found


class Chaos:
    def __init__(self, options):
        self.options = options
        self.history = History()
        self.is_over = threading.Event()
        self.waiting = 0
        self.home_of = {}      # session -> name of the node
        self.unexpected = []   # Nodes that have ended by themselves.
        self.excused_orphans = []
        self.lock = threading.Lock()
        self.mounts = []
        self.relays = {}
        self.folder = Path(options.folder or tempfile.mkdtemp(prefix="troupe-chaos-"))
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o711)
        self.trace = self.folder / "trace"
        self.trace.mkdir()
        # Of its own, so that the tree may change meanwhile.
        self.tracer = shutil.copy(HERE / "tracer.sh", self.folder)
        self.cluster = LocalCluster(self.folder / "c", Path(options.program).resolve(),
                                    slots=4, plain=options.plain)
        self.cluster.settings = "disk-reserve: 1MiB\n"
        self.nemesis = None

    def acknowledge(self, submitted):
        with self.lock:
            known = self.history.acknowledged.setdefault(submitted.number, submitted)
        if known is not submitted:
            self.history.wrong.append(
                f"twice: job {submitted.number} was acknowledged for two requests")

    def some_job(self, chance):
        """That was acknowledged, one of the last ones mostly."""
        with self.lock:
            numbers = list(self.history.acknowledged)
        if not numbers:
            return None
        if chance.random() < 0.7:
            numbers = numbers[-10:]
        return self.history.acknowledged[chance.choice(numbers)]

    def is_stopped(self, session):
        """Its warden, now."""
        name = self.home_of.get(session)
        warden = self.cluster.members[name].warden() if name else None
        if not warden:
            return False
        fields = Path(f"/proc/{warden}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0] == b"T"

    # Beginning and ending.

    def begin(self, seed):
        if not self.cluster.has_network:
            self.cluster.store_folder = lambda member: \
                self.cluster.folder / f"to-{member.name}"
        self.cluster.create(self.options.nodes)
        socket = self.cluster.server.folder / ".s.PGSQL.5432"
        if not self.cluster.has_network:
            for member in self.cluster.members.values():
                self.relays[member.name] = Relay(
                    self.cluster.store_folder(member), socket)
        disks = {}
        if os.geteuid() == 0:
            member = list(self.cluster.members.values())[-1]
            member.folder.mkdir(mode=0o700)
            try:
                run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK},mode=0700",
                     "troupe-chaos", member.folder])
                self.mounts.append(member.folder)
                disks[member.name] = member.folder
            except Trouble:
                pass  # Not every root may.
        self.cluster.start()
        self.nemesis = Nemesis(self.cluster, self.history, random.Random(seed),
                               self.options.longest, disks, self.relays,
                               self.options.faults.split(","))

    def break_things(self, seconds, seed):
        watch, stalls = Watch(self), Stalls()
        submitters = [Submitter(self, seed * 1000 + number) for number in range(3)]
        reader = Reader(self, seed * 1000 + 999)
        for thread in (watch, reader, *submitters):
            thread.start()
        self.nemesis.start()
        try:
            self.go_on(seconds)
            self.is_over.set()
            self.nemesis.finish()
            for thread in (reader, *submitters):
                thread.join(30)
            began = boot_now()
            self.drain()
            self.drained_after = boot_now() - began
        finally:
            watch.is_over.set()
            watch.join(30)
            self.history.stalls = stalls.end()
        for number in self.history.acknowledged:
            reader.look(number, self.cluster.members["n1"])
        self.answers = reader.answers
        self.repeats = sum(submitter.repeats for submitter in submitters)
        self.history.wrong += [text for one in submitters for text in one.wrong]

    def go_on(self, seconds):
        """While all of it goes on."""
        time.sleep(seconds)

    def drain(self):
        """All faults are over: everything that there is ends."""
        query = self.cluster.server.query
        last, deadline = None, time.monotonic() + NO_PROGRESS
        while True:
            left = query("SELECT count(*), coalesce(sum(n_waiting+n_retrying+n_running)"
                         ",0) FROM troupe.job WHERE ended IS NULL")
            left += query(" SELECT count(*) FROM troupe.run WHERE ended IS NULL")
            if left == "0|00":
                return
            if left != last:
                last, deadline = left, time.monotonic() + NO_PROGRESS
            if time.monotonic() > deadline:
                self.history.wrong.append(f"stuck: jobs and tasks that do not end: {left}")
                return
            time.sleep(0.5)

    def read_store(self):
        query = self.cluster.server.query
        for line in query("SELECT id, convert_from(name,'UTF8'), tasks, "
                          "coalesce(ended,0), coalesce(rest_outcome,0), rest_from FROM "
                          "troupe.job WHERE run=0").splitlines():
            number, name, tasks, ended, rest, first = line.split("|")
            self.history.jobs[int(number)] = JobRow(name, int(tasks), ended != "0",
                                                    int(rest), int(first))
        self.history.results = read_results(query)
        for line in query("SELECT job, idx, count(*) FROM troupe.attempt WHERE "
                          "outcome=5 GROUP BY job, idx").splitlines():
            job, index, count = line.split("|")
            self.history.losses[(int(job), int(index))] = int(count)
        for line in query("SELECT id, convert_from(request_id,'UTF8'), state FROM "
                          "troupe.run").splitlines():
            number, name, state = line.split("|")
            self.history.runs[int(number)] = RunRow(
                name, {"1": "running", "2": "succeeded"}.get(state, state))
        self.evictions = sum(
            member.log.read_text(errors="replace").count(" node_evicted ")
            for member in self.cluster.members.values())
        self.own_ends = sum(
            member.log.read_text(errors="replace").count(" session_evicted ")
            for member in self.cluster.members.values())

    def read_traces(self):
        for path in self.trace.iterdir():
            job, task = path.name.split(".")
            trace = parse_trace(path.read_text())
            if task in RUN_JOBS:
                self.history.run_traces[(job, task)] = trace
            else:
                self.history.traces[(int(job), int(task))] = trace

    def end(self):
        """In order; what is left then is an orphan."""
        late = self.cluster.end_in_order(60)
        if late:
            self.history.wrong.append(f"no end: of nodes that were told to: {late}")
        deadline = time.monotonic() + ORPHAN_GRACE
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.history.orphans += left

    def left(self):
        """Of nodes that have ended."""
        found = [f"process {pid} ({mark})" for pid, mark in marks().items()
                 if born(pid) and any(is_of(mark, session) for session in self.home_of)]
        return found + [f"the warden of {member.name}"
                        for member in self.cluster.members.values() if member.warden()]

    def clean(self):
        self.cluster.end()
        for relay in self.relays.values():
            relay.close()
        for place in self.mounts:
            subprocess.run(["umount", place], check=False)
        if not self.options.keep:
            shutil.rmtree(self.folder)

    # What has come of it.

    def report(self, seconds, seed):
        checker = Checker(self.history)
        violations = checker.check()
        recoveries, ends = ([round(one, 2) for one in some] for some in
                            (checker.recoveries(), checker.ends()))
        traces = self.history.traces.values()
        result = {
            "seed": seed, "minutes": round(seconds / 60, 1),
            "network": "namespaces" if self.cluster.has_network else "relays",
            "nodes": self.options.nodes,
            "jobs": len(self.history.acknowledged),
            "runs": len(self.history.acknowledged_runs), "tasks": len(self.history.results),
            "attempts": sum(len(trace.attempts) for trace in traces),
            "at_most_once": sum(job.tasks for job in self.history.acknowledged.values()
                                if job.delivery == AT_MOST_ONCE),
            "attempts_cut_short": sum(one.ended is None for trace in traces
                                      for one in trace.attempts),
            "ran_again": sum(len(trace.attempts) > 1 for trace in traces),
            "repeated_requests": self.repeats, "answers": self.answers, "faults": dict(sorted(
                self.nemesis.counts.items())),
            "evictions": self.evictions, "evicted_and_back": self.own_ends,
            "outcomes": dict(sorted(Counter(
                row.outcome for row in self.history.results.values()).items())),
            "recoveries": len(recoveries),
            "recovery_p50_s": percentile(recoveries, 0.5),
            "recovery_p99_s": percentile(recoveries, 0.99),
            "session_ended_p50_s": percentile(ends, 0.5),
            "session_ended_p99_s": percentile(ends, 0.99),
            "drained_after_s": round(self.drained_after, 1),
            "stalls": len(self.history.stalls),
            "longest_stall_s": max((length for _, length in self.history.stalls),
                                   default=0),
            "excused": len(checker.excused) + len(self.excused_orphans),
            "unexpected_ends": len(self.unexpected),
            "violations": len(violations)}
        print(json.dumps(result, indent=1))
        for title, lines in (("ended by themselves", self.unexpected),
                             ("excused", checker.excused + self.excused_orphans),
                             ("trouble with faults", self.nemesis.trouble)):
            for line in lines[:20]:
                print(f"{title}: {line}")
        if violations:
            print("what was done:", *self.nemesis.log, sep="\n  ")
        for line in violations[:50]:
            print(f"VIOLATION {line}")
        if self.nemesis.trouble:
            print("faults that could not be done or undone count as a failure")
        return not violations and not self.nemesis.trouble


def run_to_verdict(chaos, options, breaking, seconds):
    """Ends the program: with 1 if something was lost. `breaking` is for
    break_things(), and it has taken `seconds`."""
    print(f"seed {options.seed}", flush=True)
    # All that was started ends with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    is_well = False
    try:
        chaos.begin(options.seed)
        chaos.break_things(breaking, options.seed)
        chaos.read_store()
        chaos.end()
        chaos.read_traces()
        is_well = chaos.report(seconds, options.seed)
    finally:
        options.keep = options.keep or not is_well
        chaos.clean()
        if not is_well:
            print(f"seed {options.seed}; all that there was is in {chaos.folder}",
                  flush=True)
    sys.exit(0 if is_well else 1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--longest", type=float, default=60,
                        help="seconds that a fault lasts at most")
    parser.add_argument("--faults", default=",".join(FAULTS),
                        help="only these, such as \"kill host,cut\"")
    parser.add_argument("--plain", action="store_true",
                        help="relays, also where networks could be had")
    parser.add_argument("--folder")
    parser.add_argument("--keep", action="store_true", help="the folder, for a look")
    parser.add_argument("--program", default=os.environ.get(
        "TROUPE", ROOT / "build/release/bin/troupe"))
    options = parser.parse_args()
    if not server_programs():
        print("chaos: there is no PostgreSQL: apt-get install postgresql")
        sys.exit(77)  # To be skipped, for a test.
    run_to_verdict(Chaos(options), options, options.minutes * 60,
                   options.minutes * 60)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"chaos: {trouble}")
