"""Nodes that share a PostgreSQL server: members of one cluster on this host, each
with a folder, an identity and a port on loopback of its own."""

import os
import signal
import unittest

from nodes import Enrolling, Node
from postgres_server import PostgresServer, binaries, free_port
from troupe_e2e import LONG, wait_until

# Short, and long enough for a machine that stands still for a moment: nobody is
# evicted as long as looks at the store take more than a sixth of it.
LEASE_SECONDS = 15


@unittest.skipUnless(binaries(), "PostgreSQL is not installed")
class WithMembers(Enrolling):
    """For tests with nodes n1, n2, .. that have `SLOTS` each."""

    NODES = 3
    SLOTS = 2
    ZONES = {}  # Of nodes that have one.
    server = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = PostgresServer()
        cls.addClassCleanup(cls.server.end)

    def setUp(self):
        super().setUp()
        self.store = self.server.new_database()
        self.nodes = {}
        self.cluster("n1", "init", "n1")
        for number in range(2, self.NODES + 1):
            self.enrol(f"n{number}")
        for number in range(1, self.NODES + 1):
            self.add(f"n{number}")

    # Who belongs to it.

    def config_of(self, host):
        return (f"listen: 127.0.0.1:{free_port()}\n"
                f"cluster-folder: {self.folder_of(host)}\n"
                f"lease-time: {LEASE_SECONDS}s\nslots: {self.SLOTS}\n"
                f"labels: [on-{host}, all]\n"
                f"zone: \"{self.ZONES.get(host, '')}\"\n")

    def add(self, host, **options):
        self.nodes[host] = Node(self, self.config_of(host), name=host).start(
            **{"env": {"TROUPE_LOG": "debug"}} | options)
        return self.nodes[host]

    def await_members(self, count=None, at="n1", within=LONG):
        """Until all of them are on the ring as one of them sees it."""
        count = count or len(self.nodes)
        return wait_until(
            lambda: sum(node["shards"] > 0 for node in
                        self.nodes[at].get("/v1/cluster")["nodes"]) == count,
            within, f"{count} members")

    def await_links(self, within=LONG):
        """Until each has a link to each of the others."""
        for host, node in self.nodes.items():
            wait_until(
                lambda node=node: [one["is_linked"] for one in
                                   node.get("/v1/cluster")["nodes"]]
                == [True] * len(self.nodes), within, f"links of {host}")

    # Asking them.

    def at(self, host, *words, **options):
        """troupe, at this node."""
        return self.troupe(*words, env={"TROUPE_SOCKET": str(self.nodes[host].socket)},
                           **options)

    def ok(self, host, *words, **options):
        ended = self.at(host, *words, **options)
        self.assertEqual((ended.code, ended.err), (0, ""), ended)
        return ended

    def submit(self, host, *words):
        return int(self.ok(host, "submit", *words).out)

    def lines(self, name):
        path = self.cwd / name
        return path.read_text().splitlines() if path.exists() else []

    def started(self, host):
        return self.nodes[host].get("/v1/stats")["started_attempts"]

    def key_of(self, host):
        """One that it owns."""
        return next(key for key in map(str, range(1000)) if self.nodes[host].get(
            f"/v1/cluster/owner?key={key}").get("name") == host)

    # Ending them.

    def kill_host(self, host):
        """The node and its warden, as if the machine were gone; what runs there
        ends with the warden."""
        node = self.nodes[host]
        node.process.kill()
        self.kill_warden(node)
        node.process.wait(LONG)
        node.process = None

    @staticmethod
    def kill_warden(node):
        os.kill(node.warden(), signal.SIGKILL)
        wait_until(lambda: node.warden() is None, what="the end of the warden")
