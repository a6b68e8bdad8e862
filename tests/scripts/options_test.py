"""The options of each subcommand are the same in the manual page, in the three
shell completions and, given the path of the program, in its --help.

    options_test.py [TROUPE]
"""

import re
import subprocess
import sys
import unittest
from pathlib import Path

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
SUBCOMMANDS = ["exec", "map", "run", "up", "ps", "restart", "stop", "start", "scale",
               "logs", "node", "config", "cluster", "submit", "list", "status", "wait", "cancel",
               "retry", "why", "edit", "forget", "pause", "resume", "group", "triggers", "stats",
               "top", "cached", "artifact", "graph", "insights", "lint", "test", "schema"]
OPTION = re.compile(r"(?<![\w-])--?[a-z0-9][a-z0-9-]*")
TROUPE = None


def read(path):
    return (PACKAGING / path).read_text()


def manual(subcommand):
    page = read("man/troupe.1").replace(r"\-", "-")
    section = re.search(rf"^\.SS troupe {subcommand}\n(.*?)(?=^\.S[SH] )", page,
                        re.DOTALL | re.MULTILINE)[1]
    tags = re.findall(r"^\.TP\n(\..*)", section, re.MULTILINE)
    return {option for tag in tags for option in OPTION.findall(tag)}


def bash(subcommand):
    text = re.search(rf"^    {subcommand}\) options='([^']*)'",
                     read("completions/troupe.bash"), re.MULTILINE)[1]
    return set(text.split())


def zsh(subcommand):
    text = re.search(rf"^    {subcommand}\)\n(.*?);;", read("completions/_troupe"),
                     re.DOTALL | re.MULTILINE)[1]
    specs = re.findall(r"^        ['{]\*?(-[^\['}]*)", text, re.MULTILINE)
    return {option for spec in specs for option in spec.split(",")} - {"--help"}


def fish(subcommand):
    lines = re.findall(rf"-n \$on_{subcommand} (.*)", read("completions/troupe.fish"))
    return ({"--" + match[1] for line in lines if (match := re.search(r"-l (\S+)", line))} |
            {"-" + match[1] for line in lines if (match := re.search(r"-s (\S)", line))})


def program(subcommand):
    text = subprocess.run([TROUPE, subcommand, "--help"], check=True, timeout=20,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout
    # Of a line such as "  -j,--jobs N   How many": what stands before the text.
    heads = re.findall(r"^  (-\S+(?:, ?-\S+)*)", text, re.MULTILINE)
    return {option for head in heads for option in OPTION.findall(head)} - {"-h", "--help"}


class Options(unittest.TestCase):
    maxDiff = None

    def assert_as_in_manual(self, options_of):
        for subcommand in SUBCOMMANDS:
            with self.subTest(subcommand=subcommand):
                options = manual(subcommand)
                self.assertTrue(options)
                self.assertEqual(sorted(options_of(subcommand)), sorted(options))

    def test_bash_completes_the_options_of_the_manual(self):
        self.assert_as_in_manual(bash)

    def test_zsh_completes_the_options_of_the_manual(self):
        self.assert_as_in_manual(zsh)

    def test_fish_completes_the_options_of_the_manual(self):
        self.assert_as_in_manual(fish)

    def test_the_program_has_the_options_of_the_manual(self):
        if TROUPE is None:
            self.skipTest("no program given")
        self.assert_as_in_manual(program)


if __name__ == "__main__":
    TROUPE = sys.argv.pop(1) if len(sys.argv) > 1 else None
    unittest.main()
