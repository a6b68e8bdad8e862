"""A cluster on this machine: see local_cluster.sh, which is what people call.

`LocalCluster` is also what tests/chaos stands on. Its folder has all that there
is to know of it, so whoever comes later can go on with it, or end it.
"""

import argparse
import hashlib
import http.client
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from node_as_root import allow_root

ROOT = Path(__file__).resolve().parent.parent
STATE = "cluster.json"
NETWORK = "10.200.0"  # Within namespaces only: the machine's networks may have it.
STORE_ADDRESS = f"{NETWORK}.1"
NOWHERE = "02:00:00:00:00:01"  # A station that nobody is.
LONGEST_SOCKET = 100  # The kernel takes 107 bytes.
MARK = b"TROUPE_COMMAND="  # Each command has it in its environment.


class Trouble(Exception):
    """What happened, and what to do about it."""


def run(words, within=60, **options):
    """The standard output of a command that has to succeed."""
    options.setdefault("stdin", subprocess.DEVNULL)
    words = [str(word) for word in words]
    try:
        done = subprocess.run(words, capture_output=True, check=False,
                              timeout=within, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Trouble(f"{words[0]}: {error}") from error
    if done.returncode != 0:
        raise Trouble(f"{' '.join(words[:6])}: "
                      f"{(done.stderr or done.stdout).decode(errors='replace').strip()}")
    return done.stdout


def succeeds(words):
    return subprocess.run([str(word) for word in words], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=60).returncode == 0


def wait_until(condition, what, within=60):
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Trouble(f"{what} did not happen within {within} s")
        time.sleep(0.05)
    return value


# -- Processes ----------------------------------------------------------------


def read_proc(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def stat_fields(pid):
    """Those after the name: the state is the first one."""
    return read_proc(pid, "stat").rpartition(b")")[2].split()


def born(pid):
    """With its pid it is this process and no other; None if it is gone."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields and fields[0] not in (b"Z", b"X") else None


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def marks():
    """All commands of any node: pid -> the mark that it got from its warden."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        environment = read_proc(entry, "environ")
        at = environment.find(MARK)
        if at == 0 or at > 0 and environment[at - 1] == 0:
            mark = environment[at + len(MARK):].split(b"\0", 1)[0]
            found[int(entry)] = mark.decode(errors="replace")
    return found


def is_of(mark, session):
    """Whether a warden of that session has started it, or what has started it."""
    return any(part.startswith(f"{session}.") for part in mark.split("/"))


# -- Asking a node ------------------------------------------------------------


class Refused(Exception):
    """The node has answered, and the answer is no."""

    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status = status


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("node", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


NO_ANSWER = (OSError, http.client.HTTPException, ValueError)


def ask(path, method, target, body=None, timeout=5.0):
    """The value of the answer. Raises Refused, or one of NO_ANSWER."""
    connection = UnixConnection(path, timeout)
    try:
        text = None if body is None else json.dumps(body)
        headers = {} if text is None else {"Content-Type": "application/json"}
        connection.request(method, target, text, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise Refused(answer.status, data.decode(errors="replace"))
        return json.loads(data) if data else None
    finally:
        connection.close()


# -- The server ---------------------------------------------------------------


def server_programs():
    """The folder of initdb and postgres; None if they are not there."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


class Server:
    """PostgreSQL in a folder of its own, as a user without rights."""

    def __init__(self, folder, namespace):
        self.folder = folder
        self.namespace = namespace
        self.pid_file = folder / "data/postmaster.pid"
        self.user = None
        if os.geteuid() == 0:
            try:
                self.user = pwd.getpwnam("postgres")
            except KeyError as error:
                raise Trouble("there is no user postgres, and PostgreSQL does not "
                              "run as root: apt-get install postgresql") from error

    def words(self, program, *words):
        path = server_programs() / program
        prefix = []
        if self.namespace:
            prefix = ["nsenter", f"--net=/run/netns/{self.namespace}"]
        if self.user:
            prefix += ["setpriv", f"--reuid={self.user.pw_uid}",
                       f"--regid={self.user.pw_gid}", "--clear-groups"]
        return [str(word) for word in (*prefix, path, *words)]

    def options(self):
        return {"cwd": self.folder, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}}

    def create(self, password):
        self.folder.mkdir(mode=0o700)
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        secret = self.folder / "password"
        secret.write_text(password)
        secret.chmod(0o600)
        if self.user:
            os.chown(secret, self.user.pw_uid, self.user.pw_gid)
        run(self.words("initdb", "-D", "data", "-U", "troupe", "-E", "UTF8",
                       "--locale=C", "-N", "--auth-local=trust",
                       "--auth-host=scram-sha-256", "--pwfile=password"),
            within=300, **self.options())
        secret.unlink()
        if self.namespace:
            with open(self.folder / "data/pg_hba.conf", "a",
                      encoding="utf-8") as rules:
                rules.write(f"hostssl all all {NETWORK}.0/24 scram-sha-256\n")
            self.make_certificate()

    def make_certificate(self):
        """One that is its own authority."""
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-keyout", "key.pem", "-out", "cert.pem", "-days", "30", "-subj",
             "/CN=store", "-addext", "subjectAltName=DNS:store"], cwd=self.folder)
        (self.folder / "key.pem").chmod(0o600)
        if self.user:
            for name in ("key.pem", "cert.pem"):
                os.chown(self.folder / name, self.user.pw_uid, self.user.pw_gid)

    def pid(self):
        """Of the server that runs."""
        try:
            pid = int(self.pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        is_it = b"postgres" in read_proc(pid, "comm") and \
            os.path.realpath(f"/proc/{pid}/cwd") == str(self.folder / "data")
        return pid if is_it and born(pid) else None

    def is_up(self):
        return succeeds([server_programs() / "pg_isready", "-q", "-h", self.folder])

    def start(self):
        settings = {"unix_socket_directories": self.folder, "shared_buffers": "32MB",
                    "max_connections": "60", "listen_addresses": ""}
        if self.namespace:
            settings |= {"listen_addresses": STORE_ADDRESS, "ssl": "on",
                         "ssl_cert_file": self.folder / "cert.pem",
                         "ssl_key_file": self.folder / "key.pem"}
        words = self.words("postgres", "-D", "data")
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]

        process = None

        def up():
            nonlocal process
            if process is None or process.poll() is not None:
                # Processes of one that was killed take a moment to see it.
                with open(self.folder / "log", "ab") as log:
                    process = subprocess.Popen(
                        words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                        start_new_session=True, **self.options())
            return self.is_up()

        wait_until(up, f"the start of PostgreSQL (see {self.folder}/log)", 120)
        self.process = process

    def end(self, number=signal.SIGINT):
        """SIGINT: at once, but in order; SIGKILL: what a power cut leaves."""
        pid = self.pid()
        if pid is None:
            return
        kill(pid, number)
        process = getattr(self, "process", None)
        if process is not None and process.pid == pid:
            process.wait(60)
        wait_until(lambda: born(pid) is None, "the end of PostgreSQL")

    def query(self, sql, within=60):
        return run([server_programs() / "psql", "-h", self.folder, "-U", "troupe",
                    "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, "troupe"],
                   within, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
                   ).decode(errors="replace").strip()


# -- A node -------------------------------------------------------------------


class Member:
    def __init__(self, cluster, number):
        self.cluster = cluster
        self.number = number
        self.name = f"n{number}"
        self.home = cluster.folder / self.name
        self.folder = self.home / "node"
        self.socket = self.home / "node.sock"
        self.config = self.home / "troupe.yaml"
        self.log = self.home / "log"
        self.namespace = cluster.namespace(self.name)
        self.address = f"{NETWORK}.{10 + number}"
        self.program = cluster.program
        self.settings = ""  # More lines for its configuration.
        self.process = None
        self.log_begin = 0  # Of what it has said since it was started.

    def environment(self):
        """One of its own, without anything of who starts it."""
        kept = {name: value for name, value in os.environ.items()
                if name in ("PATH", "LANG", "TERM", "HOME")
                or name.endswith("SAN_OPTIONS")}
        return kept | {"XDG_CONFIG_HOME": str(self.home), "TROUPE_LOG": "info",
                       "TROUPE_STALLS": "5s"} | self.cluster.environment

    def troupe(self, *words, **options):
        return run([self.program, *words], env=self.environment(), **options)

    def write_config(self, port):
        listen = f"{self.address}:4200" if self.namespace else f"127.0.0.1:{port}"
        self.config.write_text(
            f"store: {self.cluster.store_of(self)}\n"
            + (f"store-password-file: {self.cluster.folder}/password\n"
               if self.namespace else "")
            + allow_root(self.program) + f"listen: {listen}\ncluster-folder: {self.home}/troupe/cluster\n"
            f"lease-time: {self.cluster.lease_time}\nslots: {self.cluster.slots}\n"
            "orphan-time: 1h\nstop-time: 5s\n" + self.cluster.settings
            + self.settings)

    def start(self, *options):
        """Without waiting for it. With options also if it runs: one of them is
        --upgrade then."""
        if not options and self.pid():
            return
        words = [self.program, "node", "--config", self.config, "--folder",
                 self.folder, "--socket", self.socket, *options]
        if self.namespace:
            words = ["nsenter", f"--net=/run/netns/{self.namespace}", *words]
        with open(self.log, "ab") as log:
            self.log_begin = log.tell()
            self.process = subprocess.Popen(
                [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.home, env=self.environment(),
                start_new_session=True)

    def await_up(self, within=60):
        def up():
            if self.process is not None and self.process.poll() is not None:
                raise Trouble(f"{self.name} has ended: {self.last_words()}")
            try:
                return self.ask("GET", "/v1/node")
            except (*NO_ANSWER, Refused):
                return None

        wait_until(up, f"the start of {self.name} (see {self.log})", within)

    def last_words(self):
        """From the last complaint on, which may have several lines: one about the
        configuration shows where it is."""
        said = self.log.read_bytes()[self.log_begin:]
        lines = said.decode(errors="replace").splitlines()
        begin = max((number for number, line in enumerate(lines)
                     if line.startswith("troupe: ")), default=len(lines) - 1)
        return "\n".join(lines[begin:]) if lines else "without a word"

    def ask(self, method, target, body=None, timeout=5.0):
        return ask(self.socket, method, target, body, timeout)

    def owner_of(self, file, comm):
        """The process that has its number in a file of the node's folder."""
        try:
            pid = int((self.folder / file).read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        is_it = read_proc(pid, "comm").startswith(comm)
        return pid if is_it and born(pid) is not None else None

    def pid(self):
        if self.process is not None:
            if self.process.poll() is not None:
                self.process = None
            else:
                return self.process.pid
        pid = self.owner_of("node.lock", b"troupe")
        return pid if pid and str(self.folder).encode() in \
            read_proc(pid, "cmdline").split(b"\0") else None

    def warden(self):
        return self.owner_of("warden.lock", b"troupe-warden")

    def commands(self):
        """What runs there, but for what has run away from its environment: in a
        network of its own that is found, too."""
        if self.namespace:
            if not Path("/run/netns", self.namespace).exists():
                return set()
            pids = {int(pid) for pid in
                    run(["ip", "netns", "pids", self.namespace]).split()}
            return pids - {self.pid(), self.warden()}
        session = self.session()
        return {pid for pid, mark in marks().items() if is_of(mark, session)}

    def session(self):
        """That of its warden; None without one."""
        pid = self.warden()
        words = read_proc(pid, "cmdline").split(b"\0") if pid else []
        return words[3].decode() if len(words) > 3 else None

    def forget(self):
        """Reaps it."""
        if self.process is not None:
            self.process.wait(60)
            self.process = None

    def die(self):
        """As if its machine were gone."""
        session = self.session()
        for pid in (self.pid(), self.warden()):
            if pid:
                kill(pid, signal.SIGKILL)
                kill(pid, signal.SIGCONT)

        def all_gone():
            left = self.commands() | {
                pid for pid, mark in marks().items() if is_of(mark, session)}
            left = {pid for pid in left if born(pid) is not None}
            for pid in left:
                kill(pid)
            return not left and not self.pid() and not self.warden()

        wait_until(all_gone, f"the end of {self.name}")
        self.forget()


# -- All of it ----------------------------------------------------------------


class LocalCluster:
    def __init__(self, folder, program=None, slots=2, lease_time="10s", plain=False):
        self.folder = Path(folder).resolve()
        self.program = program
        self.slots = slots
        self.lease_time = lease_time
        self.settings = ""     # More lines for each configuration,
        self.environment = {}  # and more variables.
        self.has_network = not plain and can_make_networks()
        self.members = {}
        self.server = None
        # Where a node finds the socket of the server; of a plain cluster.
        self.store_folder = lambda member: self.server.folder

    @property
    def id(self):
        return hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]

    def namespace(self, name):
        return f"troupe-{self.id}-{name}" if self.has_network else None

    @property
    def hub(self):
        return self.namespace("store")

    def store_of(self, member):
        if self.has_network:
            return (f"postgresql://troupe@store/troupe?hostaddr={STORE_ADDRESS}"
                    f"&sslmode=verify-full"
                    f"&sslrootcert={self.folder}/store.pem")
        return f"postgresql://troupe@/troupe?host={self.store_folder(member)}"

    # What there is of it.

    def save(self):
        new = self.folder / (STATE + ".new")
        new.write_text(json.dumps({
            "program": str(self.program), "slots": self.slots,
            "lease_time": self.lease_time, "has_network": self.has_network,
            "members": [member.number for member in self.members.values()]}))
        new.replace(self.folder / STATE)

    @classmethod
    def load(cls, folder):
        try:
            state = json.loads((Path(folder) / STATE).read_text())
        except (OSError, ValueError) as error:
            raise Trouble(f"there is no cluster in {folder}: "
                          "scripts/local_cluster.sh 3"
                          f"{option_of(folder)} starts one") from error
        cluster = cls(folder, state["program"], state["slots"], state["lease_time"],
                      plain=True)
        cluster.has_network = state["has_network"]
        cluster.server = Server(cluster.folder / "store", cluster.hub)
        for number in state["members"]:
            member = Member(cluster, number)
            cluster.members[member.name] = member
        return cluster

    # Beginning.

    def create(self, count):
        """The server, and `count` nodes that are enrolled and do not run yet."""
        check_tools(self.program)
        if len(str(self.folder)) > LONGEST_SOCKET - len("/n99/node/warden.sock"):
            raise Trouble(f"{self.folder} is too long for sockets: say another one "
                          "with --folder")
        self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            raise Trouble(f"{self.folder} is not empty: say another one with --folder")
        self.folder.chmod(0o711)  # The user of the server has to get through.
        self.server = Server(self.folder / "store", self.hub)
        for number in range(1, count + 1):
            member = Member(self, number)
            self.members[member.name] = member
        self.save()
        self.make_networks()
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(hashlib.sha256(os.urandom(32)).hexdigest())
        self.server.create(password.read_text())
        if self.has_network:
            shutil.copy(self.server.folder / "cert.pem", self.folder / "store.pem")
        self.server.start()
        run([server_programs() / "createdb", "-h", self.server.folder, "-U", "troupe",
             "troupe"])
        for member in self.members.values():
            self.enrol(member)

    def enrol(self, member):
        member.home.mkdir(mode=0o700)
        first = self.members["n1"]
        if member is first:
            member.troupe("cluster", "init", member.name)
        else:
            token = first.troupe("cluster", "token", member.name).decode().strip()
            request = member.troupe("cluster", "enrol", "--token", token)
            answer = self.sign(first, request)
            with tempfile.TemporaryFile() as file:
                file.write(answer)
                file.seek(0)
                member.troupe("cluster", "enrol", "--answer", "-", stdin=file)
        member.write_config(free_port())

    @staticmethod
    def sign(authority, request):
        with tempfile.TemporaryFile() as file:
            file.write(request)
            file.seek(0)
            return authority.troupe("cluster", "sign", stdin=file)

    def start(self):
        for member in self.members.values():
            member.start()
        for member in self.members.values():
            member.await_up()
        self.await_shards()

    def await_shards(self, within=60):
        """Until each node that runs has some of the work as the others see it."""
        running = [member for member in self.members.values() if member.pid()]

        def all_have():
            try:
                return all(
                    sum(node["shards"] > 0 for node in
                        member.ask("GET", "/v1/cluster")["nodes"]) >= len(running)
                    for member in running)
            except (*NO_ANSWER, Refused):
                return False

        wait_until(all_have, "that all nodes know of each other", within)

    # Networks: a bridge in the namespace of the server, and a line to each node.

    def make_networks(self):
        if not self.has_network:
            return
        run(["ip", "netns", "add", self.hub])
        run(["ip", "-n", self.hub, "link", "set", "lo", "up"])
        run(["ip", "-n", self.hub, "link", "add", "name", "br0", "type", "bridge"])
        run(["ip", "-n", self.hub, "address", "add", f"{STORE_ADDRESS}/24", "dev",
             "br0"])
        run(["ip", "-n", self.hub, "link", "set", "br0", "up"])
        for member in self.members.values():
            space = member.namespace
            run(["ip", "netns", "add", space])
            run(["ip", "-n", self.hub, "link", "add", "name", member.name, "type",
                 "veth", "peer", "name", "eth0", "netns", space])
            run(["ip", "-n", self.hub, "link", "set", member.name, "master", "br0",
                 "up"])
            run(["ip", "-n", space, "link", "set", "lo", "up"])
            run(["ip", "-n", space, "address", "add", f"{member.address}/24", "dev",
                 "eth0"])
            run(["ip", "-n", space, "link", "set", "eth0", "up"])

    def cut(self, member, to_store=True, to_node=True):
        """What goes one way, or both, is lost without a word."""
        if not self.has_network:
            raise Trouble("nodes without networks of their own cannot be cut off: "
                          "start the cluster as root")
        nowhere = ["lladdr", NOWHERE, "nud", "permanent", "dev"]
        if to_store:
            run(["ip", "-n", member.namespace, "neigh", "replace", STORE_ADDRESS,
                 *nowhere, "eth0"])
        if to_node:
            run(["ip", "-n", self.hub, "neigh", "replace", member.address, *nowhere,
                 "br0"])

    def heal(self, member):
        for space, address, device in (
                (member.namespace, STORE_ADDRESS, "eth0"),
                (self.hub, member.address, "br0")):
            if self.has_network:
                succeeds(["ip", "-n", space, "neigh", "del", address, "dev", device])

    # Ending.

    def end_in_order(self, within=20):
        """Each node is told to end; those that have not in time, or not with 0."""
        pids = {}
        for member in self.members.values():
            for pid in (member.pid(), member.warden()):
                if pid:
                    kill(pid, signal.SIGCONT)
            if pid := member.pid():
                pids[member.name] = (member.process, pid, born(pid))
                kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + within

        def has_ended(process, pid, since):
            if process is not None:
                return process.poll() is not None
            return born(pid) != since

        while time.monotonic() < deadline and \
                not all(has_ended(*one) for one in pids.values()):
            time.sleep(0.05)
        return [name for name, one in pids.items()
                if not has_ended(*one) or one[0] is not None and one[0].poll() != 0]

    def end(self):
        """All that was started, in order if that is possible, and the networks.
        May be repeated."""
        self.end_in_order()
        for member in self.members.values():
            member.die()
        if self.server is not None and server_programs():
            self.server.end()
        if self.has_network:
            for space in [self.hub, *(one.namespace for one in self.members.values())]:
                if Path("/run/netns", space).exists():
                    run(["ip", "netns", "delete", space])

    def remove(self):
        self.end()
        shutil.rmtree(self.folder)


def can_make_networks():
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nsenter", "setpriv"))):
        return False
    name = f"troupe-try-{os.getpid()}"
    try:
        return succeeds(["ip", "netns", "add", name]) and \
            succeeds(["ip", "-n", name, "link", "add", "name", "v0", "type", "veth",
                      "peer", "name", "v1"]) and \
            succeeds(["ip", "-n", name, "link", "add", "name", "b0", "type",
                      "bridge"])
    finally:
        succeeds(["ip", "netns", "delete", name])


def check_tools(program):
    if not server_programs():
        raise Trouble("there is no PostgreSQL: apt-get install postgresql")
    if not shutil.which("openssl"):
        raise Trouble("there is no openssl: apt-get install openssl")
    if not os.access(program, os.X_OK):
        raise Trouble(f"there is no {program}: scripts/quickstart.sh builds it, or "
                      "say TROUPE=FILE")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


# -- For people ---------------------------------------------------------------


def default_folder():
    return Path(f"/tmp/troupe-cluster-{os.geteuid()}")


def option_of(folder):
    """What the script has to be told of it, too: nothing, if it is the usual one."""
    if Path(folder).resolve() == default_folder().resolve():
        return ""
    return f" --folder {shlex.quote(str(folder))}"


def show_status(cluster):
    print(f"store  {'up' if cluster.server.is_up() else 'gone'}  "
          f"psql -h {cluster.server.folder} -U troupe troupe")
    for member in cluster.members.values():
        pid, warden = member.pid(), member.warden()
        print(f"{member.name:5}  " + (
            f"process {pid}, warden {warden or 'gone'}" if pid else
            "gone" + (f", but its warden {warden} is there" if warden else ""))
            + f"  TROUPE_SOCKET={member.socket}")


def start_cluster(folder, options):
    program = os.environ.get("TROUPE") or ROOT / "build/release/bin/troupe"
    if (folder / STATE).exists():
        raise Trouble(f"there is a cluster in {folder}: scripts/local_cluster.sh "
                      f"status{option_of(folder)} shows it, and stop ends it")
    count = int(options.action)
    if not 1 <= count <= 50:
        raise Trouble("1 to 50 nodes fit on a machine")
    cluster = LocalCluster(folder, Path(program).resolve(), options.slots,
                           options.lease_time, options.plain)
    try:
        cluster.create(count)
        cluster.start()
    except BaseException:
        if (folder / STATE).exists():
            cluster.end()
            print(f"local_cluster: what it has written is in {folder}; "
                  f"scripts/local_cluster.sh stop{option_of(folder)} removes it",
                  file=sys.stderr)
        raise
    where = "on a network of its own" if cluster.has_network else "on loopback"
    print(f"{count} nodes with {options.slots} slots each share a store, each {where}.\n"
          "To speak to one: "
          f"eval \"$(scripts/local_cluster.sh env n1{option_of(folder)})\"")


def main():
    parser = argparse.ArgumentParser(
        prog="local_cluster.sh", description="See the head of local_cluster.sh.")
    parser.add_argument("action", help="N, status, env, kill, start, cut, heal, stop")
    parser.add_argument("node", nargs="?")
    parser.add_argument("--folder", type=Path, default=default_folder())
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--lease-time", default="10s")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.action.isdigit():
        start_cluster(folder, options)
        return
    if options.action == "stop" and not (folder / STATE).exists():
        return
    cluster = LocalCluster.load(folder)
    if options.action == "status":
        show_status(cluster)
        return
    if options.action == "stop":
        cluster.remove()
        return
    if options.action not in ("env", "kill", "start", "cut", "heal"):
        raise Trouble(f"{options.action}: expected a number of nodes, or status, env, "
                      "kill, start, cut, heal or stop")
    member = cluster.members.get(options.node)
    if member is None:
        raise Trouble(f"{options.action}: which node? There are "
                      f"{', '.join(cluster.members)}")
    if options.action == "env":
        print(f"export TROUPE_SOCKET={member.socket}\n"
              f"export PATH={Path(cluster.program).parent}:$PATH")
    elif options.action == "kill":
        member.die()
    elif options.action == "start":
        member.start()
        member.await_up()
    elif options.action == "cut":
        cluster.cut(member)
    else:
        cluster.heal(member)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"local_cluster: {trouble}")
