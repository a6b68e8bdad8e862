"""troupe map: one clear message for each mistake, and the exit code for it."""

import os
import resource
import shutil
import unittest

from troupe_e2e import TroupeTest

HINT = 'Try "troupe map --help".\n'


class CommandLine(TroupeTest):
    def assert_usage(self, words, message):
        """It is refused, and nothing has run."""
        self.assert_ended(self.troupe("map", *words), 2,
                          err=f"troupe: map: {message}\n{HINT}")
        self.assertEqual(os.listdir(self.cwd), [])

    RAN = ("touch", ":::", "ran")

    def test_an_unknown_option_is_corrected(self):
        for option, meant in (("--keep-ordr", "; did you mean --keep-order?"),
                              ("--time-out=1s", "; did you mean --timeout?"),
                              ("--xyzzy", "")):
            with self.subTest(option):
                self.assert_usage(
                    (option, *self.RAN),
                    f"unknown option {option.split('=')[0]}{meant}")

    def test_an_unknown_option_behind_shell_text_is_corrected(self):
        self.assert_usage(("touch {}", "--job", "3", ":::", "ran"),
                          "unknown option --job; did you mean --jobs?")

    def test_a_command_is_needed(self):
        message = "no command given: write one, such as 'gzip {}'"
        for words in ((), (":::", "ran"), ("-j", "2"), ("",), ("  ",)):
            with self.subTest(words):
                self.assert_usage(words, message)

    def test_a_command_is_asked_for_on_a_terminal(self):
        terminal = self.terminal([self.env["TROUPE"], "map"])
        terminal.expect("troupe: map: no command given")
        self.assertEqual(terminal.wait(), 2)

    def test_a_value_is_needed(self):
        self.assert_usage(("touch {}", "-j"), "--jobs: 1 required N missing")

    def test_a_position_that_no_source_fills_is_named(self):
        for command, words, message in (
                ("{3}", (":::", "a", ":::", "b"),
                 "{3} asks for argument 3, but each command gets only 2"),
                ("{-2}", (":::", "a"),
                 "{-2} asks for argument -2, but each command gets only 1"),
                ("{2.}", (), "{2} asks for argument 2, but each command gets "
                 "only 1")):
            with self.subTest(command):
                self.assert_usage(("touch", command, *words), message)

    def test_a_bad_value_is_named_with_its_option(self):
        for option, value, message in (
                ("-j", "many", "-j: expected a number of jobs such as 8, 50%, "
                 '+2, -1, 0 or auto, got "many"'),
                ("-n", "0", "-n: expected at least 1"),
                ("-n", "x", '-n: expected a whole number, got "x"'),
                ("--timeout", "5", "--timeout: expected a time limit such as "
                 '30s, or 300% of the median runtime, got "5"'),
                ("--timeout", "90%", "--timeout: expected a time limit of more "
                 "than 100% and at most 100000% of the median runtime, got "
                 '"90%"'),
                ("--delay", "soon", "--delay: expected a duration such as "
                 '500ms, 30s, 5m, 2h or 1d, got "soon"'),
                ("--grace", "2", "--grace: expected a duration such as 500ms, "
                 '30s, 5m, 2h or 1d, got "2"'),
                ("--halt", "now", "--halt: expected never, or when to halt "
                 "such as now,fail=1, soon,fail=10%, now,success=1 or "
                 'soon,done=5, got "now"'),
                ("--halt", "now,fail=0", "--halt: expected never, or when to "
                 "halt such as now,fail=1, soon,fail=10%, now,success=1 or "
                 'soon,done=5, got "now,fail=0"'),
                ("--load", "high", "--load: expected a number above 0, got "
                 '"high"'),
                ("--memfree", "1PiB", "--memfree: expected a size such as "
                 '64KiB or 2GiB, got "1PiB"'),
                ("--retries", "-1", '--retries: expected a whole number, got '
                 '"-1"'),
                ("--signal", "TREM", '--signal: unknown signal "TREM"; did you '
                 'mean "TERM"?')):
            with self.subTest(f"{option} {value}"):
                self.assert_usage((option, value, *self.RAN), message)

    def test_options_that_exclude_each_other_are_named(self):
        for words, message in (
                (("-0", "-d", ","), "-0 and -d exclude each other"),
                (("-u", "-k"), "-u excludes --line-buffer, --keep-order, --tag "
                 "and --results"),
                (("--resume-failed",), "--resume needs --joblog FILE")):
            with self.subTest(words):
                self.assert_usage((*words, *self.RAN), message)

    def test_standard_input_can_be_read_only_once(self):
        self.assert_usage(("touch {1} {2}", "::::", "-", "-"),
                          "standard input can be a source only once")

    def test_help_goes_to_standard_output_and_succeeds(self):
        finished = self.troupe("map", "--help")
        self.assertEqual((finished.code, finished.err), (0, ""))
        self.assertIn("--keep-order", finished.out)


class Files(TroupeTest):
    def test_a_file_that_cannot_be_read_is_named(self):
        for words in (("-a", "nowhere", "touch ran"),
                      ("touch ran; : {}", "::::", "nowhere"),
                      ("touch ran; : {}", ":::", "a", "::::", "nowhere")):
            with self.subTest(words):
                self.assert_ended(
                    self.troupe("map", *words), 3,
                    err="troupe: cannot open nowhere: no such file or "
                        "directory\n")
        self.assert_ended(
            self.troupe("map", "-a", ".", "touch ran; : {}"), 3,
            err="troupe: .: cannot read arguments: is a directory\n")
        self.assertEqual(os.listdir(self.cwd), [])

    def test_a_closed_standard_input_is_told(self):
        self.assert_ended(
            self.sh('"$TROUPE" map "touch ran; : {}" <&-'), 3,
            err="troupe: standard input: cannot read arguments: bad file "
                "descriptor\n")
        self.assertEqual(os.listdir(self.cwd), [])

    def test_bytes_that_a_terminal_would_obey_are_not_echoed(self):
        for words in (("-a", "\x1b[31m", "touch ran"),
                      ("--joblog", "\x1b[31m/log", "touch", ":::", "ran"),
                      ("--results", "/dev/null/\x1b[31m", "touch", ":::",
                       "ran"), ("\x1b[31m", "{}", ":::", "a"),
                      ("--halt", "\x1b[31m", "touch", ":::", "ran")):
            with self.subTest(words):
                finished = self.troupe("map", *words)
                self.assertNotEqual(finished.code, 0)
                self.assertIn(r"\x1b[31m", finished.err)
                self.assertNotIn("\x1b", finished.err)


class Programs(TroupeTest):
    def assert_refused(self, words, status, message):
        """It is one failed job, whose status is `status`."""
        self.assert_ended(self.troupe("map", *words), 1,
                          err=f"troupe: job 1: {message}\n")
        self.assertEqual(
            self.troupe("map", "--halt", "now,fail=1", *words).code, status)

    def test_one_that_is_not_there_is_127(self):
        self.assert_refused(("no-such-program", ":::", "a"), 127,
                            "no-such-program: command not found")
        self.assert_refused(("./nothing", ":::", "a"), 127,
                            "./nothing: no such file or directory")

    def test_one_that_cannot_be_executed_is_126(self):
        (self.cwd / "plain").write_text("#!/bin/sh\n")
        self.assert_refused(("./plain", ":::", "a"), 126,
                            "./plain: permission denied")
        self.assert_refused(("/", ":::", "a"), 126, "/: permission denied")

    def test_a_shell_that_is_not_there_is_127(self):
        self.assert_refused(("--shell", "/no/shell", "true; true {}", ":::",
                             "a"), 127, "/no/shell: no such file or directory")

    def test_the_shell_speaks_for_what_it_does_not_find(self):
        finished = self.troupe("map", "no-such-program {} | cat; exit 5", ":::",
                               "a")
        self.assertEqual(finished.code, 1)
        self.assertRegex(finished.err, r"^\S*sh: .*no-such-program.*\n$")

    def test_a_missing_working_directory_is_told(self):
        self.assert_refused(("--cwd", "nowhere", "touch", ":::", "ran"), 125,
                            "cannot enter directory nowhere: no such file or "
                            "directory")
        self.assertEqual(os.listdir(self.cwd), [])

    def test_the_others_run(self):
        finished = self.troupe("map", "-j1", "{} x", ":::", "echo", "nothing",
                               "echo")
        self.assert_ended(finished, 1, out="x\nx\n",
                          err="troupe: job 2: nothing: command not found\n")

    def test_a_missing_engine_is_named(self):
        self.assert_ended(
            self.troupe("map", "true", ":::", "1",
                        env={"TROUPE_ENGINE": "/nonexistent/engine"}), 125,
            err="troupe: cannot start /nonexistent/engine: no such file or "
                "directory\n")
        alone = self.cwd / "troupe"
        shutil.copy(self.env["TROUPE"], alone)
        finished = self.sh("./troupe map true ::: 1")
        self.assertEqual(finished.code, 125)
        self.assertIn("cannot find troupe-engine beside ", finished.err)
        self.assertIn("set TROUPE_ENGINE to its path", finished.err)

    def test_a_missing_warden_is_told_before_anything_runs(self):
        self.assert_ended(
            self.troupe("map", "touch", ":::", "ran",
                        env={"TROUPE_WARDEN": "/nonexistent/warden"}), 125,
            err="troupe: cannot start /nonexistent/warden: no such file or "
                "directory\n")
        self.assertEqual(os.listdir(self.cwd), [])


class Size(TroupeTest):
    LONGEST = 131071  # Bytes in one argument; what Linux takes.

    def test_the_longest_argument_arrives(self):
        finished = self.troupe("map", "printf", "%s", "{}",
                               input=b"x" * self.LONGEST)
        self.assert_ended(finished, 0, out="x" * self.LONGEST)

    def test_a_longer_record_is_refused(self):
        finished = self.troupe("map", "-j1", "-k", "echo",
                               input=b"a\n" + b"x" * (self.LONGEST + 1) +
                               b"\nb\n")
        self.assert_ended(
            finished, 3, out="a\n",
            err="troupe: standard input: record 2 is longer than 131071 bytes, "
                "more than a program can get in one argument\n")

    def test_a_record_without_end_is_refused(self):
        finished = self.sh('head -c 1G /dev/zero | tr "\\0" x | "$TROUPE" map '
                           "echo")
        self.assert_ended(
            finished, 3,
            err="troupe: standard input: record 1 is longer than 131071 bytes, "
                "more than a program can get in one argument\n")

    def test_an_argument_that_a_word_makes_too_long_is_refused(self):
        text = b"x" * self.LONGEST
        for command, message in (
                (("echo", "-{}"), "an argument has 131072 bytes"),
                (("echo {} | wc -c",), "the shell text has 131084 bytes")):
            with self.subTest(command):
                finished = self.troupe("map", *command, input=text + b"\na\n")
                self.assertEqual(finished.code, 1)
                self.assertEqual(
                    finished.err, f"troupe: job 1: {message}, but the system "
                    "takes at most 131071 in one argument\n")

    def test_one_that_is_too_long_keeps_nobody_from_following(self):
        # Of short jobs several are on their way at once.
        numbers = [str(i) for i in range(1, 61)]
        for i in (20, 21, 40):
            numbers[i - 1] = "x" * self.LONGEST
        finished = self.troupe("map", "-j1", "-k", "echo {} | cat",
                               input="\n".join(numbers).encode())
        self.assertEqual(finished.code, 3)
        self.assertEqual(finished.out.split(),
                         [str(i) for i in range(1, 61) if i not in (20, 21, 40)])
        self.assertEqual([line.split(":")[1] for line in
                          finished.err.splitlines()],
                         [" job 20", " job 21", " job 40"])

    def test_too_many_arguments_for_one_command_are_refused(self):
        finished = self.troupe("map", "-n", "20", "echo",
                               input=(b"x" * 100000 + b"\n") * 20)
        self.assertEqual((finished.code, finished.out), (3, ""))
        self.assertEqual(
            finished.err, "troupe: job 1: its 11 arguments need more than "
            "1.00 MiB (each its bytes and 9 more): ask for fewer with -n\n")

    def test_what_the_system_refuses_is_one_failed_job(self):
        # A quarter of the stack is all that the arguments may take.
        finished = self.troupe(
            "map", "-j1", "-n", "9", "true", input=(b"x" * 100000 + b"\n") * 9 +
            b"y\n", preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_STACK, (1 << 20, 1 << 20)))
        self.assert_ended(finished, 1,
                          err="troupe: job 1: true: argument list too long\n")


if __name__ == "__main__":
    unittest.main()
