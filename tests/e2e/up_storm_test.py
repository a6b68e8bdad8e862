"""troupe up: many services that crash at the same moment."""

import os
import signal
import time
import unittest
from collections import Counter

from stacks import Stacks, TroupeTest
from troupe_e2e import SANITIZED, processes_with, wait_until

SERVICES = 200
PAUSE = 1.0
JITTER = 0.5
BIN = 0.1


def cpu_seconds(pid):
    """User and system time of a process so far."""
    text = open(f"/proc/{pid}/stat").read()
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Storm(Stacks, TroupeTest):
    def stack(self):
        """Each service notes when it starts, and can be made to crash."""
        run = f"date +%s.%N >> starts; exec sleep {self.seconds}"
        return {"intensity": 100000, "backoff": {
            "min": f"{PAUSE}s", "max": f"{PAUSE}s", "jitter": JITTER},
            "children": {"w": {"intensity": 100000, "replicas": SERVICES,
                               "template": {"run": run}}}}

    def starts(self):
        return [float(line) for line in
                (self.cwd / "starts").read_text().splitlines()]

    def up_storm(self):
        up = self.up(self.stack())
        wait_until(lambda: len(self.running()) == SERVICES,
                   what="all services")
        return up

    def running(self):
        return [pid for pid, command in processes_with(self.seconds).items()
                if command.startswith("sleep ")]

    def crash_all(self):
        for pid in self.running():
            os.kill(pid, signal.SIGKILL)
        return time.time()

    def test_the_restarts_of_all_are_spread_and_cost_little(self):
        up = self.up_storm()
        crashed = self.crash_all()
        wait_until(lambda: len(self.starts()) >= 2 * SERVICES,
                   what="all restarts")
        after = [start - crashed for start in self.starts()[SERVICES:]]
        self.assertEqual(len(after), SERVICES)
        histogram = Counter(int(second / BIN) for second in after)
        for step in range(max(histogram) + 1):
            print(f"{step * BIN:4.1f} s {'#' * histogram[step]}")
        self.assertGreater(min(after), PAUSE * (1 - JITTER) - 0.1)
        # Were they not spread, all would be in one or two of ten steps.
        self.assertGreaterEqual(len(histogram), 4)
        self.assertLess(max(histogram.values()), SERVICES / 2)
        used = cpu_seconds(up.pid)
        print(f"{2 * SERVICES} starts took {used:.2f} s of processor time")
        if not SANITIZED:
            self.assertLess(used, 0.01 * 2 * SERVICES)
        states = Counter(entry["state"] for entry in self.entries().values())
        self.assertEqual(states["running"], SERVICES + 2)

    def test_down_works_at_any_moment_of_it(self):
        for moment in (0.0, 0.6, 1.0):
            with self.subTest(moment):
                up = self.up_storm()
                self.crash_all()
                time.sleep(moment)
                self.ok("down", within=20)
                self.assertEqual(up.finish(within=10), 0)
                self.assert_nothing_left(0)
                (self.cwd / "starts").unlink()

    def test_waiting_costs_nothing(self):
        up = self.up({"intensity": 100000, "children": {"w": {
            "intensity": 100000, "replicas": SERVICES,
            "backoff": {"min": "1h", "max": "1h"},
            "template": {"run": "exit 1"}}}})
        wait_until(lambda: Counter(
            entry["state"] for entry in self.entries().values())["restarting"]
            == SERVICES, what="all pauses")
        before = cpu_seconds(up.pid)
        time.sleep(0.5)
        self.assertLessEqual(cpu_seconds(up.pid) - before, 0.05)


if __name__ == "__main__":
    unittest.main()
