"""What troupe node keeps, and for how long: jobs, output, room on the disk."""

import contextlib
import os
import signal
import subprocess
import unittest
import uuid

from nodes import WithNode
from troupe_e2e import TroupeTest, wait_until

# The node looks every five seconds.
LOOK = 12


class KeepTest:
    def is_known(self, job):
        return self.node.ask("GET", f"/v1/jobs/{job}")[0] == 200

    def ended(self, *words):
        job = self.submit("--", *words)
        self.node.wait_for_end(job)
        return job

    def wait_for_a_look(self, witness):
        """`witness` is a job that the node is certain to forget."""
        wait_until(lambda: not self.is_known(witness), LOOK, "a forgotten job")


class Jobs(KeepTest, WithNode, TroupeTest):
    CONFIG = ("slots: 16\nkeep-jobs: 2\nkeep-age: 1d\nkeep-failed-age: 1s\n"
              "output-total: 1MiB\n")

    def test_that_are_old_are_forgotten_with_their_output(self):
        kept, old = self.ended("echo kept"), self.ended("echo old; exit 1")
        self.wait_for_a_look(old)
        self.assertTrue(self.is_known(kept))
        wait_until(lambda: len([path for path in
                                (self.node.folder / "output").rglob("*")
                                if path.is_file()]) <= 1, LOOK, "room")

    def test_that_are_too_many_are_forgotten(self):
        jobs = [self.ended("true") for _ in range(4)]
        self.wait_for_a_look(self.ended("exit 1"))
        known = [self.is_known(job) for job in jobs]
        # The job that has failed may have counted while it was there.
        self.assertIn(known, ([False, False, True, True],
                              [False, False, False, True]))

    def test_that_have_written_too_much_lose_their_output(self):
        for _ in range(4):
            self.ended("head -c 900000 /dev/urandom")
        self.wait_for_a_look(self.ended("exit 1"))
        size = sum(path.stat().st_size for path in
                   (self.node.folder / "output").rglob("*") if path.is_file())
        self.assertLess(size, 2 << 20)


class ManyFailed(KeepTest, WithNode, TroupeTest):
    CONFIG = "slots: 16\nkeep-age: 1s\nkeep-failed-age: 90d\n"

    def test_do_not_keep_others_from_being_forgotten(self):
        for _ in range(1000):
            job = self.node.post("/v1/jobs", {
                "request_id": uuid.uuid4().hex,
                "command": {"words": ["/no/such/program"], "cwd": "/"}})["job"]
        wait_until(lambda: self.node.get("/v1/stats")["ended_attempts"] == 1000,
                   what="a thousand failures")
        self.node.wait_for_end(job)
        self.wait_for_a_look(self.ended("true"))


class FullDisk(WithNode, TroupeTest):
    def test_starts_nothing_new(self):
        self.ok("pause", "--all")
        job = self.submit("--", "echo x >> ran")
        self.node.configure("slots: 2\ndisk-reserve: 1000000GiB\n")
        self.node.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.troupe("submit", "true").code == 1,
                   what="a disk that is too full")
        self.ok("resume", "--all")
        with self.assertRaises(AssertionError):
            wait_until(lambda: self.node.job(job)["ended"], 2, "the end")


class OnDiskOfItsOwn(TroupeTest):
    """Where the folder of the node will be, there is a small file system."""

    def setUp(self):
        super().setUp()
        folder = self.folder / "node"
        folder.mkdir()
        if os.geteuid() != 0 or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=8m", "troupe-e2e", folder],
                capture_output=True, check=False).returncode != 0:
            self.skipTest("cannot mount a file system")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)


class SmallDisk(WithNode, OnDiskOfItsOwn):
    CONFIG = "slots: 2\ndisk-reserve: 1MiB\norphan-time: 60s\nstop-time: 60s\n"

    def fill(self):
        """Until not a byte is left; the file that took it."""
        filler = self.node.folder / "filler"
        with open(filler, "wb", buffering=0) as file, \
                contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        return filler

    def test_that_stays_full_holds_up_no_end_and_loses_none(self):
        job = self.submit("--at-most-once", "--",
                          "echo x >> ran; until test -e go; do sleep 0.05; done")
        self.wait_for_lines("ran", 1)
        filler = self.fill()
        (self.cwd / "go").touch()
        wait_until(lambda: self.node.get("/v1/stats")["has_store_trouble"],
                   what="an end that cannot be recorded")
        self.assertEqual(self.node.terminate(30), 0)
        self.assertIn("ends_not_recorded tasks=1", self.node.log_text())
        filler.unlink()
        self.node.start()
        self.assertEqual(self.node.wait_for_end(job)["state"], "succeeded")
        self.assertEqual(self.text("ran"), "x\n")


if __name__ == "__main__":
    unittest.main()
