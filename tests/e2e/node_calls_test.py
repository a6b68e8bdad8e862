"""A node keeps what a workflow includes, and what its commands have printed."""

import unittest

from node_run_crash_test import Crashes
from node_run_test import RunTest
from troupe_e2e import LONG, TroupeTest, wait_until

LIB = """\
on:
  call:
    inputs: { n: { type: number, required: true } }
    outputs: { rows: "${{ jobs.load.outputs.rows }}" }
jobs:
  pull:
    run: echo pull ${{ inputs.n }} >> trace; echo '{"rows":"${{ inputs.n }}0 $(x)"}'
    outputs: { rows: { from: stdout, json: .rows } }
  load:
    needs: pull
    run: echo load ${{ jobs.pull.outputs.rows }} >> trace; echo ${{ jobs.pull.outputs.rows }}
    outputs: { rows: { from: stdout, line: last } }
"""

MAIN = """\
name: main
include: { lib: ./lib/common.yaml }
jobs:
  first: { run: echo first >> trace }
  each:
    needs: first
    uses: lib
    strategy: { matrix: { n: [1, 2] }, fail-fast: false }
    with: { n: "${{ matrix.n }}" }
  last: { needs: each, run: "echo last ${{ jobs.each.outputs.rows }} >> trace" }
"""


class Called(RunTest, TroupeTest):
    def write_lib(self, text):
        (self.cwd / "lib").mkdir(exist_ok=True)
        self.write(text, "lib/common.yaml")

    def trace(self):
        return sorted((self.cwd / "trace").read_text().splitlines())

    def test_jobs_of_included_files_run_and_are_shown(self):
        self.write_lib(LIB)
        run = self.submit_run(MAIN)
        self.ok("wait", run)
        self.assertEqual(self.states(run), dict.fromkeys(
            ["first", "each (1)", "each (1)/pull", "each (1)/load", "each (2)",
             "each (2)/pull", "each (2)/load", "last"], "succeeded"))
        self.assertEqual(self.trace(), ["first", "last 20 $(x)", "load 10 $(x)",
                                        "load 20 $(x)", "pull 1", "pull 2"])
        shown = self.ok("status", run).out
        for label in "each (1)", "each (2)/load", "last":
            self.assertIn(label, shown)
        self.assertEqual(self.ok("logs", run, "each (2)/load").out, "20 $(x)\n")
        self.assertIn('"each/load', self.ok("graph", run, "--format", "mermaid").out)

    def test_all_files_may_change_once_it_is_submitted(self):
        self.write_lib(LIB.replace("echo pull", "until test -e ready; do sleep .02; done; "
                                                "echo pull"))
        run = self.submit_run(MAIN)
        self.write_lib("jobs: { a: { run: exit 1 } }")
        (self.cwd / "lib" / "common.yaml").unlink()
        (self.cwd / "ready").touch()
        self.ok("wait", run)
        self.assertIn("load 20 $(x)", self.trace())
        self.assertIn('"each/load', self.ok("graph", run, "--format", "mermaid").out)

    def test_a_mistake_in_an_included_file_is_shown_there(self):
        self.write_lib("jobs:\n  a: { ruin: x }\n")
        finished = self.troupe("submit", "-f", self.write(MAIN))
        self.assertEqual(finished.code, 3)
        self.assertIn("lib/common.yaml:2:8: ", finished.err)
        self.assertIn("etl.yaml:2:17: included here", finished.err)

    def test_a_file_can_come_from_standard_input(self):
        self.write_lib(LIB)
        finished = self.troupe("submit", "-f", "-", input=MAIN.encode())
        self.assertEqual(finished.code, 0, finished)
        self.ok("wait", finished.out.strip())
        self.assertIn("last 20 $(x)", self.trace())

    def test_a_retry_runs_what_has_not_succeeded(self):
        self.write_lib(LIB.replace("echo load", "test -e ready; echo load"))
        run = self.submit_run(MAIN)
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.trace(), ["first", "pull 1", "pull 2"])
        (self.cwd / "ready").touch()
        self.ok("retry", run)
        self.ok("wait", run)
        self.assertEqual(self.trace(), ["first", "last 20 $(x)", "load 10 $(x)",
                                        "load 20 $(x)", "pull 1", "pull 2"])
        self.ok("retry", run, "--from", "each/load")
        self.ok("wait", run)
        self.assertEqual(self.trace(), ["first", "last 20 $(x)", "last 20 $(x)",
                                        "load 10 $(x)", "load 10 $(x)", "load 20 $(x)",
                                        "load 20 $(x)", "pull 1", "pull 2"])
        self.ok("retry", run, "--from", "each")
        self.ok("wait", run)
        self.assertEqual(self.trace().count("pull 1"), 2)
        self.assertEqual(self.trace().count("first"), 1)

    def test_a_run_with_calls_is_cancelled_as_a_whole(self):
        self.write_lib("jobs: { a: { run: 'sleep 60${{ inputs.n }}' } }")
        run = self.submit_run("jobs: { each: { uses: ./lib/common.yaml, strategy: { matrix: "
                              "{ n: [1, 2] } }, with: { n: '${{ matrix.n }}' } } }")
        wait_until(lambda: all(self.states(run).get(f"each ({n})/a") == "running"
                               for n in (1, 2)), what="both jobs running")
        self.ok("cancel", run)
        self.assertNotEqual(self.troupe("wait", run).code, 0)
        self.assertEqual(self.states(run)["each (1)"], "cancelled")
        self.assertEqual(self.states(run)["each (2)/a"], "cancelled")
        self.assertEqual(self.run_of(run)["state"], "cancelled")

    def test_what_is_not_printed_fails_the_step(self):
        run = self.submit_run("jobs:\n  a:\n    run: echo '{}'\n"
                              "    outputs: { x: { from: stdout, json: .y } }\n")
        self.assertEqual(self.troupe("wait", run).code, 1)
        (job,) = self.run_of(run)["instances"]
        self.assertEqual(job["steps"][0]["reason"],
                         "its outputs: x: there is no .y in what the command has printed")


class CalledCrash(Crashes, TroupeTest):
    """kill -9 after each event, with the files gone once they were submitted."""

    EXPECTED = ["first", "last 20 $(x)", "load 10 $(x)", "load 20 $(x)", "pull 1",
                "pull 2"]

    def setUp(self):
        super().setUp()
        (self.cwd / "lib").mkdir()

    def write_files(self):
        (self.cwd / "reference.yaml").write_text(MAIN)
        (self.cwd / "lib" / "common.yaml").write_text(LIB)

    def remove_files(self):
        (self.cwd / "reference.yaml").unlink()
        (self.cwd / "lib" / "common.yaml").unlink()

    def what_became(self, number):
        run = self.run_of(number)
        return (run["state"], run["events"],
                sorted((one["label"], one["state"]) for one in run["instances"]))

    def take(self):
        lines = sorted((self.cwd / "trace").read_text().splitlines())
        (self.cwd / "trace").unlink()
        return lines

    def test_after_each_event_in_turn(self):
        self.write_files()
        self.node.start()
        self.submit(0).finish()
        self.assertEqual(self.troupe("wait", "r1").code, 0)
        self.assertEqual(self.take(), self.EXPECTED)
        expected = self.what_became(1)
        self.assertEqual(self.node.terminate(), 0)
        for event in range(1, expected[1] + 1):
            with self.subTest(event=event):
                self.write_files()
                process = self.launch_up(event)
                submission = self.submit(event)
                self.assertEqual(process.wait(LONG), 125)
                self.node.start()
                submission.finish()
                self.remove_files()
                self.assertEqual(self.troupe("wait", f"r{event + 1}").code, 0)
                self.assertEqual(self.what_became(event + 1), expected)
                self.assertEqual(self.take(), self.EXPECTED)
                self.assertEqual(self.node.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
