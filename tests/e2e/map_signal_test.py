"""troupe map: time limits, signals and how nothing is left behind."""

import os
import signal
import time
import unittest

from troupe_e2e import (LONG, TroupeTest, processes_with, status_field,
                        wait_until)

WAIT = "until [ -e {0} ]; do sleep 0.02; done; "
STOPPING = ("troupe: stopping: the jobs that run may finish; once more to end "
            "them\n")


class TimeOut(TroupeTest):
    def test_a_job_that_takes_too_long_is_stopped_and_the_others_are_not(self):
        finished = self.troupe("map", "-k", "-j2", "--timeout", "1s",
                               "echo {}; sleep {}", ":::", "0", self.seconds,
                               "0.1")
        self.assert_ended(finished, 1, out=f"0\n{self.seconds}\n0.1\n",
                          err="troupe: job 2: timed out after 1s\n")
        self.assert_nothing_left(0)

    def test_all_that_a_job_has_started_is_stopped(self):
        self.assert_ended(
            self.troupe("map", "--timeout", "300ms", "setsid sleep {} & "
                        "sh -c 'sleep {} & wait' & wait", ":::", self.seconds),
            1, err="troupe: job 1: timed out after 300ms\n")
        self.assert_nothing_left(0)

    def test_one_that_ignores_the_polite_signal_is_killed_after_the_grace(self):
        self.assert_ended(
            self.troupe("map", "--timeout", "300ms", "--grace", "200ms",
                        "trap '' TERM; echo deaf; while :; do sleep {}; done",
                        ":::", self.seconds),
            1, out="deaf\n", err="troupe: job 1: timed out after 300ms and had "
            "to be killed\n")
        self.assert_nothing_left(0)

    def test_a_time_out_is_tried_again(self):
        self.assert_ended(
            self.troupe("map", "--timeout", "500ms", "--retries", "1",
                        "--retry-delay", "10ms",
                        "if mkdir {} 2>/dev/null; then sleep " + self.seconds +
                        "; fi; echo {}", ":::", "a"), 0, out="a\n")

    def test_a_percentage_is_of_the_median_of_those_that_succeeded(self):
        before = time.monotonic()
        finished = self.troupe(
            "map", "-j1", "-k", "--timeout", "300%", "sleep {}; echo {}", ":::",
            "0.4", "0.2", "0.4", "0.4", self.seconds, "0.6")
        self.assertEqual((finished.code, finished.out),
                         (1, "0.4\n0.2\n0.4\n0.4\n0.6\n"))
        # Three times 0.4 s, and a little for the start of each.
        self.assertRegex(finished.err,
                         r"^troupe: job 5: timed out after 1\.\d+s\n$")
        self.assertGreaterEqual(time.monotonic() - before, 3.2)

    def test_a_percentage_holds_for_jobs_that_run_already(self):
        finished = self.troupe(
            "map", "-j2", "-k", "--timeout", "200%", "sleep {}; echo {}", ":::",
            self.seconds, "0.2", "0.2", "0.2")
        self.assertEqual((finished.code, finished.out), (1, "0.2\n" * 3))
        self.assert_nothing_left(0)


class Signals(TroupeTest):
    def start_four(self, *options, job=WAIT.format("go") + "echo done {}"):
        """Jobs 1 and 2 run, and wait for the file "go"; 3 and 4 would follow.
        What troupe says goes into the file "said"."""
        said = open(self.cwd / "said", "wb")
        self.addCleanup(said.close)
        running = self.start_troupe("map", "-j2", "-k", *options,
                                    "touch ran{}; " + job, ":::", "1", "2",
                                    "3", "4", stderr=said)
        for number in (1, 2):
            wait_until((self.cwd / f"ran{number}").exists,
                       what=f"job {number}")
        return running

    def assert_stopped(self, finished, code, out="", said=""):
        self.assertEqual((finished.code, finished.out), (code, out))
        self.assertEqual((self.cwd / "said").read_text(), said)
        self.assertEqual([name for name in ("ran3", "ran4")
                          if (self.cwd / name).exists()], [])
        self.assert_nothing_left(0)

    def test_the_first_interrupt_lets_jobs_finish_and_starts_no_more(self):
        running = self.start_four()
        running.signal(signal.SIGINT)
        self.wait_for_file("said")
        self.assertIsNone(running.process.poll())
        (self.cwd / "go").touch()
        self.assert_stopped(running.finish(), 128 + signal.SIGINT,
                            out="done 1\ndone 2\n", said=STOPPING)

    def test_the_second_interrupt_stops_them(self):
        running = self.start_four()
        running.signal(signal.SIGINT)
        self.wait_for_file("said")
        running.signal(signal.SIGINT)
        self.assert_stopped(running.finish(within=5), 128 + signal.SIGINT,
                            said=STOPPING)

    def test_other_signals_stop_all_at_once(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number.name):
                running = self.start_four()
                running.signal(number)
                self.assert_stopped(running.finish(within=5), 128 + number)
                for name in ("ran1", "ran2"):
                    os.remove(self.cwd / name)

    def test_what_waits_behind_a_job_is_not_started_when_that_is_stopped(self):
        # Of short jobs several are on their way at once.
        running = self.start_troupe(
            "map", "-j1", "case {} in ?|[1-3]?) ;; 40) echo 1 >long; sleep " +
            self.seconds + ";; *) touch late{};; esac", ":::", *range(1, 90))
        self.wait_for_file("long")
        running.signal(signal.SIGTERM)
        self.assertEqual(running.finish(within=5).code, 128 + signal.SIGTERM)
        self.assertEqual(list(self.cwd.glob("late*")), [])
        self.assert_nothing_left(0)

    def test_jobs_get_the_polite_signal_first(self):
        # What has not become sleep yet would lose the signal in the trap. A shell
        # may say what its sleep has died of.
        running = self.start_four(
            "--signal", "USR1", job="exec 2>/dev/null; "
            "trap 'echo cleaned {}; exit' USR1; "
            f"sleep {self.seconds} & until grep -q sleep /proc/$!/comm; do :; done; "
            "touch trap{}; wait")
        for number in (1, 2):
            wait_until((self.cwd / f"trap{number}").exists, what="the trap")
        running.signal(signal.SIGTERM)
        self.assert_stopped(running.finish(within=5), 128 + signal.SIGTERM,
                            out="cleaned 1\ncleaned 2\n")

    DEAF = "trap '' TERM INT; touch deaf{}; while :; do sleep 0.02; done"

    def start_deaf(self, *options):
        running = self.start_four(*options, job=self.DEAF)
        for number in (1, 2):
            wait_until((self.cwd / f"deaf{number}").exists, what="the trap")
        return running

    def test_jobs_that_ignore_it_are_killed_after_the_grace(self):
        running = self.start_deaf("--grace", "300ms")
        running.signal(signal.SIGTERM)
        self.assert_stopped(running.finish(within=5), 128 + signal.SIGTERM)

    def test_the_third_signal_waits_for_nothing(self):
        running = self.start_deaf("--grace", "100s")
        for _ in range(2):
            running.signal(signal.SIGTERM)
            self.assert_rest(running)
        running.signal(signal.SIGTERM)
        self.assertEqual(running.finish(within=5).code, 128 + signal.SIGTERM)
        self.assert_nothing_left()

    def assert_rest(self, running):
        """It has taken the signal and goes on."""
        wait_until(lambda: int(status_field(running.pid, "ShdPnd"), 16) == 0,
                   what="the signal's arrival")
        time.sleep(0.05)
        self.assertIsNone(running.process.poll())

    def test_kill_9_leaves_nothing_of_the_jobs(self):
        running = self.start_four(
            job="trap '' TERM; setsid sleep " + self.seconds + " & env -i "
            "setsid sleep " + self.seconds + " & touch all{}; wait")
        for number in (1, 2):
            wait_until((self.cwd / f"all{number}").exists, what="the daemons")
        self.assertGreaterEqual(len(processes_with(self.seconds)), 4)
        running.process.kill()
        self.assertEqual(running.finish().code, -signal.SIGKILL)
        self.assert_nothing_left()

    def test_kill_9_of_the_warden_is_told_and_leaves_nothing(self):
        running = self.start_four(job=f"sleep {self.seconds}")
        os.kill(self.wait_for_warden(running.pid), signal.SIGKILL)
        # Jobs 3 and 4 run under another one.
        wait_until((self.cwd / "ran4").exists, what="job 4")
        running.signal(signal.SIGTERM)
        self.assertEqual(running.finish().code, 128 + signal.SIGTERM)
        said = (self.cwd / "said").read_text()
        for number in (1, 2):
            self.assertRegex(said, rf"(?m)^troupe: job {number}: .*warden")
        self.assert_nothing_left(0)

    def test_a_signal_ends_it_while_it_waits_for_input(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                running = self.start_troupe("map", "echo", stdin=-1)
                running.process.stdin.write(b"a\n")
                running.process.stdin.flush()
                self.assertEqual(running.process.stdout.readline(), b"a\n")
                running.signal(number)
                self.assertEqual(running.process.wait(5), 128 + number)

    def test_at_no_moment_of_the_start_is_a_signal_lost(self):
        # Any moment will do, so this is no wait for something to happen.
        for delay in range(0, 80, 8):
            with self.subTest(f"{delay} ms"):
                running = self.start_troupe("map", "sleep", ":::",
                                            self.seconds)
                time.sleep(delay / 1000)
                running.signal(signal.SIGTERM)
                self.assertIn(running.finish().code,
                              (-signal.SIGTERM, 128 + signal.SIGTERM))
                self.assert_nothing_left()


class Terminal(TroupeTest):
    def start_map(self):
        terminal = self.terminal(
            [self.env["TROUPE"], "map", "-j1", "echo ready; touch ran{}; " +
             WAIT.format("go") + "echo done {}", ":::", "1", "2"])
        wait_until((self.cwd / "ran1").exists, what="job 1")
        return terminal

    def test_ctrl_c_does_not_reach_the_jobs(self):
        terminal = self.start_map()
        terminal.send("\x03")
        terminal.expect("once more to end them")
        (self.cwd / "go").touch()
        terminal.expect("done 1")
        self.assertEqual(terminal.wait(), 128 + signal.SIGINT)
        self.assertFalse((self.cwd / "ran2").exists())

    def test_a_second_ctrl_c_ends_them(self):
        terminal = self.start_map()
        terminal.send("\x03")
        terminal.expect("once more to end them")
        terminal.send("\x03")
        self.assertEqual(terminal.wait(5), 128 + signal.SIGINT)
        self.assert_nothing_left(0)

    def test_a_terminal_that_goes_away_takes_all_with_it(self):
        terminal = self.start_map()
        os.close(terminal.fd)
        terminal.fd = os.open("/dev/null", os.O_RDONLY)
        self.assert_nothing_left(LONG)


class Reader(TroupeTest):
    """Who reads the output has seen enough."""

    def piped(self, script):
        """Runs a pipeline; its output, and the exit code of its map."""
        before = time.monotonic()
        finished = self.run_program(
            ["bash", "-c", script + '; echo "${PIPESTATUS[@]}" > codes'])
        self.assertLess(time.monotonic() - before, LONG / 2)
        self.assert_nothing_left(0)
        return finished, (self.cwd / "codes").read_text().split()

    def test_its_end_stops_an_endless_map(self):
        finished, codes = self.piped(
            """yes | "$TROUPE" map -j2 'echo {}' | head -n 1""")
        self.assert_ended(finished, 0, out="y\n")
        self.assertEqual(codes[1], str(128 + signal.SIGPIPE))

    def test_its_end_stops_jobs_that_go_on_printing(self):
        for mode in ("--line-buffer", "--ungroup"):
            with self.subTest(mode):
                finished, _ = self.piped(
                    f'"$TROUPE" map -j2 {mode} "echo first; [ {{}} = a ] || '
                    'while echo more; do sleep 0.05; done" ::: a b | '
                    "head -n 1")
                self.assert_ended(finished, 0, out="first\n")

    def test_the_next_output_stops_the_jobs_that_run(self):
        finished, codes = self.piped(
            '"$TROUPE" map -j3 "sleep {}; echo {}" ::: 0 0.3 ' +
            self.seconds + " | head -n 1")
        self.assert_ended(finished, 0, out="0\n")
        self.assertEqual(codes[0], str(128 + signal.SIGPIPE))

    def test_an_end_that_only_the_last_output_meets_is_not_missed(self):
        # More than once, since it was missed now and then.
        for _ in range(20):
            reader, writer = os.pipe()
            os.close(reader)
            with os.fdopen(writer, "wb") as nobody:
                finished = self.troupe("map", "echo", ":::", "a",
                                       stdout=nobody)
            self.assert_ended(finished, 128 + signal.SIGPIPE)
            with open("/dev/full", "wb") as full:
                finished = self.troupe("map", "echo", ":::", "a", stdout=full)
            self.assert_ended(finished, 3, err=self.FULL)

    FULL = "troupe: cannot write to standard output: no space left on device\n"

    def test_an_output_that_is_full_is_told_and_stops_the_map(self):
        with open("/dev/full", "wb") as full:
            finished = self.troupe("map", "-j1", "echo {}; touch ran{}", ":::",
                                   *range(200), stdout=full)
        self.assert_ended(finished, 3, err=self.FULL)
        self.assertLess(len(os.listdir(self.cwd)), 200)


if __name__ == "__main__":
    unittest.main()
