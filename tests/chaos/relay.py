"""A way to the server that can be cut: for nodes that share a network."""

import shutil
import socket
import threading
import time
from pathlib import Path

PIECE = 65536


class Relay:
    """A folder with a socket like that of the server. What is held back goes on
    when the way is open again, as on a network that tries again."""

    def __init__(self, folder, target):
        self.folder = Path(folder)
        self.target = str(target)
        self.open = {"to_store": threading.Event(), "to_node": threading.Event()}
        self.delay = 0.0
        self.heal()
        self.folder.mkdir(parents=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def cut(self, to_store=True, to_node=True):
        if to_store:
            self.open["to_store"].clear()
        if to_node:
            self.open["to_node"].clear()

    def heal(self):
        self.delay = 0.0
        for way in self.open.values():
            way.set()

    def close(self):
        self.heal()
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        self.open["to_store"].wait()
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.connect(self.target)
        except OSError:
            client.close()
            server.close()
            return
        back = threading.Thread(target=self.pump, args=(server, client, "to_node"),
                                daemon=True)
        back.start()
        self.pump(client, server, "to_store")
        back.join()
        client.close()
        server.close()

    def pump(self, source, sink, way):
        try:
            while data := source.recv(PIECE):
                if self.delay:
                    time.sleep(self.delay)
                self.open[way].wait()
                sink.sendall(data)
        except OSError:
            pass
        self.open[way].wait()
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
