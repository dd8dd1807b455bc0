#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo's backends: small HTTP servers that answer with what they were asked, as JSON.

  backend.py [NAME:PORT ...]            serve (default: the demo's own set, on 127.0.0.1)
  backend.py --wait-for URL... --pid N  wait until each URL answers 200, or process N is gone
"""
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The EndpointSlices in etc/demo/ name these ports, and ./dev looks whether they are free.
DEMO = ("v1:9081", "v2:9082", "admin:9083")


class Echo(BaseHTTPRequestHandler):
    """Answers every request with its own method, path and headers and the backend's name."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one write for head and body: two would wait for a delayed ACK
    backend_name = ""

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        text = json.dumps({
            "backend": self.backend_name,
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body_bytes": len(body),
        }, indent=2) + "\n"
        out = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.send_header("X-Backend", self.backend_name)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(out)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        """Quiet: the gateway's access log tells the story."""


def serve(specs):
    """Serves every NAME:PORT until the process is told to stop."""
    for spec in specs:
        name, port = spec.rsplit(":", 1)
        handler = type("Handler", (Echo,), {"backend_name": name})
        server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


def wait_for(url, pid, seconds=30):
    """Waits until a URL answers 200; gives up when the process has gone."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not os.path.exists(f"/proc/{pid}"):
            return 1
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return 0
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    print(f"{url} does not answer 200", file=sys.stderr)
    return 1


def main(argv):
    if argv[:1] == ["--wait-for"] and len(argv) >= 4 and argv[-2] == "--pid":
        return max(wait_for(url, argv[-1]) for url in argv[1:-2])
    if any(":" not in spec for spec in argv):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        serve(argv or DEMO)
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
