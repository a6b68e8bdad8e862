"""What README.md and the guide show is what the program prints.

    TROUPE=build/dev/bin/troupe readme_test.py

Each block

    ```console
    $ command
    what it prints on standard output and standard error
    ```

runs as one session of a shell, in a fresh folder with the files below and the
program in PATH; "> " continues a command. What each command prints is compared
exactly. A block that cannot run here has <!-- not run: reason --> before it.

One that has <!-- with a node --> before it runs while a `troupe node` of its own
does, which has no jobs at first and is ended afterwards. What such a block prints
of moments, durations and percentages is not compared: how long a job takes is for
the machine to say. No block may leave a process behind.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", *sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/guide").glob("*.md"))]
FILES = ["README.md", "LICENSE", "examples"]
LIMIT_SECONDS = 60
LEFT_SECONDS = 20  # For what a block has started to end by itself.
NOT_RUN = re.compile(r"<!-- not run: .+ -->")
WITH_A_NODE = "<!-- with a node -->"
# A moment, and a duration as format_duration() prints it.
MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
PERCENTAGE = re.compile(r" *\b\d+%")
DURATION = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?:ms|[smhd])(?:\d+(?:ms|[smh]))*\b *")


class Block:
    def __init__(self, document, line, before):
        self.document = document
        self.line = line
        self.is_run = not NOT_RUN.fullmatch(before)
        self.has_node = before == WITH_A_NODE
        self.commands = []  # Of lists of two: text and expected output.

    def add(self, line):
        if line.startswith("$ "):
            self.commands.append([line[2:], ""])
        elif line.startswith("> ") and self.commands and not self.commands[-1][1]:
            self.commands[-1][0] += "\n" + line[2:]
        elif self.commands:
            self.commands[-1][1] += line + "\n"
        else:
            raise ValueError(f"{self.document}:{self.line}: the first line of "
                             "a console block begins with \"$ \"")


def blocks_of(document, text):
    """The console blocks of a document."""
    blocks = []
    block = None
    last = ""  # Line that is not blank.
    for number, line in enumerate(text.split("\n"), 1):
        if block and line == "```":
            block = None
        elif block:
            block.add(line)
        elif line == "```console":
            block = Block(document, number, last)
            blocks.append(block)
        last = line or last
    if block:
        raise ValueError(f"{document}:{block.line}: the block does not end")
    return blocks


def without_times(text):
    """With one word for each moment, duration and percentage, and what fills it up."""
    text = PERCENTAGE.sub(" PERCENTAGE", text)
    return DURATION.sub("DURATION ", MOMENT.sub("MOMENT", text))


def processes_of(folder):
    """Living processes whose home is `folder`, and what they execute."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"HOME={folder}".encode() in environment:
            found[int(entry.name)] = b" ".join(words).decode(errors="replace").strip()
    return found


def end_node(folder):
    pid = int(Path(folder, ".state/troupe/node/node.lock").read_text())
    if pid in processes_of(folder):
        os.kill(pid, signal.SIGTERM)


def check_all_ended(folder):
    """Waits until no process of the folder is left; kills those that are."""
    until = time.monotonic() + LEFT_SECONDS
    while (left := processes_of(folder)) and time.monotonic() < until:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    if left:
        raise AssertionError(f"left behind: {sorted(left.values())}")


def run(block, program):
    """What each command of the block prints."""
    script = "".join(
        f"{command}\nstatus_=$?; printf '\\0'; (exit $status_)\n"
        for command, _ in block.commands)
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder) / name)
        (Path(folder) / ".runtime").mkdir(mode=0o700)
        environment = {
            **os.environ, "LC_ALL": "C.UTF-8",
            "PATH": f"{Path(program).resolve().parent}:{os.environ['PATH']}",
            "HOME": folder, "XDG_STATE_HOME": f"{folder}/.state",
            "XDG_RUNTIME_DIR": f"{folder}/.runtime"}
        for name in ("TROUPE_SOCKET", "TROUPE_CONFIG", "XDG_CONFIG_HOME"):
            environment.pop(name, None)
        if os.geteuid() == 0:  # The texts are for people who are not.
            settings = Path(folder) / ".config/troupe/troupe.yaml"
            settings.parent.mkdir(parents=True)
            settings.write_text("allow-root: true\n")
        where = {"cwd": folder, "env": environment, "timeout": LIMIT_SECONDS,
                 "stdin": subprocess.DEVNULL}
        try:
            if block.has_node:
                subprocess.run([Path(program).resolve(), "node", "-d"], check=True,
                               stdout=subprocess.DEVNULL, **where)
            try:
                done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, **where)
            finally:
                if block.has_node:
                    end_node(folder)
        finally:
            check_all_ended(folder)
    return done.stdout.decode(errors="replace").split("\0")[:-1]


class Reading(unittest.TestCase):
    def test_a_block_is_a_list_of_commands_with_their_output(self):
        [block] = blocks_of("x.md", "a\n```console\n$ b\nc\n\nd\n$ e \\\n> f\n```\n")
        self.assertEqual(block.commands, [["b", "c\n\nd\n"], ["e \\\nf", ""]])
        self.assertEqual((block.line, block.is_run, block.has_node), (2, True, False))

    def test_only_a_reason_right_before_it_excuses_a_block(self):
        text = "{}\n\n```console\n$ false\n```\n"
        for before, is_run in {"<!-- not run: slow -->": False,
                               "<!-- not run: -->": True,
                               "<!-- not run: slow -->\ntext": True}.items():
            with self.subTest(before=before):
                [block] = blocks_of("x.md", text.format(before))
                self.assertEqual(block.is_run, is_run)

    def test_a_node_is_for_who_asks(self):
        [block] = blocks_of("x.md", "<!-- with a node -->\n```console\n$ a\n```\n")
        self.assertEqual((block.is_run, block.has_node), (True, True))

    def test_moments_and_durations_are_equal_to_others(self):
        self.assertEqual(without_times("at 2026-11-22T00:05:33.675Z, 4s ago"),
                         without_times("at 2031-01-02T10:00:00.001Z, 1m30s ago"))
        self.assertEqual(without_times("1  0/1  76s  echo"), without_times("1  0/1  0s   echo"))
        self.assertEqual(without_times("   9%  x"), without_times(" 100%  x"))
        for text in ["job 17", "3.12", "16 KiB", "v1.5s-2", "4 tasks", "exited with 3"]:
            self.assertEqual(without_times(text), text)

    def test_other_blocks_are_none_of_ours(self):
        self.assertEqual(blocks_of("x.md", "```sh\n$ a\n```\n"), [])

    def test_a_block_that_does_not_end_is_refused(self):
        with self.assertRaisesRegex(ValueError, "^x.md:1: the block does not end$"):
            blocks_of("x.md", "```console\n$ a\n")


class Documents(unittest.TestCase):
    maxDiff = None

    def test_commands_print_what_is_shown(self):
        program = os.environ.get("TROUPE")
        if program is None:
            self.skipTest("no program: set TROUPE")
        # One that is named, or all.
        documents = [os.environ["TROUPE_DOCUMENT"]] \
            if "TROUPE_DOCUMENT" in os.environ else DOCUMENTS
        blocks = [block for document in documents
                  for block in blocks_of(document, (ROOT / document).read_text())]
        self.assertTrue(documents != DOCUMENTS or any(block.is_run for block in blocks))
        for block in blocks:
            if not block.is_run:
                continue
            with self.subTest(block=f"{block.document}:{block.line}"):
                shown = [f"$ {command}\n{output}" for command, output in block.commands]
                printed = [f"$ {command}\n{output}" for (command, _), output
                           in zip(block.commands, run(block, program))]
                as_seen = without_times if block.has_node else str
                self.assertEqual(as_seen("".join(printed)), as_seen("".join(shown)))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
