# SPDX-License-Identifier: Apache-2.0
"""Tunnels: bytes without heads only after the backend's 101 to an upgrade that we forwarded."""
import time
import unittest

from harness import gateway as gw
from harness import probes
from harness.backend import answer
from harness.case import GatewayCase, until
from harness.client import Client, ask
from harness.frames import FrameClient, headers, request_lines
from harness.manifests import app, extension, filter_object, gateway, gateway_class, route, rule
from harness.upgrade import ACCEPT, SWITCH, WEBSOCKET, echo_tunnel, switch


class Tunnels(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), settings={"timeouts": {"request": "2s", "idle": "2s"}})

    def open(self, extra=b""):
        """A client whose upgrade was accepted."""
        client = self.use(Client(self.port))
        client.send(WEBSOCKET.encode() + extra)
        got = client.response()
        self.assertEqual(got.status, 101)
        self.assertEqual((got.get("upgrade").lower(), got.get("connection").lower()),
                         ("websocket", "upgrade"))
        self.assertEqual(got.get("sec-websocket-accept"), ACCEPT)
        return client

    def test_bytes_pass_both_ways_after_101(self):
        self.app.script = echo_tunnel
        client = self.open()
        asked = self.app.last()
        self.assertEqual((asked.get("upgrade").lower(), asked.get("connection").lower()),
                         ("websocket", "upgrade"))
        for size in (1, 10, 100000):
            blob = bytes(n % 251 for n in range(size))
            client.send(blob)
            self.assertEqual(client.reader.take(size), blob)

    def test_both_ends_of_a_silent_tunnel_are_asked_after(self):
        self.app.script = echo_tunnel
        client = self.open()
        client.send(b"x")
        self.assertEqual(client.reader.take(1), b"x")
        until(lambda: probes.asked_after(client.socket), message="the client")
        until(lambda: probes.asked_after(self.app.connections[-1].socket), message="the backend")

    def test_bytes_behind_the_101_are_not_lost(self):
        def script(connection):
            connection.read_request()
            connection.send(SWITCH + b"welcome")
            connection.wait_for_close(3)
        self.app.script = script
        self.assertEqual(self.open().reader.take(7), b"welcome")

    def test_bytes_of_a_hasty_client_wait_for_the_101(self):
        early = []

        def script(connection):
            connection.read_request()
            connection.socket.settimeout(0.3)
            try:
                early.append(connection.socket.recv(100))
            except TimeoutError:
                early.append(None)
            connection.socket.settimeout(5)
            connection.send(SWITCH)
            connection.send(connection.reader.take(5))
        self.app.script = script
        client = self.open(b"hasty")
        self.assertEqual(client.reader.take(5), b"hasty")
        self.assertEqual(early, [None], "bytes reached the backend before its 101")

    def test_each_end_closes_the_other(self):
        self.app.script = echo_tunnel
        client = self.open()
        client.close()
        until(lambda: self.app.connections[0].closed.is_set(), message="backend side closed")

        def script(connection):
            connection.read_request()
            connection.send(SWITCH + b"bye")
        self.app.script = script
        client = self.open()
        self.assertEqual(client.reader.rest(), b"bye")

    def test_half_close_passes_through(self):
        def script(connection):
            connection.read_request()
            connection.send(SWITCH)
            data = connection.reader.rest()
            connection.send(b"got " + data)
        self.app.script = script
        client = self.open()
        client.send(b"all").finish_sending()
        self.assertEqual(client.reader.rest(), b"got all")

    def test_a_tunnel_outlives_the_request_timeout(self):
        self.app.script = echo_tunnel
        client = self.open()
        for _ in range(6):
            time.sleep(0.5)
            client.send(b"ping")
            self.assertEqual(client.reader.take(4), b"ping")

    def test_a_refused_upgrade_is_an_ordinary_answer(self):
        self.app.handler = lambda r: answer(426, "no tunnels", [("Connection", "Upgrade"),
                                                                ("Upgrade", "websocket")])
        with Client(self.port) as client:
            client.send(WEBSOCKET)
            self.assertEqual(client.response().status, 426)

    def test_after_a_refused_upgrade_bytes_are_requests_again(self):
        with Client(self.port) as client:
            client.send(WEBSOCKET)
            self.assertEqual(client.response().status, 200)
            client.request("GET", "/next")
            self.assertEqual(client.response().status, 200)
        self.assertEqual([r.target for r in self.app.requests], ["/ws", "/next"])

    def test_a_101_that_nobody_asked_for_is_502(self):
        self.app.script = echo_tunnel
        with Client(self.port) as client:
            client.request("GET", "/")
            self.assertEqual(client.response().status, 502)

    def test_a_101_to_another_protocol_is_502(self):
        def script(connection):
            connection.read_request()
            connection.send(SWITCH.replace(b"websocket", b"h2c"))
            connection.wait_for_close(3)
        self.app.script = script
        with Client(self.port) as client:
            client.send(WEBSOCKET)
            self.assertEqual(client.response().status, 502)

    def test_h2c_and_unknown_protocols_are_not_forwarded_as_upgrades(self):
        for token in ("h2c", "TLS/1.0", "something"):
            with self.subTest(token), Client(self.port) as client:
                client.send(f"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                            f"Upgrade: {token}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
                got = client.response()
                self.assertNotEqual(got.status, 101)
                for request in self.app.requests:
                    self.assertEqual((request.all("upgrade"), request.all("http2-settings"),
                                      request.all("connection")), ([], [], []))

    def test_an_upgrade_with_a_body_never_makes_a_tunnel(self):
        self.app.script = echo_tunnel
        for body in ("Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            with self.subTest(body), Client(self.port) as client:
                client.send(WEBSOCKET[:-2] + body)
                self.assertIn(client.response().status, (400, 502))

    def test_an_upgrade_that_connection_does_not_name_is_none(self):
        with Client(self.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n")
            self.assertIn(client.response().status, (200, 400))
        for request in self.app.requests:
            self.assertEqual(request.all("upgrade"), [])

    def test_an_upgrade_by_http10_is_none(self):
        with Client(self.port) as client:
            client.send(WEBSOCKET.replace("HTTP/1.1", "HTTP/1.0"))
            self.assertIn(client.response().status, (200, 400))
        for request in self.app.requests:
            self.assertEqual(request.all("upgrade"), [])

    def test_a_tunnel_is_never_a_pooled_connection(self):
        self.app.script = echo_tunnel
        self.open().close()
        self.app.script = None
        self.assertEqual(ask(self.port).status, 200)
        self.assertEqual([len(c.requests) for c in self.app.connections], [1, 1])


class Refused(GatewayCase):
    """A filter answers in the place of the backend's 101: JSON that is compressed cannot be masked."""

    @classmethod
    def make(cls):
        return gw.Gateway(gateway_class(), gateway(), *app("app", cls.backend("app", script=cls.script)),
                          filter_object("mask", "json_mask", {"fields": ["x"]}),
                          route(rules=[rule(filters=[extension("mask")])]))

    @staticmethod
    def script(connection):
        """Opens each tunnel so, and answers all that asks for none."""
        while (request := connection.read_request()) is not None:
            if not request.get("upgrade"):
                connection.send(answer(200, b"{}"))
                continue
            connection.send(switch(request.get("sec-websocket-key"))[:-2]
                            + b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n\r\nbytes")
            connection.wait_for_close(3)

    def ended(self):
        """No stream is left, and the tunnel's connection is closed."""
        until(lambda: self.gateway.metric("hyperway_requests_active") == 0, message="no stream is left")
        until(lambda: self.app.connections[0].closed.is_set(), message="backend side closed")

    def test_the_client_goes_on_with_http1(self):
        with Client(self.port) as client:
            client.send(WEBSOCKET)
            got = client.response()
            self.assertEqual((got.status, got.body), (502, b"the response cannot be masked\n"))
            self.ended()
            client.request("GET", "/next")
            self.assertEqual(client.response().status, 200)
        self.assertEqual([len(c.requests) for c in self.app.connections], [1, 1])

    def test_the_client_goes_on_with_http2(self):
        client = self.use(FrameClient(self.port))
        client.send(headers(1, [(":method", "CONNECT"), (":protocol", "websocket"), *request_lines()[1:],
                                ("sec-websocket-version", "13")], end=False))
        client.until(lambda c: 1 in c.answers and c.answers[1].ended)
        got = client.answers[1]
        self.assertEqual((got.status, bytes(got.body)), (502, b"the response cannot be masked\n"))
        self.ended()
        client.send(headers(3, request_lines(), end=True))
        client.until(lambda c: 3 in c.answers and c.answers[3].ended)
        self.assertEqual(client.answers[3].status, 200)


if __name__ == "__main__":
    unittest.main()
