"""troupe map: as many jobs as somebody may have, all in one map."""

import os
import subprocess
import threading
import unittest

from troupe_e2e import SANITIZED, TroupeTest, peak_memory_kib

# Nearly all of the time is what the programs take: twenty seconds on two slow
# processors. More show nothing else, but can be asked for.
JOBS = 5_000 if SANITIZED else int(os.environ.get("TROUPE_MAP_JOBS", "10000"))
FIRST = 2_000    # Until then buffers and pools grow.
LIMIT_SECONDS = 600
MOST_MEMORY_KIB = 64 << 10
MOST_GROWTH_KIB = 4 << 10


class Count(TroupeTest):
    def test_tens_of_thousands_of_jobs_come_in_order_and_take_no_memory(self):
        running = self.start_troupe("map", "-j", "8", "echo {}",
                                    "--keep-order", stdin=subprocess.PIPE)
        deadline = threading.Timer(LIMIT_SECONDS, running.process.kill)
        deadline.start()
        self.addCleanup(deadline.cancel)
        feeder = threading.Thread(target=self.feed, args=[running])
        feeder.start()
        self.addCleanup(feeder.join)
        for number in range(1, JOBS + 1):
            line = running.process.stdout.readline()
            if line != b"%d\n" % number:
                self.fail(f"{line!r} where {number} should be")
            if number == FIRST:
                first = self.memory_of(running)
        # It still waits for more: its whole memory can be seen.
        if not SANITIZED:
            for before, after in zip(first, self.memory_of(running)):
                self.assertLess(after, MOST_MEMORY_KIB)
                self.assertLess(after - before, MOST_GROWTH_KIB)
        feeder.join()
        self.assert_ended(running.finish(), 0)

    def memory_of(self, running):
        return [peak_memory_kib(pid)
                for pid in (running.pid, self.wait_for_warden(running.pid))]

    @staticmethod
    def feed(running):
        try:
            for number in range(1, JOBS + 1):
                running.process.stdin.write(b"%d\n" % number)
            running.process.stdin.flush()
        except OSError:
            pass  # The reader of the output says what has happened.


if __name__ == "__main__":
    unittest.main()
