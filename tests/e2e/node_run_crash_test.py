"""A run survives kill -9 of its node at any point: it ends as if nothing had
happened, and no job that has succeeded runs again."""

import json
import subprocess
import time
import unittest

from nodes import Node
from troupe_e2e import LONG, TroupeTest, wait_until

# Each command leaves a line. A matrix, outputs, a retry, a group that starts a job
# again and with it the next one, and a failure with what follows from it.
REFERENCE = """\
name: reference
jobs:
  extract:
    strategy: { matrix: { n: [1, 2] }, fail-fast: false }
    steps:
      - id: pull
        run: |
          echo pull ${{ matrix.n }} >> trace
          echo "rows=${{ matrix.n }} rows" >> "$TROUPE_OUTPUT"
      - run: echo check ${{ steps.pull.outputs.rows }} >> trace
    outputs: { rows: "${{ steps.pull.outputs.rows }}" }
  flaky:
    retry: { attempts: 2, delay: 1ms }
    run: echo flaky >> trace; test -e flaked || { touch flaked; exit 1; }
  publish:
    needs: [extract]
    group: online
    run: |
      echo publish ${{ needs.extract.outputs.rows }} >> trace
      test -e published || { touch published; exit 1; }
  load:
    needs: [publish, flaky]
    group: online
    run: echo load >> trace
  broken: { run: echo broken >> trace; exit 7 }
  repair:
    needs: [{ job: broken, when: failed }]
    run: echo repair >> trace
groups:
  online: { strategy: rest_for_one, intensity: 2 }
"""

EXPECTED = ["broken", "check 1 rows", "check 2 rows", "flaky", "flaky", "load",
            "publish 2 rows", "publish 2 rows", "pull 1", "pull 2", "repair"]


class Crashes:
    def setUp(self):
        super().setUp()
        self.node = Node(self, "slots: 3\n")
        self.env["TROUPE_SOCKET"] = str(self.node.socket)
        (self.cwd / "reference.yaml").write_text(REFERENCE)

    def launch(self, events):
        """A node that ends without a word after so many events."""
        return self.node.launch(env={"TROUPE_TEST_END_AFTER_EVENTS": str(events)})

    def launch_up(self, events):
        """The same, once it can be asked, of a node that has no run to go on with."""
        process = self.launch(events)
        self.node.await_up(process)
        return process

    def submit(self, number):
        """Asks until a node has answered: the same request is the same run."""
        return self.start_troupe("submit", "-f", "reference.yaml",
                                 "--request-id", f"reference {number}")

    def run_of(self, number):
        return json.loads(self.troupe("status", f"r{number}", "--json").out)

    def what_became_of(self, run):
        """Without numbers and times, which differ from one run to the next."""
        def steps(instance):
            return [(step["id"], step["state"], step["attempts"], step["exit_status"],
                     step["restarts"]) for step in instance["steps"]]
        return (run["state"], run["jobs"], run["ended_jobs"], run["failed_jobs"],
                run["events"],
                [(one["label"], one["state"], one["reason"], steps(one))
                 for one in run["instances"]])

    def take_trace(self):
        """The lines of a run, and a clean folder for the next one."""
        lines = sorted((self.cwd / "trace").read_text().splitlines())
        for name in ("trace", "flaked", "published"):
            (self.cwd / name).unlink()
        return lines

    def undisturbed(self):
        self.node.start()
        self.submit(0).finish()
        self.assertEqual(self.troupe("wait", "r1").code, 1)
        run = self.run_of(1)
        self.assertEqual(self.take_trace(), EXPECTED)
        self.assertEqual(self.node.terminate(), 0)
        return run

    def check(self, number, expected):
        self.assertEqual(self.troupe("wait", f"r{number}").code, 1)
        self.assertEqual(self.what_became_of(self.run_of(number)), expected)
        self.assertEqual(self.take_trace(), EXPECTED)


class OneCrash(Crashes, TroupeTest):
    def test_after_each_event_in_turn(self):
        reference = self.undisturbed()
        expected = self.what_became_of(reference)
        self.assertGreater(reference["events"], 10)
        for event in range(1, reference["events"] + 1):
            with self.subTest(event=event):
                process = self.launch_up(event)
                submission = self.submit(event)
                self.assertEqual(process.wait(LONG), 125)
                self.node.start()
                submission.finish()
                self.check(event + 1, expected)
                self.assertEqual(self.node.terminate(), 0)


class CrashAfterCrash(Crashes, TroupeTest):
    def test_after_every_event(self):
        reference = self.undisturbed()
        process = self.launch_up(1)
        submission = self.submit(1)
        crashes = 0
        deadline = time.monotonic() + 2 * LONG
        while crashes < reference["events"]:
            try:
                self.assertEqual(process.wait(deadline - time.monotonic()), 125)
            except subprocess.TimeoutExpired:
                self.fail(f"no end after {crashes} crashes: {self.node.log_text()}")
            crashes += 1
            process = self.launch(1)
        self.node.await_up(process)
        submission.finish()
        self.check(2, self.what_became_of(reference))


class AnyMoment(Crashes, TroupeTest):
    def test_kills_at_any_moment(self):
        expected = self.what_became_of(self.undisturbed())
        process = self.node.launch()
        self.node.await_up(process)
        submission = self.submit(1)
        for pause in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35):
            try:
                process.wait(pause)
                self.fail("the node has ended by itself")
            except subprocess.TimeoutExpired:
                self.node.kill()
            process = self.node.launch()
        self.node.await_up(process)
        submission.finish()
        wait_until(lambda: self.run_of(2)["ended"], what="the end of the run")
        self.check(2, expected)


if __name__ == "__main__":
    unittest.main()
