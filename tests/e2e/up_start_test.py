"""troupe up: what starts in which order, and what being ready means."""

import os
import signal
import unittest

from stacks import NEVER, Stacks, TroupeTest
from troupe_e2e import wait_until


class StartOrder(Stacks, TroupeTest):
    def test_a_service_starts_only_after_those_it_depends_on_are_ready(self):
        self.up_ready({"children": {
            "server": {"run": self.service("server"),
                       "depends-on": {"db": "ready"}},
            "db": {"run": self.service(
                "db", "sleep 0.2; echo db ready >> events; echo open;"),
                "ready": {"log": "open"}}}})
        self.wait_for_events("db starts", "db ready", "server starts")

    def test_a_list_of_dependencies_waits_for_each_of_them(self):
        self.up_ready({"children": {
            "c": {"run": self.service("c"), "depends-on": ["a", "b"]},
            "b": {"run": self.service("b", "echo b ready >> events; echo up;"),
                  "ready": {"log": "up"}, "depends-on": "a"},
            "a": {"run": self.service("a", "echo a ready >> events; echo up;"),
                  "ready": {"log": "up"}}}})
        self.wait_for_events("a starts", "a ready", "b starts", "b ready",
                             "c starts")

    def test_a_preparation_has_finished_before_what_depends_on_it(self):
        self.up_ready({"children": {
            "server": {"run": self.service("server"),
                       "depends-on": {"migrate": "finished"}},
            "migrate": {"run": "sleep 0.2; echo migrated >> events",
                        "restart": "transient"}}}, "server")
        self.wait_for_events("migrated", "server starts")
        self.assertEqual(self.state("migrate"), "finished")

    def test_a_preparation_that_fails_ends_the_start(self):
        up = self.up({"children": {
            "server": {"run": self.service("server"),
                       "depends-on": {"migrate": "finished"}},
            "migrate": {"run": "exit 4", "restart": "transient"}}})
        self.assertEqual(up.finish(), 1)
        self.assertIn("troupe: migrate exited with 4 after ", up.err)
        self.assertEqual(self.events(), [])

    def test_a_child_of_a_group_may_depend_on_what_stands_beside_the_group(self):
        self.up_ready({"children": {
            "web": {"children": {"server": {
                "run": self.service("server"), "depends-on": {"db": "ready"}}}},
            "db": {"run": self.service(
                "db", "echo db ready >> events; echo open;"),
                "ready": {"log": "open"}}}})
        self.wait_for_events("db starts", "db ready", "server starts")

    def test_a_group_counts_as_ready_when_all_in_it_are(self):
        self.up_ready({"children": {
            "server": {"run": self.service("server"), "depends-on": "dbs"},
            "dbs": {"children": {
                name: {"run": self.service(
                    name, f"echo {name} ready >> events; echo open;"),
                    "ready": {"log": "open"}} for name in ("one", "two")}}}})
        self.wait_for_events("one starts", "one ready", "two starts",
                             "two ready", "server starts")

    def test_services_end_in_reverse_order(self):
        up = self.up_ready({"children": {
            name: {"run": self.service(name, "echo up;"), "ready": {"log": "up"}}
            for name in "abc"}})
        self.assertEqual(up.end(), 0)
        self.assertEqual(self.events()[3:], ["c ends", "b ends", "a ends"])
        self.assert_nothing_left(0)

    def test_rest_for_one_restarts_the_service_and_what_follows_in_order(self):
        up = self.up_ready({"strategy": "rest_for_one", "children": {
            "cache": {"run": self.service("cache", "echo up;"),
                      "ready": {"log": "up"}},
            "db": {"run": self.service(
                "db", "sleep 0.1; echo db ready >> events; echo open;"),
                "ready": {"log": "open"}},
            "server": {"run": self.service("server", "echo up;"),
                       "ready": {"log": "up"}, "depends-on": "db"}}})
        before = self.entries()
        self.forget_events()
        os.kill(before["db"]["pid"], signal.SIGKILL)
        self.wait_for_event("server starts")
        self.assertEqual(self.events(), ["server ends", "db starts", "db ready",
                                         "server starts"])
        up.wait_for_said("server is ready", times=2)
        self.assertEqual(self.pid("cache"), before["cache"]["pid"])

    def test_one_for_all_restarts_all_in_order(self):
        self.up_ready({"strategy": "one_for_all", "children": {
            name: {"run": self.service(name, "echo up;"), "ready": {"log": "up"}}
            for name in "abc"}})
        self.forget_events()
        os.kill(self.pid("b"), signal.SIGKILL)
        self.wait_for_events("c ends", "a ends", "a starts", "b starts",
                             "c starts")

    def test_one_for_one_leaves_the_others_alone(self):
        self.up_ready({"children": {name: {"run": self.idle}
                                    for name in "abc"}})
        before = self.entries()
        os.kill(before["b"]["pid"], signal.SIGKILL)
        self.wait_for_other_pid("b", before["b"]["pid"])
        after = self.entries()
        self.assertEqual([after[name]["pid"] for name in "ac"],
                         [before[name]["pid"] for name in "ac"])


HTTP = """
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if os.path.exists("warm"):
            with open("events", "a") as out: print("served", file=out)
        else:
            open("asked", "w").close()
        self.send_response(200 if os.path.exists("warm") else 503)
        self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])),
                       Handler).serve_forever()
"""

TCP = """
import os, socket, time
with open("events", "a") as out: print("listens", file=out)
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
time.sleep(300)
"""

NOTIFY = """
import os, socket, time
def tell(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect(os.environ["NOTIFY_SOCKET"])
        out.send(text.encode())
tell("STATUS=warming up")
while not os.path.exists("go"): time.sleep(0.01)
with open("events", "a") as out: print("tells", file=out)
tell("READY=1\\nSTATUS=all fine")
time.sleep(300)
"""


class Readiness(Stacks, TroupeTest):
    """A second service starts only when the first is ready."""

    def start_first(self, service, first="first", **options):
        return self.up({"children": {
            "next": {"run": self.service("next"), "depends-on": first},
            first: service}}, **options)

    def test_by_a_text_on_standard_error_in_pieces(self):
        up = self.start_first({
            "run": "printf 'now li' >&2; sleep 0.1; echo says >> events; "
                   f"printf 'stening' >&2; {self.idle}",
            "ready": {"log": "listening"}})
        self.wait_for_events("says", "next starts")
        up.wait_for_said("first is ready after")

    def test_by_a_port_that_accepts_connections(self):
        self.start_first({"run": self.python(TCP), "env": {"PORT": "${{ port.a }}"},
                    "ready": {"tcp": "127.0.0.1:${{ port.a }}"}})
        self.wait_for_events("listens", "next starts")

    def test_by_a_port_of_localhost(self):
        self.start_first({"run": self.python(TCP), "env": {"PORT": "${{ port.a }}"},
                    "ready": {"tcp": "localhost:${{ port.a }}"}})
        self.wait_for_events("listens", "next starts")

    def test_by_a_command_that_succeeds(self):
        up = self.start_first({
            "run": f"until [ -e go ]; do sleep 0.02; done; touch done; "
                   f"{self.idle}",
            "ready": {"exec": "test -e done || { echo not yet; exit 3; }",
                      "period": "50ms"}})
        entry = wait_until(lambda: "trouble" in self.entry("first") and
                           self.entry("first"), what="a failed check")
        self.assertEqual((entry["state"], entry["trouble"]),
                         ("unready", "exited with 3: not yet"))
        (self.cwd / "go").touch()
        self.wait_for_events("next starts")
        up.wait_for_said("first is ready after")

    def test_by_an_answer_of_2xx(self):
        self.start_first({"run": self.python(HTTP), "env": {"PORT": "${{ port.a }}"},
                    "ready": {"http": "http://127.0.0.1:${{ port.a }}/healthz",
                              "period": "50ms"}})
        wait_until((self.cwd / "asked").exists, what="a question")
        self.assertEqual(self.events(), [])
        (self.cwd / "warm").touch()
        self.wait_for_event("next starts")
        self.assertEqual(self.events(), ["served", "next starts"])

    def test_by_what_it_tells_itself(self):
        self.start_first({"run": self.python(NOTIFY), "ready": {"notify": True}})
        wait_until(lambda: self.entry("first").get("status") == "warming up")
        self.assertEqual(self.events(), [])
        (self.cwd / "go").touch()
        self.wait_for_events("tells", "next starts")
        self.assertEqual(self.entry("first")["status"], "all fine")

    def test_a_probe_starts_after_its_delay(self):
        up = self.start_first({"run": self.idle,
                         "ready": {"exec": "true", "delay": "300ms"}})
        up.wait_for_said("first is ready after")
        self.assertRegex(up.err, r"first is ready after [3-9]\d\dms")

    def test_one_that_is_not_ready_in_time_fails_the_start(self):
        up = self.up({"children": {
            "before": {"run": self.service("before", "echo up;"),
                       "ready": {"log": "up"}},
            "slow": {"run": self.idle,
                     "ready": {"log": "never", "timeout": "150ms"}},
            "after": {"run": self.service("after")}}})
        self.assertEqual(up.finish(), 1)
        self.assertEqual(self.events(), ["before starts", "before ends"])
        self.assertRegex(up.err, r'(?m)^troupe: slow not ready within 150ms '
                         r'\(log "never"\)')
        self.assertRegex(up.err, r'(?m)^troupe: ended: .*slow.* not ready within '
                         r'150ms \(log "never"\)')
        self.assert_nothing_left(0)

    def test_one_whose_check_fails_says_why_it_was_not_ready(self):
        up = self.up({"children": {"slow": {
            "run": self.idle, "ready": {"exec": "echo too cold; exit 9",
                                        "period": "50ms",
                                        "timeout": "200ms"}}}})
        self.assertEqual(up.finish(), 1)
        self.assertIn("exited with 9: too cold", up.err)

    def test_one_that_ends_before_it_is_ready_fails_the_start(self):
        for code in (0, 3):
            with self.subTest(code):
                up = self.up({"children": {"a": {
                    "run": f"exit {code}", "ready": {"log": "never"}}}})
                self.assertEqual(up.finish(), 1)
                self.assertIn(f"troupe: a exited with {code}", up.err)

    def test_one_whose_program_is_missing_fails_the_start(self):
        up = self.up({"children": {"a": {"run": "/nonexistent/program"}}})
        self.assertEqual(up.finish(), 1)
        self.assertIn("/nonexistent/program: no such file or directory", up.err)

    def test_a_restart_that_is_not_ready_in_time_is_tried_again(self):
        up = self.up_ready({"intensity": 2, "children": {"a": {
            "run": "echo a starts >> events; [ -e broken ] || echo up; "
                   f"{self.idle}",
            "ready": {"log": "up", "timeout": "400ms"}}}})
        (self.cwd / "broken").touch()
        os.kill(self.pid("a"), signal.SIGKILL)
        self.assertEqual(up.finish(), 1)
        self.assertEqual(self.events(), ["a starts"] * 3)
        self.assert_nothing_left(0)

    def test_a_service_that_is_slow_to_be_ready_does_not_hide_the_others(self):
        self.up({"children": {
            "a": {"run": self.idle},
            "slow": {"run": self.idle,
                     "ready": {"log": "x", "timeout": NEVER}},
            "b": {"run": self.idle}}})
        self.wait_for_state("slow", "unready")
        self.assertEqual((self.state("a"), self.state("b")),
                         ("running", "waiting"))


if __name__ == "__main__":
    unittest.main()
