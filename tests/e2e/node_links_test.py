"""`listen` of a node: which TCP ports it opens, for whom, and when it does not
start. The other side is Python's, with certificates of troupe cluster."""

import os
import re
import socket
import ssl
import struct
import time
import unittest
from pathlib import Path

from nodes import Enrolling, Node
from troupe_e2e import LONG, TroupeTest, wait_until

HELLO, FAREWELL = 1, 2


def tcp_listeners_of(pid):
    """The local addresses on which a process listens, as in /proc/net/tcp."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(fd))
        except OSError:
            continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.append(fields[1])
    return found


def cbor_text(text):
    data = text.encode()
    return bytes([0x60 + len(data)]) + data if len(data) < 24 else \
        bytes([0x78, len(data)]) + data


def hello_frame(node):
    """What a node says first; see link/message.hpp."""
    body = b"\xa6" + cbor_text("oldest") + b"\x01" + cbor_text("newest") + b"\x01" + \
        cbor_text("node") + b"\x50" + bytes.fromhex(node.replace("-", "")) + \
        cbor_text("session") + cbor_text("s") + cbor_text("version") + \
        cbor_text("0.1.0") + cbor_text("view") + b"\x00"
    return struct.pack(">HH", 1, HELLO) + body


class Peer:
    """A connection that keeps the rules, with the identity in a folder."""

    def __init__(self, test, port, folder, authority=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        pem = (authority or folder) / "identity.pem"
        # The last one in the file is that of the authority.
        text = pem.read_text()
        context.load_verify_locations(
            cadata=text[text.rindex("-----BEGIN CERTIFICATE"):])
        if folder is not None:
            context.load_cert_chain(folder / "identity.pem")
        plain = socket.create_connection(("127.0.0.1", port), LONG)
        test.addCleanup(plain.close)
        self.socket = context.wrap_socket(plain)
        test.addCleanup(self.socket.close)

    def upgrade(self):
        self.socket.sendall(
            b"GET /link HTTP/1.1\r\nHost: troupe\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = self.socket.recv(1)
            if not piece:
                raise ConnectionError("cut off")
            answer += piece
        return answer

    def send(self, frame):
        """Masked, as a client has to; with zeros."""
        assert len(frame) < 126
        self.socket.sendall(bytes([0x82, 0x80 | len(frame)]) + bytes(4) + frame)

    def take(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionError("cut off")
            data += piece
        return data

    def receive(self):
        """One frame that is no ping."""
        while True:
            head = self.take(2)
            length = head[1] & 0x7F
            if length == 126:
                length = struct.unpack(">H", self.take(2))[0]
            data = self.take(length)
            if head[0] & 0x0F == 2:
                return data
            self.socket.sendall(b"\x8a" + bytes([0x80 | len(data)]) + bytes(4) + data)


class Listening(Enrolling, TroupeTest):
    def setUp(self):
        super().setUp()
        self.hosts = {}

    def node(self, listen="127.0.0.1:0"):
        return Node(self, f"listen: {listen}\ncluster-folder: "
                    f"{self.folder_of('n1')}\n")

    def listening_node(self):
        self.cluster("n1", "init", "n1")
        self.hosts["n2"] = self.enrol("n2")
        node = self.node().start()
        self.port = int(re.search(r"links_listen address=127\.0\.0\.1:(\d+)",
                                  node.log_text())[1])
        return node

    # S1
    def test_without_a_certificate_it_does_not_start_and_opens_nothing(self):
        for address in ("0.0.0.0:0", "[::]:0", "127.0.0.1:0"):
            node = self.node(f"'{address}'")
            process = node.launch()
            self.assertEqual(process.wait(LONG), 125)
            self.assertIn(
                "troupe: listen: this host is not enrolled in a cluster: there is no "
                f"{self.folder_of('n1')}/identity.pem; see troupe cluster --help\n",
                node.log_text())
            self.assertFalse(node.folder.exists())
            self.assertFalse(node.socket.exists())
            node.process = None

    # S1
    def test_with_a_key_that_others_can_read_it_does_not_start(self):
        self.cluster("n1", "init", "n1")
        path = self.folder_of("n1") / "identity.pem"
        path.chmod(0o644)
        node = self.node("0.0.0.0:0")
        self.assertEqual(node.launch().wait(LONG), 125)
        self.assertIn(f"others can read or change {path}", node.log_text())
        self.assertFalse(node.socket.exists())
        node.process = None

    # S1
    def test_with_parts_of_a_certificate_it_does_not_start(self):
        self.cluster("n1", "init", "n1")
        path = self.folder_of("n1") / "identity.pem"
        whole = path.read_text()
        parts = re.findall(r"-----BEGIN .*?-----END .*?-----\n", whole, re.DOTALL)
        self.assertEqual(len(parts), 3)
        for missing in range(3):
            path.write_text("".join(parts[:missing] + parts[missing + 1:]))
            node = self.node("0.0.0.0:0")
            self.assertEqual(node.launch().wait(LONG), 125, missing)
            self.assertIn("troupe: listen: ", node.log_text())
            self.assertFalse(node.socket.exists())
            node.process = None

    # S2
    def test_a_node_that_is_not_told_to_opens_no_port(self):
        node = Node(self).start()
        self.assertEqual(tcp_listeners_of(node.process.pid), [])
        self.assertEqual(tcp_listeners_of(node.warden()), [])

    def test_a_node_that_is_told_to_opens_one(self):
        node = self.listening_node()
        self.assertEqual(tcp_listeners_of(node.process.pid),
                         [f"0100007F:{self.port:04X}"])

    def test_an_enrolled_peer_says_hello_and_hears_one(self):
        node = self.listening_node()
        peer = Peer(self, self.port, self.folder_of("n2"))
        self.assertIn(b" 101 ", peer.upgrade())
        peer.send(hello_frame(self.hosts["n2"]))
        heard = peer.receive()
        self.assertEqual(struct.unpack(">HH", heard[:4]), (1, HELLO))
        self.assertIn(b"session", heard)
        wait_until(lambda: f"link_up node={self.hosts['n2']}" in node.log_text(),
                   what="a link")
        # It ends in order: with a farewell.
        node.process.terminate()
        self.assertEqual(struct.unpack(">HH", peer.receive()[:4]), (1, FAREWELL))
        self.assertEqual(node.process.wait(LONG), 0)

    def assert_refused(self, node, why, *peer):
        with self.assertRaises((OSError, ConnectionError)):
            Peer(self, self.port, *peer).upgrade()
        wait_until(lambda: re.search(f"link_refused from=\\S+ end=refused .*{why}",
                                     node.log_text()), what=why)

    def test_others_are_refused_and_told_apart_in_the_log(self):
        node = self.listening_node()
        own = self.folder_of("n1")
        self.assert_refused(node, "did not return a certificate", None, own)
        token = self.cluster("n1", "token", "n3").out.strip()
        request = self.cluster("n3", "enrol", "--token", token)
        # The node on this host hears nothing of it.
        answer = self.cluster("n1", "sign", "--folder", self.cwd / "none",
                              input=request.raw_out)
        self.cluster("n3", "enrol", "--answer", "-", input=answer.raw_out)
        self.assert_refused(node, "is not enrolled in this cluster",
                            self.folder_of("n3"))
        # Another cluster.
        ended = self.troupe("cluster", "init", "other",
                            env={"XDG_CONFIG_HOME": str(self.cwd / "o")})
        self.assertEqual(ended.code, 0, ended)
        self.assert_refused(node, "verify failed",
                            self.cwd / "o/troupe/cluster", own)

    # S4
    def test_a_revoked_node_is_cut_off_within_ten_seconds(self):
        node = self.listening_node()
        peer = Peer(self, self.port, self.folder_of("n2"))
        peer.upgrade()
        peer.send(hello_frame(self.hosts["n2"]))
        peer.receive()
        begun = time.monotonic()
        self.cluster("n1", "revoke", "n2")
        with self.assertRaises((OSError, ConnectionError)):
            while True:
                peer.receive()
        self.assertLess(time.monotonic() - begun, 10)
        self.assert_refused(node, "was revoked", self.folder_of("n2"))

    def test_a_configuration_that_cannot_be_is_explained(self):
        for text, why in [
                ("n1.example:4200", 'listen: expected an address of this host such as '
                 '192.0.2.7:4200 or [::]:4200, got "n1.example:4200"'),
                ("4200", 'listen: expected an address of this host such as '
                 '192.0.2.7:4200 or [::]:4200, got "4200"')]:
            (self.cwd / "c.yaml").write_text(f'listen: "{text}"\n')
            checked = self.troupe("config", "check", "--config", "c.yaml")
            self.assertEqual(checked.code, 3)
            self.assertIn(f"c.yaml:1:9: {why}\n", checked.err)


if __name__ == "__main__":
    unittest.main()
