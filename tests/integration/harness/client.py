# SPDX-License-Identifier: Apache-2.0
"""A client of exact bytes: sends what it is told, reads with wire.py, measures how long things take."""
import select
import socket
import ssl
import struct
import time

from . import wire


class Client:
    """One connection. Use as a context manager. With `tls` (see tls.client_context) it is encrypted."""

    def __init__(self, port, host="127.0.0.1", timeout=10.0, tls=None, sni=None, receive_buffer=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect((host, port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname=sni)
        except BaseException:
            self.socket.close()
            raise
        self.reader = wire.Reader(self._receive)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _receive(self):
        try:
            return self.socket.recv(1 << 16)
        except (ConnectionResetError, ssl.SSLEOFError):
            return b""

    @property
    def local_port(self):
        """The port this side has."""
        return self.socket.getsockname()[1]

    def send(self, data):
        """Sends bytes, or text as Latin-1."""
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def drip(self, data, seconds_each):
        """Sends byte after byte until the peer answers or closes; returns how many went out."""
        for sent in range(len(data)):
            try:
                self.socket.sendall(data[sent:sent + 1])
            except OSError:
                return sent
            if select.select([self.socket], [], [], seconds_each)[0]:
                return sent + 1
        return len(data)

    def request(self, method, target, host="example.com", fields=(), body=None, version="HTTP/1.1"):
        """Sends one request; `fields` are pairs. A body is sent with Content-Length."""
        lines = [f"{method} {target} {version}", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines) + "\r\n\r\n")
        if body:
            self.send(body)
        return self

    def response(self, method="GET", timeout=None):
        """Reads one final response strictly."""
        if timeout is not None:
            self.socket.settimeout(timeout)
        return wire.read_response(self.reader, method)

    def head(self, method="GET", timeout=None):
        """Reads one response head, interim or final, and leaves the body."""
        if timeout is not None:
            self.socket.settimeout(timeout)
        return wire.read_response_head(self.reader, method)

    def ask(self, method, target, **kwargs):
        """request() and response() in one."""
        self.request(method, target, **kwargs)
        return self.response(method)

    def read_some(self, timeout=None):
        """Whatever comes next; b"" once the peer has closed."""
        if timeout is not None:
            self.socket.settimeout(timeout)
        if not self.reader.buffer:
            self.reader.fill()
        data = bytes(self.reader.buffer)
        self.reader.buffer.clear()
        return data

    def closed_after(self, timeout):
        """Seconds until the peer closes, reading nothing else; raises if bytes come or time is over."""
        begin = time.monotonic()
        self.socket.settimeout(timeout)
        try:
            data = self._receive() if not self.reader.buffer else bytes(self.reader.buffer)
        except TimeoutError:
            raise AssertionError(f"connection still open after {timeout} s") from None
        if data:
            raise AssertionError(f"bytes instead of a close: {data[:200]!r}")
        return time.monotonic() - begin

    def is_silent(self, seconds):
        """True if nothing comes and the peer does not close for so long."""
        self.socket.settimeout(seconds)
        try:
            if not self.reader.buffer:
                self._receive()
            return False
        except TimeoutError:
            return True

    def finish_sending(self):
        """Half-close: no more bytes from this side."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        """Closes."""
        self.socket.close()


def ask(port, method="GET", target="/", **kwargs):
    """One request on a connection of its own."""
    connection = {k: kwargs.pop(k) for k in ("tls", "sni", "timeout") if k in kwargs}
    with Client(port, **connection) as client:
        return client.ask(method, target, **kwargs)


def exchange(port, data, method="GET", timeout=10.0):
    """Sends bytes on a connection of its own and reads one response strictly."""
    with Client(port, timeout=timeout) as client:
        client.send(data)
        return client.response(method)
