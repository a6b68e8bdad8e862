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
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", *sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/guide").glob("*.md"))]
FILES = ["README.md", "LICENSE", "examples"]
LIMIT_SECONDS = 60
NOT_RUN = re.compile(r"<!-- not run: .+ -->")


class Block:
    def __init__(self, document, line, is_run):
        self.document = document
        self.line = line
        self.is_run = is_run
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
            block = Block(document, number, not NOT_RUN.fullmatch(last))
            blocks.append(block)
        last = line or last
    if block:
        raise ValueError(f"{document}:{block.line}: the block does not end")
    return blocks


def run(block, program):
    """What each command of the block prints."""
    script = "".join(
        f"{command}\nstatus_=$?; printf '\\0'; (exit $status_)\n"
        for command, _ in block.commands)
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder) / name)
        environment = {
            **os.environ, "LC_ALL": "C.UTF-8",
            "PATH": f"{Path(program).resolve().parent}:{os.environ['PATH']}",
            "HOME": folder, "XDG_STATE_HOME": f"{folder}/.state"}
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=environment,
            timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode(errors="replace").split("\0")[:-1]


class Reading(unittest.TestCase):
    def test_a_block_is_a_list_of_commands_with_their_output(self):
        [block] = blocks_of("x.md", "a\n```console\n$ b\nc\n\nd\n$ e \\\n> f\n```\n")
        self.assertEqual(block.commands, [["b", "c\n\nd\n"], ["e \\\nf", ""]])
        self.assertEqual((block.line, block.is_run), (2, True))

    def test_only_a_reason_right_before_it_excuses_a_block(self):
        text = "{}\n\n```console\n$ false\n```\n"
        for before, is_run in {"<!-- not run: slow -->": False,
                               "<!-- not run: -->": True,
                               "<!-- not run: slow -->\ntext": True}.items():
            with self.subTest(before=before):
                [block] = blocks_of("x.md", text.format(before))
                self.assertEqual(block.is_run, is_run)

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
        blocks = [block for document in DOCUMENTS
                  for block in blocks_of(document, (ROOT / document).read_text())]
        self.assertTrue(any(block.is_run for block in blocks))
        for block in blocks:
            if not block.is_run:
                continue
            with self.subTest(block=f"{block.document}:{block.line}"):
                shown = [f"$ {command}\n{output}" for command, output in block.commands]
                printed = [f"$ {command}\n{output}" for (command, _), output
                           in zip(block.commands, run(block, program))]
                self.assertEqual("".join(printed), "".join(shown))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main()
