"""troupe node under floods, from strangers and with garbage: it answers, keeps what
it has accepted and never ends."""

import grp
import http.client
import json
import os
import socket
import subprocess
import threading
import time
import unittest
import uuid

from nodes import (AS_NOBODY, NOBODY, UnixConnection, WithNode, exchange,
                   is_root_with_setpriv)
from troupe_e2e import SANITIZED, TROUPE, TroupeTest, status_field, wait_until


class Flood(WithNode, TroupeTest):
    CONFIG = "slots: 2\nqueue-limit: 200\n"
    THREADS = 32
    SECONDS = 3.0

    def flood(self, until, accepted, refused, wrong):
        connection = UnixConnection(self.node.socket)
        try:
            while time.monotonic() < until:
                status, value = exchange(connection, "POST", "/v1/jobs", {
                    "request_id": uuid.uuid4().hex,
                    "command": {"words": ["true"], "cwd": "/"}})
                if status == 201:
                    accepted.append(value["job"])
                elif status == 429 and value["error"]["code"] == "overloaded" and \
                        value["error"]["retry_after_ms"] > 0:
                    refused.append(1)
                else:
                    wrong.append((status, value))
        except (OSError, http.client.HTTPException, ValueError) as error:
            wrong.append(error)
        finally:
            connection.close()

    def test_of_submissions_is_answered_and_kept_within_bounds(self):
        self.ok("pause", "--all")
        accepted, refused, wrong, waits, peak = [], [], [], [], 0
        until = time.monotonic() + self.SECONDS
        threads = [threading.Thread(target=self.flood,
                                    args=(until, accepted, refused, wrong))
                   for _ in range(self.THREADS)]
        for thread in threads:
            thread.start()
        while time.monotonic() < until:
            begun = time.monotonic()
            self.node.get("/v1/node")
            waits.append(time.monotonic() - begun)
            rss = status_field(self.node.process.pid, "VmRSS")
            peak = max(peak, int(rss.split()[0]))
        for thread in threads:
            thread.join()
        print(f"{len(accepted)} accepted, {len(refused)} refused, slowest answer "
              f"{max(waits) * 1000:.0f} ms, {peak >> 10} MiB")
        self.assertEqual(wrong[:3], [])
        self.assertEqual(len(accepted), 200)
        self.assertGreater(len(refused), 50)
        self.assertLess(max(waits), 2.5 if SANITIZED else 0.5)
        if not SANITIZED:
            self.assertLess(peak, 200 << 10)
        self.node.restart()
        there = {job["job"] for job in
                 self.node.get("/v1/jobs?limit=1000")["jobs"]}
        self.assertEqual(there, set(accepted))

    def test_is_over_for_those_who_wait_with_block(self):
        self.ok("pause", "--all")
        self.submit("--array", "1-200", "--", ": {}")
        late = self.start_troupe("submit", "--block", "--", "true")
        wait_until(lambda: self.node.get("/v1/stats")["refused_submissions"],
                   what="a refusal")
        self.assertIsNone(late.process.poll())
        self.ok("cancel", "1")
        self.assertEqual(late.finish().code, 0)

    def test_of_a_few_users_is_limited_by_rate(self):
        self.node.configure(self.CONFIG + "requests-per-second: 5\n")
        self.node.restart()
        answers = [self.node.ask("GET", "/v1/jobs") for _ in range(40)]
        refused = [value for status, value in answers if status == 429]
        self.assertGreater(len(refused), 10)
        self.assertGreater(refused[0]["error"]["retry_after_ms"], 0)


class Connections(WithNode, TroupeTest):
    def raw(self, data, is_ended=True):
        """What comes back when this is all that is sent."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(20)
        client.connect(str(self.node.socket))
        self.addCleanup(client.close)
        answer = b""
        try:
            client.sendall(data)
            if is_ended:
                client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                answer += piece
        except (ConnectionError, BrokenPipeError):
            pass
        client.close()
        return answer

    def assert_well(self):
        self.assertIsNone(self.node.process.poll())
        self.assertEqual(self.troupe("submit", "--wait", "--", "exit 4").code, 4)

    def test_in_hundreds_are_served_or_refused_and_let_go(self):
        clients, answered, refused = [], 0, 0
        for _ in range(300):
            connection = UnixConnection(self.node.socket, 10)
            self.addCleanup(connection.close)
            clients.append(connection)
            try:
                status, value = exchange(connection, "GET", "/v1/node")
                if status == 200:
                    answered += 1
                else:
                    self.assertEqual((status, value["error"]["code"]),
                                     (429, "overloaded"), value)
                    refused += 1
            except (OSError, http.client.HTTPException) as error:
                self.fail(f"no answer: {error!r}")
        self.assertGreaterEqual(answered, 200)
        self.assertEqual(answered + refused, 300)
        for connection in clients:
            connection.close()
        wait_until(self.is_served, 10, "room for new connections")
        self.assert_well()

    def is_served(self):
        try:
            return self.node.ask("GET", "/v1/node")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def test_with_garbage_do_no_harm(self):
        for data in (b"\0" * 5000, os.urandom(20_000), b"\r\n" * 1000,
                     b"GET /v1/node HTTP/1.1\r\n", b"GET",
                     b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
                     b"\r\n{\"half\":", b"GET / HTTP/9.9\r\n\r\n",
                     b"GET /v1/node HTTP/1.1\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
                     b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
                     b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"):
            answer = self.raw(data)
            if answer:
                self.assertTrue(answer.startswith(b"HTTP/1.1 4") or
                                answer.startswith(b"HTTP/1.1 5"), answer[:200])
        self.assert_well()

    def test_with_bodies_that_are_too_large_are_refused(self):
        body = json.dumps({"request_id": "x", "command": {
            "words": ["true"], "stdin": "x" * (2 << 20)}}).encode()
        answer = self.raw(b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Type: "
                          b"application/json\r\nContent-Length: %d\r\n\r\n"
                          % len(body) + body, is_ended=False)
        self.assertTrue(answer == b"" or b" 413 " in answer.split(b"\r\n")[0],
                        answer[:200])
        self.assertEqual(self.node.get("/v1/jobs")["jobs"], [])
        self.assert_well()

    def test_with_json_that_is_none_are_refused(self):
        for body in (b"{", b"[]", b"null", b'"x"', b'{"request_id":5}',
                     b'{"request_id":"a","command":{"words":[]}}',
                     b'{"request_id":"a","command":{"words":["a\\u0000b"]}}',
                     b'{"request_id":"a","command":{"words":["\xff"]}}',
                     b"[" * 50_000):
            connection = UnixConnection(self.node.socket)
            self.addCleanup(connection.close)
            connection.request("POST", "/v1/jobs", body,
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())
            self.assertEqual((answer.status, value["error"]["code"]),
                             (400, "invalid_argument"), body[:50])
        self.assert_well()

    def test_that_end_in_the_middle_of_a_stream_do_no_harm(self):
        job = self.submit("--", f"yes | head -c 20000000; exec sleep {self.seconds}")
        self.node.wait_for_pid(job)
        for target in (f"/v1/jobs/{job}/tasks/0/log?follow=true", "/v1/events"):
            for _ in range(20):
                client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                client.connect(str(self.node.socket))
                client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                client.recv(100)
                client.close()
        self.ok("cancel", job)
        self.assert_well()

    def test_do_not_leak_descriptors(self):
        def descriptors():
            return len(os.listdir(f"/proc/{self.node.process.pid}/fd"))

        self.node.get("/v1/node")
        before = descriptors()
        for _ in range(50):
            self.node.get("/v1/jobs")
            self.raw(b"GET /v1/no")
        wait_until(lambda: descriptors() <= before + 2, 10, "closed descriptors")


@unittest.skipUnless(is_root_with_setpriv(), "needs root and setpriv")
class Strangers(WithNode, TroupeTest):
    def setUp(self):
        super().setUp()
        self.folder.chmod(0o755)

    def as_nobody(self, *words, group=NOBODY):
        return self.run_program(
            [*AS_NOBODY[:2], f"--regid={group}", "--clear-groups", TROUPE, *words],
            env={"XDG_RUNTIME_DIR": "", "HOME": "/"})

    def open_to_games(self, role):
        try:
            group = grp.getgrnam("games")
        except KeyError:
            self.skipTest("there is no group games")
        self.node.configure(f"slots: 2\nsocket-group: games\n"
                            f"socket-group-role: {role}\n")
        self.node.restart()
        return group.gr_gid

    def test_cannot_open_the_socket(self):
        finished = self.as_nobody("list")
        self.assertEqual((finished.code, finished.out), (125, ""))
        self.assertIn(str(self.node.socket), finished.err)
        self.assertIn("ermission", finished.err)

    def test_cannot_read_the_folder(self):
        self.submit("--wait", "--", "echo secret")
        finished = self.run_program([*AS_NOBODY, "ls", self.node.folder])
        self.assertNotEqual(finished.code, 0)

    def test_of_the_group_may_read_and_no_more(self):
        group = self.open_to_games("read")
        job = self.submit("--", "echo seen")
        self.node.wait_for_end(job)
        listed = self.as_nobody("list", group=group)
        self.assertEqual((listed.code, listed.err), (0, ""))
        self.assertIn("echo seen", listed.out)
        self.assertEqual(self.as_nobody("logs", job, group=group).out, "seen\n")
        for words in (("submit", "--cwd", "/", "--", "true"), ("cancel", job),
                      ("forget", job), ("pause", "--all"),
                      ("group", "add", "mine")):
            finished = self.as_nobody(*words, group=group)
            self.assertNotEqual(finished.code, 0)
            self.assertEqual(finished.out, "")
            self.assertIn("needs the role operate; you have read", finished.err)
        self.assertEqual(len(self.node.get("/v1/jobs")["jobs"]), 1)
        self.assertEqual(self.as_nobody("list").code, 125)

    def test_that_are_refused_exit_with_1(self):
        group = self.open_to_games("read")
        finished = self.as_nobody("submit", "--cwd", "/", "true", group=group)
        self.assertEqual(finished.code, 1)

    def test_of_the_group_may_submit_where_the_role_says_so(self):
        group = self.open_to_games("operate")
        finished = self.as_nobody("submit", "--wait", "--cwd", "/", "--", "exit 3",
                                  group=group)
        self.assertEqual(finished.code, 3, finished)

    def test_a_group_that_is_not_there_is_told(self):
        self.node.terminate()
        self.node.configure("socket-group: no-such-group\n")
        process = self.node.launch()
        self.assertEqual(process.wait(30), 125)
        self.node.process = None
        self.assertIn("no-such-group", self.node.log_text())


if __name__ == "__main__":
    unittest.main()
