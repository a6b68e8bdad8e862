"""troupe submit, wait, logs and their kin, against a node that is made of Python:
what is asked over the socket, and what is made of the answers."""

import json
import os
import signal
import socket
import socketserver
import threading
import unittest
from http.server import BaseHTTPRequestHandler

from troupe_e2e import LONG, TroupeTest, wait_until


class FakeNode(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers what `answers` has for "GET /v1/jobs/17"; of a list the next one,
    the last of which stays. A callable gets the handler and answers itself."""

    daemon_threads = True

    def __init__(self, path):
        super().__init__(str(path), Handler)
        self.path = str(path)
        self.answers = {}
        self.asked = []  # Of (method and target, body).
        self.lock = threading.Lock()
        self.connections = []  # All that there have been.
        self.thread = threading.Thread(target=self.serve_forever,
                                       kwargs={"poll_interval": 0.02})
        self.thread.start()

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, client_address)

    def stop(self):
        self.shutdown()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # Its client has gone.
        self.thread.join()
        self.server_close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def next_answer(self, call, body):
        with self.lock:
            self.asked.append((call, body))
            answer = self.answers.get(call)
            if isinstance(answer, list):
                return answer.pop(0) if len(answer) > 1 else answer[0]
            return answer

    def calls(self):
        with self.lock:
            return [call for call, _ in self.asked]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass

    def handle_call(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        answer = self.server.next_answer(f"{self.command} {self.path}", body)
        if answer is None:
            answer = error(404, "not_found", f"nothing at {self.path}")
        if callable(answer):
            answer(self)
        else:
            self.send(200, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_call

    def send(self, status, value, headers=()):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, content in headers:
            self.send_header(name, content)
        self.end_headers()
        self.wfile.write(text)

    def begin(self, content_type):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def write(self, piece):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    def end(self):
        self.wfile.write(b"0\r\n\r\n")


def error(status, code, what, **more):
    def answer(handler):
        handler.send(status, {"error": {"code": code, "what": what, **more}})
    return answer


def stream(*pieces):
    def answer(handler):
        handler.begin("application/octet-stream")
        for piece in pieces:
            if callable(piece):
                piece()
            else:
                handler.write(piece)
        handler.end()
    return answer


def events(*jobs, is_cut=False):
    def answer(handler):
        handler.begin("text/event-stream")
        for job in jobs:
            handler.write(f"event: job\ndata: {json.dumps(job)}\n\n".encode())
        if is_cut:
            handler.close_connection = True
        else:
            handler.end()
    return answer


def job(number, state, tasks=1):
    return {"job": number, "state": state, "group": "default", "tasks": tasks,
            "counts": {}, "text": "make", "submitted": "2026-05-01T11:00:00Z"}


SUBMITTED = {"job": 17, "is_new": True, "durability": "synced", "state": "queued"}


class WithNode:
    def setUp(self):
        super().setUp()
        self.socket = self.folder / "node.sock"
        self.env["TROUPE_SOCKET"] = str(self.socket)
        self.node = FakeNode(self.socket)
        self.addCleanup(lambda: self.node.stop())
        self.node.answers["POST /v1/jobs"] = SUBMITTED

    def body(self, call="POST /v1/jobs"):
        return next(body for asked, body in self.node.asked if asked == call)


class Submit(WithNode, TroupeTest):
    def test_sends_the_command_with_its_surroundings(self):
        self.assert_ended(self.troupe("submit", "--tag", "a", "--", "printf", "%s", "x y",
                                      env={"NIGHT": "yes"}), 0, "17\n")
        body = self.body()
        self.assertEqual(body["tags"], ["a"])
        self.assertEqual(body["command"]["words"], ["printf", "%s", "x y"])
        self.assertEqual(body["command"]["cwd"], str(self.cwd))
        self.assertEqual(body["command"]["env"]["NIGHT"], "yes")
        self.assertNotIn("TROUPE_COMMAND", body["command"]["env"])
        self.assertEqual(len(body["request_id"]), 32)

    def test_tells_people_more(self):
        terminal = self.terminal([os.environ["TROUPE"], "submit", "make"])
        terminal.expect("job 17: queued (1 task, synced to disk)")
        self.assertEqual(terminal.wait(), 0)

    def test_asks_again_with_the_same_id_when_the_node_goes_away(self):
        def vanish(handler):
            handler.close_connection = True

        self.node.answers["POST /v1/jobs"] = [vanish, vanish, SUBMITTED]
        self.assert_ended(self.troupe("submit", "make"), 0, "17\n")
        ids = {body["request_id"] for _, body in self.node.asked}
        self.assertEqual((len(self.node.asked), len(ids)), (3, 1))

    def test_sends_a_long_list_in_pieces(self):
        self.node.answers["POST /v1/jobs/17/arguments"] = {}
        self.node.answers["POST /v1/jobs/17/seal"] = SUBMITTED
        lines = "".join(f"line {i}\n" for i in range(20_500))
        finished = self.troupe("submit", "--each-line", "-", "--json", "--", "echo", "{}",
                               input=lines.encode())
        self.assertEqual(finished.json()["tasks"], 20_500)
        chunks = [body for call, body in self.node.asked if call.endswith("/arguments")]
        self.assertEqual([chunk["chunk"] for chunk in chunks], list(range(21)))
        sent = [line for chunk in chunks for line in chunk["arguments"]]
        self.assertEqual("".join(line + "\n" for line in sent), lines)
        self.assertIs(self.body()["open"], True)

    def test_keeps_standard_input_or_its_path(self):
        self.troupe("submit", "--stdin", "-", "cat", input=b"some text")
        self.assertEqual(self.body()["command"]["stdin"], "some text")
        self.node.asked.clear()
        (self.cwd / "big").write_bytes(b"x" * (513 << 10))
        self.troupe("submit", "--stdin", "big", "cat")
        self.assertEqual(self.body()["command"]["stdin_file"], str(self.cwd / "big"))

    def test_checks_a_workflow_and_submits_its_run(self):
        (self.cwd / "bad.yaml").write_text("jobs: 7\n")
        finished = self.troupe("submit", "-f", "bad.yaml")
        self.assertEqual(finished.code, 3, finished)
        self.assertEqual(self.node.asked, [])
        (self.cwd / "w.yaml").write_text("jobs: {a: {run: 'echo ${{ inputs.k }}'}}\n")
        finished = self.troupe("submit", "-f", "w.yaml", "--input", "j=v")
        self.assertEqual(finished.code, 3, finished)
        self.assertEqual(self.node.asked, [])
        finished = self.troupe("submit", "-f", "w.yaml", "--", "make")
        self.assertEqual(finished.code, 2, finished)
        self.node.answers["POST /v1/runs"] = {"run": 7, "is_new": True, "state": "running",
                                              "jobs": 1}
        finished = self.troupe("submit", "-f", "w.yaml", "--input", "k=v", "--jobs", "2",
                               "--env", "A=b", "--request-id", "mine")
        self.assert_ended(finished, 0, "r7\n")
        call, body = self.node.asked[-1]
        self.assertEqual(call, "POST /v1/runs")
        self.assertEqual(body.pop("env")["A"], "b")
        self.assertEqual(body, {
            "request_id": "mine", "file": str(self.cwd / "w.yaml"),
            "text": (self.cwd / "w.yaml").read_text(), "cwd": str(self.cwd),
            "inputs": {"k": "v"}, "max_parallel": 2})

    def test_says_that_the_queue_is_full(self):
        self.node.answers["POST /v1/jobs"] = error(
            429, "overloaded", "100000 tasks wait already", retry_after_ms=1500)
        self.assert_ended(
            self.troupe("submit", "make"), 1, "",
            "troupe: 100000 tasks wait already; try again in 1.5s, or wait with --block\n")

    def test_follows_to_the_end_and_exits_as_the_command(self):
        self.node.answers |= {
            "GET /v1/jobs/17": job(17, "running"),
            "GET /v1/jobs/17/tasks/0": {
                "task": 0, "state": "ended", "attempt": 1,
                "result": {"outcome": "failed", "exit_status": 5}},
            "GET /v1/jobs/17/tasks/0/log?attempt=1&follow=true":
                stream(b"one\n", b"t\0\xffwo"),
            "GET /v1/events?jobs=17": events(job(17, "running"), job(17, "failed"))}
        finished = self.troupe("submit", "--follow", "make")
        self.assertEqual((finished.code, finished.raw_out), (5, b"one\nt\0\xffwo"))


class Wait(WithNode, TroupeTest):
    def test_ends_with_the_jobs(self):
        self.node.answers["GET /v1/events?jobs=1%2C2"] = events(
            job(1, "succeeded"), job(2, "running"), job(2, "succeeded"))
        self.assert_ended(self.troupe("wait", "1", "2"), 0)

    def test_goes_on_when_the_node_is_back(self):
        self.node.answers["GET /v1/events?jobs=1%2C2"] = events(
            job(1, "succeeded"), job(2, "running"), is_cut=True)
        waiting = self.start_troupe("wait", "1", "2")
        wait_until(self.node.calls, what="the first question")
        self.node.stop()
        self.node = FakeNode(self.socket)
        self.node.answers["GET /v1/events?jobs=2"] = events(job(2, "failed"))
        self.assert_ended(waiting.finish(), 1, "",
                          "troupe: job 2 has failed (0/1); see troupe status 2\n")

    def test_gives_up_in_time(self):
        ended = threading.Event()
        self.addCleanup(ended.set)

        def be_silent(handler):
            handler.begin("text/event-stream")
            ended.wait(LONG)

        self.node.answers["GET /v1/events?jobs=1"] = be_silent
        self.assert_ended(self.troupe("wait", "1", "--timeout", "200ms"), 124, "",
                          "troupe: wait: timed out\n")

    def test_refuses_what_is_no_job(self):
        finished = self.troupe("wait", "17.3")
        self.assertEqual(finished.code, 2)
        self.assertTrue(finished.err.startswith(
            'troupe: wait: expected a job such as 17, got "17.3"\n'), finished)


class Logs(WithNode, TroupeTest):
    def test_of_a_task_are_byte_for_byte(self):
        log = bytes(range(256)) * 5000
        self.node.answers |= {
            "GET /v1/jobs/17/tasks/3": {"task": 3, "state": "ended", "attempt": 2},
            "GET /v1/jobs/17/tasks/3/log?attempt=2": stream(log[:70000], log[70000:])}
        finished = self.troupe("logs", "17.3")
        self.assertEqual((finished.code, finished.raw_out), (0, log))

    def test_of_a_job_name_each_task(self):
        self.node.answers["GET /v1/jobs/17"] = job(17, "running", 2)
        self.node.answers["GET /v1/jobs/17/tasks?from=0&limit=1000"] = {"tasks": []}
        for task in range(2):
            self.node.answers |= {
                f"GET /v1/jobs/17/tasks/{task}":
                    {"task": task, "state": "ended", "attempt": 1},
                f"GET /v1/jobs/17/tasks/{task}/log?attempt=1&follow=true":
                    stream(b"hello\n")}
        finished = self.troupe("logs", "-f", "17")
        self.assertEqual(sorted(finished.out.splitlines()),
                         ["17.0 | hello", "17.1 | hello"])

    def test_of_what_has_not_begun_yet_come_once(self):
        waits = {"task": 0, "state": "waiting", "attempt": 0}
        self.node.answers |= {
            "GET /v1/jobs/17": job(17, "queued"),
            "GET /v1/jobs/17/tasks/0": [
                waits, waits, {"task": 0, "state": "started", "attempt": 1},
                {"task": 0, "state": "ended", "attempt": 1}],
            "GET /v1/jobs/17/tasks/0/log?follow=true": stream(b"one\n"),
            "GET /v1/jobs/17/tasks/0/log?attempt=1&follow=true": stream(b"one\n")}
        self.assert_ended(self.troupe("logs", "-f", "17"), 0, "one\n")

    def test_that_are_followed_come_at_once_and_survive_a_restart(self):
        ended = threading.Event()
        self.addCleanup(ended.set)
        self.node.answers |= {
            "GET /v1/jobs/17": job(17, "running"),
            "GET /v1/jobs/17/tasks/0": {"task": 0, "state": "started", "attempt": 1}}

        def cut(handler):
            handler.begin("application/octet-stream")
            handler.write(b"one\n")
            ended.wait(LONG)
            handler.close_connection = True

        log = "GET /v1/jobs/17/tasks/0/log?attempt=1&follow=true"
        self.node.answers[log] = cut
        following = self.start_troupe("logs", "-f", "17")
        self.assertEqual(following.process.stdout.readline(), b"one\n")
        self.node.answers[log] = stream(b"one\n", b"two\n")
        self.node.answers["GET /v1/jobs/17/tasks/0"] = {
            "task": 0, "state": "ended", "attempt": 1}
        ended.set()
        self.assert_ended(following.finish(), 0, "two\n")


class Others(WithNode, TroupeTest):
    def test_without_a_node_say_how_to_start_one(self):
        finished = self.troupe("list", "--socket", "none.sock")
        self.assert_ended(finished, 125, "",
                          "troupe: no node is running at none.sock; start one with "
                          "troupe node -d\n")

    def test_name_a_file_that_cannot_be_read(self):
        (self.cwd / "folder").mkdir()
        for option in ("--each-line", "--stdin"):
            for name, why in (("none", "no such file or directory"),
                              ("folder", "is a directory")):
                with self.subTest((option, name)):
                    self.assert_ended(
                        self.troupe("submit", option, name, "--", "cat", "{}"), 3, "",
                        f"troupe: {option}: cannot read {name}: {why}\n")
        self.assert_ended(self.troupe("submit", "-f", "none"), 3, "",
                          "troupe: cannot read none: no such file or directory\n")

    def test_ask_everything_over_one_connection(self):
        jobs = [str(number) for number in range(1, 6)]
        self.node.answers |= {f"POST /v1/jobs/{job}/cancel": {"running": 0}
                              for job in jobs}
        self.assert_ended(self.troupe("cancel", *jobs), 0, "", "")
        self.assertEqual(len(self.node.calls()), 5)
        self.assertEqual(len(self.node.connections), 1)

    def test_show_the_errors_of_the_node(self):
        self.node.answers["POST /v1/jobs/9/cancel"] = error(404, "not_found", "no job 9")
        self.assert_ended(self.troupe("cancel", "9"), 1, "", "troupe: no job 9\n")

    def test_list_live_until_q_is_pressed(self):
        self.node.answers |= {
            "GET /v1/jobs?set=unended&limit=1000": {"jobs": [job(18, "running")]},
            "GET /v1/jobs?set=ended&limit=11": {"jobs": []}}
        terminal = self.terminal([os.environ["TROUPE"], "list", "--watch"])
        terminal.expect("running")
        self.node.answers["GET /v1/jobs?set=unended&limit=1000"] = {
            "jobs": [job(18, "held")]}
        terminal.expect("held")
        terminal.send("q")
        self.assertEqual(terminal.wait(), 0)

    def test_list_live_while_the_node_is_away(self):
        self.node.answers |= {
            "GET /v1/jobs?set=unended&limit=1000": {"jobs": [job(18, "running")]},
            "GET /v1/jobs?set=ended&limit=11": {"jobs": []}}
        terminal = self.terminal([os.environ["TROUPE"], "list", "--watch"])
        terminal.expect("running")
        path = self.node.path
        self.node.stop()
        terminal.expect("no node answers")
        self.node = FakeNode(path)
        self.addCleanup(self.node.stop)
        self.node.answers |= {
            "GET /v1/jobs?set=unended&limit=1000": {"jobs": [job(18, "held")]},
            "GET /v1/jobs?set=ended&limit=11": {"jobs": []}}
        terminal.expect("held")
        terminal.send("q")
        self.assertEqual(terminal.wait(), 0)

    def test_list_live_is_suspended_by_ctrl_z(self):
        self.node.answers |= {
            "GET /v1/jobs?set=unended&limit=1000": {"jobs": [job(18, "running")]},
            "GET /v1/jobs?set=ended&limit=11": {"jobs": []}}
        terminal = self.terminal(["bash", "--norc", "--noprofile", "-i"])
        terminal.expect("$ ")
        terminal.send('"$TROUPE" list --watch\n')
        terminal.expect("running")
        terminal.send("\x1a")
        terminal.expect("Stopped")
        terminal.expect("$ ")
        terminal.send("fg\n")
        terminal.expect("running")
        terminal.send("q")
        terminal.expect("$ ")
        terminal.send("exit\n")
        self.assertEqual(terminal.wait(), 0)

    def test_end_quietly_where_nobody_reads(self):
        self.node.answers["GET /v1/stats"] = {"started": 7}
        reader, writer = os.pipe()
        os.close(reader)
        finished = self.troupe("stats", stdout=writer)
        os.close(writer)
        self.assert_ended(finished, 128 + signal.SIGPIPE)


if __name__ == "__main__":
    unittest.main()
