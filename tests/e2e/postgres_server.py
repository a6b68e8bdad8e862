"""A PostgreSQL server of a test's own: in a folder that goes with the test, behind
a socket in it, and as a user without rights if the test has all of them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from troupe_e2e import LONG, wait_until


def binaries():
    """The folder of initdb and postgres; None if they are not there."""
    found = [path.parent for path in
             Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class PostgresServer:
    def __init__(self, durable=False, certificate_for=None):
        """With a name it has a certificate for that, and a port on loopback."""
        self.durable = durable
        self.port = None
        self.root = Path(tempfile.mkdtemp(prefix="troupe-pg-"))
        self.data = self.root / "data"
        self.log = self.root / "log"
        self.process = None
        self.user = None
        if os.geteuid() == 0:
            self.user = pwd.getpwnam("postgres")
            os.chown(self.root, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", self.data, "-U", "troupe", "-A", "trust", "-E",
                 "UTF8", "--locale=C", "-N")
        self.databases = 0
        if certificate_for is not None:
            self.port = free_port()
            self.make_certificate(certificate_for)
        self.start()

    def make_certificate(self, name):
        """One that is its own authority."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                        "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
                        "-subj", f"/CN={name}",
                        "-addext", f"subjectAltName=DNS:{name}"],
                       check=True, capture_output=True, timeout=60,
                       **self.options())
        (self.root / "key.pem").chmod(0o600)

    def new_database(self):
        """The place of one that nobody has used."""
        self.databases += 1
        name = f"troupe_{self.databases}"
        self.query(f"CREATE DATABASE {name}")
        return self.uri(name)

    def uri(self, database="postgres", user="troupe"):
        return f"postgresql://{user}@/{database}?host={self.root}"

    def options(self):
        who = {} if self.user is None else {
            "user": self.user.pw_uid, "group": self.user.pw_gid,
            "extra_groups": []}
        return who | {"cwd": self.root, "stdin": subprocess.DEVNULL,
                      "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}}

    def run(self, program, *words, check=True):
        finished = subprocess.run([binaries() / program, *words],
                                  capture_output=True, check=False, timeout=60,
                                  text=True, **self.options())
        if check and finished.returncode != 0:
            raise AssertionError(f"{program}: {finished.stderr}")
        return finished.stdout

    def start(self):
        sync = "on" if self.durable else "off"
        settings = {"listen_addresses": "", "unix_socket_directories": self.root,
                    "fsync": sync, "synchronous_commit": sync,
                    "full_page_writes": sync, "shared_buffers": "32MB",
                    "max_connections": "20"}
        if self.port is not None:
            settings |= {"listen_addresses": "127.0.0.1", "port": self.port,
                         "ssl": "on", "ssl_cert_file": self.root / "cert.pem",
                         "ssl_key_file": self.root / "key.pem"}
        words = [binaries() / "postgres", "-D", self.data]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]

        def up():
            if self.process is None or self.process.poll() is not None:
                # Processes of one that was killed take a moment to see it.
                with open(self.log, "ab") as log:
                    self.process = subprocess.Popen(words, stdout=log,
                                                    stderr=log, **self.options())
            return subprocess.run([binaries() / "pg_isready", "-q", *self.place()],
                                  check=False, timeout=20).returncode == 0

        wait_until(up, what="a PostgreSQL server")
        return self

    def query(self, sql, database="postgres"):
        return self.run("psql", *self.place(), "-U", "troupe", "-XAtq",
                        "-v", "ON_ERROR_STOP=1", "-c", sql, database).strip()

    def place(self):
        return ["-h", self.root, *(["-p", str(self.port)] if self.port else [])]

    def backends(self):
        """The pids of the processes that serve nodes."""
        return [int(pid) for pid in self.query(
            "SELECT pid FROM pg_stat_activity WHERE application_name='troupe'"
        ).split()]

    def kill(self):
        """kill -9: without a chance to write anything down."""
        self.process.kill()
        self.process.wait(LONG)
        self.process = None

    def stop(self):
        """At once, but in order: who is connected is cut off."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(LONG)
        self.process = None

    def end(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(LONG)
        shutil.rmtree(self.root, ignore_errors=True)


@unittest.skipIf(binaries() is None, "PostgreSQL is not installed")
class OnPostgres:
    """For tests whose nodes have their jobs in PostgreSQL: a server for all tests
    of a class, and a database for each."""

    DURABLE = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = PostgresServer(cls.DURABLE)
        cls.addClassCleanup(cls.server.end)

    def setUp(self):
        self.store = self.server.new_database()
        super().setUp()
