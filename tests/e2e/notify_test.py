"""Whom a run tells, and of what: by commands, webhooks and mail, from troupe run and
from a node that may die in between."""

import http.server
import json
import shutil
import ssl
import subprocess
import threading
import unittest

from nodes import Node, WithNode
from troupe_e2e import LONG, TroupeTest, wait_until


class Hook:
    """A server that keeps what is posted to it, and fails as often as it is told."""

    def __init__(self, test, failures=0, certificate=None):
        self.posted = []
        hook = self
        left = [failures]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posted.append((self.path, self.headers["Content-Type"],
                                    json.loads(body)))
                code = 500 if left[0] > 0 else 204
                left[0] -= 1
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)

    def url(self, path="/hook?a=b"):
        return f"{self.scheme}://localhost:{self.server.server_port}{path}"

    @property
    def events(self):
        return [notice["event"] for _, _, notice in self.posted]


class Telling:
    def write(self, text, name="flow.yaml"):
        (self.cwd / name).write_text(text)
        return name

    def told(self):
        path = self.cwd / "told"
        return path.read_text().splitlines() if path.exists() else []

    def mailer(self):
        script = self.cwd / "sendmail"
        script.write_text(f'#!/bin/sh\necho "$@" > {self.cwd}/mail.args\n'
                          f"cat > {self.cwd}/mail.tmp\nmv {self.cwd}/mail.tmp {self.cwd}/mail\n")
        script.chmod(0o755)
        self.env["TROUPE_SENDMAIL"] = str(script)


class Embedded(Telling, TroupeTest):
    def run_flow(self, text, *words, **options):
        return self.troupe("run", self.write(text), *words, **options)

    def test_a_command_gets_variables_and_json(self):
        ended = self.run_flow(
            "name: shop\njobs: {load: {run: exit 3}}\n"
            "notify:\n"
            "  - on: [start, failure]\n"
            "    command: echo $TROUPE_EVENT $TROUPE_RESULT $TROUPE_BLAME >> told; "
            "cat > $TROUPE_EVENT.json\n")
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual(sorted(self.told()), ["failure failed load", "start"])
        notice = json.loads((self.cwd / "failure.json").read_text())
        self.assertEqual((notice["workflow"], notice["failed_job"]), ("shop", "load"))
        self.assertRegex(notice["text"], r"^run \S+ of shop has failed: load$")

    def test_it_hears_only_of_what_it_wants(self):
        ended = self.run_flow("jobs: {a: {run: 'true'}}\n"
                              "notify: [{on: [failure, cancelled], command: touch told}]\n")
        self.assertEqual(ended.code, 0, ended)
        self.assertEqual(self.told(), [])

    def test_a_webhook_is_posted_to_until_it_answers(self):
        hook = Hook(self, failures=1)
        ended = self.run_flow("jobs: {a: {run: 'true'}}\n"
                              f"notify: [{{on: success, webhook: '{hook.url()}'}}]\n")
        self.assertEqual((ended.code, hook.events), (0, ["success", "success"]), ended)
        self.assertEqual(hook.posted[0][:2], ("/hook?a=b", "application/json"))

    @unittest.skipUnless(shutil.which("openssl"), "needs openssl")
    def test_a_webhook_is_only_told_in_secret_who_it_says_it_is(self):
        certificate = self.cwd / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-keyout", str(certificate), "-out", str(self.cwd / "public.pem")],
            check=True, capture_output=True)
        certificate.write_text(certificate.read_text() +
                               (self.cwd / "public.pem").read_text())
        hook = Hook(self, certificate=certificate)
        flow = (f"jobs: {{a: {{run: 'true'}}}}\n"
                f"notify: [{{on: success, webhook: '{hook.url()}'}}]\n")
        ended = self.run_flow(flow, env={"SSL_CERT_FILE": str(self.cwd / "public.pem")})
        self.assertEqual((ended.code, hook.events), (0, ["success"]), ended)
        ended = self.run_flow(flow)
        self.assertEqual((ended.code, hook.events), (0, ["success"]), ended)
        self.assertIn("nobody was told of success by webhook", ended.err)

    def test_mail_is_given_to_sendmail(self):
        self.mailer()
        ended = self.run_flow("name: shop\njobs: {load: {run: 'false'}}\n"
                              "notify: [{on: failure, mail: ops@example.org}]\n")
        self.assertEqual(ended.code, 1, ended)
        self.assertEqual((self.cwd / "mail.args").read_text(), "-t -i\n")
        mail = (self.cwd / "mail").read_text()
        self.assertIn("To: ops@example.org\n", mail)
        self.assertRegex(mail, r"Subject: \[troupe\] run \S+ of shop has failed: load\n")
        self.assertIn("\nfailed_job: load\n", mail)

    def test_that_nobody_can_be_told_does_not_change_the_run(self):
        ended = self.run_flow("jobs: {a: {run: 'true'}}\n"
                              "notify: [{on: success, command: echo no luck; exit 3}]\n")
        self.assertEqual(ended.code, 0, ended)
        self.assertIn("nobody was told of success by command", ended.err)
        self.assertIn("/notify/1-success.", ended.err)

    def test_a_run_recovers_if_the_one_before_it_failed(self):
        flow = ("jobs: {a: {run: test -e good}}\n"
                "notify: [{on: [recovered, success], command: echo $TROUPE_EVENT >> told}]\n")
        self.assertEqual(self.run_flow(flow).code, 1)
        (self.cwd / "good").touch()
        self.assertEqual(self.run_flow(flow).code, 0)
        self.assertEqual(self.run_flow(flow).code, 0)
        self.assertEqual(self.told(), ["recovered", "success"])

    def test_a_group_that_gives_up_and_an_approval_are_told_of(self):
        ended = self.run_flow(
            "jobs:\n"
            "  a: {group: g, run: exit 1}\n"
            "  b: {approval: {prompt: 'sure?'}, run: 'true'}\n"
            "groups: {g: {intensity: 0}}\n"
            "notify: [{on: [gave-up, approval], command: "
            "'echo $TROUPE_EVENT $TROUPE_JOB: $TROUPE_TEXT >> told'}]\n", "--approve", "b")
        self.assertEqual(ended.code, 1, ended)
        told = sorted(self.told())
        self.assertRegex(told[0], r"^approval b: run .*: job b waits for approval: sure\?$")
        self.assertRegex(told[1], r"^gave-up a: run .*: group g gives up")


class Durable(Telling, WithNode, TroupeTest):
    def submit_flow(self, text):
        return self.ok("submit", "-f", self.write(text)).out.strip()

    def test_a_webhook_hears_of_a_run_and_of_its_recovery(self):
        hook = Hook(self)
        flow = (f"name: shop\njobs: {{a: {{run: test -e good}}}}\n"
                f"notify: [{{on: [start, failure, recovered, success], "
                f"webhook: '{hook.url()}'}}]\n")
        run = self.submit_flow(flow)
        self.assertEqual(self.troupe("wait", run).code, 1)
        wait_until(lambda: sorted(hook.events) == ["failure", "start"], what="two notices")
        failure = next(n for _, _, n in hook.posted if n["event"] == "failure")
        self.assertEqual((failure["run"], failure["failed_job"]), (run, "a"))
        (self.cwd / "good").touch()
        run = self.submit_flow(flow)
        self.ok("wait", run)
        wait_until(lambda: hook.events.count("recovered") == 1, what="the recovery")
        run = self.submit_flow(flow)
        self.ok("wait", run)
        wait_until(lambda: hook.events.count("success") == 1, what="the success")
        self.assertEqual(hook.events.count("recovered"), 1)

    def test_people_are_told_that_they_are_asked(self):
        self.mailer()
        run = self.submit_flow("jobs: {a: {approval: {prompt: 'sure?'}, run: 'true'}}\n"
                               "notify: [{on: approval, mail: ops@example.org}]\n")
        wait_until((self.cwd / "mail").exists, what="the mail")
        self.assertIn("waits for approval: sure?", (self.cwd / "mail").read_text())
        self.ok("approve", run, "a")
        self.ok("wait", run)

    def test_a_failure_to_tell_does_not_change_the_run(self):
        run = self.submit_flow("jobs: {a: {run: 'true'}}\n"
                               "notify: [{on: [start, success], command: exit 3}]\n")
        self.ok("wait", run)
        self.assertEqual(json.loads(self.ok("status", run, "--json").out)["state"],
                         "succeeded")


class Crash(Telling, TroupeTest):
    def test_no_notice_is_lost_with_the_node(self):
        hook = Hook(self)
        node = Node(self, "slots: 3\n")
        self.env["TROUPE_SOCKET"] = str(node.socket)
        self.write(f"jobs: {{a: {{run: 'true'}}, b: {{needs: [a], run: exit 1}}}}\n"
                   f"notify: [{{on: [start, failure], webhook: '{hook.url()}'}}]\n")
        once = {"TROUPE_TEST_END_AFTER_EVENTS": "1"}
        process = node.launch(env=once)
        node.await_up(process)
        submission = self.start_troupe("submit", "-f", "flow.yaml", "--request-id", "one")
        # Begun, and two steps; after the last one the run is over.
        for _ in range(3):
            self.assertEqual(process.wait(LONG), 125)
            process = node.launch(env=once)
        node.await_up(process)
        submission.finish()
        wait_until(lambda: {"start", "failure"} <= set(hook.events), what="both notices")


if __name__ == "__main__":
    unittest.main()
