#!/usr/bin/env python3
"""Nodes that share a PostgreSQL server: what the store costs, whether more nodes do
more, and how long it takes until others have what a dead host had.

    bench/theme_cluster.py [--parts store,scaling,failover,screen] [--nodes N]
        [--leases S,S] [--kills N] [--rounds R] [--program P]

All of it runs on this machine, on loopback, as scripts/local_cluster.sh starts it
with --plain, and the server writes to the disk of $TMPDIR before it answers.

  store     claims and completes tasks through the store, and by bare SQL statements
            (store_bench, beside the program)
  scaling   an array of `sleep 0.1` on 1 to N nodes with few slots each, so that the
            processors have time left
  failover  kill -9 of a host: a node, its warden and what runs there; from then on
            until others have started again what it had. And of a node alone, which is
            started again on the same host
  screen    README's 10,000 tasks on three nodes, of which one is killed in the middle
"""

import os
import re
import signal
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path

from measured_node import cpu_with_children, seconds_of
from rivals import (ROOT, Results, as_text, children_of, in_folder, median,
                    numbers, options_of, quantile, spread)

sys.path.insert(0, str(ROOT / "scripts"))
from local_cluster import (NO_ANSWER, LocalCluster, Refused,  # noqa: E402
                           server_programs, wait_until)

PARTS = ["store", "scaling", "failover", "screen"]
AT_ONCE = [1, 3]         # Connections of store_bench.
BENCH_TASKS = 20000
ALONE = "single jobs"    # Compared with statements that know of tasks only.
NAP = 0.1
SCALING_SECONDS = 20     # As long as an array would take without any cost.
SCALING_SLOTS = 4
FAILOVER_SLOTS = 5
FAILOVER_TASKS = 9       # Two nodes have room for all.
SCREEN_TASKS = 10000
# Of the lease terms: how much longer than the lease others see a session stand still.
EVICTION_MARGIN = 2.0
# One node may be taken for gone in this time.
BETWEEN_EVICTIONS = 61.0
RATE = re.compile(r"claim and complete, (.+), (\d+) at once: +"
                  r"(\d+) tasks/s, bare +(\d+): ([\d.]+)")


def boot_now():
    """The clock of /proc/uptime."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Cluster:
    """One that ends with the block."""

    def __init__(self, options, folder, count, slots, lease_seconds):
        folder.chmod(0o711)  # The user of the server has to get through.
        self.all = LocalCluster(folder / "c", Path(options.program), slots,
                                f"{lease_seconds}s", plain=True)
        self.count = count

    def __enter__(self):
        try:
            self.all.create(self.count)
        except BaseException:
            self.all.end()
            raise
        return self

    def __exit__(self, *_):
        self.all.remove()

    def __getitem__(self, name):
        return self.all.members[name]

    def members(self):
        return list(self.all.members.values())

    def start(self, count):
        """Exactly the first so many run afterwards, and each has its share."""
        for member in self.members()[count:]:
            if pid := member.pid():
                os.kill(pid, signal.SIGTERM)
                member.forget()
        for member in self.members()[:count]:
            member.start()
        for member in self.members()[:count]:
            member.await_up()
        fair = 4096 / count

        def is_even():
            return all(0.5 * fair <= one["shards"] <= 2 * fair or
                       one["state"] != "live"
                       for member in self.members()[:count]
                       for one in member.ask("GET", "/v1/cluster")["nodes"])

        self.all.await_shards()
        wait_until(is_even, "an even share for all", 180)

    def submit(self, words, at="n1", **more):
        return self[at].ask("POST", "/v1/jobs", {
            "request_id": uuid.uuid4().hex,
            "command": {"words": words, "cwd": "/"}, **more}, timeout=30)["job"]

    def job(self, job, at="n1"):
        try:
            return self[at].ask("GET", f"/v1/jobs/{job}")
        except (*NO_ANSWER, Refused):
            return None

    def wait(self, job, at="n1", within=600):
        """The job, once it has ended."""
        return wait_until(
            lambda: (told := self.job(job, at)) and told["ended"] and told,
            f"the end of job {job}", within)

    def cancel(self, job, at="n1"):
        self[at].ask("POST", f"/v1/jobs/{job}/cancel")
        self.wait(job, at)


# What the store costs.


def measure_store(options, folder, results):
    bench = Path(options.program).parent / "store_bench"
    if not os.access(bench, os.X_OK):
        sys.exit(f"there is no {bench}; cmake --build --preset release --target "
                 "store_bench makes it")
    found = {}
    with Cluster(options, folder, 1, 1, 10) as cluster:
        server = cluster.all.server
        subprocess.run([server_programs() / "createdb", "-h", server.folder, "-U",
                        "troupe", "bench"], check=True)
        place = f"postgresql://troupe@/bench?host={server.folder}"
        for _ in range(options.rounds):
            for at_once in AT_ONCE:
                said = subprocess.run([bench, place, str(BENCH_TASKS), str(at_once)],
                                      check=True, capture_output=True, text=True,
                                      timeout=600).stdout
                for kind, count, rate, bare, ratio in RATE.findall(said):
                    found.setdefault((kind, int(count)), []).append(
                        {"rate": float(rate), "bare": float(bare),
                         "ratio": float(ratio)})
    rows = []
    for (kind, at_once), samples in sorted(found.items()):
        rows.append([kind, at_once, median(samples, "rate"), spread(samples, "rate"),
                     median(samples, "bare"), median(samples, "ratio"),
                     spread(samples, "ratio")])
        if kind != ALONE:
            results.goal(f"claim and complete / bare SQL, {kind}, {at_once} at once",
                         median(samples, "ratio"), ">=", 0.7)
    results.note("What becomes of a job is in a row of its own, which the first two bare "
                 "statements do not have. Those with rows of jobs have two: what is queued, "
                 "and what the job is; the store has also what its group counts, and its "
                 "claims wait for each other where bare ones skip what is locked (ADR 23).")
    results.table(f"Claim and complete, {BENCH_TASKS} tasks, 100 at a time "
                  "(`store_bench`)",
                  ["tasks of", "at once", "/s", "range", "bare SQL, /s", "of bare",
                   "range of that"], rows)


# Whether more nodes do more.


def cpu_of(cluster):
    """Seconds of the nodes, their commands that have ended, and the server."""
    server = cluster.all.server.pid()
    pids = [pid for member in cluster.members() for pid in (member.pid(),
                                                            member.warden()) if pid]
    return sum(map(cpu_with_children, [*pids, server, *children_of(server)]))


def busy_seconds():
    """Of all processors together, with all that runs on this machine."""
    ticks = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def array_on(cluster, count):
    tasks = round(SCALING_SECONDS * SCALING_SLOTS * count / NAP)
    cpu, busy, begin = cpu_of(cluster), busy_seconds(), time.time()
    told = cluster.wait(cluster.submit(["/bin/sleep", str(NAP)],
                                       array={"from": 1, "to": tasks}))
    cpu, busy = cpu_of(cluster) - cpu, busy_seconds() - busy
    if told["state"] != "succeeded":
        sys.exit(f"an array on {count} nodes: {told}")
    took = seconds_of(told["ended"]) - begin
    return {"rate": tasks / took, "of ideal": SCALING_SECONDS / took,
            "busy": cpu / took / os.cpu_count(), "each": cpu / tasks * 1000,
            "by others": max(0.0, busy - cpu) / took / os.cpu_count()}


def measure_scaling(options, folder, results):
    found = {count: [] for count in range(1, options.nodes + 1)}
    with Cluster(options, folder, options.nodes, SCALING_SLOTS, 10) as cluster:
        for turn in range(options.rounds):
            counts = list(found) if turn % 2 == 0 else list(found)[::-1]
            for count in counts:
                cluster.start(count)
                found[count].append(array_on(cluster, count))
                print(f"scaling: {count} nodes: {found[count][-1]}", file=sys.stderr)
    rows = []
    for count, samples in found.items():
        scaled = statistics.median(
            sample["rate"] / (count * one["rate"])
            for sample, one in zip(samples, found[1]))
        rows.append([count, median(samples, "rate"), spread(samples, "rate"), scaled,
                     median(samples, "of ideal"),
                     f"{median(samples, 'busy'):.0%}",
                     f"{median(samples, 'by others'):.0%}", median(samples, "each")])
        if count > 1:
            results.goal(f"tasks/s of {count} nodes / {count} times that of one",
                         scaled, ">=", 0.9)
    results.table(f"An array of `sleep {NAP}`, {SCALING_SLOTS} slots on each node, "
                  f"{SCALING_SECONDS} s of work",
                  ["nodes", "tasks/s", "range", "of n times one node",
                   "of slots that are never idle", "of the processors", "others have",
                   "CPU ms each"], rows)
    results.note("Scaling is told from the submission to the end of the job: with the "
                 "time until all nodes have found it, and with that at its end when "
                 "only some have work left. The nodes, the server and the tasks share "
                 "the processors of this machine.")


# How long it takes until others have it.


class Failover:
    def __init__(self, cluster, folder, lease):
        self.cluster = cluster
        self.lease = lease
        self.stamps_file = folder / "stamps"
        self.restarts, self.host_returns, self.node_restarts = [], [], []

    def start_stamped(self, tasks, at):
        """A job whose tasks write down each start and stay."""
        self.stamps_file.write_text("")
        return self.cluster.submit(
            ["/bin/sh", "-c",
             'read -r up idle </proc/uptime; s=${TROUPE_COMMAND##*/}; echo '
             f'"$TROUPE_TASK ${{s%%.*}} $up" >>{self.stamps_file}; exec sleep 1000'],
            at=at, array={"from": 1, "to": tasks})

    def stamps(self):
        """Task -> [(session, time)], in the order of their starts."""
        found = {}
        for line in self.stamps_file.read_text().splitlines():
            task, session, up = line.split()
            found.setdefault(int(task), []).append((session, float(up)))
        return found

    def await_right(self, member, within=180):
        def may_start():
            try:
                return member.ask("GET", "/v1/cluster")["may_start"]
            except (*NO_ANSWER, Refused):
                return False

        deadline = time.monotonic() + within
        while not may_start():
            if time.monotonic() > deadline:
                sys.exit(f"{member.name} has got no right: see {member.log}")
            time.sleep(0.01)

    def kill_host(self, turn):
        """Seconds from the death of a host to the next start of each task there."""
        victim = self.cluster.members()[turn % 3]
        other = self.cluster.members()[(turn + 1) % 3].name
        job = self.start_stamped(FAILOVER_TASKS, victim.name)  # It has most.
        wait_until(lambda: len(self.stamps()) == FAILOVER_TASKS, "a start of all tasks")
        session = victim.session()
        had = [task for task, starts in self.stamps().items()
               if starts[0][0] == session]
        died = boot_now()
        victim.die()
        wait_until(lambda: all(len(self.stamps()[task]) > 1 for task in had),
                   "a re-run of all that it had", self.lease + 120)
        self.restarts += [self.stamps()[task][1][1] - died for task in had]
        evicted = time.monotonic()
        begin = time.monotonic()
        victim.start()
        self.await_right(victim)
        self.host_returns.append(time.monotonic() - begin)
        self.cluster.cancel(job, other)
        return evicted, len(had)

    def kill_node(self, turn):
        """Seconds from the start of a node whose warden has what it had."""
        victim = self.cluster.members()[turn % 3]
        other = self.cluster.members()[(turn + 1) % 3].name
        job = self.start_stamped(FAILOVER_TASKS, victim.name)  # It has most.
        wait_until(lambda: len(self.stamps()) == FAILOVER_TASKS, "a start of all tasks")
        os.kill(victim.pid(), signal.SIGKILL)
        victim.forget()
        begin = time.monotonic()
        victim.start()
        self.await_right(victim)
        self.node_restarts.append(time.monotonic() - begin)
        again = [task for task, starts in self.stamps().items() if len(starts) > 1]
        if again:
            sys.exit(f"a node was killed alone, and tasks {again} have run again")
        self.cluster.cancel(job, other)


def times_row(what, times):
    times = sorted(times)
    if not times:
        return [what, 0, None, None, None]
    return [what, len(times), statistics.median(times), quantile(times, 0.99),
            f"{as_text(times[0])} to {as_text(times[-1])}"]


def measure_failover(options, folder, results):
    rows = []
    for lease in options.leases:
        with Cluster(options, folder, 3, FAILOVER_SLOTS, lease) as cluster:
            cluster.start(3)
            failover = Failover(cluster, folder, lease)
            for turn in range(options.kills):
                evicted, had = failover.kill_host(turn)
                print(f"failover: lease {lease} s, {had} tasks: "
                      f"{failover.restarts[-had:] if had else []}, back after "
                      f"{failover.host_returns[-1]:.2f} s", file=sys.stderr)
                failover.kill_node(turn + 1)
                print(f"failover: node alone {failover.node_restarts[-1]:.2f} s",
                      file=sys.stderr)
                if turn + 1 < options.kills:
                    time.sleep(max(0.0, evicted + BETWEEN_EVICTIONS
                                   - time.monotonic()))
        rows += [
            times_row(f"lease {lease} s: host killed, to the re-run of its tasks",
                      failover.restarts),
            times_row(f"lease {lease} s: that host is back, to its right to start",
                      failover.host_returns),
            times_row(f"lease {lease} s: node killed and started, to its right",
                      failover.node_restarts)]
        results.goal(f"host killed, lease {lease} s, p99 (lease + 5 s)",
                     quantile(sorted(failover.restarts), 0.99), "<=", lease + 5.0)
        results.goal(f"node killed and started again, lease {lease} s, p99",
                     quantile(sorted(failover.node_restarts), 0.99), "<=", 2.0)
    results.table(f"`kill -9`, {options.kills} times each, three nodes; in seconds",
                  ["what", "samples", "p50", "p99", "range"], rows)
    results.note(f"A host counts as gone when others have read its counter unchanged for "
                 f"the lease and {EVICTION_MARGIN:.0f} s. They read it every 24th of "
                 "the lease, and just when that is over; it moves every sixth, which "
                 "takes off up to that. Then the shards move, in about a "
                 "second, and a node with room looks twice where others have none. A "
                 "host is started again once its tasks run elsewhere.")


# What README shows.


def screen(cluster, kills):
    """Seconds of the job, and the job."""
    begin = time.time()
    job = cluster.submit(["sleep", "0.01"], array={"from": 1, "to": SCREEN_TASKS})
    if kills:
        wait_until(lambda: (told := cluster.job(job)) and
                   told["counts"]["success"] >= SCREEN_TASKS / 2, "half of the tasks",
                   300)
        cluster["n3"].die()
    told = cluster.wait(job)
    if told["state"] != "succeeded" or told["counts"]["success"] != SCREEN_TASKS:
        sys.exit(f"{SCREEN_TASKS} tasks: {told}")
    return seconds_of(told["ended"]) - begin


def measure_screen(options, folder, results):
    whole, killed, stats = [], [], {}
    for _ in range(options.rounds):
        with Cluster(options, folder, 3, 2, 10) as cluster:
            cluster.start(3)
            whole.append({"s": screen(cluster, False)})
            killed.append({"s": screen(cluster, True)})
            stats = {name: cluster[name].troupe("stats", "--socket",
                                                cluster[name].socket).decode()
                     for name in ("n1", "n2")}
            print(f"screen: {whole[-1]}, {killed[-1]}", file=sys.stderr)
    results.table(
        f"{SCREEN_TASKS:,} tasks of `sleep 0.01` on three nodes with 2 slots, lease "
        "10 s; all have succeeded",
        ["", "s", "range"],
        [["all three stay", median(whole, "s"), spread(whole, "s")],
         ["n3 is killed in the middle", median(killed, "s"), spread(killed, "s")]])
    lines = {name: dict(line.split(None, 1) for line in text.splitlines())
             for name, text in stats.items()}
    results.table("`troupe stats` after the last round, which was two such jobs",
                  ["", *lines],
                  [[key, *(of[key] for of in lines.values())] for key in lines["n1"]])


MEASURE = {"store": measure_store, "scaling": measure_scaling,
           "failover": measure_failover, "screen": measure_screen}


TITLES = {"store": "A cluster: what its store costs",
          "scaling": "A cluster: more nodes",
          "failover": "A cluster: when a host is gone",
          "screen": "A cluster: README's 10,000 tasks"}


def measure(options, folder):
    # Each has a section of its own, so it can be measured again without the others.
    for part in options.parts:
        results = Results(f"cluster_{part}", TITLES[part], options)
        MEASURE[part](options, folder, results)
        results.finish()


def add_options(parser):
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS,
                        help=f"some of {','.join(PARTS)} (all)")
    parser.add_argument("--nodes", type=int, default=4,
                        help="most nodes of `scaling` (%(default)s)")
    parser.add_argument("--leases", type=numbers, default=[10, 30],
                        help="lease times of `failover`, in seconds (10,30)")
    parser.add_argument("--kills", type=int, default=5,
                        help="how often, for each lease time (%(default)s)")


def main():
    options = options_of(__doc__, add_options, rounds=3)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        sys.exit(f"there is no part {unknown[0]}; there are: {', '.join(PARTS)}")
    in_folder(lambda folder: measure(options, folder))


if __name__ == "__main__":
    main()
