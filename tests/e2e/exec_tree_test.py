"""troupe exec: whatever a command starts ends with it, in every way to end."""

import os
import signal
import unittest

from troupe_e2e import LONG, TroupeTest, processes_with, wait_until

# Processes that do all they can to outlive the command: they leave its session,
# its parents, its environment and the polite signal behind. Each is found by
# the duration that it sleeps.
STUBBORN = """
trap "" TERM HUP INT
(setsid sh -c 'trap "" TERM HUP INT; sleep {seconds}; sleep {seconds}' &)
(setsid sh -c '(env -i setsid sleep {seconds} &) ; exec sleep {seconds}' &)
env -i sh -c '(setsid sleep {seconds} >/dev/null 2>&1 </dev/null &)'
echo ready > ready
sleep {seconds}
sleep {seconds}
"""


class TreeTest:
    def stubborn(self):
        return STUBBORN.format(seconds=self.seconds)

    def sleepers(self):
        return [pid for pid, command in processes_with(self.seconds).items()
                if command.startswith("sleep")]

    def start_stubborn(self, *options, **others):
        """Returns once all of its five sleepers are there."""
        running = self.start_troupe("exec", *options, "--", "sh", "-c",
                                    self.stubborn(), **others)
        wait_until(lambda: len(self.sleepers()) == 5, what="five sleepers")
        return running


class TimeOut(TreeTest, TroupeTest):
    def test_it_ends_a_tree_that_resists(self):
        script = ('trap "" TERM; (setsid sh -c "trap \\"\\" TERM; '
                  f'sleep {self.seconds}" &) ; sleep {self.seconds}')
        finished = self.troupe("exec", "--timeout", "1s", "--grace", "1s", "--",
                               "sh", "-c", script)
        self.assert_nothing_left(within=0)
        self.assertEqual(finished.code, 124)

    def test_it_ends_daemons_without_an_environment(self):
        finished = self.troupe("exec", "--timeout", "1s", "--grace", "200ms",
                               "--", "sh", "-c", self.stubborn())
        self.assert_nothing_left(within=0)
        self.assertEqual(finished.code, 124)
        self.assertTrue((self.cwd / "ready").exists())

    def test_it_ends_a_command_that_forks_all_the_time(self):
        # Each round replaces its process by two, up to some two hundred.
        script = f"""
            round() {{
              if [ $1 -gt 0 ]; then
                (round $(($1 - 1))) & (round $(($1 - 1))) &
              fi
              exec sleep {self.seconds}
            }}
            trap "" TERM
            round 7"""
        running = self.start_troupe("exec", "--timeout", "2s", "--grace",
                                    "100ms", "--", "sh", "-c", script)
        finished = running.finish()
        self.assert_nothing_left(within=0)
        self.assertEqual(finished.code, 124)

    def test_a_stopped_command_is_ended_too(self):
        finished = self.troupe("exec", "--timeout", "500ms", "--", "sh", "-c",
                               f"kill -STOP $$; sleep {self.seconds}")
        self.assert_nothing_left(within=0)
        self.assertEqual(finished.code, 124)


class EndOfCommand(TreeTest, TroupeTest):
    def test_what_it_left_behind_is_killed_and_mentioned(self):
        finished = self.troupe("exec", "--", "sh", "-c",
                               f"sleep {self.seconds} & echo done; exit 3")
        self.assert_nothing_left(within=0)
        self.assert_ended(
            finished, 3, out="done\n",
            err="troupe: note: killed 1 process that it left behind\n")

    def test_a_process_that_holds_the_output_does_not_hold_the_result(self):
        finished = self.troupe("exec", "--json", "--", "sh", "-c",
                               f"sleep {self.seconds} & echo done; exit 3")
        self.assert_nothing_left(within=0)
        attempt = finished.json()["attempts"][0]
        self.assertEqual((finished.code, finished.err), (3, "done\n"))
        self.assertEqual(attempt["leftovers_killed"], 1)
        self.assertEqual(attempt["notes"], [
            "killed 1 process that it left behind and that held its output "
            "open"])
        # That of the command alone, not of what it left behind.
        self.assertLess(attempt["wall_s"], 30)

    def test_daemons_do_not_outlive_it(self):
        script = self.stubborn().replace("echo ready > ready", "exit 0")
        finished = self.troupe("exec", "-q", "--", "sh", "-c", script)
        self.assert_nothing_left(within=0)
        self.assert_ended(finished, 0)

    def test_a_child_that_ends_in_time_is_not_mentioned(self):
        self.assert_ended(
            self.troupe("exec", "sh", "-c", "(sleep 0.02; echo late) &"), 0,
            out="late\n")


class EndOfTroupe(TreeTest, TroupeTest):
    def test_kill_9_of_troupe_leaves_nothing(self):
        running = self.start_stubborn()
        running.signal(signal.SIGKILL)
        self.assert_nothing_left()

    def test_kill_9_of_troupe_with_captured_output_leaves_nothing(self):
        running = self.start_stubborn("--json")
        running.signal(signal.SIGKILL)
        self.assert_nothing_left()

    def test_kill_9_of_the_warden_leaves_nothing_and_is_told(self):
        running = self.start_stubborn()
        os.kill(self.wait_for_warden(running.pid), signal.SIGKILL)
        finished = running.finish()
        self.assert_nothing_left(within=0)
        self.assert_ended(finished, 125,
                          err="troupe: the warden that ran it died\n")

    def test_kill_9_of_the_warden_makes_the_outcome_lost(self):
        running = self.start_stubborn("--json")
        os.kill(self.wait_for_warden(running.pid), signal.SIGKILL)
        finished = running.finish()
        self.assert_nothing_left(within=0)
        outcome = finished.json()
        self.assertEqual(
            (finished.code, outcome["outcome"], outcome["exit_status"],
             outcome["exit_code"], outcome["causes"][0]["kind"]),
            (125, "lost", 125, None, "warden_lost"))

    def test_a_lost_attempt_is_tried_again_under_a_new_warden(self):
        running = self.start_troupe(
            "exec", "--retries", "1", "--delay", "10ms", "--", "sh", "-c",
            "echo x >> tries; test $(wc -l < tries) -eq 2 || "
            f"exec sleep {self.seconds}")
        self.wait_for_file("tries")
        os.kill(self.wait_for_warden(running.pid), signal.SIGKILL)
        self.assertEqual(running.finish().code, 0)
        self.assertEqual((self.cwd / "tries").read_text(), "x\nx\n")

    def test_children_from_before_the_exec_are_left_alone(self):
        shell = self.start(["sh", "-c", f"sleep {self.seconds}1 & echo $! > "
                            'before; exec "$TROUPE" exec -q -- sh -c '
                            f"'echo x > ran; exec sleep {self.seconds}2'"])
        self.wait_for_file("ran")
        os.kill(self.wait_for_warden(shell.pid), signal.SIGKILL)
        before = int(self.wait_for_file("before"))
        self.assertEqual(self.end_of(shell), 125)
        self.assertEqual(list(self.left()), [before])
        os.kill(before, signal.SIGKILL)

    @staticmethod
    def end_of(running):
        # The sleeper holds the pipes, so their end cannot be waited for.
        return running.process.wait(timeout=LONG)

    def test_kill_9_of_both_leaves_no_command(self):
        running = self.start_troupe("exec", "--", "sh", "-c",
                                    f"echo x > ran; exec sleep {self.seconds}")
        self.wait_for_file("ran")
        warden = self.wait_for_warden(running.pid)
        running.signal(signal.SIGSTOP)  # It cannot do the warden's work.
        os.kill(warden, signal.SIGKILL)
        running.signal(signal.SIGKILL)
        self.assert_nothing_left()


class Hygiene(TroupeTest):
    def test_two_hundred_commands_leave_nothing(self):
        finished = self.sh('i=0; while [ $i -lt 200 ]; do '
                           '"$TROUPE" exec true || exit; i=$((i+1)); done',
                           within=150)
        self.assert_nothing_left(within=0)
        self.assert_ended(finished, 0)

    def test_commands_side_by_side_leave_each_other_alone(self):
        first = self.start_troupe("exec", "sh", "-c",
                                  f"echo x > ran; exec sleep {self.seconds}")
        self.wait_for_file("ran")
        self.assert_ended(
            self.troupe("exec", "-q", "sh", "-c",
                        f"(env -i setsid sleep {self.seconds}1 &) ; exit 4"), 4)
        self.assertIsNone(first.process.poll())
        first.signal(signal.SIGTERM)
        self.assertEqual(first.finish().code, 143)

    def test_a_troupe_within_a_troupe_ends_with_it(self):
        finished = self.sh(
            '"$TROUPE" exec --timeout 1s -- "$TROUPE" exec -- '
            f'sh -c "trap \\"\\" TERM; sleep {self.seconds} & wait; '
            f'sleep {self.seconds}"')
        self.assert_nothing_left(within=0)
        self.assertEqual(finished.code, 124)


if __name__ == "__main__":
    unittest.main()
