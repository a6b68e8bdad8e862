"""A node whose work, processor time, memory and wake-ups the themes measure."""

import datetime
import http.client
import os
import time
import uuid
from pathlib import Path

from backlog import Client, Node
from rivals import LATEST, text_of, threads_of


def seconds_of(text):
    """Of a time as the node tells it, since 1970."""
    return datetime.datetime.fromisoformat(
        text.replace("Z", "+00:00")).timestamp()


def wakeups(pid):
    """How often its threads have gone to sleep by themselves."""
    count = 0
    for thread in threads_of(pid):
        for line in text_of(thread / "status").splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                count += int(line.split()[1])
    return count


def own_cpu(pid):
    """Seconds of its threads that live, to the nanosecond."""
    told = [text_of(thread / "schedstat").split() for thread in threads_of(pid)]
    return sum(int(words[0]) for words in told if words) / 1e9


def cpu_with_children(pid):
    """Seconds of a process and of the children that it has waited for."""
    text = text_of(Path(f"/proc/{pid}/stat"))
    if not text:
        return 0.0
    fields = text[text.rindex(")") + 2:].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class MeasuredNode(Node):
    """In a folder of its own, with the configuration that is given. Ends with the
    block: `with MeasuredNode(...) as node:`"""

    def __init__(self, program, folder, settings="", environment=None):
        folder.mkdir()
        settings = f"disk-reserve: 1MiB\noutput-limit: 64GiB\n{settings}"
        added = environment or {}
        before = {name: os.environ.get(name) for name in added}
        os.environ.update(added)
        try:
            super().__init__(program, folder, settings)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        finally:
            self.process.kill()

    def warden(self):
        """Its process number, or None before the first command."""
        try:
            return int((self.folder / "warden.lock").read_text().split()[0])
        except (OSError, IndexError, ValueError):
            return None

    def processes(self):
        return [pid for pid in (self.process.pid, self.warden()) if pid]

    def cpu(self):
        """Seconds of node, warden and all commands that have ended."""
        return sum(map(cpu_with_children, self.processes()))

    def ask(self, *request):
        """Once more if the node has closed the connection, idle for too long; a
        submission has a number of its own, so it may be repeated."""
        try:
            return self.client.ask(*request)
        except (ConnectionError, http.client.HTTPException):
            self.client = Client(self.socket)
            return self.client.ask(*request)

    def submit(self, words, **more):
        """The number of a job, once it is on the disk."""
        return self.ask("POST", "/v1/jobs", {
            "request_id": uuid.uuid4().hex,
            "command": {"words": words, "cwd": "/"}, **more})["job"]

    def wait(self, job, pause=0.02):
        """The job, once it has ended and all its tasks have succeeded."""
        deadline = time.monotonic() + LATEST
        while True:
            told = self.ask("GET", f"/v1/jobs/{job}")
            if told["ended"]:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job} has not ended: {told}")
            time.sleep(pause)
        if told["state"] != "succeeded":
            raise RuntimeError(f"job {job}: {told}")
        return told

    def run(self, words, **more):
        """{"wall": s, "cpu": s} of a job, from its submission to its end."""
        cpu, begin = self.cpu(), time.time()
        told = self.wait(self.submit(words, **more))
        return {"wall": seconds_of(told["ended"]) - begin,
                "cpu": self.cpu() - cpu}
