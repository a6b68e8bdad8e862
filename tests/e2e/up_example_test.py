"""examples/stack.yaml does what its comments say."""

import json
import os
import re
import shutil
import signal
import tempfile
import unittest
from pathlib import Path

from troupe_e2e import TroupeTest, wait_until

ROOT = Path(__file__).resolve().parents[2]


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")
class Example(TroupeTest):
    def setUp(self):
        super().setUp()
        (self.cwd / "examples").symlink_to(ROOT / "examples")
        # Short, since a socket's path is limited.
        runtime = tempfile.mkdtemp(prefix="tr")
        self.addCleanup(shutil.rmtree, runtime, ignore_errors=True)
        self.env["XDG_RUNTIME_DIR"] = runtime
        self.env["XDG_STATE_HOME"] = str(self.cwd / "state")

    def services(self):
        stacks = json.loads(self.troupe("ps", "--json").out)
        return {s["name"]: s for s in stacks[0]["services"]} if stacks else {}

    def state(self, name):
        return self.services().get(name, {}).get("state")

    def test_the_cache_takes_the_web_along_and_the_workers_are_held(self):
        started = self.troupe("up", "-d", "examples/stack.yaml")
        self.assertEqual(started.code, 0, started)
        before = self.services()
        self.assertEqual({s["state"] for s in before.values()}, {"running"})
        os.kill(before["cache"]["pid"], signal.SIGKILL)
        wait_until(lambda: self.state("web") == "running" and
                   self.services()["web"].get("pid") != before["web"]["pid"])
        wait_until(lambda: self.state("workers") == "held", within=40)
        workers = self.services()["workers"]
        self.assertRegex(workers["blame"], r"^workers/workers-\d exited with 1 after 4s "
                         r"\(4 times in 1m\) -> workers is held$")
        self.assertGreater(workers["next_start_s"], 20)
        self.assertEqual(self.state("web"), "running")
        up = int(json.loads(self.troupe("ps", "--json").out)[0]["pid"])
        down = self.troupe("down")
        self.assertEqual((down.code, down.err), (0, ""))
        wait_until(lambda: not Path(f"/proc/{up}").exists())
        log = next((self.cwd / "state/troupe/stacks").glob("*/up.out")).read_text()
        order = re.findall(r"^troupe: (cache is ready|web is ready|cache killed|web killed)",
                           log, re.MULTILINE)
        self.assertEqual(order[:6], ["cache is ready", "web is ready", "cache killed",
                                     "web killed", "cache is ready", "web is ready"])
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
