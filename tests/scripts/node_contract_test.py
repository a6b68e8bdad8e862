"""What a node can be asked is what docs/openapi.yaml says, and what can be configured
is what config/troupe.yaml says, with the defaults that stand there.

    node_contract_test.py [TROUPE]

Reads both files without a library for YAML: the few shapes that they use are read
here, and one that is not known fails.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TROUPE = None
# A row of the table in operations(): method, path, role, summary, handler, and
# maybe the longest body and the query keys.
ROW = re.compile(
    r'\badd\(\s*(\w+),\s*"([^"]+)",\s*(\w+),\s*((?:"[^"]*"\s*)+),\s*(\w+)'
    r"\s*(?:,\s*\w+\s*(?:,\s*\{([^}]*)\})?)?\s*\);")
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
# What depends on who runs it, so there is no default to write down.
WITHOUT_DEFAULT = {"folder", "socket", "workflow-folder", "cluster-folder"}


def rows_of(source):
    """Of each operation, by method and path: role, query, summary, name."""
    return {
        ({"remove": "delete"}.get(method, method), path): {
            "role": role, "query": sorted(re.findall(r'"([^"]*)"', query)),
            "summary": "".join(re.findall(r'"([^"]*)"', summary)), "name": handler}
        for method, path, role, summary, handler, query in ROW.findall(source)}


def described_in(text):
    """The same of each operation under `paths` of docs/openapi.yaml."""
    operations = {}
    path = operation = None
    for line in re.search(r"^paths:\n(.*?)(?=^\w)", text, re.DOTALL | re.MULTILINE)[1] \
            .splitlines():
        if found := re.fullmatch(r"  (/\S+):", line):
            path = found[1]
        elif found := re.fullmatch(r"    (\w+):", line):
            operation = operations[found[1], path] = {"query": []}
        elif found := re.fullmatch(r"      (summary|x-role|operationId): (.*)", line):
            key = {"x-role": "role", "operationId": "name"}.get(found[1], found[1])
            operation[key] = found[2]
        elif found := re.match(r"        - (?:\{name: (\w+), in: query,|name: (\w+)$)", line):
            operation["query"].append(found[1] or found[2])
    for described in operations.values():
        described["query"].sort()
    return operations


def settings_in(text):
    """Key and value of each line of config/troupe.yaml; None if it is a comment."""
    found = {}
    for comment, key, value in re.findall(r"^(# )?([a-z]+(?:-[a-z]+)*):(?: (.*))?$", text,
                                          re.MULTILINE):
        found[key] = None if comment else value
    return found


def plain(value):
    """A value as one text, however its size is written; 1GiB and 1024MiB are equal."""
    value = {'""': "", "{}": ""}.get(value, value)
    size = re.fullmatch(r"(\d+)(|KiB|MiB|GiB)", value)
    return str(int(size[1]) * UNITS[size[2]]) if size else value


class Reading(unittest.TestCase):
    def test_a_row_of_the_table_is_read(self):
        row = 'add(get, "/v1/jobs", read,\n "Jobs, "\n "all", list, 0,\n {"a", "b"});'
        self.assertEqual(rows_of(row), {("get", "/v1/jobs"): {
            "role": "read", "query": ["a", "b"], "summary": "Jobs, all", "name": "list"}})

    def test_an_operation_is_read(self):
        text = ("paths:\n  /v1/jobs:\n    get:\n      operationId: list\n      summary: Jobs\n"
                "      x-role: read\n      parameters:\n        - {name: b, in: query, x: y}\n"
                "        - name: a\n          in: query\nend:\n")
        self.assertEqual(described_in(text), {("get", "/v1/jobs"): {
            "role": "read", "query": ["a", "b"], "summary": "Jobs", "name": "list"}})

    def test_settings_are_read_also_where_they_are_comments(self):
        self.assertEqual(settings_in('# Text: of it.\n# folder: /x\nkeep-age: 30d\nlog: ""\n'),
                         {"folder": None, "keep-age": "30d", "log": '""'})

    def test_sizes_are_equal_in_each_unit(self):
        self.assertEqual(plain("1GiB"), plain("1024MiB"))
        self.assertNotEqual(plain("1GiB"), plain("1MiB"))
        self.assertEqual([plain("30d"), plain('""'), plain("{}")], ["30d", "", ""])


class Contract(unittest.TestCase):
    maxDiff = None

    def test_operations_are_as_described(self):
        source = (ROOT / "node/src/operations.cpp").read_text()
        rows = rows_of(source)
        self.assertEqual(len(rows), source.count('"/v1/'), "a row cannot be read")
        self.assertEqual(described_in((ROOT / "docs/openapi.yaml").read_text()), rows)

    def test_settings_and_their_defaults_are_as_described(self):
        if TROUPE is None:
            self.skipTest("no program given")
        described = settings_in((ROOT / "config/troupe.yaml").read_text())
        with tempfile.TemporaryDirectory() as home:
            environment = {name: value for name, value in os.environ.items()
                           if not name.startswith(("XDG_", "TROUPE_CONFIG"))}
            environment |= {"HOME": home, "XDG_RUNTIME_DIR": home}
            text = subprocess.run([TROUPE, "config", "check", "--json"], check=True,
                                  timeout=20, env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True).stdout
        settings = {setting["name"]: setting for setting in json.loads(text)}
        self.assertEqual(sorted(described), sorted(settings))
        self.assertEqual({setting["origin"] for setting in settings.values()}, {"default"})
        self.assertEqual({key for key, value in described.items() if value is None},
                         WITHOUT_DEFAULT)
        for key in described.keys() - WITHOUT_DEFAULT:
            with self.subTest(setting=key):
                self.assertEqual(plain(settings[key]["value"]), plain(described[key]))

    def test_what_can_be_reloaded_is_marked(self):
        source = (ROOT / "node/src/node_config.cpp").read_text()
        names = re.search(r"array<std::string_view, \d+> live\{(.*?)\};", source,
                          re.DOTALL)[1]
        text = (ROOT / "config/troupe.yaml").read_text()
        marked = set()
        for block in text.split("\n\n")[1:]:  # After the introduction.
            if "(reload)" in " ".join(block.split()):
                marked |= settings_in(block).keys()
        self.assertEqual(sorted(marked), sorted(re.findall(r'"([^"]+)"', names)))


if __name__ == "__main__":
    TROUPE = sys.argv.pop(1) if len(sys.argv) > 1 else None
    unittest.main()
