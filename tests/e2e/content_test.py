"""What need not be done twice, and files from one job to another: troupe cached,
troupe artifact, and `cache` and `artifacts` of workflows."""

import json
import os
import signal
import unittest
from pathlib import Path

from nodes import Node
from troupe_e2e import TroupeTest, wait_until


class Cached(TroupeTest):
    def cached(self, *words, **options):
        return self.troupe("cached", *words, **options)

    def runs(self):
        log = self.cwd / "runs"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def test_the_second_time_it_is_not_run(self):
        command = ("--key", "k", "--", "sh", "-c", "echo x >> runs; echo said; "
                   "echo told >&2")
        first = self.cached(*command)
        self.assertEqual((first.code, first.out, first.err), (0, "said\n", "told\n"))
        second = self.cached(*command)
        self.assertEqual((second.code, second.out), (0, "said\n"))
        self.assertRegex(second.err, r"^troupe: cached: made \d+m?s ago, key k\n$")
        self.assertEqual(self.runs(), 1)

    def test_another_key_command_or_source_is_another_result(self):
        (self.cwd / "in").write_text("1")
        script = "echo x >> runs"
        for key, source, line, expected in [
                ("a", "1", script, 1), ("a", "1", script, 1), ("b", "1", script, 2),
                ("a", "2", script, 3), ("a", "1", script, 3), ("a", "1", script + " ", 4)]:
            (self.cwd / "in").write_text(source)
            self.cached("--key", key, "--source", "in", "--", "sh", "-c", line)
            self.assertEqual(self.runs(), expected)

    def test_what_it_made_is_put_back(self):
        command = ("--source", "in", "--generates", "out/**", "--", "sh", "-c",
                   "echo x >> runs; mkdir -p out/deep; cp in out/deep/a; "
                   "printf '#!/bin/sh' > out/tool; chmod 755 out/tool")
        (self.cwd / "in").write_text("text")
        self.assertEqual(self.cached(*command).code, 0)
        self.sh("rm -r out")
        self.assertEqual(self.cached(*command).code, 0)
        self.assertEqual((self.cwd / "out/deep/a").read_text(), "text")
        self.assertTrue(os.access(self.cwd / "out/tool", os.X_OK))
        self.assertEqual(self.runs(), 1)

    def test_a_failure_is_not_kept(self):
        command = ("--key", "k", "--", "sh", "-c", "echo x >> runs; exit 3")
        self.assertEqual(self.cached(*command).code, 3)
        self.assertEqual(self.cached(*command).code, 3)
        self.assertEqual(self.runs(), 2)
        self.cached("--success-codes", "0,3", *command)
        ended = self.cached("--success-codes", "0,3", *command)
        self.assertEqual((ended.code, self.runs()), (3, 3))

    def test_one_that_has_not_made_its_files_is_not_kept(self):
        ended = self.cached("--key", "k", "--generates", "none.csv", "--", "true")
        self.assertEqual((ended.code, ended.err),
                         (0, "troupe: cached: the result is not kept: it has not made "
                             "none.csv\n"))

    def test_refresh_runs_it_in_any_case(self):
        command = ("--key", "k", "--", "sh", "-c", "echo x >> runs; cat in")
        (self.cwd / "in").write_text("1")
        self.cached(*command)
        (self.cwd / "in").write_text("2")
        self.assertEqual(self.cached("--refresh", *command).out, "2")
        self.assertEqual(self.cached(*command).out, "2")
        self.assertEqual(self.runs(), 2)

    def test_what_is_too_old_is_run_again(self):
        command = ("--key", "k", "--max-age", "1ms", "--", "sh", "-c", "echo x >> runs")
        for _ in range(2):
            self.cached(*command)
        self.assertEqual(self.runs(), 2)

    def test_what_is_damaged_is_run_again(self):
        command = ("--key", "k", "--", "sh", "-c", "echo x >> runs; echo said")
        self.cached(*command)
        for blob in Path(self.env["XDG_STATE_HOME"]).glob("troupe/content/blobs/*/*"):
            blob.chmod(0o600)
            blob.write_text("other")
        self.assertEqual(self.cached(*command).out, "said\n")
        self.assertEqual(self.cached(*command).out, "said\n")
        self.assertEqual(self.runs(), 2)

    def test_a_signal_means_the_command(self):
        running = self.start_troupe(
            "cached", "--key", "k", "--", "sh", "-c",
            "trap 'echo bye; exit 7' TERM; echo x >> on; while :; do sleep 0.02; done")
        self.wait_for_file("on")
        running.signal(signal.SIGTERM)
        ended = running.finish()
        self.assertEqual((ended.code, ended.out), (7, "bye\n"))

    def test_a_signal_that_comes_at_once_means_the_command(self):
        for key in range(20):
            ended = self.cached("--key", str(key), "--", "sh", "-c",
                                "trap 'exit 7' TERM; kill -TERM $PPID; "
                                "while :; do sleep 0.02; done")
            self.assertEqual(ended.code, 7)

    def test_it_ends_by_the_signal_that_ended_the_command(self):
        ended = self.cached("--key", "k", "--", "sh", "-c", "kill -9 $$")
        self.assertEqual(ended.code, -9)

    def test_what_it_left_behind_is_not_waited_for(self):
        ended = self.cached("--key", "k", "--", "sh", "-c",
                            f"sleep {self.seconds} 2>&- & echo said; echo $! > pid")
        self.assertEqual((ended.code, ended.out), (0, "said\n"))
        os.kill(int(self.wait_for_file("pid")), signal.SIGKILL)
        wait_until(lambda: not self.left(), what="nothing left")

    def test_mistakes_are_told(self):
        self.assertEqual(self.cached().code, 2)
        ended = self.cached("--kye", "x", "--", "true")
        self.assertEqual(ended.code, 2)
        self.assertIn('did you mean --key?', ended.err)
        ended = self.cached("--key", "k", "--", "no-such-program")
        self.assertEqual(ended.code, 127)
        self.assertIn("no-such-program", ended.err)


class Artifacts(TroupeTest):
    def test_go_from_hand_to_hand(self):
        (self.cwd / "report").mkdir()
        (self.cwd / "report/a.html").write_text("a")
        ended = self.troupe("artifact", "put", "nightly", "build.report", "report")
        self.assertEqual((ended.code, ended.out),
                         (0, "kept build.report: 1 file, 1 B\n"), ended)
        ended = self.troupe("artifact", "get", "nightly", "build.report", "--into", "x")
        self.assertEqual((ended.code, ended.out), (0, "1 file\n"), ended)
        self.assertEqual((self.cwd / "x/report/a.html").read_text(), "a")
        listed = self.troupe("artifact", "list", "nightly", "--json").json()["artifacts"]
        self.assertEqual([(one["job"], one["name"], one["files"][0]["path"])
                          for one in listed], [("build", "report", "report/a.html")])
        ended = self.troupe("artifact", "list")
        self.assertRegex(ended.out, r"^nightly  build.report  1 file, 1 B  until ")

    def test_that_are_not_there_are_told(self):
        ended = self.troupe("artifact", "get", "nightly", "build.none")
        self.assertEqual((ended.code, ended.err),
                         (1, "troupe: artifact: run nightly has no artifact "
                             "build.none\n"))
        ended = self.troupe("artifact", "put", "nightly", "build.none", "*.none")
        self.assertEqual((ended.code, ended.err),
                         (1, "troupe: artifact: there are no files *.none\n"))
        self.assertEqual(self.troupe("artifact", "got").code, 2)


class Flows(TroupeTest):
    FLOW = """
jobs:
  build:
    strategy: { matrix: { part: [a, b] } }
    steps:
      - id: make
        run: |
          echo ${{ matrix.part }} >> runs
          mkdir -p ${{ matrix.part }}
          echo "made ${{ matrix.part }}" > ${{ matrix.part }}/out
          echo "name=${{ matrix.part }}!" >> "$TROUPE_OUTPUT"
        cache: { key: "v1-${{ matrix.part }}", sources: [in], generates: ["${{ matrix.part }}/out"] }
      - run: test "${{ steps.make.outputs.name }}" = "${{ matrix.part }}!"
    artifacts: { upload: { out: "${{ matrix.part }}/out" } }
  use:
    needs: [build]
    working-directory: elsewhere
    artifacts: { download: [build.out] }
    run: cat a/a/out b/b/out > ../result
"""

    def prepare(self):
        (self.cwd / "in").write_text("1")
        (self.cwd / "elsewhere").mkdir()
        (self.cwd / "flow.yaml").write_text(self.FLOW)

    def runs(self):
        return sorted((self.cwd / "runs").read_text().split())

    def again(self):
        self.sh("rm -r a b elsewhere/* result")

    def test_a_run_uses_what_was_made_before_and_hands_files_on(self):
        self.prepare()
        first = self.troupe("run", "flow.yaml")
        self.assertEqual(first.code, 0, first)
        self.assertEqual((self.cwd / "result").read_text(), "made a\nmade b\n")
        self.again()
        second = self.troupe("run", "flow.yaml")
        self.assertEqual(second.code, 0, second)
        self.assertIn("troupe: cached: made", second.out + second.err)
        self.assertEqual((self.cwd / "result").read_text(), "made a\nmade b\n")
        self.assertEqual(self.runs(), ["a", "b"])
        self.assertEqual(self.troupe("run", "--no-cache", "flow.yaml").code, 0)
        self.assertEqual(self.runs(), ["a", "a", "b", "b"])
        (self.cwd / "in").write_text("2")
        self.assertEqual(self.troupe("run", "flow.yaml").code, 0)
        self.assertEqual(len(self.runs()), 6)

    def test_an_artifact_that_is_not_made_fails_the_job(self):
        (self.cwd / "flow.yaml").write_text(
            "jobs: { a: { run: 'true', artifacts: { upload: { x: none } } } }")
        ended = self.troupe("run", "flow.yaml")
        self.assertEqual(ended.code, 1)
        self.assertIn("there are no files none", ended.out + ended.err)

    def test_a_node_does_the_same(self):
        self.prepare()
        node = Node(self, "slots: 4\n")
        self.env["TROUPE_SOCKET"] = str(node.socket)
        node.start()
        for again in False, True:
            if again:
                self.again()
                node.restart()
            submitted = self.troupe("submit", "-f", "flow.yaml")
            self.assertEqual(submitted.code, 0, submitted)
            run = submitted.out.strip()
            waited = self.troupe("wait", run)
            self.assertEqual(waited.code, 0, self.troupe("status", run))
            self.assertEqual((self.cwd / "result").read_text(), "made a\nmade b\n")
            self.assertEqual(self.runs(), ["a", "b"])
        listed = self.troupe("artifact", "list", "r1", "--json").json()["artifacts"]
        self.assertEqual([one["instance"] for one in listed], ["a", "b"])
        ended = self.troupe("artifact", "get", "r1", "build.out", "--into", "got")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual((self.cwd / "got/a/a/out").read_text(), "made a\n")
        self.assertEqual(self.troupe("forget", "r1").code, 0)
        wait_until(lambda: not self.troupe("artifact", "list", "r1", "--json")
                   .json()["artifacts"], what="no artifacts of a forgotten run")
        submitted = self.troupe("submit", "-f", "flow.yaml", "--no-cache")
        self.assertEqual(self.troupe("wait", submitted.out.strip()).code, 0)
        self.assertEqual(self.runs(), ["a", "a", "b", "b"])


if __name__ == "__main__":
    unittest.main()
