"""What the end-to-end tests stand on: the real program in a world of its own.

Each test gets an empty working directory, a home of its own and a mark that
every process it causes bears in its environment. Nothing is waited for without
a deadline, and a test that leaves a process behind fails, even if all that it
asserted was true.

The program is named by the environment variable TROUPE (ctest sets it).
"""

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import uuid
from pathlib import Path

TROUPE = os.environ.get("TROUPE", "")
SANITIZED = os.environ.get("TROUPE_SANITIZE", "") != ""

# No command of a test takes this long on any machine that is of use.
LONG = 40.0

CTRL_C, CTRL_Z, CTRL_BACKSLASH = "\x03", "\x1a", "\x1c"

MARK = "TROUPE_E2E_MARK"


def wait_until(condition, within=LONG, what="the condition"):
    """Polls until `condition()` is true and returns what it returned."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come true within {within} s")
        time.sleep(0.01)


def read_proc(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def status_field(pid, name):
    """One line of /proc/PID/status, such as VmHWM."""
    for line in read_proc(pid, "status").decode().splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return ""


def peak_memory_kib(pid):
    return int(status_field(pid, "VmHWM").split()[0])


def state_of(pid):
    """The letter of the process state; empty if there is no such process."""
    return status_field(pid, "State")[:1]


def children_of(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def warden_of(pid):
    """The pid of the warden that the troupe `pid` has started, or None."""
    for child in children_of(pid):
        if status_field(child, "Name") == "troupe-warden":
            return child
    return None


def processes_with(*marks):
    """Living processes with one of `marks` in their environment or arguments.

    A zombie has neither any more, so those that are still to be reaped do not
    count.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        command = read_proc(entry.name, "cmdline")
        text = command + b"\0" + read_proc(entry.name, "environ")
        if any(mark.encode() in text for mark in marks):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(
                errors="replace")
    return found


class Finished:
    """How a process ended and what it wrote."""

    def __init__(self, argv, code, out, err):
        self.argv = argv
        self.code = code
        self.raw_out = out
        self.raw_err = err

    @property
    def out(self):
        return self.raw_out.decode(errors="replace")

    @property
    def err(self):
        return self.raw_err.decode(errors="replace")

    def json(self):
        """Standard output, which must be one JSON value and nothing else."""
        return json.loads(self.out)

    def __repr__(self):
        return (f"{self.argv}\n  exit code {self.code}\n"
                f"  stdout {self.raw_out[-4000:]!r}\n"
                f"  stderr {self.raw_err[-4000:]!r}")


class Running:
    """A started process; `finish` waits for its end."""

    def __init__(self, process, argv):
        self.process = process
        self.argv = argv
        self.pid = process.pid

    def finish(self, within=LONG, input=None):
        out, err = self.process.communicate(input, timeout=within)
        return Finished(self.argv, self.process.returncode, out or b"",
                        err or b"")

    def signal(self, number):
        self.process.send_signal(number)


class Terminal:
    """A program that leads a session of its own on a pseudo-terminal."""

    def __init__(self, argv, cwd, env, rows=31, columns=97):
        self.argv = argv
        self.text = ""
        self.seen = 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                self.resize(rows, columns, 0)
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(127)
        self.status = None

    def resize(self, rows, columns, fd=None):
        fcntl.ioctl(self.fd if fd is None else fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text, within=LONG):
        """Reads until `text` has come since the last `expect`; returns what
        came before it."""
        deadline = time.monotonic() + within
        while text not in self.text[self.seen:]:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"the terminal did not show {text!r}: "
                                     f"{self}")
        start = self.text.index(text, self.seen)
        before = self.text[self.seen:start]
        self.seen = start + len(text)
        return before

    def _read(self, seconds):
        if seconds <= 0 or not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # The last process on it is gone.
            return False
        self.text += piece.decode(errors="replace")
        return piece != b""

    def wait(self, within=LONG):
        """Waits for the leader; the exit code, negative for a signal."""
        deadline = time.monotonic() + within

        def ended():
            self._read(min(0.01, max(0.0, deadline - time.monotonic())))
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            return pid

        wait_until(ended, within, f"the end of {self.argv}")
        while self._read(0.05):
            pass
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.close(self.fd)
            os.waitpid(self.pid, 0)
        else:
            os.close(self.fd)

    def __repr__(self):
        return f"{self.argv}\n  showed {self.text!r}"


class TroupeTest(unittest.TestCase):
    """A test of the real program. `self.seconds` is a duration for sleep(1)
    that no other test uses: it marks processes without an environment."""

    def setUp(self):
        self.assertTrue(os.access(TROUPE, os.X_OK),
                        "TROUPE does not name the program")
        self.transcript = []
        self.mark = uuid.uuid4().hex
        self.seconds = f"300.{self.mark[:12].translate(LETTERS_TO_DIGITS)}"
        self.folder = Path(tempfile.mkdtemp(prefix="troupe-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        home = self.folder / "home"
        self.cwd = self.folder / "work"
        for folder in (home, self.cwd):
            folder.mkdir()
        self.env = {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_RUNTIME_DIR": str(home / "runtime"),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "PS1": "$ ",
            "TROUPE": TROUPE,
            # A sanitizer may stop to look up a symbol.
            "TROUPE_STALLS": "5s" if SANITIZED else "250ms",
            MARK: self.mark,
        }
        for name, value in os.environ.items():
            if name.endswith("SAN_OPTIONS"):
                self.env[name] = value
        self.addCleanup(self._kill_what_is_left)

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for entry in getattr(self, "transcript", [])[-5:]:
                print(f"{self.id()}: {entry!r}", file=sys.stderr)
        return result

    # Starting things.

    def start(self, argv, **options):
        """Any process, in this test's world; pipes unless told otherwise."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options["env"] = self.env | options.pop("env", {})
        argv = [str(word) for word in argv]
        process = subprocess.Popen(argv, cwd=self.cwd, **options)
        self.addCleanup(self._end, process)
        running = Running(process, argv)
        self.transcript.append(argv)
        return running

    def run_program(self, argv, input=None, within=LONG, **options):
        """Runs any process to its end."""
        if input is not None:
            options["stdin"] = subprocess.PIPE
        finished = self.start(argv, **options).finish(within, input)
        self.transcript[-1] = finished
        return finished

    def start_troupe(self, *words, **options):
        return self.start([TROUPE, *words], **options)

    def troupe(self, *words, **options):
        return self.run_program([TROUPE, *words], **options)

    def sh(self, script, **options):
        """A script that finds the program as "$TROUPE"."""
        return self.run_program(["sh", "-c", script], **options)

    def terminal(self, argv, **options):
        terminal = Terminal([str(word) for word in argv], self.cwd,
                            self.env | options.pop("env", {}), **options)
        self.addCleanup(terminal.close)
        self.transcript.append(terminal)
        return terminal

    # Looking at things.

    def wait_for_file(self, name):
        """The text of a file, once a command has written a line to it."""
        path = self.cwd / name
        return wait_until(
            lambda: path.exists() and path.read_text().endswith("\n")
            and path.read_text(), what=f"a line in {name}")

    def wait_for_warden(self, pid):
        return wait_until(lambda: warden_of(pid), what="the warden")

    def left(self):
        return processes_with(self.mark, self.seconds)

    def assert_nothing_left(self, within=2.0):
        """No process of this test is alive, at the latest after `within`."""
        deadline = time.monotonic() + within
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(self.left(), {})

    def assert_ended(self, finished, code, out="", err=""):
        """The whole of what a run showed."""
        self.assertEqual((finished.code, finished.out, finished.err),
                         (code, out, err))

    # Cleaning up.

    def _end(self, process):
        if process.poll() is None:
            process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
        process.wait()

    def _kill_what_is_left(self):
        try:
            self.assert_nothing_left()
        finally:
            for pid in self.left():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


class InBash:
    """For tests whose commands are jobs of an interactive bash."""

    PROMPT = "ready> "

    def setUp(self):
        super().setUp()
        self.bash = self.terminal(["bash", "--norc", "--noprofile", "-i"],
                                  env={"PS1": self.PROMPT, "TERM": "dumb"})
        self.bash.expect(self.PROMPT)
        self.enter("ulimit -c 0")

    def type(self, line):
        self.bash.send(line + "\n")
        self.bash.expect("\n")  # The echo of the line.

    def enter(self, line):
        """Enters a line and returns what it showed."""
        self.type(line)
        return self.bash.expect(self.PROMPT).replace("\r\n", "\n")

    def leave(self):
        self.bash.send("exit\n")
        self.bash.wait()

    def sleeper(self):
        found = [pid for pid, command in processes_with(self.seconds).items()
                 if command.startswith("sleep ")]
        return found[0] if found else None

    def wait_for_sleeper(self):
        return wait_until(self.sleeper, what="the sleeper")

    def wait_for_state(self, pid, letter):
        wait_until(lambda: state_of(pid) == letter,
                   what=f"state {letter} of {pid}")


LETTERS_TO_DIGITS = str.maketrans("abcdef", "123456")
