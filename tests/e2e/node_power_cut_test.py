"""troupe node after a power cut: what was answered still holds, and what had been kept
is there."""

import contextlib
import os
import random
import shutil
import signal
import sys
import unittest
from pathlib import Path

from nodes import WithNode
from troupe_e2e import TroupeTest, processes_with, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from volatile_disk import NOTHING, VolatileDisk, build_library  # noqa: E402


@unittest.skipUnless(shutil.which("cc"), "there is no C compiler")
class PowerCut(WithNode, TroupeTest):
    def setUp(self):
        super().setUp()
        self.node.end()
        self.disk = VolatileDisk(self.node.folder, build_library(self.folder))
        self.node.start(env=self.disk.environment())

    def cut_power(self):
        """Nothing is there that was not synced; and the power is back."""
        self.node.process.kill()
        self.node.process.wait()
        wait_until(lambda: not self.kill_what_runs(), what="the end of all")
        cut = self.disk.cut_power(random.Random(1), NOTHING)
        self.node.start(env=self.disk.environment())
        return cut

    def kill_what_runs(self):
        left = processes_with(self.mark)
        for pid in left:
            # It may have ended by itself since.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def is_held(self):
        return self.node.get("/v1/node")["is_held"]

    def test_leaves_a_node_paused(self):
        self.ok("pause", "--all")
        self.cut_power()
        self.assertTrue(self.is_held())

    def test_leaves_a_node_resumed(self):
        self.ok("pause", "--all")
        self.cut_power()
        self.assertTrue(self.is_held())
        self.ok("resume", "--all")
        self.cut_power()
        self.assertFalse(self.is_held())

    def test_takes_no_output_that_has_been_there_for_long(self):
        job = self.submit("--", "seq 9000")
        self.node.wait_for_end(job)
        record = self.node.folder / "output" / "0" / str(job) / "0.1"
        compressed = record.with_name("0.1.zst")
        wait_until(lambda: compressed.exists() and not record.exists(),
                   what="compressed output")
        self.cut_power()
        self.assertEqual(self.output(job).split()[-1:], [b"9000"])

    def test_lets_what_runs_run_again(self):
        job = self.submit("--", "echo x >> ran; until test -e go; do sleep 0.01; done")
        once = self.submit("--at-most-once", "--",
                           f"echo y >> once; sleep {self.seconds}")
        self.wait_for_lines("ran", 1)
        self.wait_for_lines("once", 1)
        self.cut_power()
        self.wait_for_lines("ran", 2)
        (self.cwd / "go").touch()
        self.assertEqual(self.node.wait_for_end(job)["counts"]["success"], 1)
        self.assertEqual(self.node.wait_for_end(once)["counts"]["lost"], 1)
        self.assertEqual(self.text("once"), "y\n")


if __name__ == "__main__":
    unittest.main()
