# SPDX-License-Identifier: Apache-2.0
"""A backend that does exactly what a test says, and keeps exactly what reached it.

By default every connection is read with wire.py and every request answered by `handler`. A `script`
takes a whole connection instead and may do anything: answer early, cut, reset, stay silent.
"""
import contextlib
import json
import socket
import ssl
import struct
import threading
import time

from . import wire


def answer(status=200, body=b"", fields=(), reason="Reason"):
    """The bytes of a response with Content-Length."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name}: {value}" for name, value in fields]
    if status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def chunked(parts, trailers=()):
    """A chunked body."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n"
    out += b"".join(f"{name}: {value}\r\n".encode() for name, value in trailers)
    return out + b"\r\n"


class Connection:
    """One accepted connection."""

    def __init__(self, sock, index):
        self.socket = sock
        self.index = index
        self.requests = []
        self.error = None       # wire.Ambiguous or wire.Truncated, if reading met one.
        self.tls_error = None   # ssl.SSLError or OSError, if the handshake failed.
        self.closed = threading.Event()
        self.reader = wire.Reader(self._receive)

    def _receive(self):
        try:
            return self.socket.recv(1 << 16)
        except (ConnectionResetError, ssl.SSLEOFError):
            return b""

    @property
    def raw(self):
        """All bytes that came."""
        return bytes(self.reader.raw)

    def read_head(self):
        """Reads a request head; it is recorded at once. None where the peer closed."""
        request = wire.read_request_head(self.reader)
        if request is not None:
            self.requests.append(request)
        return request

    def read_body(self, request):
        """Reads the body of a request whose head was read."""
        wire.read_body(self.reader, request)
        return request

    def read_request(self):
        """Reads a whole request, or None."""
        request = self.read_head()
        return request and self.read_body(request)

    def send(self, data):
        """Sends bytes."""
        self.socket.sendall(data)

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        """Closes in order; bytes already sent arrive."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self.socket.close()

    def wait_for_close(self, timeout=10.0):
        """True if the gateway closes this connection within the time; reads what comes before."""
        end = time.monotonic() + timeout
        try:
            while time.monotonic() < end:
                self.socket.settimeout(max(0.01, end - time.monotonic()))
                if not self.socket.recv(1 << 16):
                    return True
        except (TimeoutError, BlockingIOError):
            return False
        except OSError:
            return True
        return False


def echo(request):
    """The usual handler: what was asked, as JSON."""
    return answer(200, json.dumps({
        "method": request.method, "target": request.target, "fields": request.fields,
        "body_bytes": len(request.body)}), [("Content-Type", "application/json")])


class Backend:
    """Listens on an ephemeral port of 127.0.0.1 (or `host`) until close()."""

    def __init__(self, name="backend", handler=None, script=None, host="127.0.0.1", port=0, tls=None):
        self.name = name
        self.tls = tls  # A context of tls.server_context(); None: plain text.
        self.handler = handler or (lambda request: answer(200, self.name, [("X-Backend", self.name)]))
        self._first_handler = self.handler
        self.script = script
        self._first_script = script
        self.connections = []
        self._lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen(512)
        self.host, self.port = self._listener.getsockname()[:2]
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                connection = Connection(sock, len(self.connections))
                self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.tls is not None and not self._secure(connection):
                return
            if self.script is not None:
                self.script(connection)
            else:
                self._answer_all(connection)
        except (wire.Ambiguous, wire.Truncated) as error:
            connection.error = error
        except (OSError, ValueError):
            pass  # The gateway cut the connection; tests look at what arrived.
        finally:
            with contextlib.suppress(OSError):
                connection.socket.close()
            connection.closed.set()

    def _secure(self, connection):
        try:
            connection.socket = self.tls.wrap_socket(connection.socket, server_side=True)
        except OSError as error:  # ssl.SSLError is one.
            connection.tls_error = error
            return False
        return True

    def _answer_all(self, connection):
        while True:
            request = connection.read_head()
            if request is None:
                return
            if request.get("expect") == "100-continue" and not connection.reader.buffer:
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = self.handler(connection.read_body(request))
            if isinstance(data, str):
                data = data.encode("latin-1")
            if request.method == "HEAD":
                data = data[:data.index(b"\r\n\r\n") + 4]
            connection.send(data)
            if (request.get("connection") or "").lower() == "close":
                connection.close()
                return

    @property
    def requests(self):
        """All requests of all connections, in order of connections."""
        with self._lock:
            return [r for c in self.connections for r in c.requests]

    @property
    def ambiguous(self):
        """What reached this backend that could be read two ways."""
        with self._lock:
            return [c.error for c in self.connections if isinstance(c.error, wire.Ambiguous)]

    @property
    def open_connections(self):
        """How many connections are open now."""
        with self._lock:
            return sum(not c.closed.is_set() for c in self.connections)

    def forget(self):
        """Between tests: forgets records, restores the first handler and script, ends old connections."""
        self.handler, self.script = self._first_handler, self._first_script
        with self._lock:
            old, self.connections = self.connections, []
        for connection in old:
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        for connection in old:
            connection.closed.wait(2)

    def last(self):
        """The latest request."""
        return self.requests[-1]

    def stop_listening(self):
        """New connections are refused; open ones go on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self):
        """Stops listening and cuts every connection."""
        if not self._open:
            return
        self._open = False
        self.stop_listening()
        with self._lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)
