"""troupe run: what is secret gets to commands, and nowhere else."""

import json
import os
import unittest
from pathlib import Path

from troupe_e2e import TroupeTest

CANARY = "canary-4f1d-in-the-mine"


class Flow:
    @property
    def runs(self):
        return Path(self.env["XDG_STATE_HOME"]) / "troupe" / "runs"

    def write(self, text, name="flow.yaml"):
        (self.cwd / name).write_text(text)
        return name

    def run_flow(self, text, *words, **options):
        return self.troupe("run", self.write(text), *words, **options)

    def log(self, name):
        (path,) = self.runs.glob(f"*/{name}")
        return path.read_text()

    def assert_is_hidden(self, ended, *canaries):
        """In what was printed and in all files of the state."""
        for canary in canaries or [CANARY]:
            self.assertNotIn(canary, ended.out)
            self.assertNotIn(canary, ended.err)
            for path in self.runs.rglob("*"):
                if path.is_file():
                    self.assertNotIn(canary.encode(), path.read_bytes(), path)


class Secrets(Flow, TroupeTest):
    FLOW = ("secrets: {KEY: {from: env, key: THE_KEY}}\n"
            "jobs:\n  a:\n    env: {KEY: '${{ secrets.KEY }}'}\n    run: %s\n")

    def keep(self, command, *words, value=CANARY):
        return self.run_flow(self.FLOW % json.dumps(command), *words,
                             env={"THE_KEY": value})

    def test_a_command_gets_it_and_nobody_sees_it(self):
        ended = self.keep('echo "is $KEY"; test "$KEY" = ' + "canary-4f1d'-in-the-mine'")
        self.assertEqual((ended.code, ended.out.splitlines()[1:]), (0, ["is ***"]), ended)
        self.assertEqual(self.log("a/run.1.log"), "is ***\n")
        self.assert_is_hidden(ended)

    def test_it_is_hidden_if_it_comes_in_pieces(self):
        ended = self.keep("printf canary-; sleep 0.2; printf '4f1d-in-'; sleep 0.2; "
                          "printf 'the-mine.'; printf canary-")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.log("a/run.1.log"), "***.canary-")
        self.assert_is_hidden(ended)

    def test_it_is_hidden_in_a_failure_and_in_json(self):
        command = 'echo "error: $KEY" >&2; exit 3'
        for words in [], ["--json"]:
            with self.subTest(words):
                ended = self.keep(command, *words)
                self.assertEqual(ended.code, 1, ended)
                self.assertIn("error: ***", ended.out + ended.err)
                self.assert_is_hidden(ended)

    def test_it_is_hidden_where_the_end_of_long_output_begins(self):
        """The last 8 KiB are shown, wherever that cuts."""
        for more in range(0, len(CANARY) + 2, 5):
            ended = self.keep(f'printf %s "$KEY"; head -c {8192 - more} /dev/zero | '
                              "tr '\\0' x; exit 1", "--json")
            tails = [event["attempt"]["stdout_tail"] for line in ended.out.splitlines()
                     if (event := json.loads(line))["type"] == "attempt_finished"]
            self.assertEqual(len(tails), 1, ended)
            self.assertRegex(tails[0], r"^(\*\*\*)?x+$")

    def test_each_line_of_a_long_one_is_hidden(self):
        lines = ["-----BEGIN KEY-----", "MIIEowIBAAKCAQEA7", "ab", "-----END KEY-----"]
        ended = self.keep('echo "$KEY" | sed "s/^/> /"', "--json", value="\n".join(lines))
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.log("a/run.1.log"), "> ***\n> ***\n> ab\n> ***\n")
        self.assert_is_hidden(ended, *lines[:2], lines[3])

    def test_an_output_that_has_it_is_masked(self):
        ended = self.run_flow(
            "secrets: {KEY: {from: env, key: THE_KEY}}\n"
            "jobs:\n  a:\n    steps:\n"
            "      - {id: s, env: {KEY: '${{ secrets.KEY }}'}, run: 'echo \"v=<$KEY>\" >> "
            '"$TROUPE_OUTPUT"\'}\n'
            "      - run: echo got ${{ steps.s.outputs.v }}\n", "--json",
            env={"THE_KEY": CANARY})
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.log("a/step-2.1.log"), "got <***>\n")
        self.assert_is_hidden(ended)

    def test_an_error_in_the_outputs_has_no_half_of_it(self):
        value = "canary-" + "x" * 80
        ended = self.keep('echo "$KEY" >> "$TROUPE_OUTPUT"', value=value)
        self.assertEqual(ended.code, 1, ended)
        self.assertIn('got "***"', ended.out + ended.err)
        self.assert_is_hidden(ended, "canary-x")

    def test_what_an_expression_takes_out_of_it_is_hidden(self):
        ended = self.run_flow(
            "secrets: {KEY: {from: env, key: THE_KEY}}\n"
            "jobs: {a: {env: {V: '${{ fromJSON(secrets.KEY).users[0].password }}'}, "
            "run: 'echo \"is $V\"; test \"$V\" = canary-4f1d\"-in-the-mine\"'}}\n",
            env={"THE_KEY": json.dumps({"users": [{"password": CANARY}]})})
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.log("a/run.1.log"), "is ***\n")
        self.assert_is_hidden(ended)

    def test_an_expression_that_fails_does_not_tell_it(self):
        for env in ["", "    "]:
            with self.subTest(env):
                ended = self.run_flow(
                    "secrets: {KEY: {from: env, key: THE_KEY}}\n"
                    + ("env: {V: '${{ fromJSON(secrets.KEY) }}'}\n" if not env else "")
                    + "jobs:\n  a:\n    run: 'true'\n"
                    + ("    env: {V: '${{ fromJSON(secrets.KEY) }}'}\n" if env else ""),
                    env={"THE_KEY": CANARY})
                self.assertNotEqual(ended.code, 0, ended)
                self.assertIn("no JSON", ended.out + ended.err)
                self.assert_is_hidden(ended, CANARY, "canary")

    def test_no_command_line_has_it(self):
        flow = self.FLOW % json.dumps(
            "echo up > up; while ! test -e go; do sleep 0.02; done; echo $KEY")
        process = self.start_troupe("run", self.write(flow), env={"THE_KEY": CANARY})
        self.wait_for_file("up")
        seen = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if CANARY.encode() in (entry / "cmdline").read_bytes():
                    seen.append(entry.name)
            except OSError:
                continue
        (self.cwd / "go").touch()
        ended = process.finish()
        self.assertEqual(seen, [])
        self.assertEqual(ended.code, 0, ended)
        self.assert_is_hidden(ended)

    def test_it_comes_from_a_file_beside_the_workflow(self):
        (self.cwd / "sub").mkdir()
        (self.cwd / "sub" / "key").write_text(CANARY + "\n")
        self.write("secrets: {KEY: {from: file, key: key}}\n"
                   "jobs: {a: {env: {K: '${{ secrets.KEY }}'}, run: 'echo \"<$K>\" > seen'}}\n",
                   "sub/flow.yaml")
        ended = self.troupe("run", "sub/flow.yaml")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual((self.cwd / "seen").read_text(), f"<{CANARY}>\n")

    def test_it_comes_from_a_command(self):
        (self.cwd / "key").write_text(CANARY)
        ended = self.run_flow(
            "secrets: {KEY: {from: command, key: 'cat key; echo'}}\n"
            "jobs: {a: {env: {K: '${{ secrets.KEY }}'}, run: 'echo \"<$K>\" > seen'}}\n")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual((self.cwd / "seen").read_text(), f"<{CANARY}>\n")

    def test_one_that_is_not_there_is_told_before_anything_runs(self):
        for source, why in [("{from: env, key: NO_KEY}", "the variable NO_KEY is not set"),
                            ("{from: file, key: no/key}",
                             "no/key: no such file or directory"),
                            ("{from: command, key: exit 3}",
                             "its command: exited with 3")]:
            with self.subTest(source):
                ended = self.run_flow(f"secrets:\n  KEY: {source}\njobs: {{a: {{run: touch ran, "
                                      "env: {K: '${{ secrets.KEY }}'}}}\n")
                self.assertEqual((ended.code, ended.out), (3, ""), ended)
                self.assertEqual(ended.err.splitlines()[0],
                                 f'flow.yaml:2:3: the secret "KEY": {why}')
                self.assertFalse((self.cwd / "ran").exists())

    def test_one_that_is_not_used_is_not_asked_for(self):
        ended = self.run_flow("secrets: {KEY: {from: command, key: touch asked}}\n"
                              "jobs: {a: {run: 'true'}}\n")
        self.assertEqual(ended.code, 0, ended)
        self.assertFalse((self.cwd / "asked").exists())


class Surroundings(Flow, TroupeTest):
    def test_dotenv_is_overridden_by_env(self):
        (self.cwd / "sub").mkdir()
        (self.cwd / "sub" / "a.env").write_text("A=1\nB=1\nC=1\nD=1\nHOME=/there\n")
        (self.cwd / "sub" / "b.env").write_text("B=2\nexport C='2'\nD=2\n")
        self.write("dotenv: [a.env, b.env]\nenv: {C: 3, D: 3}\n"
                   "jobs: {a: {env: {D: 4}, run: 'echo $A $B $C $D $E $HOME'}}\n",
                   "sub/flow.yaml")
        ended = self.troupe("run", "sub/flow.yaml", env={"A": "0", "E": "0"})
        self.assertEqual((ended.code, ended.out.splitlines()[1:]),
                         (0, ["1 2 3 4 0 /there"]), ended)

    def test_a_file_of_variables_that_is_wrong_is_told(self):
        self.write("dotenv: no.env\njobs: {a: {run: touch ran}}\n")
        ended = self.troupe("run", "flow.yaml")
        self.assertEqual((ended.code, ended.err),
                         (3, "troupe: flow.yaml: dotenv: no.env: no such file or "
                             "directory\n"))
        (self.cwd / "no.env").write_text("= 1\n")
        ended = self.troupe("run", "flow.yaml")
        self.assertEqual(ended.code, 3)
        self.assertIn("no.env:1:1: ", ended.err)
        self.assertFalse((self.cwd / "ran").exists())

    def test_a_run_has_the_name_that_it_is_given(self):
        ended = self.run_flow("name: etl\nrun-name: load ${{ inputs.day }} (${{ run.trigger }})\n"
                              "jobs: {a: {run: 'true'}}\n", "--input", "day=may")
        self.assertEqual(ended.code, 0, ended)
        self.assertRegex(ended.err, r'run \S+ of etl, "load may \(dispatch\)": 1 job\n')
        (record,) = self.runs.glob("*/run.json")
        self.assertEqual(json.loads(record.read_text())["name"], "load may (dispatch)")

    def test_files_are_hashed_as_they_are_at_the_start(self):
        (self.cwd / "src" / "deep").mkdir(parents=True)
        (self.cwd / "src" / "a.c").write_text("a")
        (self.cwd / "src" / "deep" / "b.c").write_text("b")
        (self.cwd / "src" / "deep" / "b.o").write_text("o")
        flow = ("jobs: {a: {run: \"echo ${{ hashFiles('src/**/*.c') }} "
                "${{ hashFiles('src/**', '!src/**/*.o') }} _${{ hashFiles('no/*') }}_\"}}")

        def hashes():
            ended = self.run_flow(flow)
            self.assertEqual(ended.code, 0, ended)
            return ended.out.splitlines()[1].split(" ")

        first = hashes()
        self.assertRegex(first[0], r"^[0-9a-f]{64}$")
        self.assertEqual(first[0], first[1])
        self.assertEqual(first[2], "__")
        (self.cwd / "src" / "deep" / "b.o").write_text("changed")
        self.assertEqual(hashes(), first)
        (self.cwd / "src" / "deep" / "b.c").write_text("B")
        self.assertNotEqual(hashes()[0], first[0])
        (self.cwd / "src" / "deep" / "b.c").write_text("b")
        self.assertEqual(hashes(), first)
        os.rename(self.cwd / "src" / "a.c", self.cwd / "src" / "c.c")
        self.assertNotEqual(hashes()[0], first[0])


if __name__ == "__main__":
    unittest.main()
