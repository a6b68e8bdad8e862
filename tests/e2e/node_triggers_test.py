"""Runs that a node starts by itself: at times, each exactly once, whatever happens to
the node."""

import hmac
import http.client
import json
import re
import time
import unittest
from pathlib import Path

from nodes import Node
from troupe_e2e import LONG, TroupeTest, wait_until

# Each run leaves the time that it was meant for, and its own name.
EACH_SECOND = """\
on: { schedule: { cron: "* * * * * *", overlap: queue } }
jobs: { a: { run: "echo ${{ inputs.scheduled }} ${{ run.id }} ${{ run.trigger }} >> lines" } }
"""


class Triggers:
    def setUp(self):
        super().setUp()
        self.env["TZ"] = "UTC"
        self.flows = Path(self.env["XDG_CONFIG_HOME"]) / "troupe" / "workflows"
        self.flows.mkdir(parents=True)
        self.node = Node(self, "slots: 4\n")
        self.env["TROUPE_SOCKET"] = str(self.node.socket)

    def write(self, text, name="flow.yaml"):
        draft = self.flows / "draft"
        draft.write_text(text)
        draft.rename(self.flows / name)

    def lines(self, name="lines"):
        path = self.flows / name
        return path.read_text().splitlines() if path.exists() else []

    def wait_for_lines(self, count, name="lines"):
        return wait_until(lambda: len(self.lines(name)) >= count and self.lines(name),
                          what=f"{count} lines in {name}")

    def triggers(self, *options):
        finished = self.troupe("triggers", "--json", *options)
        self.assertEqual((finished.code, finished.err), (0, ""), finished)
        return json.loads(finished.out)

    def runs(self):
        return self.node.get("/v1/runs?limit=1000")["runs"]

    def wait_for_no_run(self):
        wait_until(lambda: not self.node.get("/v1/runs?set=unended")["runs"],
                   what="the end of all runs")

    def disarm(self, name="flow.yaml"):
        (self.flows / name).unlink()
        wait_until(lambda: not self.triggers()["triggers"], what="no trigger")
        self.wait_for_no_run()

    def check_lines(self, least):
        """Each time has had exactly one run, and each run has run once."""
        # What was under way when the trigger went has still become a run.
        wait_until(lambda: len(self.lines()) == len(self.runs()), what="a line of each run")
        self.assertGreaterEqual(len(self.lines()), least)
        times, runs = zip(*(line.split()[:2] for line in self.lines()))
        self.assertEqual(sorted(set(times)), sorted(times))
        self.assertEqual(sorted(set(runs)), sorted(runs))


class Schedule(Triggers, TroupeTest):
    def test_a_schedule_with_seconds_runs_its_workflow(self):
        self.node.start()
        self.assertEqual(self.triggers()["triggers"], [])
        self.write(EACH_SECOND)
        lines = self.wait_for_lines(2)
        self.assertRegex(lines[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z r\d+ schedule$")
        [trigger] = self.triggers("--next", "3")["triggers"]
        self.assertEqual((trigger["name"], trigger["trigger"], trigger["timezone"]),
                         ("flow.yaml", "* * * * * *", "UTC"))
        self.assertEqual(len(trigger["next"]), 3)
        self.assertGreaterEqual(trigger["last_run"], 1)
        shown = self.troupe("triggers")
        self.assertEqual((shown.code, shown.err), (0, ""))
        self.assertRegex(shown.out, r"(?s)^NEXT .*r\d+.*\* \* \* \* \* \*.*flow\.yaml\n$")
        self.disarm()
        self.check_lines(2)

    def test_a_mistake_is_shown_and_the_others_go_on(self):
        self.write(EACH_SECOND)
        self.write('on:\n  schedule: "61 * * * *"\njobs: { a: { run: x } }\n', "bad.yaml")
        self.write("jobs: { a: { run: x } }\n", "by-hand.yaml")
        self.node.start()
        self.wait_for_lines(1)
        shown = self.troupe("triggers")
        self.assertEqual(shown.code, 3)
        self.assertIn("bad.yaml:2:14: the minute: expected 0 to 59, got 61\n", shown.err)
        self.assertIn("flow.yaml", shown.out)
        self.assertNotIn("by-hand", shown.out + shown.err)
        self.assertIn("workflow_refused", self.node.log_text())
        self.write(EACH_SECOND.replace("lines", "others"), "bad.yaml")
        self.wait_for_lines(1, "others")
        self.assertEqual(self.troupe("triggers").code, 0)

    def test_a_run_that_goes_on_is_cancelled_for_the_next(self):
        self.write('on: { schedule: { cron: "* * * * * *", overlap: cancel-running } }\n'
                   "jobs: { a: { run: sleep %s } }\n" % self.seconds)
        self.node.start()
        wait_until(lambda: [run for run in self.runs() if run["state"] == "cancelled"],
                   what="a run that was cancelled")
        (self.flows / "flow.yaml").unlink()
        wait_until(lambda: not self.triggers()["triggers"], what="no trigger")

        def all_have_ended():
            left = self.node.get("/v1/runs?set=unended")["runs"]
            for run in left:
                self.node.ask("POST", f"/v1/runs/{run['run']}/cancel")
            return not left

        wait_until(all_have_ended, what="the end of all runs")

    def test_a_run_that_goes_on_lets_times_be_skipped(self):
        self.write('on: { schedule: "* * * * * *" }\njobs: { a: { run: "echo >> lines; '
                   'until test -e go; do sleep .02; done" } }\n')
        self.node.start()
        wait_until(lambda: self.triggers()["triggers"][0]["skipped"] >= 2,
                   what="times that were skipped")
        self.assertEqual(len(self.lines()), 1)
        (self.flows / "go").touch()
        self.wait_for_lines(2)
        self.disarm()


class Restarts(Triggers, TroupeTest):
    def test_no_time_runs_twice_whenever_the_node_is_killed(self):
        self.write(EACH_SECOND)
        self.node.start()
        for pause in (0.0, 0.15, 0.3, 0.45, 0.6, 0.75):
            seen = len(self.lines())
            self.wait_for_lines(seen + 1)
            time.sleep(pause)
            self.node.restart()
        self.wait_for_lines(len(self.lines()) + 1)
        self.disarm()
        self.check_lines(7)

    def test_no_time_runs_twice_when_the_node_dies_over_its_submission(self):
        self.write(EACH_SECOND)
        for _ in range(4):
            process = self.node.launch(env={"TROUPE_TEST_END_AFTER_EVENTS": "1"})
            self.assertEqual(process.wait(LONG), 125)
        self.node.start()
        self.wait_for_lines(2)
        self.disarm()
        self.check_lines(2)


class CatchUp(Triggers, TroupeTest):
    def missed(self, catch_up):
        """Starts a node that was away for some hours, with a time in each."""
        minute = (time.gmtime().tm_min + 30) % 60
        self.write('on: { schedule: { cron: "%d * * * *"%s } }\n'
                   'jobs: { a: { run: "echo ${{ inputs.scheduled }} >> lines" } }\n'
                   % (minute, catch_up))
        self.node.start()
        wait_until(lambda: self.triggers()["triggers"], what="a trigger")
        self.assertEqual(self.node.terminate(), 0)
        path = self.node.folder / "triggers.json"
        kept = json.loads(path.read_text())
        kept["triggers"][0]["handled_ns"] -= 5 * 3600 * 10**9
        path.write_text(json.dumps(kept))
        self.node.start()
        return minute

    def test_the_last_of_the_missed_times_is_made_up_for(self):
        minute = self.missed(", catch-up: 2h")
        [line] = self.wait_for_lines(1)
        self.assertRegex(line, r":%02d:00\.000Z$" % minute)
        self.disarm()
        self.assertEqual(len(self.runs()), 1)

    def test_without_a_word_none_is(self):
        self.missed("")
        wait_until(lambda: self.triggers()["triggers"], what="a trigger")
        self.assertEqual(self.runs(), [])


class Watch(Triggers, TroupeTest):
    FLOW = """\
on: { watch: { paths: ["in/**/*.csv"], exclude: ["*.tmp.csv"], debounce: 50ms, settle: %s } }
jobs: { a: { run: "echo ${{ run.trigger }} ${{ inputs.files }} >> lines" } }
"""

    def setUp(self):
        super().setUp()
        (self.flows / "in" / "deep").mkdir(parents=True)
        self.write("old", "in/old.csv")

    def files(self):
        """Those that the runs were told, in order."""
        return [[Path(path).name for path in json.loads(line.split(" ", 1)[1])]
                for line in self.lines()]

    def wait_for_files(self, *files):
        wait_until(lambda: sorted(sum(self.files(), [])) == sorted(files),
                   what=f"runs for {files}")

    def await_armed(self):
        wait_until(lambda: self.triggers()["triggers"], what="a trigger")

    def test_changed_files_are_told_to_a_run(self):
        self.write(self.FLOW % "0s")
        self.node.start()
        self.await_armed()
        self.write("x", "in/deep/a.csv")
        self.wait_for_files("a.csv")
        self.write("x", "in/b.tmp.csv")
        self.write("x", "in/b.txt")
        self.write("x", "in/c.csv")
        self.wait_for_files("a.csv", "c.csv")
        self.write("new", "in/old.csv")
        self.wait_for_files("a.csv", "c.csv", "old.csv")
        self.assertTrue(self.lines()[0].startswith("watch "))
        [trigger] = self.triggers()["triggers"]
        self.assertEqual((trigger["kind"], trigger["trigger"]), ("watch", "in/**/*.csv"))
        # What goes is no news.
        (self.flows / "in" / "c.csv").unlink()
        self.write("x", "in/d.csv")
        self.wait_for_files("a.csv", "c.csv", "d.csv", "old.csv")

    def test_what_has_changed_without_a_node_is_told_by_the_next(self):
        self.write(self.FLOW % "0s")
        self.node.start()
        self.await_armed()
        self.write("x", "in/a.csv")
        self.wait_for_files("a.csv")
        self.node.kill()
        self.write("x", "in/b.csv")
        self.node.start()
        self.wait_for_files("a.csv", "b.csv")

    def test_a_file_that_is_not_left_alone_waits(self):
        self.write(self.FLOW % "1h")
        self.node.start()
        self.await_armed()
        self.write("x", "in/a.csv")
        self.write(EACH_SECOND.replace("lines", "others"), "other.yaml")
        self.wait_for_lines(2, "others")
        self.assertEqual(self.lines(), [])
        self.write(self.FLOW % "10ms")
        self.wait_for_files("a.csv")


class Webhook(Triggers, TroupeTest):
    FLOW = """\
on: { webhook: { token: "${{ secrets.HOOK }}" } }
secrets: { HOOK: { from: file, key: hook } }
jobs: { a: { run: "echo ${{ run.trigger }} ${{ fromJSON(inputs.body).ref }} >> lines" } }
"""
    BODY = '{"ref": "a \'b\'"}'

    def setUp(self):
        super().setUp()
        self.write("s3cret\n", "hook")
        self.write(self.FLOW)
        self.node.configure("webhook-listen: 127.0.0.1:0\n")
        self.node.start()
        address = wait_until(lambda: self.triggers()["triggers"] and
                             self.triggers()["webhook_address"], what="an address")
        self.port = int(address.rsplit(":", 1)[1])

    def post(self, body=BODY, signature=None, secret="s3cret", path="/hooks/flow",
             method="POST", **headers):
        digest = hmac.new(secret.encode(), body.encode(), "sha256").hexdigest()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG)
        try:
            connection.request(method, path, body, {
                "X-Hub-Signature-256": "sha256=" + digest if signature is None
                else signature} | headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def test_a_signed_request_is_a_run_that_has_its_body(self):
        status, answer = self.post()
        self.assertEqual((status, answer), (202, {"run": 1, "is_new": True}))
        self.assertEqual(self.wait_for_lines(1), ["webhook a 'b'"])
        wait_until(lambda: re.search(
            r'"by":"webhook","what":"run [^"]*flow.yaml","about":"run 1"',
            (self.node.folder / "audit.log").read_text()), what="its line (S10)")
        [trigger] = self.triggers()["triggers"]
        self.assertEqual((trigger["kind"], trigger["trigger"], trigger["last_run"]),
                         ("webhook", "POST /hooks/flow", 1))
        self.assertIn("POST /hooks/flow", self.troupe("triggers").out)

    def test_what_is_delivered_again_is_the_same_run(self):
        delivery = {"X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
        self.assertEqual(self.post(**delivery)[1], {"run": 1, "is_new": True})
        self.node.restart()
        wait_until(lambda: self.triggers()["triggers"], what="the trigger")
        self.port = int(self.triggers()["webhook_address"].rsplit(":", 1)[1])
        self.assertEqual(self.post(**delivery)[1], {"run": 1, "is_new": False})
        self.assertEqual(self.post()[1], {"run": 2, "is_new": True})

    def test_others_are_refused(self):
        self.assertEqual(self.post(secret="wrong")[0], 401)
        self.assertEqual(self.post(signature="")[0], 401)
        self.assertEqual(self.post(path="/hooks/none")[0], 404)
        self.assertEqual(self.post(path="/v1/runs")[0], 404)
        self.assertEqual(self.post(method="PUT")[0], 405)
        self.assertEqual(self.post(body="x" * (1 << 20) + "x")[0], 413)
        self.assertEqual(self.runs(), [])
        # The secret is read anew for each.
        self.write("another\n", "hook")
        self.assertEqual(self.post()[0], 401)
        self.assertEqual(self.post(secret="another")[0], 202)

    def test_only_an_address_of_the_machine_is_listened_on(self):
        for address, why in (("0.0.0.0:4100", "0.0.0.0 can be reached from outside"),
                             ("4100", "expected an address such as 127.0.0.1:4100")):
            (self.cwd / "other.yaml").write_text(f'webhook-listen: "{address}"\n')
            checked = self.troupe("config", "check", "--config", "other.yaml")
            self.assertEqual(checked.code, 3)
            self.assertIn(f"other.yaml:1:17: webhook-listen: {why}", checked.err)

    def test_a_secret_that_is_not_there_is_shown(self):
        (self.flows / "hook").unlink()
        self.write(self.FLOW + "\n")
        shown = wait_until(lambda: (done := self.troupe("triggers")).code == 3 and done,
                           what="a mistake")
        self.assertIn('flow.yaml:2:12: the secret "HOOK": ', shown.err)


if __name__ == "__main__":
    unittest.main()
