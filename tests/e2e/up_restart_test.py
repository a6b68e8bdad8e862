"""troupe up: what is restarted, how often, and what happens after that."""

import os
import signal
import threading
import time
import unittest

from stacks import NEVER, Stacks, TroupeTest
from troupe_e2e import warden_of, wait_until

SLACK = 0.02  # Of clocks and of rounding.


class Restarts(Stacks, TroupeTest):
    def test_a_service_that_was_killed_is_restarted_and_both_is_told(self):
        up = self.up_ready({"children": {"a": {"run": self.idle}}})
        pid = self.pid("a")
        os.kill(pid, signal.SIGKILL)
        self.wait_for_other_pid("a", pid)
        entry = self.entry("a")
        self.assertEqual(entry["restarts"], 1)
        self.assertRegex(entry["last_exit"], r"^killed by SIGKILL after \d+m?s$")
        self.assertRegex(up.err, r"(?m)^troupe: a killed by SIGKILL after \d+m?s$")
        self.assertEqual(self.entry("")["budget"],
                         {"used": 1, "intensity": 5, "period_s": 60})
        self.assertRegex(self.ok("ps"), r"(?m)^a +running +\d+ +\d+s +1 ")

    def test_a_permanent_one_is_restarted_after_a_success_too(self):
        self.up({"intensity": 100, "children": {"a": {
            "run": "echo a starts >> events; sleep 0.05"}}})
        self.wait_for_event("a starts", times=3)

    def test_a_transient_one_is_restarted_after_a_failure_only(self):
        self.up({"children": {
            "a": {"restart": "transient",
                  "run": "echo a starts >> events; "
                         "mkdir failed && exit 1; exit 0"}}})
        self.wait_for_state("a", "finished")
        self.assertEqual(self.events(), ["a starts"] * 2)
        self.assertEqual(self.entry("a")["restarts"], 1)

    def test_success_exit_codes_say_what_a_failure_is(self):
        self.up({"children": {"a": {
            "restart": "on-failure", "success-exit-codes": [3, 4],
            "run": "echo a starts >> events; mkdir failed && exit 0; exit 4"}}})
        self.wait_for_state("a", "finished")
        self.assertEqual(self.events(), ["a starts"] * 2)

    def test_a_temporary_one_is_never_restarted_and_can_be_started(self):
        self.up_ready({"strategy": "one_for_all", "children": {
            "a": {"restart": "temporary", "run": self.service("a")},
            "b": {"run": self.idle}}})
        os.kill(self.pid("a"), signal.SIGKILL)
        self.wait_for_state("a", "failed")
        pid = self.pid("b")
        os.kill(pid, signal.SIGKILL)
        self.wait_for_other_pid("b", pid)
        self.assertEqual(self.state("a"), "failed")
        self.ok("start", "a")
        self.wait_for_event("a starts", times=2)
        self.assertEqual(self.state("a"), "running")

    def test_the_end_of_a_transient_one_spares_the_others_of_one_for_all(self):
        self.up_ready({"strategy": "one_for_all", "children": {
            "a": {"restart": "transient", "run": "sleep 0.1"},
            "b": {"run": self.service("b")}}}, "b")
        self.wait_for_state("a", "finished")
        self.wait_for_events("b starts")

    def test_a_group_restart_starts_what_had_finished_once_more(self):
        self.up_ready({"strategy": "one_for_all", "children": {
            "migrate": {"restart": "transient", "run": "echo migrated >> events"},
            "b": {"run": self.service("b", "echo up;"), "ready": {"log": "up"},
                  "depends-on": {"migrate": "finished"}}}}, "b")
        os.kill(self.pid("b"), signal.SIGKILL)
        self.wait_for_events("migrated", "b starts", "migrated", "b starts")

    def test_a_significant_one_ends_the_stack_with_success(self):
        up = self.up({"auto-shutdown": "any", "children": {
            "proxy": {"run": self.service("proxy", "echo up;"),
                      "ready": {"log": "up"}},
            "job": {"run": "echo job starts >> events; sleep 0.1",
                    "restart": "transient", "significant": True}}})
        self.assertEqual(up.finish(), 0)
        self.assertEqual(self.events(),
                         ["proxy starts", "job starts", "proxy ends"])
        self.assertIn("troupe: the stack ends because job has ended\n", up.err)
        self.assertNotIn("troupe: ended", up.err)
        self.assert_nothing_left(0)

    def test_a_significant_one_that_fails_for_good_ends_the_stack_with_1(self):
        up = self.up({"auto-shutdown": "any", "children": {
            "job": {"run": "exit 3", "restart": "temporary",
                    "significant": True}}})
        self.assertEqual(up.finish(), 1)
        self.assertIn("troupe: ended: job exited with 3", up.err)

    def test_one_significant_failure_is_not_forgotten_for_a_later_success(self):
        up = self.up({"auto-shutdown": "all", "children": {
            "bad": {"run": "exit 3", "restart": "temporary",
                    "significant": True},
            "good": {"run": "sleep 0.2", "restart": "temporary",
                     "significant": True}}})
        self.assertEqual(up.finish(), 1)
        self.assertIn("troupe: ended: bad exited with 3", up.err)

    def test_a_significant_group_that_gives_up_ends_the_stack_with_1(self):
        up = self.up({"auto-shutdown": "any", "children": {
            "group": {"restart": "temporary", "significant": True,
                      "intensity": 0, "children": {"a": {"run": "exit 3"}}}}})
        self.assertEqual(up.finish(), 1)
        self.assertRegex(up.err, "troupe: ended: group/a exited with 3.* -> "
                         "group gave up")

    def test_a_significant_group_that_came_back_may_end_well_later(self):
        up = self.up({"auto-shutdown": "any", "children": {
            "group": {"restart": "permanent", "intensity": 0,
                      "children": {"a": {"run": "mkdir once 2>/dev/null && "
                                         "exit 3; " + self.idle}}},
            "job": {"run": "until [ -d once ]; do sleep 0.05; done; sleep 0.3",
                    "restart": "transient", "significant": True}}})
        self.assertEqual(up.finish(), 0)

    def test_all_significant_ones_have_to_end_if_the_file_says_so(self):
        up = self.up({"auto-shutdown": "all", "children": {
            name: {"run": f"until [ -e {name} ]; do sleep 0.02; done",
                   "restart": "transient", "significant": True}
            for name in "ab"} | {"c": {"run": self.idle}}})
        self.wait_for_state("c", "running")
        (self.cwd / "a").touch()
        self.wait_for_state("a", "finished")
        self.assertEqual(self.state("b"), "running")
        (self.cwd / "b").touch()
        self.assertEqual(up.finish(), 0)

    def test_a_significant_one_that_fails_is_restarted(self):
        up = self.up({"auto-shutdown": "any", "children": {
            "job": {"run": "echo job starts >> events; mkdir failed && exit 1; "
                           "exit 0", "restart": "transient",
                    "significant": True}}})
        self.assertEqual(up.finish(), 0)
        self.assertEqual(self.events(), ["job starts"] * 2)

    def test_the_services_of_a_warden_that_was_killed_are_restarted(self):
        up = self.up_ready({"children": {name: {"run": self.idle}
                                         for name in "ab"}})
        before = {name: self.pid(name) for name in "ab"}
        os.kill(warden_of(up.pid), signal.SIGKILL)
        for name in "ab":
            self.wait_for_other_pid(name, before[name])
        for pid in before.values():
            self.assertFalse(os.path.exists(f"/proc/{pid}"))


class Budgets(Stacks, TroupeTest):
    def test_a_spent_budget_ends_the_stack_and_says_why(self):
        up = self.up({"intensity": 2, "children": {
            "other": {"run": self.service("other", "echo up;"),
                      "ready": {"log": "up"}},
            "a": {"run": "echo a starts >> events; sleep 0.02; exit 7"}}})
        self.assertEqual(up.finish(), 1)
        self.assertEqual(self.events(), ["other starts"] + 3 * ["a starts"] +
                         ["other ends"])
        lines = up.err.splitlines()
        self.assertRegex(lines[-2], r"^troupe: ended: a exited with 7 after "
                         r"\d+ms \(3 times in 1m\) -> the stack gave up$")
        self.assertIn(lines[-2].replace("ended: ", ""), lines)
        self.assertEqual(up.err.count("troupe: a exited with 7 after"), 4)
        self.assert_nothing_left(0)

    def test_without_a_budget_the_first_failure_is_the_last(self):
        up = self.up({"intensity": 0, "children": {
            "a": {"run": "echo a starts >> events; exit 7"}}})
        self.assertEqual(up.finish(), 1)
        self.assertEqual(self.events(), ["a starts"])

    def test_restarts_that_are_longer_ago_than_the_period_do_not_count(self):
        self.up({"intensity": 1, "period": "100ms", "children": {
            "a": {"run": "echo a starts >> events; sleep 0.2; exit 7"}}})
        self.wait_for_event("a starts", times=5)

    def test_a_group_that_gives_up_is_restarted_by_the_one_above(self):
        up = self.up_ready({"intensity": 2, "children": {
            "g": {"intensity": 1, "children": {
                "first": {"run": self.service("first", "echo up;"),
                          "ready": {"log": "up"}},
                "a": {"run": "echo a starts >> events; "
                             "[ -e broken ] || " + self.idle + "; "
                             "[ $(grep -c 'a starts' events) -gt 4 ] && rm broken;"
                             " exit 7"}}},
            "beside": {"run": self.idle}}})
        beside = self.pid("beside")
        (self.cwd / "broken").touch()
        os.kill(self.pid("g/a"), signal.SIGKILL)
        # Two restarts or one each: killed, 2nd fails, group restarts, 3rd and
        # 4th fail, group restarts, 5th fails and mends itself, 6th runs.
        self.wait_for_event("a starts", times=6)
        self.wait_for_state("g/a", "running")
        entries = self.entries()
        self.assertEqual(entries[""]["budget"]["used"], 2)
        self.assertEqual(entries["g"]["restarts"], 2)
        self.assertEqual(entries["g"]["budget"]["used"], 1)
        self.assertEqual(entries["beside"]["pid"], beside)
        self.assertEqual(self.events().count("first ends"), 2)
        self.assertEqual(up.err.count("troupe: g ended and is restarted"), 2)

    def test_two_levels_start_a_child_as_often_as_both_allow(self):
        up = self.up({"intensity": 2, "children": {"g": {
            "intensity": 1, "children": {
                "a": {"run": "echo a starts >> events; exit 7"}}}}})
        self.assertEqual(up.finish(), 1)
        self.assertEqual(len(self.events()), (1 + 1) * (2 + 1))
        self.assertRegex(
            up.err.splitlines()[-2],
            r"^troupe: ended: g/a exited with 7 after \d+m?s \(2 times in 1m\) "
            r"-> g gave up \(3 times in 1m\) -> the stack gave up$")

    def test_a_transient_group_that_gives_up_stays_down(self):
        self.up({"children": {
            "g": {"restart": "transient", "intensity": 0, "children": {
                "a": {"run": "echo a starts >> events; exit 7"}}},
            "b": {"run": self.idle}}})
        self.wait_for_state("g", "stopped")
        self.assertEqual(self.events(), ["a starts"])
        self.assertEqual(self.state("b"), "running")
        self.assertEqual(self.entry("")["budget"]["used"], 0)

    def crashing_group(self, **options):
        """One that is fine once the file "mended" exists."""
        return self.up({"intensity": 0, "children": {
            "g": {"intensity": 1, **options, "children": {
                "first": {"run": self.service("first", "echo up;"),
                          "ready": {"log": "up"}},
                "a": {"run": "echo a starts >> events; [ -e mended ] || exit 7; "
                             + self.idle}}},
            "b": {"run": self.idle}}})

    def test_a_held_group_is_down_and_the_rest_goes_on(self):
        up = self.crashing_group(**{"on-give-up": "hold", "hold-for": NEVER})
        entry = self.wait_for_state("g", "held")
        self.assertAlmostEqual(entry["next_start_s"], 3600, delta=60)
        self.assertRegex(entry["blame"], r"^g/a exited with 7 after \d+m?s "
                         r"\(2 times in 1m\) -> g is held$")
        self.wait_for_state("g/first", "stopped")
        self.assertEqual(self.events(), ["first starts", "a starts", "a starts",
                                         "first ends"])
        self.assertEqual(self.state("b"), "running")
        self.assertIn(f"troupe: {entry['blame']}\n", up.err)
        self.assertRegex(self.ok("ps"),
                         r"(?m)^g/ +held .* next start in (59|60|1)[mh]; g/a exited")

    def test_a_held_group_starts_again_by_itself(self):
        up = self.crashing_group(**{"on-give-up": "hold", "hold-for": "100ms"})
        up.wait_for_said("g starts again", times=2)
        (self.cwd / "mended").touch()
        self.wait_for_state("g/a", "running")
        self.assertEqual(self.state("g"), "running")
        self.assertNotIn("next_start_s", self.entry("g"))

    def test_start_ends_a_hold(self):
        self.crashing_group(**{"on-give-up": "hold", "hold-for": NEVER})
        self.wait_for_state("g", "held")
        (self.cwd / "mended").touch()
        self.ok("start", "g")
        self.wait_for_state("g/a", "running")
        entry = self.entry("g")
        self.assertEqual((entry["state"], entry["budget"]["used"]),
                         ("running", 0))

    def test_start_of_one_child_of_a_held_group_starts_that_one(self):
        self.crashing_group(**{"on-give-up": "hold", "hold-for": NEVER})
        self.wait_for_state("g", "held")
        self.ok("start", "g/first")
        self.assertEqual(self.state("g/first"), "running")

    def test_a_group_that_stops_waits_for_somebody_who_starts_it(self):
        self.crashing_group(**{"on-give-up": "stop"})
        entry = self.wait_for_state("g", "held")
        self.assertNotIn("next_start_s", entry)
        (self.cwd / "mended").touch()
        self.ok("start", "g")
        self.wait_for_state("g/a", "running")

    def test_down_ends_a_stack_that_holds(self):
        up = self.crashing_group(**{"on-give-up": "hold", "hold-for": NEVER})
        self.wait_for_state("g", "held")
        self.ok("down")
        self.assertEqual(up.finish(within=5), 0)

    def test_a_stack_that_holds_as_a_whole_shows_it(self):
        self.up({"on-give-up": "hold", "hold-for": NEVER, "intensity": 0,
                 "children": {"a": {"run": "exit 7"}}})
        self.wait_for_state("", "held")
        self.assertIn("held", self.ok("ps"))


class BackOff(Stacks, TroupeTest):
    def crash_loop(self, intensity=1000, **backoff):
        return self.up({"intensity": intensity, "children": {
            "a": {"run": "date +%s.%N >> events; exit 1",
                  "backoff": {"jitter": 0, **backoff}},
            "b": {"run": self.idle}}})

    def gaps(self, starts):
        wait_until(lambda: len(self.events()) >= starts,
                   what=f"{starts} starts")
        times = [float(line) for line in self.events()]
        return [b - a for a, b in zip(times, times[1:])][:starts - 1]

    def test_the_pauses_of_a_crash_loop_grow_up_to_a_maximum(self):
        self.crash_loop(min="50ms", max="200ms", factor=2)
        for gap, least in zip(self.gaps(6), [0.05, 0.1, 0.2, 0.2, 0.2]):
            self.assertGreaterEqual(gap, least - SLACK)
            self.assertLess(gap, least + 0.5)

    def test_jitter_changes_the_pauses(self):
        self.crash_loop(min="100ms", max="100ms", jitter=0.5)
        gaps = self.gaps(7)
        self.assertGreaterEqual(min(gaps), 0.05 - SLACK)
        self.assertGreater(max(gaps) - min(gaps), 0.01)

    def test_a_service_that_was_up_for_long_starts_over(self):
        self.up({"intensity": 100, "children": {"a": {
            "run": "date +%s.%N >> events; "
                   "[ $(wc -l < events) = 4 ] && sleep 0.4; exit 1",
            "backoff": {"min": "50ms", "max": NEVER, "factor": 4, "jitter": 0,
                        "reset-after": "300ms"}}}})
        gaps = self.gaps(5)
        for gap, least in zip(gaps, [0.05, 0.2, 0.8, 0.4 + 0.05]):
            self.assertGreaterEqual(gap, least - SLACK)
        self.assertLess(gaps[3], 0.8)

    def test_ps_shows_when_the_next_start_is(self):
        self.crash_loop(min=NEVER, max=NEVER)
        entry = self.wait_for_state("a", "restarting")
        self.assertAlmostEqual(entry["next_start_s"], 3600, delta=60)
        self.assertRegex(self.ok("ps"), r"(?m)^a +restarting .* next start in "
                         r"(59m|60m|1h); exited with 1 after \d+m?s$")

    def test_restarts_with_pauses_count(self):
        up = self.crash_loop(intensity=2, min="20ms", max="20ms")
        self.assertEqual(up.finish(), 1)
        self.assertEqual(len(self.events()), 3)

    def test_down_during_a_pause_ends_all_at_once(self):
        up = self.crash_loop(min=NEVER, max=NEVER)
        self.wait_for_state("a", "restarting")
        self.ok("down", within=5)
        self.assertEqual(up.finish(within=5), 0)
        self.assertEqual(len(self.events()), 1)

    def test_stop_during_a_pause_takes_the_restart_back(self):
        self.crash_loop(min="300ms", max="300ms")
        self.wait_for_state("a", "restarting")
        self.ok("stop", "a", within=5)
        starts = len(self.events())
        self.assertEqual(self.state("a"), "stopped")
        time.sleep(0.4)  # The start that must not happen.
        self.assertEqual(len(self.events()), starts)
        self.assertNotIn("next_start_s", self.entry("a"))

    def crash_once(self, pause):
        """Waits in its only pause when this returns."""
        up = self.up({"children": {"a": {
            "run": "echo a starts >> events; mkdir failed && exit 1; " +
                   self.idle,
            "backoff": {"min": pause, "max": pause, "jitter": 0}}}})
        up.wait_for_said("a exited with 1")

    def test_start_during_a_pause_starts_at_once_and_once(self):
        self.crash_once("600ms")
        self.ok("start", "a", within=5)
        pid = self.pid("a")
        self.assertIsNotNone(pid)
        time.sleep(0.7)  # The start that must not happen.
        self.assertEqual(self.pid("a"), pid)
        self.assertEqual(self.events(), ["a starts"] * 2)

    def test_restart_during_a_pause_starts_at_once_and_once(self):
        self.crash_once("600ms")
        self.ok("restart", "a", within=5)
        pid = self.pid("a")
        time.sleep(0.7)  # The start that must not happen.
        self.assertEqual(self.pid("a"), pid)
        self.assertEqual(self.events(), ["a starts"] * 2)

    def test_many_who_start_it_at_once_start_it_once(self):
        self.crash_once(NEVER)
        codes = []
        threads = [threading.Thread(target=lambda: codes.append(
            self.troupe("start", "a").code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(codes, [0] * 8)
        self.wait_for_state("a", "running")
        self.assertEqual(self.events(), ["a starts"] * 2)

    def test_stops_and_starts_at_once_leave_one_process_or_none(self):
        self.crash_once("50ms")
        threads = [threading.Thread(target=self.troupe, args=(word, "a"))
                   for word in ("start", "stop", "restart") * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.ok("start", "a")
        self.wait_for_state("a", "running")
        running = [pid for pid, command in self.left().items()
                   if command.startswith("sleep ")]
        self.assertEqual(running, [self.pid("a")])


class InBetween(Stacks, TroupeTest):
    """What comes while something else is under way."""

    def slow_group(self):
        """A stack amid a group restart: b is not ready yet."""
        up = self.up_ready({"strategy": "rest_for_one", "children": {
            "a": {"run": self.idle},
            "b": {"run": self.service("b", "[ -e slow ] || echo up;"),
                  "ready": {"log": "up", "timeout": NEVER}},
            "c": {"run": self.service("c", "echo up;"),
                  "ready": {"log": "up"}}}})
        (self.cwd / "slow").touch()
        self.forget_events()
        os.kill(self.pid("a"), signal.SIGKILL)
        self.wait_for_event("b starts")
        return up

    def test_down_amid_a_group_restart_ends_all(self):
        up = self.slow_group()
        self.ok("down", within=5)
        self.assertEqual(up.finish(within=5), 0)
        self.assertEqual(self.events(), ["c ends", "b ends", "b starts",
                                         "b ends"])
        self.assert_nothing_left(0)

    def test_ps_amid_a_group_restart_shows_how_far_it_is(self):
        self.slow_group()
        self.wait_for_state("b", "unready")
        self.assertEqual((self.state("a"), self.state("c")),
                         ("running", "stopped"))

    def test_a_service_killed_while_it_is_not_ready_is_started_again(self):
        self.slow_group()
        pid = self.wait_for_state("b", "unready")["pid"]
        (self.cwd / "slow").unlink()
        os.kill(pid, signal.SIGKILL)
        self.wait_for_event("c starts")
        self.assertEqual(self.events().count("b starts"), 2)
        self.wait_for_state("c", "running")

    def test_one_that_started_already_takes_the_group_along_once_more(self):
        self.slow_group()
        pid = self.pid("a")
        (self.cwd / "slow").unlink()
        os.kill(pid, signal.SIGKILL)
        self.wait_for_other_pid("a", pid)
        self.wait_for_state("c", "running")
        self.assertEqual(self.events(), ["c ends", "b ends", "b starts",
                                         "b ends", "b starts", "c starts"])

    def test_down_while_a_service_is_not_ready_yet_ends_all(self):
        up = self.up({"children": {
            "a": {"run": self.service("a", "echo up;"), "ready": {"log": "up"}},
            "b": {"run": self.service("b"),
                  "ready": {"log": "x", "timeout": NEVER}}}})
        self.wait_for_event("b starts")
        self.ok("down", within=5)
        self.assertEqual(up.finish(within=5), 0)
        self.assertEqual(self.events(), ["a starts", "b starts", "b ends",
                                         "a ends"])
        self.assert_nothing_left(0)

    def slow_sibling(self):
        """A stack with a, which runs, and b, which is not ready again yet."""
        self.up_ready({"children": {
            "a": {"run": self.idle},
            "b": {"run": "[ -e slow ] || echo up; " + self.idle,
                  "ready": {"log": "up", "timeout": NEVER}}}})
        (self.cwd / "slow").touch()
        os.kill(self.pid("b"), signal.SIGKILL)
        self.wait_for_state("b", "unready")

    def test_stop_does_not_wait_for_a_service_that_is_not_ready(self):
        self.slow_sibling()
        self.ok("stop", "b", within=2)
        self.assertEqual(self.state("b"), "stopped")

    def test_a_sibling_that_crashes_meanwhile_is_restarted(self):
        self.slow_sibling()
        pid = self.pid("a")
        os.kill(pid, signal.SIGKILL)
        self.wait_for_other_pid("a", pid, within=1)

    def test_another_service_can_be_stopped_meanwhile(self):
        self.slow_sibling()
        self.ok("stop", "a", within=2)
        self.assertEqual(self.state("a"), "stopped")


if __name__ == "__main__":
    unittest.main()
