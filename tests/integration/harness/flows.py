# SPDX-License-Identifier: Apache-2.0
"""Connections as they are: servers that handle a socket, and routes for them."""
import contextlib
import hashlib
import socket
import struct
import threading

from .manifests import GATEWAY_GROUP, backend_ref


class Server:
    """A TCP server; `handler(socket, server)` runs in a thread for each connection."""

    def __init__(self, handler, tls=None, host="127.0.0.1", backlog=128):
        self.handler, self.tls = handler, tls
        self.listening = socket.create_server((host, 0), backlog=backlog)
        self.host, self.port = self.listening.getsockname()[:2]
        self.taken = 0
        self.heads = []  # What handlers want to tell.
        self._lock, self._open = threading.Lock(), set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with self._lock:
                self.taken += 1
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        raw = connection
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            self.handler(connection, self)
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                connection.close()
            with self._lock:
                self._open.discard(raw)

    def close(self):
        """Ends the server and its connections."""
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def echo(connection, _server=None):
    """Sends back what comes, up to the end."""
    while data := connection.recv(1 << 16):
        connection.sendall(data)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


def named(name):
    """A handler that says its name first and echoes then."""
    def handle(connection, server):
        connection.sendall(name.encode() + b"\n")
        echo(connection, server)
    return handle


def read_line(connection):
    """One line, byte by byte, without its end."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError(f"ended after {line!r}")
        line += byte
    return line.rstrip(b"\r\n")


def read_exactly(connection, size):
    """So many bytes."""
    out = b""
    while len(out) < size:
        part = connection.recv(size - len(out))
        if not part:
            raise ConnectionError(f"ended after {len(out)} bytes of {size}")
        out += part
    return out


def connect(port, host="127.0.0.1", timeout=20):
    """A client's socket."""
    return socket.create_connection((host, port), timeout=timeout)


def reset(connection):
    """Closes with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def is_reset(connection):
    """Reads until the end: True if it is a reset."""
    try:
        while connection.recv(1 << 16):
            pass
        return False
    except ConnectionResetError:
        return True


def resets(port, timeout=20):
    """True if a new connection is reset, even before it is known to be up."""
    try:
        with connect(port, timeout=timeout) as client:
            return is_reset(client)
    except ConnectionResetError:
        return True


def send_pattern(connection, size):
    """Sends `size` bytes that depend on their place; their SHA-256."""
    digest, sent = hashlib.sha256(), 0
    while sent < size:
        block = (sent.to_bytes(8, "big") * (1 << 13))[:min(1 << 16, size - sent)]
        digest.update(block)
        connection.sendall(block)
        sent += len(block)
    return digest.hexdigest()


def digest_of(connection):
    """(bytes, SHA-256) of all that comes."""
    digest, size = hashlib.sha256(), 0
    while data := connection.recv(1 << 18):
        digest.update(data)
        size += len(data)
    return size, digest.hexdigest()


def tcp_route(name="tcp", backends=("app",), parents=None, namespace="default", created=None):
    """A TCPRoute, attached to Gateway gw unless told otherwise."""
    return _route("TCPRoute", "v1alpha2", name, backends, parents, namespace, created)


def tls_route(name="tls", hostnames=("a.example",), backends=("app",), parents=None, namespace="default", created=None):
    """A TLSRoute, attached to Gateway gw unless told otherwise."""
    out = _route("TLSRoute", "v1", name, backends, parents, namespace, created)
    out["spec"]["hostnames"] = list(hostnames)
    return out


def _route(kind, version, name, backends, parents, namespace, created):
    meta = {"name": name, "namespace": namespace}
    if created:
        meta["creationTimestamp"] = created
    refs = [backend_ref(b) if isinstance(b, str) else b for b in backends]
    rule = {"backendRefs": refs} if refs else {}
    return {"apiVersion": f"{GATEWAY_GROUP}/{version}", "kind": kind, "metadata": meta,
            "spec": {"parentRefs": parents or [{"name": "gw"}], "rules": [rule]}}
