"""troupe map: what the job log says, and that a map goes on where it ended."""

import os
import re
import resource
import signal
import time
import unittest
from collections import Counter

from troupe_e2e import TroupeTest, wait_until

HEADER = ("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\t"
          "Command\n")
ROW = re.compile(r"(\d+)\t:\t(\d+\.\d{3})\t *(\d+\.\d{3})\t0\t(\d+)\t(-?\d+)\t"
                 r"(\d+)\t(.*)")
WAIT = "until [ -e {0} ]; do sleep 0.02; done; "


class Logs:
    """What these tests share; the log is the file "log"."""

    def log_text(self, name="log"):
        try:
            return (self.cwd / name).read_text()
        except FileNotFoundError:
            return ""

    def rows(self, name="log"):
        """What each complete row says after the header."""
        text = self.log_text(name)
        self.assertTrue(text.startswith(HEADER), repr(text))
        rows = []
        for line in text[len(HEADER):].splitlines(keepends=True):
            match = ROW.fullmatch(line.rstrip("\n"))
            self.assertTrue(match or not line.endswith("\n"), repr(line))
            if line.endswith("\n"):
                rows.append(match.groups())
        return rows

    def logged(self):
        return [int(row[0]) for row in self.rows()]

    def wait_for_rows(self, count):
        """Until the log has at least so many rows after its header."""
        wait_until(lambda: self.log_text().count("\n") > count,
                   what=f"{count} rows in the log")


class JobLog(Logs, TroupeTest):
    def test_a_row_has_the_columns_of_gnu_parallel(self):
        before = time.time()
        finished = self.troupe("map", "-j1", "--joblog", "log",
                               "sleep 0.2; printf abc; exit {}", ":::", "0",
                               "3")
        after = time.time()
        self.assert_ended(finished, 1, out="abcabc")
        first, second = self.rows()
        self.assertEqual((first[0],) + first[3:],
                         ("1", "3", "0", "0", "sleep 0.2; printf abc; exit 0"))
        self.assertEqual((second[0],) + second[3:],
                         ("2", "3", "3", "0", "sleep 0.2; printf abc; exit 3"))
        for row in (first, second):
            self.assertTrue(before - 1 <= float(row[1]) <= after + 1, row)
            self.assertTrue(0.15 <= float(row[2]) <= after - before, row)
        self.assertGreater(float(second[1]), float(first[1]))

    def test_rows_come_in_the_order_of_the_ends(self):
        finished = self.troupe("map", "-j2", "--joblog", "log",
                               "if [ {} = a ]; then " + WAIT.format("b") +
                               "sleep 0.2; else touch b; fi", ":::", "a", "b")
        self.assert_ended(finished, 0)
        self.assertEqual(self.logged(), [2, 1])

    def test_it_tells_signals_time_outs_and_missing_programs_apart(self):
        (self.cwd / "killed").write_text("#!/bin/sh\nkill -9 $$\n")
        (self.cwd / "slow").write_text(f"#!/bin/sh\nsleep {self.seconds}\n")
        (self.cwd / "plain").touch()
        for name in ("killed", "slow"):
            (self.cwd / name).chmod(0o755)
        finished = self.troupe(
            "map", "-j1", "--timeout", "500ms", "--joblog", "log", "{}", ":::",
            "./killed", "./slow", "./nothing", "./plain")
        self.assertEqual(finished.code, 4)
        self.assertEqual([row[4:6] for row in self.rows()],
                         [("0", "9"), ("-1", "15"), ("127", "0"),
                          ("126", "0")])

    def test_the_command_is_one_that_a_shell_can_repeat(self):
        self.troupe("map", "-j1", "--joblog", "log", "printf", "%s", "{}",
                    ":::", "it's a $(b)")
        command = self.rows()[0][-1]
        self.assertEqual(self.sh(command).out, "it's a $(b)")

    def test_a_newline_in_the_command_does_not_tear_the_row(self):
        self.troupe("map", "-j1", "--joblog", "log", "true", ":::", "a\nb", "c")
        self.assertEqual(self.logged(), [1, 2])
        self.assertEqual(self.rows()[0][-1], "true 'a\0b'")

    def test_dry_run_leaves_it_alone(self):
        (self.cwd / "log").write_text(HEADER)
        for options in ([], ["--resume"]):
            self.troupe("map", "--dry-run", "--joblog", "log", *options, "true",
                        ":::", "a")
            self.assertEqual(self.log_text(), HEADER)
        (self.cwd / "log").write_text("anything")
        self.troupe("map", "--dry-run", "--joblog", "log", "true", ":::", "a")
        self.assertEqual(self.log_text(), "anything")

    def test_retries_are_one_row(self):
        self.troupe("map", "--retries", "2", "--retry-delay", "10ms",
                    "--joblog", "log", "exit {}", ":::", "4")
        self.assertEqual([row[4] for row in self.rows()], ["4"])

    def test_a_new_map_begins_a_new_log(self):
        for _ in range(2):
            self.troupe("map", "-j1", "--joblog", "log", "true", ":::", "a")
        self.assertEqual(self.logged(), [1])

    def test_a_job_is_logged_when_its_output_has_been_printed(self):
        # Or a map that is killed in between would never print it.
        out = open(self.cwd / "out", "wb")
        self.addCleanup(out.close)
        running = self.start_troupe(
            "map", "-j2", "-k", "--joblog", "log", "[ {} != 1 ] || { " +
            WAIT.format("go") + "}; echo {}; touch ran{}", ":::", "1", "2",
            "3", stdout=out)
        # Job 3 starts when job 2 has ended, which must wait for job 1.
        wait_until((self.cwd / "ran3").exists, what="job 3")
        running.process.kill()
        running.finish()
        self.assertEqual(((self.cwd / "out").read_text(), self.logged()),
                         ("", []))

    def test_a_job_whose_output_nobody_took_is_not_logged(self):
        finished = self.sh('seq 10000 | "$TROUPE" map -j2 -k --joblog log '
                           "'seq {} 20000' | head -c 1")
        self.assertEqual((finished.code, finished.out), (0, "1"))
        # What fits into the pipe counts as printed: less than one job.
        self.assertEqual(self.logged(), [])

    def test_a_job_whose_output_found_no_room_is_not_logged_and_has_failed(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        command = ["--joblog", "log", "head -c {} /dev/zero", ":::", "300000", "5"]
        tmp = {"TMPDIR": str(self.folder)}
        lost = ("troupe: job 1: some of its output is lost: cannot spool it into "
                f"the temporary folder {self.folder} (TMPDIR): file too large\n")
        finished = self.troupe("map", "-j1", *command, env=tmp, preexec_fn=limit)
        self.assertEqual((finished.code, finished.err), (3, lost))
        self.assertEqual(self.logged(), [2])
        self.assert_ended(self.troupe("map", "-j1", "--resume", *command, env=tmp),
                          0, out="\0" * 300_000)
        self.assertEqual(self.logged(), [2, 1])
        finished = self.troupe("map", "-j1", "--halt", "now,fail=1", *command,
                               env=tmp, preexec_fn=limit)
        self.assertEqual((finished.code, finished.err), (3, lost))
        self.assertEqual(self.logged(), [])

    def test_a_log_that_cannot_be_opened_stops_the_map_before_it_starts(self):
        for path, reason in (("no/log", "no such file or directory"),
                             (".", "is a directory"),
                             ("/dev/full", "no space left on device")):
            with self.subTest(path):
                self.assert_ended(
                    self.troupe("map", "--joblog", path, "touch", ":::",
                                "ran"),
                    3, err=f"troupe: cannot open job log {path}: {reason}\n")
        self.assertEqual(os.listdir(self.cwd), [])

    def test_a_log_that_becomes_full_is_told_once_and_jobs_go_on(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))

        finished = self.troupe("map", "-j1", "--joblog", "log", "echo", ":::",
                               *"abcdef", preexec_fn=limit)
        self.assert_ended(
            finished, 3, out="a\nb\nc\nd\ne\nf\n",
            err="troupe: cannot write job log log: file too large; the jobs "
                "that end from now on are not in it\n")
        self.assertEqual(self.logged(), [1])
        self.assert_ended(
            self.troupe("map", "-j1", "-k", "--joblog", "log", "--resume",
                        "echo", ":::", *"abcdef"), 0, out="b\nc\nd\ne\nf\n")


class Resume(Logs, TroupeTest):
    def run_all(self, *options, codes="0 1 0 2"):
        return self.troupe("map", "-k", "-j2", "--joblog", "log", *options,
                           "echo {#}; exit {}", ":::", *codes.split())

    def test_it_leaves_out_all_that_are_in_the_log(self):
        self.assertEqual(self.run_all(codes="0 1").code, 1)
        self.assert_ended(self.run_all("--resume"), 1, out="3\n4\n")
        self.assertEqual(sorted(self.logged()), [1, 2, 3, 4])
        self.assert_ended(self.run_all("--resume"), 0)

    def test_failed_ones_can_be_run_again(self):
        self.assertEqual(self.run_all(codes="0 1 0").code, 1)
        self.assert_ended(self.run_all("--resume-failed"), 2, out="2\n4\n")
        # The log now tells of both attempts.
        self.assertEqual(sorted(self.logged()), [1, 2, 2, 3, 4])
        self.assert_ended(self.run_all("--resume-failed", codes="0 0 0 0"), 0,
                          out="2\n4\n")
        self.assert_ended(self.run_all("--resume-failed"), 0)

    def test_without_a_log_everything_is_run(self):
        for option in ("--resume", "--resume-failed"):
            with self.subTest(option):
                self.assert_ended(self.run_all(option, codes="0 0"), 0,
                                  out="1\n2\n")
                os.remove(self.cwd / "log")

    def test_it_needs_a_log(self):
        self.assert_ended(
            self.troupe("map", "--resume", "touch", ":::", "ran"), 2,
            err='troupe: map: --resume needs --joblog FILE\n'
                'Try "troupe map --help".\n')
        self.assertEqual(os.listdir(self.cwd), [])

    def test_a_log_that_is_none_is_refused_and_left_alone(self):
        (self.cwd / "log").write_text("my diary\n")
        self.assert_ended(
            self.run_all("--resume"), 3,
            err="troupe: log: line 1 is not the header of a job log\n")
        self.assertEqual(self.log_text(), "my diary\n")

    def test_a_log_that_ends_within_a_line_is_repaired(self):
        self.assertEqual(self.run_all(codes="0 0 0").code, 0)
        text = self.log_text()
        for cut in (3, len(HEADER) - 1, len(HEADER), len(HEADER) + 5,
                    len(text) - 20, len(text) - 1):
            with self.subTest(cut):
                (self.cwd / "log").write_text(text[:cut])
                whole = [int(line.split("\t")[0]) for line in
                         text[:cut].splitlines(keepends=True)[1:]
                         if line.endswith("\n")]
                missing = [i for i in (1, 2, 3) if i not in whole]
                self.assert_ended(self.run_all("--resume", codes="0 0 0"), 0,
                                  out="".join(f"{i}\n" for i in missing))
                self.assertEqual(sorted(self.logged()), [1, 2, 3])

    def test_it_goes_on_with_the_log_of_gnu_parallel(self):
        (self.cwd / "log").write_text(
            HEADER + "1\t:\t1795180267.154\t     0.001\t0\t0\t0\t0\techo 1\n"
            "4\t:\t1795180326.106\t     0.901\t0\t0\t-1\t15\tsleep 3\n"
            "2\t:\t1795180267.232\t     0.004\t0\t0\t0\t9\techo 2\n")
        self.assert_ended(self.run_all("--resume", codes="0 0 0 0 0"), 0,
                          out="3\n5\n")

    def test_a_job_that_was_stopped_is_run_again(self):
        # It is neither in the log, as with GNU parallel, nor forgotten.
        command = ("touch ran{}; [ {} = 1 ] || " + WAIT.format("go") +
                   "echo {}")
        words = ("map", "-j2", "-k", "--joblog", "log", command, ":::", "1",
                 "2", "3")
        running = self.start_troupe(*words)
        self.wait_for_rows(1)
        wait_until((self.cwd / "ran3").exists, what="job 3")
        running.signal(signal.SIGTERM)
        self.assert_ended(running.finish(), 128 + signal.SIGTERM, out="1\n")
        self.assertEqual(self.logged(), [1])
        (self.cwd / "go").touch()
        self.assert_ended(
            self.troupe(*words[:-5], "--resume", *words[-5:]), 0, out="2\n3\n")
        self.assertEqual(sorted(self.logged()), [1, 2, 3])

    def test_a_job_that_halt_has_ended_is_run_again(self):
        command = ("touch ran{}; [ {} = 1 ] || " + WAIT.format("go") +
                   "until [ -e ran2 ]; do sleep 0.02; done; exit {}")
        finished = self.troupe("map", "-j2", "--joblog", "log", "--halt",
                               "now,fail=1", command, ":::", "1", "2")
        self.assertEqual(finished.code, 1)
        self.assertEqual(self.logged(), [1])

    JOBS = 120

    def start_counting(self):
        """Each job adds its number to the file "ran"."""
        return self.start_troupe(
            "map", "-j4", "--joblog", "log", "--resume",
            "echo {} >> ran; sleep 0.01", ":::", *range(1, self.JOBS + 1))

    def ran(self):
        """How often each job has run."""
        return Counter(map(int, (self.cwd / "ran").read_text().split()))

    def test_after_kill_9_each_job_runs_and_no_logged_one_runs_again(self):
        times = {}  # How often a job had run when it was in the log.
        for rows in (7, 40, 80):
            running = self.start_counting()
            self.wait_for_rows(rows)
            running.process.kill()
            running.finish()
            self.assert_nothing_left()
            ran = self.ran()
            logged = set(self.logged())
            self.assertLess(len(logged), self.JOBS)
            self.assertLessEqual(logged, set(ran))
            self.assertLessEqual(set(times), logged)
            self.assertEqual({job: ran[job] for job in times}, times)
            times = {job: ran[job] for job in logged}
        self.assert_ended(self.start_counting().finish(), 0)
        ran = self.ran()
        everything = list(range(1, self.JOBS + 1))
        self.assertEqual(sorted(ran), everything)
        self.assertEqual({job: ran[job] for job in times}, times)
        self.assertEqual(sorted(self.logged()), everything)


if __name__ == "__main__":
    unittest.main()
