"""What docs/guide/deploy.md and packaging/ have for a cluster, without Docker, systemd
and other machines: what they make is what real nodes and a real server start with."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

from nodes import Node
from postgres_server import PostgresServer, binaries, free_port
from troupe_e2e import LONG, TROUPE, TroupeTest, wait_until

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("n1", "n2", "n3")

# What stands in for the two, for the commands of the guide.
SUDO = '#!/bin/sh\nif [ "$1" = -u ]; then shift 2; fi\nexec "$@"\n'
SSH = '#!/bin/sh\nshift\nexec sh -c "$*"\n'


class WithPackaging:
    """Runs what makes the identities, and nodes with the configurations."""

    def setUp(self):
        super().setUp()
        self.folder.chmod(0o711)
        self.programs = self.folder / "bin"
        self.programs.mkdir()
        self.env["PATH"] = f"{self.programs}:{Path(TROUPE).parent}:{self.env['PATH']}"

    def shell(self, script, *words, **options):
        ended = self.run_program(["sh", "-euc", script, "sh", *words], **options)
        self.assertEqual(ended.code, 0, ended)
        return ended.out

    def start_node(self, name, text):
        node = Node(self, text, name=name)
        # Beside what it has from there.
        text = "\n".join(line for line in text.splitlines()
                         if not line.startswith(("folder:", "socket:")))
        node.configure(text + "\nslots: 2\n")
        return node.start()

    def run_a_job_everywhere(self, nodes):
        wait_until(lambda: all(
            sum(one["shards"] > 0 for one in node.get("/v1/cluster")["nodes"]) == len(
                nodes) for node in nodes), what="that all know of each other")
        for node in nodes:
            ended = self.troupe("submit", "--wait", "--", "true",
                                env={"TROUPE_SOCKET": str(node.socket)})
            self.assertEqual(ended.code, 0, ended)


@unittest.skipUnless(binaries(), "PostgreSQL is not installed")
class ComposeFolders(WithPackaging, TroupeTest):
    """packaging/compose/setup.sh, and its configurations."""

    def setup_folders(self, *names):
        return self.shell('exec "$@"', ROOT / "packaging/compose/setup.sh",
                          self.folder / "setup", *names,
                          env={"NODE_USER": pwd.getpwuid(os.geteuid()).pw_name})

    def files(self):
        return {path.relative_to(self.folder): path.read_bytes()
                for path in (self.folder / "setup").rglob("*")
                if path.is_file() and path.name not in ("audit.log", "lock")}

    def test_three_nodes_with_the_store_that_they_trust_run_jobs(self):
        self.setup_folders(*NAMES)
        made = self.folder / "setup"
        server = PostgresServer(certificate_for="store")
        self.addCleanup(server.end)
        password = (made / "store/password").read_text().strip()
        server.query(f"ALTER USER troupe PASSWORD '{password}'")
        server.query("CREATE DATABASE troupe")
        server.stop()
        # What setup.sh has made for it, and nobody gets in without the password.
        for name in ("key.pem", "cert.pem"):
            shutil.copy(made / "store" / name, server.root / name)
            if server.user is not None:
                os.chown(server.root / name, server.user.pw_uid, server.user.pw_gid)
            (server.root / name).chmod(0o600)
        rules = server.data / "pg_hba.conf"
        rules.write_text("local all all trust\nhostssl all all all scram-sha-256\n")
        server.start()
        nodes = []
        for name in NAMES:
            text = (ROOT / f"packaging/compose/{name}.yaml").read_text()
            text = text.replace("/var/lib/troupe", str(made / name)).replace(
                "@store/troupe?", f"@store/troupe?hostaddr=127.0.0.1&port={server.port}&")
            text = re.sub(r"listen: .*", f"listen: 127.0.0.1:{free_port()}", text)
            nodes.append(self.start_node(name, text))
        self.run_a_job_everywhere(nodes)
        # Another server than the one that they know.
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                        "-keyout", "key.pem", "-out", "other.pem", "-subj",
                        "/CN=store", "-addext", "subjectAltName=DNS:store"],
                       cwd=self.folder, check=True, capture_output=True, timeout=60)
        shutil.copy(self.folder / "other.pem", made / "n3/store.pem")
        nodes[2].process.send_signal(signal.SIGTERM)
        self.assertEqual(nodes[2].process.wait(LONG), 0)
        nodes[2].process = None
        self.assertNotEqual(nodes[2].launch().wait(LONG), 0)
        nodes[2].process = None
        self.assertIn("certificate verify failed", nodes[2].log_text())

    def test_a_second_time_changes_nothing_and_a_new_node_only_the_rosters(self):
        self.setup_folders("n1", "n2")
        before = self.files()
        self.setup_folders("n1", "n2")
        self.assertEqual(self.files(), before)
        self.setup_folders(*NAMES)
        after = self.files()
        changed = {str(path) for path in before if before[path] != after[path]}
        self.assertEqual(changed, {"setup/authority/enrolments.json",
                                   "setup/authority/roster.json",
                                   "setup/n1/cluster/roster.json",
                                   "setup/n2/cluster/roster.json"})

    def test_nobody_else_can_read_what_it_makes(self):
        self.setup_folders("n1")
        for path in (self.folder / "setup").rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o007, 0, path)
        for path in (self.folder / "setup/n1").rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_it_fails_if_a_step_does(self):
        (self.programs / "openssl").write_text("#!/bin/sh\nexit 1\n")
        (self.programs / "openssl").chmod(0o755)
        ended = self.run_program([ROOT / "packaging/compose/setup.sh",
                                  self.folder / "setup", "n1"])
        self.assertNotEqual(ended.code, 0)
        self.assertFalse((self.folder / "setup/n1").exists())


@unittest.skipUnless(binaries(), "PostgreSQL is not installed")
class Hosts(WithPackaging, TroupeTest):
    """The blocks of the guide, and packaging/cluster."""

    def block(self, name):
        text = (ROOT / "docs/guide/deploy.md").read_text()
        found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", text, re.DOTALL)[1]
        return self.here(found)

    def here(self, text):
        return text.replace("/var/lib/troupe", str(self.folder / "lib")).replace(
            "/etc/troupe", str(self.folder / "etc"))

    def test_the_enrolment_of_the_guide_makes_a_cluster(self):
        for name, text in (("sudo", SUDO), ("ssh", SSH)):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)
        for name in NAMES:
            (self.folder / "lib" / name).mkdir(mode=0o700, parents=True)
        (self.folder / "etc").mkdir()
        self.shell(self.block("enrolment"))
        self.shell(self.block("roster"))
        server = PostgresServer()
        self.addCleanup(server.end)
        store = server.new_database()
        nodes = []
        for name in NAMES:
            text = self.here((ROOT / f"packaging/cluster/{name}.yaml").read_text())
            text = re.sub(r"store: .*", f"store: {store}", text)
            text = re.sub(r"store-password-file: .*\n", "", text)
            text = re.sub(r"on-stop: .*\n", "", text)  # Tests leave nothing.
            text = re.sub(r"listen: .*", f"listen: 127.0.0.1:{free_port()}", text)
            nodes.append(self.start_node(name, text))
        self.run_a_job_everywhere(nodes)
        told = self.troupe("cluster", "certificates", "--authority",
                           self.folder / "etc/authority")
        self.assertEqual((told.code, told.err), (0, ""))
        for name in NAMES:
            self.assertIn(name, told.out)
        # The whole of it may be run again, but for what is made once.
        self.shell(self.block("roster"))


if __name__ == "__main__":
    unittest.main()
