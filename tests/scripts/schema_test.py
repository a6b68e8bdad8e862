"""What `troupe schema` prints is a JSON Schema that takes every workflow of the
examples and the guide, refuses mistakes, and has its page in the guide.

    schema_test.py TROUPE
"""

import json
import re
import subprocess
import sys
import unittest
from pathlib import Path

try:
    import yaml
    from jsonschema import Draft202012Validator
except ImportError as missing:
    print(f"skipped: {missing}; scripts/install_packages.sh has it")
    sys.exit(77)

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/guide"
TROUPE = None


class Yaml12(yaml.SafeLoader):
    """YAML 1.2 as troupe reads it: `on` and dates are texts."""


Yaml12.yaml_implicit_resolvers = {}
for tag, pattern, first in [
        ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
        ("bool", r"^(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
        ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
        ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$",
         list("-+.0123456789")),
        ("merge", r"^<<$", ["<"])]:
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)


def read(text):
    return yaml.load(text, Yaml12)  # noqa: S506: a SafeLoader.


def troupe(*words, code=0):
    ended = subprocess.run([TROUPE, *words], timeout=20, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == code, ended
    return ended.stdout


def is_workflow(text):
    """Whether a block of the guide is a workflow and not a part of one or the
    configuration of a node."""
    value = read(text)
    return isinstance(value, dict) and bool({"jobs", "services"} & value.keys())


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(troupe("schema"))
        cls.validator = Draft202012Validator(cls.schema)

    def refusal(self, text):
        """The place and the reason of each error."""
        return [(list(error.absolute_path), error.message)
                for error in self.validator.iter_errors(read(text))]

    def test_it_is_a_schema(self):
        Draft202012Validator.check_schema(self.schema)

    def test_every_example_is_valid(self):
        paths = sorted((ROOT / "examples").rglob("*.yaml"))
        self.assertGreater(len(paths), 3)
        for path in paths:
            with self.subTest(path.name):
                self.assertEqual(self.refusal(path.read_text()), [])

    def test_every_workflow_of_the_guide_is_valid(self):
        blocks = [(path.name, block) for path in GUIDE.glob("*.md")
                  for block in re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)
                  if is_workflow(block)]
        self.assertGreater(len(blocks), 12)
        for name, block in blocks:
            with self.subTest(f"{name}: {block}"):
                self.assertEqual(self.refusal(block), [])

    def test_both_spellings_of_a_key_are_valid(self):
        self.assertEqual(self.refusal(
            "jobs: {a: {run: x, working_directory: /, success_exit-codes: 3}}"), [])
        self.assertEqual(self.refusal("jobs: {a: {run: x, success_exit_codes: no}}")[0][0],
                         ["jobs", "a", "success_exit_codes"])

    def test_mistakes_are_refused_at_their_place(self):
        for text, place in [
                ("jobs: {a: {rum: x}}", ["jobs", "a"]),
                ("jobs: [a]", ["jobs"]),
                ("jobs: {a: {run: x, timeout: 30}}", ["jobs", "a", "timeout"]),
                ("jobs: {a: {run: x, retry: {attempts: many}}}",
                 ["jobs", "a", "retry", "attempts"]),
                ("jobs: {a: {run: x, continue-on-error: {any: true}}}",
                 ["jobs", "a", "continue-on-error"]),
                ("jobs: {a: {run: x, needs: [{job: b, when: never}]}}",
                 ["jobs", "a", "needs"]),
                ("groups: {g: {strategy: all}}", ["groups", "g", "strategy"])]:
            with self.subTest(text):
                self.assertEqual(self.refusal(text)[0][0], place)

    def test_it_says_the_words_and_the_defaults(self):
        group = self.schema["$defs"]["groups"]["properties"]
        self.assertEqual(group["strategy"], {
            "description": "What starts again. Default: one_for_one.",
            "enum": ["one_for_one", "one_for_all", "rest_for_one"]})

    def test_what_is_not_described_is_nothing(self):
        """No keyword but a matrix takes anything at all."""
        loose = [name for section in self.schema["$defs"].values()
                 for name, value in section.get("properties", {}).items()
                 if value.keys() == {"description"}]
        self.assertEqual(loose, ["upload", "matrix"])

    def test_the_page_of_the_guide_is_what_is_printed(self):
        self.assertEqual((GUIDE / "reference.md").read_text(),
                         troupe("schema", "--format", "markdown"),
                         "troupe schema --format markdown > docs/guide/reference.md")

    def test_an_unknown_format_is_refused(self):
        troupe("schema", "--format", "xml", code=2)


if __name__ == "__main__":
    TROUPE = sys.argv.pop()
    unittest.main()
