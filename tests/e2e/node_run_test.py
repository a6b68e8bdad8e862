"""Runs of workflows that a node keeps: submitted, looked at, ended, retried."""

import json
import os
import pwd
import unittest

from nodes import WithNode
from troupe_e2e import TroupeTest, wait_until

ETL = """\
name: etl
jobs:
  extract:
    strategy: { matrix: { region: [eu, us] }, fail-fast: false }
    steps:
      - id: pull
        run: |
          echo pull ${{ matrix.region }} ${{ inputs.date }}
          echo "rows=it's 7" >> "$TROUPE_OUTPUT"
      - { id: lint, run: "echo lint ${{ steps.pull.outputs.rows }}" }
    outputs: { rows: "${{ steps.pull.outputs.rows }}" }
  load:
    needs: [extract]
    run: test -e ready && echo loaded ${{ needs.extract.outputs.rows }}
  report:
    needs: [load]
    run: echo $TROUPE_RUN ${{ run.id }} in $PWD
"""


class RunTest(WithNode):
    def write(self, text, name="etl.yaml"):
        (self.cwd / name).write_text(text)
        return name

    def submit_run(self, text, *options):
        finished = self.troupe("submit", "-f", self.write(text), *options)
        self.assertEqual((finished.code, finished.err), (0, ""), finished)
        self.assertRegex(finished.out, r"^r\d+\n$")
        return finished.out.strip()

    def run_of(self, name):
        return json.loads(self.ok("status", name, "--json").out)

    def states(self, name):
        return {job["label"]: job["state"] for job in self.run_of(name)["instances"]}

    def wait_for_state(self, name, label, state):
        wait_until(lambda: self.states(name)[label] == state,
                   what=f"{label} of {name} being {state}")


class Life(RunTest, TroupeTest):
    def test_a_run_goes_from_its_file_to_its_end(self):
        (self.cwd / "ready").touch()
        run = self.submit_run(ETL, "--input", "date=2026-05-01")
        self.assertEqual(run, "r1")
        self.ok("wait", run)
        self.assertEqual(self.states(run), {
            "extract (eu)": "succeeded", "extract (us)": "succeeded",
            "load": "succeeded", "report": "succeeded"})
        self.assertEqual(self.ok("logs", run, "load").out, "loaded it's 7\n")
        self.assertEqual(self.ok("logs", run, "extract (us)", "lint").out, "lint it's 7\n")
        self.assertEqual(self.ok("logs", run, "report").out, f"r1 r1 in {self.cwd}\n")
        whole = self.ok("logs", run).out
        self.assertIn("==> extract (eu): pull (job ", whole)
        self.assertIn("pull eu 2026-05-01\n", whole)
        self.assertEqual(list(self.node.folder.glob("output/**/*.outputs")), [])

    def test_the_file_may_change_once_it_is_submitted(self):
        gate = self.cwd / "ready"
        run = self.submit_run("jobs: { a: { run: 'until test -e ready; do sleep .02; "
                              "done' }, b: { needs: [a], run: echo old } }")
        self.write("jobs: { b: { run: echo new } }")
        gate.touch()
        self.ok("wait", run)
        self.assertEqual(self.ok("logs", run, "b").out, "old\n")

    def test_a_mistake_is_shown_in_its_line_and_nothing_is_kept(self):
        finished = self.troupe("submit", "-f", self.write("jobs:\n  a: { runn: x }\n"))
        self.assertEqual(finished.code, 3)
        self.assertIn("etl.yaml:2:8: ", finished.err)
        finished = self.troupe("submit", "-f", self.write(ETL))
        self.assertEqual(finished.code, 3)
        self.assertIn('no value for the input "date"', finished.err)
        finished = self.troupe("submit", "-f", self.write(ETL), "--retries", "3")
        self.assertEqual(finished.code, 2)
        self.assertIn("--retries goes with a command", finished.err)
        finished = self.troupe("submit", "--group", "none", "-f",
                               self.write("jobs: { a: { run: x } }"))
        self.assertEqual((finished.code, finished.err),
                         (1, "troupe: no group none\n"))
        self.assertEqual(self.node.get("/v1/runs")["runs"], [])

    def test_the_same_request_is_the_same_run(self):
        text = "jobs: { a: { run: echo >> lines } }"
        first = self.submit_run(text, "--request-id", "mine")
        self.ok("wait", first)
        self.assertEqual(self.submit_run(text, "--request-id", "mine"), first)
        self.ok("wait", first)
        self.assertEqual(self.text("lines"), "\n")

    def test_a_step_is_tried_again_as_its_workflow_says(self):
        run = self.submit_run(
            "jobs: { a: { steps: [ { id: s, retry: { attempts: 3, delay: 10ms }, "
            "run: 'echo x=$TROUPE_ATTEMPT >> $TROUPE_OUTPUT; test $TROUPE_ATTEMPT = 3' },"
            " { run: 'echo ${{ steps.s.outputs.x }}' } ] } }")
        self.ok("wait", run)
        step = self.run_of(run)["instances"][0]["steps"][0]
        self.assertEqual(step["attempts"], 3)
        self.assertEqual(self.ok("logs", run, "a", "2").out, "3\n")

    def test_no_attempt_starts_too_late_after_the_first(self):
        run = self.submit_run(
            "jobs: { a: { run: exit 1, retry: { attempts: 1000, delay: 100ms, "
            "backoff: 1, jitter: 0, max-elapsed: 1s } } }")
        self.assertEqual(self.troupe("wait", run).code, 1)
        step = self.run_of(run)["instances"][0]["steps"][0]
        self.assertIn(step["attempts"], range(2, 12))

    def test_outputs_that_cannot_be_read_are_a_failure(self):
        run = self.submit_run("jobs: { a: { run: 'echo nonsense >> $TROUPE_OUTPUT' } }")
        self.assertEqual(self.troupe("wait", run).code, 1)
        step = self.run_of(run)["instances"][0]["steps"][0]
        self.assertIn("its outputs: line 1: expected name=value", step["reason"])

    def test_values_never_become_commands(self):
        value = "'; touch injected; echo \"$(touch injected)\" `touch injected` #\n"
        run = self.submit_run(
            "jobs: { a: { steps: [ { id: s, run: 'printf \"v<<END\\n%s\\nEND\\n\" "
            "${{ inputs.v }} >> $TROUPE_OUTPUT' }, "
            "{ run: 'printf %s ${{ steps.s.outputs.v }}' } ] } }",
            "--input", "v=" + value)
        self.ok("wait", run)
        self.assertEqual(self.ok("logs", run, "a", "2").out, value)
        self.assertFalse((self.cwd / "injected").exists())


class Looking(RunTest, TroupeTest):
    CONFIG = "slots: 1\n"

    def test_a_question_about_no_run_is_no_trouble_of_the_node(self):
        finished = self.troupe("status", "r7")
        self.assertEqual(finished.code, 1)
        self.assertIn("r7", finished.err)
        self.assertNotIn("[error]", self.node.log_text())
        self.assertNotIn("run_cannot_go_on", self.node.log_text())

    def test_jobs_of_runs_are_listed_with_their_run(self):
        run = self.submit_run("name: n\njobs: { a: { run: 'true' } }")
        self.ok("wait", run)
        job = self.submit("--", "true")
        self.ok("wait", job)
        listed = json.loads(self.ok("list", "--all", "--json").out)["jobs"]
        self.assertEqual([one["job"] for one in listed], [job])
        runs = json.loads(self.ok("list", "runs", "--json").out)["runs"]
        self.assertEqual([(one["run"], one["name"], one["state"]) for one in runs],
                         [(1, "n", "succeeded")])
        self.assertRegex(self.ok("list", "runs").out,
                         r"^ID +NAME +STATE +JOBS +AGE\nr1 +n +succeeded +1/1 +\ds\n$")
        of_run = self.node.get("/v1/jobs?run=1")["jobs"]
        self.assertEqual([one["run"] for one in of_run], [1])
        for command in ("retry", "forget"):
            finished = self.troupe(command, str(of_run[0]["job"]))
            self.assertEqual(finished.code, 1)
            self.assertIn("it belongs to run r1; give r1 instead", finished.err)

    def test_a_run_is_shown_as_a_tree(self):
        run = self.submit_run(
            "name: n\njobs:\n  a: { steps: [ { id: s, run: sleep %s }, { run: x } ] }\n"
            "  b: { run: 'true' }\n  c: { needs: [a, b], run: 'true' }\n" % self.seconds)
        self.wait_for_state(run, "a", "running")
        wait_until(lambda: self.run_of(run)["instances"][0]["steps"][0]["state"] ==
                   "running", what="the step")
        shown = self.ok("status", run).out
        self.assertRegex(shown, r"(?s)^run r1: n, running \(0/3\)\n  file .*jobs:\n"
                         r"  a +running +\S+\n    s +running +job 1\n"
                         r"  b +queued +\S+ +job 2\n"
                         r"  c +pending +waits for a, b\n$")
        why = self.ok("why", run).out
        self.assertIn("  a: running: job 1 runs\n", why)
        self.assertIn("all 1 slots of group default are taken", why)
        self.assertIn("  c: pending: waits for a, b\n", why)
        self.ok("cancel", run)
        self.assertEqual(self.troupe("wait", run).code, 1)

    def test_the_logs_of_a_run_are_followed_to_its_end(self):
        run = self.submit_run(
            "jobs: { a: { run: 'echo first; until test -e gate; do sleep .02; done; "
            "echo second' }, b: { needs: [a], run: echo third } }")
        with open(self.cwd / "seen", "wb") as seen:
            follower = self.start_troupe("logs", "-f", run, stdout=seen)
        # The line above what a job has written tells its command as well.
        wait_until(lambda: "\nfirst\n" in self.text("seen"), what="a line")
        (self.cwd / "gate").touch()
        self.assertEqual(follower.finish().code, 0)
        self.assertRegex(self.text("seen"),
                         r"\A==> a: .* \(job 1\) <==\nfirst\nsecond\n"
                         r"==> b: .* \(job 2\) <==\nthird\n\Z")
        self.assertEqual(self.troupe("logs", "-f", run, "none").code, 1)

    def test_a_graph_shows_states(self):
        run = self.submit_run(
            "name: n\njobs:\n  a: { run: 'true' }\n  b: { run: 'false' }\n"
            "  c: { needs: [a, { job: b, when: finished }], run: 'true' }\n")
        self.troupe("wait", run)
        self.assertEqual(self.ok("graph", run).out, """\
digraph "n" {
  rankdir=LR;
  node [shape=box, style=rounded];
  j0 [label="a\\nsucceeded", style="rounded,filled", fillcolor=palegreen];
  j1 [label="b\\nfailed", style="rounded,filled", fillcolor=lightcoral];
  j2 [label="c\\nsucceeded", style="rounded,filled", fillcolor=palegreen];
  j0 -> j2;
  j1 -> j2 [label=finished];
}
""")
        self.assertEqual(self.ok("graph", "etl.yaml", "--format", "mermaid").out, """\
flowchart LR
  j0["a"]
  j1["b"]
  j2["c"]
  j0 --> j2
  j1 -->|finished| j2
""")

    def test_what_is_not_there_is_named(self):
        finished = self.troupe("status", "r9")
        self.assertEqual((finished.code, finished.err), (1, "troupe: no run r9\n"))
        run = self.submit_run("jobs: { load: { run: 'true' } }")
        self.ok("wait", run)
        finished = self.troupe("logs", run, "laod")
        self.assertEqual(finished.err,
                         'troupe: run r1 has no job "laod"; did you mean "load"?\n')


class Surroundings(RunTest, TroupeTest):
    def test_files_and_people_are_as_they_were_at_the_submission(self):
        (self.cwd / "a.env").write_text("A=1\nB=1\n")
        (self.cwd / "in").write_text("text")
        run = self.submit_run(
            "name: n\nrun-name: ${{ run.id }} by ${{ run.actor }}\ndotenv: a.env\nenv: { B: 2 }\n"
            "jobs:\n"
            "  hold: { run: 'until test -e go; do sleep 0.02; done' }\n"
            "  a: { needs: [hold], run: \"echo $A $B ${{ hashFiles('in') }} "
            "${{ run.actor }} >> log\" }\n")
        (self.cwd / "a.env").write_text("A=3\n")
        (self.cwd / "in").write_text("other")
        self.node.restart()
        (self.cwd / "go").touch()
        self.ok("wait", run)
        a, b, digest, actor = self.text("log").split()
        self.assertEqual((a, b), ("1", "2"))
        self.assertRegex(digest, "^[0-9a-f]{64}$")
        self.assertEqual(actor, pwd.getpwuid(os.getuid()).pw_name)
        self.assertIn(f"{run} by {actor}", self.ok("list", "runs").out)

    def test_a_file_of_variables_that_is_missing_is_told_at_once(self):
        (self.cwd / "flow.yaml").write_text("dotenv: no.env\njobs: { a: { run: x } }")
        finished = self.troupe("submit", "-f", "flow.yaml")
        self.assertEqual((finished.code, finished.err),
                         (3, "troupe: flow.yaml: dotenv: no.env: no such file or "
                             "directory\n"))


class Ends(RunTest, TroupeTest):
    def test_a_cancelled_run_still_cleans_up(self):
        run = self.submit_run(
            "jobs:\n  a: { run: sleep %s }\n  b: { needs: [a], run: 'true' }\n"
            "  c: { needs: [a], if: always(), run: echo clean >> log }\n" % self.seconds)
        wait_until(lambda: self.run_of(run)["instances"][0]["steps"] and
                   self.run_of(run)["instances"][0]["steps"][0]["state"] == "running",
                   what="a running")
        self.ok("cancel", run)
        finished = self.troupe("wait", run)
        self.assertEqual(finished.code, 1)
        self.assertIn("run r1 is cancelled (3/3); see troupe status r1", finished.err)
        self.assertEqual(self.states(run),
                         {"a": "cancelled", "b": "cancelled", "c": "succeeded"})
        self.assertEqual(self.text("log"), "clean\n")
        finished = self.troupe("cancel", run)
        self.assertEqual((finished.code, finished.err),
                         (1, "troupe: run r1: it has ended\n"))

    def test_a_retry_runs_what_has_not_succeeded(self):
        run = self.submit_run(
            "jobs:\n  a: { run: echo a >> log }\n"
            "  b: { needs: [a], run: 'echo b >> log; test -e ready' }\n"
            "  c: { needs: [b], run: echo c >> log }\n")
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.states(run),
                         {"a": "succeeded", "b": "failed", "c": "skipped"})
        (self.cwd / "ready").touch()
        self.assertEqual(self.ok("retry", run).out, "run r1 goes on\n")
        self.ok("wait", run)
        self.assertEqual(self.text("log"), "a\nb\nb\nc\n")
        self.assertEqual(len(self.run_of(run)["instances"][1]["steps"]), 2)
        finished = self.troupe("retry", run)
        self.assertEqual(finished.code, 1)
        self.assertIn("all its jobs have succeeded", finished.err)
        self.ok("retry", run, "--from", "b")
        self.ok("wait", run)
        self.assertEqual(self.text("log"), "a\nb\nb\nc\nb\nc\n")
        # It is the same after a restart.
        before = self.run_of(run)
        self.node.restart()
        self.assertEqual(self.run_of(run), before)

    def test_causes_decide_about_retries_and_what_may_fail(self):
        run = self.submit_run(
            "jobs:\n"
            "  a: { run: 'echo a >> log; exit 75', retry: { attempts: 3, delay: 0s, "
            "if: [exit:75], unless: [exit:1] } }\n"
            "  b: { run: 'echo b >> log; exit 1', retry: { attempts: 3, delay: 0s, "
            "if: [exit:75] } }\n"
        )
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(sorted(self.text("log").split()), ["a", "a", "a", "b"])
        run = self.submit_run(
            "jobs:\n"
            "  c: { run: exit 3, continue-on-error: [exit:3] }\n"
            "  d: { run: sleep %s, timeout: { silence: 100ms }, "
            "continue-on-error: [silence] }\n" % self.seconds)
        self.ok("wait", run)
        self.assertEqual(self.states(run), {"c": "failed", "d": "timed_out"})
        run = self.submit_run(
            "jobs:\n"
            "  a: { run: 'echo x >> tries; seq 100000; echo do; echo ne', "
            "output-contains: [\"do\\nne\", '77777'] }\n"
            "  b: { run: 'echo ERROR >&2', output-not-contains: [ERROR], "
            "continue-on-error: [output] }\n"
            "  c: { run: 'echo x >> tries', output-contains: [no], "
            "retry: { attempts: 2, delay: 0s, if: [output] }, continue-on-error: true }\n")
        self.ok("wait", run)
        self.assertEqual(self.states(run), {"a": "succeeded", "b": "failed",
                                            "c": "failed"})
        self.assertEqual(self.text("tries"), "x\n" * 3)
        run = self.submit_run("jobs: { e: { run: exit 4, continue-on-error: [exit:3] } }")
        self.assertEqual(self.troupe("wait", run).code, 1)

    def test_a_run_is_forgotten_with_its_jobs(self):
        run = self.submit_run("jobs: { a: { run: echo hello } }")
        self.ok("wait", run)
        job = self.node.get("/v1/jobs?run=1")["jobs"][0]["job"]
        self.ok("forget", run)
        self.assertEqual(self.troupe("status", run).err, "troupe: no run r1\n")
        self.assertEqual(self.troupe("status", str(job)).err, f"troupe: no job {job}\n")
        wait_until(lambda: not list(self.node.folder.glob("output/*/*")),
                   what="no output left")

    def test_a_job_that_somebody_cancels_is_cancelled_in_its_run(self):
        run = self.submit_run("jobs: { a: { run: sleep %s }, b: { needs: [a], "
                              "run: 'true' } }" % self.seconds)
        wait_until(lambda: self.run_of(run)["instances"][0]["steps"], what="a step")
        self.ok("cancel", "1")
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.states(run), {"a": "cancelled", "b": "skipped"})


class Together(RunTest, TroupeTest):
    """Runs that get in each other's way, and what is kept of those that ended."""

    ALONE = ("concurrency: site\njobs: { a: { run: 'until test -e gate; do sleep .02; "
             "done; echo done' } }")

    def test_a_run_waits_for_its_group_and_says_for_whom(self):
        first, second = self.submit_run(self.ALONE), self.submit_run(self.ALONE)
        self.wait_for_state(first, "a", "running")
        self.assertIn('waits for concurrency group "site", which r1 is in',
                      self.ok("status", second).out)
        self.node.kill()
        self.node.start()
        wait_until(lambda: 'which r1 is in' in self.ok("status", second).out,
                   what="why the second one waits")
        self.assertEqual(self.states(second), {"a": "pending"})
        (self.cwd / "gate").touch()
        self.ok("wait", first, second)
        self.assertEqual(self.ok("logs", second, "a").out, "done\n")

    def test_old_runs_are_forgotten_when_one_has_ended(self):
        text = "retention: { runs: 2 }\njobs: { a: { run: echo done } }"
        for _ in range(4):
            self.ok("wait", self.submit_run(text))
        wait_until(lambda: len(self.node.get("/v1/runs")["runs"]) == 2,
                   what="two runs that are kept")

    def test_steps_take_what_their_job_says(self):
        run = self.submit_run("jobs: { a: { run: echo done, resources: { gpu: 99 } } }")
        self.wait_for_state(run, "a", "running")
        job = self.run_of(run)["instances"][0]["steps"][0]["job"]
        self.assertIn("gpu", self.ok("why", str(job)).out)
        self.ok("cancel", run)


class Secrets(RunTest, TroupeTest):
    """Their values are given to commands, and kept nowhere."""

    VALUE = "swordfish-7391"

    def test_a_value_reaches_the_command_and_nothing_that_is_kept(self):
        (self.cwd / "secret").write_text(self.VALUE + "\n")
        (self.cwd / "calc").write_text("calc-4711\n")
        calc = self.cwd / "calc"
        run = self.submit_run(f"""\
secrets: {{ PASS: {{ from: file, key: secret }}, CALC: {{ from: command, key: "cat {calc}" }} }}
""" + """\
jobs:
  a:
    steps:
      - id: s
        env: { URL: "db://me:${{ secrets.PASS }}@host", CALC: "${{ secrets.CALC }}" }
        run: |
          test "$URL" = "db://me:$(cat secret)@host" && test $CALC = $(cat calc)
          env | grep TROUPE_SECRET && exit 1
          until test -e gate; do sleep .02; done
          echo "out $URL"; echo "err $CALC" >&2
          echo "url=$URL" >> "$TROUPE_OUTPUT"
      - run: echo "handed on ${{ steps.s.outputs.url }}"
""")
        self.wait_for_state(run, "a", "running")
        self.node.kill()
        (self.cwd / "gate").touch()
        self.node.start()
        self.ok("wait", run)
        self.assertEqual(sorted(self.ok("logs", run, "a", "s").out.splitlines()),
                         ["err ***", "out db://me:***@host"])
        self.assertEqual(self.ok("logs", run, "a", "2").out,
                         "handed on db://me:***@host\n")
        self.node.end()
        for path in self.node.folder.rglob("*"):
            if path.is_file():
                for secret in (self.VALUE, "calc-4711"):
                    self.assertNotIn(secret.encode(), path.read_bytes(), path)

    def test_a_variable_is_one_of_the_node_and_not_of_who_submits(self):
        self.node.terminate()
        self.node.start(env={"TOKEN": self.VALUE})
        text = ("secrets: { TOKEN: { from: env } }\njobs: { a: { env: "
                "{ T: '${{ secrets.TOKEN }}' }, run: 'echo $T ${#T}' } }")
        run = self.submit_run(text)
        self.ok("wait", run)
        self.assertEqual(self.ok("logs", run, "a").out, "*** 14\n")
        finished = self.troupe("submit", "-f", "etl.yaml", env={"TOKEN": "of-mine-815"})
        self.ok("wait", finished.out.strip())
        self.assertEqual(self.ok("logs", finished.out.strip(), "a").out, "*** 14\n")
        self.node.terminate()
        for path in self.node.folder.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"of-mine-815", path.read_bytes(), path)

    def test_a_secret_that_cannot_be_read_fails_its_step(self):
        run = self.submit_run("secrets: { PASS: { from: file, key: none }, T: {} }\n"
                              "jobs: { a: { env: { P: '${{ secrets.PASS }}' }, run: x }, "
                              "b: { env: { P: '${{ secrets.T }}' }, run: x } }")
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertIn('the secret "PASS": ', self.ok("logs", run, "a").out)
        self.assertIn('the secret "T": the node has no variable T',
                      self.ok("logs", run, "b").out)

    def test_its_command_ends_as_it_would_without(self):
        (self.cwd / "secret").write_text(self.VALUE)
        head = "secrets: { P: { from: file, key: secret } }\njobs: { a: { env: " \
               "{ P: '${{ secrets.P }}' }, "
        run = self.submit_run(head + "run: exit 7 } }")
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.run_of(run)["instances"][0]["steps"][0]["exit_status"], 7)
        run = self.submit_run(head + "timeout: 300ms, grace: 5s, run: 'trap \"echo bye; "
                              "exit 3\" TERM; while :; do sleep .05; done' } }")
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.states(run), {"a": "timed_out"})
        self.assertIn("bye\n", self.ok("logs", run, "a").out)


class Restarts(RunTest, TroupeTest):
    def test_a_run_goes_on_where_it_was(self):
        run = self.submit_run(
            "jobs:\n  a: { run: 'echo a >> log; until test -e ready; do sleep .02; "
            "done; echo x=1 >> $TROUPE_OUTPUT' }\n"
            "  b: { needs: [a], run: echo b >> log }\n")
        self.wait_for_lines("log", 1)
        self.node.kill()
        (self.cwd / "ready").touch()
        self.node.start()
        self.ok("wait", run)
        self.assertEqual(self.text("log"), "a\nb\n")

    def test_a_run_goes_on_after_an_orderly_end(self):
        run = self.submit_run(
            "jobs:\n  a: { run: 'echo a >> log; until test -e ready; do sleep .02; "
            "done' }\n  b: { needs: [a], run: echo b >> log }\n")
        self.wait_for_lines("log", 1)
        self.assertEqual(self.node.terminate(), 0)
        (self.cwd / "ready").touch()
        self.node.start()
        self.ok("wait", run)
        # What runs at the end of a node waits again, as any job.
        self.assertEqual(self.text("log"), "a\na\nb\n")

    def test_a_limit_goes_on_while_there_is_no_node(self):
        run = self.submit_run("jobs: { a: { timeout: { total: 2s }, run: sleep %s } }"
                              % self.seconds)
        wait_until(lambda: self.run_of(run)["instances"][0]["steps"], what="a step")
        self.node.restart()
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.states(run), {"a": "timed_out"})


if __name__ == "__main__":
    unittest.main()
