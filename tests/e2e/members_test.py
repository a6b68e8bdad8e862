"""Nodes that share a store and work on the same jobs."""

import collections
import os
import pwd
import signal
import subprocess
import time
import unittest

from members import LEASE_SECONDS, WithMembers
from nodes import Node, is_alive
from troupe_e2e import LONG, TroupeTest, processes_with, wait_until

# Others take a node for gone after its lease and a little more; then it takes
# a look or two, and the work itself.
UNTIL_TAKEN_OVER = LEASE_SECONDS + 120
# Each node asks every half a minute what was forgotten at others.
FORGOTTEN = 2 * LONG


class Sharing(WithMembers, TroupeTest):
    def test_all_run_tasks_of_one_array_and_each_task_runs_once(self):
        self.await_members()
        # Long enough for those to come who own none of its shards.
        job = self.submit("n1", "--array", "1-1000", "--",
                          "echo {} >> ran; sleep 0.05")
        self.ok("n2", "wait", job, within=3 * LONG)
        self.assertEqual(collections.Counter(self.lines("ran")),
                         collections.Counter(str(n) for n in range(1, 1001)))
        for host in self.nodes:
            self.assertGreater(self.started(host), 0, host)

    def test_a_single_job_runs_where_it_was_submitted(self):
        self.await_members()
        for host in self.nodes:
            def stays():
                job = self.submit(host, "--", "true")
                self.ok(host, "wait", job)
                return self.nodes[host].task(job)["result"]["node"] == host

            # Whoever owns its shard may look there at the same moment.
            self.assertTrue(any(stays() for _ in range(5)), host)

    def test_every_node_answers_for_every_job(self):
        job = self.submit("n1", "--name", "shared", "--", "echo done")
        for host in self.nodes:
            self.ok(host, "wait", job)
            self.assertIn("shared", self.ok(host, "list").out)
            self.assertEqual(self.nodes[host].job(job)["state"], "succeeded")

    def test_a_job_is_cancelled_at_any_node(self):
        self.await_members()
        job = self.submit("n1", "--array", "1-6", "--", "sleep", self.seconds)
        wait_until(lambda: sum(self.nodes[host].get("/v1/stats")["running"]
                               for host in self.nodes) == 6, what="six tasks")
        self.ok("n2", "cancel", job)
        self.assertEqual(self.at("n3", "wait", job).code, 1)
        self.assertEqual(self.nodes["n1"].job(job)["state"], "cancelled")

    def test_every_node_has_all_of_what_was_written(self):
        self.await_links()
        job = self.submit("n1", "--", "echo first; seq 2000; echo oops >&2; exit 3")
        self.assertEqual(self.at("n1", "wait", job).code, 3)
        whole = "first\n" + "".join(f"{n}\n" for n in range(1, 2001)) + "oops\n"
        where = self.nodes["n1"].task(job)["result"]["node"]
        for host in self.nodes:
            self.assertEqual(self.ok(host, "logs", job).out, whole)
            self.assertEqual(self.ok(host, "logs", "--tail", "2", job).out,
                             "2000\noops\n")
            self.assertEqual(self.ok(host, "logs", "--stderr", job).out, "oops\n")
            self.assertRegex(self.at(host, "status", f"{job}.0").out,
                             rf"node +{where}\n")

    def test_output_of_what_was_forgotten_goes_at_every_node(self):
        self.await_members()
        words = ("--runs-on", "all", "--array", "1-60", "--", "echo {}; sleep 0.1")
        job, kept = self.submit("n1", *words), self.submit("n1", *words)
        for each in (job, kept):
            self.ok("n1", "wait", each, within=3 * LONG)

        def have(number):
            return {host for host, node in self.nodes.items()
                    if (node.folder / f"output/0/{number}").exists()}
        self.assertGreater(len(have(job)), 1)
        where = have(kept)
        self.ok("n1", "forget", job)
        wait_until(lambda: not have(job), FORGOTTEN, "the end of the output")
        self.assertEqual(have(kept), where)
        self.assertEqual(len(self.ok("n2", "logs", kept).out.splitlines()), 60)

    def test_who_follows_elsewhere_reads_it_while_it_is_written(self):
        self.await_members()
        self.await_links()
        job = self.submit("n1", "--", "seq 100000; until test -e go; do sleep 0.05; "
                          "done; echo done")
        readers = {}
        for host in self.nodes:
            with open(self.cwd / f"read-{host}", "wb") as out:
                readers[host] = self.start_troupe(
                    "logs", "-f", job, stdout=out,
                    env={"TROUPE_SOCKET": str(self.nodes[host].socket)})
        for host in self.nodes:
            wait_until(lambda host=host: self.lines(f"read-{host}")[-1:] == ["100000"],
                       what=f"what was written, at {host}")
        (self.cwd / "go").touch()
        for host, reader in readers.items():
            self.assertEqual(reader.finish().code, 0)
            self.assertEqual(self.lines(f"read-{host}")[99_999:], ["100000", "done"])

    def test_the_owner_of_a_key_hears_of_what_has_it(self):
        self.await_members()
        self.await_links()
        owners = {}
        for number in range(200):
            key = f"key-{number}"
            owners.setdefault(self.nodes["n1"].get(
                f"/v1/cluster/owner?key={key}")["name"], key)
        for host, key in sorted(owners.items()):
            asked = "n1" if host != "n1" else "n2"
            self.submit(asked, "--key", key, "--", "true")
            wait_until(lambda host=host: "hint_heard" in self.nodes[host].log_text(),
                       what=f"a hint at {host}")
        self.assertEqual(sorted(owners), sorted(self.nodes))

    def test_a_task_runs_where_all_its_labels_are(self):
        self.await_members()
        for host in self.nodes:
            job = self.submit("n1", "--runs-on", f"all,on-{host}", "--array", "1-5",
                              "--", "true")
            self.ok("n1", "wait", job, within=3 * LONG)
            self.assertEqual({self.nodes["n1"].task(job, n)["result"]["node"]
                              for n in range(5)}, {host})
        self.assertRegex(self.at("n1", "status", job).out, r"runs on +all, on-n3\n")

    def test_why_says_where_a_job_waits_and_who_could_run_it(self):
        self.await_members()
        self.ok("n2", "pause", "--all")
        job = self.submit("n1", "--runs-on", "on-n2", "--key", "west", "--", "true")
        owner = self.nodes["n1"].get("/v1/cluster/owner?key=west")
        stands = ("n2 is held" if owner["name"] == "n2" else
                  f"{owner['name']} does not have what each task takes")
        self.await_why(
            "n1", job,
            f"job {job} is queued: each task takes the label on-n2, which n2 has\n"
            f"  also: with the key west it waits in shard {owner['shard']}, at which "
            f"{owner['name']} looks first; {stands}\n")
        nowhere = self.submit("n1", "--runs-on", "moon", "--", "true")
        self.assertIn("each task takes the label moon, which no node of the cluster has",
                      self.ok("n3", "why", nowhere).out)
        self.ok("n2", "resume", "--all")
        self.ok("n1", "wait", job)

    def await_why(self, host, job, wanted):
        wait_until(lambda: self.ok(host, "why", job).out == wanted,
                   what=f"{wanted!r}, which is {self.ok(host, 'why', job).out!r}")

    def key_of(self, host):
        """One whose shard this node looks at first, and that shard."""
        for number in range(1000):
            owner = self.nodes["n1"].get(f"/v1/cluster/owner?key=k{number}")
            if owner["name"] == host:
                return f"k{number}", owner["shard"]
        return self.fail(f"no key of {host}")

    def test_why_says_that_the_owner_of_a_shard_has_no_room(self):
        self.await_members()
        self.await_links()
        busy = self.submit("n1", "--array", "1-6", "--", "sleep", self.seconds)
        wait_until(lambda: sum(self.nodes[host].get("/v1/stats")["running"]
                               for host in self.nodes) == 6, what="six tasks")
        key, shard = self.key_of("n3")
        job = self.submit("n1", "--key", key, "--", "true")
        where = f"with the key {key} it waits in shard {shard}, at which n3 looks first"
        wait_until(lambda: f"{where}; n3 has no room for more now\n"
                   in self.ok("n2", "why", job).out, what="n3 is full")
        self.ok("n3", "pause", "--all")
        wait_until(lambda: f"{where}; n3 is held\n" in self.ok("n2", "why", job).out,
                   what="n3 is held")
        self.ok("n1", "cancel", busy)
        self.ok("n1", "wait", job)

    def test_why_says_how_a_task_came_to_the_node_that_ran_it(self):
        self.await_members()
        self.await_links()
        key, shard = self.key_of("n2")
        job = self.submit("n1", "--key", key, "--", "true")
        self.ok("n1", "wait", job)
        if self.nodes["n1"].task(job)["result"]["node"] == "n2":
            self.assertIn(f"n2 ran it; with the key {key} it was in shard {shard}, at "
                          f"which n2 looks first\n", self.ok("n3", "why", job).out)
        self.ok("n2", "pause", "--all")
        job = self.submit("n1", "--key", key, "--", "true")
        self.ok("n1", "wait", job)
        result = self.nodes["n3"].task(job)["result"]
        self.assertEqual((result["from"]["shard"], result["from"]["owner"]), (shard, "n2"))
        self.assertIn(result["from"]["found"], ("offered", "abroad"))
        self.assertRegex(
            self.ok("n3", "why", job).out,
            rf"n[13] ran it; it waited in shard {shard}, at which n2 looked first; "
            rf"(n2 could not start what waited there, and n[13] had nothing to do|"
            rf"n[13] had nothing to do and saw work there twice, a second or more apart)\n")
        self.ok("n2", "resume", "--all")

    def test_a_task_that_runs_says_where(self):
        self.await_members()
        job = self.submit("n1", "--runs-on", "on-n3", "--", "sleep", self.seconds)
        wait_until(lambda: self.nodes["n1"].task(job)["node"] == "n3", what="n3")
        self.assertRegex(self.ok("n1", "why", job).out, r"\bn3 runs it; it ")
        self.ok("n1", "cancel", job)

    def test_who_has_nothing_to_do_takes_what_another_has_no_room_for(self):
        self.await_members()
        self.await_links()
        job = self.submit("n1", "--key", "west", "--array", "1-60", "--", "sleep 0.3")
        self.ok("n1", "wait", job, within=3 * LONG)
        ran = collections.Counter(self.nodes["n1"].task(job, n)["result"]["node"]
                                  for n in range(60))
        owner = self.nodes["n1"].get("/v1/cluster/owner?key=west")["name"]
        for host in self.nodes:
            self.assertGreater(ran[host], 0, ran)
            if host != owner:
                self.assertIn("steal_offered", self.nodes[host].log_text())

    def test_a_node_that_was_revoked_is_cut_off_by_all_others(self):
        self.await_links()
        others = [self.nodes["n1"], self.nodes["n2"]]
        begun = time.monotonic()
        self.cluster("n1", "revoke", "n3")
        for node in others:
            wait_until(lambda node=node: [
                one["is_linked"] for one in node.get("/v1/cluster")["nodes"]
                if one["name"] == "n3"] == [False], what="no link to n3")
        self.assertLess(time.monotonic() - begun, 10)
        # Who sees it first tells the other, which need not wait for its next look.
        wait_until(lambda: any("revocation_heard" in node.log_text() for node in others),
                   what="word of it over a link")

    def test_tasks_with_one_key_are_in_one_shard(self):
        for number in range(3):
            self.submit("n1", "--key", "west", "--", "echo", str(number))
        rows = self.server.query(
            "SELECT count(DISTINCT shards) FROM troupe.job",
            database=self.store.split("/")[3].split("?")[0])
        self.assertEqual(rows.strip(), "1")

    def test_it_says_who_is_there(self):
        self.await_members(at="n2")
        status = self.nodes["n2"].get("/v1/cluster")
        self.assertEqual(status["phase"], "held")
        self.assertTrue(status["may_start"])
        self.assertEqual(len(status["nodes"]), 3)
        self.assertEqual({node["state"] for node in status["nodes"]}, {"live"})

    def test_who_consents_says_for_how_long(self):
        self.await_members()
        told = self.at("n1", "cluster", "consent", "--within", "1m")
        self.assert_ended(told, 0, "", "troupe: note: for 1m, this node does not wait "
                          "before it takes over what nodes had that are gone\n")
        ended = self.at("n1", "cluster", "consent", "--within", "2d")
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("within_ms", ended.err)

    def test_it_says_what_each_has_and_what_it_looks_at_first(self):
        self.await_members(at="n2")
        nodes = self.ok("n2", "cluster", "nodes").out.splitlines()
        self.assertEqual([line.split()[:4] for line in nodes[1:]],
                         [[f"n{n}", "2", "all,", f"on-n{n}"] for n in (1, 2, 3)])
        ring = self.ok("n2", "cluster", "ring").out.splitlines()
        rows = [[int(word) for word in line.split()[1:3]] for line in ring[1:4]]
        self.assertEqual(sum(shards for _, shards in rows), 4096)
        whole = sum(weight for weight, _ in rows)
        for weight, shards in rows:
            self.assertLessEqual(shards, 4096 * weight / whole * 5 / 4 + 1)
        self.assertRegex(ring[4], r"^view \d+: 4096 shards; ")

    def test_the_doctor_finds_nothing_bad(self):
        self.await_members()
        ended = self.at("n1", "cluster", "doctor")
        self.assertEqual(ended.code, 0, ended)
        self.assertRegex(ended.out, r"(?m)^look  PostgreSQL \S+ .* may lose what it")
        self.assertRegex(ended.out, r"(?m)^ok    this node may start commands")
        self.assertRegex(ended.out, r"(?m)^ok    3 nodes: view \d+$")

    def test_a_node_by_itself_says_that_it_is_no_member(self):
        status, value = Node(self, "store: \"\"\n", name="alone").start().ask(
            "GET", "/v1/cluster")
        self.assertEqual(status, 404)
        self.assertIn("no member of a cluster", str(value))


class Slots(WithMembers, TroupeTest):
    """Of a group, which are those of all nodes together."""

    # By one clock, since all are on one host; the second line is written while
    # the command still runs.
    TIMED = ('echo "$(date +%s%N) 1" >> times; sleep 0.2; '
             'echo "$(date +%s%N) -1" >> times; : {}')

    def test_are_not_more_than_it_has_and_all_nodes_use_them(self):
        self.await_members()
        self.ok("n1", "group", "add", "licence", "--slots", "4")
        jobs = [self.submit(host, "--group", "licence", "--array", "1-40", "--",
                            self.TIMED) for host in self.nodes]
        jobs += [self.submit(host, "--group", "licence", "--key", f"key-{host}",
                             "--array", "1-5", "--", self.TIMED)
                 for host in self.nodes]
        jobs.append(self.submit("n1", "--group", "licence", "--runs-on", "on-n3",
                                "--array", "1-5", "--", self.TIMED))
        for job in jobs:
            self.ok("n2", "wait", job, within=4 * LONG)
        running = most = 0
        changes = [line.split() for line in self.lines("times")]
        self.assertEqual(len(changes), 2 * 140)
        for _, change in sorted(changes, key=lambda one: int(one[0])):
            running += int(change)
            most = max(most, running)
        self.assertEqual(most, 4)
        for host in self.nodes:
            self.assertGreater(self.started(host), 0, host)
        self.assertEqual([(group["running"], group["waiting"])
                          for group in self.nodes["n3"].get("/v1/groups")["groups"]
                          if group["group"] == "licence"], [(0, 0)])

    def test_why_says_who_has_them(self):
        self.await_members()
        self.ok("n1", "group", "add", "licence", "--slots", "2")
        holder = self.submit("n1", "--group", "licence", "--runs-on", "on-n2",
                             "--array", "1-2", "--", "sleep", self.seconds)
        wait_until(lambda: self.nodes["n2"].get("/v1/stats")["running"] == 2,
                   what="two tasks at n2")
        job = self.submit("n1", "--group", "licence", "--", "true")
        for host in self.nodes:
            self.assertEqual(
                self.ok(host, "why", job).out,
                f"job {job} is queued: all 2 slots of group licence are taken, on n2\n")
        self.ok("n3", "group", "limit", "licence", "3")
        self.ok("n3", "wait", job)
        self.ok("n3", "cancel", holder)

    def test_are_left_to_who_waits_for_them_at_another_node(self):
        self.await_members()
        self.ok("n1", "group", "add", "licence", "--slots", "1")
        self.submit("n1", "--group", "licence", "--runs-on", "on-n1", "--array",
                    "1-1000", "--", "echo {} >> ran; sleep 0.3")
        wait_until(lambda: len(self.lines("ran")) > 3, what="some tasks")
        job = self.submit("n1", "--group", "licence", "--runs-on", "on-n2", "--", "true")
        self.ok("n1", "wait", job, within=3 * LONG)
        self.assertLess(len(self.lines("ran")), 1000)

    def test_of_the_group_default_are_those_of_each_node(self):
        self.await_members()
        job = self.submit("n1", "--array", "1-6", "--", "sleep", self.seconds)
        wait_until(lambda: [self.nodes[host].get("/v1/stats")["running"]
                            for host in self.nodes] == [2, 2, 2], what="two each")
        self.assertEqual([group["slots"]
                          for group in self.nodes["n3"].get("/v1/groups")["groups"]
                          if group["group"] == "default"], [2])
        refused = self.at("n2", "group", "limit", "default", "1")
        self.assertEqual(refused.code, 1)
        self.assertIn("each node has slots of its own for group default: as many as "
                      "`slots` in its configuration says", refused.err)
        self.ok("n1", "cancel", job)


class Concurrency(WithMembers, TroupeTest):
    def test_of_one_concurrency_group_begin_one_after_the_other(self):
        self.await_members()
        (self.cwd / "w.yaml").write_text(
            "concurrency: { group: database }\n"
            "jobs:\n"
            "  a: { run: 'echo + >> log; sleep 2' }\n"
            "  b: { needs: [a], run: 'echo - >> log' }\n")
        runs = [self.ok(host, "submit", "-f", "w.yaml").out.strip()
                for host in ("n1", "n2", "n3", "n2", "n1")]
        wait_until(lambda: 'waits for concurrency group "database", which r1 is in'
                   in self.ok("n2", "status", runs[1]).out, what="why r2 waits")
        for run in runs:
            self.ok("n1", "wait", run, within=2 * LONG)
        self.assertEqual(self.lines("log"), ["+", "-"] * 5)

    def test_take_the_place_of_one_at_another_node(self):
        self.await_members()
        (self.cwd / "w.yaml").write_text(
            "concurrency: { group: deploy, on-conflict: cancel-running }\n"
            "jobs: { a: { run: 'echo >> begun; test -e go || exec sleep 1000' } }\n")
        old = self.ok("n1", "submit", "-f", "w.yaml").out.strip()
        wait_until(lambda: len(self.lines("begun")) == 1, what="the first run")
        (self.cwd / "go").touch()
        new = self.ok("n3", "submit", "-f", "w.yaml").out.strip()
        self.ok("n2", "wait", new, within=LONG)
        self.assertEqual(self.at("n2", "wait", old).code, 1)
        self.assertIn("cancelled", self.ok("n2", "status", old).out)


class Gone(WithMembers, TroupeTest):
    def test_what_a_dead_host_had_runs_elsewhere_and_nothing_is_lost(self):
        self.await_members()
        job = self.submit("n1", "--array", "1-400", "--",
                          "echo {} >> ran; sleep 0.1; echo {} >> done")
        wait_until(lambda: len(self.lines("ran")) > 30, what="some tasks")
        written = self.submit("n3", "--key", self.key_of("n3"), "--", "seq 2000")
        self.ok("n3", "wait", written, within=3 * LONG)
        self.kill_host("n3")
        self.ok("n1", "wait", job, within=UNTIL_TAKEN_OVER + LONG)
        self.assertEqual(set(self.lines("done")), {str(n) for n in range(1, 401)})
        self.check_tail(written)
        counts = self.nodes["n2"].job(job)["counts"]
        self.assertEqual(counts["success"], 400)
        # Only what it had in hand ran twice.
        twice = [n for n, count in collections.Counter(self.lines("ran")).items()
                 if count > 1]
        self.assertLessEqual(len(twice), 60)
        self.await_members(2)

    def check_tail(self, job):
        """Whoever ran it may be gone."""
        whole = "".join(f"{n}\n" for n in range(1, 2001))
        where = self.nodes["n1"].task(job)["result"]["node"]
        ended = self.at("n1", "logs", job)
        self.assertEqual(ended.code, 0, ended)
        if where != "n3":
            self.assertEqual((ended.out, ended.err), (whole, ""))
            return
        self.assertTrue(whole.endswith(ended.out) and len(ended.out) == 4096, ended)
        self.assertRegex(ended.err, r"^troupe: \S+ KiB before that are on n3, which "
                         rf"ran {job}\.0 and cannot be asked now\n$")

    def test_what_runs_at_most_once_is_lost_with_its_host_and_runs_no_more(self):
        self.await_members()
        job = self.submit("n3", "--at-most-once", "--",
                          f"echo hello; echo x >> ran; exec sleep {self.seconds}")
        wait_until(lambda: self.lines("ran"), what="the task")
        wait_until(lambda: self.at("n1", "logs", job).out == "hello\n",
                   what="its output")
        host = next(host for host in self.nodes
                    if self.nodes[host].get("/v1/stats")["running"] == 1)
        self.kill_host(host)
        other = next(other for other in self.nodes if other != host)
        info = self.nodes[other].wait_for_end(job, UNTIL_TAKEN_OVER)
        self.assertEqual(info["counts"]["lost"], 1)
        self.assertEqual(len(self.lines("ran")), 1)
        self.assertIn(f"attempt 1: lost: was lost with node {host}\n",
                      self.ok(other, "status", f"{job}.0").out)
        for command in (["logs"], ["logs", "-f"]):
            read = self.at(other, *command, job)
            self.assertEqual((read.code, read.out, read.err),
                             (0, "", f"troupe: what attempt 1 of {job}.0 wrote is on "
                              f"{host}, which cannot be asked now\n"))
        self.nodes[host].start()
        wait_until(lambda: self.at(other, "logs", job).out == "hello\n",
                   what="what it wrote")
        self.assertEqual(self.ok(other, "logs", job).err, "")

    def test_what_runs_at_most_once_ends_before_others_take_its_node_for_gone(self):
        self.await_members()
        job = self.submit("n3", "--at-most-once", "--",
                          f"echo x >> ran; exec sleep {self.seconds}")
        wait_until(lambda: self.lines("ran"), what="the task")
        host = next(host for host in self.nodes
                    if self.nodes[host].get("/v1/stats")["running"] == 1)
        node = self.nodes[host]
        node.process.kill()  # Its warden goes on.
        node.process.wait(LONG)
        node.process = None
        other = next(other for other in self.nodes if other != host)
        info = self.nodes[other].wait_for_end(job, UNTIL_TAKEN_OVER)
        left = processes_with(self.seconds)
        self.kill_warden(node)
        self.assertEqual(info["counts"]["lost"], 1)
        self.assertEqual(left, {})

    def test_what_is_cancelled_after_its_host_has_died_says_what_is_known(self):
        self.await_members()
        job = self.submit("n3", "--", f"echo x >> ran; exec sleep {self.seconds}")
        wait_until(lambda: self.lines("ran"), what="the task")
        host = next(host for host in self.nodes
                    if self.nodes[host].get("/v1/stats")["running"] == 1)
        self.kill_host(host)
        other = next(other for other in self.nodes if other != host)
        self.ok(other, "cancel", job)
        self.assertIn("cancelling", self.ok(other, "status", job).out)
        wait_until(lambda: f"{host}, which has it, has not been heard of for"
                   in self.ok(other, "status", job).out, UNTIL_TAKEN_OVER,
                   "the silence of its node")
        self.nodes[other].wait_for_end(job, UNTIL_TAKEN_OVER)
        self.assertIn(f"attempt 1: cancelled: node {host} was gone before it could say "
                      "how it ended\n", self.ok(other, "status", f"{job}.0").out)

    def test_what_ran_away_on_a_host_that_was_evicted_ends_with_its_next_node(self):
        self.await_members()
        job = self.submit("n3", "--at-most-once", "--",
                          f"setsid sleep {self.seconds} & echo x >> ran; wait")
        wait_until(lambda: self.lines("ran"), what="the task")
        host = next(host for host in self.nodes
                    if self.nodes[host].get("/v1/stats")["running"] == 1)
        self.kill_host(host)
        other = next(other for other in self.nodes if other != host)
        self.nodes[other].wait_for_end(job, UNTIL_TAKEN_OVER)
        # Nobody on that host could do it, and the store does not have its session.
        self.assertNotEqual(processes_with(self.seconds), {})
        self.nodes[host].start()
        self.assertEqual(processes_with(self.seconds), {})

    def test_a_node_that_is_started_again_goes_on_with_its_commands(self):
        self.await_members()
        job = self.submit("n2", "--", "echo x >> ran; sleep 3; echo end")
        wait_until(lambda: self.lines("ran"), what="the task")
        host = next(host for host in self.nodes
                    if self.nodes[host].get("/v1/stats")["running"] == 1)
        before = self.nodes[host].get("/v1/cluster")["session"]
        self.nodes[host].restart()
        self.assertEqual(self.nodes[host].get("/v1/cluster")["session"], before)
        self.ok(host, "wait", job)
        self.assertEqual(len(self.lines("ran")), 1)
        self.assertEqual(self.ok(host, "logs", job).out, "end\n")

    def test_a_node_that_stood_still_for_too_long_begins_anew(self):
        self.await_members()
        job = self.submit("n3", "--array", "1-6", "--",
                          "echo $$ >> ran; until test -e go; do sleep 0.05; done")
        wait_until(lambda: len(self.lines("ran")) == 6, what="six tasks")
        victim = self.nodes["n3"]
        before = victim.get("/v1/cluster")["session"]
        os.kill(victim.process.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, victim.process.pid, signal.SIGCONT)
        # Its warden ends the commands by itself, and the others run them.
        wait_until(lambda: sum(is_alive(int(pid)) for pid in self.lines("ran")) == 4,
                   UNTIL_TAKEN_OVER, "the end of its two")
        (self.cwd / "go").touch()
        self.ok("n1", "wait", job, within=UNTIL_TAKEN_OVER + LONG)
        self.assertEqual(len(self.lines("ran")), 8)
        os.kill(victim.process.pid, signal.SIGCONT)
        wait_until(lambda: "session_evicted" in victim.log_text(),
                   what="word of the eviction")
        wait_until(lambda: self.is_member("n3", other_than=before), what="it is back")
        self.submit("n3", "--", "echo back >> ran")
        wait_until(lambda: "back" in self.lines("ran"), what="work")

    def test_what_had_ended_and_was_told_too_late_is_kept_and_does_not_count(self):
        self.await_members()
        job = self.submit("n3", "--runs-on", "on-n3", "--at-most-once", "--",
                          "echo x >> ran; until test -e go; do sleep 0.05; done")
        wait_until(lambda: self.lines("ran"), what="the task")
        victim = self.nodes["n3"]
        session = victim.get("/v1/cluster")["session"]
        os.kill(victim.process.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, victim.process.pid, signal.SIGCONT)
        (self.cwd / "go").touch()  # It ends well, and its node cannot tell.
        before = self.nodes["n1"].wait_for_end(job, UNTIL_TAKEN_OVER)
        self.assertEqual(before["counts"]["lost"], 1)
        os.kill(victim.process.pid, signal.SIGCONT)
        late = wait_until(
            lambda: self.nodes["n1"].task(job)["attempts"][0].get("late"),
            what="word of how it had ended")
        self.assertEqual((late["outcome"], late["exit_status"]), ("success", 0))
        self.assertIn("result_too_late task=", victim.log_text())
        shown = self.ok("n1", "status", f"{job}.0").out
        self.assertIn("lost with its node; its result came too late to count: success, "
                      "exit status 0\n", shown)
        self.assertEqual(self.nodes["n1"].job(job)["counts"], before["counts"])
        self.assertEqual(self.nodes["n1"].task(job)["result"]["outcome"], "lost")
        self.assertEqual(len(self.lines("ran")), 1)
        wait_until(lambda: self.is_member("n3", other_than=session), what="it is back")

    def test_a_run_of_a_workflow_goes_on_at_another_node(self):
        self.await_members()
        (self.cwd / "w.yaml").write_text(
            "jobs:\n"
            "  first:\n"
            "    run: echo said=hello >> $TROUPE_OUTPUT; echo first >> ran\n"
            "    outputs: { said: \"${{ steps.run.outputs.said }}\" }\n"
            "  second:\n"
            "    needs: [first]\n"
            "    run: echo second >> ran; test -e go || exec sleep 1000\n"
            "  third:\n"
            "    needs: [first, second]\n"
            "    run: echo ${{ needs.first.outputs.said }} >> ran\n")
        run = self.ok("n3", "submit", "-f", "w.yaml").out.strip()
        wait_until(lambda: self.lines("ran") == ["first", "second"],
                   what="the second job")
        (self.cwd / "go").touch()
        self.kill_host("n3")
        self.ok("n1", "wait", run, within=UNTIL_TAKEN_OVER + LONG)
        self.assertEqual(self.lines("ran"), ["first", "second", "second", "hello"])
        self.assertIn("another one goes on", self.ok("n2", "status", run).out)

    def test_one_that_drains_lets_what_runs_end_and_leaves(self):
        self.await_members()
        job = self.submit("n1", "--array", "1-60", "--",
                          "echo {} >> ran; sleep 0.3; echo {} >> done")
        wait_until(lambda: len(self.lines("ran")) >= 12, what="some tasks")
        told = self.at("n1", "cluster", "drain", "--within", "5s", "n2")
        self.assert_ended(told, 1, "", "troupe: how long it may take (--within) only n2 "
                          "itself can be told; ask n2\n")
        told = self.at("n1", "cluster", "drain", "n2")
        self.assert_ended(told, 0, "", "troupe: note: n2 begins nothing more, and ends "
                          "when what it has begun has ended\n")
        self.assertEqual(self.nodes["n2"].process.wait(2 * LONG), 0)
        self.nodes["n2"].process = None
        self.await_members(2)
        self.assertEqual(self.at("n3", "cluster", "drain").code, 0)
        self.assertEqual(self.nodes["n3"].process.wait(2 * LONG), 0)
        self.nodes["n3"].process = None
        self.ok("n1", "wait", job, within=2 * LONG)
        # Nothing had to run twice.
        self.assertEqual(sorted(self.lines("ran")), sorted(self.lines("done")))
        self.assertEqual(len(self.lines("done")), 60)

    def test_what_changes_while_one_drains_changes_once(self):
        self.await_members()
        self.submit("n2", "--runs-on", "on-n2", "--",
                    f"echo x >> ran; exec sleep {self.seconds}")
        wait_until(lambda: self.lines("ran"), what="the task")
        self.assertEqual(self.at("n2", "cluster", "drain").code, 0)
        self.kill_host("n3")
        for host in ("n1", "n2"):
            wait_until(lambda host=host: self.names_at(host) == ["n1", "n2"],
                       UNTIL_TAKEN_OVER, f"n3 to be gone at {host}")
        before = self.nodes["n1"].get("/v1/cluster")["view"]
        time.sleep(6)
        after = self.nodes["n1"].get("/v1/cluster")["view"]
        # One that has joined may be given the rest of what it gets.
        self.assertLessEqual(after - before, 2)

    def names_at(self, host):
        return sorted(node["name"] for node in
                      self.nodes[host].get("/v1/cluster")["nodes"])

    def is_member(self, host, other_than):
        try:
            status = self.nodes[host].get("/v1/cluster", timeout=5)
        except (OSError, AssertionError):
            return False
        return status["may_start"] and status["session"] != other_than


class Runs(WithMembers, TroupeTest):
    """Runs of workflows whose jobs, and what these hand on, are on several nodes."""

    def setUp(self):
        super().setUp()
        self.await_members()
        self.await_links()

    def submit_run(self, host, text):
        (self.cwd / "w.yaml").write_text(text)
        return self.ok(host, "submit", "-f", "w.yaml").out.strip()

    def where_it_ran(self, run):
        """Of each step its name and the node, in their order."""
        jobs = self.nodes["n1"].get(f"/v1/jobs?run={run.lstrip('r')}")["jobs"]
        return [(job["name"], self.nodes["n1"].task(job["job"])["result"]["node"])
                for job in sorted(jobs, key=lambda job: job["job"])]

    def logs_of(self, host, run):
        jobs = self.nodes[host].get(f"/v1/jobs?run={run.lstrip('r')}")["jobs"]
        return "".join(self.at(host, "logs", str(job["job"])).out
                       + self.at(host, "logs", str(job["job"])).err for job in jobs)

    def await_move(self, *hosts):
        wait_until(lambda: any("run_taken_over" in self.nodes[host].log_text()
                               for host in hosts), UNTIL_TAKEN_OVER, "the move")

    def test_a_job_runs_where_its_labels_are_with_all_that_belongs_to_it(self):
        run = self.submit_run(
            "n1",
            "jobs:\n"
            "  build:\n"
            "    runs-on: [all, on-n2]\n"
            "    env: { LEVEL: high }\n"
            "    steps:\n"
            "      - id: make\n"
            "        run: |\n"
            "          echo made on $LEVEL > part.txt\n"
            "          echo name=first >> $TROUPE_OUTPUT\n"
            "      - { id: said, run: echo loud, outputs: { word: { from: stdout } } }\n"
            "    outputs:\n"
            "      name: ${{ steps.make.outputs.name }}\n"
            "      word: ${{ steps.said.outputs.word }}\n"
            "    artifacts: { upload: { part: part.txt } }\n"
            "  use:\n"
            "    needs: [build]\n"
            "    runs-on: on-n3\n"
            "    working-directory: use\n"
            "    artifacts: { download: build.part }\n"
            "    run: |\n"
            "      cat part.txt >> ../ran\n"
            "      echo ${{ needs.build.outputs.name }} "
            "${{ needs.build.outputs.word }} >> ../ran\n"
            "  last: { needs: [use], run: echo last >> ran }\n")
        (self.cwd / "use").mkdir()
        self.ok("n1", "wait", run, within=3 * LONG)
        self.assertEqual(self.lines("ran"), ["made on high", "first loud", "last"])
        self.assertEqual([node for _, node in self.where_it_ran(run)],
                         ["n2", "n2", "n2", "n3", "n3", "n1"])
        # What was fetched is kept where it was needed, and nowhere else.
        held = {host: len(list((node.folder / "content" / "artifacts").glob("*/*/*/*")))
                for host, node in self.nodes.items()
                if (node.folder / "content").exists()}
        self.assertEqual(held, {"n2": 1, "n3": 1})
        (self.cwd / "there").mkdir()
        self.ok("n1", "artifact", "get", run, "build.part", "--into", "there")
        self.assertEqual(self.lines("there/part.txt"), ["made on high"])
        # Of the newest nobody knows whether it is news to the answer.
        self.ok("n1", "wait", self.submit_run("n1", "jobs: { a: { run: 'true' } }\n"))
        self.ok("n1", "forget", run)
        wait_until(lambda: not any(list((node.folder / "content" / "artifacts").glob(run))
                                   for node in self.nodes.values()),
                   FORGOTTEN, "the end of its artifacts")

    def test_a_job_that_is_cancelled_ends_where_it_runs(self):
        run = self.submit_run(
            "n1", "jobs: { a: { runs-on: on-n3, run: echo $$ >> ran; exec sleep 1000 } }\n")
        wait_until(lambda: self.lines("ran"), what="the job")
        self.ok("n1", "cancel", run)
        wait_until(lambda: not is_alive(int(self.lines("ran")[0])), what="its end")
        self.assertEqual(self.at("n1", "wait", run).code, 1)

    def test_a_run_is_approved_cancelled_and_retried_at_any_node(self):
        run = self.submit_run(
            "n1",
            "jobs:\n"
            "  build: { run: echo build >> ran }\n"
            "  deploy:\n"
            "    needs: [build]\n"
            "    approval: { prompt: sure }\n"
            "    run: echo deploy >> ran; test -e go || exec sleep 1000\n")
        wait_until(lambda: all(self.nodes[host].get("/v1/runs")["runs"][0]["awaiting_jobs"]
                               for host in self.nodes), what="the question, at all nodes")
        self.ok("n2", "approve", run, "deploy")
        self.assertEqual(self.at("n3", "approve", run, "deploy", "--reject").code, 1)
        wait_until(lambda: "deploy" in self.lines("ran"), what="the second job")
        me = pwd.getpwuid(os.getuid()).pw_name
        for host in self.nodes:
            self.assertRegex(self.ok(host, "status", run).out, rf"approved by {me}")
        # Whoever was asked has it in its records.
        self.assertEqual(
            [host for host, node in self.nodes.items()
             if "/jobs/deploy/answer" in self.audit_of(node)], ["n2", "n3"])
        self.ok("n3", "cancel", run)
        self.assertEqual(self.at("n2", "wait", run).code, 1)
        self.assertEqual(self.nodes["n1"].get(f"/v1/runs/{run[1:]}")["state"], "cancelled")
        (self.cwd / "go").touch()
        self.ok("n3", "retry", run)
        self.ok("n2", "wait", run)
        self.assertEqual(self.lines("ran"), ["build", "deploy", "deploy"])
        # At home, whoever was asked.
        self.assertEqual({node for _, node in self.where_it_ran(run)}, {"n1"})

    def audit_of(self, node):
        return "".join(path.read_text() for path in node.folder.glob("audit*"))

    def drain(self, host, *options):
        self.assertEqual(self.at(host, "cluster", "drain", *options).code, 0)

    def await_end(self, host):
        self.assertEqual(self.nodes[host].process.wait(2 * LONG), 0)
        self.nodes[host].process = None

    def drain_between_steps(self, run):
        """n2 drains in the first of three steps that wait for `go`; all of them run."""
        wait_until(lambda: self.lines("ran"), what="the first step")
        self.drain("n2")
        (self.cwd / "go").touch()
        self.await_end("n2")
        self.ok("n1", "wait", run, within=3 * LONG)
        self.assertEqual(self.lines("ran"), ["one", "two", "three"])

    def test_a_node_that_drains_ends_the_jobs_that_have_begun_there(self):
        run = self.submit_run(
            "n1",
            "jobs:\n"
            "  a:\n"
            "    runs-on: on-n2\n"
            "    steps:\n"
            "      - run: echo one >> ran; until test -e go; do sleep 0.1; done\n"
            "      - run: echo two >> ran\n"
            "      - run: echo three >> ran\n"
            "  b: { runs-on: on-n2, needs: [a], run: echo never >> ran }\n")
        wait_until(lambda: self.lines("ran"), what="the first step")
        self.drain("n3", "n2")
        wait_until(lambda: "drain_waits" in self.nodes["n2"].log_text(), what="the drain")
        (self.cwd / "go").touch()
        self.await_end("n2")
        self.assertEqual(self.lines("ran"), ["one", "two", "three"])
        steps = self.nodes["n1"].get(f"/v1/runs/{run[1:]}")["instances"]
        self.assertEqual([job["state"] for job in steps], ["succeeded", "running"])
        self.ok("n1", "cancel", run)

    def test_a_home_that_drains_ends_its_jobs_and_another_one_goes_on(self):
        run = self.submit_run(
            "n2",
            "jobs:\n"
            "  a:\n"
            "    steps:\n"
            "      - run: echo one >> ran; until test -e go; do sleep 0.1; done\n"
            "      - run: echo two >> ran\n"
            "  b: { needs: [a], run: echo three >> ran }\n")
        self.drain_between_steps(run)
        ran = [node for _, node in self.where_it_ran(run)]
        self.assertEqual(ran[:2], ["n2", "n2"])
        self.assertIn(ran[2], ("n1", "n3"))

    def test_services_of_a_home_that_drains_start_where_its_run_goes_on(self):
        run = self.submit_run(
            "n2",
            "services: { children: { db: { run: echo db >> services; exec sleep 1000 } } }\n"
            "jobs:\n"
            "  a:\n"
            "    needs: [services.db]\n"
            "    steps:\n"
            "      - run: echo one >> ran; until test -e go; do sleep 0.1; done\n"
            "      - run: echo two >> ran\n"
            "  b:\n"
            "    needs: [a, services.db]\n"
            "    run: |\n"
            "      until test $(wc -l < services) = 2; do sleep 0.1; done\n"
            "      echo three >> ran\n")
        self.drain_between_steps(run)

    def test_a_drain_that_takes_too_long_leaves_what_has_begun(self):
        run = self.submit_run(
            "n1",
            "jobs:\n"
            "  a:\n"
            "    runs-on: on-n2\n"
            "    steps: [{ run: echo one >> ran }, { run: echo two >> ran; sleep 1000 }]\n")
        wait_until(lambda: len(self.lines("ran")) == 2, what="the second step")
        self.drain("n2", "--within", "2s")
        self.await_end("n2")
        self.ok("n1", "cancel", run)

    def test_a_secret_is_that_of_the_node_that_runs_the_step(self):
        for host in ("n1", "n2"):
            self.nodes[host].terminate()
            self.nodes[host].start(env={"TROUPE_LOG": "debug", "KEY": f"key-of-{host}"})
        self.await_members()
        run = self.submit_run(
            "n1",
            "secrets: { KEY: {} }\n"
            "jobs:\n"
            "  a:\n"
            "    runs-on: on-n2\n"
            "    env: { PASS: \"${{ secrets.KEY }}\" }\n"
            "    run: echo $PASS; echo $PASS | tr a-z A-Z >> ran\n")
        self.ok("n1", "wait", run, within=3 * LONG)
        self.assertEqual(self.lines("ran"), ["KEY-OF-N2"])
        self.assertEqual(self.logs_of("n1", run), "***\n")
        self.assertNotIn("key-of-", self.dump_of_store())

    def dump_of_store(self):
        return subprocess.run(["pg_dump", self.store], check=True, timeout=LONG,
                              capture_output=True, text=True).stdout

    def test_what_needs_the_node_of_its_run_is_refused(self):
        (self.cwd / "w.yaml").write_text(
            "services: { children: { db: { run: sleep 1000 } } }\n"
            "jobs:\n"
            "  a: { needs: [services.db], runs-on: on-n2, run: \"true\" }\n")
        ended = self.at("n1", "submit", "-f", "w.yaml")
        self.assertEqual(ended.code, 1, ended)
        self.assertRegex(ended.err, r'w\.yaml:3:\d+: the job "a" uses services, which '
                         r'listen on the node that drives the run')
        self.assertIn('leave "runs-on" out', ended.err)

    RUN_THAT_MOVES = (
        "jobs:\n"
        "  build:\n"
        "    run: echo made > part.txt; echo build >> ran\n"
        "    artifacts: { upload: { part: part.txt } }\n"
        "    cache: { key: one }\n"
        "  pause:\n"
        "    needs: [build]\n"
        "    run: echo pause >> ran; until test -e go; do sleep 0.1; done\n"
        "  use:\n"
        "    needs: [build, pause]\n"
        "    working-directory: use\n"
        "    artifacts: { download: build.part }\n"
        "    run: cat part.txt >> ../ran\n")

    def move(self):
        (self.cwd / "use").mkdir()
        run = self.submit_run("n3", self.RUN_THAT_MOVES)
        wait_until(lambda: "pause" in self.lines("ran"), what="the second job")
        self.kill_host("n3")
        self.await_move("n1", "n2")
        return run

    def test_a_run_that_moved_finds_what_a_node_has_that_is_back(self):
        run = self.move()
        self.nodes["n3"].start(env={"TROUPE_LOG": "debug"})
        self.await_members(within=UNTIL_TAKEN_OVER)
        self.await_links(within=UNTIL_TAKEN_OVER)
        (self.cwd / "go").touch()
        self.ok("n1", "wait", run, within=2 * LONG)
        self.assertEqual(self.lines("ran"), ["build", "pause", "pause", "made"])
        # The same of a result that was made there.
        self.ok("n2", "retry", run, "--from", "build")
        self.ok("n1", "wait", run, within=2 * LONG)
        self.assertEqual(self.lines("ran")[4:], ["pause", "made"])

    def test_a_run_that_moved_says_what_it_misses_and_where_that_was(self):
        run = self.move()
        (self.cwd / "go").touch()
        self.assertEqual(self.at("n1", "wait", run, within=2 * LONG).code, 1)
        self.assertIn(f"artifact build.part version 1 of {run} was on n3, which is not "
                      f"there, and on no other node; run its job again: troupe retry "
                      f"{run} --from build", self.logs_of("n1", run))
        # A result that nobody has any more is made again.
        self.ok("n2", "retry", run, "--from", "build")
        self.ok("n1", "wait", run, within=2 * LONG)
        self.assertEqual(self.lines("ran")[-3:], ["build", "pause", "made"])


class Refused(WithMembers, TroupeTest):
    NODES = 2

    def refuse(self, node, *options):
        self.assertEqual(node.launch(*options).wait(LONG), 125, node.log_text())
        node.process = None
        return node.log_text()

    def test_one_that_wants_the_store_for_itself(self):
        node = Node(self, name="alone")
        self.assertIn("another node uses this store", self.refuse(node))

    def test_one_with_another_lease_time(self):
        self.enrol("n3")
        node = Node(self, self.config_of("n3").replace(
            f"lease-time: {LEASE_SECONDS}s", "lease-time: 30s"), name="n3")
        self.assertIn("all nodes of a cluster have the same", self.refuse(node))

    def test_a_copy_of_one_that_is_there(self):
        node = Node(self, self.config_of("n2"), name="copy")
        self.assertIn("has a copy of its identity", self.refuse(node))
        self.assertTrue(self.nodes["n2"].get("/v1/cluster")["may_start"])


if __name__ == "__main__":
    unittest.main()
