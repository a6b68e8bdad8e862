"""What has happened, and whether it was as it was promised. No clock, no I/O but
the reading of files: checker_test.py shows that it finds each violation."""

import bisect
from dataclasses import dataclass, field

SUCCESS, FAILED, TIMED_OUT, CANCELLED, LOST = 1, 2, 3, 4, 5
AT_LEAST_ONCE, AT_MOST_ONCE = "at_least_once", "at_most_once"
RUN_JOBS = ("first", "second", "third")
GIVEN_UP_AFTER = 10   # Losses of one task.
STALL_SECONDS = 0.4   # Of the machine: more than the margins of a short lease.
STALL_REACH = 12.0    # For so long before an overlap it may be the reason.
WARDEN_REACH = 2.0    # A warden that goes on needs that to act.


@dataclass
class Attempt:
    """What a tracer has written down."""

    attempt: int
    pid: int
    began: float
    session: str
    ended: float | None = None
    code: int | None = None


@dataclass
class Task:
    attempts: list = field(default_factory=list)
    overlaps: list = field(default_factory=list)  # (time, Attempt, Attempt)


def parse_trace(text):
    """The file of one task. A line that is torn is the last one of a host that
    was killed, and nothing is known of it."""
    task = Task()
    by_pid = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 6 and words[0] == "S":
            one = Attempt(int(words[1]), int(words[2]), float(words[4]), words[5])
            task.attempts.append(one)
            by_pid[one.pid] = one
        elif len(words) == 5 and words[0] == "E":
            one = by_pid[int(words[2])]
            one.ended, one.code = float(words[3]), int(words[4])
        elif len(words) == 5 and words[0] == "O":
            task.overlaps.append((float(words[3]), by_pid[int(words[2])],
                                  by_pid[int(words[4])]))
    return task


@dataclass
class Submitted:
    """What was acknowledged."""

    number: int
    name: str
    tasks: int
    delivery: str
    retries: int
    code: int
    after: int | None = None     # The number of a job that has to end first.
    is_cancelled: bool = False   # Somebody has asked for that.


@dataclass
class Recorded:
    """A row of a result."""

    attempt: int
    session: str
    outcome: int
    status: int


@dataclass
class JobRow:
    name: str
    tasks: int
    ended: bool
    # Tasks from this one on that have ended so without a row of their own.
    rest_outcome: int = 0
    rest_from: int = 0


@dataclass
class RunRow:
    name: str
    state: str


@dataclass
class History:
    acknowledged: dict = field(default_factory=dict)  # number -> Submitted
    jobs: dict = field(default_factory=dict)          # number -> JobRow, at the end
    results: dict = field(default_factory=dict)       # (job, task) -> Recorded
    traces: dict = field(default_factory=dict)        # (job, task) -> Task
    losses: dict = field(default_factory=dict)        # (job, task) -> count
    # Of workflows, whose jobs are a chain in the order of RUN_JOBS.
    acknowledged_runs: dict = field(default_factory=dict)  # number -> name
    runs: dict = field(default_factory=dict)          # number -> RunRow
    run_traces: dict = field(default_factory=dict)    # (name, job) -> Task
    # Seen while it went on.
    changed: list = field(default_factory=list)       # Results that have changed.
    wrong: list = field(default_factory=list)         # Other violations, in words.
    ended_sessions: dict = field(default_factory=dict)  # session -> when seen
    stopped_wardens: dict = field(default_factory=dict)  # session -> [(from, to)]
    stalls: list = field(default_factory=list)        # (when, seconds), in order
    orphans: list = field(default_factory=list)       # Words.
    deaths: list = field(default_factory=list)        # Of wardens: (when, session)


class Checker:
    def __init__(self, history):
        self.history = history
        self.violations = []
        self.excused = []

    def say(self, kind, text):
        self.violations.append(f"{kind}: {text}")

    def check(self):
        """All that is wrong, in words."""
        seen = self.history
        self.violations += seen.wrong
        for number, job in sorted(seen.acknowledged.items()):
            self.check_job(number, job)
        names = {}
        for number, row in seen.jobs.items():
            if row.name in names:
                self.say("twice", f"jobs {names[row.name]} and {number} are of one "
                         "request")
            names[row.name] = number
            if not row.ended:
                self.say("lost", f"job {number} has not ended")
        for number, name in sorted(seen.acknowledged_runs.items()):
            self.check_run(number, name)
        for change in seen.changed:
            self.say("recorded twice", change)
        for task, trace in [*seen.traces.items(), *seen.run_traces.items()]:
            self.check_trace(task, trace)
        for orphan in seen.orphans:
            self.say("orphan", orphan)
        return self.violations

    def check_job(self, number, job):
        row = self.history.jobs.get(number)
        if row is None:
            self.say("lost", f"job {number} was acknowledged and is not there")
            return
        if (row.name, row.tasks) != (job.name, job.tasks):
            self.say("lost", f"job {number} is another one now: {row}")
            return
        if job.after is not None:
            self.check_order(number, job)
        for index in range(job.tasks):
            task = (number, index)
            result = self.history.results.get(task)
            if result is None and not self.is_cancelled_rest(job, row, index):
                self.say("lost", f"task {number}.{index} has no result")
            elif result is None:
                self.check_rest(task)
            else:
                self.check_result(job, task, result)

    @staticmethod
    def is_cancelled_rest(job, row, index):
        return job.is_cancelled and row.rest_outcome == CANCELLED and \
            index >= row.rest_from

    def check_rest(self, task):
        """It was cancelled before anybody had it."""
        attempts = self.history.traces.get(task, Task()).attempts
        if attempts:
            self.say("other result", f"task {task[0]}.{task[1]} was cancelled before it "
                     f"began, and has run: {attempts}")

    def check_run(self, number, name):
        """Each of its jobs has ended, after the one that it needs."""
        row = self.history.runs.get(number)
        if row is None or row.name != name or row.state != "succeeded":
            self.say("lost", f"run {number} of {name}: {row}")
            return
        before = 0.0
        for job in RUN_JOBS:
            attempts = self.history.run_traces.get((name, job), Task()).attempts
            ends = [one.ended for one in attempts if one.ended is not None]
            if not ends:
                self.say("other result", f"run {number}: {job} has not ended: "
                         f"{attempts}")
                return
            if attempts[0].began < before:
                self.say("too early", f"run {number}: {job} began at "
                         f"{attempts[0].began}, and what it needs ended at {before}")
            before = min(ends)

    def check_order(self, number, job):
        """What the other job has told of its end came before."""
        starts = [one.began for index in range(job.tasks) for one in
                  self.history.traces.get((number, index), Task()).attempts]
        first = min(starts, default=None)
        for (other, index), trace in self.history.traces.items():
            result = self.history.results.get((other, index))
            if first is None or other != job.after or result is None:
                continue
            for one in trace.attempts:
                if (one.attempt, one.session) == (result.attempt, result.session) and \
                        one.ended is not None and one.ended > first:
                    self.say("too early", f"job {number} began at {first}, and task "
                             f"{other}.{index} ended at {one.ended}")

    def check_result(self, job, task, result):
        trace = self.history.traces.get(task, Task())
        name = f"task {task[0]}.{task[1]} ({job.delivery})"
        if job.is_cancelled and result.outcome == CANCELLED:
            return
        if job.delivery == AT_MOST_ONCE:
            if len(trace.attempts) > 1:
                self.say("ran twice", f"{name}: {trace.attempts}")
            # A node that is told to end cannot let it wait again.
            if result.outcome in (LOST, CANCELLED):
                return
        elif result.outcome == LOST and \
                self.history.losses.get(task, 0) >= GIVEN_UP_AFTER:
            return
        if result.outcome not in (SUCCESS, FAILED):
            self.say("lost", f"{name}: {result}")
            return
        ended = [one for one in trace.attempts if one.code is not None and
                 (one.attempt, one.session) == (result.attempt, result.session)]
        if not ended:
            self.say("other result", f"{name}: nothing has ended as {result}: "
                     f"{trace.attempts}")
            return
        if (result.outcome, result.status) != \
                (SUCCESS if job.code == 0 else FAILED, job.code):
            self.say("other result", f"{name}: {result}, and it ends with {job.code}")
        tries = 1 if job.code == 0 or job.delivery == AT_MOST_ONCE else \
            job.retries + 1
        if sum(one.code is not None for one in trace.attempts) < tries:
            self.say("other result", f"{name}: given up before it had {tries} tries: "
                     f"{trace.attempts}")

    def check_trace(self, task, trace):
        seen = self.history
        name = f"task {task[0]}.{task[1]}"
        for when, later, earlier in trace.overlaps:
            text = f"{name}: {earlier} is alive at {when}, and so is {later}"
            reason = self.excuse(earlier.session, when)
            if reason:
                self.excused.append(f"overlap ({reason}): {text}")
            else:
                self.say("overlap", text)
        for one in trace.attempts:
            ended = seen.ended_sessions.get(one.session)
            if ended is not None and one.began > ended + 0.02:  # Of its clock.
                text = f"{name}: {one} began, and its session had ended at {ended}"
                reason = self.excuse(one.session, one.began)
                if reason:
                    self.excused.append(f"late start ({reason}): {text}")
                else:
                    self.say("late start", text)

    def excuse(self, session, when):
        """Why commands of a session may be there longer than they should."""
        for begin, end in self.history.stopped_wardens.get(session, ()):
            if begin <= when <= end + WARDEN_REACH:
                return "its warden was stopped"
        stalls = self.history.stalls
        at = bisect.bisect_left(stalls, (when - STALL_REACH, 0.0))
        if any(moment <= when + 1 and length >= STALL_SECONDS
               for moment, length in stalls[at:]):
            return "the machine had stood still"
        return ""

    def recoveries(self):
        """Seconds from each death of a node to the next start of what had run
        there."""
        deaths = {}
        for when, session in self.history.deaths:
            deaths.setdefault(session, when)
        found = []
        for trace in self.history.traces.values():
            for one, after in zip(trace.attempts, trace.attempts[1:]):
                died = deaths.get(one.session)
                if died is not None and one.ended is None and \
                        one.began <= died <= after.began:
                    found.append(after.began - died)
        return sorted(found)


    def ends(self):
        """Seconds from each death of a node until its session was ended, by others
        or by its next one."""
        return sorted(self.history.ended_sessions[session] - when
                      for when, session in self.history.deaths
                      if session in self.history.ended_sessions)


def percentile(values, part):
    """Of sorted ones; None of none."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else None
