"""troupe exec: exit codes, mistakes, options, retries and the JSON outcome."""

import os
import resource
import signal
import unittest
from datetime import datetime

from troupe_e2e import TroupeTest

HINT = 'Try "troupe exec --help".\n'


class ExitCode(TroupeTest):
    def test_it_is_the_commands_own(self):
        self.assert_ended(self.troupe("exec", "--", "true"), 0)
        self.assert_ended(self.troupe("exec", "--", "sh", "-c", "exit 7"), 7)
        self.assert_ended(self.troupe("exec", "--", "sh", "-c", "exit 255"),
                          255)

    def test_the_dashes_may_be_left_out(self):
        self.assert_ended(self.troupe("exec", "echo", "--grace", "-x"), 0,
                          out="--grace -x\n")

    def test_dashes_after_the_first_belong_to_the_command(self):
        self.assert_ended(self.troupe("exec", "--", "echo", "a", "--", "b"), 0,
                          out="a -- b\n")

    def test_a_signal_counts_from_128(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1,
                       signal.SIGINT):
            with self.subTest(number.name):
                self.assert_ended(
                    self.troupe("exec", "sh", "-c", f"kill -{number:d} $$"),
                    128 + number)

    def test_a_time_out_is_124(self):
        self.assert_ended(
            self.troupe("exec", "--timeout", "200ms", "--", "sleep",
                        self.seconds),
            124, err="troupe: timed out after 200ms\n")

    def test_a_time_out_is_124_whatever_the_command_exits_with(self):
        finished = self.troupe(
            "exec", "--timeout", "300ms", "--", "sh", "-c",
            f"trap 'exit 0' TERM; sleep {self.seconds} & wait")
        self.assertEqual(finished.code, 124)

    def test_a_missing_working_directory_is_125(self):
        self.assert_ended(
            self.troupe("exec", "--cwd", "nowhere", "--", "touch", "ran"), 125,
            err="troupe: cannot enter directory nowhere: no such file or "
                "directory\n")
        self.assertEqual(os.listdir(self.cwd), [])

    def test_a_warden_that_is_not_there_is_125(self):
        finished = self.troupe("exec", "--", "touch", "ran",
                               env={"TROUPE_WARDEN": "/nonexistent/warden"})
        self.assert_ended(finished, 125,
                          err="troupe: cannot start /nonexistent/warden: no "
                              "such file or directory\n")
        self.assertEqual(os.listdir(self.cwd), [])

    def test_what_cannot_be_executed_is_126(self):
        (self.cwd / "plain").write_text("#!/bin/sh\n")
        self.assert_ended(self.troupe("exec", "./plain"), 126,
                          err="troupe: ./plain: permission denied\n")
        self.assert_ended(self.troupe("exec", "/"), 126,
                          err="troupe: /: permission denied\n")

    def test_what_is_not_found_is_127(self):
        self.assert_ended(self.troupe("exec", "no-such-program"), 127,
                          err="troupe: no-such-program: command not found\n")
        self.assert_ended(
            self.troupe("exec", "./nothing"), 127,
            err="troupe: ./nothing: no such file or directory\n")

    def test_an_empty_name_is_a_program_that_is_not_there(self):
        self.assert_ended(self.troupe("exec", ""), 127,
                          err="troupe: '': command not found\n")

    def test_a_missing_interpreter_is_127(self):
        script = self.cwd / "script"
        script.write_text("#!/nonexistent/interpreter\n")
        script.chmod(0o755)
        self.assert_ended(
            self.troupe("exec", "./script"), 127,
            err="troupe: ./script: its interpreter was not found\n")

    def test_a_script_without_an_interpreter_line_is_run_by_sh(self):
        script = self.cwd / "script"
        script.write_text('echo "$1"; exit 4\n')
        script.chmod(0o755)
        self.assert_ended(self.troupe("exec", "./script", "word"), 4,
                          out="word\n")

    def test_the_path_of_the_commands_own_environment_is_searched(self):
        folder = self.cwd / "programs"
        folder.mkdir()
        (folder / "mine").write_text("#!/bin/sh\necho mine\n")
        (folder / "mine").chmod(0o755)
        self.assert_ended(
            self.troupe("exec", "--env", f"PATH={folder}:/usr/bin:/bin", "--",
                        "mine"), 0, out="mine\n")


class UsageError(TroupeTest):
    """One clear error, exit code 2, and nothing was executed."""

    def refuse(self, words, what, hint=HINT):
        finished = self.troupe(*words, "touch", "ran")
        self.assert_ended(finished, 2, err=f"troupe: {what}\n{hint}")
        self.assertEqual(os.listdir(self.cwd), [])

    def test_an_unknown_subcommand_is_corrected(self):
        self.refuse(["exce"], 'unknown command "exce"; did you mean "exec"?',
                    hint='Try "troupe --help".\n')

    def test_an_unknown_option_is_corrected(self):
        self.refuse(["exec", "--tiemout", "1s", "--"],
                    "exec: unknown option --tiemout; did you mean --timeout?")
        self.refuse(["exec", "--retires=3", "--"],
                    "exec: unknown option --retires; did you mean --retries?")
        self.refuse(["exec", "--xyzzy", "--"],
                    "exec: unknown option --xyzzy")

    def test_version_refuses_what_it_does_not_know(self):
        for option in ("--nonsense", "-x", "word"):
            with self.subTest(option):
                finished = self.troupe("version", option)
                self.assertEqual((finished.code, finished.out), (2, ""))
                self.assertIn('Try "troupe version --help".\n', finished.err)
        self.assert_ended(self.troupe("version"), 0,
                          out=self.troupe("--version").out)

    def test_a_command_is_needed(self):
        for words in (["exec"], ["exec", "--"], ["exec", "--timeout", "1s"],
                      ["exec", "--json", "--"]):
            with self.subTest(words):
                self.assert_ended(self.troupe(*words), 2,
                                  err=f"troupe: exec: no command given\n{HINT}")

    def test_a_bad_duration_is_named_with_its_option(self):
        for option in ("--timeout", "--grace", "--delay", "--max-delay"):
            for value in ("soon", "5", "-1s", "1s1h", "1.5.2s", "1 s"):
                with self.subTest(f"{option} {value}"):
                    self.refuse(
                        ["exec", option, value],
                        f"exec: {option}: expected a duration such as 500ms, "
                        f'30s, 5m, 2h or 1d, got "{value}"')

    def test_a_duration_beyond_reason_is_refused(self):
        self.refuse(["exec", "--timeout", "99999999d"],
                    "exec: --timeout: expected a duration of at most 100 "
                    'years, got "99999999d"')

    def test_a_bad_limit_is_named(self):
        self.refuse(["exec", "--limit", "memroy=1GiB"],
                    'exec: --limit: unknown limit "memroy"; did you mean '
                    '"memory"?')
        self.refuse(["exec", "--limit", "memory"],
                    "exec: --limit: expected NAME=VALUE such as memory=1GiB, "
                    'got "memory"')
        self.refuse(["exec", "--limit", "memory=much"],
                    "exec: --limit memory: expected a size such as 64KiB or "
                    '2GiB, got "much"')
        self.refuse(["exec", "--limit", "cpu=5"],
                    "exec: --limit cpu: expected a duration such as 500ms, "
                    '30s, 5m, 2h or 1d, got "5"')
        self.refuse(["exec", "--limit", "files=-1"],
                    'exec: --limit files: expected a whole number, got "-1"')

    def test_a_bad_signal_is_named(self):
        self.refuse(["exec", "--signal", "TREM"],
                    'exec: --signal: unknown signal "TREM"; did you mean '
                    '"TERM"?')
        self.refuse(["exec", "--signal", "0"],
                    'exec: --signal: unknown signal "0"')
        self.refuse(["exec", "--signal", "99"],
                    'exec: --signal: unknown signal "99"')

    def test_a_bad_variable_is_named(self):
        self.refuse(["exec", "--env", "HOME"],
                    'exec: --env: expected NAME=VALUE, got "HOME"')
        self.refuse(["exec", "--env", "=x"],
                    'exec: --env: expected NAME=VALUE, got "=x"')

    def test_a_bad_number_is_named(self):
        self.refuse(["exec", "--retries", "many"],
                    'exec: --retries: expected a whole number, got "many"')
        self.refuse(["exec", "--retries", "1000000"],
                    "exec: --retries: at most 999999")
        self.refuse(["exec", "--backoff", "0.5"],
                    "exec: --backoff: expected a number from 1 to 1000, got "
                    '"0.5"')
        self.refuse(["exec", "--jitter", "2"],
                    'exec: --jitter: expected a number from 0 to 1, got "2"')
        self.refuse(["exec", "--umask", "888"],
                    "exec: --umask: expected an octal mode such as 022, got "
                    '"888"')
        self.refuse(["exec", "--nice", "20"],
                    'exec: --nice: expected a number from -20 to 19, got "20"')

    def test_bytes_that_a_terminal_would_obey_are_not_echoed(self):
        finished = self.troupe("exec", "--signal", "\x1b[2J", "true")
        self.assertEqual(finished.code, 2)
        self.assertNotIn("\x1b", finished.err)

    def test_help_goes_to_standard_output_and_succeeds(self):
        for words in (["--help"], ["exec", "--help"]):
            finished = self.troupe(*words)
            self.assertEqual((finished.code, finished.err), (0, ""))
            self.assertIn("exec", finished.out)


class Setting(TroupeTest):
    def test_cwd_is_where_the_command_starts(self):
        (self.cwd / "there").mkdir()
        self.assert_ended(self.troupe("exec", "--cwd", "there", "pwd"), 0,
                          out=f"{self.cwd}/there\n")

    def test_a_relative_program_is_looked_for_in_cwd(self):
        folder = self.cwd / "there"
        folder.mkdir()
        (folder / "mine").write_text("#!/bin/sh\necho mine\n")
        (folder / "mine").chmod(0o755)
        self.assert_ended(self.troupe("exec", "--cwd", "there", "./mine"), 0,
                          out="mine\n")

    def test_env_sets_and_replaces_variables(self):
        self.assert_ended(
            self.troupe("exec", "--env", "A=1", "--env", "HOME=x=y", "--env",
                        "A=2", "--env", "EMPTY=", "sh", "-c",
                        'echo "$A,$HOME,${EMPTY-unset}"'),
            0, out="2,x=y,\n")

    def test_env_takes_one_word_and_leaves_the_command_alone(self):
        self.assert_ended(self.troupe("exec", "--env", "A=1", "printenv", "A"),
                          0, out="1\n")

    def test_the_environment_is_unchanged_but_for_troupe_command(self):
        script = "env -0 | sort -z"
        plain = self.run_program(["sh", "-c", script]).out
        ours = self.troupe("exec", "sh", "-c", script).out
        added = set(ours.split("\0")) - set(plain.split("\0"))
        self.assertEqual(set(plain.split("\0")) - set(ours.split("\0")), set())
        self.assertEqual([entry.split("=")[0] for entry in added],
                         ["TROUPE_COMMAND"])

    def test_clear_env_leaves_only_what_env_sets(self):
        finished = self.troupe("exec", "--clear-env", "--env", "A=1", "--",
                               "/usr/bin/env")
        names = [line.split("=")[0] for line in finished.out.splitlines()]
        self.assertEqual(sorted(names), ["A", "TROUPE_COMMAND"])
        self.assertEqual(finished.code, 0)

    def test_limits_are_what_the_command_sees(self):
        script = ("import resource as r; print([r.getrlimit(x) for x in "
                  "(r.RLIMIT_CPU, r.RLIMIT_AS, r.RLIMIT_NOFILE, "
                  "r.RLIMIT_NPROC, r.RLIMIT_FSIZE)])")
        finished = self.troupe(
            "exec", "--limit", "cpu=2s", "--limit", "memory=2GiB",
            "--limit", "files=33", "--limit", "processes=4000", "--limit",
            "file-size=64KiB", "python3", "-c", script)
        self.assert_ended(
            finished, 0,
            out=f"{[(n, n) for n in (2, 2 << 30, 33, 4000, 64 << 10)]}\n")

    def test_without_limits_the_command_has_those_of_troupe(self):
        script = "ulimit -Sa; ulimit -Ha"

        def lower():
            resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))

        plain = self.run_program(["bash", "-c", script], preexec_fn=lower)
        ours = self.troupe("exec", "bash", "-c", script, preexec_fn=lower)
        self.assertEqual(ours.out, plain.out)

    def test_too_much_cpu_time_ends_the_command(self):
        finished = self.troupe("exec", "--limit", "cpu=1s", "sh", "-c",
                               "while :; do :; done")
        self.assertIn(finished.code,
                      (128 + signal.SIGXCPU, 128 + signal.SIGKILL))

    def test_too_much_memory_fails_in_the_command(self):
        finished = self.troupe("exec", "--limit", "memory=500MiB", "python3",
                               "-c", "bytearray(1 << 30)")
        self.assertEqual(finished.code, 1)
        self.assertIn("MemoryError", finished.err)

    def test_too_large_a_file_ends_the_command(self):
        finished = self.troupe("exec", "--limit", "file-size=4KiB", "--", "dd",
                               "if=/dev/zero", "of=big", "bs=8K", "count=1")
        self.assertEqual(finished.code, 128 + signal.SIGXFSZ)
        self.assertEqual((self.cwd / "big").stat().st_size, 4096)

    def test_nice_is_added(self):
        before = os.getpriority(os.PRIO_PROCESS, 0)
        self.assert_ended(self.troupe("exec", "--nice", "3", "nice"), 0,
                          out=f"{before + 3}\n")

    def test_umask_is_set(self):
        self.assert_ended(
            self.troupe("exec", "--umask", "027", "sh", "-c", "umask"), 0,
            out="0027\n")

    def test_the_polite_signal_can_be_chosen(self):
        for name in ("INT", "SIGINT", "int", "2"):
            with self.subTest(name):
                finished = self.troupe(
                    "exec", "--timeout", "300ms", "--signal", name, "--grace",
                    "200ms", "sh", "-c",
                    "trap 'echo got INT; exit' INT; "
                    f"sleep {self.seconds} & wait")
                self.assertEqual((finished.code, finished.out),
                                 (124, "got INT\n"))

    def test_the_grace_ends_with_a_kill(self):
        finished = self.troupe(
            "exec", "--timeout", "200ms", "--grace", "200ms", "--", "sh", "-c",
            f"trap '' TERM; exec sleep {self.seconds}")
        self.assert_ended(
            finished, 124,
            err="troupe: timed out after 200ms and had to be killed\n")

    def test_shell_runs_the_words_as_one_line(self):
        self.assert_ended(
            self.troupe("exec", "--shell", "--", "echo", "$((6*7))", "|",
                        "tr", "2", "3"), 0, out="43\n")
        self.assert_ended(self.troupe("exec", "--shell", "exit 3"), 3)

    def test_a_shell_can_be_picked(self):
        self.assert_ended(
            self.troupe("exec", "--shell=bash", "echo ${BASH_VERSION:+bash}"),
            0, out="bash\n")
        self.assert_ended(
            self.troupe("exec", "--shell=no-such-shell", "true"), 127,
            err="troupe: no-such-shell: command not found\n")


class Retry(TroupeTest):
    COUNT = "echo x >> tries; "

    def tries(self):
        path = self.cwd / "tries"
        return path.read_text().count("x") if path.exists() else 0

    def test_a_failure_is_tried_again_and_the_last_one_counts(self):
        finished = self.troupe("exec", "--retries", "2", "--delay", "10ms",
                               "sh", "-c", self.COUNT + "exit 5")
        self.assert_ended(
            finished, 5,
            err="troupe: attempt 1 of 3: exited with 5\n"
                "troupe: attempt 2 of 3: exited with 5\n"
                "troupe: exited with 5, gave up after 3 attempts\n")
        self.assertEqual(self.tries(), 3)

    def test_a_success_ends_it(self):
        finished = self.troupe(
            "exec", "--retries", "9", "--delay", "10ms", "sh", "-c",
            self.COUNT + "test $(wc -l < tries) -eq 3")
        self.assert_ended(finished, 0,
                          err="troupe: attempt 1 of 10: exited with 1\n"
                              "troupe: attempt 2 of 10: exited with 1\n")
        self.assertEqual(self.tries(), 3)

    def test_quiet_says_nothing_of_it(self):
        finished = self.troupe("exec", "-q", "--retries", "1", "--delay",
                               "10ms", "sh", "-c", self.COUNT + "false")
        self.assert_ended(finished, 1)
        self.assertEqual(self.tries(), 2)

    def test_a_time_out_is_tried_again(self):
        finished = self.troupe(
            "exec", "--retries", "1", "--delay", "10ms", "--timeout", "300ms",
            "sh", "-c", self.COUNT + f"exec sleep {self.seconds}")
        self.assert_ended(
            finished, 124,
            err="troupe: attempt 1 of 2: timed out after 300ms\n"
                "troupe: timed out after 300ms, gave up after 2 attempts\n")
        self.assertEqual(self.tries(), 2)

    def test_a_program_that_is_not_there_is_tried_once(self):
        self.assert_ended(
            self.troupe("exec", "--retries", "5", "--delay", "1h",
                        "no-such-program"), 127,
            err="troupe: no-such-program: command not found\n")

    def waits(self, *options):
        """The times between the attempts of a command that fails."""
        finished = self.troupe("exec", "--json", *options, "false")
        attempts = finished.json()["attempts"]
        return [self.moment(after["start"]) - self.moment(before["end"])
                for before, after in zip(attempts, attempts[1:])]

    @staticmethod
    def moment(text):
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

    def test_waits_grow_by_the_backoff_up_to_the_longest(self):
        waits = self.waits("--retries", "4", "--delay", "100ms", "--backoff",
                           "3", "--max-delay", "400ms", "--jitter", "0")
        self.assertEqual(len(waits), 4)
        for wait, least in zip(waits, (0.1, 0.3, 0.4, 0.4)):
            # Times are in whole milliseconds; the machine may be busy.
            self.assertGreaterEqual(wait, least - 0.002)
            self.assertLess(wait, least + 10)

    def test_jitter_makes_waits_differ(self):
        waits = self.waits("--retries", "4", "--delay", "100ms", "--backoff",
                           "1", "--jitter", "1")
        self.assertEqual(len(waits), 4)
        for wait in waits:
            self.assertGreaterEqual(wait, -0.002)

    def test_a_signal_ends_the_wait_for_the_next_attempt(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number.name):
                running = self.start_troupe(
                    "exec", "--retries", "5", "--delay", "1h", "sh", "-c",
                    self.COUNT + "exit 5")
                before = self.tries()
                line = running.process.stderr.readline()
                self.assertEqual(line, b"troupe: attempt 1 of 6: exited with "
                                       b"5\n")
                running.signal(number)
                # Nothing else was running: it is the end of troupe itself.
                self.assertEqual(running.finish().code, -number)
                self.assertLessEqual(self.tries(), before + 1)

    def test_a_signal_during_an_attempt_makes_it_the_last(self):
        running = self.start_troupe(
            "exec", "--retries", "5", "--delay", "10ms", "sh", "-c",
            "trap 'exit 6' TERM; " + self.COUNT
            + f"sleep {self.seconds} & wait")
        self.wait_for_file("tries")
        running.signal(signal.SIGTERM)
        self.assertEqual(running.finish().code, 6)
        self.assertEqual(self.tries(), 1)


class JsonOutcome(TroupeTest):
    ATTEMPT_FIELDS = {
        "number", "outcome", "exit_code", "signal", "start", "end", "wall_s",
        "user_s", "system_s", "max_rss_bytes", "stdout_bytes", "stderr_bytes",
        "killed", "leftovers_killed", "causes", "notes", "stdout_tail",
        "stderr_tail"}

    def test_a_success_says_how_it_went(self):
        finished = self.troupe("exec", "--json", "sh", "-c",
                               "echo out; echo error >&2")
        outcome = finished.json()
        (attempt,) = outcome.pop("attempts")
        self.assertEqual(outcome, {
            "outcome": "success", "exit_status": 0, "exit_code": 0,
            "signal": None, "cause": None, "causes": [], "incidents": []})
        self.assertEqual(set(attempt), self.ATTEMPT_FIELDS)
        self.assertRegex(attempt["start"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertLessEqual(attempt["start"], attempt["end"])
        for field in ("wall_s", "max_rss_bytes"):
            self.assertGreater(attempt[field], 0)
        for field in ("user_s", "system_s"):
            self.assertGreaterEqual(attempt[field], 0)
        expected = {
            "number": 1, "outcome": "success", "exit_code": 0, "signal": None,
            "stdout_bytes": 4, "stderr_bytes": 6, "killed": False,
            "leftovers_killed": 0, "causes": [], "notes": [],
            "stdout_tail": "out\n", "stderr_tail": "error\n"}
        self.assertEqual({name: attempt[name] for name in expected}, expected)

    def test_the_output_of_the_command_goes_to_standard_error(self):
        finished = self.troupe("exec", "--json", "sh", "-c",
                               "echo out; echo error >&2")
        self.assertEqual(sorted(finished.err.splitlines()), ["error", "out"])

    def test_a_failure_has_its_cause(self):
        finished = self.troupe("exec", "--json", "sh", "-c", "exit 9")
        outcome = finished.json()
        cause = {"kind": "exit_code", "number": 9, "what": "exited with 9"}
        self.assertEqual(finished.code, 9)
        self.assertEqual(
            (outcome["outcome"], outcome["exit_status"], outcome["exit_code"],
             outcome["signal"], outcome["cause"], outcome["causes"]),
            ("failed", 9, 9, None, "exited with 9", [cause]))
        self.assertEqual(outcome["attempts"][0]["causes"], [cause])

    def test_a_signal_has_its_number(self):
        finished = self.troupe("exec", "--json", "sh", "-c", "kill -9 $$")
        outcome = finished.json()
        self.assertEqual(
            (finished.code, outcome["outcome"], outcome["exit_status"],
             outcome["exit_code"], outcome["signal"], outcome["cause"]),
            (137, "failed", 137, None, 9, "killed by SIGKILL"))

    def test_a_time_out_says_so(self):
        finished = self.troupe("exec", "--json", "--timeout", "200ms", "sleep",
                               self.seconds)
        outcome = finished.json()
        self.assertEqual(
            (finished.code, outcome["outcome"], outcome["exit_status"],
             outcome["signal"], outcome["cause"],
             outcome["causes"][0]["kind"]),
            (124, "timed_out", 124, 15, "timed out after 200ms", "timeout"))
        self.assertGreaterEqual(outcome["attempts"][0]["wall_s"], 0.2)
        self.assertFalse(outcome["attempts"][0]["killed"])

    def test_a_command_that_never_ran_has_an_attempt_without_a_report(self):
        finished = self.troupe("exec", "--json", "no-such-program")
        outcome = finished.json()
        self.assertEqual(
            (finished.code, outcome["outcome"], outcome["exit_status"],
             outcome["exit_code"], outcome["cause"]),
            (127, "failed", 127, None, "no-such-program: command not found"))
        (attempt,) = outcome["attempts"]
        self.assertEqual(attempt["causes"][0]["kind"], "spawn_error")
        self.assertNotIn("wall_s", attempt)

    def test_a_signal_to_troupe_makes_it_cancelled(self):
        running = self.start_troupe("exec", "--json", "sh", "-c",
                                    f"echo x > ran; exec sleep {self.seconds}")
        self.wait_for_file("ran")
        running.signal(signal.SIGTERM)
        finished = running.finish()
        outcome = finished.json()
        self.assertEqual(
            (finished.code, outcome["outcome"], outcome["exit_status"],
             outcome["signal"]), (143, "cancelled", 143, 15))

    def test_each_attempt_is_listed(self):
        finished = self.troupe("exec", "--json", "--retries", "1", "--delay",
                               "10ms", "sh", "-c", "exit 2")
        outcome = finished.json()
        self.assertEqual([a["number"] for a in outcome["attempts"]], [1, 2])
        self.assertEqual(outcome["cause"],
                         "exited with 2, gave up after 2 attempts")
        self.assertEqual([c["kind"] for c in outcome["causes"]],
                         ["exit_code", "gave_up"])

    def test_bytes_that_are_not_text_become_replacement_characters(self):
        finished = self.troupe("exec", "--json", "printf", r"a\377b")
        self.assertEqual(finished.json()["attempts"][0]["stdout_tail"],
                         "a\N{REPLACEMENT CHARACTER}b")
        self.assertEqual(finished.raw_err, b"a\xffb")

    def test_only_the_end_of_much_output_is_kept(self):
        finished = self.troupe("exec", "--json", "seq", "100000")
        attempt = finished.json()["attempts"][0]
        self.assertEqual(attempt["stdout_bytes"], len(finished.raw_err))
        self.assertLessEqual(len(attempt["stdout_tail"]), 8192)
        self.assertTrue(attempt["stdout_tail"].endswith("99999\n100000\n"))

    def test_a_report_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            finished = self.troupe("exec", "--json", "true", stdout=full)
        self.assert_ended(finished, 125,
                          err="troupe: cannot write to standard output: no "
                              "space left on device\n")


if __name__ == "__main__":
    unittest.main()
