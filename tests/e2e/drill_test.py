"""troupe test: kills services and checks what becomes of it."""

import signal
import unittest
from pathlib import Path

from stacks import Stacks, TroupeTest


class Drills(Stacks):
    """A mixin; stands before TroupeTest."""

    def drill(self, services, *words):
        return self.troupe("test", self.write(services), *words)

    def chain(self, strategy, **settings):
        """Three services that tell of themselves."""
        return {"strategy": strategy, "children": {
            name: {"run": self.service(name, "echo up;"), "ready": {"log": "up"}}
            for name in "abc"}} | settings

    def verdicts(self, finished):
        return [line for line in finished.out.splitlines()
                if line.startswith(("PASS", "FAIL"))]


class Strategies(Drills, TroupeTest):
    def test_what_was_expected_passes_and_is_told_with_its_course(self):
        ended = self.drill(self.chain("rest_for_one"), "--kill", "b@100ms",
                           "--expect", "rest_for_one from b", "--expect", "restarted c",
                           "--expect", "not restarted a", "--expect", "ready within 40s",
                           "--expect", "as predicted")
        self.assertEqual((ended.code, ended.err), (0, ""), ended)
        self.assertEqual(self.verdicts(ended), [
            "PASS  rest_for_one from b", "PASS  restarted c", "PASS  not restarted a",
            "PASS  ready within 40s", "PASS  as predicted"])
        self.assertRegex(ended.out, r"(?m)^ +\d+\.\d{3}s  b is killed$")
        self.assertRegex(ended.out, r"(?m)^ +\d+\.\d{3}s  b killed by SIGKILL after")
        self.assertEqual(self.events(), [
            "a starts", "b starts", "c starts", "c ends", "b starts", "c starts",
            "c ends", "b ends", "a ends"])
        self.assert_nothing_left()

    def test_what_was_not_expected_fails_with_the_reason(self):
        ended = self.drill(self.chain("one_for_all"), "--kill", "b", "--expect",
                           "one_for_one b", "--expect", "one_for_all in services",
                           "--expect", "not restarted c")
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.verdicts(ended), [
            "FAIL  one_for_one b: a was started again", "PASS  one_for_all in services",
            "FAIL  not restarted c: c was started again"])

    def test_reality_is_as_predicted_under_every_strategy(self):
        for strategy in ("one_for_one", "rest_for_one", "one_for_all"):
            for victim in "ab":
                with self.subTest(strategy, victim=victim):
                    ended = self.drill(self.chain(strategy), "--kill", victim)
                    self.assertEqual((ended.code, self.verdicts(ended)),
                                     (0, ["PASS  as predicted"]), ended)

    def test_reality_is_as_predicted_in_groups_that_give_up(self):
        inner = self.chain("one_for_all", intensity=0)
        services = {"strategy": "rest_for_one", "children": {
            "first": {"run": self.service("first")}, "g": inner,
            "last": {"run": self.service("last")}}}
        ended = self.drill(services, "--kill", "g/b", "--expect", "as predicted",
                           "--expect", "gives up g", "--expect", "rest_for_one from g")
        self.assertEqual(ended.code, 0, ended)

    def test_a_temporary_service_is_not_restarted(self):
        services = self.chain("one_for_one")
        services["children"]["b"]["restart"] = "temporary"
        ended = self.drill(services, "--kill", "b", "--expect", "not restarted b",
                           "--expect", "as predicted")
        self.assertEqual(ended.code, 0, ended)

    def test_a_stack_gives_up_as_expected(self):
        ended = self.drill(self.chain("one_for_one", intensity=0), "--kill", "b",
                           "--expect", "gives up", "--expect", "stays up",
                           "--expect", "as predicted")
        self.assertEqual(ended.code, 1, ended)
        passed, failed, predicted = self.verdicts(ended)
        self.assertEqual(passed, "PASS  gives up")
        self.assertRegex(failed, r"^FAIL  stays up: b killed by SIGKILL after \d+m?s -> "
                                 r"the stack gave up$")
        self.assertEqual(predicted, "PASS  as predicted")

    def test_what_does_not_happen_is_waited_for_as_long_as_told(self):
        ended = self.drill(self.chain("one_for_one"), "--kill", "a", "--expect",
                           "gives up", "--for", "300ms")
        self.assertEqual((ended.code, self.verdicts(ended)),
                         (1, ["FAIL  gives up: the stack did not give up"]), ended)

    def test_without_a_kill_a_stack_has_to_stay_up(self):
        ended = self.drill(self.chain("one_for_one"), "--for", "200ms")
        self.assertEqual((ended.code, self.verdicts(ended)), (0, ["PASS  stays up"]))

    def test_the_same_as_json(self):
        ended = self.drill(self.chain("one_for_one"), "--kill", "a", "--json")
        self.assertEqual(ended.code, 0, ended)
        answer = ended.json()
        self.assertEqual(answer["expectations"], [
            {"expectation": "as predicted", "passed": True, "reason": None}])
        self.assertTrue(answer["passed"])
        self.assertIn("a is killed", [event["what"] for event in answer["events"]])


class Example(TroupeTest):
    def test_the_example_does_as_it_says(self):
        root = Path(__file__).resolve().parents[2]
        (self.cwd / "examples").symlink_to(root / "examples")
        ended = self.troupe("test", "examples/smoke.yaml", "--kill", "web", "--expect",
                            "restarted web", "--for", "40s")
        self.assertEqual(ended.code, 0, ended)
        self.assertIn("PASS  restarted web\n", ended.out)
        self.assert_nothing_left()


class Mistakes(Drills, TroupeTest):
    def refuse(self, what, *words, services=None):
        ended = self.drill(services or self.chain("one_for_one"), *words)
        self.assertEqual((ended.code, ended.out), (2, ""), ended)
        self.assertIn(f"troupe: test: {what}", ended.err)
        self.assertEqual(self.events(), [])

    def test_names_and_expectations_are_corrected(self):
        services = {"children": {"loader": {"run": "x"},
                                 "g": {"children": {"inner": {"run": "x"}}}}}
        for words, what in [
                (["--kill", "loadr@1s"],
                 '--kill: no service "loadr"; did you mean loader?'),
                (["--kill", "loader@soon"],
                 '--kill: expected NAME@TIME such as db@3s, got "loader@soon"'),
                (["--kill", "g"],
                 "--kill: g is a group, which has no process; name one of g/inner"),
                (["--expect", "restartd loader"],
                 '--expect: unknown expectation "restartd loader"; did you mean '
                 '"restarted"?'),
                (["--expect", "restarted loadr"],
                 '--expect: no service "loadr"; did you mean loader?'),
                (["--expect", "one_for_all in loader"],
                 "--expect: loader is a service and no group"),
                (["--expect", "ready within"],
                 '--expect: expected "ready within TIME", got "ready within"'),
                (["--expect", "as predicted"],
                 '--expect: "as predicted" is about exactly one --kill'),
                (["--for", "long"], '--for: expected a time such as 10s, got "long"')]:
            with self.subTest(words):
                self.refuse(what, *words, services=services)

    def test_a_stack_that_does_not_come_up_fails_all(self):
        ended = self.drill({"children": {"a": {"run": "exit 3", "ready": {"log": "up"}}}},
                           "--kill", "a", "--expect", "restarted a")
        self.assertEqual((ended.code, self.verdicts(ended)),
                         (1, ["FAIL  restarted a: not all were ready at first"]), ended)

    def test_a_file_without_services_is_refused(self):
        ended = self.drill("jobs: {a: {run: x}}")
        self.assert_ended(ended, 3, err='troupe: stack.yaml: the file has no "services"\n')

    def test_an_interrupt_ends_it_and_leaves_nothing(self):
        self.write(self.chain("one_for_one"))
        running = self.start_troupe("test", "stack.yaml", "--for", "1h")
        self.wait_for_event("c starts")
        running.signal(signal.SIGINT)
        ended = running.finish()
        self.assertEqual(ended.code, 128 + signal.SIGINT, ended)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
