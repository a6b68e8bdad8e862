#!/usr/bin/env python3
"""The services of nightly-etl.yaml: `db`, which tells that it is ready, `api
PORT`, which answers over HTTP, and `loader`, which shows that it is alive."""

import http.server
import os
import signal
import socket
import sys
import time


def tell(state):
    """As sd_notify(3)."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect("\0" + path[1:] if path[0] == "@" else path)
            out.send(state.encode())


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"ok\n" if self.path == "/healthz" else self.path.upper().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if sys.argv[1] == "db":
        open("db.socket", "w", encoding="ascii").close()
        tell("READY=1")
        signal.pause()
    elif sys.argv[1] == "api":
        http.server.ThreadingHTTPServer(
            ("127.0.0.1", int(sys.argv[2])), Answer).serve_forever()
    else:
        while True:
            tell("WATCHDOG=1")
            time.sleep(3)


main()
