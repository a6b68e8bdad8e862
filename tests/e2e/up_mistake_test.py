"""troupe up: what is wrong with a file is told with its place."""

import unittest

from stacks import Stacks, TroupeTest


class Mistakes(Stacks, TroupeTest):
    def said(self, text):
        """What is said about a bad file."""
        finished = self.troupe("up", self.write(text))
        self.assertEqual((finished.code, finished.out), (3, ""), finished)
        return finished.err

    def assert_says(self, text, *parts):
        said = self.said(text)
        for part in parts:
            self.assertIn(part, said)

    def test_unknown_keys_have_a_place_and_a_suggestion(self):
        self.assertEqual(
            self.said("services:\n  children:\n    web:\n      rnu: x\n"),
            'stack.yaml:4:7: unknown key "rnu" in a service; did you mean '
            '"run"?\n      rnu: x\n      ^~~\n')

    def test_each_mistake_has_its_place(self):
        child = "services:\n  children:\n    a:\n      run: x\n      "
        for text, place, what in (
                ("services: {children: {}}", "1:22", "at least one service"),
                ("services:\n  strategi: one_for_all\n  children: {a: {run: x}}",
                 "2:3", 'did you mean "strategy"?'),
                ("services:\n  strategy: one_for_al\n  children: {a: {run: x}}",
                 "2:13", "one_for_all"),
                ("services:\n  strategy: {matrix: 1}\n  children: {a: {run: x}}",
                 "2:13", "a map belongs on a job"),
                ("services:\n  intensity: -1\n  children: {a: {run: x}}",
                 "2:14", "intensity"),
                ("services:\n  period: 0s\n  children: {a: {run: x}}", "2:11",
                 "period: must be more than nothing"),
                (child + "restart: sometimes", "5:16", "restart: expected"),
                (child + "ready: {}", "5:14", "exactly one of exec, http"),
                (child + "ready: {log: x, tcp: y}", "5:14", "exactly one of"),
                (child + "live: {log: x}", "5:14", "log"),
                (child + "ready: {exec: x, timeout: 0s}", "5:33",
                 "timeout: must be more than nothing"),
                (child + "shutdown: {signal: SIGNOPE}", "5:26",
                 "a signal such as SIGINT"),
                (child + "shutdown: soon", "5:17", "shutdown"),
                (child + "backoff: {min: 2s, max: 1s}", "5:16",
                 "max is less than min"),
                (child + "limits: {memory: lots}", "5:24", "memory"),
                (child + "log: {size: 1KiB}", "5:19", "at least 4KiB"),
                (child + "success-exit-codes: [300]", "5:28",
                 "success-exit-codes"),
                (child + "watchdog: never", "5:17", "watchdog"),
                (child + "significant: true", "3:5", "always restarted"),
                (child + "restart: transient\n      significant: true", "3:5",
                 "auto-shutdown"),
                (child + "depends-on: b", "5:19", 'unknown service "b"'),
                (child + "depends-on: a", "5:19", "cannot depend on itself"),
                (child + "depends-on: {a: soon}", "5:23", "depends-on"),
                (child + "env: {X: '${{ nope.y }}'}", "5:21", "nope"),
                (child + "ready: {http: '${{ prot.x }}'}", "5:26", "prot"),
                ("services:\n  children:\n    a b: {run: x}", "3:5",
                 "letters, digits, _ and -"),
                ("services:\n  replicas: 2\n  children: {a: {run: x}}", "2:3",
                 '"replicas" needs a "template"'),
                ("services:\n  replicas: {min: 3, max: 2}\n"
                 "  template: {run: x}", "2:13", "max is less than min"),
                ("services:\n  children: {a: {run: x}}\n  template: {run: y}",
                 "3:3", "exclude each other"),
                ("services: [1]", "1:11", "services"),
                ("services:\n  children:\n    a: {run: x}\n    a: {run: y}",
                 "4:5", "a"),
                ("services: {children: {a: {run: x}\n", "3:1", "not found")):
            with self.subTest(text):
                self.assert_says(text + "\n", f"stack.yaml:{place}: ",
                                 what)

    def test_all_mistakes_are_told_at_once(self):
        said = self.said("services:\n  children:\n    a: {runn: x}\n"
                         "    b: {run: x, restart: maybe}\n")
        self.assertIn("stack.yaml:3:9: ", said)
        self.assertIn("stack.yaml:4:26: ", said)

    def test_a_cycle_is_named(self):
        self.assert_says(
            "services:\n  children:\n    a: {run: x, depends-on: c}\n"
            "    b: {run: x, depends-on: a}\n    c: {run: x, depends-on: b}\n",
            "stack.yaml:3:5: services depend on each other in a cycle: "
            "a -> c -> b -> a\n")

    def test_a_service_cannot_depend_on_the_group_that_it_is_in(self):
        self.assert_says(
            "services:\n  children:\n    g:\n      children:\n"
            "        a: {run: x, depends-on: g}\n",
            'stack.yaml:5:33: "a" is in "g" and cannot depend on it')

    def test_what_never_finishes_cannot_be_waited_for(self):
        self.assert_says(
            "services:\n  children:\n    a: {run: x}\n"
            "    b: {run: x, depends-on: {a: finished}}\n",
            'stack.yaml:4:30: "a" is always restarted, so it never '
            "finishes")

    def test_a_bad_address_is_told_with_its_service(self):
        for kind, text, what in (
                ("tcp", "nonsense", "expected HOST:PORT"),
                ("tcp", "x:99999", "expected HOST:PORT"),
                ("http", "https://x/", "expected a URL such as"),
                ("http", "http://x/a b", "a space in the URL")):
            with self.subTest(text):
                self.assert_says({"children": {"web": {
                    "run": "x", "ready": {kind: text}}}},
                    "stack.yaml:1:", f": {kind}: {what}")
                # With expressions, it is known only when they are.
                self.assert_says({"env": {"X": text}, "children": {"web": {
                    "run": "x", "ready": {kind: "${{ env.X }}"}}}},
                    "troupe: stack.yaml: service web: ready: ", what)
        self.assert_says({"children": {"web": {"run": "x", "ready": {
            "log": ""}}}}, "troupe: stack.yaml: service web: ready: log: "
            "expected a text")

    def test_up_wants_services_and_run_wants_jobs(self):
        finished = self.troupe("up", self.write("jobs: {a: {run: x}}\n"))
        self.assert_ended(finished, 3, err='troupe: stack.yaml: the file has no '
                          '"services"\n')
        finished = self.troupe("run", self.write({"children": {
            "a": {"run": "x"}}}))
        self.assertEqual(finished.code, 3)
        self.assertIn("troupe up stack.yaml runs its services", finished.err)

    def test_up_runs_only_the_services_of_a_file_with_both(self):
        up = self.up("jobs: {j: {run: touch job}}\n"
                     f"services: {{children: {{a: {{run: {self.idle}}}}}}}\n")
        self.wait_for_state("a", "running")
        self.assertEqual(up.end(), 0)
        self.assertFalse((self.cwd / "job").exists())

    def test_a_file_that_is_not_there_is_told(self):
        finished = self.troupe("up", "missing.yaml")
        self.assertEqual(finished.code, 3)
        self.assertIn("missing.yaml", finished.err)
        self.assertEqual(self.troupe("up").code, 2)
        self.assertEqual(self.troupe("up", "a", "b").code, 2)

    def test_lint_knows_services(self):
        self.write({"children": {"a": {"run": "x"}}})
        self.assert_ended(self.troupe("lint", "stack.yaml"), 0,
                          out="stack.yaml: ok, 1 service\n")


if __name__ == "__main__":
    unittest.main()
