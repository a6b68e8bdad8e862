"""troupe exec on a terminal: job control, keys and full-screen programs."""

import os
import shutil
import signal
import unittest

from troupe_e2e import (CTRL_BACKSLASH, CTRL_C, CTRL_Z, InBash, TroupeTest,
                        processes_with, wait_until)


class Direct(TroupeTest):
    """troupe is all that runs on the terminal."""

    def python(self, script):
        return self.terminal([self.env["TROUPE"], "exec", "--", "python3", "-c",
                              script])

    def test_all_three_streams_are_the_terminal(self):
        terminal = self.python("import os; print([os.ttyname(fd) == "
                               "os.ttyname(0) for fd in range(3)])")
        terminal.expect("[True, True, True]")
        self.assertEqual(terminal.wait(), 0)

    def test_the_command_is_in_the_foreground(self):
        terminal = self.python("import os; print('foreground', "
                               "os.tcgetpgrp(0) == os.getpgrp())")
        terminal.expect("foreground True")
        self.assertEqual(terminal.wait(), 0)

    def test_the_window_has_its_size_and_changes_are_told(self):
        terminal = self.python(
            "import os, signal; size = lambda: tuple(os.get_terminal_size());"
            "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH]);"
            "print('size', size(), flush=True);"
            "signal.sigwait([signal.SIGWINCH]); print('now', size())")
        terminal.expect("size (97, 31)")
        terminal.resize(40, 120)
        terminal.expect("now (120, 40)")
        self.assertEqual(terminal.wait(), 0)

    def test_a_key_arrives_at_once_in_raw_mode(self):
        terminal = self.terminal(
            [self.env["TROUPE"], "exec", "--", "sh", "-c",
             "stty raw -echo; printf ready; head -c 2 | od -An -tx1; "
             "stty sane"])
        terminal.expect("ready")
        terminal.send("x" + CTRL_C)  # In raw mode a key like any other.
        terminal.expect("78 03")
        self.assertEqual(terminal.wait(), 0)

    def test_a_password_is_read_without_an_echo(self):
        terminal = self.terminal(
            [self.env["TROUPE"], "exec", "--", "bash", "-c",
             "read -s -p 'Password: ' x; echo; echo \"${#x} letters\""])
        terminal.expect("Password: ")
        terminal.send("secret\n")
        terminal.expect("6 letters")
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn("secret", terminal.text)

    def test_the_end_of_input_is_passed_on(self):
        terminal = self.terminal([self.env["TROUPE"], "exec", "cat"])
        terminal.send("a line\n")
        terminal.expect("a line\r\na line\r\n")
        terminal.send("\x04")
        self.assertEqual(terminal.wait(), 0)

    @unittest.skipUnless(shutil.which("less"), "less is not installed")
    def test_a_pager_can_be_used(self):
        (self.cwd / "file").write_text(
            "".join(f"line {n}\n" for n in range(1, 501)))
        terminal = self.terminal([self.env["TROUPE"], "exec", "less", "file"])
        terminal.expect("line 1\r\n")
        terminal.send("G")
        terminal.expect("line 500")
        terminal.send("q")
        self.assertEqual(terminal.wait(), 0)

    def test_captured_output_still_appears_and_keys_still_work(self):
        terminal = self.terminal(
            [self.env["TROUPE"], "exec", "--json", "--", "sh", "-c",
             "echo started; read x; echo \"got $x\"; exit 3"])
        terminal.expect("started")
        terminal.send("this\n")
        terminal.expect("got this")
        terminal.expect('"exit_status": 3')
        self.assertEqual(terminal.wait(), 3)

    def test_a_terminal_that_goes_away_takes_all_with_it(self):
        terminal = self.terminal([self.env["TROUPE"], "exec", "--", "sh", "-c",
                                  f"echo ready; sleep {self.seconds}"])
        terminal.expect("ready")
        os.close(terminal.fd)
        terminal.fd = os.open("/dev/null", os.O_RDONLY)
        self.assert_nothing_left()


class JobControl(InBash, TroupeTest):
    """troupe is a job of an interactive bash."""

    def test_ctrl_c_ends_the_command(self):
        self.type(f'"$TROUPE" exec sleep {self.seconds}')
        self.wait_for_sleeper()
        self.bash.send(CTRL_C)
        self.assertEqual(self.bash.expect(self.PROMPT), "^C\r\n")
        self.assertEqual(self.enter("echo $?"), "130\n")
        self.assert_command_gone()
        self.leave()

    def assert_command_gone(self):
        wait_until(lambda: not self.sleeper(), within=2,
                   what="the end of the command")

    def test_ctrl_c_ends_a_script_around_it(self):
        self.type(f"bash -c '\"$TROUPE\" exec sleep {self.seconds}; "
                  "echo went on'")
        self.wait_for_sleeper()
        self.bash.send(CTRL_C)
        self.assertNotIn("went on", self.bash.expect(self.PROMPT))
        self.leave()

    def test_ctrl_c_ends_a_loop_around_retries(self):
        # Between the attempts nothing else runs that could die of it.
        self.type("for i in 1 2 3; do \"$TROUPE\" exec --retries 3 --delay 1h "
                  "false; echo went on; done")
        self.bash.expect("attempt 1 of 4: exited with 1")
        self.bash.send(CTRL_C)
        self.assertNotIn("went on", self.bash.expect(self.PROMPT))
        self.leave()

    def test_a_command_may_make_of_ctrl_c_what_it_likes(self):
        self.type("bash -c '\"$TROUPE\" exec sh -c \"trap \\\"echo saved; exit "
                  f"3\\\" INT; sleep {self.seconds}\"; echo status $?'")
        self.wait_for_sleeper()
        self.bash.send(CTRL_C)
        shown = self.bash.expect(self.PROMPT)
        self.assertIn("saved\r\n", shown)
        self.assertEqual(shown.count("saved"), 1)
        self.assertIn("status 3\r\n", shown)
        self.leave()

    def test_ctrl_backslash_ends_the_command(self):
        self.type(f'"$TROUPE" exec sleep {self.seconds}')
        self.wait_for_sleeper()
        self.bash.send(CTRL_BACKSLASH)
        self.bash.expect(self.PROMPT)
        self.assertEqual(self.enter("echo $?"), "131\n")
        self.assert_command_gone()
        self.leave()

    def test_ctrl_z_stops_the_job_and_fg_continues_it(self):
        self.type('"$TROUPE" exec sh -c \'read x; echo "got $x"; exit 5\'')
        def readers():
            return [pid for pid, command in self.left().items()
                    if "read x" in command and command.startswith("sh")]

        wait_until(readers, what="the command")
        (reader,) = readers()
        self.bash.send(CTRL_Z)
        self.bash.expect("Stopped")
        self.bash.expect(self.PROMPT)
        # Until it stands still as well, it may read what is typed.
        self.wait_for_state(reader, "T")
        self.type("fg")
        self.bash.send("again\n")
        self.bash.expect("got again")
        self.bash.expect(self.PROMPT)
        self.assertEqual(self.enter("echo $?"), "5\n")
        self.leave()

    def test_a_stopped_command_does_stop_and_goes_on_in_the_background(self):
        self.type(f'"$TROUPE" exec sleep {self.seconds}')
        pid = self.wait_for_sleeper()
        self.bash.send(CTRL_Z)
        self.bash.expect("Stopped")
        self.bash.expect(self.PROMPT)
        self.wait_for_state(pid, "T")
        self.enter("bg")
        self.wait_for_state(pid, "S")
        self.enter("kill %1; wait")
        self.assert_command_gone()
        self.leave()

    def test_a_job_from_the_background_can_come_to_the_foreground(self):
        self.enter('"$TROUPE" exec sh -c \'read x; echo "got $x"\' &')
        self.type("fg")
        self.bash.send("this\n")
        self.bash.expect("got this")
        self.bash.expect(self.PROMPT)
        self.leave()

    def test_a_time_out_ends_the_command_and_not_the_shell(self):
        self.type(f'"$TROUPE" exec --timeout 300ms sleep {self.seconds}')
        self.assertEqual(self.bash.expect(self.PROMPT),
                         "troupe: timed out after 300ms\r\n")
        self.assertEqual(self.enter("echo $?"), "124\n")
        self.leave()

    def test_it_works_in_a_pipeline(self):
        self.type("echo a line | \"$TROUPE\" exec sh -c "
                  "'cat; read x </dev/tty; echo \"got $x\"' | cat")
        self.bash.expect("a line")
        self.bash.send("this\n")
        self.bash.expect("got this")
        self.bash.expect(self.PROMPT)
        self.leave()

    def test_kill_9_of_troupe_gives_the_prompt_back_and_leaves_nothing(self):
        self.type(f'"$TROUPE" exec sleep {self.seconds}')
        self.wait_for_sleeper()
        found = processes_with(self.seconds).items()
        (troupe,) = [pid for pid, command in found
                     if command.startswith(self.env["TROUPE"])]
        os.kill(troupe, signal.SIGKILL)
        self.bash.expect("Killed")
        self.bash.expect(self.PROMPT)
        self.assert_command_gone()
        self.leave()


if __name__ == "__main__":
    unittest.main()
