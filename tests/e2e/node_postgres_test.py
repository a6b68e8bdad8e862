"""troupe node with its jobs in PostgreSQL: all that a node does, and what becomes of
it when the server is slow, gone, somebody else's or not there at all."""

import collections
import os
import shutil
import signal
import time
import unittest
from pathlib import Path

import node_adoption_test
import node_groups_test
import node_run_crash_test
import node_test
import node_triggers_test
from nodes import Node, WithNode
from postgres_server import OnPostgres, PostgresServer, binaries
from troupe_e2e import LONG, TroupeTest, read_proc, wait_until


class Killed(OnPostgres, node_adoption_test.Killed, TroupeTest):
    """What holds of a node that is killed holds with this store as well."""


class OneCrash(OnPostgres, node_run_crash_test.OneCrash, TroupeTest):
    """The same of its runs."""


class Triggered(OnPostgres, node_triggers_test.Restarts, TroupeTest):
    """The same of what starts them."""


class Jobs(OnPostgres, node_test.Jobs, TroupeTest):
    """The same of jobs: submitted, tried again, cancelled, counted."""


class Groups(OnPostgres, node_groups_test.Groups, TroupeTest):
    """The same of what keeps them apart."""


class WithServer(OnPostgres, WithNode):
    CONFIG = "slots: 8\n"
    DURABLE = True

    def setUp(self):
        super().setUp()
        self.addCleanup(self.bring_back)

    def bring_back(self):
        if self.server.process is None:
            self.server.start()


class ThousandTasks(WithServer, TroupeTest):
    """Each runs once, whoever is killed meanwhile."""

    def thousand(self):
        return self.submit("--array", "1-1000", "--", "echo {} >> ran; sleep 0.02")

    def wait_until_some_ran(self, count):
        path = self.cwd / "ran"
        wait_until(lambda: path.exists() and
                   len(path.read_text().splitlines()) > count,
                   what=f"{count} tasks that have run")

    def assert_each_once(self, job):
        info = self.node.wait_for_end(job, 4 * LONG)
        self.assertEqual((info["state"], info["counts"]["success"]),
                         ("succeeded", 1000), info)
        ran = collections.Counter(map(int, self.text("ran").split()))
        self.assertEqual(ran, collections.Counter(range(1, 1001)))

    def test_a_thousand_tasks_run_once_though_the_node_is_killed(self):
        job = self.thousand()
        for count in (100, 300, 600):
            self.wait_until_some_ran(count)
            self.node.restart()
        self.assert_each_once(job)

    def test_a_thousand_tasks_run_once_though_the_server_is_killed(self):
        job = self.thousand()
        for count in (100, 300, 600):
            self.wait_until_some_ran(count)
            self.server.kill()
            self.server.start()
        self.assert_each_once(job)

    def test_a_thousand_tasks_run_once_though_both_are_killed(self):
        job = self.thousand()
        self.wait_until_some_ran(200)
        self.server.kill()
        self.node.kill()
        self.server.start()
        self.node.start()
        self.assert_each_once(job)


class ServerGone(WithServer, TroupeTest):
    """What goes on without it, what does not, and when it is back."""

    def try_to_submit(self):
        """The status, the code of the error, and how long it took."""
        begun = time.monotonic()
        status, value = self.node.ask("POST", "/v1/jobs", {
            "request_id": f"late {begun}",
            "command": {"words": ["true"], "cwd": "/"}})
        return (status, value.get("error", {}).get("code"),
                time.monotonic() - begun, value)

    def test_what_ends_meanwhile_is_recorded_when_it_is_back(self):
        job = self.submit("--", "until test -e go; do sleep 0.01; done; "
                                "echo x >> ran")
        self.node.wait_for_pid(job)
        self.server.stop()
        (self.cwd / "go").touch()
        self.wait_for_file("ran")
        wait_until(lambda: self.node.get("/v1/node")["store"]["is_gone"],
                   what="a node that cannot record an end")
        self.server.start()
        self.assertEqual(self.node.wait_for_end(job)["state"], "succeeded")
        self.assertEqual(len(self.node.task(job)["attempts"]), 1)
        self.assertEqual(self.text("ran"), "x\n")
        for said in "store_gone", "store_back":
            self.assertIn(said, self.node.log_text())

    def test_submissions_are_refused_in_time_and_taken_when_it_is_back(self):
        self.submit("--", "true")
        self.server.stop()
        for _ in range(2):
            status, code, took, value = self.try_to_submit()
            self.assertEqual((status, code), (503, "unavailable"), value)
            self.assertIn("the store is gone: postgresql://",
                          value["error"]["what"])
            self.assertLess(took, 6)
        self.assertTrue(self.node.get("/v1/node")["store"]["is_gone"])
        # The command says so as well, and that it may be tried again.
        refused = self.troupe("submit", "--", "true", within=2 * LONG)
        self.assertNotEqual(refused.code, 0)
        self.assertIn("the store is gone", refused.err)
        self.server.start()
        wait_until(lambda: self.try_to_submit()[0] == 201, 60,
                   "a node that finds its store again")
        self.assertFalse(self.node.get("/v1/node")["store"]["is_gone"])

    def test_a_server_that_stands_still_holds_nobody_up(self):
        running = self.sleeper()
        stopped = self.server.backends()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: [os.kill(pid, signal.SIGCONT) for pid in stopped
                                 if read_proc(pid, "stat")])
        # So does whoever connects now: the lock of the store is still held.
        begun = time.monotonic()
        answers = [self.try_to_submit() for _ in range(2)]
        for _ in range(20):
            self.assertLess(self.time_of(lambda: self.node.get("/v1/node")), 1)
        self.assertEqual([answer[0] for answer in answers], [503, 503])
        self.assertLess(max(answer[2] for answer in answers), 6.5)
        self.assertLess(time.monotonic() - begun, 15)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: self.try_to_submit()[0] == 201, 60,
                   "a node that finds its store again")
        self.ok("cancel", running)
        self.node.wait_for_end(running)

    @staticmethod
    def time_of(call):
        begun = time.monotonic()
        call()
        return time.monotonic() - begun

    def test_a_node_that_ends_without_its_store_leaves_its_commands(self):
        job = self.submit("--", "until test -e go; do sleep 0.01; done; "
                                "echo x >> ran")
        pid = self.node.wait_for_pid(job)
        self.server.stop()
        self.node.kill()
        # It does not come up, and what runs does not pay for it.
        process = self.node.launch()
        self.assertEqual(process.wait(LONG), 125)
        self.assertIn("store: postgresql://", self.node.log_text())
        self.server.start()
        self.node.start()
        self.assertEqual(self.node.wait_for_pid(job), pid)
        (self.cwd / "go").touch()
        self.assertEqual(self.node.wait_for_end(job)["state"], "succeeded")
        self.assertEqual(self.text("ran"), "x\n")

    def test_who_waits_and_who_follows_hear_the_end_when_it_is_back(self):
        job = self.submit("--", "echo a; until test -e go; do sleep 0.01; done; "
                                "echo b")
        self.node.wait_for_pid(job)
        waiting = self.start_troupe("wait", job)
        following = self.start_troupe("logs", "-f", job)
        self.assertEqual(following.process.stdout.readline(), b"a\n")
        wait_until(lambda: self.node.count_clients() >= 2, what="two clients")
        self.server.stop()
        wait_until(lambda: self.node.get("/v1/node")["store"]["is_gone"],
                   what="a node that finds its store gone")
        (self.cwd / "go").touch()
        self.server.start()
        self.assertEqual(waiting.finish(2 * LONG).code, 0)
        followed = following.finish(2 * LONG)
        self.assertEqual((followed.code, followed.out), (0, "b\n"))

    def test_a_run_goes_on_when_it_is_back(self):
        (self.cwd / "flow.yaml").write_text("""\
jobs:
  first: { run: "until test -e go; do sleep 0.01; done; echo first >> trace" }
  second: { needs: [first], run: echo second >> trace }
""")
        self.ok("submit", "-f", "flow.yaml")
        wait_until(lambda: self.node.get("/v1/stats")["running"], what="a job")
        self.server.kill()
        (self.cwd / "go").touch()
        self.wait_for_file("trace")
        self.server.start()
        self.assertEqual(self.troupe("wait", "r1", within=2 * LONG).code, 0)
        self.assertEqual(self.text("trace"), "first\nsecond\n")


class Place(OnPostgres, TroupeTest):
    """What is said of where the store is, and of how it is."""

    def setUp(self):
        super().setUp()
        self.node = Node(self, "slots: 2\n")
        self.env["TROUPE_SOCKET"] = str(self.node.socket)

    def trouble(self, config):
        """Why a node does not come up, which it says in time."""
        self.node.configure(config)
        before = len(self.node.log_text())
        process = self.node.launch()
        process.wait(15)
        self.assertNotEqual(process.returncode, 0)
        self.node.process = None
        return self.node.log_text()[before:]

    def test_says_that_nobody_is_there(self):
        text = self.trouble("store: postgresql://troupe@/x?host=/nonexistent\n")
        self.assertIn("store: postgresql://troupe@/nonexistent/x: cannot connect: ",
                      text)
        self.assertIn("is the server running, and is this where it is?", text)
        self.assertFalse((self.node.folder / "store.db").exists())

    def test_says_that_there_is_no_such_database(self):
        text = self.trouble(f"store: {self.server.uri('none')}\n")
        self.assertIn('database "none" does not exist', text)
        self.assertIn("CREATE DATABASE", text)

    def test_refuses_what_it_does_not_understand(self):
        for store, what in (
                ("postgresq://localhost/x", 'did you mean "postgresql"?'),
                ("mysql://localhost/x", "expected postgresql://"),
                ("postgresql://localhost/x?sslmod=disable",
                 'did you mean "sslmode"?'),
                ("postgresql://db.example/x?sslmode=require",
                 "sslmode=verify-full")):
            self.assertIn(what, self.trouble(f"store: {store}\n"))

    def test_keeps_passwords_to_itself(self):
        self.node.configure("store: postgresql://u:canary@localhost/x\n")
        checked = self.troupe("config", "check", "--config", self.node.config)
        self.assertEqual(checked.code, 3, checked)
        self.assertIn("store-password-file", checked.err)
        self.assertNotIn("canary", checked.err + checked.out)
        password = self.folder / "password"
        password.write_text("canary\n")
        password.chmod(0o600)
        self.node.configure(f"store-password-file: {password}\nslots: 1\n")
        self.node.start()
        self.ok("config", "check", "--config", self.node.config)
        pid = self.node.process.pid
        for name in ("cmdline", "environ"):
            self.assertNotIn(b"canary", read_proc(pid, name))
        self.assertNotIn("canary", self.node.log_text())
        self.assertNotIn("canary", str(self.node.get("/v1/node")))

    def ok(self, *words):
        finished = self.troupe(*words)
        self.assertEqual((finished.code, finished.err), (0, ""), finished)
        self.assertNotIn("canary", finished.out)
        return finished

    def test_is_for_one_node_at_a_time(self):
        self.node.start()
        other = Node(self, "slots: 2\n", "other")
        process = other.launch()
        self.assertEqual(process.wait(15), 125)
        other.process = None
        self.assertIn("another node uses this store", other.log_text())
        self.assertEqual(self.node.terminate(), 0)
        other.start()
        self.node.process = None

    def test_has_a_folder_of_its_own(self):
        self.node.start()
        self.node.terminate()
        store, self.store = self.store, ""
        text = self.trouble("slots: 2\n")
        self.assertIn("belongs to another store", text)
        self.store = self.server.new_database()
        self.assertIn("belongs to another store", self.trouble("slots: 2\n"))
        self.store = store
        self.node.configure("slots: 2\n")
        self.node.start()

    def test_tells_how_durable_it_is(self):
        self.node.start()
        node = self.node.get("/v1/node")
        self.assertEqual(node["durability"], "buffered")
        self.assertRegex(node["store"]["software"], r"^PostgreSQL \d+")
        self.assertIn("fsync=off synchronous_commit=off", node["store"]["settings"])
        self.assertIn("warning store_opened software='PostgreSQL ",
                      self.node.log_text())
        submitted = self.troupe("submit", "--json", "--", "true")
        self.assertEqual(submitted.json()["durability"], "buffered")

    def libraries(self):
        maps = Path(f"/proc/{self.node.process.pid}/maps").read_text()
        return "libpq" in maps

    def test_loads_its_library_only_if_it_is_needed(self):
        self.node.start()
        self.assertTrue(self.libraries())
        self.node.terminate()
        self.store = ""
        other = Node(self, "slots: 2\n", "other")
        other.start()
        self.node.process = other.process
        self.assertFalse(self.libraries())
        self.node.process = None


@unittest.skipIf(binaries() is None or shutil.which("openssl") is None,
                 "PostgreSQL or openssl is not installed")
class Certified(TroupeTest):
    """A server on another machine has to be the one that its name says."""

    def setUp(self):
        super().setUp()
        self.server = PostgresServer(certificate_for="db.example")
        self.addCleanup(self.server.end)
        self.authority = self.folder / "ca.pem"
        shutil.copy(self.server.root / "cert.pem", self.authority)
        self.node = Node(self, "")

    def uri(self, name="db.example", mode="verify-full"):
        return (f"postgresql://troupe@{name}:{self.server.port}/postgres"
                f"?hostaddr=127.0.0.1&sslmode={mode}&sslrootcert={self.authority}")

    def trouble(self, uri):
        self.node.configure(f"store: {uri}\n")
        process = self.node.launch()
        self.assertEqual(process.wait(LONG), 125)
        self.node.process = None
        return self.node.log_text()

    def test_is_spoken_to_in_secret(self):
        self.node.configure(f"store: {self.uri()}\n")
        self.node.start()
        self.assertEqual(self.server.query(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE application_name='troupe'"), "t")
        status, _ = self.node.ask("POST", "/v1/jobs", {
            "request_id": "one", "command": {"words": ["true"], "cwd": "/"}})
        self.assertEqual(status, 201)
        self.node.wait_for_end(1)

    def test_is_refused_under_another_name(self):
        text = self.trouble(self.uri("other.example"))
        self.assertIn('does not match host name "other.example"', text)

    def test_is_refused_without_an_authority_that_knows_it(self):
        other = PostgresServer(certificate_for="db.example")
        self.addCleanup(other.end)
        shutil.copy(other.root / "cert.pem", self.authority)
        text = self.trouble(self.uri())
        self.assertIn("certificate verify failed", text)
        self.assertIn("sslrootcert", text)


if __name__ == "__main__":
    unittest.main()
