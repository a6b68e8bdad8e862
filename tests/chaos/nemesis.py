"""What is done to a cluster: from a seed, so that it can be done again."""

import signal
import threading
import time
from pathlib import Path

import local_cluster
from local_cluster import NO_ANSWER, Refused, Trouble, born, kill

STORE = "store"
BUSY = 2          # Victims at a time.
FIRST_FAULT = 3.0

# How often in a round, and how long the node is away, stopped or cut off: some of
# them shorter than the lease, some longer.
FAULTS = {
    "kill node": (3, (0, 6)), "kill node and warden": (2, (0, 20)),
    "kill host": (4, (0, 30)), "kill warden": (2, (0, 0)),
    "end node": (2, (0, 2)), "drain": (2, (0, 5)),
    "stop node": (4, (0.1, 60)), "stop warden": (2, (0.1, 3)),
    "freeze host": (2, (0.1, 30)), "cut": (3, (1, 30)),
    "cut to store": (2, (1, 30)), "cut to node": (2, (1, 30)), "delay": (2, (1, 15)),
    "fill disk": (2, (1, 10)), "kill store": (2, (0, 6)),
    "restart store": (2, (0, 1)), "stop store": (2, (0.1, 12)),
}
OF_STORE = {"kill store", "restart store", "stop store"}


def boot_now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def plan(random, names, kinds, longest):
    """(pause, kind, victim, seconds) without end: each kind as often as it says in
    each round, in an order of chance."""
    while True:
        deck = [kind for kind in kinds for _ in range(FAULTS[kind][0])]
        random.shuffle(deck)
        for kind in deck:
            low, high = FAULTS[kind][1]
            seconds = low + (min(high, longest) - low) * random.random()
            victim = STORE if kind in OF_STORE else random.choice(names)
            yield 0.3 + random.random() * 3, kind, victim, seconds


class Nemesis(threading.Thread):
    """Lets a plan come true. `disks` and `relays` say what can be done."""

    def __init__(self, cluster, history, random, longest, disks, relays, kinds):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.history = history
        self.disks = disks    # name -> folder that is small
        self.relays = relays  # name -> Relay
        if unknown := set(kinds) - set(FAULTS):
            raise Trouble(f"there is no fault {unknown}; there are {list(FAULTS)}")
        kinds = [kind for kind in FAULTS if kind in kinds and self.is_possible(kind)]
        if not kinds:
            raise Trouble("none of these faults can be done here")
        self.plan = plan(random, list(cluster.members), kinds, longest)
        self.is_over = threading.Event()
        self.busy = {}        # victim -> thread
        self.changed = threading.Condition()
        self.counts = {}
        self.trouble = []
        self.log = []

    def is_possible(self, kind):
        if kind == "fill disk":
            return bool(self.disks)
        if kind.startswith("cut"):
            return self.cluster.has_network or bool(self.relays)
        if kind == "delay":
            return bool(self.relays)
        return True

    def run(self):
        self.is_over.wait(FIRST_FAULT)
        for pause, kind, victim, seconds in self.plan:
            if kind == "fill disk":
                victim = next(iter(self.disks))
            with self.changed:
                self.changed.wait_for(lambda victim=victim: self.is_over.is_set() or (
                    victim not in self.busy and len(self.busy) < BUSY))
                if self.is_over.is_set():
                    return
                thread = threading.Thread(target=self.do, args=(kind, victim, seconds),
                                          daemon=True)
                self.busy[victim] = thread
                thread.start()
            if self.is_over.wait(pause):
                return

    def do(self, kind, victim, seconds):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        begun = boot_now()
        self.log.append(f"{begun:.2f} {kind} {victim} for {seconds:.2f} s")
        try:
            if victim == STORE:
                self.hurt_store(kind, seconds)
            else:
                self.hurt(kind, self.cluster.members[victim], seconds)
            self.log.append(f"{boot_now():.2f} ... {kind} {victim} is over")
        except Exception as error:  # pylint: disable=broad-except
            self.trouble.append(f"{kind} {victim}: {error!r}")
        finally:
            with self.changed:
                del self.busy[victim]
                self.changed.notify_all()

    def is_busy(self, victim):
        with self.changed:
            return victim in self.busy

    def wait(self, seconds):
        """For so long, or until all of it is over."""
        self.is_over.wait(seconds)

    def finish(self, within=150):
        """Nothing is done any more, and all that was done is undone."""
        self.is_over.set()
        with self.changed:
            self.changed.notify_all()
            if not self.changed.wait_for(lambda: not self.busy, within):
                raise Trouble(f"these faults do not end: {list(self.busy)}; "
                              f"{self.log[-6:]}")
        self.join()

    # The store.

    def hurt_store(self, kind, seconds):
        server = self.cluster.server
        if kind == "stop store":
            pids = [server.pid(), *local_children(server.pid())]
            try:
                for pid in pids:
                    kill(pid, signal.SIGSTOP)
                self.wait(seconds)
            finally:
                for pid in pids:
                    kill(pid, signal.SIGCONT)
            return
        try:
            server.end(signal.SIGKILL if kind == "kill store" else signal.SIGINT)
            self.wait(seconds)
        finally:
            server.start()

    # A node.

    def hurt(self, kind, member, seconds):
        node, warden, session = member.pid(), member.warden(), member.session()
        if kind in ("stop node", "stop warden", "freeze host"):
            self.stop(kind, member, seconds)
        elif kind.startswith("cut") or kind == "delay":
            self.cut(kind, member, seconds)
        elif kind == "fill disk":
            self.fill(self.disks[member.name], seconds)
        elif kind == "kill warden":
            if warden:
                kill(warden)
        else:
            if kind == "kill host":
                self.history.deaths.append((boot_now(), session))
                member.die()
            elif kind == "end node":
                if node:
                    kill(node, signal.SIGTERM)
            elif kind == "drain":
                try:
                    member.ask("POST", "/v1/cluster/drain", {"within_ms": 5000})
                except (*NO_ANSWER, Refused) as error:
                    self.log.append(f"drain {member.name}: {error!r}")
            else:
                if node:
                    kill(node)
                # Without its warden a session cannot go on.
                if warden and kind == "kill node and warden":
                    self.history.deaths.append((boot_now(), session))
                    kill(warden)
            self.await_end(member, node)
            self.wait(seconds)
            member.start()

    def await_end(self, member, node):
        """A node that cannot leave in time is killed."""
        deadline = time.monotonic() + 40
        while member.pid() == node is not None and time.monotonic() < deadline:
            self.is_over.wait(0.05)
            if self.is_over.is_set():
                time.sleep(0.05)
        if member.pid() == node is not None:
            self.log.append(f"{boot_now():.2f} {member.name} does not end by itself")
            kill(node)
        if node is not None:
            member.forget()

    def stop(self, kind, member, seconds):
        node, warden, session = member.pid(), member.warden(), member.session()
        pids = {"stop node": [node], "stop warden": [warden],
                "freeze host": [node, warden]}[kind]
        if kind == "freeze host":
            pids += member.commands()
        pids = {pid: born(pid) for pid in pids if pid}
        begun = boot_now()
        try:
            for pid in pids:
                kill(pid, signal.SIGSTOP)
            self.wait(seconds)
        finally:
            for pid, since in pids.items():
                if born(pid) == since:
                    kill(pid, signal.SIGCONT)
            if kind != "stop node":
                self.history.stopped_wardens.setdefault(session, []).append(
                    (begun, boot_now()))

    def cut(self, kind, member, seconds):
        ways = {"to_store": kind != "cut to node", "to_node": kind != "cut to store"}
        relay = self.relays.get(member.name)
        try:
            if kind == "delay":
                relay.delay = 0.05 + seconds / 20
            elif relay:
                relay.cut(**ways)
            else:
                self.cluster.cut(member, **ways)
            self.wait(seconds)
        finally:
            if relay:
                relay.heal()
            else:
                self.cluster.heal(member)

    def fill(self, folder, seconds):
        filler = Path(folder) / "filler"
        try:
            with open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 65536)
        except OSError:
            pass
        self.wait(seconds)
        filler.unlink(missing_ok=True)


def local_children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in
                  local_cluster.read_proc(pid, f"task/{task.parent.name}/children").split()]
    return found


