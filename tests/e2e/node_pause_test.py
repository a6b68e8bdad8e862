"""troupe pause --running: what runs stands still, and goes on as if nothing had been."""

import os
import signal
import time
import unittest

from nodes import WithNode
from troupe_e2e import TroupeTest, processes_with, state_of, wait_until


class Running(WithNode, TroupeTest):
    CONFIG = "slots: 4\n"

    def wait_for_letter(self, pid, letter):
        wait_until(lambda: state_of(pid) == letter, what=f"state {letter} of {pid}")

    def paused(self, *options):
        """A job that stands still, and its process."""
        job = self.sleeper(*options)
        pid = self.node.wait_for_pid(job)
        self.ok("pause", "--running", str(job))
        self.wait_for_letter(pid, "T")
        return job, pid

    def state_in_list(self, job):
        for line in self.ok("list").out.splitlines():
            words = line.split()
            if words[0] == str(job):
                return words[1]
        return None

    def test_stands_still_until_it_is_resumed(self):
        job, pid = self.paused()
        self.assertEqual(self.state_in_list(job), "paused")
        self.assertIn("paused", self.ok("status", f"{job}.0").out)
        self.ok("resume", str(job))
        self.wait_for_letter(pid, "S")
        self.assertEqual(self.state_in_list(job), "running")

    def test_goes_on_without_the_option(self):
        job = self.sleeper()
        self.ok("pause", str(job))
        self.assertEqual(state_of(self.node.wait_for_pid(job)), "S")
        self.assertEqual(self.state_in_list(job), "running")

    def test_stands_still_as_a_whole_tree(self):
        job = self.submit("--", f"setsid sleep {self.seconds} & wait")

        def sleeper():
            return [pid for pid, command in processes_with(self.seconds).items()
                    if command.startswith("sleep ")]

        pid = wait_until(sleeper, what="the sleeper")[0]
        self.ok("pause", "--running", str(job))
        self.wait_for_letter(pid, "T")
        self.ok("resume", str(job))
        self.wait_for_letter(pid, "S")

    def test_does_not_time_out_and_does_afterwards(self):
        job, _ = self.paused("--timeout", "1s")
        time.sleep(1.3)
        self.assertEqual(self.node.job(job)["state"], "running")
        self.ok("resume", str(job))
        self.node.wait_for_end(job)
        self.assertEqual(self.node.task(job)["result"]["outcome"], "timed_out")

    def test_can_be_cancelled(self):
        job, _ = self.paused()
        begun = time.monotonic()
        self.ok("cancel", str(job))
        self.assertEqual(self.node.wait_for_end(job)["state"], "cancelled")
        self.assertLess(time.monotonic() - begun, 10)

    def test_that_somebody_kills_has_ended(self):
        job, pid = self.paused()
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.node.wait_for_end(job)["state"], "failed")

    def test_of_a_group_stands_still_and_no_other(self):
        self.ok("group", "add", "mail", "--slots", "2")
        mail = self.node.wait_for_pid(self.sleeper("--group", "mail"))
        other = self.node.wait_for_pid(self.sleeper())
        self.ok("pause", "--running", "--group", "mail")
        self.wait_for_letter(mail, "T")
        self.assertEqual(state_of(other), "S")
        self.ok("resume", "--group", "mail")
        self.wait_for_letter(mail, "S")

    def test_of_all_jobs_stands_still(self):
        pids = [self.node.wait_for_pid(self.sleeper()) for _ in range(2)]
        self.ok("pause", "--running", "--all")
        for pid in pids:
            self.wait_for_letter(pid, "T")
        self.ok("resume", "--all")
        for pid in pids:
            self.wait_for_letter(pid, "S")

    def test_stands_still_for_the_next_node_as_well(self):
        job, pid = self.paused()
        self.node.restart()
        self.assertEqual(self.node.wait_for_pid(job), pid)
        self.assertEqual(state_of(pid), "T")
        wait_until(lambda: self.state_in_list(job) == "paused",
                   what="a job that is shown as paused")
        self.ok("resume", str(job))
        self.wait_for_letter(pid, "S")

    def test_is_a_reason_why_nothing_happens(self):
        job, _ = self.paused()
        self.assertEqual(self.node.kinds(job), ["paused"])
        self.assertIn(f"troupe resume {job}", self.ok("why", str(job)).out)

    def test_ends_with_the_node(self):
        job, _ = self.paused()
        self.assertEqual(self.node.terminate(), 0)
        self.node.start()
        # It is held, so it waits.
        self.assertEqual(self.node.job(job)["state"], "held")


if __name__ == "__main__":
    unittest.main()
