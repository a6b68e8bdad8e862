"""troupe run and troupe lint: the real program on real workflows."""

import json
import os
import re
import shlex
import shutil
import signal
import time
import unittest
from pathlib import Path

from troupe_e2e import SANITIZED, TROUPE, TroupeTest, wait_until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RUN_ID = r"\d{8}-\d{6}-[0-9a-z]{4}"


class Workflows:
    """What these tests share; each has a file flow.yaml."""

    @property
    def state(self):
        return Path(self.env["XDG_STATE_HOME"])

    def write(self, text, name="flow.yaml"):
        (self.cwd / name).write_text(text)
        return name

    def run_flow(self, text, *words, **options):
        return self.troupe("run", self.write(text), *words, **options)

    def runs(self):
        folder = self.state / "troupe" / "runs"
        return sorted(folder.iterdir()) if folder.exists() else []

    def record(self):
        """run.json of the only run."""
        (run,) = self.runs()
        return json.loads((run / "run.json").read_text())

    def states(self):
        return {job["label"]: job["state"] for job in self.record()["jobs"]}

    def plain(self, text):
        """Without what differs from run to run."""
        text = re.sub(RUN_ID, "RUN", text.replace(str(self.folder), "FOLDER"))
        text = re.sub(r"(?m)^\d\d:\d\d:\d\d ", "", text)
        return re.sub(r"\b(in|after) (\d+(\.\d+)?(ms|s|m))+", r"\1 T", text)


class Ending(Workflows, TroupeTest):
    def test_a_run_that_succeeds_says_each_step_and_exits_with_0(self):
        ended = self.run_flow("name: hi\njobs:\n  hello: {run: echo hello}\n")
        self.assertEqual((ended.code, ended.out),
                         (0, "==> hello: echo hello <==\nhello\n"))
        self.assertEqual(self.plain(ended.err),
                         "run RUN of hi: 1 job\n"
                         "job hello: started\n"
                         'job hello: step "echo hello" started\n'
                         'job hello: step "echo hello" succeeded in T\n'
                         "job hello: succeeded\n"
                         "run RUN succeeded in T: 1 succeeded\n")

    def test_an_actor_that_dies_takes_no_output_along(self):
        ended = self.run_flow("jobs: {a: {run: echo x; sleep 0.2; echo y}}\n",
                              env={"TROUPE_TEST_CRASH_ACTORS": "1"})
        self.assertEqual((ended.code, ended.out.splitlines()[1:]),
                         (0, ["x", "y"]))

    def test_an_output_that_is_full_is_told_and_exits_with_125(self):
        with open("/dev/full", "wb") as full:
            ended = self.run_flow("jobs: {a: {run: echo x}}\n", stdout=full)
        self.assertEqual(ended.code, 125)
        self.assertIn("troupe: cannot write to standard output: no space left "
                      "on device\n", ended.err)

    def test_a_failure_is_explained_and_exits_with_1(self):
        ended = self.run_flow(
            "name: bad\n"
            "jobs:\n"
            "  first:\n"
            "    steps:\n"
            "      - {id: break, name: break it, run: 'echo one; echo two >&2; exit 3'}\n"
            "      - run: echo never\n"
            "  second: {needs: first, run: echo never}\n", "--output", "none")
        self.assertEqual((ended.code, ended.out), (1, ""))
        self.assertEqual(self.plain(ended.err),
                         "run RUN of bad: 2 jobs\n"
                         "job first: started\n"
                         'job first: step "break it" started\n'
                         'job first: step "break it" failed after T: exited with 3\n'
                         'job first: step "echo never" skipped: a step before it failed\n'
                         'job first: failed: step "break" failed\n'
                         'job second: skipped: job "first" ended with failure\n'
                         "\n"
                         'job first, step "break it": exited with 3\n'
                         "    one\n"
                         "    two\n"
                         "  log: FOLDER/home/state/troupe/runs/RUN/first/break.1.log\n"
                         "\n"
                         "run RUN failed in T: 1 failed, 1 skipped\n"
                         "logs: FOLDER/home/state/troupe/runs/RUN\n")

    def test_a_program_that_is_not_there_fails_its_step(self):
        ended = self.run_flow("jobs: {a: {run: no-such-program}}")
        self.assertEqual(ended.code, 1)
        self.assertIn("no-such-program: command not found", ended.err)

    def test_output_can_be_of_failed_steps_only(self):
        ended = self.run_flow("jobs: {a: {run: echo good}, b: {needs: a, run: "
                              "'printf bad; exit 1'}}", "--output=failed")
        self.assertEqual((ended.code, ended.out),
                         (1, "==> b: printf bad; exit 1 <==\nbad\n"))


class Order(Workflows, TroupeTest):
    def test_jobs_wait_for_what_they_need(self):
        self.run_flow(
            "jobs:\n"
            "  c: {needs: [a, b], run: echo c >> order}\n"
            "  b: {needs: a, run: echo b >> order}\n"
            "  a: {run: sleep 0.2; echo a >> order}\n")
        self.assertEqual((self.cwd / "order").read_text(), "a\nb\nc\n")

    def test_j_limits_the_jobs_at_a_time(self):
        flow = ("jobs:\n  a:\n    strategy: {matrix: {n: [1, 2, 3, 4]}}\n"
                "    run: 'echo + >> order; sleep 0.1; echo - >> order'\n")
        self.assertEqual(self.run_flow(flow, "-j", "1").code, 0)
        self.assertEqual((self.cwd / "order").read_text(), "+\n-\n" * 4)

    def test_max_parallel_limits_one_matrix(self):
        flow = ("jobs:\n  a:\n    strategy: {matrix: {n: [1, 2, 3]}, "
                "max-parallel: 1}\n"
                "    run: 'echo + >> order; sleep 0.1; echo - >> order'\n")
        self.assertEqual(self.run_flow(flow, "-j", "8").code, 0)
        self.assertEqual((self.cwd / "order").read_text(), "+\n-\n" * 3)

    def test_independent_jobs_run_side_by_side(self):
        flow = ("jobs:\n"
                "  a: {run: 'mkfifo pipe; echo a > pipe'}\n"
                "  b: {run: 'while ! test -p pipe; do sleep 0.01; done; cat pipe'}\n")
        self.assertEqual(self.run_flow(flow, "-j", "2").code, 0)

    def test_fail_fast_ends_the_other_variants(self):
        ended = self.run_flow(
            "jobs:\n  a:\n    strategy: {matrix: {n: [60, 0]}}\n"
            "    run: sleep ${{ matrix.n }}; test ${{ matrix.n }} = 60\n", "-j2")
        self.assertEqual(ended.code, 1)
        self.assertEqual(self.states(), {"a (60)": "cancelled", "a (0)": "failed"})

    def test_without_fail_fast_they_go_on(self):
        ended = self.run_flow(
            "jobs:\n  a:\n    strategy: {matrix: {n: [1, 0]}, fail-fast: false}\n"
            "    run: sleep ${{ matrix.n }}; test ${{ matrix.n }} = 1\n", "-j2")
        self.assertEqual(ended.code, 1)
        self.assertEqual(self.states(), {"a (1)": "succeeded", "a (0)": "failed"})

    def test_job_selects_a_job_with_its_needs(self):
        ended = self.run_flow("jobs: {a: {run: echo a}, b: {needs: a, run: echo "
                              "b}, c: {run: echo c}}", "--job", "b")
        self.assertEqual(ended.code, 0)
        self.assertEqual(self.states(), {"a": "succeeded", "b": "succeeded"})

    def test_many_jobs_run_to_their_end(self):
        numbers = list(range(300))
        ended = self.run_flow(f"jobs:\n  a:\n    strategy: {{matrix: {{n: {numbers}}}}}\n"
                              "    run: echo ${{ matrix.n }}\n", "-j", "16")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(ended.out.count("==>"), 300)


class Together(Workflows, TroupeTest):
    """Runs that get in each other's way, and what is kept of those that ended."""

    @staticmethod
    def holding(what=""):
        return (f"concurrency: {{ group: site{what} }}\njobs: {{ a: {{ run: 'touch in; "
                "until test -e gate; do sleep .02; done; echo done' } }")

    def hold(self, text):
        """A run that is in its group until there is a file `gate`."""
        first = self.start_troupe("run", self.write(text, "first.yaml"))
        wait_until(lambda: (self.cwd / "in").exists(), what="the first run")
        return first

    def test_a_run_waits_for_its_concurrency_group(self):
        first = self.hold(self.holding())
        said = self.cwd / "said"
        with open(said, "wb") as err:
            second = self.start_troupe("run", self.write(self.holding()), stderr=err)
        wait_until(lambda: f'waits for concurrency group "site", which process {first.pid}'
                   in said.read_text(), what="a run that waits")
        self.assertEqual(len(self.runs()), 1)
        (self.cwd / "gate").touch()
        self.assertEqual([first.finish().code, second.finish().code], [0, 0])
        self.assertEqual(len(self.runs()), 2)

    def test_a_place_is_free_when_its_run_was_killed(self):
        first = self.hold(self.holding())
        first.signal(signal.SIGKILL)
        first.finish()
        (self.cwd / "gate").touch()
        self.assertEqual(self.run_flow(self.holding()).code, 0)

    def test_a_group_may_skip_or_fail_a_run(self):
        first = self.hold(self.holding())
        skipped = self.run_flow(self.holding(", on-conflict: skip"))
        self.assertEqual((skipped.code, skipped.out), (0, ""))
        self.assertIn(f"skipped: process {first.pid} is in", skipped.err)
        failed = self.run_flow(self.holding(", on-conflict: fail"))
        self.assertEqual((failed.code, failed.out), (1, ""))
        full = self.run_flow(self.holding(", queue: 0"))
        self.assertEqual(full.code, 1)
        self.assertIn("has no room for one more: 0 wait", full.err)
        (self.cwd / "gate").touch()
        self.assertEqual(first.finish().code, 0)

    def test_a_group_may_replace_a_run(self):
        first = self.hold(self.holding())
        second = self.start_troupe(
            "run", self.write(self.holding(", on-conflict: cancel-running")))
        self.assertEqual(first.finish().code, 143)
        (self.cwd / "gate").touch()
        self.assertEqual(second.finish().code, 0)

    def test_old_runs_of_a_workflow_are_deleted_when_one_has_ended(self):
        text = "retention: { runs: 2 }\njobs: { a: { run: echo a } }"
        self.run_flow("jobs: { other: { run: echo a } }")
        other = self.runs()
        (self.cwd / "flow.yaml").rename(self.cwd / "other.yaml")
        for _ in range(4):
            self.troupe("run", self.write(text, "kept.yaml"))
        self.assertEqual(len(self.runs()), 3)
        self.assertIn(other[0], self.runs())

    def test_jobs_that_take_the_same_thing_wait_for_each_other(self):
        # Each fails if another one is there.
        text = "jobs:\n" + "".join(
            f"  j{i}: {{ run: mkdir busy && sleep .05 && rmdir busy, "
            "resources: { licence: 1 } }\n" for i in range(4))
        ended = self.run_flow(text, "-j", "4", "--resources", "licence=1")
        self.assertEqual(ended.code, 0, ended)
        ended = self.run_flow(text, "-j", "4")
        self.assertEqual(ended.code, 3)
        self.assertIn("job j0 takes 1 of licence, and there is 0", ended.err)


class Inputs(Workflows, TroupeTest):
    FLOW = ("on:\n  dispatch:\n    inputs:\n"
            "      env: {type: choice, options: [staging, prod], required: true}\n"
            "      file: {type: path, default: in.csv}\n"
            "      day: {type: date, default: today}\n"
            "jobs:\n  a:\n    working-directory: /\n"
            "    run: echo ${{ inputs.env }} ${{ inputs.file }} ${{ inputs.day }}\n")

    def test_they_have_their_types_and_defaults(self):
        before = time.strftime("%Y-%m-%d")
        ended = self.run_flow(self.FLOW, "--input", "env=prod")
        self.assertEqual(ended.code, 0, ended)
        line = ended.out.splitlines()[1]
        self.assertIn(line, {f"prod {self.cwd}/in.csv {day}"
                             for day in (before, time.strftime("%Y-%m-%d"))})

    def test_the_file_may_come_after_them(self):
        (self.cwd / "flow.yaml").write_text(self.FLOW)
        ended = self.troupe("run", "--input", "env=prod", "--input", "day=2026-05-01",
                            "flow.yaml")
        self.assertEqual(ended.code, 0, ended)
        self.assertIn(f"prod {self.cwd}/in.csv 2026-05-01\n", ended.out)

    def test_a_wrong_one_is_told_before_anything_runs(self):
        for words in [], ["--dry-run"]:
            ended = self.run_flow(self.FLOW, "--input", "env=prd", *words)
            self.assertEqual((ended.code, ended.out), (3, ""))
            self.assertTrue(ended.err.startswith(
                'flow.yaml:4:7: --input env: must be one of staging, prod, not "prd"; '
                'did you mean "prod"?\n'), ended)
        self.assertEqual(self.runs(), [])

    def test_a_missing_one_is_told_with_the_option_to_give(self):
        ended = self.run_flow(self.FLOW)
        self.assertEqual(ended.code, 3)
        self.assertTrue(ended.err.startswith(
            'flow.yaml:4:7: no value for the input "env"; give it with --input env=VALUE, '
            'one of staging, prod\n'), ended)

    def test_the_plan_is_printed_with_them(self):
        ended = self.run_flow(self.FLOW, "--input", "env=prod", "--dry-run")
        self.assertIn(f"| echo prod {self.cwd}/in.csv ", ended.out)

    def test_what_they_say_is_never_code(self):
        """The injection that other tools are known for."""
        flow = ("on: {dispatch: {inputs: {who: {}}}}\n"
                "jobs:\n  a:\n    run: |\n"
                "      echo plain ${{ inputs.who }}\n"
                "      echo \"double ${{ inputs.who }}\"\n"
                "      echo 'single ${{ inputs.who }}'\n")
        for hostile in ["$(touch hit)", "`touch hit`", "; touch hit", "'; touch hit; '",
                        '"; touch hit; "', "x\ntouch hit", "\\", "| touch hit", "&& touch hit",
                        "$HOME", "*", "~"]:
            with self.subTest(hostile):
                ended = self.run_flow(flow, "--input", f"who={hostile}")
                self.assertEqual(ended.code, 0, ended)
                shown = "".join(f"{how} {hostile}\n" for how in ("plain", "double", "single"))
                self.assertEqual(ended.out.partition("\n")[2], shown)
                self.assertFalse((self.cwd / "hit").exists())


class Policy(Workflows, TroupeTest):
    def test_a_step_is_tried_again(self):
        ended = self.run_flow(
            "jobs:\n  a:\n    retry: {attempts: 3, delay: 50ms, jitter: 0}\n"
            "    run: 'echo x >> tries; echo try; test $(wc -l < tries) = 3'\n")
        self.assertEqual(ended.code, 0)
        self.assertIn("attempt 1 of 3 exited with 1, next in 50ms\n", ended.err)
        self.assertIn("attempt 2 of 3 exited with 1, next in 100ms\n", ended.err)
        (run,) = self.runs()
        self.assertEqual(sorted(os.listdir(run / "a")),
                         ["run.1.log", "run.2.log", "run.3.log"])
        attempts = self.record()["jobs"][0]["steps"][0]["attempts"]
        self.assertEqual([a["outcome"] for a in attempts],
                         ["failed", "failed", "success"])

    def test_a_step_that_takes_too_long_is_stopped(self):
        ended = self.run_flow("jobs:\n  a: {run: sleep 60, timeout: 200ms}\n")
        self.assertEqual(ended.code, 1)
        self.assertEqual(self.states(), {"a": "timed_out"})
        self.assertIn("timed out after 200ms", ended.err)

    def test_a_job_that_takes_too_long_is_stopped(self):
        ended = self.run_flow("jobs:\n  a:\n    timeout: 300ms\n    steps:\n"
                              "      - run: echo quick\n      - run: sleep 60\n")
        self.assertEqual(ended.code, 1)
        self.assertEqual(self.states(), {"a": "timed_out"})
        self.assertIn("job a: timed out: it took longer than 300ms\n", ended.err)

    def test_the_whole_tree_of_a_step_is_ended(self):
        ended = self.run_flow(
            "jobs:\n  a:\n    timeout: 300ms\n    grace: 100ms\n"
            "    run: |\n      trap '' TERM\n      setsid sleep 60 &\n      sleep 60\n")
        self.assertEqual(ended.code, 1)
        self.assert_nothing_left(1)

    def test_outputs_reach_later_steps_and_jobs(self):
        ended = self.run_flow(
            "jobs:\n"
            "  a:\n"
            "    steps:\n"
            "      - id: one\n"
            "        run: |\n"
            "          echo \"word=it's; \\$(touch hacked)\" >> $TROUPE_OUTPUT\n"
            "          printf 'text<<END\\nx\\ny\\nEND\\n' >> $TROUPE_OUTPUT\n"
            "      - run: echo ${{ steps.one.outputs.word }}\n"
            "    outputs: {word: \"${{ steps.one.outputs.word }}\", text: \"${{ steps.one.outputs.text }}\"}\n"
            "  b:\n"
            "    needs: a\n"
            "    run: echo ${{ needs.a.outputs.word }} \"${{ needs.a.outputs.text }}\"\n")
        self.assertEqual(ended.code, 0, ended)
        (run,) = self.runs()
        self.assertEqual((run / "a/step-2.1.log").read_text(),
                         "it's; $(touch hacked)\n")
        self.assertEqual((run / "b/run.1.log").read_text(),
                         "it's; $(touch hacked) x\ny\n")
        self.assertFalse((self.cwd / "hacked").exists())
        self.assertEqual(list(run.glob("*/*.outputs")), [])

    def test_outputs_of_a_failed_attempt_do_not_count(self):
        ended = self.run_flow(
            "jobs:\n  a:\n    retry: {attempts: 2, delay: 10ms}\n"
            "    run: 'echo n$(ls tries* 2>/dev/null | wc -l)=x >> $TROUPE_OUTPUT; "
            "touch tries.$$; test $(ls tries* | wc -l) = 2'\n")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.record()["jobs"][0]["steps"][0]["outputs"], {"n1": "x"})

    def test_malformed_outputs_fail_the_step(self):
        for script, what in (
                ("echo nonsense >> $TROUPE_OUTPUT",
                 'its outputs: line 1: expected name=value or name<<END, got "nonsense"'),
                ("head -c 2000000 /dev/zero >> $TROUPE_OUTPUT",
                 "its outputs: more than 1.00 MiB"),
                ("rm $TROUPE_OUTPUT; mkfifo $TROUPE_OUTPUT",
                 "its outputs: not a file any more")):
            with self.subTest(script):
                ended = self.run_flow(f"jobs: {{a: {{run: '{script}'}}}}")
                self.assertEqual(ended.code, 1)
                self.assertIn(f"failed after T: {what}\n", self.plain(ended.err))

    def test_conditions_decide_over_steps_and_jobs(self):
        ended = self.run_flow(
            "jobs:\n"
            "  a:\n"
            "    steps:\n"
            "      - {if: \"inputs.env == 'prod'\", run: echo prod}\n"
            "      - {run: exit 1}\n"
            "      - {if: failure(), run: echo broken}\n"
            "      - {if: always(), run: echo bye}\n"
            "  b: {needs: a, run: echo never}\n"
            "  c: {needs: a, if: always(), run: echo clean}\n",
            "--input", "env=test")
        self.assertEqual(ended.code, 1)
        self.assertEqual(self.states(),
                         {"a": "failed", "b": "skipped", "c": "succeeded"})
        self.assertEqual([s["outcome"] for s in self.record()["jobs"][0]["steps"]],
                         ["skipped", "failure", "success", "success"])

    def test_continue_on_error_forgives(self):
        ended = self.run_flow(
            "jobs:\n  a:\n    steps:\n"
            "      - {run: exit 1, continue-on-error: true}\n      - run: echo on\n"
            "  b: {run: exit 1, continue-on-error: true}\n"
            "  c: {needs: b, run: echo on}\n")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.states(),
                         {"a": "succeeded", "b": "failed", "c": "succeeded"})

    def test_success_can_be_more_than_an_exit_code(self):
        ended = self.run_flow(
            "jobs:\n  a: {run: exit 3, success-exit-codes: [0, 3]}\n"
            "  b: {run: echo done, output-contains: finished}\n")
        self.assertEqual(ended.code, 1)
        self.assertEqual(self.states(), {"a": "succeeded", "b": "failed"})
        self.assertIn('its output does not contain "finished"', ended.err)

    def test_settings_of_a_step_reach_its_command(self):
        (self.cwd / "there").mkdir()
        ended = self.run_flow(
            "env: {A: w, B: w}\n"
            "defaults: {working-directory: there}\n"
            "jobs:\n  a:\n    env: {B: j}\n    shell: bash -eu\n"
            "    run: 'pwd; echo $A $B ${BASH_VERSION:+bash}; cat; '\n")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(ended.out.split("\n", 1)[1],
                         f"{self.cwd}/there\nw j bash\n")


class Groups(Workflows, TroupeTest):
    FLOW = """
        jobs:
          stage: {group: g, run: echo stage >> events}
          load:
            group: g
            needs: stage
            run: echo load >> events; mkdir tried && { echo first; exit 4; } || echo second
          after: {needs: load, run: echo after >> events}
        groups:
          g: {strategy: one_for_all, intensity: 1, period: 1h}
        """

    def events(self):
        return (self.cwd / "events").read_text().split()

    def test_a_failed_job_starts_again_with_its_group(self):
        ended = self.run_flow(self.FLOW)
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.events(), ["stage", "load", "stage", "load", "after"])
        self.assertIn("group g starts again: job load failed, restart 1 of 1 in "
                      "1h\n", ended.err)
        summary = ended.err.split("job after: succeeded")[1]
        self.assertNotIn("exited with 4", summary)
        self.assertEqual(self.states(), {"stage": "succeeded", "load": "succeeded",
                                         "after": "succeeded"})
        self.assertEqual([job["restarts"] for job in self.record()["jobs"]],
                         [1, 1, 0])

    def test_the_logs_of_each_try_are_kept(self):
        self.run_flow(self.FLOW)
        (run,) = self.runs()
        self.assertEqual((run / "load" / "run.1.log").read_text(), "first\n")
        self.assertTrue((run / "load" / "run@2.1.log").read_text()
                        .endswith("second\n"))

    def test_too_many_failures_stand(self):
        ended = self.run_flow(self.FLOW.replace("mkdir tried &&", "true &&"))
        self.assertEqual(ended.code, 1)
        self.assertEqual(self.events(), ["stage", "load"] * 2)
        self.assertIn("group g gives up: job load failed after 1 restart in 1h\n",
                      ended.err)
        self.assertEqual(self.states()["after"], "skipped")

    def test_what_runs_in_the_group_is_stopped_first(self):
        ended = self.run_flow(f"""
            jobs:
              server:
                group: g
                run: |
                  trap 'echo stopped >> events; exit 0' TERM
                  echo server >> events
                  [ ! -e tried ] || exit 0
                  while :; do sleep 0.02; done
              client:
                group: g
                run: |
                  until grep -q server events; do sleep 0.02; done
                  mkdir tried && exit 1
                  echo client >> events
            groups: {{g: {{strategy: one_for_all}}}}
            """)
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.events()[:2], ["server", "stopped"])
        self.assertEqual(sorted(self.events()[2:]), ["client", "server"])

    def test_events_in_json_tell_of_it(self):
        ended = self.run_flow(self.FLOW, "--json")
        told = [json.loads(line) for line in ended.out.splitlines()]
        restarts = [event for event in told if event["type"] == "group_restarted"]
        self.assertEqual(len(restarts), 1)
        del restarts[0]["time"]
        self.assertEqual(restarts[0], {
            "type": "group_restarted", "group": "g", "job": "load",
            "restarts_used": 1, "intensity": 1, "period_s": 3600.0})

    def test_an_interrupt_during_a_restart_ends_the_run(self):
        (self.cwd / "flow.yaml").write_text(f"""
            jobs:
              a:
                group: g
                run: |
                  until [ -e ready ]; do sleep 0.02; done
                  echo a >> events
                  exit 1
              b:
                group: g
                grace: 30s
                run: |
                  trap 'touch told; until [ -e go ]; do sleep 0.02; done; exit 0' TERM
                  touch ready
                  while :; do sleep 0.02; done
            groups: {{g: {{strategy: one_for_all}}}}
            """)
        running = self.start_troupe("run", "flow.yaml")
        wait_until(lambda: (self.cwd / "told").exists())
        running.signal(signal.SIGTERM)
        (self.cwd / "go").touch()
        self.assertEqual(running.finish(within=10).code, 143)
        self.assertEqual(self.events(), ["a"])
        self.assert_nothing_left()


class BadFile(Workflows, TroupeTest):
    """One clear text, exit code 3, nothing started and nothing left on disk."""

    def refuse(self, text, what, *words):
        self.write(text)
        for command in ("run", "lint"):
            if command == "lint" and words:
                continue
            ended = self.troupe(command, "flow.yaml", *words)
            self.assertEqual((ended.code, ended.out, ended.err), (3, "", what))
        self.assertEqual(self.runs(), [])

    def test_a_cycle_is_named(self):
        self.refuse("jobs:\n  a: {needs: b, run: x}\n  b: {needs: a, run: x}\n",
                    "flow.yaml:3:14: jobs need each other in a circle: a -> b -> a\n"
                    "  b: {needs: a, run: x}\n"
                    "             ^\n")

    def test_an_unknown_need_is_corrected(self):
        self.refuse("jobs:\n  build: {run: x}\n  b: {needs: biuld, run: x}\n",
                    'flow.yaml:3:14: unknown job "biuld" in the needs of "b"; did you mean "build"?\n'
                    "  b: {needs: biuld, run: x}\n"
                    "             ^~~~~\n")

    def test_an_unknown_key_is_corrected(self):
        self.refuse("jobs:\n  a: {run: x, tiemout: 5m}\n",
                    'flow.yaml:2:15: unknown key "tiemout" in a job; did you mean "timeout"?\n'
                    "  a: {run: x, tiemout: 5m}\n"
                    "              ^~~~~~~\n")

    def test_what_is_no_yaml_is_shown(self):
        self.write("jobs: {a: [\n")
        ended = self.troupe("run", "flow.yaml")
        self.assertEqual((ended.code, ended.out), (3, ""))
        self.assertTrue(ended.err.startswith("flow.yaml:"), ended.err)
        self.assertEqual(self.runs(), [])

    def test_a_large_file_is_refused_unread(self):
        self.refuse("#" * (10 << 20), "troupe: flow.yaml: more than 4.00 MiB\n")

    def test_aliases_of_aliases_are_refused(self):
        text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        for one, other in zip("abcdefgh", "bcdefghi"):
            text += f"{other}: &{other} [{','.join(['*' + one] * 10)}]\n"
        self.write(text)
        started = time.monotonic()
        ended = self.troupe("run", "flow.yaml")
        self.assertEqual((ended.code, ended.out), (3, ""))
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(self.runs(), [])

    def test_a_missing_file_is_named(self):
        ended = self.troupe("run", "nothing.yaml")
        self.assertEqual((ended.code, ended.out, ended.err),
                         (3, "", "troupe: cannot read nothing.yaml: no such file or directory\n"))

    def test_inputs_are_checked(self):
        flow = "jobs: {a: {run: \"echo ${{ inputs.date }}\"}}\n"
        self.write(flow)
        ended = self.troupe("run", "flow.yaml", "--input", "dat=x", "--input", "date=y")
        self.assertEqual((ended.code, ended.err),
                         (3, 'flow.yaml: unknown input "dat"; did you mean "date"?\n'))
        ended = self.troupe("run", "flow.yaml")
        self.assertEqual(ended.code, 3)
        self.assertIn("give it with --input date=VALUE", ended.err)
        self.assertEqual(self.runs(), [])

    def test_usage_errors_exit_with_2(self):
        self.write("jobs: {a: {run: ls}}")
        for words, what in (
                (["run"], "run: no file given"),
                (["lint"], "lint: no file given"),
                (["lint", "--json", "flow.yaml"], "lint: --json goes with --what-if-dies"),
                (["lint", "flow.yaml", "flow.yaml", "--what-if-dies", "a"],
                 "lint: --what-if-dies is about exactly one file"),
                (["lint", "flow.yaml", "--what-if-dies", ""],
                 "lint: --what-if-dies: expected the path of a service"),
                (["run", "flow.yaml", "--dry-rnu"],
                 "run: unknown option --dry-rnu; did you mean --dry-run?"),
                (["run", "flow.yaml", "--input", "x"],
                 'run: --input: expected NAME=VALUE, got "x"'),
                (["run", "flow.yaml", "--output", "al"],
                 'run: --output: expected none, failed or all, got "al"; did you mean "all"?'),
                (["run", "flow.yaml", "--json", "--output", "all"],
                 "run: --json and --output exclude each other: standard output is for one of them")):
            with self.subTest(words):
                ended = self.troupe(*words)
                self.assertEqual((ended.code, ended.out, ended.err),
                                 (2, "", f"troupe: {what}\n"
                                  f'Try "troupe {words[0]} --help".\n'))
        self.assertEqual(self.runs(), [])


class Lint(Workflows, TroupeTest):
    def test_a_good_file_is_counted(self):
        self.write("jobs: {a: {run: ls}, b: {steps: [{run: ls}, {run: ls}]}}")
        ended = self.troupe("lint", "flow.yaml")
        self.assertEqual((ended.code, ended.out, ended.err),
                         (0, "flow.yaml: ok, 2 jobs, 3 steps\n", ""))

    def test_standard_input_is_read(self):
        ended = self.troupe("lint", "-", input=b"jobs: {a: {run: ls}}")
        self.assertEqual((ended.code, ended.out), (0, "-: ok, 1 job, 1 step\n"))

    def test_all_files_are_checked(self):
        self.write("jobs: {a: {run: ls}}")
        self.write("jobs: {}", "bad.yaml")
        ended = self.troupe("lint", "bad.yaml", "flow.yaml")
        self.assertEqual((ended.code, ended.out),
                         (3, "flow.yaml: ok, 1 job, 1 step\n"))

    STACK = ("services:\n"
             "  strategy: one_for_all\n"
             "  children:\n"
             "    api: {run: x}\n"
             "    seed: {run: x, restart: on-failure}\n")
    WARNING = ('flow.yaml:5:5: warning: "seed" is started again, even if it has ended cleanly, '
               "when another service of the group is restarted (one_for_all)\n"
               "    seed: {run: x, restart: on-failure}\n"
               "    ^~~~\n")

    def test_warnings_leave_the_exit_code_alone_unless_strict(self):
        self.write(self.STACK)
        ended = self.troupe("lint", "flow.yaml")
        self.assertEqual((ended.code, ended.out, ended.err),
                         (0, "flow.yaml: ok, 2 services, 1 warning\n", self.WARNING))
        ended = self.troupe("lint", "--strict", "flow.yaml")
        self.assertEqual((ended.code, ended.out, ended.err), (3, "", self.WARNING))

    def test_it_is_shown_what_a_death_leads_to(self):
        self.write(self.STACK)
        ended = self.troupe("lint", "flow.yaml", "--what-if-dies", "api")
        self.assertEqual((ended.code, ended.out, ended.err), (0, """\
If api crashes each time it has started:

the stack (one_for_all) is charged: 5 restarts in 1m; the 6th gives up
  stops seed
  starts api, seed
  at the 6th crash: stops seed, then ends

In all: api is started 6 times as fast as it dies, then the stack ends.
""", self.WARNING))
        ended = self.troupe("lint", "flow.yaml", "--what-if-dies", "api", "--json")
        shown = json.loads(ended.out)
        self.assertEqual((ended.code, shown["starts"], shown["ends_stack"]), (0, 6, True))

    def test_an_unknown_service_is_corrected(self):
        self.write("services: {children: {api: {run: x}}}")
        ended = self.troupe("lint", "flow.yaml", "--what-if-dies", "apo")
        self.assertEqual((ended.code, ended.out, ended.err),
                         (2, "", 'troupe: flow.yaml: no service "apo"; did you mean api?\n'))
        self.write("jobs: {a: {run: ls}}")
        ended = self.troupe("lint", "flow.yaml", "--what-if-dies", "api")
        self.assertEqual((ended.code, ended.out, ended.err),
                         (3, "", 'troupe: flow.yaml: the file has no "services"\n'))


class Stopping(Workflows, TroupeTest):
    FLOW = ("jobs:\n"
            "  a:\n"
            "    steps:\n"
            "      - run: touch started; while ! test -e go; do sleep 0.02; done\n"
            "      - {if: always(), run: touch cleaned}\n"
            "  b: {needs: a, run: touch after}\n"
            "  c: {needs: a, if: always(), run: touch last}\n")

    def start_flow(self, flow=FLOW, *words):
        process = self.start_troupe("run", self.write(flow), *words)
        wait_until((self.cwd / "started").exists, what="the start of the step")
        return process

    def exists(self, *names):
        return [name for name in names if (self.cwd / name).exists()]

    def test_one_interrupt_lets_running_jobs_finish_and_cleans_up(self):
        process = self.start_flow()
        process.signal(signal.SIGINT)
        time.sleep(0.2)
        self.assertIsNone(process.process.poll())
        (self.cwd / "go").touch()
        ended = process.finish()
        self.assertEqual(ended.code, 130)
        self.assertEqual(self.exists("cleaned", "after", "last"),
                         ["cleaned", "last"])
        self.assertIn("stopping: what runs may finish; once more to end it\n", ended.err)
        self.assertEqual(self.states(),
                         {"a": "succeeded", "b": "cancelled", "c": "succeeded"})

    def test_a_second_interrupt_ends_them_and_cleans_up(self):
        process = self.start_flow()
        process.signal(signal.SIGINT)
        time.sleep(0.2)
        process.signal(signal.SIGINT)
        ended = process.finish()
        self.assertEqual(ended.code, 130)
        self.assertEqual(self.exists("cleaned", "after"), ["cleaned"])
        self.assertEqual(self.states()["a"], "cancelled")

    def test_a_termination_ends_the_run_and_cleans_up(self):
        process = self.start_flow()
        process.signal(signal.SIGTERM)
        ended = process.finish()
        self.assertEqual(ended.code, 143)
        self.assertEqual(self.exists("cleaned", "after", "last"), ["cleaned", "last"])
        self.assertEqual(self.record()["result"], "cancelled")

    def test_a_second_termination_leaves_the_clean_up_out(self):
        process = self.start_flow(
            "jobs:\n  a:\n    grace: 200ms\n    steps:\n"
            "      - run: touch started; sleep 60\n"
            "      - {if: always(), run: 'touch cleaning; sleep 60'}\n")
        process.signal(signal.SIGTERM)
        wait_until((self.cwd / "cleaning").exists)
        process.signal(signal.SIGTERM)
        self.assertEqual(process.finish().code, 143)

    def test_what_ignores_the_polite_signal_is_killed(self):
        process = self.start_flow(
            "jobs:\n  a:\n    grace: 200ms\n"
            "    run: |\n      trap '' TERM\n      touch started\n      while :; do sleep 0.1; done\n")
        process.signal(signal.SIGTERM)
        self.assertEqual(process.finish().code, 143)

    def test_a_reader_that_has_stopped_cannot_hold_troupe(self):
        process = self.start_flow("jobs: {a: {run: 'head -c 1M /dev/zero; touch started'}}")
        for _ in range(3):
            time.sleep(0.2)
            process.signal(signal.SIGTERM)
        # The last one may find a process that has already tidied up.
        self.assertIn(process.finish().code, (143, -signal.SIGTERM))

    def test_a_wait_for_the_next_attempt_is_ended(self):
        process = self.start_flow("jobs:\n  a:\n    retry: {attempts: 9, delay: 1m}\n"
                                  "    run: touch started; exit 1\n")
        process.signal(signal.SIGTERM)
        self.assertEqual(process.finish().code, 143)

    def test_nothing_survives_a_killed_troupe(self):
        process = self.start_flow("jobs: {a: {run: 'setsid sleep 60 & touch started; sleep 60'}}")
        process.process.kill()
        process.finish()
        self.assert_nothing_left()


class Json(Workflows, TroupeTest):
    def test_each_line_is_an_event(self):
        ended = self.run_flow(
            "jobs:\n  a: {run: echo x; echo n=1 >> $TROUPE_OUTPUT}\n"
            "  b: {needs: a, run: exit 2}\n", "--json")
        self.assertEqual((ended.code, ended.err), (1, ""))
        events = [json.loads(line) for line in ended.out.splitlines()]
        self.assertEqual(
            [(e["type"], e.get("job"), e.get("state") or e.get("outcome")) for e in events],
            [("run_started", None, None),
             ("job_state", "a", "ready"), ("job_state", "a", "running"),
             ("step_started", "a", None), ("attempt_finished", "a", None),
             ("step_finished", "a", "success"), ("job_state", "a", "succeeded"),
             ("job_state", "b", "ready"), ("job_state", "b", "running"),
             ("step_started", "b", None), ("attempt_finished", "b", None),
             ("step_finished", "b", "failure"), ("job_state", "b", "failed"),
             ("run_finished", None, None)])
        self.assertEqual(events[5]["outputs"], {"n": "1"})
        self.assertEqual(events[10]["attempt"]["exit_code"], 2)
        self.assertEqual(events[-1]["result"], "failure")
        for event in events:
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(Path(events[0]["folder"]), self.runs()[0])

    def test_a_reader_that_goes_away_ends_the_run(self):
        process = self.start_troupe("run", self.write("jobs: {a: {run: sleep 60}}"), "--json")
        process.process.stdout.readline()
        process.process.stdout.close()
        process.process.stdout = None
        process.signal(signal.SIGTERM)
        self.assertIn(process.finish().code,
                      (128 + signal.SIGPIPE, 128 + signal.SIGTERM))


class DryRun(Workflows, TroupeTest):
    def test_the_plan_is_printed_and_nothing_runs(self):
        ended = self.run_flow(
            "name: x\njobs:\n  b: {needs: a, run: touch ran}\n  a: {run: 'touch ran; :'}\n",
            "--dry-run", "-j", "3")
        self.assertEqual((ended.code, ended.err), (0, ""))
        self.assertEqual(ended.out,
                         "x: 2 jobs, at most 3 at a time; nothing was started\n"
                         "\nwave 1\n  job a\n    run (by sh -e)\n      | touch ran; :\n"
                         "\nwave 2\n  job b after a\n    run (without a shell)\n      $ touch ran\n")
        self.assertEqual(os.listdir(self.cwd), ["flow.yaml"])


class State(Workflows, TroupeTest):
    def test_the_folder_has_logs_and_the_record_for_the_owner_alone(self):
        self.run_flow("jobs:\n  'a':\n    strategy: {matrix: {n: ['x/y', 'x y']}}\n"
                      "    run: echo ${{ matrix.n }}\n  quiet: {run: 'true'}\n")
        (run,) = self.runs()
        self.assertRegex(run.name, f"^{RUN_ID}$")
        self.assertEqual(run.stat().st_mode & 0o777, 0o700)
        files = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
        self.assertEqual(files, ["a__x_y_-2/run.1.log", "a__x_y_/run.1.log",
                                 "quiet/run.1.log", "run.json"])
        self.assertEqual((run / "a__x_y_/run.1.log").read_text(), "x/y\n")
        self.assertEqual((run / "quiet/run.1.log").read_text(), "")

    def test_old_runs_are_deleted_and_nothing_else(self):
        folder = self.state / "troupe" / "runs"
        for number in range(60):
            (folder / f"20200101-0000{number:02}-aaaa").mkdir(parents=True)
        (folder / "20190101-000000-keep-this").mkdir()
        (folder / "20190101-000000-aaaa").symlink_to(self.cwd)
        self.run_flow("jobs: {a: {run: ls}}")
        names = sorted(path.name for path in self.runs())
        self.assertIn("20190101-000000-keep-this", names)
        self.assertIn("20190101-000000-aaaa", names)
        ours = [name for name in names if name.startswith("2020")]
        self.assertEqual((len(ours), ours[0]), (49, "20200101-000011-aaaa"))

    def test_a_run_that_goes_on_is_not_deleted(self):
        process = self.start_troupe("run", self.write(
            "jobs: {a: {run: 'touch started; while ! test -e go; do sleep 0.02; done'}}", "long.yaml"))
        wait_until((self.cwd / "started").exists)
        folder = self.state / "troupe" / "runs"
        for number in range(55):
            (folder / f"29990101-0000{number:02}-aaaa").mkdir()
        self.run_flow("jobs: {a: {run: ls}}")
        (self.cwd / "go").touch()
        self.assertEqual(process.finish().code, 0)

    def test_a_folder_that_cannot_be_made_is_125_and_runs_nothing(self):
        (self.cwd / "plain").write_text("")
        ended = self.run_flow("jobs: {a: {run: touch ran}}",
                              env={"XDG_STATE_HOME": f"{self.cwd}/plain"})
        self.assertEqual((ended.code, ended.err),
                         (125, f"troupe: cannot make {self.cwd}/plain/troupe/runs: not a directory\n"))
        self.assertFalse((self.cwd / "ran").exists())

    def test_without_state_home_it_is_in_the_home(self):
        del self.env["XDG_STATE_HOME"]
        self.assertEqual(self.run_flow("jobs: {a: {run: ls}}").code, 0)
        self.assertEqual(len(list((self.folder / "home/.local/state/troupe/runs").iterdir())), 1)

    def test_logs_are_exact_to_the_byte(self):
        size = 50 << 20
        blob = self.cwd / "blob"
        with blob.open("wb") as file:
            for _ in range(50):
                file.write(os.urandom(1 << 20))
        ended = self.run_flow("jobs: {a: {run: cat blob}}")
        self.assertEqual(ended.code, 0)
        (run,) = self.runs()
        self.assertEqual((run / "a/run.1.log").stat().st_size, size)
        self.assertEqual((run / "a/run.1.log").read_bytes(), blob.read_bytes())
        head = b"==> a: cat blob <==\n"
        self.assertEqual(ended.raw_out[:len(head)], head)
        self.assertEqual(ended.raw_out[len(head):len(head) + size], blob.read_bytes())

    def test_much_output_takes_no_memory(self):
        process = self.start_troupe("run", self.write("jobs: {a: {run: head -c 1G /dev/zero}}"),
                             "--output", "none")
        peak = 0
        while process.process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+)", status)
            peak = max(peak, int(found[1]) if found else 0)
            time.sleep(0.02)
        self.assertEqual(process.finish().code, 0)
        (run,) = self.runs()
        self.assertEqual((run / "a/run.1.log").stat().st_size, 1 << 30)
        if not SANITIZED:
            self.assertLess(peak, 100 << 10)


class Table(Workflows, TroupeTest):
    def run_on_terminal(self, flow, *words, env=None):
        self.write(flow)
        terminal = self.terminal([TROUPE, "run", "flow.yaml", *words],
                                 env=env or {})
        return terminal.wait(), terminal.text.replace("\r\n", "\n")

    FLOW = ("name: demo\njobs:\n  one: {run: sleep 0.4; echo printed}\n"
            "  two: {needs: one, run: exit 1}\n")

    def test_the_table_is_redrawn_and_stays(self):
        code, text = self.run_on_terminal(self.FLOW)
        self.assertEqual(code, 1)
        self.assertTrue(text.startswith("\x1b[?25l\rdemo 0s: 1 running, 1 pending\x1b[K\n"), text)
        self.assertIn("\x1b[3A\r\x1b[J==> one: sleep 0.4; echo printed <==\nprinted\n", text)
        self.assertEqual((text.count("\x1b[?25l"), text.count("\x1b[?25h")), (1, 1))
        last = text[text.rindex("\rdemo failed"):]
        self.assertIn("\x1b[32m✓\x1b[0m one", last)
        self.assertIn("\x1b[31m✗\x1b[0m two", last)
        self.assertIn('job two, step "exit 1": exited with 1\n', last)

    def test_no_color_is_respected(self):
        _, text = self.run_on_terminal(self.FLOW, env={"NO_COLOR": "1"})
        self.assertNotRegex(text, r"\x1b\[\d*m")
        self.assertIn("✗ two", text)

    def test_a_dumb_terminal_gets_lines(self):
        _, text = self.run_on_terminal(self.FLOW, env={"TERM": "dumb"})
        self.assertNotIn("\x1b", text)
        self.assertIn("job two: started\n", text)


class Examples(Workflows, TroupeTest):
    """Each file of examples/ ends as it says."""

    ODD = """$(id); `id` "&& id"""
    EXPECTED = {
        "artifacts.yaml": ([], "north 21.5\nsouth 21.5\n"),
        "cache.yaml": ([], "there are 147 lines\n"),
        "concurrency.yaml": (["-j1"], "migrated\n"),
        "conditions.yaml": ([], "deploy was skipped in staging\n"),
        "dynamic-matrix.yaml": ([], "loaded west\n"),
        "groups.yaml": ([], "committed\n"),
        "injection.yaml": (["--input", shlex.quote("title=" + ODD)],
                           f"again: {ODD}\n"),
        "coming-from/dagu.yaml": (["--input", "day=2024-05-01"],
                                  "loaded 42 rows of 2024-05-01\n"),
        "coming-from/github-actions.yaml": (["--approve", "deploy"],
                                            "deployed 1.4.2 to staging\n"),
        "coming-from/make.yaml": ([], "sale.o\nstats.o\nmade of 147 lines\n"),
        "matrix.yaml": ([], "tested on every system\n"),
        "retries.yaml": ([], "connected after two failures\n"),
        "secrets.yaml": ([], "the password is ***\nit has 11 characters\n"),
        "hello.yaml": ([], "hello\n"),
        "etl.yaml": (["--input", "date=2024-05-01"], "loading 42 rows\n"),
        "release.yaml": (["--approve", "ship:version=1.2.0"], "shipping 1.2.0, as "),
        "triggers.yaml": ([], "started by dispatch"),
        "quickstart.yaml": ([], "north     271    6999.55    23.75\n"),
        "sales.yaml": ([], "hello south, 21 rows\n"),
        "smoke.yaml": ([], "200\n"),
    }

    def test_they_run(self):
        # stack.yaml has services: up_example_test.py. The other one runs in its
        # own folder: whole_language_test.py.
        self.assertEqual(sorted([*self.EXPECTED, "nightly-etl/nightly-etl.yaml",
                                 "stack.yaml"]),
                         sorted(path.relative_to(EXAMPLES).as_posix()
                                for path in EXAMPLES.rglob("*.yaml")
                                if path.parent.name != "lib"))
        repository = self.cwd / "repository"
        shutil.copytree(EXAMPLES, repository / "examples")
        before = sorted(repository.rglob("*"))
        for name, (words, shown) in self.EXPECTED.items():
            with self.subTest(name):
                ended = self.sh(f'cd repository && exec "$TROUPE" run '
                                f'examples/{name} {" ".join(words)}',
                                env={"TMPDIR": str(self.cwd)})
                self.assertEqual(ended.code, 0, ended)
                self.assertIn(shown, ended.out)
        self.assertEqual(sorted(repository.rglob("*")), before)
        self.assertEqual(list(self.cwd.glob("tmp.*")), [])


class Guide(Workflows, TroupeTest):
    """Each example of the guide is a whole file; the text below it is what it
    prints, its first line may have options."""

    PAGE = EXAMPLES.parent / "docs" / "guide" / "run.md"
    UP_PAGE = PAGE.with_name("up.md")
    TRIGGERS_PAGE = PAGE.with_name("triggers.md")

    def test_examples_do_as_they_say(self):
        blocks = re.findall(r"```yaml\n(.*?)```(?:\n\n```text\n(.*?)```)?",
                            self.PAGE.read_text(), re.DOTALL)
        for flow, shown in blocks:
            # "# lib.yaml": what a later one includes.
            name = re.match(r"# (\S+\.yaml)\n", flow)
            if name:
                self.write(flow, name[1])
                continue
            with self.subTest(flow):
                self.assertTrue(shown)
                options = re.match(r"# troupe run FILE (.*)", flow)
                words = options[1].split() if options else []
                ended = self.run_flow(flow, "-j1", *words)
                self.assertEqual(ended.code, 0, ended)
                self.assertEqual(re.sub("(?m)^==> .* <==\n", "", ended.out), shown)

    def test_examples_of_services_are_fine(self):
        blocks = re.findall(r"```yaml\n(.*?)```", self.UP_PAGE.read_text(), re.DOTALL)
        self.assertGreater(len(blocks), 2)
        for block in blocks:
            ended = self.troupe("lint", "-", input=block.encode())
            self.assertEqual((ended.code, ended.err), (0, ""), block)

    def test_examples_of_triggers_are_fine(self):
        blocks = re.findall(r"```yaml\n(.*?)```", self.TRIGGERS_PAGE.read_text(), re.DOTALL)
        self.assertGreater(len(blocks), 3)
        for block in blocks:
            whole = block if "\njobs:" in block else block + "jobs: { a: { run: x } }\n"
            ended = self.troupe("lint", "-", input=whole.encode())
            self.assertEqual((ended.code, ended.err), (0, ""), block)


if __name__ == "__main__":
    unittest.main()
