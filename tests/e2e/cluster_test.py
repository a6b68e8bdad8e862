"""troupe cluster: three hosts, each a folder, and the texts that go between
them."""

import json
import os
import re
import stat
import unittest

from troupe_e2e import TroupeTest


class ClusterCommands(TroupeTest):
    def setUp(self):
        super().setUp()
        self.authority = self.cwd / "authority"

    def on(self, host, *words, **options):
        """`troupe cluster` on one of the hosts."""
        home = self.cwd / host
        home.mkdir(exist_ok=True)
        return self.troupe("cluster", *words,
                           env={"XDG_CONFIG_HOME": str(home)}, **options)

    def init(self):
        made = self.on("n1", "init", "n1")
        self.assertEqual(made.code, 0, made)
        return made

    def token(self, name, *words):
        given = self.on("n1", "token", name, *words)
        self.assertEqual(given.code, 0, given)
        return given.out.strip()

    def enrol(self, host, *words):
        """The whole way of a node; what it said at the end."""
        request = self.on(host, "enrol", "--token", self.token(host, *words))
        self.assertEqual(request.code, 0, request)
        answer = self.on("n1", "sign", input=request.raw_out)
        self.assertEqual(answer.code, 0, answer)
        return self.on(host, "enrol", "--answer", "-", input=answer.raw_out)

    def certificates(self):
        return self.on("n1", "certificates", "--json").json()

    def test_three_hosts_become_a_cluster(self):
        made = self.init()
        self.assertRegex(
            made.out,
            r"^authority    /\S+/n1/troupe/authority\n"
            r"fingerprint  [0-9a-f]{64}\n"
            r"node         n1 \([0-9a-f-]{36}\), until \d{4}-\d\d-\d\d\n$")
        for host in ("n2", "n3"):
            ended = self.enrol(host)
            self.assertRegex(ended.out, rf"^{host} \([0-9a-f-]{{36}}\), until "
                             r"\d{4}-\d\d-\d\d\n$")
            self.assertEqual((ended.code, ended.err), (0, ""))
        listed = self.certificates()
        self.assertEqual([(n["name"], n["state"], n["revoked"])
                          for n in listed["nodes"]],
                         [("n1", "valid", None), ("n2", "valid", None),
                          ("n3", "valid", None)])
        self.assertEqual(len({n["node"] for n in listed["nodes"]}), 3)
        self.assertIn(listed["authority"]["fingerprint"], made.out)
        self.assertEqual(listed["tokens"], [])

    def test_one_pipe_does_it(self):
        self.init()
        token = self.token("n2")
        (self.cwd / "n2").mkdir()
        ended = self.sh(
            'n1() { XDG_CONFIG_HOME="$PWD/n1" "$TROUPE" cluster "$@"; }\n'
            'n2() { XDG_CONFIG_HOME="$PWD/n2" "$TROUPE" cluster "$@"; }\n'
            f'echo {token} | n2 enrol --token - | n1 sign | '
            'n2 enrol --answer -')
        self.assertEqual(ended.code, 0, ended)
        self.assertRegex(ended.out, r"^n2 \(")
        self.assertRegex(ended.err, r"^enrolled: n2 \([0-9a-f-]{36}\)\n$")

    def test_openssl_agrees(self):
        self.init()
        self.enrol("n2")
        pem = (self.cwd / "n2/troupe/cluster/identity.pem").read_text()
        parts = re.findall(r"-----BEGIN CERT.*?END CERTIFICATE-----\n", pem,
                           re.DOTALL)
        (self.cwd / "node.crt").write_text(parts[0])
        (self.cwd / "ca.crt").write_text(parts[1])
        checked = self.sh("openssl verify -x509_strict -purpose sslserver -CAfile "
                          "ca.crt node.crt && openssl verify -x509_strict "
                          "-purpose sslclient -CAfile ca.crt node.crt")
        self.assertEqual(checked.code, 0, checked)
        text = self.sh("openssl x509 -in node.crt -noout -text").out
        node = self.certificates()["nodes"][1]["node"]
        self.assertIn(f"URI:troupe:node:{node}", text)
        self.assertIn("ED25519", text)

    def test_nobody_else_can_read_a_file_of_it(self):
        self.init()
        self.enrol("n2")
        for host in ("n1", "n2"):
            for folder, _, files in os.walk(self.cwd / host / "troupe"):
                if folder.endswith(("authority", "cluster")):
                    self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700)
                for name in files:
                    mode = os.stat(os.path.join(folder, name)).st_mode
                    self.assertEqual(stat.S_IMODE(mode), 0o600, name)

    def test_a_token_is_good_once(self):
        self.init()
        token = self.token("n2")
        first = self.on("n2", "enrol", "--token", token)
        thief = self.on("thief", "enrol", "--token", token)
        self.assertEqual(self.on("n1", "sign", input=first.raw_out).code, 0)
        refused = self.on("n1", "sign", input=thief.raw_out)
        self.assertEqual((refused.code, refused.out, refused.err), (
            1, "", "troupe: cluster: the token for n2 has been used; if not by "
            "you, revoke n2 now\n"))

    def test_an_answer_that_was_lost_comes_again(self):
        self.init()
        token = self.token("n2")
        first = self.on("n1", "sign", input=self.on(
            "n2", "enrol", "--token", token).raw_out)
        second = self.on("n1", "sign", input=self.on(
            "n2", "enrol", "--token", token).raw_out)
        self.assertEqual(second.out, first.out)
        self.assertRegex(second.err, r"^answered again: n2 \(")
        for _ in range(2):
            ended = self.on("n2", "enrol", "--answer", "-", input=second.raw_out)
            self.assertEqual(ended.code, 0, ended)

    def test_a_revoked_node_stays_so(self):
        self.init()
        self.enrol("n2")
        first = self.on("n1", "revoke", "n2")
        self.assertRegex(first.out, r"^n2 is revoked since \S+Z\n$")
        self.assertEqual(self.on("n1", "revoke", "n2").out, first.out)
        self.assertEqual(self.certificates()["nodes"][1]["state"], "revoked")
        roster = json.loads(
            (self.cwd / "n1/troupe/authority/roster.json").read_text())
        self.assertEqual(sorted((n["name"], n["revoked"]) for n in roster["nodes"]),
                         [("n1", False), ("n2", True)])

    def test_a_renewed_node_keeps_its_id(self):
        self.init()
        self.enrol("n2")
        before = self.certificates()["nodes"][1]
        refused = self.on("n1", "token", "n2")
        self.assertEqual((refused.code, refused.err), (
            1, "troupe: cluster: n2 is enrolled already; renew its certificate "
            "with --renew, or revoke it first\n"))
        self.assertEqual(self.enrol("n2", "--renew").code, 0)
        after = self.certificates()["nodes"][1]
        self.assertEqual(after["node"], before["node"])
        self.assertNotEqual(after["key"], before["key"])

    def test_init_is_for_once(self):
        self.init()
        again = self.on("n1", "init", "n1")
        self.assertEqual((again.code, again.out), (1, ""))
        self.assertRegex(
            again.err, r"^troupe: cluster: there is an authority in \S+; "
            r"another key would make strangers of its nodes\n$")

    def test_the_list_is_for_people(self):
        self.init()
        self.token("n2")
        lines = self.on("n1", "certificates").out.splitlines()
        self.assertEqual(lines[0].split(), ["NAME", "STATE", "UNTIL", "NODE"])
        self.assertEqual([line.split()[:2] for line in lines[1:]],
                         [["(authority)", "valid"], ["n1", "valid"], ["n2", "token"]])

    def test_mistakes_are_explained(self):
        for words, what in [
                ([], "expected init, token, enrol, sign, revoke, certificates, status, nodes, ring, doctor, owner, drain or consent"),
                (["inti"], 'unknown action "inti"; did you mean "init"?'),
                (["token"], "token takes the name of a node"),
                (["token", "a", "b"], "token takes the name of a node and nothing more"),
                (["certificates", "x"], "certificates takes no words"),
                (["init", "--token", "x"], "--token is not for init"),
                (["enrol"], "enrol takes --token to begin, or --answer to finish"),
                (["init", "a b"], "expected a name such as n1 or db-2.example, of "
                 'letters, digits and . _ -, got "a b"')]:
            ended = self.on("n1", *words)
            self.assertEqual((ended.code, ended.out, ended.err.splitlines()[0]),
                             (2, "", f"troupe: cluster: {what}"))
        self.assertFalse((self.cwd / "n1/troupe").exists())

    def test_what_is_not_there_is_missed_with_a_way_out(self):
        ended = self.on("n1", "token", "n2")
        self.assertEqual((ended.code, ended.out), (1, ""))
        self.assertRegex(
            ended.err, r"^troupe: cluster: there is no authority in \S+; troupe "
            r"cluster init makes one, on one host of the cluster\n$")
        ended = self.on("n1", "enrol", "--token", "troupe1.abc")
        self.assertEqual((ended.code, ended.err), (
            1, "troupe: cluster: this is no token of troupe cluster token, or "
            "not all of it\n"))


if __name__ == "__main__":
    unittest.main()
