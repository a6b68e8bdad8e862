"""What earlier runs teach: the order of the next one, estimates, and insights."""

import json
import unittest
from pathlib import Path

from nodes import WithNode
from troupe_e2e import TroupeTest

# In the order of the file, "short" would come first.
FORKED = """\
name: forked
jobs:
  short: { run: echo short >> order }
  long: { run: sleep 0.4; echo long >> order }
  end: { needs: [short, long], run: echo end >> order }
"""


class Workflows:
    def write(self, text, name="flow.yaml"):
        (self.cwd / name).write_text(text)
        return name

    def run_flow(self, text, *words, code=0):
        ended = self.troupe("run", self.write(text), "--output", "none", *words)
        self.assertEqual(ended.code, code, ended)
        return ended

    def order(self):
        path = self.cwd / "order"
        lines = path.read_text().split()
        path.unlink()
        return lines

    def insights(self, *words):
        ended = self.troupe("insights", "flow.yaml", "--json", *words)
        self.assertEqual((ended.code, ended.err), (0, ""), ended)
        return ended.json()

    def found(self, kind):
        return [one for one in self.insights()["findings"] if one["kind"] == kind]


class Learning(Workflows, TroupeTest):
    def test_the_job_on_the_longest_path_starts_first_once_that_is_known(self):
        self.run_flow(FORKED, "-j", "1")
        self.assertEqual(self.order(), ["short", "long", "end"])
        self.run_flow(FORKED, "-j", "1")
        self.assertEqual(self.order(), ["long", "short", "end"])

    def test_a_record_that_is_broken_is_passed_over(self):
        self.run_flow(FORKED, "-j", "1")
        runs = Path(self.env["XDG_STATE_HOME"]) / "troupe" / "runs"
        (good,) = runs.iterdir()
        text = (good / "run.json").read_text()
        for number, broken in enumerate([text[:-40], "", "[]", text.replace("1", "x")]):
            folder = runs / f"20990101-00000{number}-abcd"
            folder.mkdir()
            (folder / "run.json").write_text(broken)
        (runs / "20990101-000009-abcd").mkdir()
        (runs / "20990101-000009-abcd" / "run.json").symlink_to(good / "run.json")
        self.order()
        self.run_flow(FORKED, "-j", "1")
        self.assertEqual(self.order(), ["long", "short", "end"])
        self.assertEqual(self.insights()["runs"], 2)

    def test_runs_of_another_file_teach_nothing(self):
        self.run_flow(FORKED, "-j", "1")
        self.order()
        ended = self.troupe("run", self.write(FORKED, "copy.yaml"), "--dry-run")
        self.assertNotIn("about", ended.out)

    def test_a_dry_run_shows_the_estimates_and_the_critical_path(self):
        plain = self.troupe("run", self.write(FORKED), "--dry-run")
        self.assertNotIn("about", plain.out)
        self.run_flow(FORKED)
        shown = self.troupe("run", "flow.yaml", "--dry-run")
        self.assertEqual((shown.code, shown.err), (0, ""))
        self.assertRegex(shown.out, r"(?m)^    run \(by sh -e, about \S+\)$")
        self.assertRegex(shown.out, r"(?m)^  job long, about \S+, \S+ to the end of the run$")
        self.assertRegex(shown.out, r"\ncritical path, about \S+: long, end\n$")

    def test_a_graph_shows_the_estimates_and_the_critical_path(self):
        self.run_flow(FORKED)
        shown = self.troupe("graph", "flow.yaml")
        self.assertRegex(shown.out, r'j1 \[label="long\\nabout \S+"\];')
        self.assertIn("  j1 -> j2 [style=bold];\n", shown.out)
        self.assertIn("  j0 -> j2;\n", shown.out)
        self.assertIn("  j1 ==> j2\n",
                      self.troupe("graph", "flow.yaml", "--format", "mermaid").out)


class Insights(Workflows, TroupeTest):
    def test_too_few_runs_are_said_to_be_too_few(self):
        self.write(FORKED)
        none = self.troupe("insights", "flow.yaml")
        self.assert_ended(none, 0,
                          "flow.yaml: 0 runs (0 of troupe run; no node answers)\n")
        self.run_flow(FORKED)
        one = self.insights()
        self.assertEqual((one["runs"], one["runs_of_node"], one["has_enough_runs"]),
                         (1, None, False))
        self.assertEqual(one["findings"], [])
        self.assertGreater(one["median_s"], 0.4)
        self.assertIn("to find more takes at least 3 runs\n",
                      self.troupe("insights", "flow.yaml").out)

    def test_the_critical_path_is_what_decided_when_runs_ended(self):
        for _ in range(3):
            self.run_flow(FORKED)
        shown = self.insights()
        self.assertEqual([(part["job"], part["step"], part["runs"])
                          for part in shown["critical_path"]],
                         [("long", "run", 3), ("end", "run", 3)])
        self.assertGreater(shown["critical_path"][0]["share"], 0.3)
        self.assertEqual((shown["runs"], shown["succeeded"], shown["success_rate"]),
                         (3, 3, 1.0))
        self.assertEqual(self.insights("--runs", "2")["runs"], 2)

    def test_time_that_is_lost_to_queueing_is_found(self):
        text = "jobs: { a: { run: sleep 0.3 }, b: { run: sleep 0.3 } }\n"
        for _ in range(3):
            self.run_flow(text, "-j", "1")
        (found,) = self.found("queueing")
        self.assertGreater(found["saves_s"], 0.25)
        self.assertEqual(found["runs"], 3)

    def test_a_step_that_needs_a_second_try_is_flaky(self):
        text = ("jobs: { a: { retries: 1, run: \"if test -e tried; then rm tried; else "
                "touch tried; exit 1; fi\" } }\n")
        for _ in range(3):
            self.run_flow(text)
        (found,) = self.found("flaky")
        self.assertEqual([found[key] for key in (
            "job", "step", "attempts", "failures", "recovered_runs")],
            ["a", "run", 6, 3, 3])

    def test_a_command_that_fails_now_and_then_is_flaky(self):
        text = "jobs: { a: { run: test -e good } }\n"
        for is_good in (True, False, True, True):
            (self.cwd / "good").touch() if is_good else (self.cwd / "good").unlink()
            self.run_flow(text, code=0 if is_good else 1)
        (found,) = self.found("flaky")
        self.assertEqual((found["changes"], found["failures"], found["attempts"]), (2, 1, 4))
        self.assertEqual(self.insights()["success_rate"], 0.75)

    def test_jobs_that_need_not_wait_for_each_other_are_found(self):
        text = """\
jobs:
  pull:
    run: sleep 0.1; echo n=1 >> "$TROUPE_OUTPUT"
    outputs: { n: "${{ steps.run.outputs.n }}" }
  lint: { needs: pull, run: "sleep 0.4; echo ${{ needs.pull.outputs.n }}" }
  load: { needs: [pull, lint], run: "sleep 0.4; echo ${{ needs.pull.outputs.n }}" }
"""
        for _ in range(3):
            self.run_flow(text, "-j", "2")
        (found,) = self.found("parallel")
        self.assertEqual((found["job"], found["need"]), ("load", "lint"))
        self.assertGreater(found["saves_s"], 0.3)

    def test_steps_that_do_the_same_again_are_found(self):
        text = ("jobs: { a: { steps: [{ run: sleep 0.3 }, "
                "{ run: \"sleep 0.3; echo ${{ run.id }}\" }] } }\n")
        for _ in range(3):
            self.run_flow(text)
        (found,) = self.found("cache")
        self.assertEqual((found["job"], found["step"], found["times"]), ("a", "step-1", 3))
        self.assertGreater(found["total_s"], 0.9)

    def test_a_last_run_that_took_much_longer_is_found(self):
        text = "jobs: { a: { run: sleep $(cat seconds) } }\n"
        for seconds in ("0.05", "0.05", "0.05", "2"):
            (self.cwd / "seconds").write_text(seconds)
            self.run_flow(text)
        (found,) = self.found("outlier")
        self.assertEqual((found["job"], found["runs"]), ("a", 3))
        self.assertGreater(found["took_s"], 2)

    def test_what_cannot_be_asked_is_refused(self):
        self.write(FORKED)
        for words, code, text in [
                (("insights",), 2, "insights: no file given"),
                (("insights", "-"), 2, "standard input has no earlier runs"),
                (("insights", "flow.yaml", "--runs", "0"), 2,
                 '--runs: expected a number from 1 to 1000, got "0"'),
                (("insights", "flow.yaml", "--socket", "/none.sock"), 125,
                 "no node is running at /none.sock"),
                (("insights", "none.yaml"), 3, "cannot read none.yaml")]:
            with self.subTest(words=words):
                ended = self.troupe(*words)
                self.assertEqual((ended.code, ended.out), (code, ""))
                self.assertIn(text, ended.err)


class OfANode(Workflows, WithNode, TroupeTest):
    CONFIG = "slots: 1\n"

    def submit_flow(self, text):
        run = self.ok("submit", "-f", self.write(text), "--jobs", "1").out.strip()
        self.ok("wait", run)
        return run

    def test_a_run_starts_what_earlier_runs_have_shown_to_take_longest(self):
        self.submit_flow(FORKED)
        self.assertEqual(self.order(), ["short", "long", "end"])
        self.submit_flow(FORKED)
        self.assertEqual(self.order(), ["long", "short", "end"])

    def test_its_runs_are_looked_into_with_those_of_troupe_run(self):
        text = "jobs: { a: { run: sleep 0.2 }, b: { run: sleep 0.2 } }\n"
        self.run_flow(text)
        for _ in range(2):
            self.ok("wait", self.ok("submit", "-f", self.write(text)).out.strip())
        shown = self.insights()
        self.assertEqual([shown[key] for key in (
            "runs", "runs_of_troupe_run", "runs_of_node", "succeeded")], [3, 1, 2, 3])
        # There is one slot for two jobs.
        (found,) = [one for one in shown["findings"] if one["kind"] == "queueing"]
        self.assertGreaterEqual(found["runs"], 2)
        instance = json.loads(self.ok("status", "r1", "--json").out)["instances"][0]
        self.assertLessEqual(instance["ready"], instance["started"])
        self.assertEqual(instance["steps"][0]["command"], "sleep 0.2")


if __name__ == "__main__":
    unittest.main()
