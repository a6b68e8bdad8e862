"""Services that the jobs of a node's run need."""

import json
import os
import signal
import time
import unittest
from pathlib import Path

from nodes import Node, is_alive
from stacks import Stacks
from troupe_e2e import TroupeTest, wait_until

GATE = "until test -e go; do sleep 0.02; done"


class NodeServices(Stacks):
    """A mixin; stands before TroupeTest."""

    def setUp(self):
        super().setUp()
        self.node = Node(self, "slots: 1\n")
        self.env["TROUPE_SOCKET"] = str(self.node.socket)
        self.node.start()

    def ok(self, *words):
        finished = self.troupe(*words)
        self.assertEqual(finished.code, 0, finished)
        return finished.out

    def db_service(self, before_it_is_ready=""):
        """One that says where it listens, when it does."""
        line = self.service("db", f"echo $$ > db.pid; {before_it_is_ready} "
                                  "echo listening on ${{ port.db }};")
        return {"db": {"run": line, "ready": {"log": "listening on ${{ port.db }}"}}}

    def submit_run(self, jobs, services=None):
        services = services or {"children": self.db_service()}
        (self.cwd / "flow.yaml").write_text(
            f"services: {json.dumps(services)}\njobs:\n{jobs}")
        return self.ok("submit", "-f", "flow.yaml").strip()

    def run_of(self, run):
        return json.loads(self.ok("status", run, "--json"))

    def states(self, run):
        return [job["state"] for job in self.run_of(run)["instances"]]

    def wait_for_states(self, run, *states):
        wait_until(lambda: self.states(run) == list(states), what=f"{states} of {run}")

    def db(self):
        return int(self.text("db.pid"))

    def text(self, name):
        return (self.cwd / name).read_text()

    def wait_for_end_of_services(self):
        wait_until(lambda: self.events()[-1:] == ["db ends"], what="the end of db")
        pid = self.db()
        wait_until(lambda: not is_alive(pid), what="the end of its process")


class Needed(NodeServices, TroupeTest):
    def test_a_job_starts_when_its_service_is_ready_and_the_service_ends_last(self):
        run = self.submit_run(
            "  first: { run: echo first >> events }\n"
            "  a: { needs: [first, services.db], run: 'echo a >> events; echo at ${{ port.db }}' }\n")
        self.ok("wait", run)
        self.wait_for_end_of_services()
        self.assertEqual(self.events(), ["first", "db starts", "a", "db ends"])
        port = self.ok("logs", run, "a").split()[1]
        self.assertIn(f"db | listening on {port}\n", self.ok("logs", run, "services"))

    def test_their_slot_is_none_of_those_of_the_jobs(self):
        run = self.submit_run("  a: { needs: services.db, run: 'true' }\n"
                              "  b: { needs: services.db, run: 'true' }\n")
        self.ok("wait", run)
        self.assertEqual(self.states(run), ["succeeded", "succeeded"])

    def test_status_shows_them(self):
        run = self.submit_run(f"  a: {{ needs: services.db, run: '{GATE}' }}\n")
        wait_until(lambda: self.states(run) == ["running"], what="the job")
        self.assertIn(f"services (troupe logs {run} services):\n  db  up", self.ok("status", run))
        (self.cwd / "go").touch()
        self.ok("wait", run)

    def test_a_run_that_is_cancelled_ends_them(self):
        run = self.submit_run("  a: { needs: services.db, run: sleep 60 }\n")
        wait_until(lambda: self.states(run) == ["running"], what="the job")
        self.ok("cancel", run)
        self.wait_for_end_of_services()
        self.assertEqual(self.states(run), ["cancelled"])

    def test_they_end_by_their_own_rules_in_reverse_order_and_do_not_start_again(self):
        run = self.submit_run(
            "  a: { needs: services.api, run: 'true' }\n",
            {"children": {
                "db": {"run": self.service("db").replace("TERM", "INT"),
                       "shutdown": {"signal": "SIGINT"}, "ready": {"exec": "grep -q db events"}},
                "api": {"run": self.service("api", on_term="sleep 0.3; exit 0"),
                        "depends-on": "db", "ready": {"exec": "grep -q api events"}}}})
        self.ok("wait", run)
        job = self.run_of(run)["services"]["job"]
        self.node.wait_for_end(job)
        self.assertEqual(self.events(), ["db starts", "api starts", "api ends", "db ends"])
        self.assertNotIn("did not end", self.ok("logs", run, "services"))

    def test_a_service_that_gives_up_fails_the_job_and_says_why(self):
        run = self.submit_run(
            "  a: { needs: services.bad, run: 'true' }\n",
            {"intensity": 1, "backoff": {"min": "1ms"},
             "children": {"bad": {"run": "exit 7", "restart": "permanent",
                                  "ready": {"log": "never"}}}})
        self.assertEqual(self.troupe("wait", run).code, 1)
        (job,) = self.run_of(run)["instances"]
        self.assertEqual(job["state"], "failed")
        self.assertRegex(job["reason"], "it needs service bad: .*exited with 7")

    def test_a_retry_starts_them_again(self):
        run = self.submit_run("  a: { needs: services.db, run: test -e go }\n")
        self.assertEqual(self.troupe("wait", run).code, 1)
        (self.cwd / "go").touch()
        self.ok("retry", run)
        self.ok("wait", run)
        self.wait_for_end_of_services()
        self.assertEqual(self.events(), ["db starts", "db ends"] * 2)

    def test_a_run_that_is_forgotten_leaves_no_logs(self):
        run = self.submit_run("  a: { needs: services.db, run: 'true' }\n")
        self.ok("wait", run)
        self.wait_for_end_of_services()
        logs = Path(self.node.folder) / "services" / run
        self.assertTrue((logs / "services" / "db.log").exists())
        wait_until(lambda: self.troupe("forget", run).code == 0, what="the run being forgotten")
        wait_until(lambda: not logs.exists(), what="the end of its logs")


class Recovery(NodeServices, TroupeTest):
    def test_they_and_their_jobs_outlive_the_node(self):
        run = self.submit_run(f"  a: {{ needs: services.db, run: '{GATE}; echo a >> events' }}\n"
                              "  b: { needs: [a, services.db], run: echo b >> events }\n")
        self.wait_for_states(run, "running", "pending")
        pid = self.db()
        self.node.kill()
        self.assertTrue(is_alive(pid))
        (self.cwd / "go").touch()
        self.node.start()
        self.ok("wait", run)
        self.wait_for_end_of_services()
        self.assertEqual(self.events(), ["db starts", "a", "b", "db ends"])

    def test_a_node_that_dies_before_they_have_asked_it_is_waited_for(self):
        run = self.submit_run("  a: { needs: services.db, run: 'true' }\n")
        self.node.kill()
        time.sleep(3)  # Longer than a node is looked for at a start.
        self.node.start()
        self.ok("wait", run)
        self.assertEqual(self.states(run), ["succeeded"])

    def test_the_log_of_those_that_never_were_ready_can_be_read(self):
        run = self.submit_run(
            "  a: { needs: services.s, run: 'true' }\n",
            {"children": {"s": {"run": "echo why; " + self.idle, "ready": {"log": "never"}}}})
        wait_until(lambda: self.troupe("logs", run, "services").out == "s | why\n", what="its log")
        self.ok("cancel", run)
        wait_until(lambda: self.run_of(run)["state"] == "cancelled", what="the end")
        self.assertIn("s | why\n", self.ok("logs", run, "services"))

    def test_what_changes_while_the_node_is_away_is_told_to_the_next_one(self):
        run = self.submit_run(f"  a: {{ needs: services.db, run: '{GATE}' }}\n",
                              {"children": self.db_service(f"{GATE};")})
        wait_until(lambda: (self.cwd / "db.pid").exists(), what="db")
        self.node.kill()
        (self.cwd / "go").touch()
        wait_until(lambda: self.events() == ["db starts"], what="db being ready")
        self.node.start()
        self.ok("wait", run)
        self.assertEqual(self.states(run), ["succeeded"])

    def test_a_service_that_dies_is_restarted_while_a_job_uses_it(self):
        run = self.submit_run(f"  a: {{ needs: services.db, run: '{GATE}' }}\n")
        self.wait_for_states(run, "running")
        first = self.db()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: self.events() == ["db starts"] * 2, what="the restart")
        (self.cwd / "go").touch()
        self.ok("wait", run)
        self.assertEqual(self.states(run), ["succeeded"])

    def test_when_all_that_runs_them_is_killed_the_jobs_fail_and_nothing_is_left(self):
        run = self.submit_run("  a: { needs: services.db, run: sleep 60 }\n")
        self.wait_for_states(run, "running")
        job = self.run_of(run)["services"]["job"]
        os.kill(self.node.wait_for_pid(job), signal.SIGKILL)
        self.assertEqual(self.troupe("wait", run).code, 1)
        (job,) = self.run_of(run)["instances"]
        self.assertRegex(job["reason"], "it needs service db: what has run the services: ")
        pid = self.db()
        wait_until(lambda: not is_alive(pid), what="the end of db")


if __name__ == "__main__":
    unittest.main()
