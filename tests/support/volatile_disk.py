"""A disk that loses on a power cut what was not synced; see volatile_disk.c.

    library = build_library(scratch_folder)
    disk = VolatileDisk(node_folder, library)
    subprocess.Popen([..], env=os.environ | disk.environment())
    ..                       # SIGKILL to all that runs there, then:
    disk.cut_power(random.Random(1))

After that the folder is as a disk may have it once the power is back. What was
written since the last sync of its file is there, is not there, or is there in
some of its sectors, whatever the order in which it was written; what has been
synced is there. A name is there as it was when the folder was synced, or as it
is now. Output, which is not synced, may end sooner or be gone.
"""

import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().with_name("volatile_disk.c")

# As in volatile_disk.c.
LOGGED = ("store.db", "store.db-wal", "store.db-journal")
NAMED = LOGGED + ("paused",)
CHANGE = struct.Struct("=6Q")
CONTROL = struct.Struct("=2i")
MAGIC = 0x6f646e752e6b7364

# What becomes of the changes that were not synced.
NOTHING = "nothing"    # None is there.
ALL = "all"            # Each is there, as after a mere kill.
BEGINNING = "beginning"  # The first ones, and the next one in part.
SOME = "some"          # Any, each as a whole.
SECTORS = "sectors"    # Each sector is as it was at some time since the sync.
KINDS = (NOTHING, ALL, BEGINNING, SOME, SECTORS)

# After so many seconds what was written is on the disk, though nobody has
# synced it (vm.dirty_expire_centisecs).
WRITTEN_BACK = 30


def build_library(folder):
    """Compiles it into `folder`; its path."""
    library = Path(folder) / "volatile_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra",
                    "-o", str(library), str(SOURCE)], check=True)
    return library


class Change:
    """One write or truncation, and what was there before."""

    def __init__(self, offset, span, size, old):
        self.offset = offset
        self.span = span
        self.size = size  # Of the file before.
        self.old = old + bytes(span - len(old))

    def sectors(self, size):
        """The numbers of the sectors of `size` bytes that it touches."""
        if self.span == 0:
            return range(0)
        return range(self.offset // size, (self.offset + self.span - 1) // size + 1)

    def undo(self, image, begin, end):
        """What it has changed between `begin` and `end` is as it was."""
        begin = max(begin, self.offset)
        end = min(end, self.offset + self.span)
        image[begin:end] = self.old[begin - self.offset:end - self.offset]


def read_changes(log, inode):
    """Those of the file `inode`, oldest first. The last record may be cut off."""
    data = log.read_bytes() if log.exists() else b""
    changes, at = [], 0
    while at + CHANGE.size <= len(data):
        magic, changed, offset, span, size, kept = CHANGE.unpack_from(data, at)
        if magic != MAGIC:
            raise ValueError(f"{log} is damaged at {at}")
        at += CHANGE.size
        if at + kept > len(data):
            break
        if changed == inode:
            changes.append(Change(offset, span, size, data[at:at + kept]))
        at += kept
    return changes


def survivors(changes, kind, random, sector):
    """How many of `changes`, from the first on, each sector has seen; and the
    size of the file."""
    touched = [list(change.sectors(sector)) for change in changes]
    everywhere = {number for numbers in touched for number in numbers}
    sizes = [change.size for change in changes] + [None]  # None: as it is.
    if kind == NOTHING:
        return dict.fromkeys(everywhere, 0), sizes[0]
    if kind == ALL:
        return dict.fromkeys(everywhere, len(changes)), sizes[-1]
    if kind == SECTORS:
        return {number: random.randint(0, len(changes))
                for number in sorted(everywhere)}, random.choice(sizes)
    seen = dict.fromkeys(everywhere, 0)
    if kind == SOME:
        for i, numbers in enumerate(touched):
            if random.random() < 0.5:
                seen.update(dict.fromkeys(numbers, i + 1))
        return seen, random.choice(sizes)
    whole = random.randrange(len(changes))
    torn = touched[whole][:random.randint(0, len(touched[whole]))]
    return {number: whole + 1 if number in torn else whole
            for number in everywhere}, random.choice(sizes[whole:whole + 2])


def roll_back(path, changes, kind, random):
    """The file is as the disk has it."""
    if not changes:
        return
    sector = random.choice([512, 4096])
    seen, size = survivors(changes, kind, random, sector)
    image = bytearray(path.read_bytes())
    size = len(image) if size is None else size
    longest = max([size, len(image)] +
                  [max(change.size, change.offset + change.span)
                   for change in changes])
    image += bytes(longest - len(image))
    for i, change in reversed(list(enumerate(changes))):
        for number in change.sectors(sector):
            if i >= seen[number]:
                change.undo(image, number * sector, (number + 1) * sector)
    # The file itself stays, as it has the number that is known.
    with open(path, "r+b") as file:
        file.write(image[:size])
        file.truncate(size)


def inode_of(path):
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


class Cut:
    """What a power cut has done."""

    def __init__(self, kind, unsynced, torn):
        self.kind = kind          # One of KINDS.
        self.unsynced = unsynced  # Changes that it may have undone.
        self.torn = torn          # Paths below output/ that are not whole.


class VolatileDisk:
    """The disk below the folder of one node, which need not be there yet."""

    def __init__(self, folder, library):
        self.folder = Path(folder).resolve()
        self.library = library
        self.logs = self.folder / "unsynced"
        (self.logs / "synced").mkdir(parents=True)
        (self.logs / "control").write_bytes(CONTROL.pack(0, 0))
        self._power_is_back()

    def environment(self):
        """For the node."""
        options = [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]
        return {"LD_PRELOAD": str(self.library),
                "VOLATILE_DISK": str(self.folder),
                "ASAN_OPTIONS": ":".join(filter(None, options))}

    def control(self, lies=False, steps=0):
        """Whether a sync is from now on answered and not done, and before which
        change or sync from now on the node is killed (0: none)."""
        with open(self.logs / "control", "r+b") as file:
            file.write(CONTROL.pack(lies, steps))

    def changes(self, name):
        """Those of a file that were not synced."""
        return read_changes(self.logs / f"{name}.undo",
                            inode_of(self.folder / name))

    def cut_power(self, random, kind=None):
        """To be called when nothing runs in the folder any more."""
        kind = kind or random.choice(KINDS)
        for name in NAMED:
            self._choose_file(name, kind, random)
        changes = {name: self.changes(name) for name in LOGGED}
        for name, those in changes.items():
            roll_back(self.folder / name, those, kind, random)
        (self.folder / "store.db-shm").unlink(missing_ok=True)
        # Nobody syncs these.
        for name in ("node.lock", "warden.lock"):
            if (self.folder / name).exists() and random.random() < 0.5:
                os.truncate(self.folder / name, 0)
        torn = self._tear_output(kind, random)
        self._power_is_back()
        return Cut(kind, sum(map(len, changes.values())), torn)

    def _choose_file(self, name, kind, random):
        """Which of the files that had the name it has now, if any."""
        now, before = self.folder / name, self.logs / "synced" / name
        if inode_of(now) == inode_of(before) or kind == ALL or \
                (kind != NOTHING and random.random() < 0.5):
            return
        now.unlink(missing_ok=True)
        if before.exists():
            os.link(before, now)

    def _tear_output(self, kind, random):
        """What is not synced is on the disk some time later."""
        torn = set()
        data = (self.logs / "synced_inodes").read_bytes()
        synced = {number for number, in
                  struct.iter_unpack("=Q", data[:len(data) // 8 * 8])}
        for path in sorted((self.folder / "output").rglob("*")):
            found = path.stat()
            if not path.is_file() or found.st_ino in synced or kind == ALL or \
                    time.time() - found.st_mtime > WRITTEN_BACK or \
                    (kind != NOTHING and random.random() < 0.5):
                continue
            torn.add(path)
            if kind == NOTHING or random.random() < 0.2:
                path.unlink()
                continue
            size = random.randint(0, found.st_size)
            os.truncate(path, size)
            if random.random() < 0.3:
                # Its size is on the disk, and its last sectors are not.
                os.truncate(path, size // 512 * 512)
                os.truncate(path, found.st_size)
        return torn

    def _power_is_back(self):
        """What is there is on the disk."""
        for name in LOGGED:
            (self.logs / f"{name}.undo").write_bytes(b"")
        (self.logs / "synced_inodes").write_bytes(b"")
        shutil.rmtree(self.logs / "synced")
        (self.logs / "synced").mkdir()
        for name in NAMED:
            if (self.folder / name).exists():
                os.link(self.folder / name, self.logs / "synced" / name)
