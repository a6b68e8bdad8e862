"""troupe up: how services end, in the foreground and in the background."""

import os
import signal
import time
import unittest

from stacks import NEVER, Stacks, TroupeTest
from troupe_e2e import CTRL_C, CTRL_Z, InBash, state_of, wait_until

CTRL_S, CTRL_Q = "\x13", "\x11"

# Leaves its session and its parent, and does not want to end.
DAEMON = ("setsid sh -c 'trap \"\" TERM INT HUP; echo $$ > daemon; "
          "while :; do sleep {0}; done' & ")


PINGS = """
import os, socket, subprocess, time
subprocess.Popen(["sleep", "SECONDS"])
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
    out.connect(os.environ["NOTIFY_SOCKET"])
    while True:
        out.send(b"WATCHDOG=1")
        time.sleep(0.05)
"""


class Ends(Stacks, TroupeTest):
    def test_a_daemon_that_ignores_signals_is_gone_after_down(self):
        up = self.up_ready({"children": {"a": {
            "run": DAEMON.format(self.seconds) + self.idle,
            "shutdown": "200ms"}}})
        daemon = int(self.wait_for_file("daemon"))
        self.ok("down", within=10)
        self.assertEqual(up.finish(), 0)
        self.assertFalse(os.path.exists(f"/proc/{daemon}"))
        self.assert_nothing_left(0)

    def test_a_daemon_does_not_survive_the_restart_of_its_service(self):
        up = self.up_ready({"children": {"a": {
            "run": DAEMON.format(self.seconds) + self.idle,
            "shutdown": "200ms"}}})
        daemon = int(self.wait_for_file("daemon"))
        pid = self.pid("a")
        os.kill(pid, signal.SIGKILL)
        self.wait_for_other_pid("a", pid)
        self.assertFalse(os.path.exists(f"/proc/{daemon}"))
        self.assertIn("left behind", up.err)

    def test_one_that_ignores_the_signal_is_killed_after_its_time(self):
        up = self.up_ready({"children": {"a": {
            "run": "trap '' TERM; echo deaf; while :; do sleep "
                   f"{self.seconds}; done", "ready": {"log": "deaf"},
            "shutdown": "300ms"}}})
        before = time.monotonic()
        self.assertEqual(up.end(), 0)
        self.assertGreaterEqual(time.monotonic() - before, 0.29)
        self.assertRegex(up.err, r"(?m)^troupe: a killed by SIGKILL ")
        self.assert_nothing_left(0)

    def test_one_may_take_its_time_to_end(self):
        up = self.up_ready({"children": {"a": {
            "run": self.service("a", "echo up;",
                                on_term="sleep 0.3; echo a is tidy >> events; "
                                        "exit 0"),
            "ready": {"log": "up"}, "shutdown": "20s"}}})
        self.assertEqual(up.end(), 0)
        self.assertEqual(self.events(), ["a starts", "a ends", "a is tidy"])

    def test_the_signal_can_be_chosen(self):
        up = self.up_ready({"children": {"a": {
            "run": "trap 'echo INT >> events; exit 0' INT; "
                   "trap 'echo TERM >> events; exit 0' TERM; "
                   "echo up; while :; do sleep 0.05; done",
            "ready": {"log": "up"},
            "shutdown": {"signal": "SIGINT", "timeout": "20s"}}}})
        self.assertEqual(up.end(), 0)
        self.assertEqual(self.events(), ["INT"])

    def test_brutal_kill_gives_no_time(self):
        up = self.up_ready({"children": {"a": {
            "run": self.service("a", "echo up;"), "ready": {"log": "up"},
            "shutdown": "brutal-kill"}}})
        self.assertEqual(up.end(), 0)
        self.assertEqual(self.events(), ["a starts"])

    def test_a_failure_during_the_end_does_not_keep_the_others_from_ending(self):
        up = self.up_ready({"children": {
            "a": {"run": self.service("a", "echo up;"), "ready": {"log": "up"}},
            "b": {"run": self.service("b", "echo up;", on_term="exit 9"),
                  "ready": {"log": "up"}}}})
        self.assertEqual(up.end(), 0)
        self.assertEqual(self.events()[2:], ["b ends", "a ends"])

    def test_groups_end_in_reverse_order_with_all_in_them(self):
        service = {name: {"run": self.service(name, "echo up;"),
                          "ready": {"log": "up"}} for name in "abcd"}
        up = self.up_ready({"children": {
            "a": service["a"],
            "g": {"children": {"b": service["b"], "c": service["c"]}},
            "d": service["d"]}})
        self.assertEqual(up.end(), 0)
        self.assertEqual(self.events()[4:], [f"{x} ends" for x in "dcba"])

    def test_one_that_dies_while_others_are_ended_is_not_started_again(self):
        up = self.up_ready({"children": {
            "a": {"run": "echo a starts >> events; " + self.idle},
            "b": {"run": self.service("b", "echo up;",
                                      on_term="until [ -e go ]; do sleep 0.02; "
                                              "done; exit 0"),
                  "ready": {"log": "up"}, "shutdown": NEVER}}})
        pid = self.pid("a")
        up.signal(signal.SIGTERM)
        self.wait_for_event("b ends")
        os.kill(pid, signal.SIGKILL)
        up.wait_for_said("a killed by SIGKILL")
        (self.cwd / "go").touch()
        self.assertEqual(up.finish(), 0)
        self.assertEqual(self.events().count("a starts"), 1)


class Signals(Stacks, TroupeTest):
    @property
    def stay(self):
        """What a service does that does not want to end."""
        return f"while :; do sleep {self.seconds}; done"

    def slow_to_end(self):
        return self.up_ready({"children": {
            name: {"run": self.service(name, "echo up;", on_term=self.stay),
                   "ready": {"log": "up"}, "shutdown": NEVER}
            for name in "ab"}})

    def test_an_interrupt_ends_all_politely(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
                       signal.SIGQUIT):
            with self.subTest(number.name):
                self.forget_events()
                up = self.up_ready({"children": {
                    name: {"run": self.service(name, "echo up;"),
                           "ready": {"log": "up"}} for name in "ab"}})
                up.signal(number)
                self.assertEqual(up.finish(), 0)
                self.assertEqual(self.events()[2:], ["b ends", "a ends"])
                self.assert_nothing_left(0)

    def test_the_second_interrupt_kills_all_at_once(self):
        up = self.slow_to_end()
        up.signal(signal.SIGINT)
        up.wait_for_said("ending all services in reverse order; once more to "
                         "kill them")
        self.wait_for_event("b ends")
        up.signal(signal.SIGINT)
        self.assertEqual(up.finish(within=5), 0)
        self.assertIn("troupe: killing all services\n", up.err)
        self.assert_nothing_left(0)

    def test_two_interrupts_in_a_row_kill_too(self):
        up = self.slow_to_end()
        up.signal(signal.SIGINT)
        up.signal(signal.SIGTERM)
        self.assertEqual(up.finish(within=5), 0)
        self.assert_nothing_left(0)

    def test_two_interrupts_while_a_service_is_not_ready_kill_it(self):
        up = self.up({"children": {"a": {
            "run": self.service("a", on_term=self.stay), "shutdown": NEVER,
            "ready": {"log": "x", "timeout": NEVER}}}})
        self.wait_for_event("a starts")
        up.signal(signal.SIGINT)
        self.wait_for_event("a ends")
        up.signal(signal.SIGINT)
        self.assertEqual(up.finish(within=5), 0)
        self.assert_nothing_left(0)

    def test_troupe_that_is_killed_leaves_no_service(self):
        up = self.up_ready({"children": {"a": {
            "run": DAEMON.format(self.seconds) + self.idle}}})
        self.wait_for_file("daemon")
        up.signal(signal.SIGKILL)
        up.finish()
        self.assert_nothing_left(5)

    def test_a_killed_one_does_not_keep_the_next_from_starting(self):
        stack = {"children": {"a": {"run": self.idle}}}
        up = self.up_ready(stack)
        up.signal(signal.SIGKILL)
        up.finish()
        self.assert_nothing_left(5)
        self.refused("ps", err="troupe: no stack is running; start one with "
                     "troupe up\n")
        again = self.up_ready(stack)
        self.assertEqual(self.stacks()[0]["pid"], again.pid)

    def test_a_reader_that_goes_away_ends_all(self):
        read, write = os.pipe()
        try:
            up = self.up_ready({"children": {"a": {
                "run": "while sleep 0.05; do echo x; done"}}}, stdout=write)
        finally:
            os.close(write)
            os.close(read)
        self.assertEqual(up.finish(), 128 + signal.SIGPIPE)
        self.assert_nothing_left(0)


class Terminal(InBash, Stacks, TroupeTest):
    """A stack is a job of an interactive bash."""

    def start_stack(self, run=None, **service):
        self.write({"children": {"a": {"run": run or self.idle, **service}}})
        self.type('"$TROUPE" up stack.yaml')
        pid = self.wait_for_sleeper()
        self.wait_for_state_of_service()
        return pid

    def wait_for_state_of_service(self):
        wait_until(lambda: self.entry("a").get("state") == "running")

    # Of a process; Stacks has one for services.
    wait_for_state = InBash.wait_for_state

    def test_ctrl_c_ends_all_with_success(self):
        self.start_stack()
        self.bash.send(CTRL_C)
        self.bash.expect(self.PROMPT)
        self.assertEqual(self.enter("echo $?"), "0\n")
        self.leave()

    def test_ctrl_c_reaches_services_only_through_troupe(self):
        self.start_stack("trap 'echo TERM >> events; exit 0' TERM; "
                         "trap 'echo INT >> events; exit 1' INT; echo up; "
                         f"sleep {self.seconds} & wait", ready={"log": "up"})
        self.bash.send(CTRL_C)
        self.bash.expect(self.PROMPT)
        self.assertEqual(self.events(), ["TERM"])
        self.leave()

    def test_ctrl_c_twice_kills_at_once(self):
        self.start_stack(f"trap '' TERM; while :; do sleep {self.seconds}; done",
                         shutdown=NEVER)
        self.bash.send(CTRL_C)
        self.bash.expect("once more to kill them")
        self.bash.send(CTRL_C)
        self.bash.expect(self.PROMPT)
        self.assertEqual(self.enter("echo $?"), "0\n")
        self.leave()

    def test_ctrl_z_stops_troupe_and_fg_continues_it(self):
        self.start_stack()
        troupe = self.stacks()[0]["pid"]
        self.bash.send(CTRL_Z)
        self.bash.expect("Stopped")
        self.bash.expect(self.PROMPT)
        self.wait_for_state(troupe, "T")
        self.type("fg")
        wait_until(lambda: state_of(troupe) in "SR")
        self.wait_for_state_of_service()
        self.bash.send(CTRL_C)
        self.bash.expect(self.PROMPT)
        self.assertEqual(self.enter("echo $?"), "0\n")
        self.leave()

    def test_bg_lets_it_go_on(self):
        self.start_stack()
        troupe = self.stacks()[0]["pid"]
        self.bash.send(CTRL_Z)
        self.bash.expect("Stopped")
        self.bash.expect(self.PROMPT)
        self.type("bg")
        wait_until(lambda: state_of(troupe) in "SR")
        self.ok("down")
        wait_until(lambda: not os.path.exists(f"/proc/{troupe}"))
        self.leave()

    def suspend(self, pid):
        """Stops the stack, and with it the service that has `pid`."""
        self.bash.send(CTRL_Z)
        self.bash.expect("Stopped")
        self.bash.expect(self.PROMPT)
        self.wait_for_state(pid, "T")

    def test_services_stop_and_go_on_with_it(self):
        pid = self.start_stack()
        self.suspend(pid)
        self.type("fg")
        self.wait_for_state(pid, "S")
        self.bash.send(CTRL_C)
        self.bash.expect(self.PROMPT)
        self.leave()

    def test_time_in_which_all_stood_still_does_not_count(self):
        pid = self.start_stack(
            self.python(PINGS.replace("SECONDS", self.seconds)), watchdog="1500ms",
            live={"exec": "touch checked", "period": "100ms", "failures": 1})
        self.suspend(pid)
        time.sleep(2)  # Longer than the watchdog waits.
        self.type("fg")
        (self.cwd / "checked").unlink()
        wait_until((self.cwd / "checked").exists, what="another check")
        time.sleep(0.3)
        self.assertEqual(self.entry("a").get("restarts"), 0)
        self.bash.send(CTRL_C)
        self.bash.expect(self.PROMPT)
        self.leave()

    def test_the_time_to_be_ready_stands_still_too(self):
        self.write({"children": {"a": {
            "run": "until [ -e go ]; do sleep 0.02; done; echo up; "
                   f"touch done; sleep {self.seconds}",
            "ready": {"log": "up", "timeout": "500ms"}}}})
        self.type('"$TROUPE" up stack.yaml')
        pid = wait_until(lambda: self.entry("a").get("pid"))
        self.suspend(pid)
        time.sleep(0.6)  # Longer than it may take.
        (self.cwd / "go").touch()
        self.type("fg")
        self.bash.expect("a is ready", within=10)
        self.bash.send(CTRL_C)
        self.bash.expect(self.PROMPT)
        self.leave()

    def test_a_terminal_that_is_stopped_does_not_stop_services(self):
        self.start_stack("i=0; while :; do i=$((i+1)); echo line $i; "
                         "[ -e beats ] || touch beats; sleep 0.001; done & "
                         + self.idle)
        self.bash.expect("line 10")
        self.bash.send(CTRL_S)
        log = self.log_of("a")
        size = log.stat().st_size
        wait_until(lambda: log.stat().st_size > size + 2000, within=10,
                   what="a log that grows")
        self.wait_for_state_of_service()
        self.ok("restart", "a", within=10)
        self.bash.send(CTRL_Q)
        self.bash.send(CTRL_C)
        self.bash.expect(self.PROMPT)
        self.leave()

    def test_down_works_while_the_terminal_is_stopped(self):
        self.start_stack("yes & " + self.idle)
        self.bash.expect("y\r\n")
        self.bash.send(CTRL_S)
        self.ok("down", within=10)
        wait_until(lambda: not self.sleeper(), what="the end of the service")
        self.bash.send(CTRL_Q)
        self.bash.expect(self.PROMPT)
        self.leave()


class Detached(Stacks, TroupeTest):
    def test_it_returns_when_all_are_ready(self):
        finished = self.up_detached({"children": {
            "a": {"run": self.service("a", "sleep 0.2; echo a ready >> events; "
                                      "echo up;"), "ready": {"log": "up"}},
            "b": {"run": self.idle}}})
        self.assertEqual((finished.code, finished.out), (0, ""))
        self.assertEqual(self.events(), ["a starts", "a ready"])
        (stack,) = self.stacks()
        self.assertRegex(
            finished.err, r"^troupe: a is ready after \d+ms\n"
            rf"troupe: up, as process {stack['pid']}; see troupe ps\n$")
        self.assertEqual(stack["file"], str(self.cwd / "stack.yaml"))
        self.ok("down")
        self.assert_nothing_left()

    def test_it_holds_nothing_of_who_started_it(self):
        self.up_detached({"children": {"a": {"run": self.idle}}})
        pid = self.stacks()[0]["pid"]
        self.assertEqual(os.getsid(pid), pid)
        for fd in range(3):
            self.assertNotIn("pipe:", os.readlink(f"/proc/{pid}/fd/{fd}"))
        self.ok("down")

    def test_it_says_what_has_failed_and_returns_1(self):
        finished = self.up_detached({"children": {
            "a": {"run": self.service("a", "echo up;"), "ready": {"log": "up"}},
            "b": {"run": "exit 5", "ready": {"log": "x"}}}})
        self.assertEqual(finished.code, 1)
        self.assertIn("troupe: b exited with 5 ", finished.err)
        self.assertNotIn("see troupe ps", finished.err)
        self.assertEqual(self.events(), ["a starts", "a ends"])
        self.assert_nothing_left()

    def test_a_bad_file_is_told_in_the_foreground(self):
        finished = self.up_detached({"children": {"a": {"runn": "x"}}})
        self.assertEqual(finished.code, 3)
        self.assertIn("unknown", finished.err)

    def test_a_second_one_of_the_same_file_is_refused(self):
        self.up_detached({"children": {"a": {"run": self.idle}}})
        pid = self.stacks()[0]["pid"]
        for words in (["-d"], []):
            with self.subTest(words):
                again = self.troupe("up", *words, "stack.yaml", within=15)
                self.assertEqual(again.code, 1)
                self.assertIn(str(pid), again.err)
        self.assertEqual(self.stacks()[0]["pid"], pid)
        self.assertEqual(self.state("a"), "running")
        self.ok("down")

    def test_the_same_file_under_another_name_is_the_same_stack(self):
        self.up_detached({"children": {"a": {"run": self.idle}}})
        (self.cwd / "link.yaml").symlink_to("stack.yaml")
        self.assertEqual(self.troupe("up", "-d", "link.yaml").code, 1)
        self.ok("down", "link.yaml")
        self.assertEqual(self.stacks(), [])

    def test_a_service_may_be_named_up(self):
        self.up_detached({"children": {
            "up": {"run": "echo mine; " + self.idle}}})
        wait_until(lambda: self.log_of("up").exists(), what="a log")
        log = self.log_of("up")
        os.kill(self.pid("up"), signal.SIGKILL)
        wait_until(lambda: log.read_text().count("mine") == 2)
        self.ok("down")
        self.assertEqual(log.read_text(), "mine\nmine\n")

    def test_without_a_stack_there_is_nothing_to_ask(self):
        nothing = "troupe: no stack is running; start one with troupe up\n"
        for words in (["ps"], ["down"], ["restart", "a"],
                      ["stop", "a"], ["start", "a"], ["scale", "a=1"]):
            with self.subTest(words):
                self.refused(*words, err=nothing)
        for words in (["logs"], ["logs", "1.2.3"]):
            with self.subTest(words):
                self.refused(*words, err=nothing[:-1] + ", or name a job (17), a task "
                             "(17.3) or a run (r7)\n")
        self.assertEqual(self.stacks(), [])
        self.write({"children": {"a": {"run": "x"}}})
        self.refused("ps", "stack.yaml", err="troupe: stack.yaml is not "
                     "running; start it with troupe up\n")

    def test_of_two_stacks_one_has_to_be_named(self):
        for name in ("one.yaml", "two.yaml"):
            self.up_detached({"children": {name[:3]: {"run": self.idle}}}, name)
        text = self.ok("ps")
        self.assertIn(f"{self.cwd}/one.yaml:\nNAME ", text)
        self.assertIn(f"{self.cwd}/two.yaml:\nNAME ", text)
        which = (f"troupe: 2 stacks are running; name one with --file:\n"
                 f"  {self.cwd}/one.yaml\n  {self.cwd}/two.yaml\n")
        for words in (["down"], ["logs"], ["restart", "one"], ["stop", "one"],
                      ["start", "one"], ["scale", "one=1"]):
            with self.subTest(words):
                self.refused(*words, code=2, err=which)
        self.assertNotIn("one", self.ok("ps", "two.yaml"))
        self.ok("stop", "--file", "one.yaml", "one")
        self.ok("start", "-f", "one.yaml", "one")
        self.ok("logs", "--file", "two.yaml")
        self.ok("down", "one.yaml")
        self.assertEqual([stack["file"] for stack in self.stacks()],
                         [str(self.cwd / "two.yaml")])
        self.ok("down")
        self.assertEqual(self.stacks(), [])

    def test_a_stack_that_stands_still_does_not_hide_the_others(self):
        for name in ("one.yaml", "two.yaml"):
            self.up_detached({"children": {name[:3]: {"run": self.idle}}}, name)
        still = self.stacks()[0]["pid"]
        os.kill(still, signal.SIGSTOP)
        self.addCleanup(os.kill, still, signal.SIGCONT)
        for words in (["ps"], ["ps", "--json"]):
            with self.subTest(words):
                shown = self.troupe(*words)
                self.assertEqual(shown.code, 1, shown)
                self.assertIn("two.yaml" if words[1:] else "two ", shown.out)
                self.assertRegex(shown.err, r"^troupe: no answer from .* within 5s\n$")
        self.assertEqual(self.troupe("down").code, 1)
        self.ok("down", "two.yaml")

    def test_the_name_of_a_service_in_another_stack_is_unknown(self):
        for name in ("one.yaml", "two.yaml"):
            self.up_detached({"children": {name[:3]: {"run": self.idle}}}, name)
        self.refused("stop", "--file", "one.yaml", "two",
                     err='troupe: no service "two"\n')

    def test_down_returns_when_all_are_gone(self):
        self.up_detached({"children": {"a": {
            "run": self.service("a", "echo up;",
                                on_term="sleep 0.3; echo a is tidy >> events; "
                                        "exit 0"), "ready": {"log": "up"}}}})
        self.ok("down")
        self.assertEqual(self.events(), ["a starts", "a ends", "a is tidy"])
        self.refused("down", err="troupe: no stack is running; start one with "
                     "troupe up\n")

    def test_two_who_take_it_down_both_succeed(self):
        self.up_detached({"children": {"a": {
            "run": self.service("a", "echo up;", on_term="sleep 0.3; exit 0"),
            "ready": {"log": "up"}}}})
        first = self.start_troupe("down")
        self.wait_for_event("a ends")
        second = self.start_troupe("down")
        self.assertEqual((first.finish().code, second.finish().code), (0, 0))
        self.assert_nothing_left()

    def test_what_it_says_later_is_in_a_log(self):
        self.up_detached({"children": {"a": {"run": self.idle}}})
        os.kill(self.pid("a"), signal.SIGKILL)
        log = self.log_of("a").parent / "up.out"
        wait_until(lambda: "a killed by SIGKILL" in log.read_text(),
                   what="the end of a in up.out")
        self.ok("down")

    def test_an_interrupt_ends_the_wait_and_not_the_stack(self):
        self.write({"children": {"a": {
            "run": self.service("a", "until [ -e go ]; do sleep 0.02; done; "
                                "echo up;"),
            "ready": {"log": "up", "timeout": NEVER}}}})
        self.addCleanup(self._end_detached)
        running = self.start_troupe("up", "-d", "stack.yaml")
        self.wait_for_event("a starts")
        running.signal(signal.SIGINT)
        self.assertEqual(running.finish().code, -signal.SIGINT)
        self.wait_for_state("a", "unready")
        (self.cwd / "go").touch()
        self.wait_for_state("a", "running")
        self.ok("down")

    def test_down_during_the_start_ends_it(self):
        self.write({"children": {"a": {
            "run": self.service("a"),
            "ready": {"log": "x", "timeout": NEVER}}}})
        self.addCleanup(self._end_detached)
        running = self.start_troupe("up", "-d", "stack.yaml")
        self.wait_for_event("a starts")
        self.ok("down")
        self.assertEqual(running.finish().code, 1)
        self.assert_nothing_left()

    def test_a_long_path_of_sockets_is_told(self):
        folder = self.folder / ("x" * 100)
        folder.mkdir(mode=0o700)
        file = self.write({"children": {"a": {"run": self.idle}}})
        finished = self.troupe("up", file, env={"XDG_RUNTIME_DIR": str(folder)},
                               within=15)
        self.assertNotEqual(finished.code, 0)
        self.assertIn("107", finished.err)


if __name__ == "__main__":
    unittest.main()
