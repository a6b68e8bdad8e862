"""troupe run: jobs that run the jobs of other files, and outputs from what a
command prints."""

import json
import unittest

from run_secrets_test import CANARY, Flow
from troupe_e2e import TroupeTest

LIB = """\
on:
  call:
    inputs: { who: {}, n: { type: number, default: 1 } }
    outputs: { text: "${{ jobs.say.outputs.text }}" }
defaults: { shell: bash }
env: { PLACE: lib }
jobs:
  say:
    run: |
      echo plain ${{ inputs.who }}
      echo "double ${{ inputs.who }}"
      echo 'single ${{ inputs.who }}'
    outputs: { text: { from: stdout } }
  check: { needs: say, run: "echo $PLACE ${{ inputs.n }}" }
"""


class Calls(Flow, TroupeTest):
    def test_jobs_of_the_other_file_run_with_logs_of_their_own(self):
        (self.cwd / "lib").mkdir()
        self.write(LIB, "lib/common.yaml")
        ended = self.run_flow(
            "include: { lib: ./lib/common.yaml }\n"
            "env: { PLACE: main }\n"
            "jobs:\n"
            "  report: { uses: lib, with: { who: you, n: 7 } }\n"
            "  last: { needs: report, run: 'printf %s ${{ jobs.report.outputs.text }}' }\n",
            "-j1")
        self.assertEqual(ended.code, 0, ended)
        self.assertIn("==> report/check: ", ended.out)
        self.assertEqual(self.log("report_check/run.1.log"), "lib 7\n")
        self.assertEqual(self.log("last/run.1.log"), "plain you\ndouble you\nsingle you")
        self.assertIn("job report/check: succeeded\n", ended.err)
        self.assertIn("job report: succeeded\n", ended.err)
        (path,) = self.runs.glob("*/run.json")
        record = json.loads(path.read_text())
        self.assertEqual([(job["job"], job["state"]) for job in record["jobs"]],
                         [("report", "succeeded"), ("last", "succeeded"),
                          ("report/say", "succeeded"), ("report/check", "succeeded")])

    def test_what_they_are_given_is_never_code(self):
        self.write(LIB, "lib.yaml")
        flow = ("on: { dispatch: { inputs: { who: {} } } }\n"
                "jobs:\n"
                "  a: { uses: ./lib.yaml, with: { who: '${{ inputs.who }}' } }\n"
                "  b: { needs: a, run: 'printf %s ${{ jobs.a.outputs.text }}' }\n")
        for hostile in ["$(touch hit)", "`touch hit`", "'; touch hit; '", '"; touch hit; "',
                        "x\ntouch hit", "\\", "| touch hit", "${{ run.id }}", "a: b", "*"]:
            with self.subTest(hostile):
                ended = self.run_flow(flow, "--input", f"who={hostile}")
                self.assertEqual(ended.code, 0, ended)
                shown = "\n".join(f"{how} {hostile}" for how in ("plain", "double", "single"))
                self.assertIn("==> b: printf %s ", ended.out)
                self.assertTrue(ended.out.endswith(f" <==\n{shown}\n"), ended)
                self.assertFalse((self.cwd / "hit").exists())

    def test_a_failure_is_told_with_its_job(self):
        self.write("jobs: { x: { run: exit 3 } }", "lib.yaml")
        ended = self.run_flow("jobs: { a: { uses: ./lib.yaml }, b: { needs: a, run: ls } }")
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("job a: failed: job a/x failed\n", ended.err)
        self.assertIn('job b: skipped: job "a" ended with failure\n', ended.err)

    def test_a_mistake_is_shown_in_its_file(self):
        self.write("jobs:\n  x: { ruin: exit 3 }\n", "lib.yaml")
        self.write("jobs: { a: { uses: ./lib.yaml } }")
        for words in ["run"], ["run", "--dry-run"], ["lint"], ["graph"]:
            with self.subTest(words):
                ended = self.troupe(*words, "flow.yaml" if words != ["run"] else
                                    self.write("jobs: { a: { uses: ./lib.yaml } }"))
                self.assertEqual(ended.code, 3, ended)
                self.assertIn('lib.yaml:2:8: unknown key "ruin" in a job', ended.err)
                self.assertIn("flow.yaml:1:20: called here\n", ended.err)
        self.assertEqual(list(self.runs.glob("*")), [])

    def test_a_file_that_is_none_is_no_workflow(self):
        (self.cwd / "folder.yaml").mkdir()
        for path, why in [("./none.yaml", "cannot open it: no such file or directory"),
                          ("./folder.yaml", "it is no file")]:
            with self.subTest(path):
                ended = self.run_flow(f"jobs: {{ a: {{ uses: {path} }} }}")
                self.assertEqual(ended.code, 3, ended)
                self.assertIn(f'cannot read "{path[2:]}": {why}', ended.err.lower())

    def test_the_plan_shows_what_would_run(self):
        self.write(LIB, "lib.yaml")
        ended = self.run_flow("jobs:\n  a: { run: ls, outputs: { n: '1' } }\n"
                              "  b: { needs: a, uses: ./lib.yaml, with: { who: me, n: "
                              "'${{ jobs.a.outputs.n }}' } }\n", "--dry-run")
        self.assertEqual(ended.code, 0, ended)
        self.assertIn("  job b after a\n"
                      "    calls lib.yaml\n"
                      "      with who: me\n"
                      "      with n: ${{ jobs.a.outputs.n }}\n"
                      "    job b/say\n", ended.out)
        self.assertIn("        | echo plain me\n", ended.out)
        self.assertIn("    job b/check after say\n", ended.out)
        self.assertIn("        | echo $PLACE ${{ inputs.n }}\n", ended.out)

    def test_graphs_have_the_jobs_that_are_called(self):
        self.write(LIB, "lib.yaml")
        self.write("jobs: { a: { uses: ./lib.yaml }, b: { needs: a, run: ls } }")
        ended = self.troupe("graph", "flow.yaml", "--format", "mermaid")
        self.assertEqual((ended.code, ended.out), (0, (
            'flowchart LR\n'
            '  j0["a"]\n'
            '  subgraph j0_jobs ["a"]\n'
            '    j0_0["a/say"]\n'
            '    j0_1["a/check"]\n'
            '    j0_0 --> j0_1\n'
            '  end\n'
            '  j0 -.-> j0_0\n'
            '  j1["b"]\n'
            '  j0 --> j1\n')), ended)
        ended = self.troupe("graph", "flow.yaml")
        self.assertIn('  subgraph cluster_j0 {\n    label="a";\n    j0_0 [label="a/say"];\n',
                      ended.out)
        ended = self.troupe("lint", "flow.yaml")
        self.assertEqual(ended.out, "flow.yaml: ok, 2 jobs, 1 step, 1 included file\n")

    def test_files_and_secrets_are_looked_for_beside_the_file_that_names_them(self):
        (self.cwd / "lib").mkdir()
        self.write(CANARY + "\n", "lib/token")
        self.write("FROM_FILE=lib\n", "lib/.env")
        self.write("dotenv: .env\n"
                   "secrets: { TOKEN: { from: file, key: token }, GIVEN: { key: NONE } }\n"
                   "jobs:\n"
                   "  a:\n"
                   "    env: { T: '${{ secrets.TOKEN }}', G: '${{ secrets.GIVEN }}' }\n"
                   "    run: echo $FROM_FILE $T; test \"$G\" = given'-4711'\n", "lib/lib.yaml")
        ended = self.run_flow("secrets: { MINE: {} }\n"
                              "jobs: { j: { uses: ./lib/lib.yaml, secrets: { GIVEN: "
                              "'${{ secrets.MINE }}' } } }\n", env={"MINE": "given-4711"})
        self.assertEqual((ended.code, ended.out.splitlines()[1:]), (0, ["lib ***"]), ended)
        self.assert_is_hidden(ended, CANARY, "given-4711")


class Printed(Flow, TroupeTest):
    def outputs(self, ended):
        for line in ended.out.splitlines():
            event = json.loads(line)
            if event["type"] == "step_finished":
                return event["outcome"], event["reason"], event["outputs"]
        return self.fail(ended)

    def run_job(self, command, output, **options):
        return self.outputs(self.run_flow(
            f"jobs: {{ a: {{ run: {json.dumps(command)}, outputs: {{ x: {output} }} }} }}",
            "--json", **options))

    def test_an_output_is_what_a_command_prints(self):
        self.assertEqual(self.run_job("echo a; echo ' b'; echo no >&2", "{ from: stdout }"),
                         ("success", None, {"x": "a\n b"}))
        self.assertEqual(self.run_job("echo a; echo b", "{ from: stdout, line: last }"),
                         ("success", None, {"x": "b"}))
        self.assertEqual(self.run_job("echo '{\"a\": [1, {\"b\": \"c\"}]}'",
                                      "{ json: '.a[1].b' }"),
                         ("success", None, {"x": "c"}))
        self.assertEqual(self.run_job("true", "{ from: stdout }"),
                         ("success", None, {"x": ""}))

    def test_only_the_last_attempt_counts(self):
        self.assertEqual(self.run_job("test -e f && echo second || { echo first; touch f; "
                                      "exit 1; }", "{}, y: {} }, retry: { attempts: 2, delay: "
                                      "1ms }, env: { A: b"),
                         ("success", None, {"x": "second", "y": "second"}))

    def test_both_streams_are_in_the_log(self):
        self.run_job("echo out; echo err >&2", "{}")
        self.assertEqual(sorted(self.log("a/run.1.log").splitlines()), ["err", "out"])

    def test_what_is_missing_fails_the_step(self):
        self.assertEqual(self.run_job("echo '{}'", "{ json: .rows }"),
                         ("failure", "its outputs: x: there is no .rows in what the command "
                                     "has printed", {}))
        self.assertEqual(self.run_job("echo rows", "{ json: .rows }")[:2],
                         ("failure", "its outputs: x: what the command has printed: no JSON "
                                     "at byte 1"))
        self.assertEqual(self.run_job("head -c 2000000 /dev/zero | tr '\\0' a", "{}")[:2],
                         ("failure", "its outputs: the command has printed more than 1.00 MiB"))

    def test_a_command_that_has_failed_says_why_itself(self):
        outcome, reason, _ = self.run_job("exit 3", "{ json: .rows }")
        self.assertEqual((outcome, reason), ("failure", "exited with 3"))

    def test_secrets_in_it_are_hidden(self):
        ended = self.run_flow(
            "secrets: { KEY: {} }\n"
            "jobs:\n"
            "  a:\n"
            "    env: { K: '${{ secrets.KEY }}' }\n"
            "    run: echo \"{\\\"k\\\":\\\"<$K>\\\"}\"\n"
            "    outputs: { k: { json: .k } }\n"
            "  b: { needs: a, run: 'echo got ${{ jobs.a.outputs.k }}' }\n",
            env={"KEY": CANARY})
        self.assertEqual(ended.code, 0, ended)
        self.assertIn("got <***>\n", ended.out)
        self.assert_is_hidden(ended)


if __name__ == "__main__":
    unittest.main()
