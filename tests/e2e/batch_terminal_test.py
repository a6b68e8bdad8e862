"""troupe map and troupe run as jobs of a shell: Ctrl-Z, fg, bg and nohup."""

import os
import signal
import unittest

from troupe_e2e import CTRL_C, CTRL_Z, InBash, TroupeTest, wait_until


class JobControl(InBash, TroupeTest):
    """A batch is a job of an interactive bash."""

    def suspend(self):
        self.bash.send(CTRL_Z)
        self.bash.expect("Stopped")
        self.bash.expect(self.PROMPT)

    def interrupt_twice(self):
        self.bash.send(CTRL_C)
        self.bash.expect("once more to end")
        self.bash.send(CTRL_C)

    def start_map(self, *options):
        words = " ".join(options)
        self.type(f'"$TROUPE" map {words} sleep {{}} ::: {self.seconds}')
        return self.wait_for_sleeper()

    def kill_suspended(self, option=""):
        """Ends the suspended job and waits until bash knows that it is gone.

        Its `wait` passes over a job of which it has not heard yet that it goes
        on, and its `exit` refuses to leave such a job behind. That a job ended
        while `kill` ran it may learn with the end of another process only.
        """
        self.enter(f"kill {option} %1")
        wait_until(lambda: "[1]" not in self.enter("/bin/true; jobs"),
                   what="the end of the job")

    def test_ctrl_z_stops_the_commands_and_fg_continues_them(self):
        pid = self.start_map()
        self.wait_for_state(pid, "S")
        self.suspend()
        self.wait_for_state(pid, "T")
        self.type("fg")
        self.wait_for_state(pid, "S")
        self.interrupt_twice()
        self.bash.expect(self.PROMPT)
        self.assertEqual(self.enter("echo $?"), "130\n")
        self.leave()

    def test_bg_continues_them_too(self):
        pid = self.start_map()
        self.suspend()
        self.wait_for_state(pid, "T")
        self.enter("bg")
        self.wait_for_state(pid, "S")
        self.enter("kill %1; wait")
        self.leave()

    def test_what_left_its_session_is_stopped_as_well(self):
        self.type("\"$TROUPE\" map 'setsid sleep {} & wait' ::: "
                  f"{self.seconds}")
        pid = self.wait_for_sleeper()
        self.suspend()
        self.wait_for_state(pid, "T")
        self.kill_suspended()
        self.leave()

    def test_a_suspended_command_does_not_time_out(self):
        pid = self.start_map("--timeout", "1s", "--joblog", "log")
        self.suspend()
        self.wait_for_state(pid, "T")
        self.enter("sleep 1.5")
        self.wait_for_state(pid, "T")
        self.type("fg")
        self.bash.expect("timed out")
        self.bash.expect(self.PROMPT)
        self.leave()

    def test_it_can_be_suspended_again_and_again(self):
        pid = self.start_map()
        for _ in range(3):
            self.suspend()
            self.wait_for_state(pid, "T")
            self.type("fg")
            self.wait_for_state(pid, "S")
        self.interrupt_twice()
        self.bash.expect(self.PROMPT)
        self.leave()

    def test_killing_a_suspended_batch_leaves_nothing(self):
        pid = self.start_map()
        self.suspend()
        self.wait_for_state(pid, "T")
        self.kill_suspended("-9")
        wait_until(lambda: not self.sleeper(), what="the end of the command")
        self.leave()

    def test_a_run_is_suspended_and_continued(self):
        (self.cwd / "w.yaml").write_text(
            "jobs:\n  one: {run: sleep 0.3}\n"
            f"  two: {{run: sleep {self.seconds}, timeout: 1s}}\n")
        self.type('"$TROUPE" run w.yaml')
        pid = self.wait_for_sleeper()
        self.suspend()
        self.wait_for_state(pid, "T")
        self.enter("sleep 1.2")
        self.wait_for_state(pid, "T")
        self.type("fg")
        self.bash.expect("failed in")
        self.bash.expect(self.PROMPT)
        self.assertEqual(self.enter("echo $?"), "1\n")
        self.leave()

    def test_the_table_of_a_run_gives_the_cursor_back(self):
        (self.cwd / "w.yaml").write_text(
            f"jobs:\n  one: {{run: sleep {self.seconds}}}\n")
        self.type('TERM=xterm "$TROUPE" run w.yaml')
        self.wait_for_sleeper()
        self.bash.expect("\x1b[?25l")
        self.bash.send(CTRL_Z)
        self.bash.expect("\x1b[?25h")
        self.bash.expect("Stopped")
        self.bash.expect(self.PROMPT)
        self.type("fg")
        self.bash.expect("\x1b[?25l")
        self.interrupt_twice()
        self.bash.expect("\x1b[?25h")
        self.bash.expect(self.PROMPT)
        self.leave()


class WithoutAShell(TroupeTest):
    """Signals that nobody expects a batch to obey."""

    def test_nohup_keeps_a_hang_up_away(self):
        os.mkfifo(self.cwd / "fifo")
        map = self.start(["nohup", self.env["TROUPE"], "map",
                          ": {}; echo started; read line < fifo; echo $line",
                          "--line-buffer", ":::", "1"])
        self.assertEqual(map.process.stdout.readline(), b"started\n")
        map.signal(signal.SIGHUP)
        (self.cwd / "fifo").write_text("went on\n")
        finished = map.finish()
        self.assertEqual((finished.code, finished.out), (0, "went on\n"))

    def test_a_stop_signal_without_job_control_changes_nothing(self):
        # The kernel stops no process whose session has no shell.
        os.mkfifo(self.cwd / "fifo")
        map = self.start_troupe("map", ": {}; echo started; read line < fifo",
                                "--line-buffer", ":::", "1",
                                start_new_session=True)
        self.assertEqual(map.process.stdout.readline(), b"started\n")
        map.signal(signal.SIGTSTP)
        (self.cwd / "fifo").write_text("\n")
        self.assertEqual(map.finish().code, 0)


if __name__ == "__main__":
    unittest.main()
