"""What workflows mean beyond what their schema says: each sentence of the
semantics is a test here, by its name, against the real program."""

import hashlib
import json
import re
import unittest
from pathlib import Path

from node_run_test import RunTest
from run_secrets_test import CANARY, Flow
from run_services_test import RunServices
from run_test import Workflows
from troupe_e2e import TroupeTest, processes_with, wait_until


class Traced(Workflows):
    """Commands leave a word in the file trace."""

    def trace(self):
        path = self.cwd / "trace"
        return path.read_text().split() if path.exists() else []

    def count(self, name):
        return len((self.cwd / name).read_text().splitlines())

    def attempts(self, job=0, step=0):
        return self.record()["jobs"][job]["steps"][step]["attempts"]

    def events(self, text, *words):
        """What run --json tells, and how it ended."""
        ended = self.run_flow(text, "--json", *words)
        return [json.loads(line) for line in ended.out.splitlines()], ended

    def refuse(self, text, *words, name="flow.yaml"):
        """The file is an error with all of `words`, and nothing has run."""
        self.write(text, name)
        for command in "lint", "run":
            ended = self.troupe(command, name)
            self.assertEqual((ended.code, ended.out), (3, ""), ended)
            self.assertRegex(ended.err, rf"^{re.escape(name)}:\d+:\d+: ")
            for word in words:
                self.assertIn(word, ended.err)
        self.assertEqual(self.runs(), [])


class JobsAndSteps(Traced, TroupeTest):
    def test_a_job_is_run_or_steps_in_sequence_in_the_same_folder(self):
        (self.cwd / "there").mkdir()
        ended = self.run_flow("""
            jobs:
              one: {run: pwd}
              many:
                working-directory: there
                steps:
                  - {run: 'sleep 0.2; pwd > first'}
                  - {run: cat first; pwd}
            """, "-j2")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual({job["job"]: len(job["steps"]) for job in self.record()["jobs"]},
                         {"one": 1, "many": 2})
        (run,) = self.runs()
        self.assertEqual((run / "one/run.1.log").read_text(), f"{self.cwd}\n")
        self.assertEqual((run / "many/step-2.1.log").read_text(), f"{self.cwd}/there\n" * 2)

    def test_a_job_is_never_both_and_never_neither(self):
        self.refuse("jobs: {a: {run: x, steps: [{run: x}]}}", '"run"', '"steps"')
        self.refuse("jobs: {a: {env: {A: b}}}", 'needs "run", "steps" or "uses"')

    def test_jobs_form_a_graph_by_what_they_need(self):
        ended = self.run_flow("""
            jobs:
              last: {needs: [left, right], run: echo last >> trace}
              left:
                needs: first
                run: until test -e right.up; do sleep 0.01; done; echo left >> trace
              right:
                needs: first
                run: |
                  touch right.up
                  until grep -q left trace; do sleep 0.01; done
                  echo right >> trace
              first: {run: echo first >> trace}
            """, "-j4")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.trace(), ["first", "left", "right", "last"])

    def test_a_circle_is_no_graph_of_jobs_and_is_named(self):
        self.refuse("jobs:\n  a: {needs: c, run: x}\n  b: {needs: a, run: x}\n"
                    "  c: {needs: b, run: x}\n", "circle", "a -> c -> b -> a")


class AttemptsAndLimits(Traced, TroupeTest):
    def test_attempts_include_the_first_try(self):
        ended = self.run_flow("""
            defaults: {retry: {delay: 1ms}}
            jobs:
              once: {retry: {attempts: 1}, run: echo >> once; exit 1}
              three: {retry: {attempts: 3, delay: 1ms}, run: echo >> three; exit 1}
              steps:
                retry: {attempts: 2, delay: 1ms}
                steps: [{run: echo >> first}, {run: echo >> second; exit 1}]
            """)
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual([self.count(name) for name in ("once", "three", "first", "second")],
                         [1, 3, 2, 2])

    def test_retries_do_not_include_it(self):
        ended = self.run_flow("jobs: {a: {retries: 1, run: echo >> tries; exit 1}}")
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.count("tries"), 2)

    def test_a_bare_timeout_is_per_attempt(self):
        ended = self.run_flow("""
            defaults: {grace: 100ms}
            jobs:
              one:
                timeout: 500ms
                retry: {attempts: 3, delay: 1ms}
                run: echo >> tries; exec sleep 60
              steps:
                timeout: 500ms
                retry: {attempts: 2, delay: 1ms}
                steps: [{run: echo >> first}, {run: sleep 60}]
            """, "-j2")
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.states(), {"one": "timed_out", "steps": "timed_out"})
        self.assertEqual((self.count("tries"), self.count("first")), (3, 2))
        self.assertEqual([a["outcome"] for a in self.attempts()], ["timed_out"] * 3)
        for attempt in self.attempts():
            self.assertGreaterEqual(attempt["wall_s"], 0.5)

    def test_on_expiry_the_whole_tree_gets_the_polite_signal(self):
        hears = ("trap \"echo %s >> trace; exit 1\" TERM; echo >> up; "
                 "while :; do sleep 0.02; done")
        ended = self.run_flow(f"""
            jobs:
              a:
                timeout: 3s
                grace: 20s
                run: |
                  setsid sh -c '{hears % "alone"}' &
                  sh -c '{hears % "child"}' &
                  {hears % "first"}
            """)
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.count("up"), 3)
        self.assertEqual(sorted(self.trace()), ["alone", "child", "first"])
        self.assertFalse(self.attempts()[0]["killed"])
        self.assert_nothing_left(0)

    def test_after_grace_the_whole_tree_gets_the_kill(self):
        deaf = f"trap \"\" TERM; echo >> up; sleep {self.seconds}"
        ended = self.run_flow(f"""
            jobs:
              a:
                timeout: 1s
                grace: 500ms
                run: |
                  setsid sh -c '{deaf}' &
                  {deaf}
            """)
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.count("up"), 2)
        (attempt,) = self.attempts()
        self.assertEqual((attempt["outcome"], attempt["killed"]), ("timed_out", True))
        self.assertGreaterEqual(attempt["wall_s"], 1.5)
        self.assert_nothing_left(0)


class WhatFollowsAFailure(Traced, TroupeTest):
    def test_a_failure_is_retried_by_the_job_then_restarted_by_its_group_then_fails_the_run_then_runs_the_hooks(self):
        told, ended = self.events("""
            jobs:
              a:
                group: g
                retry: {attempts: 2, delay: 1ms}
                run: echo try >> trace; exit 3
              b: {needs: a, run: echo never >> trace}
            groups: {g: {strategy: one_for_one, intensity: 1, period: 1h}}
            hooks:
              on-failure: echo failure-of-${{ run.failed-job }} >> trace
              on-exit: echo exit >> trace
            """)
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.trace(), ["try"] * 4 + ["failure-of-a", "exit"])
        wanted = ("attempt_finished", "group_restarted", "group_gave_up", "run_finished")
        ends = ("skipped", "succeeded")
        happened = [e["type"] if e["type"] in wanted else f"{e['job']} {e['state']}"
                    for e in told if e["type"] in wanted or e.get("state") in ends]
        states = [e["state"] for e in told if e["type"] == "job_state" and e["job"] == "a"]
        tried = ["attempt_finished"] * 2
        hooks = []
        for hook in "on-failure", "on-exit":
            hooks += ["attempt_finished", f"hooks.{hook} succeeded"]
        self.assertEqual(happened, [*tried, "group_restarted", *tried, "group_gave_up",
                                    "b skipped", *hooks, "run_finished"])
        self.assertEqual(states[-1], "failed")
        self.assertEqual(told[-1]["result"], "failure")

    # With -j1 the order is a, c, b: b needs them, and fails once.
    GROUP = """
        jobs:
          a: {group: g, run: echo a >> trace}
          b: {group: g, needs: [a, c], run: echo b >> trace; mkdir failed && exit 1 || true}
          c: {group: g, run: echo c >> trace}
          other: {needs: b, run: echo other >> trace}
        groups: {g: {strategy: %s}}
        """

    def assert_runs(self, strategy, *jobs):
        ended = self.run_flow(self.GROUP % strategy, "-j1")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.trace(), [*jobs, "other"])

    def test_one_for_one_over_jobs_runs_the_failed_job_again(self):
        self.assert_runs("one_for_one", "a", "c", "b", "b")

    def test_rest_for_one_over_jobs_runs_the_failed_job_and_what_follows_it_again(self):
        self.assert_runs("rest_for_one", "a", "c", "b", "c", "b")

    def test_one_for_all_over_jobs_runs_all_of_the_group_again(self):
        self.assert_runs("one_for_all", "a", "c", "b", "a", "c", "b")

    def test_rest_for_one_stops_what_follows_and_still_runs(self):
        ended = self.run_flow("""
            jobs:
              before: {group: g, run: echo before >> trace; until test -e over; do sleep 0.01; done}
              fails:
                group: g
                run: |
                  until grep -q after trace; do sleep 0.01; done
                  mkdir failed && exit 1
                  touch over
              after:
                group: g
                run: |
                  trap 'echo stopped >> trace; exit 1' TERM
                  echo after >> trace
                  until test -e over; do sleep 0.01; done
            groups: {g: {strategy: rest_for_one}}
            """, "-j3")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual([self.trace().count(word) for word in ("before", "stopped", "after")],
                         [1, 1, 2])

    def test_the_intensity_of_a_group_is_how_often_it_starts_again(self):
        for intensity in 0, 2:
            with self.subTest(intensity):
                ended = self.run_flow(f"""
                    jobs: {{a: {{group: g, run: echo >> tries.{intensity}; exit 1}}}}
                    groups: {{g: {{intensity: {intensity}}}}}
                    """)
                self.assertEqual(ended.code, 1, ended)
                self.assertEqual(self.count(f"tries.{intensity}"), 1 + intensity)

    def test_a_job_in_no_group_fails_the_run_when_its_attempts_are_used_up(self):
        ended = self.run_flow("""
            jobs:
              a: {retry: {attempts: 2, delay: 1ms}, run: echo try >> trace; exit 1}
              b: {run: echo goes-on >> trace}
            hooks: {on-failure: echo hook >> trace}
            """, "-j1")
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(sorted(self.trace()[:-1]), ["goes-on", "try", "try"])
        self.assertEqual(self.trace()[-1], "hook")


class ServicesUnderJobs(RunServices, TroupeTest):
    def test_an_attempt_lost_to_a_service_restart_charges_the_group_and_not_the_attempts(self):
        ended = self.run_flow(
            {"children": {"db": self.db}},
            {"a": {"needs": "services.db", "group": "g",
                   "retry": {"attempts": 2, "delay": "10ms"},
                   "run": "echo try >> events; if mkdir tried; then rm db.up; "
                          f"kill -9 $(cat db.pid); sleep {self.seconds}; fi",
                   # Else the first attempt would never end.
                   "timeout": "1s"}},
            "--json", groups={"g": {"intensity": 1}})
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.events().count("try"), 2)
        told = [json.loads(line) for line in ended.out.splitlines()]
        charged = [e["restarts_used"] for e in told if e["type"] == "group_restarted"]
        self.assertEqual(charged, [1])
        # In the second try no attempt is used up yet.
        numbers = [e["attempt"]["number"] for e in told if e["type"] == "attempt_finished"]
        self.assertEqual(numbers, [1, 1])


class WhatFollowsAFailureOnANode(RunTest, TroupeTest):
    def test_a_failure_is_retried_by_the_job_then_restarted_by_its_group_then_fails_the_run_then_runs_the_hooks(self):
        run = self.submit_run(
            "jobs:\n"
            "  a: { group: g, retry: { attempts: 2, delay: 1ms }, "
            "run: 'echo try >> trace; exit 3' }\n"
            "  b: { needs: [a], run: echo never >> trace }\n"
            "groups: { g: { intensity: 1, period: 1h } }\n"
            "hooks: { on-failure: 'echo failure-of-${{ run.failed-job }} >> trace', "
            "on-exit: echo exit >> trace }\n")
        self.assertEqual(self.troupe("wait", run).code, 1)
        self.assertEqual(self.text("trace").split(), ["try"] * 4 + ["failure-of-a", "exit"])
        states = self.states(run)
        self.assertEqual((states["a"], states["b"]), ("failed", "skipped"))


class RunningAgain(RunTest, TroupeTest):
    CONFIG = "slots: 4\n"

    def run_to_end(self, text, code=0):
        run = self.submit_run(text)
        self.assertEqual(self.troupe("wait", run).code, code)
        return run

    def again(self, run, *words, code=0):
        self.ok("retry", run, *words)
        self.assertEqual(self.troupe("wait", run).code, code)

    def test_a_retry_of_a_run_keeps_the_logs_of_each_attempt(self):
        run = self.run_to_end(
            "jobs: { a: { retry: { attempts: 2, delay: 1ms }, run: 'echo >> tries; "
            "echo try $(wc -l < tries); test -e ready' } }", code=1)
        (self.cwd / "ready").touch()
        self.again(run)
        logs = self.ok("logs", run).out
        # Of one command the last attempt is shown; each has a log of its own.
        self.assertRegex(logs, r"(?s)try 2\n.*try 3\n")
        first, second = sorted(one["job"] for one in self.node.get("/v1/jobs?run=1")["jobs"])
        kept = [self.ok("logs", f"{job}.0", "--attempt", str(attempt)).out
                for job, attempt in ((first, 1), (first, 2), (second, 1))]
        self.assertEqual(kept, ["try 1\n", "try 2\n", "try 3\n"])

    def test_a_retry_of_a_run_keeps_the_artifacts_of_each_attempt(self):
        run = self.run_to_end(
            "jobs: { a: { run: 'echo >> tries; wc -l < tries > out', "
            "artifacts: { upload: { out: out } } } }")
        self.again(run, "--from", "a")
        listed = self.ok("artifact", "list", run, "--json").json()["artifacts"]
        digests = {one["files"][0]["sha256"] for one in listed}
        self.assertEqual(digests, {hashlib.sha256(text).hexdigest()
                                   for text in (b"1\n", b"2\n")})

    def test_a_retry_of_a_run_still_hits_a_cache_key_that_is_unchanged(self):
        (self.cwd / "in").write_text("1")
        run = self.run_to_end(
            "jobs:\n"
            "  a: { run: 'echo a >> log; echo made', cache: { key: k, sources: [in] } }\n"
            "  b: { needs: [a], run: 'echo b >> log' }\n")
        self.again(run, "--from", "a")
        self.assertEqual(self.text("log").split(), ["a", "b", "b"])
        self.assertEqual(self.ok("logs", run, "a").out.splitlines()[-1], "made")
        (self.cwd / "in").write_text("2")
        self.again(run, "--from", "a")
        self.assertEqual(self.text("log").split(), ["a", "b", "b", "a", "b"])

    def test_a_retry_from_a_job_runs_it_and_what_comes_after_it_again(self):
        run = self.run_to_end(
            "jobs:\n  a: { run: echo a >> log }\n"
            "  b: { needs: [a], run: echo b >> log }\n"
            "  c: { needs: [b], run: echo c >> log }\n"
            "  side: { run: 'true' }\n")
        self.again(run, "--from", "b")
        self.assertEqual(self.text("log").split(), ["a", "b", "c", "b", "c"])
        side = self.run_of(run)["instances"][3]
        self.assertEqual(len(side["steps"]), 1)


class Strategy(Traced, TroupeTest):
    def test_strategy_is_a_map_on_a_job(self):
        ended = self.run_flow("jobs: {a: {strategy: {matrix: {n: [1, 2]}}, "
                              "run: 'echo ${{ matrix.n }}'}}")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(len(self.record()["jobs"]), 2)

    def test_strategy_is_a_scalar_on_a_supervisor(self):
        self.write("jobs: {a: {group: g, run: x}}\n"
                   "groups: {g: {strategy: one_for_all}}\n"
                   "services:\n"
                   "  strategy: rest_for_one\n"
                   "  children:\n"
                   "    one: {run: x}\n"
                   "    more: {strategy: one_for_all, children: {two: {run: x}}}\n")
        ended = self.troupe("lint", "flow.yaml")
        self.assertEqual((ended.code, ended.err), (0, ""), ended)

    def test_a_scalar_on_a_job_is_an_error_that_names_group(self):
        self.refuse("jobs:\n  a:\n    strategy: rest_for_one\n    run: x\n",
                    "flow.yaml:3:15: ", '"strategy" of a job is a map', '"group"')

    def test_a_map_on_a_supervisor_is_an_error_that_names_it(self):
        wrong = "strategy: {matrix: {n: [1]}}"
        for text, whom in (
                ("jobs: {a: {group: g, run: x}}\ngroups: {g: {%s}}\n", "a group"),
                ("jobs: {a: {run: x}}\nservices: {%s, children: {a: {run: x}}}\n", "services")):
            with self.subTest(whom):
                self.refuse(text % wrong, f'"strategy" of {whom} is one word',
                            "a map belongs on a job")


class Values(Traced):
    """A mixin; stands before TroupeTest."""

    def values(self, *expressions):
        """What each expression puts into a shell line."""
        words = " ".join("${{ %s }}" % one for one in expressions)
        flow = {"jobs": {"a": {"run": f"printf '%s\\n' {words}"}}}
        ended = self.run_flow(json.dumps(flow))
        self.assertEqual(ended.code, 0, ended)
        return ended.out.splitlines()[1:]

    def assert_values(self, expected):
        self.assertEqual(dict(zip(expected, self.values(*expected))), expected)

    def truths(self, *conditions):
        """Which of these conditions let a step run."""
        steps = [{"if": one, "run": "true"} for one in conditions]
        told, ended = self.events(json.dumps({"jobs": {"a": {"steps": steps}}}))
        self.assertEqual(ended.code, 0, ended)
        ends = [e["outcome"] for e in told if e["type"] == "step_finished"]
        self.assertEqual(len(ends), len(conditions), ended)
        return [condition for condition, end in zip(conditions, ends) if end == "success"]


class Expressions(Values, TroupeTest):
    def test_literals_are_texts_numbers_booleans_and_null(self):
        self.assert_values({"'text'": "text", "'it''s'": "it's", "''": "", "12": "12",
                            "-1.5": "-1.5", "true": "true", "false": "false", "null": ""})

    def test_inputs_env_matrix_steps_jobs_needs_run_and_secrets_are_names(self):
        ended = self.run_flow("""
            env: {PLACE: here}
            secrets: {KEY: {from: env, key: THE_KEY}}
            jobs:
              make:
                run: echo made=1 >> "$TROUPE_OUTPUT"
                outputs: {made: "${{ steps.run.outputs.made }}"}
              show:
                needs: make
                strategy: {matrix: {n: [7]}}
                env: {KEY: "${{ secrets.KEY }}"}
                steps:
                  - {id: first, run: 'echo x=2 >> "$TROUPE_OUTPUT"; test "$KEY" = 4711-4711'}
                  - run: |
                      echo ${{ inputs.day }} ${{ env.PLACE }} ${{ matrix.n }}
                      echo ${{ steps.first.outputs.x }}
                      echo ${{ steps.first.outcome }} ${{ steps.first.conclusion }}
                      echo ${{ jobs.make.outputs.made }} ${{ needs.make.outputs.made }}
                      echo ${{ needs.make.result }}
                      echo ${{ run.id }} ${{ run.trigger }}
            """, "--input", "day=may", env={"THE_KEY": "4711-4711"})
        self.assertEqual(ended.code, 0, ended)
        (run,) = self.runs()
        (log,) = run.glob("show*/step-2.1.log")
        self.assertEqual(log.read_text(), "may here 7\n2\nsuccess success\n1 1\nsuccess\n"
                         f"{run.name} dispatch\n")

    def test_equal_and_not_equal_compare_values(self):
        right = ["'a' == 'a'", "'a' != 'b'", "1 == '1'", "1 == 1.0", "true == 'true'",
                 "null == ''", "true != false"]
        wrong = ["'a' == 'A'", "'a' != 'a'", "1 == 2", "null == 'null'", "'a' == 1"]
        self.assertEqual(self.truths(*right, *wrong), right)

    def test_less_and_greater_order_values(self):
        right = ["1 < 2", "2 > 1", "'10' > 9", "9 < '10'", "'a' < 'b'", "'b' > 'a'",
                 "'10' < '9'", "1 <= 1", "1 >= 1"]
        wrong = ["2 < 1", "1 > 2", "1 < 1", "1 > 1", "'a' < 1", "'a' > 1"]
        self.assertEqual(self.truths(*right, *wrong), right)

    def test_and_or_and_not_join_conditions(self):
        right = ["true && true", "true || false", "!false", "!(true && false)", "!''", "!0",
                 "false && true || true", "true || true && false"]
        wrong = ["true && false", "false || false", "!true", "!'x'", "!!0"]
        self.assertEqual(self.truths(*right, *wrong), right)
        self.assert_values({"'' || 'else'": "else", "'a' && 'b'": "b", "'a' || 'b'": "a"})

    def test_success_failure_always_and_cancelled_ask_how_it_goes(self):
        ended = self.run_flow("""
            jobs:
              a:
                steps:
                  - {if: success(), run: echo success >> trace}
                  - {if: failure(), run: echo never >> trace}
                  - {run: exit 1}
                  - {run: echo never >> trace}
                  - {if: success(), run: echo never >> trace}
                  - {if: cancelled(), run: echo never >> trace}
                  - {if: failure(), run: echo failure >> trace}
                  - {if: always(), run: echo always >> trace}
              b: {needs: a, run: echo never >> trace}
              c: {needs: a, if: failure(), run: echo job >> trace}
            """)
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.trace(), ["success", "failure", "always", "job"])

    def test_cancelled_is_true_once_the_run_is_cancelled(self):
        self.write("""
            jobs:
              a:
                steps:
                  - {run: touch started; exec sleep 60}
                  - {if: success() || failure(), run: echo never >> trace}
                  - {if: cancelled(), run: echo cancelled >> trace}
            """)
        running = self.start_troupe("run", "flow.yaml")
        wait_until((self.cwd / "started").exists, what="the start of the step")
        running.process.terminate()
        self.assertEqual(running.finish().code, 143)
        self.assertEqual(self.trace(), ["cancelled"])

    def test_contains_startsWith_and_endsWith_look_into_texts_and_lists(self):
        right = ["contains('abc', 'b')", "contains(fromJSON('[\"a\",\"b\"]'), 'b')",
                 "startsWith('abc', 'ab')", "endsWith('abc', 'bc')"]
        wrong = ["contains('abc', 'd')", "contains(fromJSON('[\"ab\"]'), 'a')",
                 "startsWith('abc', 'bc')", "endsWith('abc', 'ab')"]
        self.assertEqual(self.truths(*right, *wrong), right)

    def test_format_and_join_make_texts(self):
        self.assert_values({
            "format('{0}-{1}-{0}', 'a', 2)": "a-2-a",
            "format('{{0}} {0}', 'x')": "{0} x",
            "join(fromJSON('[1, 2, 3]'))": "1,2,3",
            "join(fromJSON('[\"a\", \"b\"]'), ' + ')": "a + b"})

    def test_fromJSON_and_toJSON_turn_texts_into_values_and_back(self):
        self.assert_values({
            "fromJSON('{\"a\": [1, {\"b\": \"c\"}]}').a[1].b": "c",
            "fromJSON('[1, 2]')[0]": "1",
            "toJSON(fromJSON('{\"a\": [1, true, null, \"x\"]}'))": '{"a":[1,true,null,"x"]}',
            "toJSON('it''s \"x\"')": '"it\'s \\"x\\""'})
        ended = self.run_flow("jobs: {a: {run: \"echo ${{ fromJSON(inputs.x) }}\"}}",
                              "--input", "x={")
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("no JSON", ended.err)

    def test_hashFiles_tells_whether_files_have_changed(self):
        (self.cwd / "src").mkdir()
        for name in "a.c", "b.c", "b.o":
            (self.cwd / "src" / name).write_text(name)
        asked = ["hashFiles('src/*.c')", "hashFiles('src/*', '!src/*.o')", "hashFiles('none')"]
        same, other, none = self.values(*asked)
        self.assertRegex(same, "^[0-9a-f]{64}$")
        self.assertEqual((other, none), (same, ""))
        (self.cwd / "src/b.o").write_text("changed")
        self.assertEqual(self.values(*asked), [same, same, ""])
        (self.cwd / "src/b.c").write_text("changed")
        self.assertNotEqual(self.values(*asked)[0], same)

    # Where an expression can stand, with a job b that can see a job a.
    PLACES = {
        "a command": "run: 'echo ${{ %s }}'",
        "a condition": "run: x, if: \"%s\"",
        "a variable": "run: x, env: {A: '${{ %s }}'}",
        "a name": "run: x, name: 'n ${{ %s }}'",
        "a folder": "run: x, working-directory: '${{ %s }}'",
        "an output": "run: x, outputs: {o: '${{ %s }}'}",
        "a matrix": "run: x, strategy: {matrix: '${{ %s }}'}",
        "a group of concurrency": "run: x, concurrency: 'c-${{ %s }}'",
        "a key of a cache": "run: x, cache: {key: '${{ %s }}'}",
        "an approval": "run: x, approval: {prompt: 'Is ${{ %s }} fine?'}",
        "an artifact": "run: x, artifacts: {upload: {o: '${{ %s }}'}}",
    }

    def test_an_unknown_name_is_an_error_at_load_time(self):
        for name, hint in (("input.day", "inputs"), ("github.actor", ""), ("run.idd", "id"),
                           ("needs.mak.result", "make"), ("jobs.mak.outputs.rows", "make"),
                           ("needs.make.outputs.row", "rows"),
                           ("steps.none.outputs.n", "")):
            with self.subTest(name):
                self.refuse("jobs:\n  make: {run: x, outputs: {rows: '1'}}\n"
                            "  b: {needs: make, run: 'echo ${{ %s }}'}\n" % name, "unknown",
                            f'did you mean "{hint}"?' if hint else "")
        self.refuse("jobs:\n  a: {strategy: {matrix: {n: [1]}}, run: 'echo ${{ matrix.m }}'}\n",
                    "unknown", '"m"')
        self.refuse("jobs:\n  a: {env: {NAME: x}, run: 'echo ${{ env.NAMES }}'}\n",
                    "unknown", '"NAMES"', 'did you mean "NAME"?')
        self.refuse("secrets: {KEY: {}}\njobs:\n  a: {run: x, env: {K: '${{ secrets.KEYS }}'}}\n",
                    "unknown", '"KEYS"', 'did you mean "KEY"?')
        self.refuse("on: {dispatch: {inputs: {day: {}}}}\n"
                    "jobs:\n  a: {run: 'echo ${{ inputs.dya }}'}\n", "unknown", '"dya"',
                    'did you mean "day"?')

    def test_an_unknown_name_is_an_error_wherever_it_stands(self):
        for place, text in self.PLACES.items():
            with self.subTest(place):
                self.refuse("jobs:\n  a: {run: x}\n  b: {needs: a, %s}\n" % (text % "nothing.x"),
                            "unknown", '"nothing"')
        for text in ("run-name: 'n ${{ nothing.x }}'\njobs: {a: {run: x}}\n",
                     "env: {A: '${{ nothing.x }}'}\njobs: {a: {run: x}}\n",
                     "jobs: {a: {run: x}}\nhooks: {on-exit: 'echo ${{ nothing.x }}'}\n"):
            with self.subTest(text):
                self.refuse(text, "unknown", '"nothing"')

    def test_an_unknown_function_is_an_error_at_load_time(self):
        for place, text in self.PLACES.items():
            with self.subTest(place):
                self.refuse("jobs:\n  a: {run: x}\n  b: {needs: a, %s}\n" % (text % "succes()"),
                            'unknown function "succes"', 'did you mean "success"?')

    def test_a_wrong_number_of_arguments_is_an_error_at_load_time(self):
        self.refuse("jobs: {a: {if: \"contains('a')\", run: x}}",
                    "contains() takes 2 arguments, not 1")


class Quoting(Traced, TroupeTest):
    HOSTILE = ["$(touch hit)", "`touch hit`", "; touch hit", "'; touch hit; '",
               '"; touch hit; "', "x\ntouch hit", "\\", "| touch hit", "&& touch hit", "$HOME",
               "*", "~", "a  b", "-n", "${HOME}", "'", '"', "!!", "# no", "{a,b}", ""]
    LINES = ("printf '<%s>' plain ${{ V }}\n"
             "printf '<%s>' \"double ${{ V }}\"\n"
             "printf '<%s>' 'single ${{ V }}'\n"
             "printf '<%s>' \"inner $(printf %s ${{ V }})\"\n")

    @staticmethod
    def shown(value):
        # A shell takes the line breaks off the end of $( ).
        inner = value.rstrip("\n")
        return f"<plain><{value}><double {value}><single {value}><inner {inner}>"

    def test_values_in_a_shell_line_are_quoted_by_default(self):
        matrix = {"value": self.HOSTILE}
        for shell in "sh -e", "bash -euo pipefail":
            with self.subTest(shell):
                told, ended = self.events(json.dumps({"jobs": {"a": {
                    "strategy": {"matrix": matrix}, "shell": shell,
                    "run": self.LINES.replace("V", "matrix.value")}}}))
                self.assertEqual(ended.code, 0, ended)
                seen = [e["attempt"]["stdout_tail"] for e in told
                        if e["type"] == "attempt_finished"]
                self.assertEqual(sorted(seen), sorted(map(self.shown, self.HOSTILE)))
                self.assertFalse((self.cwd / "hit").exists())

    def test_values_from_anywhere_are_quoted(self):
        value = "\"; touch hit; echo '$(touch hit)`touch hit`"
        flow = {
            "env": {"V": "${{ inputs.v }}"},
            "jobs": {
                "make": {
                    "steps": [{"id": "s", "run": "echo v=${{ inputs.v }} >> \"$TROUPE_OUTPUT\""},
                              {"run": self.LINES.replace("V", "steps.s.outputs.v")}],
                    "outputs": {"v": "${{ steps.s.outputs.v }}"}},
                "use": {
                    "needs": "make",
                    "steps": [{"run": self.LINES.replace("V", name)} for name in (
                        "inputs.v", "needs.make.outputs.v", "jobs.make.outputs.v", "env.V",
                        "format('{0}', inputs.v)", "inputs.v || 'x'")]}},
            "hooks": {"on-success": self.LINES.replace("V", "jobs.make.outputs.v")},
        }
        told, ended = self.events(json.dumps(flow), "--input", f"v={value}")
        self.assertEqual(ended.code, 0, ended)
        seen = [e["attempt"]["stdout_tail"] for e in told if e["type"] == "attempt_finished"]
        self.assertEqual(seen, ["", *[self.shown(value)] * 8])
        self.assertFalse((self.cwd / "hit").exists())

    def test_raw_opts_out(self):
        ended = self.run_flow("jobs: {a: {run: \"echo ${{ raw(inputs.v) }}\"}}",
                              "--input", "v=a; touch hit; echo \"$(echo b)\"")
        self.assertEqual((ended.code, ended.out.splitlines()[1:]), (0, ["a", "b"]), ended)
        self.assertTrue((self.cwd / "hit").exists())

    def test_where_nobody_can_quote_a_value_is_refused(self):
        for line in ("echo `echo ${{ V }}`", "echo $((1 + ${{ V }}))",
                     "cat <<END\n${{ V }}\nEND", "[[ a == ${{ V }} ]]", "a[${{ V }}]=1"):
            with self.subTest(line):
                line = line.replace("V", "inputs.v")
                self.refuse(json.dumps({"jobs": {"a": {"run": line, "shell": "bash"}}}),
                            "a value cannot be quoted safely")
                raw = line.replace("inputs.v", "raw(inputs.v)")
                self.write(json.dumps({"jobs": {"a": {"run": raw, "shell": "bash"}}}))
                self.assertEqual(self.troupe("lint", "flow.yaml").code, 0)

    def test_where_nobody_knows_the_quotes_a_value_is_refused(self):
        self.refuse(json.dumps({"jobs": {"a": {"run": "print \"${{ inputs.v }}\"",
                                               "shell": "perl -e"}}}),
                    "values cannot be quoted for")


class Outputs(Traced, TroupeTest):
    def outputs(self, script):
        told, ended = self.events(json.dumps({"jobs": {"a": {"run": script}}}))
        (step,) = [e for e in told if e["type"] == "step_finished"]
        return step["outputs"] if ended.code == 0 else step["reason"]

    def test_lines_of_the_file_TROUPE_OUTPUT_are_outputs(self):
        self.assertEqual(self.outputs(
            "echo one=1 >> $TROUPE_OUTPUT\necho 'two=a=b c' >> $TROUPE_OUTPUT\n"
            "echo three= >> $TROUPE_OUTPUT\nprintf four=4 >> $TROUPE_OUTPUT\n"),
            {"one": "1", "two": "a=b c", "three": "", "four": "4"})

    def test_blocks_of_the_file_TROUPE_OUTPUT_are_outputs(self):
        self.assertEqual(self.outputs(
            "cat >> $TROUPE_OUTPUT <<'SCRIPT'\n"
            "text<<EOF\na\n\nb=c\nd<<x\nEOF\n"
            "none<<EOF\nEOF\n"
            "other<<---\nEOF\n---\n"
            "after=1\nSCRIPT\n"),
            {"text": "a\n\nb=c\nd<<x", "none": "", "other": "EOF", "after": "1"})

    def test_a_later_line_replaces_an_earlier_one(self):
        self.assertEqual(self.outputs("echo n=1 >> $TROUPE_OUTPUT; echo n=2 >> $TROUPE_OUTPUT"),
                         {"n": "2"})

    def test_other_lines_are_an_error(self):
        self.assertIn('line 1: expected name=value or name<<END, got "no"',
                      self.outputs("echo no >> $TROUPE_OUTPUT"))
        self.assertIn('line 2: no line "EOF" ends the value of "n"',
                      self.outputs("printf 'a=1\\nn<<EOF\\nx\\n' >> $TROUPE_OUTPUT"))

    def test_each_step_appends_to_a_file_of_its_own(self):
        ended = self.run_flow("""
            jobs:
              a:
                steps:
                  - {id: one, run: 'echo n=1 >> $TROUPE_OUTPUT'}
                  - {id: two, run: 'test ! -s $TROUPE_OUTPUT; echo n=2 >> $TROUPE_OUTPUT'}
                  - {run: 'echo ${{ steps.one.outputs.n }}${{ steps.two.outputs.n }} >> trace'}
            """)
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.trace(), ["12"])


class Secrets(Flow, TroupeTest):
    @property
    def state(self):
        return Path(self.env["XDG_STATE_HOME"])

    def assert_is_nowhere(self, ended):
        """In nothing that was printed, and in no file that Troupe keeps."""
        self.assert_is_hidden(ended)
        for path in self.state.rglob("*"):
            self.assertNotIn(CANARY, str(path))
            if path.is_file():
                self.assertNotIn(CANARY.encode(), path.read_bytes(), path)

    def flow(self, source, run, **more):
        job = {"env": {"KEY": "${{ secrets.KEY }}"}, "run": run} | more
        return json.dumps({"secrets": {"KEY": source}, "jobs": {"a": job}})

    def test_secrets_come_from_a_file_an_environment_variable_or_a_command(self):
        (self.cwd / "key").write_text(CANARY + "\n")
        half = len(CANARY) // 2
        for source in ({"from": "file", "key": "key"}, {"from": "env", "key": "THE_KEY"},
                       {"from": "command", "key": "cat key"}):
            with self.subTest(source):
                ended = self.run_flow(self.flow(
                    source, f"test \"$KEY\" = {CANARY[:half]}''{CANARY[half:]}; echo is $KEY"),
                    env={"THE_KEY": CANARY})
                self.assertEqual((ended.code, ended.out.splitlines()[1:]), (0, ["is ***"]), ended)
                self.assert_is_nowhere(ended)

    def test_secrets_are_never_in_argv(self):
        running = self.start_troupe("run", self.write(self.flow(
            {"from": "env", "key": "THE_KEY"},
            "touch up; until test -e go; do sleep 0.01; done; : $KEY")), env={"THE_KEY": CANARY})
        wait_until((self.cwd / "up").exists, what="the step")
        commands = processes_with(self.mark)
        (self.cwd / "go").touch()
        ended = running.finish()
        self.assertEqual(ended.code, 0, ended)
        self.assertGreaterEqual(len(commands), 2)
        self.assertEqual([c for c in commands.values() if CANARY in c], [])

    def test_an_expression_cannot_put_them_into_argv(self):
        for job in ("run: 'echo ${{ secrets.KEY }}'",
                    "env: {K: '${{ secrets.KEY }}'}, run: 'echo ${{ env.K }}'",
                    "run: \"echo ${{ format('{0}', secrets.KEY) }}\"",
                    "run: 'echo ${{ raw(secrets.KEY) }}'",
                    "run: x, name: '${{ secrets.KEY }}'", "run: x, if: secrets.KEY == 'a'",
                    "run: x, working-directory: '${{ secrets.KEY }}'",
                    "run: x, cache: {key: '${{ secrets.KEY }}'}",
                    "run: x, outputs: {o: '${{ secrets.KEY }}'}"):
            with self.subTest(job):
                ended = self.run_flow("secrets: {KEY: {}}\njobs: {a: {%s}}\n" % job,
                                      env={"KEY": CANARY})
                self.assertEqual((ended.code, ended.out), (3, ""), ended)
                self.assertIn("secret", ended.err)

    def test_each_occurrence_in_captured_output_is_masked(self):
        ended = self.run_flow(self.flow(
            {"from": "env", "key": "THE_KEY"},
            "echo \"$KEY, $KEY and $KEY\"; echo \"x${KEY}y\" >&2; echo v=$KEY >> $TROUPE_OUTPUT; "
            "printf %s \"$KEY\" | cut -c 1-9 | tr -d '\\n'; sleep 0.1; "
            "printf %s \"$KEY\" | cut -c 10-; exit 1"), "--json", env={"THE_KEY": CANARY})
        self.assertEqual(ended.code, 1, ended)
        log = self.log("a/run.1.log")
        self.assertEqual(sorted(log.splitlines()), ["***", "***, *** and ***", "x***y"])
        self.assert_is_nowhere(ended)

    def test_secrets_are_never_in_what_a_cache_keeps(self):
        flow = self.flow({"from": "env", "key": "THE_KEY"},
                         "echo ran >> runs; echo is $KEY; echo v=$KEY >> $TROUPE_OUTPUT",
                         cache={"key": "k"})
        for _ in range(2):
            ended = self.run_flow(flow, env={"THE_KEY": CANARY})
            self.assertEqual(ended.code, 0, ended)
            self.assertIn("is ***\n", ended.out)
            self.assert_is_nowhere(ended)
        self.assertEqual((self.cwd / "runs").read_text(), "ran\n")

    def test_secrets_are_in_no_record(self):
        ended = self.run_flow(json.dumps({
            "secrets": {"KEY": {"from": "env", "key": "THE_KEY"}},
            "jobs": {
                "a": {"env": {"KEY": "${{ secrets.KEY }}"},
                      "run": "echo $KEY; echo v=$KEY >> $TROUPE_OUTPUT",
                      "outputs": {"v": "${{ steps.run.outputs.v }}",
                                  "o": {"from": "stdout"}}},
                "b": {"needs": "a", "run": "echo ${{ needs.a.outputs.v }}; exit 3"}},
            "hooks": {"on-exit": "echo ${{ jobs.a.outputs.o }}"},
            "notify": [{"on": "failure", "command": "cat > told; env >> told"}]}),
            env={"THE_KEY": CANARY})
        self.assertEqual(ended.code, 1, ended)
        self.assert_is_nowhere(ended)
        told = (self.cwd / "told").read_text().splitlines()
        self.assertNotIn(CANARY, told[0])


class SecretsOfANode(RunTest, TroupeTest):
    RUN = "echo is $KEY; echo v=$KEY >> $TROUPE_OUTPUT; test -n \"$KEY\""

    def setUp(self):
        super().setUp()
        # Secrets of variables are in the environment of the node.
        self.assertEqual(self.node.terminate(), 0)
        self.node.start(env={"THE_KEY": CANARY})

    def run_with(self, source, **more):
        job = {"env": {"KEY": "${{ secrets.KEY }}"}, "run": self.RUN} | more
        run = self.submit_run(json.dumps({
            "secrets": {"KEY": source},
            "jobs": {"a": job | {"outputs": {"v": "${{ steps.run.outputs.v }}"}},
                     "b": {"needs": "a", "run": "echo got ${{ needs.a.outputs.v }}"}}}))
        self.ok("wait", run)
        self.assertEqual(self.ok("logs", run, "a").out, "is ***\n")
        self.assertEqual(self.ok("logs", run, "b").out, "got ***\n")
        self.assertNotIn(CANARY, self.ok("status", run, "--json").out)
        self.assertNotIn(CANARY, self.node.log_text())
        for path in self.node.folder.rglob("*"):
            if path.is_file():
                self.assertNotIn(CANARY.encode(), path.read_bytes(), path)

    def test_secrets_are_never_in_the_store_in_the_clear(self):
        (self.cwd / "key").write_text(CANARY)
        self.run_with({"from": "file", "key": "key"})
        self.run_with({"from": "env", "key": "THE_KEY"})
        self.run_with({"from": "command", "key": "cat key"})

    def test_secrets_are_never_in_what_the_cache_of_a_node_keeps(self):
        self.run_with({"from": "env", "key": "THE_KEY"}, cache={"key": "k"})


class Success(Traced, TroupeTest):
    def assert_states(self, jobs, states):
        ended = self.run_flow(json.dumps({"jobs": jobs}))
        self.assertEqual(self.states(), states)
        self.assertEqual(ended.code, 0 if set(states.values()) == {"succeeded"} else 1, ended)
        return ended

    def test_success_is_the_exit_code_0_unless_other_codes_are_given(self):
        self.assert_states(
            {"zero": {"run": "exit 0"}, "one": {"run": "exit 1"},
             "three": {"run": "exit 3", "success-exit-codes": [0, 3]},
             "four": {"run": "exit 4", "success-exit-codes": [0, 3]},
             "only": {"run": "exit 0", "success-exit-codes": [3]}},
            {"zero": "succeeded", "one": "failed", "three": "succeeded", "four": "failed",
             "only": "failed"})

    def test_output_contains_is_text_that_the_output_must_have(self):
        ended = self.assert_states(
            {"yes": {"run": "echo all done", "output-contains": "done"},
             "err": {"run": "echo done >&2", "output-contains": "done"},
             "no": {"run": "echo all", "output-contains": "done"},
             "half": {"run": "echo all", "output-contains": ["all", "done"]}},
            {"yes": "succeeded", "err": "succeeded", "no": "failed", "half": "failed"})
        self.assertIn('its output does not contain "done"', ended.err)

    def test_output_not_contains_is_text_that_it_must_not_have(self):
        ended = self.assert_states(
            {"yes": {"run": "echo fine", "output-not-contains": ["error", "fatal"]},
             "no": {"run": "echo error >&2", "output-not-contains": ["error", "fatal"]},
             # In two pieces, and long before the end.
             "long": {"run": "printf er; sleep 0.1; echo ror; seq 100000",
                      "output-not-contains": "error"}},
            {"yes": "succeeded", "no": "failed", "long": "failed"})
        self.assertIn('its output contains "error"', ended.err)

    def test_max_duration_makes_what_is_slower_a_failure_and_does_not_stop_it(self):
        ended = self.assert_states(
            {"quick": {"run": "true", "max-duration": "30s"},
             "slow": {"run": "sleep 0.3; touch ended", "max-duration": "100ms"}},
            {"quick": "succeeded", "slow": "failed"})
        self.assertTrue((self.cwd / "ended").exists())
        self.assertIn("100ms", ended.err)

    def test_the_criteria_of_a_step_are_its_own(self):
        ended = self.run_flow("""
            jobs:
              a:
                steps:
                  - {run: exit 3, success-exit-codes: [3]}
                  - {run: echo x, output-contains: x, output-not-contains: y, max-duration: 30s}
                  - {run: exit 3}
            """)
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual([step["outcome"] for step in self.record()["jobs"][0]["steps"]],
                         ["success", "success", "failure"])


class Order(Traced, TroupeTest):
    def order(self, text, *words, name="flow.yaml"):
        """In which order the jobs of a run with one place have run."""
        ended = self.troupe("run", self.write(text, name), "-j1", *words)
        self.assertEqual(ended.code, 0, ended)
        found = self.trace()
        (self.cwd / "trace").unlink()
        return found

    def test_priorities_are_low_normal_high_and_critical(self):
        self.assertEqual(self.order("""
            jobs:
              e: {run: echo e >> trace, priority: low}
              d: {run: echo d >> trace}
              c: {run: echo c >> trace, priority: normal}
              b: {run: echo b >> trace, priority: high}
              a: {run: echo a >> trace, priority: critical}
            """), ["a", "b", "d", "c", "e"])
        self.write("jobs: {a: {run: x, priority: urgent}}", "other.yaml")
        ended = self.troupe("lint", "other.yaml")
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("expected low, normal, high or critical", ended.err)

    def test_without_a_history_the_order_is_that_of_the_declaration(self):
        self.assertEqual(self.order("""
            jobs:
              z: {run: echo z >> trace}
              a: {run: echo a >> trace}
              m: {run: echo m >> trace}
            """), ["z", "a", "m"])

    # What is long is behind "head", which is as short as "short".
    PATHS = """
        jobs:
          short: {run: echo short >> trace}
          middle: {run: sleep 0.2; echo middle >> trace}
          head: {run: echo head >> trace}
          tail: {needs: head, run: sleep 0.6; echo tail >> trace}
          last: {run: echo last >> trace, priority: low}
          first: {run: echo first >> trace, priority: high}
        """

    def test_within_a_priority_the_longest_remaining_critical_path_goes_first(self):
        self.assertEqual(self.order(self.PATHS),
                         ["first", "short", "middle", "head", "tail", "last"])
        self.assertEqual(self.order(self.PATHS),
                         ["first", "head", "tail", "middle", "short", "last"])

    def test_what_is_learned_is_about_the_same_step(self):
        text = """
            jobs:
              a: {steps: [{id: one, run: 'echo a >> trace'}, {id: two, run: sleep %s}]}
              b: {steps: [{id: one, run: 'echo b >> trace'}, {id: two, run: sleep %s}]}
            """
        self.assertEqual(self.order(text % (0, 0.4)), ["a", "b"])
        self.assertEqual(self.order(text % (0, 0)), ["b", "a"])
        # Another name is another step, and nobody knows of it.
        renamed = (text % (0, 0)).replace("id: one", "id: uno").replace("id: two", "id: due")
        self.assertEqual(self.order(renamed), ["a", "b"])

    def test_places_of_a_matrix_are_given_in_the_order_of_the_declaration(self):
        text = """
            jobs:
              a:
                strategy: {matrix: {n: [0.02, 0.4, 0.2]}, max-parallel: 1}
                run: sleep ${{ matrix.n }}; echo ${{ matrix.n }} >> trace
            """
        # They are the same step, so what is learned is about all of them.
        for _ in range(2):
            self.assertEqual(self.order(text), ["0.02", "0.4", "0.2"])


class OrderOfANode(RunTest, TroupeTest):
    CONFIG = "slots: 1\n"

    def order(self, text, *options):
        run = self.submit_run(text, *options)
        self.ok("wait", run)
        found = self.text("trace").split()
        (self.cwd / "trace").unlink()
        return found

    PATHS = ("jobs:\n"
             "  short: { run: echo short >> trace }\n"
             "  head: { run: echo head >> trace }\n"
             "  tail: { needs: [head], run: sleep 0.4; echo tail >> trace }\n"
             "  first: { run: echo first >> trace, priority: high }\n")

    def test_a_run_of_a_node_goes_by_priority_and_then_by_what_it_has_learned(self):
        self.assertEqual(self.order(self.PATHS, "--jobs", "1"),
                         ["first", "short", "head", "tail"])
        self.assertEqual(self.order(self.PATHS, "--jobs", "1"),
                         ["first", "head", "tail", "short"])

    def test_the_priority_of_a_job_holds_among_what_waits_for_slots_of_the_node(self):
        order = self.order(
            "jobs:\n"
            "  first: { run: sleep 0.1; echo first >> trace }\n"
            "  low: { run: echo low >> trace, priority: low }\n"
            "  normal: { run: echo normal >> trace }\n"
            "  critical: { needs: [first], run: echo critical >> trace, priority: critical }\n")
        # The slot of `first` may be taken before `critical` is known to wait.
        self.assertEqual([job for job in order if job != "normal"],
                         ["first", "critical", "low"])
        self.assertLess(order.index("normal"), order.index("low"))


if __name__ == "__main__":
    unittest.main()
