"""A web page that counts its visits in a cache, and is ready as soon as it can."""

import http.server
import os
import socket

PORT = int(os.environ["PORT"])
CACHE = ("127.0.0.1", int(os.environ["CACHE_PORT"]))


def count_visit():
    with socket.create_connection(CACHE, timeout=2) as cache:
        cache.sendall(b"INCR visits\r\n")
        return int(cache.recv(64).lstrip(b":"))


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, text = 200, f"visit {count_visit()}\n"
        except OSError as error:
            status, text = 503, f"the cache does not answer: {error}\n"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


print(f"listening on http://127.0.0.1:{PORT}/")
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Page).serve_forever()
