# SPDX-License-Identifier: Apache-2.0
"""Time while bytes flow: who is silent is cut within 1.5 x the limit, who is slow is served to the end."""
import threading
import time
import unittest

from harness import gateway as gw
from harness import upgrade, wire
from harness.backend import answer
from harness.case import GatewayCase, patience, until
from harness.client import Client, ask

KIB, MIB = 1 << 10, 1 << 20
LARGE = 8 * MIB  # Of known length and above 256 KiB: spliced.


def read_exactly(connection, size):
    """Reads and drops so many bytes of a body."""
    left = size - len(connection.reader.buffer)
    connection.reader.buffer.clear()
    while left > 0:
        data = connection.socket.recv(min(left, 256 * KIB))
        if not data:
            raise wire.Truncated(f"{left} bytes are missing")
        left -= len(data)


class TimeCase(GatewayCase):
    limit_seconds = 60

    def within(self, begin, limit=1.0):
        """What RELIABILITY.md allows: the limit to 1.5 x the limit, from before the last byte that counts."""
        self.lasted(time.monotonic() - begin, limit)

    def lasted(self, took, limit=1.0):
        """The same of a time that was measured."""
        self.assertGreaterEqual(took, limit * 0.9)
        self.assertLessEqual(took, limit * 1.5 + 0.4 * (patience() - 1))


class Bodies(TimeCase):
    """Each limit is 1 s; what is slow takes several seconds in all."""

    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), settings={"timeouts": {
            "header": "1s", "idle": "1s", "body": "1s", "write": "1s", "response": "1s"}})

    def serve(self, size, chunked=False, stall_at=None):
        """Each answer is so large; a stall ends only when the gateway closes."""
        block = b"x" * (64 * KIB)

        def script(connection):
            while connection.read_request() is not None:
                connection.send(b"HTTP/1.1 200 OK\r\n" + (
                    b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % size))
                for sent in range(0, size, len(block)):
                    if stall_at is not None and sent >= stall_at:
                        self.stalled = time.monotonic()
                        connection.wait_for_close(10)
                        return
                    connection.send(b"10000\r\n" + block + b"\r\n" if chunked else block)
                if chunked:
                    connection.send(b"0\r\n\r\n")
        self.app.forget()  # Kept connections are served as they began.
        self.app.script = script

    def test_a_slow_reader_gets_the_whole_answer(self):
        # So slow that the kernel's buffer tells of no room for longer than any limit.
        for chunked in (False, True):
            with self.subTest(chunked=chunked), Client(self.port, receive_buffer=16 * KIB) as client:
                self.serve(LARGE, chunked)
                client.request("GET", "/")
                self.assertEqual(client.head().status, 200)
                begin, got = time.monotonic(), len(client.reader.buffer)
                while time.monotonic() - begin < 4:
                    data = client.socket.recv(8 * KIB)
                    self.assertTrue(data, f"cut after {got} bytes and {time.monotonic() - begin:.1f} s")
                    got += len(data)
                    time.sleep(0.05)
                if chunked:
                    while got < LARGE + 64:
                        data = client.socket.recv(MIB)
                        self.assertTrue(data, f"cut after {got} bytes")
                        got += len(data)
                else:
                    client.reader.buffer.clear()
                    read_exactly(client, LARGE - got + len(client.reader.buffer))
                    self.assertEqual(client.ask("GET", "/").status, 200)

    def test_a_reader_who_stops_in_a_spliced_answer_is_cut(self):
        self.serve(20 * LARGE)
        with Client(self.port, receive_buffer=16 * KIB) as client:
            client.request("GET", "/")
            self.assertEqual(client.head().status, 200)
            time.sleep(0.3)
            begin = time.monotonic()
            for _ in range(5):
                client.socket.recv(8 * KIB)
            until(lambda: self.app.connections[0].closed.is_set(), 6, "the backend's side is closed")
            self.within(begin)

    def test_a_backend_that_stalls_in_an_answer_is_cut_and_it_never_looks_complete(self):
        for chunked in (False, True):
            for stall_at in (64 * KIB, 4 * MIB):
                with self.subTest(chunked=chunked, stall_at=stall_at), Client(self.port) as client:
                    self.serve(LARGE, chunked, stall_at)
                    client.request("GET", "/")
                    with self.assertRaises(wire.Truncated):
                        client.response()
                    self.within(self.stalled)

    def test_a_client_that_stalls_in_a_large_upload_is_cut(self):
        for sent in (64 * KIB, 2 * MIB):
            with self.subTest(sent=sent), Client(self.port) as client:
                client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n")
                begin = time.monotonic()
                client.send(b"x" * sent)
                data = client.reader.rest()
                self.within(begin)
                self.assertTrue(data == b"" or data.startswith(b"HTTP/1.1 408 "), data[:80])
        self.assertFalse(any(r.complete for r in self.app.requests))

    def test_a_backend_that_stops_reading_a_large_upload_is_cut(self):
        def script(connection):
            if connection.read_head() is not None:
                connection.closed.wait(5)
        self.app.script = script
        with Client(self.port) as client:
            client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {20 * LARGE}\r\n\r\n")
            # The cut may let the send that hung succeed, and end the next one: the longest counts.
            block, sent, longest = b"x" * (64 * KIB), 0, 0
            try:
                while sent < 20 * LARGE:
                    begin = time.monotonic()
                    client.send(block)
                    sent, longest = sent + len(block), max(longest, time.monotonic() - begin)
            except OSError:
                longest = max(longest, time.monotonic() - begin)
            self.lasted(longest)
            self.assertLess(sent, 20 * LARGE)

    def test_a_slow_backend_gets_the_whole_upload(self):
        counts = []

        def script(connection):
            request = connection.read_head()
            if request is None:
                return
            got, begin = len(connection.reader.buffer), time.monotonic()
            while time.monotonic() - begin < 4:
                got += len(connection.socket.recv(8 * KIB))
                time.sleep(0.05)
            while got < request.length:
                data = connection.socket.recv(MIB)
                if not data:
                    break
                got += len(data)
            counts.append(got)
            connection.send(answer(200, str(got)))
        self.app.script = script
        with Client(self.port, timeout=20) as client:
            client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n")
            client.send(b"x" * LARGE)
            self.assertEqual(client.response().status, 200)
        self.assertEqual(counts, [LARGE])

    def test_a_slow_upload_leaves_the_backend_its_whole_time(self):
        # The time for an answer begins with the end of the request, not with its head.
        self.app.handler = lambda r: time.sleep(0.7) or answer(200, str(len(r.body)))
        part = b"x" * 40
        for name, head, tail in (("length", "Content-Length: 160\r\n\r\n", b""),
                                 ("chunked", "Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"),
                                 ("trailers", "Transfer-Encoding: chunked\r\n\r\n", b"0\r\nX: y\r\n\r\n")):
            with self.subTest(name), Client(self.port) as client:
                client.send(f"PUT / HTTP/1.1\r\nHost: a\r\n{head}")
                for _ in range(4):
                    time.sleep(0.4)
                    client.send(b"28\r\n" + part + b"\r\n" if tail else part)
                client.send(tail)
                got = client.response()
                self.assertEqual((got.status, got.body), (200, b"160"))

    def test_a_slow_spliced_upload_leaves_the_backend_its_whole_time(self):
        self.app.handler = lambda r: time.sleep(0.7) or answer(200, str(len(r.body)))
        with Client(self.port) as client:
            client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {4 * MIB}\r\n\r\n")
            for _ in range(4):
                time.sleep(0.4)
                client.send(b"x" * MIB)
            self.assertEqual(client.response().body, str(4 * MIB).encode())

    def test_a_kept_connection_has_its_idle_time_after_an_answer_that_was_read_slowly(self):
        self.serve(4 * MIB)
        with Client(self.port, receive_buffer=16 * KIB) as client:
            client.request("GET", "/")
            self.assertEqual(client.head().status, 200)
            time.sleep(0.6)
            read_exactly(client, 4 * MIB)
            time.sleep(0.6)
            begin = time.monotonic()
            self.assertEqual(client.ask("GET", "/").status, 200)
            client.closed_after(3 * patience())
            self.within(begin)


class Tunnels(TimeCase):
    """Only a tunnel without a byte in either direction is idle."""

    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), settings={"timeouts": {
            "header": "500ms", "idle": "500ms", "body": "500ms", "write": "500ms", "response": "500ms",
            "request": "500ms", "tunnel": "1500ms"}})

    def open(self):
        """A client behind its 101."""
        client = self.use(Client(self.port))
        client.send(upgrade.WEBSOCKET)
        self.assertEqual(client.response().status, 101)
        return client

    def test_an_idle_tunnel_is_closed_on_both_sides(self):
        self.app.script = upgrade.echo_tunnel
        client = self.open()
        begin = time.monotonic()
        client.send(b"ping")
        self.assertEqual(client.reader.take(4), b"ping")
        self.assertEqual(client.reader.rest(), b"")
        self.within(begin, 1.5)
        until(lambda: self.app.connections[0].closed.is_set(), 2)

    def test_a_tunnel_that_only_the_client_uses_is_not_idle(self):
        got = bytearray()

        def script(connection):
            connection.read_request()
            connection.send(upgrade.SWITCH)
            while connection.reader.buffer or connection.reader.fill():
                got.extend(connection.reader.buffer)
                connection.reader.buffer.clear()
        self.app.script = script
        client = self.open()
        for _ in range(8):
            client.send(b"one way")
            time.sleep(0.5)
        self.assertTrue(client.is_silent(0.1))
        until(lambda: bytes(got) == b"one way" * 8, 2)

    def test_a_tunnel_that_only_the_backend_uses_is_not_idle(self):
        over = threading.Event()

        def script(connection):
            connection.read_request()
            connection.send(upgrade.SWITCH)
            while not over.wait(0.5):
                connection.send(b"news")
        self.app.script = script
        self.addCleanup(over.set)
        client = self.open()
        self.assertEqual(client.reader.take(32), b"news" * 8)

    def test_a_client_that_sends_and_never_reads_is_cut(self):
        # What it sends is no excuse for what it does not take.
        self.app.script = upgrade.echo_tunnel
        client, block = self.open(), b"x" * (256 * KIB)
        client.socket.settimeout(0.2)
        begin = time.monotonic()

        def cut():
            try:
                client.socket.send(block)
            except TimeoutError:
                return False
            return False
        with self.assertRaises((ConnectionError, BrokenPipeError)):
            while time.monotonic() - begin < 6 * patience():
                cut()


class Limits(TimeCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), settings={"timeouts": {"request": "1s"}})

    def test_the_request_limit_ends_a_slow_answer_visibly(self):
        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.send(b"1\r\nx\r\n")
                time.sleep(0.1)
        self.app.script = script
        with Client(self.port) as client:
            begin = time.monotonic()
            client.request("GET", "/")
            with self.assertRaises(wire.Truncated):
                client.response()
            self.within(begin)
        self.app.script = None
        self.assertEqual(ask(self.port).status, 200)


if __name__ == "__main__":
    unittest.main()
