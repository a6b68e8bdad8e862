"""What tests of the node stand on: nodes in folders of their own.

A node of a test is started, killed and started again, asked over its socket, and
ended at the end of the test, at the latest. A test whose node does not end in
order, or whose warden is left, fails.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from troupe_e2e import LONG, TROUPE, read_proc, state_of, wait_until


NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def is_root_with_setpriv():
    """Whether the program can be run as another user."""
    return os.geteuid() == 0 and shutil.which("setpriv") is not None and \
        subprocess.run([*AS_NOBODY, TROUPE, "--version"], capture_output=True,
                       check=False).returncode == 0


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=LONG):
        super().__init__("node", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def exchange(connection, method, target, body=None):
    """One request; the status of the answer and its value."""
    text = None if body is None else json.dumps(body)
    headers = {} if text is None else {"Content-Type": "application/json"}
    connection.request(method, target, text, headers)
    answer = connection.getresponse()
    data = answer.read()
    return answer.status, json.loads(data) if data else None


def is_alive(pid):
    return state_of(pid) not in ("", "Z")


class Node:
    """A node with a folder, a socket and a configuration of its own."""

    def __init__(self, test, config="", name="node"):
        self.test = test
        self.folder = test.folder / name
        self.socket = test.folder / f"{name}.sock"
        self.config = test.folder / f"{name}.yaml"
        self.log = test.folder / f"{name}.err"
        self.configure(config)
        self.process = None
        Path(test.env["XDG_RUNTIME_DIR"]).mkdir(exist_ok=True)
        test.addCleanup(self.end)

    def configure(self, text):
        if os.geteuid() == 0 and "allow-root" not in text:
            text = "allow-root: true\n" + text
        if "orphan-time" not in text:
            text = "orphan-time: 60s\nstop-time: 10s\n" + text
        # Of tests that are made for any store.
        store = getattr(self.test, "store", "")
        if store and "store:" not in text:
            text += f"store: {store}\n"
        self.config.write_text(text)

    def argv(self, *options):
        return [TROUPE, "node", "--config", str(self.config), "--folder",
                str(self.folder), "--socket", str(self.socket), *options]

    def launch(self, *options, prefix=(), env=None):
        """Starts it without waiting for it."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.argv(*options)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd=self.test.cwd,
                env=self.test.env | {"TROUPE_LOG": "info"} | (env or {}))
        return self.process

    def start(self, *options, **others):
        process = self.launch(*options, **others)
        self.await_up(process)
        return self

    def await_up(self, process):
        def up():
            if process.poll() is not None:
                raise AssertionError(f"the node has ended with {process.returncode}:"
                                     f" {self.log_text()}")
            try:
                return self.get("/v1/node", timeout=5)["pid"] == process.pid
            except (OSError, http.client.HTTPException, AssertionError):
                return False

        wait_until(up, what="a node that answers")

    def log_text(self):
        return self.log.read_text() if self.log.exists() else ""

    # Asking it.

    def ask(self, method, target, body=None, timeout=LONG):
        connection = UnixConnection(self.socket, timeout)
        try:
            return exchange(connection, method, target, body)
        finally:
            connection.close()

    def get(self, target, timeout=LONG):
        status, value = self.ask("GET", target, timeout=timeout)
        self.test.assertEqual(status, 200, value)
        return value

    def post(self, target, body=None):
        status, value = self.ask("POST", target, body)
        self.test.assertIn(status, (200, 201), value)
        return value

    def first_event(self, target):
        """The first event of a stream of them: its value."""
        connection = UnixConnection(self.socket)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            self.test.assertEqual(answer.status, 200)
            for line in answer:
                if line.startswith(b"data:"):
                    return json.loads(line[5:])
            raise AssertionError("the stream has ended")
        finally:
            connection.close()

    def job(self, job):
        return self.get(f"/v1/jobs/{job}")

    def task(self, job, task=0):
        return self.get(f"/v1/jobs/{job}/tasks/{task}")

    def kinds(self, job):
        """The kinds of reasons why nothing of a job runs."""
        return [reason["kind"] for reason in
                self.get(f"/v1/jobs/{job}/why")["reasons"]]

    def wait_for_state(self, job, *states, within=LONG):
        return wait_until(
            lambda: (info := self.job(job))["state"] in states and info,
            within, f"job {job} being {' or '.join(states)}")

    def wait_for_end(self, job, within=LONG):
        return wait_until(lambda: (info := self.job(job))["ended"] and info,
                          within, f"the end of job {job}")

    def wait_for_pid(self, job, task=0):
        return wait_until(lambda: self.task(job, task)["pid"],
                          what=f"a process of task {job}.{task}")

    def wait_for_kind(self, job, kind):
        wait_until(lambda: kind in self.kinds(job), what=f"{job} waiting: {kind}")

    def count_clients(self):
        """Those who are connected, or were a moment ago."""
        connected = "03"
        lines = [line.split() for line in
                 Path("/proc/net/unix").read_text().splitlines()]
        return sum(line[5] == connected and line[-1] == str(self.socket)
                   for line in lines)

    def wait_for_no_clients(self):
        wait_until(lambda: not self.count_clients(), what="no client")

    # Ending it.

    def warden(self):
        """The pid of its warden, whoever started that."""
        try:
            pid = int((self.folder / "warden.lock").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        name = read_proc(pid, "comm")
        return pid if name.startswith(b"troupe-warden") and is_alive(pid) else None

    def kill(self):
        """kill -9, and the zombie is gone, too."""
        self.process.kill()
        self.process.wait(LONG)

    def kill_warden(self):
        pid = self.warden()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), what="the end of the warden")

    def restart(self, *options):
        self.kill()
        return self.start(*options)

    def terminate(self, within=LONG):
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def end(self):
        """At the end of a test: in order, and with its warden."""
        code = 0
        if self.process is not None:
            if self.process.poll() is None:
                try:
                    code = self.terminate(20)
                except subprocess.TimeoutExpired:
                    code = "none: it does not end"
                    self.kill()
        elif not self.folder.exists():
            return
        pid = self.warden()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        if code != 0 or pid is not None:
            print(f"{self.test.id()}: {self.log_text()[-4000:]}", file=sys.stderr)
        self.test.assertEqual(code, 0, "the exit code of the node")
        self.test.assertIsNone(pid, "the warden is left")


class Enrolling:
    """For tests with hosts that have certificates of the authority on n1."""

    def cluster(self, host, *words, **options):
        home = self.cwd / host
        home.mkdir(exist_ok=True)
        ended = self.troupe("cluster", *words, env={"XDG_CONFIG_HOME": str(home)},
                            **options)
        self.assertEqual(ended.code, 0, ended)
        return ended

    def folder_of(self, host):
        return self.cwd / host / "troupe/cluster"

    def enrol(self, host):
        """The id of the node."""
        token = self.cluster("n1", "token", host).out.strip()
        request = self.cluster(host, "enrol", "--token", token)
        answer = self.cluster("n1", "sign", input=request.raw_out)
        ended = self.cluster(host, "enrol", "--answer", "-", input=answer.raw_out)
        return re.search(r"\(([0-9a-f-]+)\)", ended.out)[1]


class WithNode:
    """For tests with a node that the commands find."""

    CONFIG = "slots: 2\n"

    def setUp(self):
        super().setUp()
        self.node = Node(self, self.CONFIG)
        self.env["TROUPE_SOCKET"] = str(self.node.socket)
        self.node.start()

    def submit(self, *words, **options):
        """Submits as people do; the number of the job."""
        finished = self.troupe("submit", *words, **options)
        self.assertEqual((finished.code, finished.err), (0, ""), finished)
        return int(finished.out)

    def ok(self, *words, **options):
        """A command that has to succeed without a word of complaint."""
        finished = self.troupe(*words, **options)
        self.assertEqual((finished.code, finished.err), (0, ""), finished)
        return finished

    def output(self, job):
        return self.ok("logs", str(job)).raw_out

    def sleeper(self, *options):
        """A job that runs until it is ended, once it runs."""
        job = self.submit(*options, "--", "sleep", self.seconds)
        self.node.wait_for_pid(job)
        return job

    def text(self, name):
        return (self.cwd / name).read_text()

    def wait_for_lines(self, name, count):
        path = self.cwd / name
        return wait_until(
            lambda: path.exists() and path.read_text().count("\n") >= count
            and path.read_text().splitlines(),
            what=f"{count} lines in {name}")


def socket_inodes(pid):
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found
