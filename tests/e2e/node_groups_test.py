"""Groups of the node, and the order in which jobs start: slots, needs, priorities,
times, rates, breakers, weights, resources, dead letters."""

import time
import unittest

from nodes import WithNode
from troupe_e2e import TroupeTest, wait_until


class Order(WithNode, TroupeTest):
    CONFIG = "slots: 1\n"

    def test_no_more_run_than_there_are_slots(self):
        self.ok("group", "add", "two", "--slots", "2")
        job = self.submit("--group", "two", "--array", "1-8", "--",
                          ": {}; echo + >> log; sleep 0.05; echo - >> log")
        self.assertEqual(self.node.wait_for_end(job)["state"], "succeeded")
        running = most = 0
        for line in self.text("log").split():
            running += 1 if line == "+" else -1
            most = max(most, running)
        self.assertEqual(most, 2)

    def test_of_one_group_is_by_priority_and_then_by_number(self):
        self.ok("pause", "--all")
        for priority in ("low", "normal", "high", "normal", "critical", "low"):
            self.submit("--priority", priority, "--",
                        f"echo {priority} $TROUPE_JOB >> log")
        self.ok("resume", "--all")
        self.assertEqual(self.wait_for_lines("log", 6),
                         ["critical 5", "high 3", "normal 2", "normal 4", "low 1",
                          "low 6"])

    def test_of_a_job_that_is_urgent_is_before_the_rest_of_a_large_one(self):
        large = self.submit("--array", "1-300", "--",
                            "echo large >> log; sleep 0.02; : {}")
        self.wait_for_lines("log", 3)
        urgent = self.submit("--priority", "critical", "--", "echo urgent >> log")
        before = len(self.text("log").splitlines())
        self.node.wait_for_end(urgent)
        self.ok("cancel", large)
        place = self.text("log").splitlines().index("urgent")
        self.assertLess(place, before + 30)

    def test_changes_with_an_edit(self):
        blocker = self.sleeper()
        first = self.submit("--", "echo first >> log")
        second = self.submit("--", "echo second >> log")
        self.ok("edit", second, "--priority", "high")
        self.ok("cancel", blocker)
        self.node.wait_for_end(first)
        self.assertEqual(self.wait_for_lines("log", 2), ["second", "first"])

    def test_is_that_of_needs(self):
        build = self.submit(
            "--", "until test -e go; do sleep 0.05; done; echo build >> log")
        test = self.submit("--after", build, "--", "echo test >> log")
        both = self.submit("--after", f"{build},{test}", "--", "echo both >> log")
        self.assertEqual(self.node.job(test)["state"], "blocked")
        (self.cwd / "go").touch()
        self.node.wait_for_end(both)
        self.assertEqual(self.text("log").split(), ["build", "test", "both"])

    def test_of_needs_that_fail_ends_all_that_wait_behind_them(self):
        first = self.submit("--", "sleep 0.3; exit 1")
        second = self.submit("--after", first, "--", "true")
        third = self.submit("--after", second, "--", "true")
        waiting = self.start_troupe("wait", str(third))
        self.assertEqual(waiting.finish(within=20).code, 1)
        self.assertEqual(self.node.job(third)["state"], "skipped")

    def test_of_needs_depends_on_how_they_end(self):
        bad = self.submit("--", "sleep 0.2; exit 1")
        jobs = {when: self.submit("--after", f"{bad}:{when}", "--", "true")
                for when in ("succeeded", "failed", "finished")}
        late = self.submit("--after", jobs["succeeded"], "--", "true")
        states = {when: self.node.wait_for_end(job)["state"]
                  for when, job in jobs.items()}
        self.assertEqual(states, {"succeeded": "skipped", "failed": "succeeded",
                                  "finished": "succeeded"})
        self.assertEqual(self.node.wait_for_end(late)["state"], "skipped")

    def test_of_needs_that_have_ended_already_is_known(self):
        bad = self.submit("--", "exit 1")
        self.node.wait_for_end(bad)
        jobs = [self.submit("--after", f"{bad}:{when}", "--", "true")
                for when in ("succeeded", "failed")]
        self.assertEqual([self.node.wait_for_end(job)["state"] for job in jobs],
                         ["skipped", "succeeded"])

    def test_a_delay_holds_a_job_back_and_nothing_else(self):
        begun = time.monotonic()
        late = self.submit("--delay", "700ms", "--", "true")
        later = self.submit("--delay", "1h", "--", "true")
        soon = self.submit("--", "true")
        self.node.wait_for_end(soon)
        self.assertEqual(self.node.job(later)["state"], "delayed")
        self.node.wait_for_end(late)
        self.assertGreater(time.monotonic() - begun, 0.7)
        self.assertLess(time.monotonic() - begun, 30)

    def test_a_time_that_is_over_holds_nothing_back(self):
        job = self.submit("--at", "2020-01-01T00:00:00Z", "--", "true")
        self.node.wait_for_end(job)

    def test_what_backs_off_does_not_hold_back_others(self):
        bad = self.submit("--retries", "1", "--retry-delay", "1h", "--max-delay",
                          "1h", "--", "exit 1")
        wait_until(lambda: self.node.job(bad)["counts"]["retrying"], what="a retry")
        self.node.wait_for_end(self.submit("--", "true"))

    def test_a_busy_group_does_not_hold_back_another(self):
        self.ok("group", "add", "other", "--slots", "1")
        self.sleeper()
        self.submit("--", "true")
        self.node.wait_for_end(self.submit("--group", "other", "--", "true"))


class Resources(WithNode, TroupeTest):
    CONFIG = "slots: 10\nresources: {cpu: 2, gpu: 1, mem: 1GiB}\n"

    def test_of_what_runs_are_taken(self):
        job = self.submit("--resources", "gpu=0.5", "--array", "1-6", "--",
                          ": {}; echo + >> log; sleep 0.05; echo - >> log")
        self.assertEqual(self.node.wait_for_end(job)["state"], "succeeded")
        running = most = 0
        for line in self.text("log").split():
            running += 1 if line == "+" else -1
            most = max(most, running)
        self.assertEqual(most, 2)

    def test_that_are_not_there_hold_back_no_others(self):
        first = self.sleeper("--resources", "gpu=1")
        second = self.submit("--resources", "gpu=1", "--", "true")
        self.node.wait_for_end(self.submit("--resources", "cpu=1,mem=1MiB", "--",
                                           "true"))
        self.node.wait_for_end(self.submit("--", "true"))
        self.node.wait_for_kind(second, "resources")
        self.ok("cancel", first)
        self.node.wait_for_end(second)

    def test_that_the_node_never_has_are_told(self):
        jobs = [self.submit("--resources", what, "--", "true")
                for what in ("gpu=2", "tpu=1", "mem=2GiB")]
        for job in jobs:
            self.node.wait_for_kind(job, "never_fits")
        self.assertIn("tpu", self.ok("why", jobs[1]).out)
        self.node.wait_for_end(self.submit("--", "true"))
        self.ok("edit", jobs[0], "--resources", "gpu=1")
        self.node.wait_for_end(jobs[0])

    def test_are_given_back_in_all_ways_to_end(self):
        for script in ("exit 1", "kill -9 $$", "true"):
            self.node.wait_for_end(
                self.submit("--resources", "gpu=1", "--", script))
        self.ok("cancel", self.sleeper("--resources", "gpu=1"))
        wait_until(lambda: self.node.get("/v1/node")["free"].get("gpu") == 1,
                   what="a free gpu")

    def test_are_still_taken_after_a_kill_of_the_node(self):
        self.sleeper("--resources", "gpu=1")
        second = self.submit("--resources", "gpu=1", "--", "true")
        self.node.restart()
        # It answers before it has taken over what runs.
        wait_until(lambda: self.node.get("/v1/node")["free"].get("gpu", 0) == 0,
                   what="the gpu being taken")
        self.node.wait_for_kind(second, "resources")

    def test_that_are_much_are_not_starved_by_little_ones(self):
        little = self.submit("--resources", "cpu=1", "--array", "1-600", "--",
                             "sleep 0.05; : {}")
        self.node.wait_for_pid(little)
        much = self.submit("--resources", "cpu=2", "--priority", "high", "--",
                           "true")
        self.node.wait_for_end(much, 15)
        self.assertIsNone(self.node.job(little)["ended"])
        self.ok("cancel", little)


class Groups(WithNode, TroupeTest):
    CONFIG = "slots: 4\nmost-running: 2\n"

    def group(self, name):
        return next(group for group in self.node.get("/v1/groups")["groups"]
                    if group["group"] == name)

    def test_are_added_changed_and_removed(self):
        self.ok("group", "add", "mail", "--slots", "4", "--rate", "30/min",
                "--break-after", "5", "--break-pause", "10m")
        self.ok("group", "limit", "mail", "8")
        mail = self.group("mail")
        self.assertEqual(
            (mail["slots"], mail["starts_per_minute"], mail["break_after"],
             mail["break_pause_ms"]), (8, 30, 5, 600_000))
        self.assertIn("mail", self.ok("group", "list").out)
        self.ok("group", "remove", "mail")
        self.assertNotIn("mail", self.ok("group", "list").out)

    def test_with_jobs_are_not_removed(self):
        self.ok("group", "add", "mail")
        self.submit("--group", "mail", "--delay", "1h", "--", "true")
        finished = self.troupe("group", "remove", "mail")
        self.assertIn(finished.code, (1, 2))
        self.assertIn("jobs", finished.err)
        self.assertEqual(self.troupe("group", "remove", "nope").code, 1)

    def test_survive_a_kill_of_the_node(self):
        self.ok("group", "add", "mail", "--slots", "7")
        self.ok("pause", "--group", "mail")
        self.node.restart()
        mail = self.group("mail")
        self.assertEqual((mail["slots"], mail["is_held"]), (7, True))

    def test_share_the_node_by_weight(self):
        self.ok("pause", "--all")
        for name, weight in (("big", "3"), ("small", "1")):
            self.ok("group", "add", name, "--slots", "2", "--weight", weight)
            self.submit("--group", name, "--array", "1-60", "--",
                        f"echo {name} >> log; sleep 0.02; : {{}}")
        self.ok("resume", "--all")
        first = self.wait_for_lines("log", 40)[:40]
        self.assertGreaterEqual(first.count("big"), 24, first)
        self.assertGreaterEqual(first.count("small"), 5, first)
        self.ok("cancel", "1", "2")

    def test_start_no_more_than_their_rate(self):
        self.ok("group", "add", "slow", "--slots", "4", "--rate", "1/s")
        job = self.submit("--group", "slow", "--array", "1-200", "--",
                          "echo x >> log; : {}")
        begun = time.monotonic()
        self.wait_for_lines("log", 3)
        self.node.wait_for_kind(job, "rate")
        wait_until(lambda: time.monotonic() - begun > 2, what="two seconds")
        lines = len(self.text("log").splitlines())
        self.assertLessEqual(lines, 2 + time.monotonic() - begun + 60 / 20)
        self.assertIsNone(self.node.job(job)["ended"])
        self.ok("cancel", job)

    def test_stop_for_a_while_after_failures_in_a_row(self):
        self.ok("group", "add", "mail", "--slots", "1", "--break-after", "3",
                "--break-pause", "700ms")
        job = self.submit("--group", "mail", "--array", "1-8", "--",
                          "echo x >> log; : {}; test -e good")
        self.node.wait_for_kind(job, "breaker")
        self.assertEqual(self.group("mail")["breaker"], "open")
        self.assertEqual(len(self.text("log").splitlines()), 3)
        self.assertIn("3 failures in a row", self.ok("why", job).out)
        # One trial, which fails.
        self.wait_for_lines("log", 4)
        wait_until(lambda: self.group("mail")["breaker"] == "open", what="open")
        self.assertEqual(len(self.text("log").splitlines()), 4)
        (self.cwd / "good").touch()
        info = self.node.wait_for_end(job)
        self.assertEqual((info["counts"]["failed"], info["counts"]["success"]),
                         (4, 4))
        self.assertEqual(self.group("mail")["breaker"], "closed")

    def test_go_on_at_once_when_they_are_resumed(self):
        self.ok("group", "add", "mail", "--slots", "1", "--break-after", "2",
                "--break-pause", "1h")
        job = self.submit("--group", "mail", "--array", "1-4", "--",
                          ": {}; test -e good")
        wait_until(lambda: self.group("mail")["breaker"] == "open", what="open")
        (self.cwd / "good").touch()
        self.ok("resume", "--group", "mail")
        self.node.wait_for_end(job)

    def test_whose_breaker_is_open_run_nothing(self):
        for name in ("a", "b", "c"):
            self.ok("group", "add", name, "--slots", "1", "--break-after", "2",
                    "--break-pause", "1h")
            job = self.submit("--group", name, "--array", "1-4", "--",
                              ": {}; exit 1")
            wait_until(lambda: self.group(name)["breaker"] == "open", what="open")
            self.assertEqual(self.group(name)["running"], 0)
            self.assertEqual(self.node.kinds(job), ["breaker"])


class DeadLetters(WithNode, TroupeTest):
    def test_are_listed_and_retried(self):
        self.ok("group", "add", "mail")
        mine = self.submit("--group", "mail", "--", "test -e good")
        other = self.submit("--", "exit 1")
        fine = self.submit("--", "true")
        for job in (mine, other, fine):
            self.node.wait_for_end(job)
        listed = {job["job"] for job in self.ok("list", "--dead", "--json").json()[
            "jobs"]}
        self.assertEqual(listed, {mine, other})
        (self.cwd / "good").touch()
        self.ok("retry", "--dead", "--group", "mail")
        self.node.wait_for_state(mine, "succeeded")
        self.assertEqual(len(self.node.task(other)["attempts"]), 1)

    def test_of_a_large_job_are_only_its_failed_tasks(self):
        job = self.submit("--array", "1-20", "--",
                          "echo {} >> log; test {} -ne 7 || test -e good")
        info = self.node.wait_for_end(job)
        self.assertEqual((info["state"], info["counts"]["failed"]), ("failed", 1))
        (self.cwd / "good").touch()
        self.ok("retry", job)
        self.node.wait_for_state(job, "succeeded")
        self.assertEqual(len(self.text("log").splitlines()), 21)

    def test_leave_what_was_cancelled_alone_if_only_failures_are_wanted(self):
        job = self.submit("--array", "1-3", "--",
                          "test {} -ne 1 || exit 1; exec sleep 60")
        wait_until(lambda: self.node.job(job)["counts"]["failed"], what="a failure")
        self.ok("cancel", job)
        self.node.wait_for_end(job)
        self.assertIn("1 task", self.ok("retry", "--failed", job).out)
        counts = self.node.wait_for_end(job)["counts"]
        self.assertEqual((counts["failed"], counts["cancelled"]), (1, 2))


if __name__ == "__main__":
    unittest.main()
