"""Zones of nodes, and tasks that are spread over them."""

import unittest

from members import WithMembers
from troupe_e2e import LONG, TroupeTest, wait_until

UNTIL_GO = "until test -e go; do sleep 0.05; done"


class Spread(WithMembers, TroupeTest):
    ZONES = {"n1": "a", "n2": "a", "n3": "b"}

    def setUp(self):
        super().setUp()
        self.await_members()
        self.await_links()

    def nodes_of(self, job, tasks):
        """Where each task has run, or runs."""
        infos = [self.nodes["n1"].task(job, n) for n in range(tasks)]
        return [info["result"]["node"] if info.get("result") else info.get("node")
                for info in infos]

    def started_on(self, job, tasks):
        """The same, once all have started."""
        return wait_until(
            lambda: (lambda nodes: all(nodes) and nodes)(self.nodes_of(job, tasks)),
            what=f"all tasks of job {job}")

    def spread(self, host, tasks, command="sleep 0.01", *options):
        job = self.submit(host, "--spread", "--array", f"1-{tasks}", *options, "--",
                          command)
        self.ok("n1", "wait", job)
        return sorted(self.nodes_of(job, tasks))

    def mostly(self, what, check, times=5):
        """It is a preference: a node that looks late loses its turn."""
        seen = [check() for _ in range(times)]
        self.assertGreaterEqual(sum(map(what, seen)), times - 1, seen)

    def test_a_zone_is_told_and_is_a_label(self):
        for what in ("nodes", "status"):
            rows = [line.split() for line in self.ok("n2", "cluster", what).out
                    .splitlines()[:4]]
            self.assertEqual([row[:2] for row in rows], [
                ["NAME", "ZONE"], ["n1", "a"], ["n2", "a"], ["n3", "b"]])
        job = self.submit("n1", "--runs-on", "zone-b", "--array", "1-3", "--", "true")
        self.ok("n1", "wait", job)
        self.assertEqual(self.nodes_of(job, 3), ["n3"] * 3)

    def test_the_tasks_of_an_array_go_to_one_node_each(self):
        for host in self.nodes:
            self.mostly(lambda nodes: nodes == ["n1", "n2", "n3"],
                        lambda: self.spread(host, 3))

    def test_two_tasks_go_to_two_zones(self):
        self.mostly(lambda nodes: "n3" in nodes and len(set(nodes)) == 2,
                    lambda: self.spread("n1", 2))

    def test_more_tasks_than_nodes_are_shared_out(self):
        job = self.submit("n2", "--spread", "--array", "1-6", "--", UNTIL_GO)
        nodes = self.started_on(job, 6)
        (self.cwd / "go").touch()
        self.ok("n1", "wait", job)
        self.assertEqual(sorted(nodes), ["n1", "n1", "n2", "n2", "n3", "n3"])

    def test_what_is_left_over_starts_a_little_later(self):
        job = self.submit("n2", "--spread", "--array", "1-4", "--", UNTIL_GO)
        nodes = self.started_on(job, 4)
        (self.cwd / "go").touch()
        self.ok("n1", "wait", job)
        self.assertEqual(set(nodes), set(self.nodes))

    def test_a_node_that_is_full_has_its_task_taken_by_others(self):
        full = self.submit("n1", "--runs-on", "on-n3", "--array", "1-2", "--", UNTIL_GO)
        self.assertEqual(self.started_on(full, 2), ["n3", "n3"])
        self.assertEqual(set(self.spread("n1", 3)), {"n1", "n2"})
        (self.cwd / "go").touch()
        self.ok("n1", "wait", full)

    def test_a_node_that_is_gone_has_its_task_taken_by_others(self):
        self.kill_host("n3")
        self.assertEqual(set(self.spread("n1", 3)), {"n1", "n2"})

    def test_only_nodes_that_have_what_a_task_takes_count(self):
        self.mostly(lambda nodes: nodes == ["n1", "n2"],
                    lambda: self.spread("n3", 2, "true", "--runs-on", "zone-a"))

    def test_why_and_status_say_so(self):
        for host in self.nodes:
            self.ok(host, "pause", "--all")
        job = self.submit("n1", "--spread", "--array", "1-3", "--", "true")
        self.assertEqual(
            self.ok("n2", "why", job).out.splitlines()[-1],
            "  also: spread over 3 nodes in 2 zones: it waits in 3 shards, at which "
            "n1, n2 and n3 look first")
        self.assertRegex(self.at("n2", "status", job).out, r"spread +over nodes\n")
        self.assertEqual(self.nodes["n1"].job(job)["resources"], {})
        for host in self.nodes:
            self.ok(host, "resume", "--all")
        self.ok("n1", "wait", job)

    def test_with_a_key_it_is_refused(self):
        ended = self.at("n1", "submit", "--spread", "--key", "west", "--", "true")
        self.assertEqual(ended.code, 2, ended)
        self.assertIn("--spread", ended.err)

    def run_of(self, text):
        (self.cwd / "w.yaml").write_text(text)
        run = self.ok("n1", "submit", "-f", "w.yaml").out.strip()
        self.ok("n1", "wait", run, within=3 * LONG)
        jobs = self.nodes["n1"].get(f"/v1/jobs?run={run.lstrip('r')}")["jobs"]
        return [(job["name"], self.nodes["n1"].task(job["job"])["result"]["node"])
                for job in sorted(jobs, key=lambda job: job["job"])]

    def test_variants_of_a_job_go_to_one_node_each_and_stay_there(self):
        def places():
            ran = self.run_of(
                "jobs:\n"
                "  a:\n"
                "    strategy: { matrix: { n: [1, 2, 3] } }\n"
                "    placement: { spread: true }\n"
                "    steps: [{ run: sleep 0.1 }, { run: 'true' }]\n")
            nodes = {}
            for name, node in ran:
                nodes.setdefault(name, []).append(node)
            for steps in nodes.values():
                self.assertEqual(len(set(steps)), 1, ran)
            return sorted(steps[0] for steps in nodes.values())

        self.mostly(lambda nodes: nodes == ["n1", "n2", "n3"], places, times=3)

    def test_a_job_of_a_run_with_a_key_goes_where_the_key_is(self):
        def places(key):
            return [node for _, node in self.run_of(
                f"jobs: {{ a: {{ placement: {{ key: {key} }}, run: 'true' }} }}\n")]

        for host in self.nodes:
            key = self.key_of(host)
            self.mostly(lambda nodes: nodes == [host], lambda: places(key), times=3)


if __name__ == "__main__":
    unittest.main()
