"""Hooks of a workflow: what runs before and after all jobs, by troupe run and by a
node, which may die at any point in between."""

import json
import signal
import unittest
from pathlib import Path

from nodes import Node, WithNode
from troupe_e2e import LONG, TroupeTest, wait_until

FLOW = """\
name: shop
jobs:
  load:
    steps:
      - { run: "echo load >> trace" }
      - { id: check, run: "echo check >> trace; test ! -e broken" }
hooks:
  on-start: echo start >> trace
  on-success: echo success ${{ run.result }} >> trace
  on-failure: echo failure ${{ run.failed-job }} at ${{ run.blame }} >> trace
  on-cancel: echo cancel ${{ run.result }} >> trace
  on-exit: { run: "echo exit >> trace", timeout: 1m }
"""
GOOD = ["start", "load", "check", "success succeeded", "exit"]
BAD = ["start", "load", "check", "failure load at load > check", "exit"]


class Traced:
    def write(self, text, name="flow.yaml"):
        (self.cwd / name).write_text(text)
        return name

    def take_trace(self):
        trace = self.cwd / "trace"
        lines = trace.read_text().splitlines() if trace.exists() else []
        trace.unlink(missing_ok=True)
        return lines


class Embedded(Traced, TroupeTest):
    def record(self):
        (path,) = (Path(self.env["XDG_STATE_HOME"]) / "troupe" / "runs").glob("*/run.json")
        return json.loads(path.read_text())

    def test_they_run_around_the_jobs_and_are_recorded(self):
        ended = self.troupe("run", self.write(FLOW))
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.take_trace(), GOOD)
        self.assertIn(": 1 job\n", ended.err)
        self.assertIn("hook on-exit: succeeded", ended.err)
        self.assertRegex(ended.err, r"succeeded in [^:]+: 1 succeeded\n")
        record = self.record()
        self.assertEqual([(job["job"], job["state"]) for job in record["jobs"]],
                         [("load", "succeeded"), ("hooks.on-start", "succeeded"),
                          ("hooks.on-success", "succeeded"),
                          ("hooks.on-exit", "succeeded")])
        self.assertTrue(Path(record["jobs"][3]["steps"][0]["log"]).exists())

    def test_a_failure_is_told(self):
        (self.cwd / "broken").touch()
        ended = self.troupe("run", self.write(FLOW))
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.take_trace(), BAD)

    def test_one_that_fails_is_shown_and_changes_nothing(self):
        ended = self.troupe("run", self.write(
            "jobs: {a: {run: 'true'}}\nhooks: {on-exit: exit 3}\n"), "--json")
        self.assertEqual(ended.code, 0, ended)
        events = [json.loads(line) for line in ended.out.splitlines()]
        self.assertEqual(events[-1]["result"], "success")
        self.assertIn(("job_state", "hooks.on-exit", "failed"),
                      [(e["type"], e.get("job"), e.get("state")) for e in events])
        self.assertEqual(self.record()["jobs"][1]["state"], "failed")

    def test_no_job_starts_if_the_first_one_fails(self):
        ended = self.troupe("run", self.write(
            "jobs: {a: {run: touch ran}}\n"
            "hooks: {on-start: 'false', on-failure: echo page >> trace}\n"))
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.take_trace(), ["page"])
        self.assertFalse((self.cwd / "ran").exists())
        self.assertIn("job a: skipped: hook on-start failed", ended.err)

    def test_they_run_after_a_cancel(self):
        self.write("jobs: {a: {run: 'touch runs; sleep 600'}}\n"
                   "hooks: {on-cancel: echo cancel >> trace, on-exit: echo exit >> trace}\n")
        running = self.start_troupe("run", "flow.yaml")
        wait_until((self.cwd / "runs").exists, what="the job")
        running.signal(signal.SIGTERM)
        ended = running.finish()
        self.assertEqual(ended.code, 128 + signal.SIGTERM, ended)
        self.assertEqual(self.take_trace(), ["cancel", "exit"])

    def test_a_dry_run_and_lint_show_them(self):
        ended = self.troupe("run", self.write(FLOW), "--dry-run")
        self.assertEqual(ended.code, 0, ended)
        self.assertIn("shop: 1 job,", ended.out)
        self.assertIn("hooks\n    on-start (", ended.out)
        self.assertIn("echo failure ${{ run.failed-job }} at ${{ run.blame }}", ended.out)
        self.assertIn("1 job, 2 steps, 5 hooks", self.troupe("lint", "flow.yaml").out)


class Durable(Traced, WithNode, TroupeTest):
    def submit(self, text):
        finished = self.ok("submit", "-f", self.write(text))
        return finished.out.strip()

    def run_of(self, name):
        return json.loads(self.ok("status", name, "--json").out)

    def test_they_run_around_the_jobs_and_are_shown(self):
        run = self.submit(FLOW)
        self.ok("wait", run)
        self.assertEqual(self.take_trace(), GOOD)
        shown = self.run_of(run)
        self.assertEqual((shown["jobs"], shown["ended_jobs"]), (1, 1))
        self.assertEqual([job["label"] for job in shown["instances"]],
                         ["load", "hooks.on-start", "hooks.on-success", "hooks.on-exit"])
        tree = self.ok("status", run).out
        self.assertLess(tree.index("hooks.on-start"), tree.index("load"))
        self.assertNotIn("hooks", self.ok("graph", run).out)

    def test_a_retry_runs_them_again(self):
        (self.cwd / "broken").touch()
        run = self.submit(FLOW)
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.take_trace(), BAD)
        self.assertIn("no job", self.troupe("retry", run, "--from", "hooks.on-exit").err)
        (self.cwd / "broken").unlink()
        self.ok("retry", run)
        self.ok("wait", run)
        self.assertEqual(self.take_trace(), GOOD)

    def test_they_run_after_a_cancel(self):
        run = self.submit("jobs: {a: {run: 'touch runs; sleep 600'}}\n"
                          "hooks: {on-cancel: echo cancel >> trace, "
                          "on-exit: echo exit >> trace}\n")
        wait_until((self.cwd / "runs").exists, what="the job")
        self.ok("cancel", run)
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.take_trace(), ["cancel", "exit"])
        self.assertEqual(self.run_of(run)["state"], "cancelled")


class Crash(Traced, TroupeTest):
    def test_each_runs_once_however_often_the_node_dies(self):
        node = Node(self, "slots: 3\n")
        self.env["TROUPE_SOCKET"] = str(node.socket)
        self.write(FLOW)
        once = {"TROUPE_TEST_END_AFTER_EVENTS": "1"}
        process = node.launch(env=once)
        node.await_up(process)
        submission = self.start_troupe("submit", "-f", "flow.yaml", "--request-id", "one")
        # Begun, five steps.
        for _ in range(6):
            self.assertEqual(process.wait(LONG), 125)
            process = node.launch(env=once)
        node.await_up(process)
        submission.finish()
        self.assertEqual(self.troupe("wait", "r1").code, 0)
        self.assertEqual(self.take_trace(), GOOD)


if __name__ == "__main__":
    unittest.main()
