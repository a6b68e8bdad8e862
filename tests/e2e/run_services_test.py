"""troupe run: services that its jobs need."""

import json
import signal
import unittest
from pathlib import Path

from stacks import Stacks, TroupeTest
from troupe_e2e import wait_until


class RunServices(Stacks):
    """A mixin; stands before TroupeTest."""

    def flow(self, services, jobs, **more):
        """Writes a workflow; services as the value of "services"."""
        text = json.dumps({"services": services, "jobs": jobs} | more)
        (self.cwd / "flow.yaml").write_text(text)
        return "flow.yaml"

    def run_flow(self, services, jobs, *words, **more):
        return self.troupe("run", self.flow(services, jobs, **more), *words)

    def folder_of_run(self):
        (run,) = (Path(self.env["XDG_STATE_HOME"]) / "troupe" / "runs").iterdir()
        return run

    def record(self):
        return json.loads((self.folder_of_run() / "run.json").read_text())

    def reason(self, job):
        return next(j["reason"] for j in self.record()["jobs"] if j["job"] == job)

    @property
    def db(self):
        """Tells its process, and is ready some time after it has started."""
        return {"run": self.service("db", "echo $$ > db.pid; sleep 0.2; touch db.up;",
                                    on_term="rm db.up; exit 0"),
                "ready": {"exec": "test -e db.up"}}

    @property
    def api(self):
        """Is ready when it has said that it starts."""
        return {"run": self.service("api"), "ready": {"exec": "grep -q 'api starts' events"}}


class Needed(RunServices, TroupeTest):
    def test_a_job_starts_when_its_service_is_ready_and_the_service_ends_last(self):
        ended = self.run_flow(
            {"children": {"db": self.db, "api": self.api | {"depends-on": "db"}}},
            {"a": {"needs": ["services.api"],
                   "run": "test -e db.up && echo a >> events"}})
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.events(), ["db starts", "api starts", "a", "api ends",
                                         "db ends"])
        self.assertRegex(ended.err, r"services: db is ready after \d+ms")
        self.assert_nothing_left()

    def test_an_interrupt_while_services_end_kills_them(self):
        self.flow({"children": {"s": {"run": self.service("s", on_term="sleep 60"),
                                      "ready": {"exec": "grep -q starts events"},
                                      "shutdown": {"timeout": "50s"}}}},
                  {"a": {"needs": "services.s", "run": "true"}})
        running = self.start_troupe("run", "flow.yaml")
        wait_until(lambda: "s ends" in self.events(), what="the polite end")
        running.signal(signal.SIGINT)
        running.finish(within=20)
        self.assert_nothing_left()

    def test_services_start_with_the_first_job_that_needs_one_and_no_others_start(self):
        ended = self.run_flow(
            {"children": {"db": self.db, "other": {"run": self.service("other")}}},
            {"a": {"run": "echo a >> events"},
             "b": {"needs": ["a", {"job": "services.db", "when": "ready"}],
                   "run": "echo b >> events"}})
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.events(), ["a", "db starts", "b", "db ends"])

    def test_without_such_a_job_no_service_starts(self):
        services = {"children": {"db": self.db}}
        ended = self.run_flow(services, {
            "a": {"run": "echo a >> events"},
            "b": {"needs": "services.db", "if": "false", "run": "echo b >> events"}})
        self.assertEqual(ended.code, 0, ended)
        ended = self.troupe("run", "flow.yaml", "--job", "a")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.events(), ["a", "a"])

    def test_a_service_is_restarted_while_a_job_uses_it(self):
        ended = self.run_flow(
            {"children": {"db": self.db}},
            {"a": {"needs": "services.db",
                   "run": "old=$(cat db.pid); rm db.up; kill -9 $old; "
                          "until test -e db.up && test \"$(cat db.pid)\" != $old; "
                          "do sleep 0.02; done; echo a >> events"}})
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.events(), ["db starts", "db starts", "a", "db ends"])
        (service,) = self.record()["services"]
        self.assertEqual((service["service"], service["restarts"], service["state"]),
                         ("db", 1, "ended"))
        log = self.folder_of_run() / "services" / "db.log"
        self.assertEqual(service["log"], str(log))

    def test_jobs_and_services_share_ports_and_variables(self):
        ended = self.run_flow(
            {"children": {"db": {"run": "echo $PORT $DAY > seen; echo up; " + self.idle,
                                 "env": {"PORT": "${{ port.db }}"},
                                 "ready": {"log": "up"}}}},
            {"a": {"needs": "services.db",
                   "run": 'test "$(cat seen)" = "${{ port.db }} monday"'}},
            "--input", "day=monday", env={"DAY": "${{ inputs.day }}"})
        self.assertEqual(ended.code, 0, ended)
        self.assertRegex((self.cwd / "seen").read_text(), r"^\d+ monday\n$")
        log = self.folder_of_run() / "services" / "db.log"
        self.assertEqual(log.read_text(), "up\n")

    def test_events_in_json_tell_of_services(self):
        ended = self.run_flow({"children": {"db": self.db}},
                              {"a": {"needs": "services.db", "run": "true"}}, "--json")
        self.assertEqual((ended.code, ended.err), (0, ""), ended)
        events = [json.loads(line) for line in ended.out.splitlines()]
        states = [e["state"] for e in events if e["type"] == "service_state"]
        self.assertEqual(states, ["starting", "ready", "ended"])
        self.assertEqual(events[-1]["type"], "run_finished")

    def test_a_terminal_shows_them_below_the_jobs(self):
        self.flow({"children": {"db": self.db}},
                  {"a": {"needs": "services.db",
                         "run": "until test -e go; do sleep 0.02; done"}})
        terminal = self.terminal([self.env["TROUPE"], "run", "flow.yaml"])
        terminal.expect("service, ready")
        (self.cwd / "go").touch()
        self.assertEqual(terminal.wait(), 0)

    def test_the_plan_names_them(self):
        ended = self.run_flow({"children": {"db": self.db}},
                              {"a": {"needs": "services.db", "run": "x"}}, "--dry-run")
        self.assertEqual(ended.code, 0, ended)
        self.assertIn("job a with db\n", ended.out)
        self.assertEqual(self.events(), [])


class Lost(RunServices, TroupeTest):
    KILL_AND_WAIT = "kill -9 $(cat db.pid); sleep {}"

    def test_a_job_whose_service_gives_up_fails_and_the_run_goes_on(self):
        ended = self.run_flow(
            {"intensity": 0, "children": {"db": self.db}},
            {"a": {"needs": "services.db", "retries": 3,
                   "run": self.KILL_AND_WAIT.format(self.seconds)},
             "b": {"needs": [{"job": "a", "when": "finished"}, "services.db"],
                   "run": "echo b >> events"},
             "c": {"needs": [{"job": "a", "when": "failed"}],
                   "run": "echo c >> events"}})
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.events(), ["db starts", "c"])
        why = r"^it needs service db: db killed by SIGKILL after \d+m?s.* -> the stack gave up$"
        self.assertRegex(self.reason("a"), why)
        self.assertRegex(self.reason("b"), why)
        self.assertIn("job a: failed: it needs service db: db killed", ended.err)
        self.assert_nothing_left()

    def test_a_service_that_cannot_start_fails_the_jobs_that_need_it(self):
        ended = self.run_flow(
            {"children": {"db": {"run": "exit 3", "ready": {"log": "up"}}}},
            {"a": {"needs": "services.db", "run": "echo a >> events"},
             "b": {"run": "echo b >> events"}}, "-j1")
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(self.events(), ["b"])
        self.assertIn("exited with 3", self.reason("a"))

    def test_a_group_that_only_holds_is_waited_for(self):
        ended = self.run_flow(
            {"children": {"g": {"on-give-up": "hold", "hold-for": "300ms",
                                "intensity": 0, "children": {"db": self.db}}}},
            {"a": {"needs": "services.g",
                   "run": "rm db.up; kill -9 $(cat db.pid); "
                          "until test -e db.up; do sleep 0.02; done"},
             "b": {"needs": ["a", "services.g/db"], "run": "echo b >> events"}})
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.events(), ["db starts", "db starts", "b", "db ends"])


class Ending(RunServices, TroupeTest):
    def start_run(self):
        self.flow({"children": {"db": self.db, "api": self.api}},
                  {"a": {"needs": ["services.db", "services.api"],
                         "run": f"echo a >> events; exec sleep {self.seconds}"}})
        running = self.start_troupe("run", "flow.yaml")
        self.wait_for_event("a")
        return running

    def test_a_cancelled_run_ends_its_services_in_reverse_order(self):
        running = self.start_run()
        running.signal(signal.SIGTERM)
        ended = running.finish()
        self.assertEqual(ended.code, 128 + signal.SIGTERM, ended)
        self.assertEqual(self.events(), ["db starts", "api starts", "a", "api ends",
                                         "db ends"])
        self.assert_nothing_left()

    def test_nothing_is_left_when_troupe_is_killed(self):
        running = self.start_run()
        running.signal(signal.SIGKILL)
        running.finish()
        self.assert_nothing_left(within=20)

    def test_services_that_do_not_end_are_killed_on_request(self):
        self.flow({"children": {"db": {
            "run": f"trap 'echo no >> events' TERM; echo up; "
                   f"while :; do sleep {self.seconds} & wait; done",
            "ready": {"log": "up"}, "shutdown": "10m"}}},
            {"a": {"needs": "services.db", "run": "echo a >> events"}})
        running = self.start_troupe("run", "flow.yaml")
        self.wait_for_event("no")
        running.signal(signal.SIGTERM)
        ended = running.finish()
        self.assertEqual(self.events()[:2], ["a", "no"])
        self.assertEqual(self.record()["result"], "success")
        self.assert_nothing_left()


class Refused(RunServices, TroupeTest):
    def test_a_file_without_jobs_is_for_up(self):
        (self.cwd / "flow.yaml").write_text("services: {children: {a: {run: x}}}")
        self.assert_ended(self.troupe("run", "flow.yaml"), 3, err=(
            "troupe: flow.yaml has no jobs; troupe up flow.yaml runs its services\n"))

    def test_an_unknown_service_is_corrected(self):
        ended = self.run_flow({"children": {"db": self.db}},
                              {"a": {"needs": "services.dd", "run": "x"}})
        self.assertEqual(ended.code, 3, ended)
        self.assertIn('unknown service "dd" in the needs of "a"; did you mean '
                      '"services.db"?', ended.err.replace("\n", "; "))


if __name__ == "__main__":
    unittest.main()
