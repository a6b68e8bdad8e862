"""troupe node and those that ask it: jobs from submit to forget, the configuration,
signals, output, surroundings of commands."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import unittest
from pathlib import Path

from nodes import (AS_NOBODY, NOBODY, Node, WithNode, is_root_with_setpriv,
                   socket_inodes)
from troupe_e2e import LONG, SANITIZED, TroupeTest, peak_memory_kib, wait_until


class Jobs(WithNode, TroupeTest):
    def test_go_from_submit_to_forget(self):
        job = self.submit("--name", "hi", "--tag", "x", "--", "echo", "hello  you")
        self.assertEqual(self.ok("wait", job).out, "")
        self.assertEqual(self.output(job), b"hello  you\n")
        listed = self.ok("list", "--tag", "x").out
        self.assertIn("succeeded", listed)
        self.assertIn("echo 'hello  you'", listed)
        status = self.ok("status", job).out
        self.assertIn("1 succeeded", status)
        self.assertIn(str(self.cwd), status)
        self.ok("forget", job)
        self.assert_ended(self.troupe("status", job), 1, "",
                          f"troupe: no job {job}\n")
        # That is for a thread that has time for it.
        wait_until(lambda: not list((self.node.folder / "output").rglob("*.*")),
                   what="the end of its output")

    def test_exit_with_the_status_of_their_command(self):
        for script, code in (("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137),
                             ("kill -TERM $$", 143)):
            self.assertEqual(
                self.troupe("submit", "--wait", "--", script).code, code)
        self.assertEqual(self.troupe("wait", "2").code, 3)
        self.assertEqual(self.troupe("wait", "1", "2").code, 1)

    def test_whose_program_is_not_there_say_so(self):
        finished = self.troupe("submit", "--wait", "--", "/no/such/program")
        self.assertEqual(finished.code, 127)
        task = self.ok("status", "1.0").out
        self.assertIn("no such file or directory", task)

    def test_end_when_they_are_cancelled(self):
        running, waiting = self.sleeper(), self.submit("--delay", "1h", "--", "true")
        self.ok("cancel", running, waiting)
        for job in (running, waiting):
            self.assertEqual(self.node.wait_for_end(job)["state"], "cancelled")
        self.assertNotEqual(self.troupe("wait", running).code, 0)
        self.assert_ended(self.troupe("cancel", "99"), 1, "", "troupe: no job 99\n")
        self.ok("cancel", waiting)
        ended = self.submit("true")
        self.ok("wait", ended)
        # As those do that waited for one that was cancelled before.
        self.ok("cancel", ended)

    def test_that_failed_run_again_when_they_are_retried(self):
        job = self.submit("--", "test -e go")
        self.assertEqual(self.node.wait_for_end(job)["state"], "failed")
        (self.cwd / "go").touch()
        self.ok("retry", job)
        self.assertEqual(self.node.wait_for_state(job, "succeeded")["state"],
                         "succeeded")
        attempts = self.node.task(job)["attempts"]
        self.assertEqual([one["outcome"] for one in attempts],
                         ["failed", "success"])

    def test_are_tried_as_often_as_they_say(self):
        job = self.submit("--retries", "2", "--retry-delay", "10ms", "--",
                          "echo x >> tries; exit 1")
        self.node.wait_for_end(job)
        self.assertEqual(self.text("tries"), "x\nx\nx\n")

    def test_that_wait_can_be_edited(self):
        job = self.submit("--delay", "1h", "--env", "WORD=kept", "--",
                          "echo", "old")
        self.ok("edit", job, "--name", "new", "--priority", "high", "--",
                'echo "$WORD"')
        info = self.node.job(job)
        self.assertEqual((info["name"], info["priority"]), ("new", "high"))
        self.ok("edit", job, "--at", "2020-01-01T00:00:00Z")
        self.node.wait_for_end(job)
        self.assertEqual(self.output(job), b"kept\n")

    def test_that_have_ended_cannot_be_edited(self):
        job = self.submit("--", "true")
        self.node.wait_for_end(job)
        finished = self.troupe("edit", job, "--name", "late")
        self.assertIn(finished.code, (1, 2))
        self.assertIn("has ended", finished.err)
        self.assertEqual(self.node.job(job)["name"], "")

    def test_that_run_cannot_be_forgotten(self):
        job = self.sleeper()
        finished = self.troupe("forget", job)
        self.assertIn(finished.code, (1, 2))
        self.assertIn("has not ended", finished.err)
        self.assertEqual(self.node.job(job)["state"], "running")

    def test_that_the_node_refuses_to_change_exit_with_1(self):
        job = self.submit("--delay", "1h", "true")
        self.assertEqual(self.troupe("forget", job).code, 1)

    def test_that_cannot_be_forgotten_are_named(self):
        ended = self.submit("--", "true")
        self.node.wait_for_end(ended)
        job = self.submit("--delay", "1h", "true")
        self.assertIn(f"job {job}", self.troupe("forget", ended, job).err)

    def test_start_nothing_while_they_are_paused(self):
        for pause in (("--all",), ("--group", "default")):
            self.ok("pause", *pause)
            job = self.submit("--", "true")
            self.assertIn("held", " ".join(self.node.kinds(job)))
            self.assertEqual(self.node.job(job)["counts"]["waiting"], 1)
            self.ok("resume", *pause)
            self.node.wait_for_end(job)

    def test_with_one_request_id_are_one_job(self):
        first = self.submit("--request-id", "abc", "--", "echo x >> ran")
        second = self.submit("--request-id", "abc", "--", "echo x >> ran")
        self.assertEqual(first, second)
        self.node.wait_for_end(first)
        self.assertEqual(self.text("ran"), "x\n")

    def test_are_still_known_after_a_kill_of_the_node(self):
        job = self.submit("--", "echo before")
        self.node.wait_for_end(job)
        held = self.submit("--request-id", "abc", "--delay", "1h", "--", "true")
        self.node.restart()
        self.assertEqual(self.output(job), b"before\n")
        self.assertEqual(self.node.job(held)["state"], "delayed")
        self.assertEqual(self.submit("--request-id", "abc", "--", "true"), held)


class ManyTasks(WithNode, TroupeTest):
    def test_can_be_paused_and_cancelled_in_the_middle(self):
        job = self.submit("--array", "1-400", "--", "echo {} >> log; sleep 0.02")
        self.wait_for_lines("log", 5)
        self.ok("pause", job)
        wait_until(lambda: self.node.job(job)["counts"]["running"] == 0,
                   what="the end of what runs")
        lines = self.text("log")
        self.assertEqual(self.node.job(job)["state"], "held")
        self.ok("resume", job)
        self.wait_for_lines("log", len(lines.splitlines()) + 5)
        self.ok("cancel", job)
        counts = self.node.wait_for_end(job)["counts"]
        self.assertEqual(counts["success"] + counts["cancelled"], 400)
        ran = self.text("log").splitlines()
        self.assertEqual(len(set(ran)), len(ran))

    def test_by_the_million_take_no_time_and_no_memory(self):
        begun = time.monotonic()
        job = self.submit("--array", "1-5000000", "--", ": {}")
        self.wait_for_lines_of(job, 20)
        self.node.restart()
        self.ok("list")
        self.ok("cancel", job)
        self.node.wait_for_end(job)
        self.assertLess(time.monotonic() - begun, 10)
        if not SANITIZED:
            self.assertLess(peak_memory_kib(self.node.process.pid), 150 << 10)

    def wait_for_lines_of(self, job, count):
        wait_until(lambda: self.node.job(job)["counts"]["success"] >= count,
                   what=f"{count} tasks")

    def test_end_in_any_order_and_wait_any_tells_the_first(self):
        slow, quick = self.sleeper(), self.submit("--", "true")
        self.assertEqual(self.troupe("wait", "--any", slow, quick).code, 0)
        self.assertEqual(self.node.job(slow)["state"], "running")

    def test_show_their_output_with_their_names(self):
        job = self.submit("--array", "1-3", "--", "echo {}; echo x")
        self.node.wait_for_end(job)
        self.assertEqual(sorted(self.ok("logs", job).out.splitlines()),
                         sorted(f"{job}.{i} | {text}" for i in range(3)
                                for text in (str(i + 1), "x")))

    def test_that_never_ran_cost_nothing_in_their_logs(self):
        job = self.submit("--array", "1-1000000", "--",
                          f"echo {{}}; echo >> ran; exec sleep {self.seconds}")
        self.wait_for_lines("ran", 2)
        self.ok("cancel", job)
        self.node.wait_for_end(job)
        begun = time.monotonic()
        for options in ((), ("-f",)):
            lines = self.ok("logs", *options, job).out.splitlines()
            self.assertEqual(sorted(" ".join(line.split()) for line in lines),
                             [f"{job}.0 | 1", f"{job}.1 | 2"])
        self.assertLess(time.monotonic() - begun, 10)


class NoSpace(WithNode, TroupeTest):
    CONFIG = "slots: 2\ndisk-reserve: 1000000GiB\n"

    def test_is_told_when_a_job_is_submitted(self):
        finished = self.troupe("submit", "true")
        self.assertEqual((finished.code, finished.out), (1, ""))
        self.assertIn("disk", finished.err)
        self.assertIn("are to stay free", finished.err)
        self.ok("list")


class Surroundings(WithNode, TroupeTest):
    def run_job(self, *words, **options):
        job = self.submit(*words, **options)
        self.node.wait_for_end(job)
        return self.output(job).decode()

    def test_the_environment_of_the_submitter_arrives(self):
        self.assertEqual(
            self.run_job("--env", "B=2", "--", 'echo "$A $B"', env={"A": "a  b"}),
            "a  b 2\n")
        self.assertEqual(self.run_job("--clear-env", "--env", "B=2", "--",
                                      'echo "$HOME $B"'), " 2\n")

    def test_a_folder_that_is_gone_is_no_folder_to_run_in(self):
        finished = self.run_program(
            ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && '
             '"$TROUPE" submit -- touch made-here'])
        self.assertEqual((finished.code, finished.out), (2, ""))
        self.assertIn("the current folder is gone", finished.err)

    def test_the_folder_of_the_submitter_holds_and_cwd_changes_it(self):
        (self.cwd / "in side").mkdir()
        self.assertEqual(self.run_job("--", "pwd"), f"{self.cwd}\n")
        self.assertEqual(self.run_job("--cwd", "in side", "--", "pwd"),
                         f"{self.cwd}/in side\n")

    def test_the_names_of_the_job_are_set(self):
        job = self.submit("--array", "5-6", "--",
                          'echo "$TROUPE_JOB $TROUPE_TASK $TROUPE_ATTEMPT {}"')
        self.node.wait_for_end(job)
        self.assertEqual(self.ok("logs", f"{job}.1").out, f"{job} 1 1 6\n")

    def test_standard_input_is_a_text_or_a_file_or_empty(self):
        text = "a b\n\n ü\n"
        self.assertEqual(self.run_job("--stdin", "-", "cat", input=text.encode()),
                         text)
        (self.cwd / "in").write_bytes(b"x" * (600 << 10))
        self.assertEqual(self.run_job("--stdin", "in", "--", "wc -c"), "614400\n")
        self.assertEqual(self.run_job("--", "wc -c"), "0\n")

    def test_a_stdin_file_that_is_gone_is_told(self):
        (self.cwd / "in").write_bytes(b"x" * (600 << 10))
        job = self.submit("--delay", "500ms", "--stdin", "in", "cat")
        (self.cwd / "in").unlink()
        self.assertEqual(self.node.wait_for_end(job)["state"], "failed")
        self.assertIn(str(self.cwd / "in"), self.ok("status", f"{job}.0").out)

    def test_a_timeout_ends_the_whole_tree(self):
        job = self.submit("--timeout", "300ms", "--grace", "100ms", "--",
                          f"trap '' TERM; setsid sleep {self.seconds} & "
                          f"sleep {self.seconds}")
        self.assertEqual(self.troupe("wait", job).code, 124)
        self.assertEqual(self.node.task(job)["result"]["outcome"], "timed_out")
        wait_until(lambda: not [command for command in self.left().values()
                                if command.startswith("sleep")],
                   what="the end of the tree")

    def test_success_codes_say_what_is_no_failure(self):
        job = self.submit("--success-codes", "0,3", "--", "exit 3")
        self.assertEqual(self.node.wait_for_end(job)["state"], "succeeded")

    def test_a_working_directory_that_is_gone_is_told(self):
        (self.cwd / "gone").mkdir()
        job = self.submit("--delay", "500ms", "--cwd", "gone", "--", "true")
        (self.cwd / "gone").rmdir()
        self.assertEqual(self.node.wait_for_end(job)["state"], "failed")
        self.assertIn("gone", self.ok("status", f"{job}.0").out)


class Output(WithNode, TroupeTest):
    CONFIG = "slots: 2\noutput-limit: 5MiB\n"

    def test_is_kept_byte_for_byte(self):
        data = os.urandom(300_000) + bytes(range(256))
        (self.cwd / "data").write_bytes(data)
        job = self.submit("cat", "data")
        self.node.wait_for_end(job)
        self.assertEqual(self.output(job), data)

    def test_beyond_the_limit_is_counted_and_logs_say_so(self):
        job = self.submit("--", "head -c 50000000 /dev/zero; echo done >> done")
        self.assertEqual(self.node.wait_for_end(job)["state"], "succeeded")
        self.assertEqual(self.text("done"), "done\n")
        finished = self.troupe("logs", job)
        self.assertEqual(finished.code, 0)
        self.assertLessEqual(len(finished.raw_out), 5 << 20)
        self.assertGreater(len(finished.raw_out), 4 << 20)
        result = self.node.task(job)["result"]
        self.assertEqual(result["output_bytes"], 50_000_000)
        self.assertEqual(result["unrecorded_bytes"],
                         50_000_000 - len(finished.raw_out))
        self.assertIn("not", self.ok("status", f"{job}.0").out.split("output")[1])

    def test_that_is_not_complete_is_told_by_logs(self):
        job = self.submit("--", "head -c 6000000 /dev/zero")
        self.node.wait_for_end(job)
        finished = self.troupe("logs", job)
        self.assertIn("not", finished.err)

    def test_is_followed_while_it_comes(self):
        job = self.submit("--", "echo one; until test -e go; do sleep 0.02; done; "
                                "echo two")
        following = self.start_troupe("logs", "-f", str(job))
        self.assertEqual(following.process.stdout.readline(), b"one\n")
        (self.cwd / "go").touch()
        self.assert_ended(following.finish(), 0, "two\n")

    def test_of_the_last_lines_only(self):
        job = self.submit("seq", "1000")
        self.node.wait_for_end(job)
        self.assertEqual(self.ok("logs", "--tail", "2", job).out, "999\n1000\n")

    def test_of_each_attempt_is_kept(self):
        job = self.submit("--retries", "1", "--retry-delay", "10ms", "--",
                          "echo $TROUPE_ATTEMPT; exit 1")
        self.node.wait_for_end(job)
        self.assertEqual(self.ok("logs", "--attempt", "1", f"{job}.0").out, "1\n")
        self.assertEqual(self.ok("logs", f"{job}.0").out, "2\n")


class Arguments(WithNode, TroupeTest):
    CONFIG = "slots: 4\n"

    def test_odd_lines_arrive_as_they_are(self):
        lines = ["it's", 'a "b"', "$HOME `id` \\", "ünï ☃", "  spaces  ", "*", "-n",
                 "a\tb"]
        job = self.submit("--each-line", "-", "--", "printf", "%s", "{}",
                          input="".join(f"{line}\n" for line in lines).encode())
        self.assertEqual(self.node.wait_for_end(job)["counts"]["success"], len(lines))
        got = [self.ok("logs", f"{job}.{i}").out for i in range(len(lines))]
        self.assertEqual(got, lines)

    def test_lines_may_end_in_nul(self):
        job = self.submit("--each-line", "-", "-0", "--", "printf", "%s", "{}",
                          input=b"a\nb\0c\0")
        self.node.wait_for_end(job)
        self.assertEqual([self.ok("logs", f"{job}.{i}").out for i in range(2)],
                         ["a\nb", "c"])

    def test_odd_lines_are_quoted_in_shell_text(self):
        lines = ["it's", '"$HOME"; exit 9', "  two  spaces"]
        job = self.submit("--each-line", "-", "--", "printf %s {}",
                          input="".join(f"{line}\n" for line in lines).encode())
        self.assertEqual(self.node.wait_for_end(job)["state"], "succeeded")
        self.assertEqual([self.ok("logs", f"{job}.{i}").out
                          for i in range(len(lines))], lines)

    def test_bytes_that_are_no_text_arrive_or_are_refused_clearly(self):
        finished = self.troupe("submit", "--each-line", "-", "--", "printf", "%s",
                               "{}", input=b"good\nbad \xff\n")
        if finished.code == 0:
            job = int(finished.out)
            self.node.wait_for_end(job)
            self.assertEqual(self.ok("logs", f"{job}.1").raw_out, b"bad \xff")
        else:
            self.assertIn("line 2", finished.err)
            self.assertEqual(
                [one["state"] for one in self.node.get("/v1/jobs")["jobs"]
                 if one["state"] not in ("cancelled",)], [])

    def test_an_array_counts_in_steps(self):
        job = self.submit("--array", "0-10:5", "--", "echo {} >> seen")
        self.assertEqual(self.node.wait_for_end(job)["tasks"], 3)
        self.assertEqual(sorted(self.text("seen").split()), ["0", "10", "5"])

    def test_a_hundred_thousand_lines_are_taken_quickly(self):
        self.ok("pause", "--all")
        lines = "".join(f"line {i}\n" for i in range(100_000)).encode()
        begun = time.monotonic()
        job = self.submit("--each-line", "-", "--", "true", "{}", input=lines)
        self.assertLess(time.monotonic() - begun, 15)
        info = self.node.job(job)
        self.assertEqual((info["tasks"], info["counts"]["waiting"]),
                         (100_000, 100_000))
        self.assertEqual(self.node.task(job, 99_999)["argument"], "line 99999")
        begun = time.monotonic()
        self.ok("cancel", job)
        self.node.wait_for_end(job)
        self.assertLess(time.monotonic() - begun, 10)


class Mistakes(WithNode, TroupeTest):
    def refuse(self, *words, code=2, input=None):
        finished = self.troupe(*words, input=input)
        self.assertEqual((finished.code, finished.out), (code, ""), finished)
        self.assertTrue(finished.err.startswith("troupe: "), finished)
        return finished.err

    def test_in_options_are_told_before_anything_is_submitted(self):
        self.assertIn("priority", self.refuse("submit", "--priority", "hihg", "true"))
        self.assertIn("--after", self.refuse("submit", "--after", "x", "true"))
        self.assertIn("--resources", self.refuse("submit", "--resources", "cpu", "true"))
        self.refuse("submit", "--array", "9-1", "true")
        self.refuse("submit")
        self.assertEqual(self.node.get("/v1/jobs")["jobs"], [])

    def test_a_group_that_is_not_there_is_told(self):
        error = self.refuse("submit", "--group", "nope", "true", code=1)
        self.assertIn("no group", error)
        self.assertIn("nope", error)

    def test_a_job_that_is_not_there_cannot_be_needed(self):
        self.assertIn("99", self.refuse("submit", "--after", "99", "true", code=1))

    def test_unknown_keys_of_requests_are_errors(self):
        status, value = self.node.ask("POST", "/v1/jobs", {
            "request_id": "a", "command": {"words": ["true"]}, "prioritty": "low"})
        self.assertEqual(status, 400)
        self.assertIn("prioritty", value["error"]["what"])

    def test_unknown_paths_and_methods_are_errors(self):
        self.assertEqual(self.node.ask("GET", "/v1/nothing")[0], 404)
        self.assertEqual(self.node.ask("DELETE", "/v1/node")[0], 405)


class Singleton(WithNode, TroupeTest):
    def run_second(self, folder, path):
        return self.troupe("node", "--config", self.node.config, "--folder", folder,
                           "--socket", path)

    def test_a_second_node_in_the_folder_is_refused_with_the_pid(self):
        self.assert_ended(
            self.run_second(self.node.folder, self.folder / "other.sock"), 125, "",
            f"troupe: a node runs in {self.node.folder} (pid "
            f"{self.node.process.pid})\n")
        self.assertEqual(self.submit("--wait", "--", "true"), 1)

    def test_one_that_is_just_about_to_end_is_waited_for(self):
        self.node.end()
        lock = self.node.folder / "node.lock"
        dying = subprocess.Popen(["flock", lock, "sh", "-c", "echo; exec sleep 0.3"],
                                 stdout=subprocess.PIPE)
        dying.stdout.readline()  # It has the lock.
        self.node.start()
        dying.communicate()

    def test_a_second_node_at_the_socket_is_refused_with_the_pid(self):
        finished = self.run_second(self.folder / "other", self.node.socket)
        self.assertEqual((finished.code, finished.out), (125, ""))
        self.assertIn(str(self.node.socket), finished.err)
        self.assertIn(str(self.node.process.pid), finished.err)
        self.assertEqual(self.submit("--", "true"), 1)

    def test_a_file_at_the_socket_is_left_alone(self):
        path = self.folder / "precious"
        path.write_text("mine")
        finished = self.run_second(self.folder / "other", path)
        self.assertEqual(finished.code, 125, finished)
        self.assertIn(str(path), finished.err)
        self.assertEqual(path.read_text(), "mine")

    def test_the_socket_of_a_killed_node_is_no_obstacle(self):
        self.node.kill()
        self.assertTrue(self.node.socket.exists())
        self.assertEqual(self.troupe("list").code, 125)
        self.node.start()
        self.ok("list")

    def test_nobody_listens_on_the_network(self):
        self.sleeper()
        pids = [self.node.process.pid, self.node.warden()]
        own = set().union(*(socket_inodes(pid) for pid in pids))
        self.assertNotEqual(own, set())
        for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
            path = Path(f"/proc/net/{name}")
            if path.exists():
                there = {line.split()[9] for line in
                         path.read_text().splitlines()[1:]}
                self.assertEqual(own & there, set(), name)

    def test_the_files_are_those_of_the_user_alone(self):
        for path in (self.node.folder, self.node.socket,
                     self.node.folder / "store.db", self.node.folder / "output"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)


class Detached(TroupeTest):
    def setUp(self):
        super().setUp()
        self.node = Node(self)
        self.env["TROUPE_SOCKET"] = str(self.node.socket)

    def test_goes_on_in_the_background(self):
        finished = self.run_program(self.node.argv("-d"))
        pid = self.node.get("/v1/node")["pid"]
        self.addCleanup(self.end_of, pid)
        self.assert_ended(finished, 0,
                          f"node is up (pid {pid}, {self.node.socket})\n")
        self.assertEqual(self.troupe("submit", "--wait", "--", "exit 4").code, 4)
        self.assertEqual(os.getsid(pid) == os.getsid(0), False)

    def end_of(self, pid):
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: pid not in self.left(), what="the end of the node")

    def test_says_why_it_did_not_come_up(self):
        self.node.start()
        finished = self.run_program(self.node.argv("-d"))
        self.assertEqual((finished.code, finished.out), (125, ""))
        self.assertEqual(finished.err, "troupe: the node did not come up:\n"
                         f"troupe: a node runs in {self.node.folder} (pid "
                         f"{self.node.process.pid})\n")


class Signals(WithNode, TroupeTest):
    def test_sigterm_lets_what_runs_wait_for_the_next_node(self):
        job = self.submit("--", "echo $TROUPE_ATTEMPT >> runs; "
                                f"test -e go || exec sleep {self.seconds}")
        self.wait_for_file("runs")
        self.assertEqual(self.node.terminate(), 0)
        self.assert_nothing_left()
        self.assertFalse(self.node.socket.exists())
        (self.cwd / "go").touch()
        self.node.start()
        self.assertEqual(self.node.wait_for_end(job)["state"], "succeeded")
        task = self.node.task(job)
        self.assertEqual([one["outcome"] for one in task["attempts"]], ["success"])
        self.assertEqual(len(self.text("runs").splitlines()), 2)

    def test_sigterm_ends_commands_politely(self):
        job = self.submit("--", "trap 'echo bye >> bye; exit 0' TERM; echo x >> on; "
                                "while :; do sleep 0.02; done")
        self.wait_for_file("on")
        self.assertEqual(self.node.terminate(), 0)
        self.assertEqual(self.text("bye"), "bye\n")
        self.node.start()
        self.assertIn(self.node.job(job)["state"], ("queued", "running"))

    def test_sigterm_does_not_wait_for_ever(self):
        self.node.configure("slots: 2\nstop-time: 1s\norphan-time: 60s\n")
        self.node.restart()
        job = self.submit("--grace", "1h", "--", "trap '' TERM; echo x >> on; "
                          "while :; do sleep 0.02; done")
        self.wait_for_file("on")
        begun = time.monotonic()
        self.assertEqual(self.node.terminate(), 0)
        self.assertLess(time.monotonic() - begun, 8)
        self.assert_nothing_left()
        self.node.start()
        self.assertIn(self.node.job(job)["state"], ("queued", "running"))

    def test_sigint_does_the_same(self):
        self.node.process.send_signal(signal.SIGINT)
        self.assertEqual(self.node.process.wait(LONG), 0)


class Keep(WithNode, TroupeTest):
    CONFIG = "slots: 2\non-stop: keep\n"

    def setUp(self):
        super().setUp()
        self.addCleanup(self.node.configure, "slots: 2\non-stop: end\n")

    def test_sigterm_leaves_what_runs_for_the_next_node(self):
        job = self.submit("--", "echo begun; until test -e go; do sleep 0.02; done; "
                                "echo ended; exit 5")
        pid = self.node.wait_for_pid(job)
        self.assertEqual(self.node.terminate(), 0)
        self.assertTrue(os.path.exists(f"/proc/{pid}"))
        self.node.configure("slots: 2\n")
        self.node.start()
        self.assertEqual(self.node.wait_for_pid(job), pid)
        (self.cwd / "go").touch()
        self.assertEqual(self.troupe("wait", job).code, 5)
        self.assertEqual(self.output(job), b"begun\nended\n")


class LogFile(WithNode, TroupeTest):
    def test_has_the_log_if_the_configuration_says_so(self):
        self.node.terminate()
        path = self.folder / "own.log"
        self.node.configure(f"slots: 2\nlog-file: {path}\n")
        self.node.start()
        self.assertIn("node_started", path.read_text())


class Reload(WithNode, TroupeTest):
    def reload(self, text, word):
        before = self.node.log_text().count(word)
        self.node.configure(text)
        self.node.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.node.log_text().count(word) > before, what=word)

    def slots(self):
        return self.node.get("/v1/groups")["groups"][0]["slots"]

    def test_changes_slots(self):
        self.assertEqual(self.slots(), 2)
        jobs = [self.submit("--", "sleep", self.seconds) for _ in range(3)]
        self.node.wait_for_pid(jobs[1])
        self.reload("slots: 3\n", "config_reloaded")
        self.node.wait_for_pid(jobs[2])
        self.assertEqual(self.slots(), 3)

    def test_refuses_a_broken_file_and_keeps_what_holds(self):
        self.reload("slots: many\n", "config_refused")
        self.assertEqual(self.slots(), 2)
        self.assertIn("slots", self.node.log_text())
        job = self.submit("--", "true")
        self.node.wait_for_end(job)

    def test_says_what_needs_a_restart(self):
        self.reload("slots: 2\nmost-running: 7\n", "config_reloaded")
        self.assertIn("config_needs_restart setting=most-running",
                      self.node.log_text())

    def test_changes_the_limit_of_the_queue(self):
        self.ok("pause", "--all")
        self.reload("slots: 2\nqueue-limit: 1\n", "config_reloaded")
        self.submit("--", "true")
        finished = self.troupe("submit", "--", "true")
        self.assertEqual((finished.code, finished.out), (1, ""))
        self.assertIn("the queue is full", finished.err)

    def test_of_a_full_queue_says_once_to_try_again(self):
        self.ok("pause", "--all")
        self.reload("slots: 2\nqueue-limit: 1\n", "config_reloaded")
        self.submit("--", "true")
        finished = self.troupe("submit", "--", "true")
        self.assertEqual(finished.err.count("try again"), 1, finished)


class ConfigCheck(TroupeTest):
    def setUp(self):
        super().setUp()
        Path(self.env["XDG_RUNTIME_DIR"]).mkdir()

    def test_needs_no_folder_for_a_socket(self):
        Path(self.env["XDG_RUNTIME_DIR"]).rmdir()
        finished = self.check(f"socket: {self.folder}/s\n")
        self.assertEqual((finished.code, finished.err), (0, ""))

    def test_leaves_no_traces(self):
        before = sorted(self.folder.rglob("*"))
        self.assertEqual(self.check("slots: 7\n").code, 0)
        self.assertEqual(sorted(self.folder.rglob("*")),
                         sorted([*before, self.cwd / "troupe.yaml"]))

    def check(self, text, *options):
        (self.cwd / "troupe.yaml").write_text(text)
        return self.troupe("config", "check", "--config", "troupe.yaml", *options)

    def test_prints_each_value_with_its_origin(self):
        finished = self.check("# mine\nslots: 7\n")
        self.assertEqual((finished.code, finished.err), (0, ""))
        lines = {line.split()[0]: line.split() for line in finished.out.splitlines()}
        # In columns, however long the paths of this test are.
        origins = {line.rindex("  ") for line in finished.out.splitlines()}
        self.assertEqual(len(origins), 1, finished.out)
        self.assertEqual(lines["slots"][1:], ["7", "troupe.yaml:2"])
        self.assertEqual(lines["on-stop"][1:], ["end", "default"])
        values = {one["name"]: one for one in
                  self.check("slots: 7\n", "--json").json()}
        self.assertEqual(values["slots"], {"name": "slots", "value": "7",
                                           "origin": "troupe.yaml:1"})

    def test_names_the_place_of_mistakes_and_what_was_meant(self):
        finished = self.check("slots: 2\nslotz: 3\non-stop: maybe\n")
        self.assertEqual((finished.code, finished.out), (3, ""))
        self.assertIn("troupe.yaml:2:1", finished.err)
        self.assertIn('did you mean "slots"', finished.err)
        self.assertIn("troupe.yaml:3:", finished.err)
        self.assertIn("end, keep", finished.err)

    def test_the_node_refuses_what_it_refuses(self):
        (self.cwd / "bad.yaml").write_text("orphan-time: soon\n")
        finished = self.troupe("node", "--config", "bad.yaml")
        self.assertEqual(finished.code, 3, finished)
        self.assertIn("bad.yaml:1:", finished.err)

    def test_the_documented_configuration_is_what_holds_without_one(self):
        root = Path(__file__).resolve().parents[2]
        shutil.copy(root / "config/troupe.yaml", self.cwd / "documented.yaml")
        with_file = self.troupe("config", "check", "--json", "--config",
                                "documented.yaml").json()
        without = self.troupe("config", "check", "--json").json()
        self.assertEqual([(one["name"], one["value"]) for one in with_file],
                         [(one["name"], one["value"]) for one in without])


class LostSocket(WithNode, TroupeTest):
    """Programs that clean up remove sockets of those who live on."""

    def assert_is_back(self):
        wait_until(self.node.socket.exists, what="the socket")
        ended = self.troupe("list")
        self.assertEqual(ended.code, 0, ended)

    def test_is_made_again(self):
        self.node.socket.unlink()
        self.assert_is_back()
        self.node.socket.unlink()
        Path(f"{self.node.socket}.lock").unlink()
        self.assert_is_back()
        self.assertIn("http_socket_made_again", self.node.log_text())

    def test_is_made_again_with_its_folder(self):
        run = self.cwd / "run"
        self.node.terminate()
        self.node.socket = run / "node.sock"
        self.node.start()
        run.rename(self.cwd / "gone")
        run.write_text("in the way")
        wait_until(lambda: "http_socket_gone" in self.node.log_text(),
                   what="a word in the log")
        run.unlink()
        wait_until(self.node.socket.exists, what="the socket")
        self.assertEqual(run.stat().st_mode & 0o777, 0o700)
        self.assertEqual(self.node.get("/v1/node")["pid"], self.node.process.pid)

    def test_does_not_end_those_who_are_connected(self):
        job = self.submit("--", "echo x >> on; until test -e go; do sleep 0.01; done")
        self.node.wait_for_no_clients()
        waiting = self.start_troupe("wait", job)
        wait_until(self.node.count_clients, what="a client that waits")
        self.node.socket.unlink()
        self.assert_is_back()
        (self.cwd / "go").touch()
        self.assertEqual(waiting.finish().code, 0)

    def test_of_a_killed_node_is_waited_for_a_moment(self):
        def goes_on():
            self.node.kill()
            asking = self.start_troupe("list")
            self.node.start()
            return asking.finish().code == 0

        # A busy machine may take longer than a moment.
        self.assertTrue(any(goes_on() for _ in range(5)))


class BadStore(TroupeTest):
    def setUp(self):
        super().setUp()
        self.node = Node(self)
        self.store = self.node.folder / "store.db"

    def fail_to_start(self, **options):
        process = self.node.launch(**options)
        self.assertEqual(process.wait(LONG), 125, self.node.log_text())
        self.node.process = None
        lines = [line for line in self.node.log_text().splitlines()
                 if line.startswith("troupe: ")]
        self.assertEqual(len(lines), 1, self.node.log_text())
        self.assertIn(str(self.store), lines[0])
        return lines[0]

    def test_that_is_no_database_is_told_and_left_alone(self):
        self.node.folder.mkdir()
        self.store.write_bytes(b"not a database at all\n" * 500)
        self.fail_to_start()
        self.assertEqual(self.store.read_bytes(), b"not a database at all\n" * 500)

    def test_that_is_newer_is_told_and_left_alone(self):
        self.node.start()
        self.assertEqual(self.node.terminate(), 0)
        with sqlite3.connect(self.store) as database:
            database.execute("PRAGMA user_version = 9999")
        database.close()
        before = self.store.read_bytes()
        self.assertIn("newer", self.fail_to_start())
        self.assertEqual(self.store.read_bytes(), before)

    def test_that_is_damaged_is_told(self):
        self.node.start()
        self.assertEqual(self.node.terminate(), 0)
        data = bytearray(self.store.read_bytes())
        data[4096:] = b"\xa5" * (len(data) - 4096)
        self.store.write_bytes(data)
        self.fail_to_start()
        self.assertEqual(self.store.read_bytes(), bytes(data))

    def test_in_a_folder_that_cannot_be_made_is_told(self):
        (self.folder / "file").write_text("")
        finished = self.troupe("node", "--config", self.node.config, "--folder",
                               self.folder / "file" / "x", "--socket", self.node.socket)
        self.assertEqual(finished.code, 125)
        self.assertIn(str(self.folder / "file" / "x"), finished.err)

    def test_is_told_in_one_line_that_names_it_once(self):
        self.node.start()
        self.assertEqual(self.node.terminate(), 0)
        before = len(self.node.log_text())
        data = bytearray(self.store.read_bytes())
        data[4096:] = b"\xa5" * (len(data) - 4096)
        self.store.write_bytes(data)
        self.fail_to_start()
        text = self.node.log_text()[before:]
        self.assertEqual((text.count("\n"), text.count(str(self.store))), (1, 1))

    @unittest.skipUnless(is_root_with_setpriv(), "needs root and setpriv")
    def test_that_cannot_be_written_is_told(self):
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        self.node.start(prefix=AS_NOBODY)
        self.assertEqual(self.node.terminate(), 0)
        self.store.chmod(0o400)
        before = self.store.read_bytes()
        self.fail_to_start(prefix=AS_NOBODY)
        self.assertEqual(self.store.read_bytes(), before)

    @unittest.skipUnless(is_root_with_setpriv(), "needs root and setpriv")
    def test_of_another_user_is_told(self):
        self.node.folder.mkdir()
        os.chown(self.node.folder, NOBODY, NOBODY)
        process = self.node.launch()
        self.assertEqual(process.wait(LONG), 125)
        self.node.process = None
        self.assertIn(f"{self.node.folder} belongs to another user",
                      self.node.log_text())


class ServiceManager(TroupeTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "notify"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(str(self.path))
        self.manager.settimeout(LONG)
        self.node = Node(self)

    def told(self):
        return self.manager.recv(4096).decode()

    def test_is_told_of_start_reload_and_end(self):
        self.node.start(env={"NOTIFY_SOCKET": str(self.path)})
        self.assertEqual(self.told(), "READY=1")
        self.node.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING=1", self.told())
        self.assertEqual(self.told(), "READY=1")
        self.assertEqual(self.node.terminate(), 0)
        self.assertEqual(self.told(), "STOPPING=1")

    def test_is_told_again_and_again_that_the_node_lives(self):
        self.node.start(env={"NOTIFY_SOCKET": str(self.path),
                             "WATCHDOG_USEC": "200000"})
        self.assertEqual(self.told(), "READY=1")
        for _ in range(3):
            self.assertEqual(self.told(), "WATCHDOG=1")

    def test_is_told_the_monotonic_time_of_a_reload(self):
        self.node.start(env={"NOTIFY_SOCKET": str(self.path)})
        self.told()
        self.node.process.send_signal(signal.SIGHUP)
        self.assertIn("MONOTONIC_USEC=", self.told())

    def test_gets_nothing_into_the_environment_of_commands(self):
        self.node.start(env={"NOTIFY_SOCKET": str(self.path),
                             "WATCHDOG_USEC": "200000"})
        self.env["TROUPE_SOCKET"] = str(self.node.socket)
        job = int(self.troupe("submit", "--", "env").out)
        self.node.wait_for_end(job)
        self.assertNotIn("NOTIFY_SOCKET", self.troupe("logs", job).out)


if __name__ == "__main__":
    unittest.main()
