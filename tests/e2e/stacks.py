"""What the tests of `troupe up` and its companions share.

A stack is written as a Python dictionary: JSON is YAML, too. Its services tell
what becomes of them in the file "events", one line each.
"""

import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from troupe_e2e import LONG, TroupeTest, processes_with, wait_until

# No period of a test passes by itself.
NEVER = "1h"


class Up:
    """A `troupe up` in the foreground, whose output goes into files."""

    def __init__(self, running, folder):
        self.process = running.process
        self.pid = running.pid
        self.running = running
        self.folder = folder
        self.texts = {}

    def text(self, name):
        """What is in a file, also when the test is over and it is gone."""
        try:
            self.texts[name] = (self.folder / name).read_text(errors="replace")
        except FileNotFoundError:
            pass
        return self.texts.get(name, "")

    @property
    def out(self):
        return self.text("out")

    @property
    def err(self):
        return self.text("err")

    def signal(self, number):
        self.process.send_signal(number)

    def finish(self, within=LONG):
        """Waits for its end; the exit code."""
        return self.process.wait(timeout=within)

    def end(self, within=LONG):
        self.signal(signal.SIGTERM)
        return self.finish(within)

    def wait_for_said(self, text, times=1, within=LONG):
        wait_until(lambda: self.err.count(text) >= times, within,
                   f"{text!r} on standard error")

    def wait_for_shown(self, text, within=LONG):
        wait_until(lambda: text in self.out, within,
                   f"{text!r} on standard output")

    def __repr__(self):
        return (f"{self.running.argv}\n  exit code {self.process.poll()}\n"
                f"  stdout {self.out[-4000:]!r}\n  stderr {self.err[-4000:]!r}")


class Stacks:
    """A mixin; stands before TroupeTest."""

    def setUp(self):
        super().setUp()
        # Short, since the path of a socket has at most 107 bytes.
        self.runtime = Path(tempfile.mkdtemp(prefix="tr-"))
        self.addCleanup(shutil.rmtree, self.runtime, ignore_errors=True)
        self.env["XDG_RUNTIME_DIR"] = str(self.runtime)
        (self.cwd / "events").touch()
        self.ups = 0

    # What services do.

    def service(self, name, ready="", on_term="exit 0"):
        """A shell line that tells of its start and of the polite end. All its
        processes are there when it tells of its start: one that comes after
        the polite signal would not hear of it."""
        return (f"trap 'echo {name} ends >> events; {on_term}' TERM; "
                f"sleep {self.seconds} & echo {name} starts >> events; {ready} "
                "wait")

    def python(self, script, name="service.py"):
        """A shell line that runs `script`."""
        (self.cwd / name).write_text(script)
        return f"exec {sys.executable} -B {name}"

    @property
    def idle(self):
        """One that does nothing."""
        return f"exec sleep {self.seconds}"

    def events(self):
        return (self.cwd / "events").read_text().splitlines()

    def wait_for_events(self, *events, within=LONG):
        """Waits until all of `events` and nothing else has happened."""
        wait_until(lambda: len(self.events()) >= len(events), within,
                   f"the events {events}, instead of {self.events()}")
        self.assertEqual(self.events(), list(events))

    def wait_for_event(self, event, times=1, within=LONG):
        wait_until(lambda: self.events().count(event) >= times, within,
                   f"{event!r} x{times} in {self.events()}")

    def forget_events(self):
        (self.cwd / "events").write_text("")

    # The program.

    def write(self, services, name="stack.yaml"):
        """A text as it is, or the value of "services"."""
        if not isinstance(services, str):
            services = json.dumps({"services": services})
        (self.cwd / name).write_text(services)
        return name

    def up(self, services, *words, name="stack.yaml", **options):
        """Starts a stack in the foreground. Unless the test ends it, it must
        end politely in the end."""
        self.ups += 1
        folder = self.folder / f"up{self.ups}"
        folder.mkdir()
        file = self.write(services, name)
        with open(folder / "out", "wb") as out, \
                open(folder / "err", "wb") as err:
            options.setdefault("stdout", out)
            options.setdefault("stderr", err)
            running = self.start_troupe("up", *words, file, **options)
        up = Up(running, folder)
        self.transcript[-1] = up
        self.addCleanup(self._take_down, up)
        return up

    def _take_down(self, up):
        try:
            if up.process.poll() is None:
                self.assertEqual(up.end(within=20), 0, up)
        finally:
            repr(up)  # Keeps the texts.

    def up_ready(self, services, *names, **options):
        """The same, and waits until `names` (or all services) run."""
        up = self.up(services, **options)
        if not names:
            names = [path for path in self.paths_of(services)]
        for name in names:
            self.wait_for_state(name, "running")
        return up

    def paths_of(self, group, above=""):
        for name, child in group["children"].items():
            if "children" in child:
                yield from self.paths_of(child, above + name + "/")
            elif "template" not in child:
                yield above + name

    def up_detached(self, services, name="stack.yaml", **options):
        """troupe up -d; the end of what it has started belongs to the test."""
        file = self.write(services, name)
        self.addCleanup(self._end_detached)
        return self.troupe("up", "-d", file, **options)

    def _end_detached(self):
        for pid, command in processes_with(self.mark).items():
            if " up -d " in command:
                self.troupe("down", self.cwd / command.split()[-1], within=20)
        wait_until(lambda: not processes_with(self.mark), within=20,
                   what="the end of all")

    def ok(self, *words, **options):
        """A companion that must succeed without a word on stderr."""
        finished = self.troupe(*words, **options)
        self.assertEqual((finished.code, finished.err), (0, ""), finished)
        return finished.out

    def refused(self, *words, code=1, err=""):
        finished = self.troupe(*words)
        self.assert_ended(finished, code, err=err)

    # How things are.

    def stacks(self):
        return json.loads(self.ok("ps", "--json"))

    def entries(self):
        """What ps --json says about the only stack, by name."""
        stacks = self.stacks()
        return ({entry["name"]: entry for entry in stacks[0]["services"]}
                if stacks else {})

    def entry(self, name):
        return self.entries().get(name, {})

    def state(self, name):
        return self.entry(name).get("state")

    def pid(self, name):
        return self.entry(name).get("pid")

    def wait_for_state(self, name, state, within=LONG):
        """Waits until `name` is in `state`; its entry."""
        last = {}

        def is_there():
            last["entry"] = self.entry(name)
            return last["entry"].get("state") == state

        try:
            wait_until(is_there, within)
        except AssertionError:
            raise AssertionError(f"{name} did not get {state}: "
                                 f"{last['entry']}") from None
        return last["entry"]

    def wait_for_other_pid(self, name, pid, within=LONG):
        """Waits until `name` runs in another process; its pid."""
        def other():
            entry = self.entry(name)
            return (entry.get("state") == "running" and
                    entry.get("pid") not in (None, pid) and entry["pid"])
        return wait_until(other, within, f"another process of {name}")

    def log_of(self, name):
        """The path of a log."""
        return Path(wait_until(lambda: self.entry(name).get("log"),
                               what=f"{name} in ps"))


__all__ = ["NEVER", "Stacks", "TroupeTest", "Up"]
