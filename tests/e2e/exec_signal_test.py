"""troupe exec: signals, masks and descriptors are as if troupe were not there.

Descriptors that troupe was started with are passed on, so that process
substitution, lock files and make's job server work; none of troupe's own are.
"""

import os
import signal
import time
import unittest

from troupe_e2e import TroupeTest, children_of, status_field, wait_until

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT,
             signal.SIGUSR1, signal.SIGUSR2)


class Forwarding(TroupeTest):
    def start_trap(self, number, *options):
        running = self.start_troupe(
            "exec", *options, "--", "sh", "-c",
            f"trap 'echo got it; exit 9' {number:d}; "
            f"sleep {self.seconds} & echo x > ran; wait")
        self.wait_for_file("ran")
        os.remove(self.cwd / "ran")
        return running

    def test_the_command_gets_what_troupe_is_sent(self):
        for number in FORWARDED:
            with self.subTest(number.name):
                running = self.start_trap(number, "-q")
                running.signal(number)
                self.assert_ended(running.finish(), 9, out="got it\n")

    def test_a_captured_command_gets_it_too(self):
        running = self.start_trap(signal.SIGTERM, "--json")
        running.signal(signal.SIGTERM)
        finished = running.finish()
        self.assertEqual((finished.code, finished.err), (9, "got it\n"))

    def test_a_command_that_it_ends_gives_128_and_its_number(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            with self.subTest(number.name):
                running = self.start_troupe("exec", "sleep", self.seconds)
                self.wait_for_leader(running)
                running.signal(number)
                self.assert_ended(running.finish(), 128 + number)

    def test_sigint_ends_troupe_like_the_command(self):
        # So that a shell can tell an interrupt from a failure.
        running = self.start_troupe("exec", "sleep", self.seconds)
        self.wait_for_leader(running)
        running.signal(signal.SIGINT)
        self.assert_ended(running.finish(), -signal.SIGINT)

    def wait_for_leader(self, running):
        """The pid of the command, once it runs its program."""
        def leader():
            for child in children_of(self.wait_for_warden(running.pid)):
                if status_field(child, "Name") == "sleep":
                    return child
            return None
        return wait_until(leader, what="the command")

    def test_a_signal_that_the_command_survives_is_survived(self):
        running = self.start_troupe(
            "exec", "sh", "-c",
            "trap 'echo user >> got' USR1; echo x > ran; "
            "while [ $(wc -l < got) -lt 3 ]; do sleep 0.01; done; exit 4")
        (self.cwd / "got").write_text("")
        self.wait_for_file("ran")
        for count in (1, 2, 3):
            running.signal(signal.SIGUSR1)
            wait_until(lambda n=count: (self.cwd / "got").read_text().count(
                "user") == n, what=f"signal {count}")
        self.assert_ended(running.finish(), 4)

    def test_a_signal_to_the_group_reaches_the_command_once(self):
        running = self.start_troupe(
            "exec", "-q", "sh", "-c",
            "trap 'echo got it' TERM; echo x > ran; "
            "i=0; while [ $i -lt 30 ]; do sleep 0.02; i=$((i+1)); done",
            start_new_session=True)
        self.wait_for_file("ran")
        os.killpg(running.pid, signal.SIGTERM)
        self.assertEqual(running.finish().out, "got it\n")

    def test_at_no_moment_of_the_start_is_a_signal_lost(self):
        # Any moment will do, so this is no wait for something to happen.
        for delay in range(0, 80, 4):
            with self.subTest(f"{delay} ms"):
                running = self.start_troupe("exec", "sleep", self.seconds)
                time.sleep(delay / 1000)
                running.signal(signal.SIGTERM)
                self.assertIn(running.finish().code,
                              (-signal.SIGTERM, 128 + signal.SIGTERM))
                self.assert_nothing_left()


class Inheritance(TroupeTest):
    SIGNALS = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]

    # What glibc keeps for itself; it leaves them ignored in all that it starts
    # by posix_spawn.
    INTERNAL = 1 << 31 | 1 << 32

    def states(self, text):
        return {name: int(value, 16) & ~self.INTERNAL for name, value in
                (line.split(":") for line in text.splitlines())}

    def assert_same(self, prepare):
        """Blocked and ignored signals are those without troupe; returns
        them."""
        plain = self.run_program(self.SIGNALS, preexec_fn=prepare).out
        ours = self.troupe("exec", *self.SIGNALS, preexec_fn=prepare).out
        captured = self.troupe("exec", "--json", *self.SIGNALS,
                               preexec_fn=prepare).err
        self.assertEqual(self.states(ours), self.states(plain))
        self.assertEqual(self.states(captured), self.states(plain))
        return self.states(plain)

    def test_signals_are_neither_blocked_nor_ignored_by_us(self):
        plain = self.assert_same(None)
        self.assertEqual(set(plain.values()), {0})

    def test_blocked_signals_stay_blocked(self):
        def block():
            signal.pthread_sigmask(signal.SIG_BLOCK,
                                   [signal.SIGTERM, signal.SIGUSR2])
        plain = self.assert_same(block)
        self.assertNotEqual(plain["SigBlk"], 0)

    def test_ignored_signals_stay_ignored(self):
        def ignore():
            for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
                signal.signal(number, signal.SIG_IGN)
        plain = self.assert_same(ignore)
        self.assertNotEqual(plain["SigIgn"], 0)

    def test_nohup_protects_the_command_and_troupe(self):
        running = self.start(
            ["nohup", self.env["TROUPE"], "exec", "sh", "-c",
             "echo x > ran; cat"], stdin=-1)
        self.wait_for_file("ran")
        running.signal(signal.SIGHUP)
        finished = running.finish(input=b"still here")
        self.assertEqual((finished.code, finished.out), (0, "still here"))

    LIST = "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> .*/\\1/p'"

    def test_the_command_sees_no_descriptor_of_ours(self):
        plain = self.sh(self.LIST).out
        self.assertEqual(self.troupe("exec", "sh", "-c", self.LIST).out, plain)
        self.assertEqual(
            self.troupe("exec", "--json", "sh", "-c", self.LIST).err, plain)

    def test_the_command_sees_the_descriptors_that_troupe_was_given(self):
        (self.cwd / "file").write_text("text\n")
        (self.cwd / "script").write_text(f"{self.LIST}; cat <&3; cat /dev/fd/7")
        plain = self.sh("sh script 3<file 7<file").out
        self.assertTrue(plain.endswith("text\ntext\n"))
        self.assertEqual(
            self.sh('"$TROUPE" exec sh script 3<file 7<file').out, plain)
        self.assertEqual(
            self.sh('"$TROUPE" exec --json sh script 3<file 7<file').err, plain)

    def test_process_substitution_works(self):
        self.assert_ended(
            self.run_program(["bash", "-c", '"$TROUPE" exec diff <(echo a; '
                              'echo b) <(echo a; echo b) && echo same']),
            0, out="same\n")

    def test_a_lock_is_held_as_long_as_the_command_runs(self):
        script = ('exec 9>lock; flock 9; "$TROUPE" exec sh -c '
                  '"flock -n lock true || echo locked"')
        self.assertEqual(self.sh(script).out, "locked\n")


if __name__ == "__main__":
    unittest.main()
