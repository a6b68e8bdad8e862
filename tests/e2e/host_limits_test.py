"""What the host gives too little of: files, processes, space and room to print."""

import os
import signal
import unittest

from troupe_e2e import (SANITIZED, TROUPE, TroupeTest, processes_with,
                        wait_until)


class OpenFiles(TroupeTest):
    def test_no_more_jobs_start_than_there_are_files_for(self):
        finished = self.sh('ulimit -n 100; seq 40 | "$TROUPE" map -j 30 '
                           "'sleep 0.1; echo {}' | sort -n")
        self.assertEqual(finished.out, "".join(f"{n}\n" for n in range(1, 41)))
        self.assertEqual(
            finished.err, "troupe: 15 jobs at once instead of 30: there can be "
            "no more open files (see ulimit -Hn)\n")

    def test_a_limit_of_files_counts_those_of_the_command_alone(self):
        for files in (4, 10):
            with self.subTest(files=files):
                finished = self.troupe("exec", "--limit", f"files={files}", "--",
                                       "sh", "-c", "ulimit -n")
                self.assert_ended(finished, 0, f"{files}\n")


class Processes(TroupeTest):
    def test_jobs_wait_until_there_may_be_more_processes(self):
        # Root may have as many as it likes.
        other = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
        if os.geteuid() != 0 or self.run_program(
                [*other, TROUPE, "version"]).code != 0:
            self.skipTest("cannot run as another user")
        self.cwd.chmod(0o777)
        finished = self.run_program(
            [*other, "bash", "-c",
             f'ulimit -u 30; exec "{TROUPE}" map -j 40 sleep 0.1{{}} ::: $(seq 60)'])
        self.assert_ended(finished, 0)


class FileSize(TroupeTest):
    def test_output_that_may_not_be_kept_is_no_end_of_troupe(self):
        finished = self.sh('ulimit -f 100; "$TROUPE" map '
                           "'head -c 3000000 /dev/zero; : {}' ::: 1 >/dev/null")
        self.assertEqual(finished.code, 3)
        self.assertIn("troupe: job 1: some of its output is lost: cannot spool it",
                      finished.err)


class Memory(TroupeTest):
    @unittest.skipIf(SANITIZED, "a sanitizer needs more to begin with")
    def test_a_lack_of_memory_is_said_and_is_125(self):
        finished = self.sh('ulimit -v 11000; "$TROUPE" exec true')
        self.assertEqual(finished.code, 125)
        self.assertTrue(finished.err.startswith("troupe: "), finished.err)


class Printing(TroupeTest):
    def test_what_cannot_be_printed_is_said_and_is_125(self):
        (self.cwd / "w.yaml").write_text("jobs: {a: {run: echo x}}\n")
        for words in ("--help", "version", "completion bash", "run w.yaml",
                      "run --dry-run w.yaml", "lint w.yaml"):
            with self.subTest(words=words):
                finished = self.sh(f'"$TROUPE" {words} >/dev/full')
                self.assertEqual(finished.code, 125)
                self.assertIn("troupe: cannot write to standard output: no "
                              "space left on device\n", finished.err)

    def test_a_reader_that_has_gone_is_no_mistake(self):
        read, write = os.pipe()
        os.close(read)
        finished = self.troupe("completion", "bash", stdout=write)
        os.close(write)
        self.assertEqual((finished.code, finished.err), (141, ""))


class ProcessGroup(TroupeTest):
    """SIGKILL to the group of troupe, as by `timeout -s KILL`."""

    def sleepers(self):
        return [pid for pid, command in processes_with(self.seconds).items()
                if command.startswith("sleep")]

    def kill_group_of(self, *words):
        running = self.start_troupe(*words, start_new_session=True)
        wait_until(self.sleepers, what="the sleeper")
        os.killpg(running.pid, signal.SIGKILL)
        running.finish()
        self.assert_nothing_left()

    def test_it_leaves_nothing_of_exec(self):
        self.kill_group_of("exec", "--", "sh", "-c", f"sleep {self.seconds}; :")

    def test_it_leaves_nothing_of_map(self):
        self.kill_group_of("map", "sleep {}; :", ":::", self.seconds)

    def test_it_leaves_nothing_of_run(self):
        (self.cwd / "w.yaml").write_text(
            f"jobs: {{a: {{run: 'sleep {self.seconds} | cat'}}}}\n")
        self.kill_group_of("run", "w.yaml")


class LeftBehind(TroupeTest):
    def test_map_tells_what_a_job_has_left_behind(self):
        finished = self.troupe("map", "sleep {} & :", ":::", self.seconds)
        self.assert_ended(finished, 0, err="troupe: job 1: killed 1 process that "
                          "it left behind and that held its output open\n")

    def test_run_tells_what_a_step_has_left_behind(self):
        (self.cwd / "w.yaml").write_text(
            f"jobs: {{a: {{run: 'sleep {self.seconds} >/dev/null 2>&1 & :'}}}}\n")
        finished = self.troupe("run", "w.yaml")
        self.assertEqual(finished.code, 0)
        self.assertIn("job a: killed 1 process that it left behind\n",
                      finished.err)


if __name__ == "__main__":
    unittest.main()
