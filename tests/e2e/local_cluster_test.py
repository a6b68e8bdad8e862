"""What README.md and docs/guide/cluster.md show of a cluster on one machine."""

import json
import os
import unittest
from pathlib import Path

from postgres_server import binaries
from troupe_e2e import TROUPE, TroupeTest, read_proc

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/local_cluster.sh"
# With a server that is made anew and three nodes, on a busy machine.
A_WHILE = 150


class WithCluster:
    OPTIONS = ()

    def setUp(self):
        super().setUp()
        # Sockets are in it.
        self.place = self.folder / "c"
        self.folder.chmod(0o711)
        self.addCleanup(self.end)

    def end(self):
        self.script("stop")
        self.assertFalse(self.place.exists())

    def script(self, *words):
        ended = self.run_program([SCRIPT, *words, "--folder", self.place],
                                 within=A_WHILE)
        self.assertEqual(ended.code, 0, ended)
        return ended.out

    def begin(self, *options):
        return self.script("3", *options, *self.OPTIONS)

    def at(self, name, command, within=A_WHILE):
        """What a shell prints that speaks to this node."""
        ended = self.run_program(
            ["sh", "-ec", f'eval "$({SCRIPT} env {name} --folder {self.place})"\n'
             + command], within=within)
        self.assertEqual(ended.code, 0, ended)
        return ended.out

    def processes(self):
        """Those that have it among their words, or work in it."""
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                place = os.readlink(entry / "cwd")
            except OSError:
                continue
            if place.startswith(f"{self.place}/") or \
                    f"{self.place}/".encode() in read_proc(entry.name, "cmdline"):
                found.add(int(entry.name))
        return found


@unittest.skipUnless(binaries(), "PostgreSQL is not installed")
class LocalCluster(WithCluster, TroupeTest):
    def test_a_node_is_killed_in_the_middle_of_an_array_and_all_tasks_end(self):
        self.begin()
        self.at("n1", "troupe submit --array 1-1000 -- sleep 0.01")
        self.at("n1", 'while troupe list | grep -Eq " [0-9]?[0-9]?/1000 "; '
                "do sleep 0.1; done")
        self.script("kill", "n3")
        self.at("n2", "troupe wait 1")
        counts = json.loads(self.at("n2", "troupe status --json 1"))["counts"]
        self.assertEqual(counts["success"], 1000)
        self.assertIn("n3     gone", self.script("status"))
        self.script("start", "n3")
        self.at("n3", "troupe submit --wait -- true")

    def test_stop_leaves_nothing_and_may_be_repeated(self):
        self.begin("--slots", "1")
        self.at("n1", "troupe submit --array 1-9 -- sleep 100")
        self.assertNotEqual(self.processes(), set())
        self.script("stop")
        self.assertEqual(self.processes(), set())
        self.script("stop")

    def test_it_says_what_to_do(self):
        option = f"--folder {self.place}"
        for words, what in ((("status",), f"local_cluster.sh 3 {option} starts one"),
                            (("many",), "there is no cluster in"),
                            (("0",), "1 to 50 nodes")):
            with self.subTest(words=words):
                ended = self.run_program([SCRIPT, *words, "--folder", self.place])
                self.assertEqual(ended.code, 1)
                self.assertIn(what, ended.err)
                self.assertTrue(ended.err.startswith("local_cluster: "), ended.err)


@unittest.skipUnless(binaries(), "PostgreSQL is not installed")
class Plain(WithCluster, TroupeTest):
    OPTIONS = ("--plain",)

    def test_it_says_all_of_why_a_node_has_ended(self):
        ended = self.run_program(
            [SCRIPT, "3", "--lease-time", "1s", *self.OPTIONS, "--folder", self.place],
            within=A_WHILE)
        self.assertEqual(ended.code, 1, ended)
        self.assertRegex(
            ended.err, r"\nlocal_cluster: n1 has ended: troupe: \S+/troupe\.yaml:\d+:\d+: "
            r"lease-time: .*\nlease-time: 1s\n +\^~\n$")
        self.assertIn(f"local_cluster.sh stop --folder {self.place} removes it",
                      ended.err)

    def test_it_needs_no_networks(self):
        said = self.begin()
        self.assertIn("on loopback", said)
        # As it stands, it works.
        self.assertIn(f'eval "$(scripts/local_cluster.sh env n1 --folder {self.place})"',
                      said)
        self.at("n2", "troupe submit --wait -- true")
        ended = self.run_program([SCRIPT, "cut", "n2", "--folder", self.place])
        self.assertIn("cannot be cut off", ended.err)


if __name__ == "__main__":
    unittest.main()
