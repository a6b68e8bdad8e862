"""Jobs that wait until somebody agrees: by troupe run at a terminal or with options,
by a node through troupe approve."""

import grp
import json
import signal
import unittest
from pathlib import Path

from nodes import AS_NOBODY, NOBODY, Node, WithNode, is_root_with_setpriv
from troupe_e2e import CTRL_C, LONG, TROUPE, TroupeTest, wait_until

FLOW = """\
name: shop
jobs:
  build: { run: "true" }
  load:
    needs: [build]
    approval:
      prompt: Load it?
      inputs: { ticket: { required: true }, rows: { type: number, default: 5 } }
    run: echo ${{ approval.ticket }} ${{ approval.rows }} by ${{ approval.by }} >> trace
  tell:
    needs: [load]
    run: echo told ${{ jobs.load.approval.ticket }} >> trace
"""


class Traced:
    def write(self, text, name="flow.yaml"):
        (self.cwd / name).write_text(text)
        return name

    def trace(self):
        path = self.cwd / "trace"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def me(self):
        return self.run_program(["id", "-un"]).out.strip()


class Embedded(Traced, TroupeTest):
    def run_flow(self, *words, text=FLOW):
        return self.troupe("run", self.write(text), *words)

    def states(self):
        (path,) = (Path(self.env["XDG_STATE_HOME"]) / "troupe" / "runs").glob("*/run.json")
        return {job["label"]: (job["state"], job["reason"])
                for job in json.loads(path.read_text())["jobs"]}

    def test_an_option_approves_with_inputs(self):
        ended = self.run_flow("--approve", "load:ticket=T 1", "--approve", "load:rows=7")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.trace(), [f"T 1 7 by {self.me}", "told T 1"])
        self.assertIn("job load waits for approval: Load it?", ended.err)

    def test_an_option_approves_all(self):
        ended = self.run_flow("--approve-all", text="jobs: {a: {approval: {}, "
                              "run: 'echo ${{ approval.by }} >> trace'}}")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.trace(), [self.me])

    def test_without_a_terminal_the_job_fails_with_a_hint(self):
        ended = self.run_flow()
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.states()["load"],
                         ("failed", "it needs approval, and nobody can be asked here: "
                          "--approve load"))
        self.assertEqual(self.states()["tell"][0], "skipped")

    def test_what_is_wrong_with_an_option_is_said(self):
        ended = self.run_flow("--approve", "laod")
        self.assertEqual(ended.code, 2, ended)
        self.assertIn('did you mean "load"?', ended.err)
        ended = self.run_flow("--approve", "load")
        self.assertEqual(ended.code, 1, ended)
        self.assertIn('input "ticket": it is required', self.states()["load"][1])

    def test_others_than_the_approvers_are_refused(self):
        ended = self.run_flow("--approve-all", text="jobs: {a: {approval: {approvers: "
                              "[no-such-user]}, run: 'true'}}")
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("is not among those who may approve it", self.states()["a"][1])

    def test_a_dry_run_tells_of_it(self):
        self.assertIn("once somebody has approved it", self.run_flow("--dry-run").out)


class AtATerminal(Traced, TroupeTest):
    def begin(self):
        self.write(FLOW)
        return self.terminal([TROUPE, "run", "flow.yaml"])

    def test_people_are_asked(self):
        terminal = self.begin()
        terminal.expect("job load waits for approval: Load it? [y/N] ")
        terminal.send("y\n")
        terminal.expect("ticket (string): ")
        terminal.send("\n")
        terminal.expect("it is required")
        terminal.expect("ticket (string): ")
        terminal.send("T 1\n")
        terminal.expect("rows (number) [5]: ")
        terminal.send("many\n")
        terminal.expect("must be a number")
        terminal.expect("rows (number) [5]: ")
        terminal.send("\n")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(self.trace(), [f"T 1 5 by {self.me}", "told T 1"])

    def test_anything_but_yes_is_a_no(self):
        terminal = self.begin()
        terminal.expect("[y/N] ")
        terminal.send("\n")
        terminal.expect(f"rejected by {self.me}")
        self.assertEqual(terminal.wait(), 1)
        self.assertEqual(self.trace(), [])

    def test_ctrl_c_ends_the_question(self):
        terminal = self.begin()
        terminal.expect("[y/N] ")
        terminal.send(CTRL_C)
        self.assertEqual(terminal.wait(), 128 + signal.SIGINT)
        self.assertEqual(self.trace(), [])


class Durable(Traced, WithNode, TroupeTest):
    def submit_flow(self, text=FLOW):
        return self.ok("submit", "-f", self.write(text)).out.strip()

    def run_of(self, name):
        return json.loads(self.ok("status", name, "--json").out)

    def job_of(self, run, label):
        return next(job for job in self.run_of(run)["instances"] if job["label"] == label)

    def wait_until_asked(self, run, label="load"):
        wait_until(lambda: self.job_of(run, label)["state"] == "awaiting",
                   what=f"{label} of {run} awaiting approval")

    def test_a_job_runs_once_it_is_approved(self):
        run = self.submit_flow()
        self.wait_until_asked(run)
        self.assertIn("waits for approval: Load it?", self.ok("status", run).out)
        self.assertIn("load: awaiting: waits for approval: Load it?", self.ok("why", run).out)
        self.assertIn("1/3, 1 awaits approval", self.ok("list", "runs").out)
        refused = self.troupe("approve", run, "load")
        self.assertEqual(refused.code, 1, refused)
        self.assertIn('input "ticket": it is required', refused.err)
        self.assertEqual(self.ok("approve", run, "load", "--input", "ticket=T 1").out,
                         f"job load of run {run} is approved\n")
        self.ok("wait", run)
        self.assertEqual(self.trace(), [f"T 1 5 by {self.me}", "told T 1"])
        approval = self.job_of(run, "load")["approval"]
        self.assertEqual((approval["prompt"], approval["answer"]["who"],
                          approval["answer"]["inputs"]),
                         ("Load it?", self.me, {"ticket": "T 1"}))
        self.assertIn(f"approved by {self.me}", self.ok("status", run).out)
        self.assertIn("it has ended",
                      self.troupe("approve", run, "load").err)

    def test_a_rejected_job_fails(self):
        run = self.submit_flow()
        self.wait_until_asked(run)
        self.ok("approve", run, "load", "--reject", "--reason", "not today")
        self.assertEqual(self.troupe("wait", run).code, 1)
        job = self.job_of(run, "load")
        self.assertEqual((job["state"], job["reason"]),
                         ("failed", f"rejected by {self.me}: not today"))

    def test_time_runs_out(self):
        run = self.submit_flow("jobs: {a: {approval: {timeout: 100ms}, run: 'true'}}")
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.job_of(run, "a")["reason"],
                         "nobody approved it within 100ms")

    def test_a_cancelled_run_waits_no_more(self):
        run = self.submit_flow()
        self.wait_until_asked(run)
        self.ok("cancel", run)
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.run_of(run)["state"], "cancelled")

    def test_approvers_that_there_are_not_are_named(self):
        finished = self.troupe("submit", "-f", self.write(
            "jobs: {a: {approval: {approvers: [no-such-group]}, run: 'true'}}"))
        self.assertNotEqual(finished.code, 0)
        self.assertIn('"no-such-group" is neither a user nor a group', finished.err)

    def test_mistakes_are_told_before_the_node_is_asked(self):
        for words in (["r1"], ["x1", "a"], ["r1", "a", "--reason", "x"],
                      ["r1", "a", "--reject", "--input", "a=b"],
                      ["r1", "a", "--input", "a"]):
            self.assertEqual(self.troupe("approve", *words).code, 2, words)

    @unittest.skipUnless(is_root_with_setpriv(), "needs root and setpriv")
    def test_only_approvers_may_whoever_else_asks(self):
        games = grp.getgrnam("games").gr_gid
        self.folder.chmod(0o755)
        self.node.configure("slots: 2\nsocket-group: games\nsocket-group-role: read\n")
        self.node.restart()

        def as_nobody(*words):
            return self.run_program(
                [*AS_NOBODY[:2], f"--regid={games}", "--clear-groups", TROUPE, *words],
                env={"XDG_RUNTIME_DIR": "", "HOME": "/"})

        run = self.submit_flow("jobs: {a: {approval: {}, run: 'true'}, "
                               "b: {approval: {approvers: [nobody]}, run: 'true'}}")
        self.wait_until_asked(run, "a")
        self.wait_until_asked(run, "b")
        refused = as_nobody("approve", run, "a")
        self.assertNotEqual(refused.code, 0)
        self.assertIn("nobody may only look at runs", refused.err)
        refused = self.troupe("approve", run, "b")
        self.assertNotEqual(refused.code, 0)
        self.assertIn("is not among those who may approve job b: nobody", refused.err)
        self.ok("approve", run, "a")
        approved = as_nobody("approve", run, "b")
        self.assertEqual((approved.code, approved.err), (0, ""), approved)
        self.ok("wait", run)
        self.assertEqual(self.job_of(run, "b")["approval"]["answer"]["who"], "nobody")


class Crash(Traced, TroupeTest):
    def test_an_answer_survives_the_node(self):
        node = Node(self, "slots: 3\n")
        self.env["TROUPE_SOCKET"] = str(node.socket)
        node.start()
        run = self.troupe("submit", "-f", self.write(FLOW)).out.strip()

        def state():
            shown = json.loads(self.troupe("status", run, "--json").out)
            return {job["label"]: job["state"] for job in shown["instances"]}["load"]

        wait_until(lambda: state() == "awaiting", what="the question")
        node.kill()
        # The answer is the next event; the node dies when it is on the disk.
        process = node.launch(env={"TROUPE_TEST_END_AFTER_EVENTS": "1"})
        node.await_up(process)
        wait_until(lambda: state() == "awaiting", what="the question again")
        answer = self.start_troupe("approve", run, "load", "--input", "ticket=T")
        self.assertEqual(process.wait(LONG), 125)
        node.start()
        answer.finish()
        self.assertEqual(self.troupe("wait", run).code, 0)
        self.assertEqual(self.trace(), [f"T 5 by {self.me}", "told T"])


if __name__ == "__main__":
    unittest.main()
