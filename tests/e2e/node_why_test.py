"""troupe why: the true reason why nothing of a job runs, in words that help."""

import unittest

from nodes import WithNode
from troupe_e2e import TroupeTest, wait_until


class Why(WithNode, TroupeTest):
    CONFIG = "slots: 1\nresources: {gpu: 1}\n"

    def assert_why(self, job, kind, *words):
        """The first reason, and words that the command says."""
        wait_until(lambda: self.node.kinds(job)[:1] == [kind],
                   within=10, what=f"{kind} of {self.node.kinds(job)}")
        text = self.ok("why", job).out
        self.assertTrue(text.startswith(f"job {job} is "), text)
        for word in words:
            self.assertIn(word, text)
        return text

    def test_slots_of_the_group_are_taken(self):
        self.sleeper()
        self.assert_why(self.submit("--", "true"), "slots", "slot", "default")

    def test_resources_are_taken(self):
        self.ok("group", "limit", "default", "5")
        self.sleeper("--resources", "gpu=1")
        self.assert_why(self.submit("--resources", "gpu=1", "true"), "resources",
                        "gpu")

    def test_resources_are_never_there(self):
        self.assert_why(self.submit("--resources", "gpu=3", "true"), "never_fits",
                        "gpu", "3", "1")

    def test_another_job_has_to_end(self):
        first = self.sleeper()
        self.assert_why(self.submit("--after", first, "true"), "needs",
                        f"job {first}")

    def test_its_time_has_not_come(self):
        self.assert_why(self.submit("--delay", "1h", "true"), "not_before")

    def test_it_waits_for_its_next_attempt(self):
        job = self.submit("--retries", "3", "--retry-delay", "1h", "--max-delay",
                          "1h", "--", "exit 1")
        self.assert_why(job, "back_off", "attempt")

    def test_its_group_is_paused(self):
        self.ok("group", "add", "mail")
        self.ok("pause", "--group", "mail")
        self.assert_why(self.submit("--group", "mail", "true"), "group_held",
                        "mail", "resume")

    def test_it_is_paused(self):
        job = self.submit("--delay", "300ms", "true")
        self.ok("pause", job)
        self.assert_why(job, "held", "resume")

    def test_the_node_is_paused(self):
        self.ok("pause", "--all")
        self.assert_why(self.submit("true"), "node_held", "resume")

    def test_the_breaker_is_open(self):
        self.ok("group", "add", "mail", "--break-after", "1", "--break-pause", "1h",
                "--slots", "1")
        self.submit("--group", "mail", "--", "exit 1")
        self.node.wait_for_end(1)
        self.assert_why(self.submit("--group", "mail", "true"), "breaker", "mail",
                        "in 59m")

    def test_the_rate_is_used_up(self):
        self.ok("group", "add", "slow", "--rate", "1/min", "--slots", "4")
        job = self.submit("--group", "slow", "--array", "1-50", "true")
        wait_until(lambda: "rate" in self.node.kinds(job), 10, "the rate")
        self.assertIn("minute", self.ok("why", job).out)

    def test_another_job_comes_first(self):
        self.sleeper()
        self.submit("--priority", "high", "true")
        job = self.submit("true")
        self.assertIn("job 2", self.assert_why(job, "slots"))

    def test_it_has_ended(self):
        for script, state in (("true", "succeeded"), ("exit 1", "failed")):
            job = self.submit("--", script)
            self.node.wait_for_end(job)
            self.assert_why(job, "ended", state)

    def test_says_the_end_once(self):
        job = self.submit("--", "exit 1")
        self.node.wait_for_end(job)
        self.assertEqual(self.ok("why", job).out.count("failed"), 1)

    def test_it_runs(self):
        self.assert_why(self.sleeper(), "runs")

    def test_its_arguments_are_still_being_added(self):
        job = self.node.post("/v1/jobs", {
            "request_id": "r", "command": {"words": ["true", "{}"]},
            "open": True})["job"]
        self.assert_why(job, "open", "argument")

    def test_a_job_that_is_not_there_has_no_reason(self):
        self.assert_ended(self.troupe("why", "99"), 1, "", "troupe: no job 99\n")


class Memory(WithNode, TroupeTest):
    CONFIG = "slots: 2\nmemory-reserve: 1000000GiB\n"

    def claimed(self):
        """Of two jobs the one that the node has taken from the queue."""
        job = self.submit("true")
        wait_until(lambda: self.node.get("/v1/stats")["claimed_ahead"] == 1,
                   what="a task that is claimed")
        return job

    def test_that_is_short_starts_nothing(self):
        self.claimed()
        self.assertEqual(self.node.get("/v1/stats")["started_attempts"], 0)

    def test_that_is_short_is_the_reason(self):
        self.assertIn("memory", self.node.kinds(self.claimed()))

    def test_that_is_short_lets_jobs_wait_that_do_not_run(self):
        self.assertEqual(self.node.job(self.claimed())["state"], "queued")

    def test_that_is_short_looks_the_same_from_everywhere(self):
        job = self.claimed()
        for told in (self.node.job(job), self.node.get("/v1/jobs")["jobs"][0],
                     self.node.first_event(f"/v1/events?jobs={job}")):
            self.assertEqual((told["state"], told["counts"]["waiting"],
                              told["counts"]["running"]), ("queued", 1, 0), told)
        why = self.node.get(f"/v1/jobs/{job}/why")
        self.assertEqual((why["state"], why["reasons"][0]["kind"]),
                         ("queued", "memory"))
        needing = self.submit("--after", job, "true")
        self.assertIn(f"job {job} to succeed; it is queued",
                      self.ok("why", needing).out)
        self.assertEqual(len(self.ok("list", "--running").out.splitlines()), 1)


class MostRunning(WithNode, TroupeTest):
    CONFIG = "slots: 5\nmost-running: 1\n"

    def test_that_run_on_the_node_are_the_reason(self):
        self.sleeper()
        self.node.wait_for_kind(self.submit("true"), "node_slots")


if __name__ == "__main__":
    unittest.main()
