"""A node of a cluster that is revoked: it ends, the other one goes on with what
it had, and it does not start again."""

import os
import signal
import time
import unittest

from members import WithMembers
from troupe_e2e import LONG, TroupeTest, processes_with, wait_until

REFUSED = ("n2 was revoked: this host is no member of its cluster any more; to have it "
           "there again, enrol it anew, with troupe cluster token n2 on the host of the "
           "authority")

# RestartPreventExitStatus= of the units of packaging/systemd has it.
REVOKED = 4


class Revoked(WithMembers, TroupeTest):
    NODES = 2

    def state_of_n2(self):
        """As n1 sees it; none if it has no session."""
        return next((one["state"] for one in self.nodes["n1"].get("/v1/cluster")["nodes"]
                     if one["name"] == "n2"), None)

    def begin_at_n2(self):
        """A job that runs there until somebody ends it, and ends at once the second
        time."""
        job = self.submit(
            "n2", "--key", self.key_of("n2"), "--",
            f"echo run >> ran; test $(wc -l < ran) = 2 || exec sleep {self.seconds}")
        wait_until(lambda: self.nodes["n2"].get("/v1/stats")["running"] == 1,
                   what="a task at n2")
        return job

    def assert_it_does_not_start(self):
        node = self.nodes["n2"]
        node.log.unlink()
        self.assertEqual(node.launch().wait(LONG), REVOKED, node.log_text())
        self.assertIn(f"troupe: {REFUSED}\n", node.log_text())
        self.assertIsNone(node.warden())
        node.process = None

    def test_it_ends_and_the_other_one_has_what_it_had(self):
        self.await_members(at="n2")
        job = self.begin_at_n2()
        node = self.nodes["n2"]
        # Long enough to be seen before it has read that.
        node.process.send_signal(signal.SIGSTOP)
        self.cluster("n1", "revoke", "n2")
        wait_until(lambda: self.state_of_n2() == "revoked", what="word of it at n1")
        self.assertRegex(self.ok("n1", "cluster", "status").out, r"(?m)^n2 +revoked ")
        self.assertRegex(self.ok("n1", "cluster", "nodes").out, r"(?m)^n2 .* revoked$")
        said = self.at("n1", "cluster", "doctor").out
        self.assertRegex(said, r"(?m)^look  n2 is revoked")
        self.assertNotIn("no link to n2", said)
        self.assertIn(f"certificate of this node ({self.folder_of('n1')}/identity.pem) is "
                      "good until", said)
        self.assertIn(f"certificate of this node ({self.folder_of('n1')}/identity.pem) is "
                      "good until", said)
        node.process.send_signal(signal.SIGCONT)
        begun = time.monotonic()
        self.assertEqual(node.process.wait(LONG), REVOKED)
        self.assertIn(f"node_refused reason='{REFUSED}'", node.log_text())
        self.assertEqual(processes_with(self.seconds), {})
        # It has given it back, and nobody has waited for the end of its lease.
        self.ok("n1", "wait", job)
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(self.nodes["n1"].task(job)["result"]["node"], "n1")
        self.assertEqual(self.lines("ran"), ["run", "run"])
        self.assertIsNone(self.state_of_n2())
        self.assert_it_does_not_start()

    def test_it_is_told_by_the_store_when_it_starts_and_what_it_left_ends(self):
        self.await_members(at="n2")
        job = self.begin_at_n2()
        node = self.nodes["n2"]
        node.process.kill()
        node.process.wait(LONG)
        self.cluster("n1", "revoke", "n2")
        wait_until(lambda: self.state_of_n2() == "revoked", what="word of it at n1")
        self.assertFalse(os.path.exists(self.folder_of("n2") / "roster.json"))
        self.assertNotEqual(processes_with(self.seconds), {})
        self.assert_it_does_not_start()
        self.assertEqual(processes_with(self.seconds), {})
        self.ok("n1", "wait", job)
        self.assertEqual(self.lines("ran"), ["run", "run"])


if __name__ == "__main__":
    unittest.main()
