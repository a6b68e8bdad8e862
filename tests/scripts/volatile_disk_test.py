#!/usr/bin/env python3
"""What a power cut leaves on the disk of tests/support/volatile_disk.py."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import volatile_disk  # noqa: E402
from volatile_disk import ALL, KINDS, NOTHING, VolatileDisk  # noqa: E402

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

# Changes files as SQLite does, and dies.
WRITER = """
import os, signal
os.chdir({folder!r})
def opened(name):
    return os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
def sync_folder():
    fd = os.open(".", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
{script}
os.kill(os.getpid(), signal.SIGKILL)
"""

# Says on standard output which rows are committed.
DATABASE = """
import os, sqlite3
database = sqlite3.connect({folder!r} + "/store.db", isolation_level=None)
database.execute("PRAGMA locking_mode=EXCLUSIVE")
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous={synchronous}")
database.execute("PRAGMA wal_autocheckpoint={checkpoint}")
database.execute("CREATE TABLE IF NOT EXISTS t(i INTEGER PRIMARY KEY, x BLOB)")
row = database.execute("SELECT count(*) FROM t").fetchone()[0]
while True:
    row += 1
    database.execute("INSERT INTO t VALUES(?, zeroblob(3000))", (row,))
    os.write(1, b"%d\\n" % row)
"""


def block(letter, size=512):
    return letter.encode() * size


class VolatileDiskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        library = tempfile.mkdtemp(prefix="troupe-disk-")
        cls.addClassCleanup(shutil.rmtree, library, ignore_errors=True)
        cls.library = volatile_disk.build_library(library)
        # A sync takes no time in memory; nothing else is different.
        cls.scratch = Path(tempfile.mkdtemp(prefix="troupe-disk-", dir=MEMORY))
        cls.addClassCleanup(shutil.rmtree, cls.scratch, ignore_errors=True)

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(dir=self.scratch))
        self.disk = VolatileDisk(self.folder, self.library)
        self.file = self.folder / "store.db"

    def run_until_killed(self, script, **values):
        text = WRITER.format(folder=str(self.folder), script=script)
        finished = subprocess.run(
            [sys.executable, "-c", text], env=os.environ | self.disk.environment(),
            stdout=subprocess.PIPE, check=False, timeout=30)
        self.assertEqual(finished.returncode, -9)
        return finished.stdout

    def cut(self, kind=None, seed=1):
        return self.disk.cut_power(random.Random(seed), kind)

    # Contents.

    TWO_SYNCED = ("fd = opened('store.db')\n"
                  "os.pwrite(fd, b'a' * 1024, 0)\n"
                  "os.fsync(fd)\n"
                  "sync_folder()\n")

    def test_a_write_that_was_not_synced_can_be_gone(self):
        self.run_until_killed(self.TWO_SYNCED + "os.pwrite(fd, b'b' * 1000, 700)")
        self.assertEqual(self.file.read_bytes(), block("a", 700) + block("b", 1000))
        self.cut(NOTHING)
        self.assertEqual(self.file.read_bytes(), block("a", 1024))

    def test_a_write_that_was_not_synced_can_be_there(self):
        self.run_until_killed(self.TWO_SYNCED + "os.pwrite(fd, b'b' * 1000, 700)")
        self.cut(ALL)
        self.assertEqual(self.file.read_bytes(), block("a", 700) + block("b", 1000))

    def test_what_was_synced_is_there_however_the_power_goes(self):
        for name in ("fsync", "fdatasync"):
            for kind in KINDS:
                with self.subTest(name=name, kind=kind):
                    self.setUp()
                    self.run_until_killed(self.TWO_SYNCED +
                                          "os.pwrite(fd, b'b' * 1000, 700)\n"
                                          f"os.{name}(fd)")
                    self.cut(kind)
                    self.assertEqual(self.file.read_bytes(),
                                     block("a", 700) + block("b", 1000))

    def test_a_truncation_can_be_undone(self):
        self.run_until_killed(self.TWO_SYNCED + "os.ftruncate(fd, 100)\n"
                              "os.ftruncate(fd, 3000)\n"
                              "os.write(fd, b'c' * 10)")
        self.assertEqual(self.file.read_bytes(),
                         block("c", 10) + block("a", 90) + bytes(2900))
        self.cut(NOTHING)
        self.assertEqual(self.file.read_bytes(), block("a", 1024))

    def test_each_sector_is_as_it_was_at_some_time(self):
        self.run_until_killed(self.TWO_SYNCED +
                              "os.pwrite(fd, b'b' * 1024, 0)\n"
                              "os.pwrite(fd, b'c' * 1024, 512)\n"
                              "os.pwrite(fd, b'd' * 512, 0)\n")
        changes, last = self.disk.changes("store.db"), self.file.read_bytes()
        possible = [{block("a"), block("b"), block("d")},
                    {block("a"), block("b"), block("c")},
                    {block("c"), bytes(512)}]
        seen = set()
        for seed in range(200):
            self.file.write_bytes(last)
            kind = KINDS[seed % len(KINDS)]
            volatile_disk.roll_back(self.file, changes, kind, random.Random(seed))
            data = self.file.read_bytes()
            self.assertIn(len(data), (1024, 1536))
            for i in range(len(data) // 512):
                self.assertIn(data[512 * i:512 * i + 512], possible[i])
            seen.add(data)
        self.assertGreater(len(seen), 10)

    def test_what_is_kept_by_a_node_is_undone_after_the_next(self):
        self.run_until_killed(self.TWO_SYNCED + "os.pwrite(fd, b'b' * 512, 0)\n")
        # Killed while it kept the next change.
        with open(self.folder / "unsynced" / "store.db.undo", "ab") as log:
            log.write(volatile_disk.CHANGE.pack(
                volatile_disk.MAGIC, self.file.stat().st_ino, 0, 512, 1024, 512))
            log.write(b"b" * 100)
        self.run_until_killed("fd = opened('store.db')\n"
                              "os.pwrite(fd, b'c' * 512, 512)\n")
        self.assertEqual(self.file.read_bytes(), block("b") + block("c"))
        self.cut(NOTHING)
        self.assertEqual(self.file.read_bytes(), block("a", 1024))

    # Names.

    def test_a_file_is_gone_unless_its_folder_was_synced(self):
        create = "fd = opened('store.db-wal')\nos.fsync(fd)\n"
        for script, is_there in ((create, False),
                                 (create + "sync_folder()", True)):
            with self.subTest(script=script):
                self.setUp()
                self.run_until_killed(script)
                self.cut(NOTHING)
                self.assertEqual((self.folder / "store.db-wal").exists(), is_there)

    def test_a_file_that_was_removed_comes_back_unless_its_folder_was_synced(self):
        for script, is_there in (("os.unlink('store.db')", True),
                                 ("os.unlink('store.db')\nsync_folder()", False)):
            with self.subTest(script=script):
                self.setUp()
                self.run_until_killed(self.TWO_SYNCED + script)
                self.cut(NOTHING)
                self.assertEqual(self.file.exists(), is_there)

    def test_output_is_there_if_it_was_synced(self):
        (self.folder / "output" / "0" / "1").mkdir(parents=True)
        self.run_until_killed("os.write(opened('output/0/1/0.1'), b'gone')\n"
                              "fd = opened('output/0/1/0.2.zst.part')\n"
                              "os.write(fd, b'there')\n"
                              "os.fsync(fd)\n"
                              "os.rename('output/0/1/0.2.zst.part',"
                              " 'output/0/1/0.2.zst')")
        cut = self.cut(NOTHING)
        there = self.folder / "output" / "0" / "1" / "0.2.zst"
        self.assertEqual([path for path in (self.folder / "output").rglob("*")
                          if path.is_file()], [there])
        self.assertEqual(there.read_bytes(), b"there")
        self.assertEqual(cut.torn, {there.with_name("0.1")})

    # Control.

    def test_a_disk_may_lie(self):
        self.run_until_killed(self.TWO_SYNCED)
        self.disk.control(lies=True)
        self.run_until_killed("fd = opened('store.db')\n"
                              "os.pwrite(fd, b'b' * 512, 0)\nos.fsync(fd)")
        self.disk.control(lies=False)
        self.cut(NOTHING)
        self.assertEqual(self.file.read_bytes(), block("a", 1024))

    def test_the_power_fails_before_a_chosen_change(self):
        self.run_until_killed(self.TWO_SYNCED)
        self.disk.control(steps=3)
        self.run_until_killed("fd = opened('store.db')\n"
                              "os.pwrite(fd, b'b' * 512, 0)\nos.fsync(fd)\n"
                              "os.pwrite(fd, b'c' * 512, 0)\n")
        self.assertEqual(self.file.read_bytes(), block("b") + block("a"))

    def test_programs_that_are_started_know_nothing_of_it(self):
        out = self.run_until_killed("import subprocess\n"
                                    "subprocess.run(['env'])")
        self.assertNotIn(b"LD_PRELOAD", out)
        self.assertNotIn(b"VOLATILE_DISK", out)

    # A database, which is what it is for.

    def rows(self):
        """Of a copy: to look at a database changes it."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as copy:
            for path in self.folder.glob("store.db*"):
                shutil.copy(path, copy)
            database = sqlite3.connect(Path(copy) / "store.db")
            try:
                self.assertEqual(
                    database.execute("PRAGMA integrity_check").fetchone(), ("ok",))
                if not database.execute("SELECT * FROM sqlite_master").fetchall():
                    return 0
                return database.execute("SELECT count(*) FROM t").fetchone()[0]
            finally:
                database.close()

    def rows_after_power_cuts(self, synchronous, checkpoint, seed):
        """Pairs: so many rows were said to be committed, so many are there."""
        text = DATABASE.format(folder=str(self.folder), synchronous=synchronous,
                               checkpoint=checkpoint)
        chance, there = random.Random(seed), 0
        for kind in KINDS:
            before = there
            with subprocess.Popen(
                    [sys.executable, "-c", text], stdout=subprocess.PIPE,
                    env=os.environ | self.disk.environment()) as writer:
                for line in writer.stdout:
                    committed = int(line)
                    if committed == before + 20:
                        self.disk.control(steps=chance.randint(1, 60))
            self.disk.control()
            self.cut(kind, seed)
            there = self.rows()
            self.assertGreaterEqual(committed, before + 20)
            yield committed, there

    def test_a_database_that_syncs_loses_nothing(self):
        for seed in range(3):
            self.setUp()
            for committed, there in self.rows_after_power_cuts("FULL", 15, seed):
                self.assertGreaterEqual(there, committed)

    def test_a_database_that_does_not_sync_each_commit_loses_some(self):
        # It does so at a checkpoint, and there is none.
        committed, there = next(self.rows_after_power_cuts("NORMAL", 0, 1))
        self.assertLess(there, committed)


if __name__ == "__main__":
    if shutil.which("cc") is None:
        print("volatile_disk_test: there is no C compiler (cc)", file=sys.stderr)
        sys.exit(77)
    unittest.main()
