"""troupe restart, stop, start and scale: what people change while it runs."""

import os
import signal
import socket
import unittest

from stacks import NEVER, Stacks, TroupeTest


class Overtaking(Stacks, TroupeTest):
    """Commands for a service that another command is still about."""

    def setUp(self):
        super().setUp()
        self.up({"children": {
            "a": {"run": self.service("a", on_term="sleep 0.5; exit 0"),
                  "shutdown": "10s"},
            "slow": {"run": "[ ! -e go ] || echo up; " + self.idle,
                     "ready": {"log": "up", "timeout": NEVER}}}})
        self.wait_for_event("a starts")

    def begin(self, *words):
        running = self.start_troupe(*words)
        self.wait_for_event("a ends")
        return running

    def test_a_stop_during_a_restart_wins(self):
        restart = self.begin("restart", "a")
        self.ok("stop", "a")
        self.assertEqual(self.state("a"), "stopped")
        ended = restart.finish()
        self.assert_ended(ended, 1, err="troupe: a: a later stop came in "
                          "between\n")
        self.assertEqual(self.events(), ["a starts", "a ends"])

    def test_a_start_during_a_stop_starts_it_once_it_has_ended(self):
        stop = self.begin("stop", "a")
        self.ok("start", "a")
        self.assertEqual(self.state("a"), "running")
        self.assert_ended(stop.finish(), 1, err="troupe: a: a later start came "
                          "in between\n")
        self.wait_for_event("a starts", times=2)

    def test_a_restart_during_a_stop_restarts_it(self):
        stop = self.begin("stop", "a")
        self.ok("restart", "a")
        self.assertEqual(self.state("a"), "running")
        self.assertEqual(stop.finish().code, 1)

    def test_two_that_want_the_same_both_succeed(self):
        stop = self.begin("stop", "a")
        self.ok("stop", "a")
        self.assertEqual(stop.finish().code, 0)
        self.assertEqual(self.state("a"), "stopped")

    def test_who_starts_a_slow_one_learns_that_it_was_stopped(self):
        self.ok("stop", "slow", within=5)
        start = self.start_troupe("start", "slow")
        self.wait_for_state("slow", "unready")
        self.ok("stop", "slow", within=5)
        self.assert_ended(start.finish(), 1, err="troupe: slow: a later stop "
                          "came in between\n")


class Changes(Stacks, TroupeTest):
    def test_stop_ends_a_service_until_somebody_starts_it(self):
        self.up_ready({"children": {
            "a": {"run": self.service("a", "echo up;"), "ready": {"log": "up"}},
            "b": {"run": self.idle}}})
        other = self.pid("b")
        self.ok("stop", "a")
        self.assertEqual(self.events(), ["a starts", "a ends"])
        entry = self.entry("a")
        self.assertEqual((entry["state"], entry.get("pid")), ("stopped", None))
        self.ok("stop", "a")
        self.ok("start", "a")
        self.ok("start", "a")
        self.assertEqual(self.state("a"), "running")
        self.assertEqual(self.events(), ["a starts", "a ends", "a starts"])
        self.assertEqual(self.pid("b"), other)
        self.assertEqual(self.entry("")["budget"]["used"], 0)

    def test_restart_returns_when_the_new_one_is_ready(self):
        self.up_ready({"children": {"a": {
            "run": self.service("a", "sleep 0.1; echo a ready >> events; "
                                "echo up;"), "ready": {"log": "up"}}}})
        before = self.pid("a")
        self.ok("restart", "a")
        self.assertEqual(self.events(), ["a starts", "a ready", "a ends",
                                         "a starts", "a ready"])
        entry = self.entry("a")
        self.assertEqual(entry["state"], "running")
        self.assertNotEqual(entry["pid"], before)

    def test_restart_leaves_what_depends_on_it_alone(self):
        self.up_ready({"strategy": "rest_for_one", "children": {
            "a": {"run": self.idle},
            "b": {"run": self.idle, "depends-on": "a"}}})
        before = self.pid("b")
        self.ok("restart", "a")
        self.assertEqual(self.pid("b"), before)

    def test_a_restart_that_fails_says_why(self):
        self.up_ready({"children": {"a": {
            "run": "[ -e broken ] && exit 5; echo up; " + self.idle,
            "ready": {"log": "up"}}}})
        (self.cwd / "broken").touch()
        finished = self.troupe("restart", "a")
        self.assertEqual(finished.code, 1)
        self.assertRegex(finished.err, r"^troupe: a: .*exited with 5")
        (self.cwd / "broken").unlink()
        self.ok("start", "a")
        self.assertEqual(self.state("a"), "running")

    def test_several_names_are_done_in_order(self):
        self.up_ready({"children": {
            name: {"run": self.service(name, "echo up;"), "ready": {"log": "up"}}
            for name in "abc"}})
        self.forget_events()
        self.ok("restart", "c", "a")
        self.assertEqual(self.events(), ["c ends", "c starts", "a ends",
                                         "a starts"])

    def group(self):
        return self.up_ready({"children": {
            "g": {"children": {
                name: {"run": self.service(name, "echo up;"),
                       "ready": {"log": "up"}} for name in "ab"}},
            "c": {"run": self.service("c", "echo up;"),
                  "ready": {"log": "up"}}}})

    def test_a_group_is_stopped_and_started_as_a_whole(self):
        self.group()
        self.forget_events()
        self.ok("stop", "g")
        self.assertEqual(self.events(), ["b ends", "a ends"])
        self.assertEqual([self.state(name) for name in ("g", "g/a", "g/b")],
                         ["stopped"] * 3)
        self.refused("start", "g/a", err="troupe: g is not running\n")
        self.ok("start", "g")
        self.assertEqual(self.events()[2:], ["a starts", "b starts"])
        self.assertEqual([self.state(name) for name in ("g", "g/a", "g/b")],
                         ["running"] * 3)

    def test_a_group_is_restarted_as_a_whole(self):
        self.group()
        self.forget_events()
        self.ok("restart", "g")
        self.assertEqual(self.events(), ["b ends", "a ends", "a starts",
                                         "b starts"])

    def test_start_of_a_running_group_starts_what_is_stopped_in_it(self):
        self.group()
        self.ok("stop", "g/b")
        before = self.pid("g/a")
        self.ok("start", "g")
        self.wait_for_state("g/b", "running")
        self.assertEqual(self.pid("g/a"), before)

    def test_unknown_names_are_refused_with_what_was_meant(self):
        self.up_ready({"children": {
            "server": {"run": self.idle},
            "workers": {"children": {"loader": {"run": self.idle}}}}})
        for word in ("restart", "stop", "start"):
            self.refused(word, "sever", err='troupe: no service "sever"; did '
                         'you mean server?\n')
        self.refused("stop", "workers/laoder", err='troupe: no service '
                     '"workers/laoder"; did you mean workers/loader?\n')
        self.refused("stop", "server", "nothing-like-it",
                     err='troupe: no service "nothing-like-it"\n')
        self.assertEqual(self.state("server"), "stopped")
        self.refused("stop", code=2, err="troupe: stop: no service given\n"
                     "Try \"troupe stop --help\".\n")

    def test_what_was_stopped_by_hand_starts_with_a_group_restart(self):
        self.up_ready({"strategy": "one_for_all", "children": {
            name: {"run": self.idle} for name in "ab"}})
        self.ok("stop", "a")
        os.kill(self.pid("b"), signal.SIGKILL)
        self.wait_for_state("a", "running")

    def test_an_odd_request_is_refused_and_changes_nothing(self):
        up = self.up_ready({"children": {"a": {"run": self.idle}}})
        (path,) = (self.runtime / "troupe").glob("*.sock")
        for line in (b"what?\n", b"{}\n", b'{"do": "jump"}\n', b'{"do": 1}\n',
                     b'{"do": "stop"}\n', b'{"do": "scale", "name": "a"}\n',
                     b'{"do": "scale", "name": "a", "replicas": -1}\n',
                     b'{"do": "stop", "name": ["a"]}\n', b"\n", b"\xff\xfe\n"):
            with self.subTest(line), socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(path))
                client.sendall(line)
                self.assertIn(b"error", client.recv(65536))
        self.assertEqual(self.state("a"), "running")
        self.assertIsNone(up.process.poll())


class Scale(Stacks, TroupeTest):
    def up_workers(self, replicas=2, **group):
        names = [f"w/w-{i}" for i in range(1, 3)]
        return self.up_ready({"children": {
            "w": {**group, "replicas": replicas, "template": {
                "run": self.service("$TROUPE_REPLICA", "echo up;"),
                "ready": {"log": "up"}}},
            "c": {"run": self.idle}}}, *names)

    def copies(self):
        return {name for name, entry in self.entries().items()
                if name.startswith("w/") and entry["state"] == "running"}

    def named(self, *numbers):
        return {f"w/w-{i}" for i in numbers}

    def test_copies_are_numbered_from_1(self):
        self.up_workers()
        self.assertEqual(self.copies(), self.named(1, 2))
        self.assertEqual(self.events(), ["1 starts", "2 starts"])

    def test_more_copies_are_added_and_the_others_stay(self):
        self.up_workers()
        before = self.pid("w/w-1")
        self.ok("scale", "w=4")
        self.assertEqual(self.copies(), self.named(1, 2, 3, 4))
        self.assertEqual(self.pid("w/w-1"), before)

    def test_the_last_copies_end_first(self):
        self.up_workers()
        self.ok("scale", "w=4")
        self.forget_events()
        self.ok("scale", "w=1")
        self.assertEqual(self.copies(), self.named(1))
        self.assertEqual(self.events(), ["4 ends", "3 ends", "2 ends"])
        self.assertNotIn("w/w-2", self.entries())

    def test_none_is_a_number_too(self):
        self.up_workers()
        self.ok("scale", "w=0")
        self.assertEqual(self.copies(), set())
        self.ok("scale", "w=2")
        self.assertEqual(self.copies(), self.named(1, 2))

    def test_the_number_stays_over_a_restart_of_the_group(self):
        self.up_workers()
        self.ok("scale", "w=3")
        self.ok("restart", "w")
        self.assertEqual(self.copies(), self.named(1, 2, 3))

    def test_the_number_stays_when_the_group_gives_up_and_is_restarted(self):
        self.up_workers(intensity=0)
        self.ok("scale", "w=1")
        pid = self.pid("w/w-1")
        os.kill(pid, signal.SIGKILL)
        self.wait_for_other_pid("w/w-1", pid)
        self.assertEqual(self.copies(), self.named(1))

    def test_a_stopped_group_starts_with_the_new_number(self):
        self.up_workers()
        self.ok("stop", "w")
        self.ok("scale", "w=3")
        self.assertEqual(self.copies(), set())
        self.ok("start", "w")
        self.assertEqual(self.copies(), self.named(1, 2, 3))

    def test_one_copy_can_be_stopped_and_started(self):
        self.up_workers()
        self.ok("stop", "w/w-1")
        self.assertEqual(self.copies(), self.named(2))
        self.ok("start", "w/w-1")
        self.assertEqual(self.copies(), self.named(1, 2))

    def test_a_copy_in_a_pause_is_scaled_away_too(self):
        self.up({"children": {"w": {
            "intensity": 100, "replicas": 2,
            "backoff": {"min": NEVER, "max": NEVER}, "template": {
                "run": f'[ "$TROUPE_REPLICA" = 1 ] || exit 1; {self.idle}'}}}})
        self.wait_for_state("w/w-2", "restarting")
        self.ok("scale", "w=1")
        self.assertNotIn("w/w-2", self.entries())

    def test_mistakes_are_refused(self):
        self.up_workers({"min": 2, "max": 3})
        for words, code, err in (
                (["w=4"], 2, "w can have at most 3 copies"),
                (["c=2"], 2, 'c has no "template" and cannot be scaled'),
                (["x=2"], 1, 'no service "x"')):
            with self.subTest(words):
                self.refused("scale", *words, code=code,
                             err=f"troupe: {err}\n")
        for text in ("w", "w=", "w=x", "w=-1", "w=1.5"):
            with self.subTest(text):
                finished = self.troupe("scale", text)
                self.assertEqual(finished.code, 2)
                self.assertIn(f'expected NAME=N, got "{text}"', finished.err)
        self.assertEqual(self.copies(), self.named(1, 2))


if __name__ == "__main__":
    unittest.main()
