"""troupe map: how many run, what of them is shown, and when it is enough."""

import os
import re
import subprocess
import time
import unittest

from troupe_e2e import LONG, TroupeTest, wait_until

WAIT = "until [ -e {0} ]; do sleep 0.02; done; "


class AtOnce(TroupeTest):
    # Both wait for the other: neither ends alone.
    MEETING = "touch {1}; " + WAIT.format("{2}") + "echo {1} met {2}"

    def test_as_many_run_at_once_as_asked_for(self):
        for jobs in ("2", "0", "400%"):
            with self.subTest(jobs):
                self.assert_ended(
                    self.troupe("map", "-k", "-j", jobs, self.MEETING,
                                "--link", ":::", "a", "b", ":::", "b", "a"),
                    0, out="a met b\nb met a\n")

    def test_one_at_a_time_runs_them_in_order(self):
        finished = self.troupe(
            "map", "-j1", "mkdir running && echo {} && rmdir running", ":::",
            *range(1, 21))
        self.assert_ended(finished, 0,
                          out="".join(f"{i}\n" for i in range(1, 21)))

    def test_never_more_run_at_once_than_asked_for(self):
        # Each job takes one of three places; there is no fourth.
        finished = self.troupe(
            "map", "-j3", "for place in 1 2 3; do mkdir $place 2>/dev/null && "
            "sleep 0.0{} && rmdir $place && exit; done; echo none left", ":::",
            *[i % 7 for i in range(40)])
        self.assert_ended(finished, 0)

    def test_nothing_is_stuck_behind_a_long_job_among_short_ones(self):
        # Job 30 ends when all others have: none of them may wait for it.
        jobs = range(1, 61)
        (self.cwd / "done").mkdir()
        finished = self.troupe(
            "map", "-j2", "case {} in 30) until [ $(ls done | wc -l) = 59 ]; do "
            "sleep 0.02; done; echo long;; *) touch done/{};; esac", ":::", *jobs)
        self.assert_ended(finished, 0, out="long\n")

    def test_no_two_short_jobs_are_in_one_slot_at_once(self):
        finished = self.troupe("map", "-j2", "mkdir {%} && rmdir {%}", ":::",
                               *range(1, 201))
        self.assert_ended(finished, 0)

    def test_auto_runs_them_all(self):
        finished = self.troupe("map", "-j", "auto", "-k", "echo",
                               input=b"".join(b"%d\n" % i for i in range(500)))
        self.assert_ended(finished, 0,
                          out="".join(f"{i}\n" for i in range(500)))

    def test_a_delay_is_kept_between_two_starts(self):
        before = time.monotonic()
        self.assert_ended(self.troupe("map", "-j4", "-k", "--delay", "200ms",
                                      "echo", ":::", "a", "b", "c"),
                          0, out="a\nb\nc\n")
        self.assertGreaterEqual(time.monotonic() - before, 0.4)

    def test_nothing_starts_while_memory_or_load_do_not_permit_it(self):
        for option, limit, said in (
                ("--memfree", "1000TiB", "troupe: memory is short: further "
                 "jobs wait for more of it\n"),
                ("--load", "0.0000001", "")):
            with self.subTest(option):
                running = self.start_troupe("map", option, limit, "touch",
                                            ":::", "ran")
                self.wait_for_warden(running.pid)
                # The machine is looked at once a second.
                time.sleep(1.5)
                running.signal(15)
                self.assert_ended(running.finish(), 128 + 15, err=said)
                self.assertEqual(os.listdir(self.cwd), [])


class Output(TroupeTest):
    # A job in four pieces, of which neighbours have time to get in between.
    PIECES = ("for i in 1 2; do printf '{0} '; sleep 0.03; echo $i; "
              "sleep 0.03; done").format("{}")

    def test_outputs_do_not_mix(self):
        finished = self.troupe("map", "-j4", self.PIECES, ":::", *"abcdefgh")
        self.assertEqual((finished.code, finished.err), (0, ""))
        lines = finished.out.splitlines()
        self.assertEqual(sorted(lines), [f"{letter} {i}" for letter in
                                         "abcdefgh" for i in (1, 2)])
        for first, second in zip(lines[::2], lines[1::2]):
            self.assertEqual((first[0], first[-1], second[-1]),
                             (second[0], "1", "2"))

    def start_gated(self, *options):
        """Job a waits for the file "go"; job b does not."""
        out = open(self.cwd / "out", "wb")
        self.addCleanup(out.close)
        return self.start_troupe(
            "map", "-j2", *options, "if [ {} = a ]; then echo early; " +
            WAIT.format("go") + "fi; echo {}", ":::", "a", "b", stdout=out)

    def finish_gated(self, running):
        (self.cwd / "go").touch()
        self.assert_ended(running.finish(), 0)
        return (self.cwd / "out").read_text()

    def test_what_ends_first_is_printed_first(self):
        running = self.start_gated()
        self.assertEqual(self.wait_for_file("out"), "b\n")
        self.assertEqual(self.finish_gated(running), "b\nearly\na\n")

    def test_in_order_the_first_is_waited_for(self):
        running = self.start_gated("-k", "--joblog", "log")
        self.assertEqual(self.finish_gated(running), "early\na\nb\n")

    def test_by_line_each_is_printed_as_it_comes(self):
        running = self.start_gated("--line-buffer")
        self.assertEqual(sorted(wait_until(
            lambda: self.wait_for_file("out").count("\n") == 2
            and self.wait_for_file("out")).split()), ["b", "early"])
        self.assertEqual(self.finish_gated(running)[-2:], "a\n")

    def test_by_line_no_line_is_torn(self):
        finished = self.troupe("map", "-j4", "--line-buffer", self.PIECES,
                               ":::", *"abcdefgh")
        self.assertEqual(sorted(finished.out.splitlines()),
                         [f"{letter} {i}" for letter in "abcdefgh"
                          for i in (1, 2)])

    def test_by_line_a_last_line_without_an_end_gets_one(self):
        # More than once, since it was lost now and then when troupe ended.
        for _ in range(20):
            self.assert_ended(
                self.troupe("map", "-j1", "--line-buffer", "printf", ":::", "a",
                            "b"),
                0, out="a\nb\n")

    def test_ungrouped_a_job_has_our_own_streams(self):
        with open(self.cwd / "out", "wb") as out:
            finished = self.troupe(
                "map", "-u", "readlink /proc/self/fd/1; readlink "
                "/proc/self/fd/2 >&2; echo {}", ":::", "a", stdout=out)
        self.assertEqual((self.cwd / "out").read_text(),
                         f"{self.cwd / 'out'}\na\n")
        self.assertTrue(finished.err.startswith("pipe:"))

    def test_both_streams_keep_their_places(self):
        for mode in ("-k", "--line-buffer", "--ungroup"):
            with self.subTest(mode):
                self.assert_ended(
                    self.troupe("map", "-j1", mode, "echo {}; echo e{} >&2",
                                ":::", "1", "2"),
                    0, out="1\n2\n", err="e1\ne2\n")

    def test_a_tag_stands_before_each_line_of_both_streams(self):
        for mode in ("-k", "--line-buffer"):
            with self.subTest(mode):
                self.assert_ended(
                    self.troupe("map", "-j1", "--tag", mode,
                                "printf '1\\n\\n2\\n'; echo {} >&2", ":::",
                                "a", "b", ":::", "c"),
                    0, out="a c\t1\na c\t\na c\t2\nb c\t1\nb c\t\nb c\t2\n",
                    err="a c\ta c\nb c\tb c\n")

    def test_standard_input_of_a_job_is_empty(self):
        for mode in ("-k", "--line-buffer", "--ungroup"):
            with self.subTest(mode):
                self.assert_ended(self.troupe("map", mode, "-j1", "wc -c; : {}",
                                              input=b"a\nb\n"),
                                  0, out="0\n0\n")

    def test_any_bytes_survive(self):
        data = os.urandom(1 << 20)
        (self.cwd / "random").write_bytes(data)
        for mode, more in (("-k", b""), ("--ungroup", b""),
                           ("--line-buffer",
                            b"" if data.endswith(b"\n") else b"\n")):
            with self.subTest(mode):
                finished = self.troupe("map", "-j1", mode, "cat", ":::",
                                       "random", "random")
                self.assertEqual((finished.code, finished.err), (0, ""))
                self.assertTrue(finished.raw_out == 2 * (data + more))

    def test_dry_run_prints_the_commands_and_runs_none(self):
        finished = self.troupe("map", "-k", "--dry-run", "--joblog", "log",
                               "touch {#} {}", ":::", "a b", "c")
        self.assert_ended(finished, 0, out="touch 1 'a b'\ntouch 2 c\n")
        self.assertLessEqual(set(os.listdir(self.cwd)), {"log"})

    def test_a_bar_on_a_terminal_shows_how_far_it_is(self):
        terminal = self.terminal(
            [self.env["TROUPE"], "map", "--bar", "-j1", "sleep 0.1; exit {}",
             ":::", "0", "1", "0", "0"])
        terminal.expect("0/4")
        self.assertEqual(terminal.wait(), 1)
        self.assertRegex(terminal.text, r"\[=*>? *\] +\d+% [1-4]/4, ")
        # At the end the line is empty again.
        self.assertTrue(terminal.text.endswith("\r\x1b[J"), terminal)

    def test_a_bar_makes_room_for_lines_that_come_in_between(self):
        terminal = self.terminal(
            [self.env["TROUPE"], "map", "--bar", "--line-buffer", "-j1",
             ": {}; for i in 1 2 3 4; do sleep 0.3; echo line $i; done", ":::",
             "x"])
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(
            len(re.findall(r"(?:\A|\n|\x1b\[J)line \d\r\n", terminal.text)), 4,
            terminal)

    def test_without_a_terminal_there_is_no_bar(self):
        self.assert_ended(self.troupe("map", "--bar", "true", ":::", "a"), 0)


class Results(TroupeTest):
    def files(self, folder):
        return {str(path.relative_to(self.cwd / folder)): path.read_text()
                for path in (self.cwd / folder).rglob("*") if path.is_file()}

    def test_outputs_lie_where_gnu_parallel_puts_them(self):
        for mode in ("-k", "--line-buffer", "--tag"):
            with self.subTest(mode):
                finished = self.troupe(
                    "map", "-j1", mode, "--results", f"out{mode}",
                    "echo {1}{2}; echo e{1} >&2; exit {2}", ":::", "a", "b/c",
                    ":::", "0", "1")
                self.assertEqual(finished.code, 2)
                self.assertIn("a0\n", finished.out)
                self.assertEqual(
                    self.files(f"out{mode}"),
                    {"1/a/2/0/stdout": "a0\n", "1/a/2/0/stderr": "ea\n",
                     "1/a/2/1/stdout": "a1\n", "1/a/2/1/stderr": "ea\n",
                     "1/b\\_c/2/0/stdout": "b/c0\n",
                     "1/b\\_c/2/0/stderr": "eb/c\n",
                     "1/b\\_c/2/1/stdout": "b/c1\n",
                     "1/b\\_c/2/1/stderr": "eb/c\n"})

    def test_a_job_that_prints_nothing_has_empty_files(self):
        self.assert_ended(self.troupe("map", "--results", "out", "true", ":::",
                                      "a"), 0)
        self.assertEqual(self.files("out"),
                         {"1/a/stdout": "", "1/a/stderr": ""})

    def test_no_argument_leads_out_of_the_folder(self):
        finished = self.troupe("map", "-k", "--results", "out", "echo", "x{}",
                               ":::", "..", ".", "", "../../up")
        self.assertEqual((finished.code, finished.err), (0, ""))
        self.assertEqual(os.listdir(self.cwd), ["out"])
        self.assertEqual(
            {name.count("/"): None for name in self.files("out")}, {2: None})
        self.assertEqual(len(self.files("out")), 8)

    def test_only_the_last_attempt_is_kept(self):
        finished = self.troupe(
            "map", "--results", "out", "--retries", "1", "--retry-delay",
            "10ms", "if mkdir {}; then echo first; exit 1; else echo second; "
            "fi 2>/dev/null", ":::", "a")
        self.assert_ended(finished, 0, out="second\n")
        self.assertEqual(self.files("out"),
                         {"1/a/stdout": "second\n", "1/a/stderr": ""})

    def test_a_folder_that_cannot_be_made_is_told_before_anything_runs(self):
        (self.cwd / "file").touch()
        self.assert_ended(
            self.troupe("map", "--results", "file/out", "touch", ":::", "ran"),
            3, err="troupe: cannot make file/out: not a directory\n")
        self.assertEqual(os.listdir(self.cwd), ["file"])

    def test_results_that_cannot_be_written_are_a_failure_of_ours(self):
        (self.cwd / "out/1").mkdir(parents=True)
        (self.cwd / "out/1/a").touch()  # Where a folder has to be.
        for mode in ("-k", "--line-buffer"):
            with self.subTest(mode):
                self.assert_ended(
                    self.troupe("map", "-j1", mode, "--results", "out", "echo",
                                ":::", "a", "b"),
                    3, out="a\nb\n",
                    err="troupe: job 1: cannot make out/1/a: not a directory\n")


class Retries(TroupeTest):
    # Fails until it has run for the third time.
    THIRD = "echo x >> {}; echo run $(wc -l < {}); [ $(wc -l < {}) -ge 3 ]"

    def test_a_failure_is_tried_again_and_the_last_output_is_printed(self):
        self.assert_ended(
            self.troupe("map", "-k", "--retries", "2", "--retry-delay", "10ms",
                        self.THIRD, ":::", "a", "b"),
            0, out="run 3\nrun 3\n")

    def test_a_job_that_never_succeeds_has_failed_once(self):
        finished = self.troupe("map", "-k", "--retries", "1", "--retry-delay",
                               "10ms", self.THIRD, ":::", "a", "b")
        self.assertEqual((finished.code, finished.out), (2, "run 2\nrun 2\n"))

    def test_other_jobs_go_on_while_one_waits_to_be_tried_again(self):
        running = self.start_troupe(
            "map", "-j2", "--retries", "1", "--retry-delay", "100s",
            "touch {}; [ {} != a ]", ":::", "a", "b", "c")
        wait_until((self.cwd / "c").exists, what="job c")
        running.signal(15)
        self.assertEqual(running.finish().code, 128 + 15)


class ActorCrash(TroupeTest):
    """Supervision from outside: the actors that look after a job die."""

    def test_the_output_is_that_of_the_one_run(self):
        for mode in ("-k", "--line-buffer"):
            with self.subTest(mode):
                finished = self.troupe(
                    "map", mode, "-j1", "--results", f"out{mode}",
                    "echo {}; sleep 0.2; printf end", ":::", "a", "b",
                    env={"TROUPE_TEST_CRASH_ACTORS": "2"})
                self.assertEqual(finished.code, 0)
                self.assertEqual(finished.out.replace("end\n", "end"),
                                 "a\nendb\nend")
                self.assertEqual(
                    (self.cwd / f"out{mode}/1/a/stdout").read_text(), "a\nend")

    def test_three_crashes_end_the_job_and_its_process(self):
        finished = self.troupe("map", "sleep", ":::", self.seconds,
                               env={"TROUPE_TEST_CRASH_ACTORS": "3"})
        self.assert_nothing_left()
        self.assertEqual((finished.code, finished.out), (1, ""))
        self.assertEqual(finished.err.splitlines()[-1],
                         "troupe: job 1: its actor died (crashed: told to "
                         "crash), gave up after 3 crashes")


class ExitCode(TroupeTest):
    def test_it_is_the_number_of_failed_jobs(self):
        for failing in (0, 1, 2, 100):
            with self.subTest(failing):
                self.assert_ended(
                    self.troupe("map", "exit {}", input=b"0\n7\n0\n".replace(
                        b"7\n", b"7\n" * failing)), failing)

    def test_more_than_a_hundred_are_101(self):
        for failing in (101, 300):
            with self.subTest(failing):
                self.assert_ended(self.troupe("map", "-j4", "false",
                                              input=b"x\n" * failing), 101)

    def test_signals_time_outs_and_missing_programs_are_failures(self):
        finished = self.troupe(
            "map", "-k", "-j4", "--timeout", "500ms", "--shell", "/bin/bash",
            "case {} in 1) kill -9 $$;; 2) sleep 100;; 3) nothing-here;; esac",
            ":::", "1", "2", "3", "4")
        self.assertEqual((finished.code, finished.out), (3, ""))
        self.assertIn("troupe: job 2: timed out after 500ms\n", finished.err)


class Halt(TroupeTest):
    def one_by_one(self, when, codes):
        """Runs `exit CODE` for each, one at a time; the exit code and what
        has run."""
        finished = self.troupe("map", "-j1", "--halt", when,
                               "echo {}; exit {}", ":::", *codes.split())
        self.assertEqual(finished.err, "")
        return finished.code, finished.out.split()

    def test_so_many_ends_are_enough(self):
        for when, code, ran in (
                ("never", 4, "5 0 6 0 7 8"),
                ("soon,fail=1", 5, "5"),
                ("now,fail=1", 5, "5"),
                ("soon,fail=2", 2, "5 0 6"),
                ("now,fail=3", 3, "5 0 6 0 7"),
                ("soon,success=1", 0, "5 0"),
                ("now,success=2", 0, "5 0 6 0"),
                ("soon,done=3", 2, "5 0 6"),
                ("soon,fail=50%", 50, "5 0 6 0 7"),
                ("now,fail=17%", 34, "5 0 6"),
                ("now,success=30%", 0, "5 0 6 0"),
                ("soon,done=50%", 34, "5 0 6"),
                ("10%", 17, "5")):
            with self.subTest(when):
                self.assertEqual(self.one_by_one(when, "5 0 6 0 7 8"),
                                 (code, ran.split()))

    def test_of_an_unknown_number_the_third_decides_first(self):
        running = self.start_troupe("map", "-j1", "--halt", "soon,fail=50%",
                                    "echo {}; exit {}", stdin=subprocess.PIPE)
        # It stays open, so there may be more to come.
        running.process.stdin.write(b"0\n1\n" * 5)
        running.process.stdin.flush()
        self.assertEqual(running.process.wait(LONG), 50)
        self.assertEqual(running.process.stdout.read().split(),
                         [b"0", b"1"] * 3)

    def start_halting(self, when):
        """Job 1 fails when job 2 runs, which waits for the file "go"."""
        running = self.start_troupe(
            "map", "-j2", "--joblog", "log", "--halt", when,
            "case {} in 1) " + WAIT.format("second") + "exit 9;; 2) touch "
            "second; " + WAIT.format("go") + "touch done;; *) touch third;; "
            "esac", ":::", "1", "2", "3")
        wait_until(lambda: "\n1\t" in self.wait_for_file("log"),
                   what="the end of job 1")
        return running

    def test_now_ends_those_that_run(self):
        self.assert_ended(self.start_halting("now,fail=1").finish(), 9)
        self.assert_nothing_left(0)
        self.assertEqual(sorted(os.listdir(self.cwd)), ["log", "second"])

    def test_soon_lets_them_finish_and_starts_no_more(self):
        running = self.start_halting("soon,fail=1")
        (self.cwd / "go").touch()
        self.assert_ended(running.finish(), 9)
        self.assertEqual(sorted(os.listdir(self.cwd)),
                         ["done", "go", "log", "second"])

    def test_it_ends_the_reading_of_an_endless_input(self):
        finished = self.sh('yes | "$TROUPE" map -j2 --halt soon,done=20 '
                           "'exit 1'")
        self.assertEqual((finished.code, finished.out), (20, ""))


if __name__ == "__main__":
    unittest.main()
