"""examples/nightly-etl: a file with every word of the language, as it is meant."""

import json
import shutil
import unittest
from pathlib import Path

from troupe_e2e import TroupeTest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "nightly-etl"


class WholeLanguage(TroupeTest):
    def setUp(self):
        super().setUp()
        shutil.copytree(EXAMPLE, self.cwd, dirs_exist_ok=True)

    def run_it(self, *options):
        return self.troupe("run", "nightly-etl.yaml", "--input", "date=2024-05-01",
                           *options, env={"HOOK": "swordfish"})

    def record(self):
        runs = Path(self.env["XDG_STATE_HOME"]) / "troupe" / "runs"
        newest = sorted(runs.iterdir())[-1]
        return json.loads((newest / "run.json").read_text())

    def test_it_runs_to_its_end(self):
        ended = self.run_it("--approve", "load:ticket=OPS-7")
        self.assertEqual(ended.code, 0, ended)
        record = self.record()
        self.assertEqual(
            {job["label"]: job["state"] for job in record["jobs"]},
            {"extract (eu, a)": "succeeded", "extract (eu, b)": "succeeded",
             "extract (us, a)": "succeeded",
             "transform (north)": "succeeded", "transform (south)": "succeeded",
             "load": "succeeded", "report": "succeeded",
             "report/count": "succeeded", "report/report": "succeeded",
             "hooks.on-start": "succeeded", "hooks.on-success": "succeeded",
             "hooks.on-exit": "succeeded"})
        self.assertIn("==> transform (south): ./transform.py south <==\nSOUTH: 9\n",
                      ended.out)
        self.assertTrue(ended.out.endswith("2 rows, password of 11 letters\n"), ended)
        # Nobody waits for whoever tells it.
        first, *between, last = (self.cwd / "log").read_text().splitlines()
        self.assertEqual([first, last], ["announced", "lock released"])
        self.assertRegex("\n".join(sorted(between)),
                         r"\Atagged\ntold: run \S+ of ETL 2024-05-01 by \S+: job load "
                         r"waits for approval: Load 2024-05-01\?\Z")
        # Those that jobs need, and no others.
        self.assertEqual([service["service"] for service in record["services"]],
                         ["api", "db"])
        self.assertEqual(self.left(), {})

    def test_the_second_time_nothing_is_pulled_again(self):
        self.run_it("--approve", "load:ticket=OPS-7")
        ended = self.run_it("--approve", "load:ticket=OPS-8")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(ended.out.count("troupe: cached: made "), 3, ended)

    def test_without_approval_nothing_is_loaded_and_people_are_paged(self):
        ended = self.run_it()
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("page --job load --path load\n", (self.cwd / "log").read_text())

    def test_it_passes_the_check(self):
        ended = self.troupe("lint", "nightly-etl.yaml")
        self.assertEqual(ended.code, 0, ended)


if __name__ == "__main__":
    unittest.main()
