"""bench/crash.py for a while: what the node promises holds while it, its warden or
both are killed, and over power cuts; and if it did not hold, that would be seen."""

import shutil
import unittest
from pathlib import Path

from troupe_e2e import TroupeTest

CRASH = Path(__file__).resolve().parents[2] / "bench" / "crash.py"


class CrashTest:
    SECONDS = 20

    def crash(self, *options):
        finished = self.run_program(
            ["python3", "-B", CRASH, "--folder", self.folder / "crash", *options],
            within=380, env={"XDG_RUNTIME_DIR": str(self.folder)})
        print(finished.out)
        self.assertEqual(finished.code, 0, finished)
        return finished

    def keep_every_promise(self, seed):
        self.crash("--minutes", self.SECONDS / 60, "--seed", seed)


class CrashOne(CrashTest, TroupeTest):
    def test_keeps_every_promise(self):
        self.keep_every_promise(1)


class CrashTwo(CrashTest, TroupeTest):
    def test_keeps_every_promise(self):
        self.keep_every_promise(2)


@unittest.skipUnless(shutil.which("cc"), "there is no C compiler")
class LyingDisk(CrashTest, TroupeTest):
    def test_is_found_out(self):
        self.assertIn("lost: job", self.crash("--lying-disk").out)


if __name__ == "__main__":
    unittest.main()
