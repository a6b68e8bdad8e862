"""The security requirements of a node, by their numbers; docs/design/security.md says
where each one is tested."""

import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import unittest
from pathlib import Path

import postgres_server
from nodes import (AS_NOBODY, NOBODY, Node, WithNode, is_root_with_setpriv,
                   socket_inodes)
from troupe_e2e import (LONG, SANITIZED, TROUPE, TroupeTest, children_of,
                        peak_memory_kib, processes_with, read_proc, wait_until)

ROOT = Path(__file__).resolve().parents[2]
API = ROOT / "docs/openapi.yaml"
WIRE = ROOT / "process/src/wire.hpp"


def operations():
    """Method, path and role of all that a node can be asked."""
    found = []
    path = method = None
    for line in API.read_text().splitlines():
        if matched := re.fullmatch(r"  (/\S+):", line):
            path = matched[1]
        elif matched := re.fullmatch(r"    (get|post|put|patch|delete):", line):
            method = matched[1].upper()
        elif matched := re.fullmatch(r"      x-role: (\w+)", line):
            found.append((method, path, matched[1]))
    return found


def with_numbers(path):
    """A path of things that are not there."""
    return re.sub(r"\{\w+\}", "999999", path)


class Audit(WithNode, TroupeTest):
    """S10: a record of who has done what with which result, append-only, and
    each line with the hash of the one before."""

    def lines(self):
        text = (self.node.folder / "audit.log").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def verify(self, *words):
        return self.troupe("audit", "verify", "--folder", self.node.folder, *words)

    def head(self):
        return self.verify("--json").json()["head"]

    def test_a_change_is_there_with_who_what_and_result(self):
        job = self.submit("--", "true")
        self.assertEqual(self.troupe("cancel", "99").code, 1)
        start, made, failed = self.lines()[-3:]
        self.assertEqual((start["by"], start["pid"]),
                         ("node", self.node.process.pid))
        self.assertEqual(
            [made[key] for key in ("by", "uid", "what", "about", "result")],
            ["user", os.geteuid(), "POST /v1/jobs", f"job {job}", "ok"])
        self.assertEqual((failed["what"], failed["result"]),
                         ("POST /v1/jobs/99/cancel", "not_found"))
        self.assertEqual(failed["number"], made["number"] + 1)

    def test_every_operation_that_changes_something_is_there(self):
        changing = [(method, path) for method, path, _ in operations()
                    if method != "GET"]
        self.assertGreater(len(changing), 15)
        # The last one ends the node.
        changing.sort(key=lambda one: one[1].endswith("/node/stop"))
        for method, path in changing:
            before = len(self.lines())
            target = with_numbers(path)
            status, _ = self.node.ask(method, target)
            seen = self.lines()[before:]
            self.assertEqual([line["what"] for line in seen],
                             [f"{method} {target}"], (path, status))
            self.assertEqual(seen[0]["result"] == "ok", status < 400, path)
        self.node.process.wait(LONG)
        self.assertEqual(self.verify().code, 0)

    def test_what_only_looks_is_not_there(self):
        wait_until(self.lines, what="the start of the node")
        before = len(self.lines())
        self.ok("list")
        self.ok("stats")
        self.assertEqual(len(self.lines()), before)

    def test_an_independent_reader_finds_the_chain_whole(self):
        for _ in range(5):
            self.submit("--", "true")
        before = "0" * 64
        for line in (self.node.folder / "audit.log").read_bytes().splitlines():
            self.assertEqual(json.loads(line)["before"], before)
            before = hashlib.sha256(line).hexdigest()
        self.assertEqual(self.head(), before)

    def test_a_line_that_was_changed_is_found(self):
        self.submit("--", "true")
        head = self.head()
        checked = self.verify("--head", head)
        self.assertEqual(
            (checked.code, checked.out, checked.err),
            (0, f"lines 1 to {len(self.lines())} are whole\nhead {head}\n", ""))
        path = self.node.folder / "audit.log"
        path.write_text(path.read_text().replace('"by":"node"', '"by":"nobody"', 1))
        broken = self.verify()
        self.assertEqual((broken.code, broken.out), (1, ""))
        self.assertIn("audit.log:2: line 2 does not follow", broken.err)
        path.write_text("")
        self.assertIn("no line has the hash", self.verify("--head", head).err)
        path.unlink()
        self.assertEqual(self.verify().code, 125)

    def test_no_kill_breaks_the_chain_or_loses_what_was_answered(self):
        jobs = set()
        for _ in range(4):
            for _ in range(10):
                jobs.add(f"job {self.submit('--', 'true')}")
            self.node.restart()
        self.assertEqual(self.verify().code, 0)
        self.assertLessEqual(jobs, {line.get("about") for line in self.lines()})

    def test_what_is_done_by_signals_is_there(self):
        self.node.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.lines()[-1]["what"] == "reload", what="the reload")
        self.node.terminate()
        last = self.lines()[-1]
        self.assertEqual((last["by"], last["what"], last["pid"]),
                         ("signal", "stop", os.getpid()))
        self.assertEqual(self.verify().code, 0)

    def test_runs_that_start_by_themselves_are_there(self):
        workflows = self.folder / "workflows"
        workflows.mkdir()
        (workflows / "tick.yaml").write_text(
            'on: { schedule: { cron: "* * * * * *" } }\njobs: { a: { run: "true" } }\n')
        self.node.configure(f"workflow-folder: {workflows}\n")
        self.node.restart()
        line = wait_until(
            lambda: next((line for line in self.lines() if line["by"] == "trigger"),
                         None), what="a run that has started by itself")
        self.assertIn("tick.yaml", line["what"])
        self.assertRegex(line["about"], r"^run \d+$")

    @unittest.skipUnless(is_root_with_setpriv(), "needs root and setpriv")
    def test_who_may_not_is_there_and_cannot_fill_it(self):
        self.folder.chmod(0o755)
        self.node.configure("socket-group: nogroup\nsocket-group-role: read\n")
        self.node.restart()
        ask = ("import sys; sys.path.insert(0, sys.argv[2]); import nodes\n"
               "for _ in range(100):\n"
               "    one = nodes.UnixConnection(sys.argv[1])\n"
               "    status = nodes.exchange(one, 'POST', '/v1/node/stop')[0]\n"
               "    assert status == 403, status\n")
        finished = self.run_program(
            [*AS_NOBODY, "python3", "-B", "-c", ask, self.node.socket,
             Path(__file__).parent])
        self.assertEqual(finished.code, 0, finished)
        refused = [line for line in self.lines() if line.get("uid") == NOBODY]
        self.assertEqual({(line["what"], line["result"]) for line in refused},
                         {("POST /v1/node/stop", "permission_denied")})
        self.assertLess(len(refused), 50)

    def test_it_is_for_the_eyes_of_its_user_alone(self):
        self.assertEqual(
            (self.node.folder / "audit.log").stat().st_mode & 0o777, 0o600)

    def test_it_has_no_text_of_commands(self):
        self.submit("--name", "canary-1", "--env", "X=canary-2", "--", "echo canary-3")
        self.assertNotIn("canary", (self.node.folder / "audit.log").read_text())


class AuthorityAudit(TroupeTest):
    """S10: so is what the authority of a cluster does."""

    def test_tokens_certificates_and_revocations_are_there(self):
        folder = self.cwd / "authority"

        def cluster(*words, code=0, **options):
            finished = self.troupe("cluster", *words, **options)
            self.assertEqual(finished.code, code, finished)
            return finished.out

        cluster("init", "n1", "--authority", folder, "--folder", self.cwd / "n1")
        token = cluster("token", "n2", "--authority", folder).strip()
        request = cluster("enrol", "--token", token, "--folder", self.cwd / "n2")
        for code in (0, 1):
            cluster("sign", "--authority", folder, code=code,
                    input=(request if code == 0 else "nonsense").encode())
        cluster("revoke", "n2", "--authority", folder)
        cluster("certificates", "--authority", folder)
        text = (folder / "audit.log").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        self.assertEqual(
            [(line["what"], line.get("about", "").split(" ")[0], line["result"])
             for line in lines[1:]],
            [("cluster sign", "n1", "ok"), ("cluster token", "n2", "ok"),
             ("cluster sign", "n2", "ok"), ("cluster sign", "", "corrupt"),
             ("cluster revoke", "n2", "ok")])
        self.assertEqual({line["uid"] for line in lines}, {os.getuid()})
        self.assertNotIn(token, text)
        checked = self.troupe("audit", "verify", "--folder", folder)
        self.assertEqual((checked.code, checked.err), (0, ""))


class Canaries:
    """S9: values of secrets are with the command that needs them and nowhere else."""

    FROM_FILE, FROM_COMMAND = b"canary-file-83415", b"canary-command-27182"
    STORE = ""

    def setUp(self):
        super().setUp()
        self.node = Node(self, "slots: 2\n" + self.STORE)
        self.env["TROUPE_SOCKET"] = str(self.node.socket)
        self.node.start()
        # The only places that are meant to have them.
        self.sources = [self.cwd / "file", self.cwd / "calc"]
        self.sources[0].write_bytes(self.FROM_FILE + b"\n")
        self.sources[1].write_bytes(self.FROM_COMMAND + b"\n")

    def tree(self, pid):
        found = {pid}
        for child in children_of(pid):
            found |= self.tree(child)
        return found

    def assert_is_in_no(self, paths):
        for path in paths:
            if path.is_file() and path not in self.sources:
                data = path.read_bytes()
                for canary in (self.FROM_FILE, self.FROM_COMMAND):
                    self.assertNotIn(canary, data, path)

    def assert_is_in_no_process_but(self, command):
        """In no command line at all, and in no environment but of `command` and of
        what that has started."""
        own = self.tree(command)
        with_them = set()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            for canary in (self.FROM_FILE, self.FROM_COMMAND):
                self.assertNotIn(canary, read_proc(entry.name, "cmdline"), entry)
                if canary in read_proc(entry.name, "environ"):
                    with_them.add(int(entry.name))
        self.assertIn(command, with_them, "the test looks in the wrong place")
        # Meanwhile its shell may have started another sleep.
        self.assertLessEqual(with_them - own, self.tree(command))

    def files(self):
        """All that there is of this test's."""
        return self.folder.rglob("*")

    def test_no_process_and_no_file_has_them_but_the_command(self):
        (self.cwd / "flow.yaml").write_text("""\
secrets:
  PASS: { from: file, key: file }
  CALC: { from: command, key: "cat %s" }
""" % self.sources[1] + """\
jobs:
  a:
    env: { PASS: "${{ secrets.PASS }}", URL: "db://u:${{ secrets.CALC }}@h" }
    outputs: { made: "${{ steps.s.outputs.made }}" }
    steps:
      - id: s
        run: |
          echo $$ > pid; echo "$PASS"; echo "$URL" >&2
          until test -e gate; do sleep .02; done
          test "$PASS" = "$(cat file)" && echo "made=$URL" >> "$TROUPE_OUTPUT"
  b: { needs: a, run: "echo got ${{ needs.a.outputs.made }}; exit 3" }
""")
        run = self.troupe("submit", "-f", "flow.yaml").out.strip()
        command = int(self.wait_for_file("pid"))
        self.assert_is_in_no_process_but(command)
        (self.cwd / "gate").touch()
        self.assertEqual(self.troupe("wait", run).code, 1)
        said = self.troupe("logs", run, "a").raw_out + \
            self.troupe("logs", run, "b").raw_out + \
            self.troupe("status", run, "--json").raw_out
        self.assertIn(b"***", said)
        for canary in (self.FROM_FILE, self.FROM_COMMAND):
            self.assertNotIn(canary, said)
        self.assert_is_in_no(self.files())
        self.node.restart()
        self.node.terminate()
        self.assert_is_in_no(self.files())

    def test_a_run_without_a_node_keeps_them_from_all_others_too(self):
        (self.cwd / "flow.yaml").write_text("""\
secrets:
  PASS: { from: file, key: file }
  CALC: { from: command, key: "cat %s" }
jobs:
  a:
    env: { PASS: "${{ secrets.PASS }}", CALC: "${{ secrets.CALC }}" }
    run: "echo $$ > pid; env; until test -e gate; do sleep .02; done"
""" % self.sources[1])
        running = self.start_troupe("run", "flow.yaml")
        self.assert_is_in_no_process_but(int(self.wait_for_file("pid")))
        (self.cwd / "gate").touch()
        finished = running.finish()
        self.assertEqual(finished.code, 0, finished)
        for canary in (self.FROM_FILE, self.FROM_COMMAND):
            self.assertNotIn(canary, finished.raw_out + finished.raw_err)
        self.assert_is_in_no(self.files())

    def test_no_job_sees_what_the_node_has_in_its_environment(self):
        self.node.terminate()
        self.node.start(env={"TOKEN": self.FROM_FILE.decode()})
        job = self.troupe("submit", "--wait", "--follow", "--", "env; echo end")
        self.assertEqual(job.code, 0, job)
        self.assertIn(b"end\n", job.raw_out)
        self.assertNotIn(self.FROM_FILE, job.raw_out)
        self.node.terminate()
        self.assert_is_in_no(self.files())


class CanariesWithSqlite(Canaries, TroupeTest):
    """S9, with a store that is a file."""


@unittest.skipIf(postgres_server.binaries() is None, "PostgreSQL is not there")
class CanariesWithPostgres(Canaries, TroupeTest):
    """S9, with a store that is a server: its files, its log and what it had to write
    in advance."""

    def setUp(self):
        self.server = postgres_server.PostgresServer()
        self.addCleanup(self.server.end)
        self.STORE = f"store: {self.server.new_database()}\n"
        super().setUp()

    def files(self):
        yield from super().files()
        yield from self.server.root.rglob("*")


class AllowList(WithNode, TroupeTest):
    """S5: whatever can be asked has a role that is needed for it. (What nodes can say
    to each other: AllowList in tests/link/message_test.cpp.)"""

    # Who may answer is named by the workflow, and asked by the handler.
    BY_READERS = {("POST", "/v1/runs/{run}/jobs/{job}/answer")}
    ROLES = ["read", "operate", "admin"]

    def test_nothing_changes_by_the_role_read(self):
        self.assertGreater(len(operations()), 30)
        described = len(re.findall(r"^      operationId: ", API.read_text(), re.M))
        self.assertEqual(len(operations()), described, "an operation without a role")
        by_readers = {(method, path) for method, path, role in operations()
                      if role == "read" and method != "GET"}
        self.assertEqual(by_readers, self.BY_READERS)

    @unittest.skipUnless(is_root_with_setpriv(), "needs root and setpriv")
    def test_each_operation_is_refused_to_who_has_less_than_its_role(self):
        ask = ("import json, sys; sys.path.insert(0, sys.argv[2]); import nodes\n"
               "for line in sys.stdin:\n"
               "    method, target = line.split()\n"
               "    one = nodes.UnixConnection(sys.argv[1], 10)\n"
               "    one.request(method, target)\n"
               "    print(one.getresponse().status, flush=True)\n"
               "    one.close()\n")
        self.folder.chmod(0o755)
        # Events go on for ever, once they have begun; the status is enough.
        lines = "".join(f"{method} {with_numbers(path)}\n"
                        for method, path, _ in operations())
        for own in ("read", "operate"):
            self.node.configure(f"socket-group: nogroup\nsocket-group-role: {own}\n")
            self.node.restart()
            finished = self.run_program(
                [*AS_NOBODY, "python3", "-B", "-c", ask, self.node.socket,
                 Path(__file__).parent], input=lines.encode())
            self.assertEqual(finished.code, 0, finished)
            for (method, path, role), status in zip(
                    operations(), finished.out.split(), strict=True):
                is_allowed = self.ROLES.index(own) >= self.ROLES.index(role)
                self.assertEqual(status == "403", not is_allowed,
                                 (own, method, path, status))


class OpenPorts(TroupeTest):
    """S2 and S15: nothing of a default installation has a socket of any network.
    (A node that was told to listen: tests/e2e/node_links_test.py.)"""

    TABLES = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6",
              "icmp", "icmp6", "packet")

    def network_sockets(self, pid):
        own = socket_inodes(pid)
        found = []
        for table in self.TABLES:
            path = Path(f"/proc/{pid}/net/{table}")
            lines = path.read_text().splitlines()[1:] if path.exists() else []
            column = 8 if table == "packet" else 9
            found += [(table, line) for line in lines if line.split()[column] in own]
        return found

    def assert_no_ports(self, least):
        """Of all that runs of ours, and that the programs have been seen."""
        seen = set()
        for pid in processes_with(self.mark):
            if (name := read_proc(pid, "comm").decode().strip()).startswith("troupe"):
                seen.add(name)
                self.assertEqual(self.network_sockets(pid), [], (pid, name))
        self.assertLessEqual(least, seen)

    def test_the_test_would_see_one(self):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            one.listen()
            self.assertEqual(len(self.network_sockets(os.getpid())), 1)

    def test_a_node_at_work_has_none(self):
        node = Node(self)
        self.env["TROUPE_SOCKET"] = str(node.socket)
        node.start()
        job = self.troupe("submit", "--", "sleep", self.seconds).out.strip()
        node.wait_for_pid(job)
        self.assert_no_ports({"troupe-engine", "troupe-warden"})

    def test_commands_without_a_node_have_none(self):
        (self.cwd / "flow.yaml").write_text(
            f"jobs: {{ a: {{ run: 'touch ready-run; sleep {self.seconds}' }} }}\n")
        (self.cwd / "stack.yaml").write_text(
            "services: { children: { a: { run: 'touch ready-up; sleep "
            f"{self.seconds}' }} }} }}\n")
        for name, words in (
                ("exec", ["exec", "--shell",
                          f"touch ready-exec; sleep {self.seconds}"]),
                ("map", ["map", f"touch {{}}; sleep {self.seconds}", ":::",
                         "ready-map"]),
                ("run", ["run", "flow.yaml"]), ("up", ["up", "stack.yaml"])):
            running = self.start_troupe(*words)
            wait_until((self.cwd / f"ready-{name}").exists, what=f"{name} at work")
            self.assert_no_ports({"troupe-warden"})
            running.signal(signal.SIGTERM)
            running.finish()


class Socket(WithNode, TroupeTest):
    """S3: clients come by a unix socket with who they are, known by the kernel. (Users
    of no or of another group: Strangers in tests/e2e/node_flood_test.py.)"""

    def test_it_is_for_its_user_alone(self):
        self.assertEqual(self.node.socket.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.node.folder.stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.node.folder / "warden.sock").stat().st_mode & 0o077, 0)

    @unittest.skipUnless(is_root_with_setpriv(), "needs root and setpriv")
    def test_with_a_group_it_is_for_that_as_well(self):
        self.node.configure("socket-group: nogroup\n")
        self.node.restart()
        status = self.node.socket.stat()
        self.assertEqual((status.st_mode & 0o777, status.st_gid), (0o660, NOBODY))


@unittest.skipIf(SANITIZED, "needs the memory that it needs")
class Decoders(WithNode, TroupeTest):
    """S6: what was announced takes no memory before it has come, and whatever comes is
    bounded. (Frames of nodes: tests/link/message_test.cpp and links_test.cpp; of the
    warden: tests/process/wire_test.cpp.)"""

    def answers(self, head, count=50):
        """Of clients that are connected at the same time."""
        clients = []
        for _ in range(count):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.addCleanup(client.close)
            client.settimeout(LONG)
            client.connect(str(self.node.socket))
            try:
                client.sendall(head)
            except (BrokenPipeError, ConnectionError):
                pass  # It has seen enough.
            clients.append(client)
        answers = [client.recv(4096)[:12] for client in clients]
        for client in clients:
            client.close()
        self.node.wait_for_no_clients()
        return answers

    def test_the_length_that_was_announced_takes_no_memory(self):
        post = (b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\n"
                b"Content-Type: application/json\r\n")
        self.answers(post + b"Content-Length: 0\r\n\r\n")
        before = peak_memory_kib(self.node.process.pid)
        for length in (2 ** 32, 2 ** 32 - 1, 2 ** 63, 10 ** 30):
            for answer in self.answers(post + b"Content-Length: %d\r\n\r\n" % length):
                self.assertIn(answer, (b"HTTP/1.1 413", b"HTTP/1.1 400"), length)
        chunked = post + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF0\r\n"
        for answer in self.answers(chunked + b"[" * (2 << 20), 5):
            self.assertEqual(answer, b"HTTP/1.1 413")
        for answer in self.answers(b"GET /v1/" + b"a" * (4 << 20), 5):
            self.assertEqual(answer, b"HTTP/1.1 431")
        grown = peak_memory_kib(self.node.process.pid) - before
        self.assertLess(grown, 32 << 10, "KiB more than before")
        self.assertEqual(self.troupe("submit", "--wait", "--", "exit 4").code, 4)

    def test_a_webhook_that_announces_much_takes_no_memory(self):
        workflows = self.folder / "workflows"
        workflows.mkdir()
        self.node.configure(f"workflow-folder: {workflows}\n"
                            "webhook-listen: 127.0.0.1:0\n")
        self.node.restart()
        address = self.node.get("/v1/triggers")["webhook_address"]
        before = peak_memory_kib(self.node.process.pid)
        for _ in range(20):
            with socket.create_connection(
                    ("127.0.0.1", int(address.rsplit(":", 1)[1])), LONG) as client:
                client.sendall(b"POST /hooks/x HTTP/1.1\r\nHost: a\r\n"
                               b"Content-Length: 4294967296\r\n\r\n")
                self.assertEqual(client.recv(4096)[:10], b"HTTP/1.1 4")
        grown = peak_memory_kib(self.node.process.pid) - before
        self.assertLess(grown, 32 << 10, "KiB more than before")

    def test_a_frame_that_announces_much_takes_no_memory_of_the_warden(self):
        """Of who has taken it over, which is the worst that can speak to it."""
        job = self.sleeper()
        pid = self.node.warden()
        before = peak_memory_kib(pid)
        version = int(re.search(r"wire_version = (\d+);", WIRE.read_text())[1])
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.settimeout(LONG)
        client.connect(str(self.node.folder / "warden.sock"))
        client.sendall(struct.pack("<4sIIQ", b"TRPW", version, 0, 0))
        self.assertNotEqual(client.recv(4096), b"", "the test is not understood")
        client.sendall(struct.pack("<IBQI", 0xFFFFFFF0, 1, 1, 1) + b"x" * 4096)
        try:
            while client.recv(65536):
                pass
        except ConnectionError:
            pass
        self.assertLess(peak_memory_kib(pid) - before, 8 << 10, "KiB more than before")
        # The node was cut off, and the next one finds all as it was.
        self.assertEqual(self.node.process.wait(LONG), 0)
        self.node.start()
        self.assertEqual(self.node.warden(), pid)
        self.assertEqual(self.node.job(job)["state"], "running")
        self.ok("cancel", job)


class Privileges(TroupeTest):
    """S8: a node is not root unless somebody wants that, and its commands get no
    rights that it does not have if somebody wants that."""

    def submitted(self, node, *words):
        finished = self.troupe("submit", "--wait", "--follow", "--socket", node.socket,
                               "--", *words)
        self.assertEqual(finished.code, 0, finished)
        return finished.out

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_is_refused_before_anything_is_made(self):
        node = Node(self)
        node.config.write_text("slots: 2\n")
        for options in ((), ("--detach",), ("--upgrade",)):
            finished = self.troupe(*node.argv(*options)[1:])
            self.assert_ended(
                finished, 125, "",
                "troupe: this node would be root, and so would each command that is "
                "submitted; start it as another user, or say allow-root: true in its "
                f"configuration ({node.config})\n")
        self.assertFalse(node.folder.exists())
        self.assertFalse(node.socket.exists())
        node.config.write_text("slots: 2\nallow-root: true\n")
        node.start()
        self.assertEqual(self.submitted(node, "id -u"), "0\n")

    @unittest.skipUnless(is_root_with_setpriv(), "needs root and setpriv")
    def test_another_user_needs_no_word_for_it(self):
        self.folder.chmod(0o755)
        home = self.folder / "nobody"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        node = Node(self)
        node.folder, node.socket = home / "node", home / "node.sock"
        node.config.write_text("slots: 2\n")
        node.start(prefix=AS_NOBODY)
        self.assertEqual(self.submitted(node, "id -u"), f"{NOBODY}\n")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_program_of_another_user_gives_its_rights_or_does_not(self):
        program = self.cwd / "id"
        shutil.copy("/usr/bin/id", program)
        os.chown(program, NOBODY, NOBODY)
        program.chmod(0o4755)
        if os.statvfs(program).f_flag & os.ST_NOSUID:
            self.skipTest("programs give no rights here")
        for setting, user in (("false", NOBODY), ("true", 0)):
            with self.subTest(no_new_privileges=setting):
                node = Node(self, f"no-new-privileges: {setting}\n", name=setting)
                node.start()
                self.assertEqual(self.submitted(node, f"{program} -u"), f"{user}\n")

    def test_what_is_kept_from_before_is_told(self):
        node = Node(self).start()
        self.env["TROUPE_SOCKET"] = str(node.socket)
        job = self.troupe("submit", "--", "sleep", self.seconds).out.strip()
        node.wait_for_pid(job)
        node.process.kill()
        node.process.wait()
        node.configure("no-new-privileges: true\n")
        node.start()
        self.assertIn("commands_may_gain_privileges", node.log_text())
        # Nothing is kept, so the next one has a warden of its own.
        self.assertEqual(node.terminate(), 0)
        before = len(node.log_text())
        node.start()
        self.assertNotIn("commands_may_gain", node.log_text()[before:])
        self.assertEqual(
            self.submitted(node, "grep NoNewPrivs /proc/self/status").split(),
            ["NoNewPrivs:", "1"])


class Environment(WithNode, TroupeTest):
    """S14: a command has the environment of who submitted it; of a node it has a few
    variables that are for all, if nobody said anything, and never the others."""

    CANARY = "canary-environment-14142"
    FOR_ALL = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LC_ALL", "XDG_RUNTIME_DIR",
               "TROUPE_SOCKET"}
    OF_THE_JOB = {"TROUPE_COMMAND", "TROUPE_JOB", "TROUPE_TASK", "TROUPE_ATTEMPT"}
    COMMAND = ["/usr/bin/env", "-0"]

    def setUp(self):
        super().setUp()
        self.node.terminate()
        self.workflows = self.folder / "workflows"
        self.workflows.mkdir()
        self.node.configure(f"slots: 2\nworkflow-folder: {self.workflows}\n")
        self.node.start(env={"PGPASSWORD": self.CANARY, "XDG_DATA_DIRS": self.CANARY,
                             "NOTIFY_ME": self.CANARY})

    def variables(self, job):
        lines = self.output(job).split(b"\0")[:-1]
        return dict(line.decode().split("=", 1) for line in lines)

    def post_job(self, **command):
        job = self.node.post("/v1/jobs", {
            "request_id": "a", "command": {"words": self.COMMAND, **command}})["job"]
        self.node.wait_for_end(job)
        return self.variables(job)

    def environment_of_run(self, run):
        """The run has one job with one step, which has written it to a file."""
        self.assertEqual(self.troupe("wait", f"r{run}").code, 0)
        lines = (self.workflows / "seen").read_bytes().split(b"\0")[:-1]
        return dict(line.decode().split("=", 1) for line in lines)

    def test_without_one_it_is_the_documented_minimum(self):
        seen = self.post_job()
        self.assertEqual(seen.keys(), self.FOR_ALL | self.OF_THE_JOB)
        self.assertEqual(
            (seen["HOME"], seen["TROUPE_SOCKET"], seen["USER"]),
            (self.env["HOME"], str(self.node.socket),
             pwd.getpwuid(os.geteuid()).pw_name))
        guide = (ROOT / "docs/guide/node.md").read_text()
        [paragraph] = re.findall(r"\*\*Environment\.\*\*.*?\n\n", guide, re.DOTALL)
        for name in self.FOR_ALL - {"LC_ALL"}:
            self.assertIn(f"`{name}`", paragraph)

    def test_with_one_it_is_that_and_no_more(self):
        self.assertEqual(self.post_job(env={"A": "1"}).keys(), {"A"} | self.OF_THE_JOB)
        job = self.submit("--clear-env", "--", *self.COMMAND)
        self.node.wait_for_end(job)
        self.assertEqual(self.variables(job).keys(), self.OF_THE_JOB)

    def test_of_who_submits_it_is_all_and_of_the_node_nothing(self):
        job = self.submit("--", *self.COMMAND, env={"OF_THE_SHELL": "a  b"})
        self.node.wait_for_end(job)
        seen = self.variables(job)
        self.assertEqual(seen["OF_THE_SHELL"], "a  b")
        self.assertNotIn(self.CANARY, seen.values())

    def test_of_a_run_without_one_it_is_the_minimum_as_well(self):
        text = "jobs: { a: { run: 'env -0 > seen' } }\n"
        run = self.node.post("/v1/runs", {
            "request_id": "a", "file": str(self.workflows / "x.yaml"), "text": text,
            "cwd": str(self.workflows)})["run"]
        seen = self.environment_of_run(run)
        self.assertLessEqual(self.FOR_ALL, seen.keys())
        self.assertNotIn(self.CANARY, seen.values())
        run = self.node.post("/v1/runs", {
            "request_id": "b", "file": str(self.workflows / "x.yaml"), "text": text,
            "cwd": str(self.workflows), "env": {"PATH": "/usr/bin:/bin"}})["run"]
        self.assertNotIn("HOME", self.environment_of_run(run))

    def test_of_a_run_by_a_trigger_it_is_the_minimum_as_well(self):
        (self.workflows / "tick.yaml").write_text(
            'on: { schedule: { cron: "* * * * * *" } }\n'
            "jobs: { a: { run: 'env -0 > seen' } }\n")
        runs = wait_until(lambda: self.node.get("/v1/runs")["runs"], what="a run")
        seen = self.environment_of_run(runs[-1]["run"])
        self.assertLessEqual(self.FOR_ALL, seen.keys())
        self.assertNotIn(self.CANARY, seen.values())


class Binaries(TroupeTest):
    """S7: no actor is reachable from a network, since what could do that is not
    there."""

    def programs(self):
        folder = Path(TROUPE).resolve().parent
        return [folder / name for name in ("troupe", "troupe-engine", "troupe-warden")]

    def test_the_network_of_the_actor_library_is_not_in_them(self):
        engine = self.programs()[1].read_bytes()
        self.assertIn(b"N3caf", engine, "the test looks in the wrong place")
        for program in self.programs():
            data = program.read_bytes()
            for name in (b"N3caf2io", b"N3caf7openssl", b"libcaf_io", b"libcaf_openssl"):
                self.assertNotIn(name, data, program)
            linked = subprocess.run(["ldd", program], capture_output=True, text=True,
                                    check=False, timeout=LONG)
            self.assertNotRegex(linked.stdout, "caf_(io|openssl)")


if __name__ == "__main__":
    unittest.main()
