# SPDX-License-Identifier: Apache-2.0
"""Bounds on what a client may ask for, each with its status, and on the time it may take."""
import time
import unittest

from harness import gateway as gw
from harness import tls
from harness.backend import answer
from harness.case import GatewayCase, patience, until
from harness.client import Client, ask, exchange
from harness.manifests import gateway, gateway_class, app, listener, route, secret

LIMITS = {
    "limits": {"head_bytes": 8192, "fields": 40, "uri_bytes": 2048, "body_bytes": 100000,
               "connections": 20},
    "timeouts": {"header": "1s", "idle": "1s", "body": "1s", "write": "1s", "handshake": "1s", "response": "1s"},
}


class Sizes(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), settings={"limits": LIMITS["limits"]})

    def test_a_head_of_the_limit_passes_and_above_is_431(self):
        self.assertEqual(ask(self.port, fields=[("X-Big", "x" * 7000)]).status, 200)
        self.assertEqual(ask(self.port, fields=[("X-Big", "x" * 9000)]).status, 431)

    def test_too_many_fields_are_431(self):
        self.assertEqual(ask(self.port, fields=[(f"X-{n}", "") for n in range(30)]).status, 200)
        self.assertEqual(ask(self.port, fields=[(f"X-{n}", "") for n in range(60)]).status, 431)

    def test_a_long_target_is_414(self):
        self.assertEqual(ask(self.port, "GET", "/" + "a" * 2000).status, 200)
        self.assertEqual(ask(self.port, "GET", "/" + "a" * 3000).status, 414)
        self.assertEqual(ask(self.port, "GET", "/?" + "a" * 3000).status, 414)

    def test_a_line_without_end_is_cut_at_the_limit(self):
        with Client(self.port) as client:
            try:
                client.send("GET /" + "a" * 200000)
            except OSError:
                pass
            self.assertIn(client.response().status, (414, 431))

    def test_a_body_of_the_limit_passes_and_above_is_413(self):
        self.assertEqual(ask(self.port, "POST", "/", body=b"x" * 100000).status, 200)
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n")
            self.assertEqual(client.response().status, 413)
        # A length that is known is refused before the backend hears of it.
        self.assertEqual(len(self.app.requests), 1)

    def test_a_chunked_body_above_the_limit_is_413(self):
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                for _ in range(20):
                    client.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                client.send("0\r\n\r\n")
            except OSError:
                pass
            self.assertEqual(client.response().status, 413)

    def test_refusals_close_the_connection(self):
        for data, status in (("GET / HTTP/1.1\r\nHost: a\r\nX: " + "x" * 20000 + "\r\n\r\n", 431),
                             ("GET /" + "a" * 3000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
                             ("GET / HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n", 400)):
            with self.subTest(status=status), Client(self.port) as client:
                client.send(data)
                got = client.response()
                self.assertEqual((got.status, (got.get("connection") or "").lower()), (status, "close"))
                self.assertEqual(client.reader.rest(), b"")

    def test_an_unknown_version_is_505(self):
        for line in ("GET / HTTP/2.0", "GET / HTTP/3.0"):
            with self.subTest(line):
                self.assertEqual(exchange(self.port, f"{line}\r\nHost: a\r\n\r\n").status, 505)

    def test_an_unknown_coding_is_501_or_400(self):
        for coding in ("gzip, chunked", "gzip", "identity", "chunked, chunked", "\x0bchunked"):
            with self.subTest(coding):
                got = exchange(self.port, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                               f"{coding}\r\n\r\n0\r\n\r\n")
                self.assertIn(got.status, (400, 501))
        self.assertEqual(self.app.requests, [])

    def test_trailers_are_bounded(self):
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
            try:
                for n in range(2000):
                    client.send(f"X-{n}: {'y' * 100}\r\n")
            except OSError:
                pass
            self.assertIn(client.response().status, (400, 431))


class Times(GatewayCase):
    @classmethod
    def make(cls):
        cert = tls.self_signed("a.example")
        return gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", certificates=["cert"])]),
            secret("cert", *cert), *app("app", cls.backend("app")), route(),
            settings={"timeouts": LIMITS["timeouts"]})

    def within(self, seconds, limit=1.0):
        """What RELIABILITY.md allows: 1.5 x the limit."""
        self.assertGreaterEqual(seconds, limit * 0.9)
        self.assertLessEqual(seconds, limit * 1.5 + 0.3 * (patience() - 1))

    def test_a_dripping_head_is_cut_by_total_time(self):
        with Client(self.port) as client:
            begin = time.monotonic()
            client.drip(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"x" * 1000, 0.05)
            self.within(time.monotonic() - begin)
            self.assertEqual(self.app.requests, [])

    def test_an_unfinished_head_gets_408_or_a_close(self):
        with Client(self.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n")
            begin = time.monotonic()
            data = client.reader.rest()
            self.within(time.monotonic() - begin)
            self.assertTrue(data == b"" or data.startswith(b"HTTP/1.1 408 "), data)

    def test_a_connection_that_never_speaks_is_closed(self):
        with Client(self.port) as client:
            self.within(client.closed_after(3 * patience()))

    def test_an_idle_connection_is_closed(self):
        with Client(self.port) as client:
            client.ask("GET", "/")
            self.within(client.closed_after(3 * patience()))

    def test_a_silent_tls_handshake_is_cut(self):
        with Client(self.gateway.port(443)) as client:
            self.within(client.closed_after(3 * patience()))

    def test_a_dripping_tls_handshake_is_cut(self):
        with Client(self.gateway.port(443)) as client:
            begin = time.monotonic()
            client.drip(bytes.fromhex("16030102000100") + b"\x01" * 500, 0.05)
            self.within(time.monotonic() - begin)

    def test_a_backend_that_never_answers_is_504(self):
        self.app.script = lambda connection: connection.read_request() and connection.wait_for_close(5)
        begin = time.monotonic()
        self.assertEqual(ask(self.port).status, 504)
        self.within(time.monotonic() - begin)

    def test_an_answer_that_stalls_never_looks_complete(self):
        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            connection.wait_for_close(5)
        self.app.script = script
        with Client(self.port) as client:
            client.request("GET", "/")
            self.assertEqual(client.head().status, 200)
            begin = time.monotonic()
            self.assertEqual(client.reader.rest(), b"half")
            self.assertLess(time.monotonic() - begin, 2.0 * patience())

    def test_a_body_that_stalls_is_cut(self):
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
            begin = time.monotonic()
            data = client.reader.rest()
            self.within(time.monotonic() - begin)
            self.assertTrue(data == b"" or data[:12] in (b"HTTP/1.1 408", b"HTTP/1.1 504"), data)

    def test_a_client_that_does_not_read_is_cut(self):
        def script(connection):
            connection.read_request()
            connection.socket.settimeout(8)
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(10000):
                connection.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        self.app.script = script
        with Client(self.port, receive_buffer=4096) as client:
            client.request("GET", "/")
            begin = time.monotonic()
            until(lambda: self.app.connections and self.app.connections[0].closed.is_set(), 6)
            self.assertLess(time.monotonic() - begin, 4.0 * patience())


class RouteTimes(GatewayCase):
    @classmethod
    def make(cls):
        backend = cls.backend("app")
        return gw.Gateway(
            gateway_class(), gateway(), *app("app", backend),
            route("request", [{"matches": [{"path": {"type": "PathPrefix", "value": "/request"}}],
                               "timeouts": {"request": "300ms"},
                               "backendRefs": [{"name": "app", "port": 8080}]}]),
            route("backend", [{"matches": [{"path": {"type": "PathPrefix", "value": "/backend"}}],
                               "timeouts": {"request": "5s", "backendRequest": "300ms"},
                               "backendRefs": [{"name": "app", "port": 8080}]}]),
            route("none", [{"matches": [{"path": {"type": "PathPrefix", "value": "/none"}}],
                            "timeouts": {"request": "0s"},
                            "backendRefs": [{"name": "app", "port": 8080}]}]),
            settings={"timeouts": {"request": "1s"}})

    def test_the_routes_own_timeouts_are_504_in_time(self):
        def handler(_):
            time.sleep(1.0)
            return answer(200)
        self.app.handler = handler
        for path in ("/request", "/backend"):
            with self.subTest(path):
                begin = time.monotonic()
                self.assertEqual(ask(self.port, "GET", path).status, 504)
                self.assertLess(time.monotonic() - begin, 0.45 * patience() + 0.1)

    def test_zero_switches_the_timeout_off(self):
        def handler(_):
            time.sleep(1.6)
            return answer(200, "late")
        self.app.handler = handler
        self.assertEqual(ask(self.port, "GET", "/none").body, b"late")


class Count(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), settings={"limits": {"connections": 20}})

    def test_connections_above_the_limit_are_turned_away_and_others_are_served(self):
        held = [self.use(Client(self.port)) for _ in range(20)]
        for client in held:
            self.assertEqual(client.ask("GET", "/").status, 200)
        with Client(self.port, timeout=3) as client:
            try:
                client.request("GET", "/")
                data = client.reader.rest()
            except (OSError, TimeoutError):
                data = b""
            self.assertTrue(data == b"" or data.startswith(b"HTTP/1.1 503 "), data)
        for client in held:
            self.assertEqual(client.ask("GET", "/").status, 200)
        held[0].close()
        until(lambda: ask(self.port, timeout=2).status == 200, 3)


if __name__ == "__main__":
    unittest.main()
