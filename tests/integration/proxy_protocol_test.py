# SPDX-License-Identifier: Apache-2.0
"""PROXY protocol: who the client is, from a load balancer in front, and towards backends that ask for it."""
import contextlib
import ipaddress
import json
import socket
import struct
import unittest

from harness import gateway as gw
from harness import tls
from harness.case import Case, GatewayCase, until
from harness.client import Client
from harness.flows import Server, connect, named, read_exactly, read_line, tcp_route, tls_route
from harness.http2 import serving
from harness.manifests import anchors, app, gateway, gateway_class, listener, route, rule, secret, tls_policy

WEB = tls.self_signed("web.example")
WEB_AUTHORITY = tls.Authority()
PASSED = tls.self_signed("passed.example")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ANNOTATION = "hyperway.arloor.dev/proxy-protocol"


def v1(source="192.0.2.7", port=4711, destination="10.0.0.1", destination_port=443):
    """A header of version 1."""
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {port} {destination_port}\r\n".encode()


def v2(source="192.0.2.7", port=4711, destination="10.0.0.1", destination_port=443, command=1, extensions=b""):
    """A header of version 2."""
    ips = [ipaddress.ip_address(ip).packed for ip in (source, destination)]
    body = ips[0] + ips[1] + struct.pack("!HH", port, destination_port) + extensions
    return SIGNATURE + bytes([0x20 | command, 0x21 if ":" in source else 0x11]) + struct.pack("!H", len(body)) + body


def read_header(connection):
    """(source, port, destination, port) of a header of either version; the rest stays unread."""
    start = read_exactly(connection, 6)
    if start == b"PROXY ":
        word = read_line(connection).decode().split(" ")
        return word[1], int(word[3]), word[2], int(word[4])
    rest = read_exactly(connection, 10)
    body = read_exactly(connection, int.from_bytes(rest[8:10], "big"))
    size = 4 if rest[7] == 0x11 else 16
    ports = struct.unpack("!HH", body[2 * size:2 * size + 4])
    return (str(ipaddress.ip_address(body[:size])), ports[0], str(ipaddress.ip_address(body[size:2 * size])), ports[1])


def tell_header(connection, server):
    """A handler that keeps the header, and echoes a line."""
    server.heads.append(read_header(connection))
    connection.sendall(read_line(connection) + b"\n")


def http1(connection, server, header=None):
    """A handler that keeps the header, and answers each request with "ok"."""
    server.heads.append(header or read_header(connection))
    while True:
        if not read_line(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Adapter:
    """A socket as scripts of Backend know it."""

    def __init__(self, connection):
        self.socket, self.requests = connection, []

    def send(self, raw):
        """Sends bytes."""
        self.socket.sendall(raw)


class FromTheFront(GatewayCase):
    """Headers that come in."""

    limit_seconds = 60

    @classmethod
    def make(cls):
        cls.tcp = Server(named("tcp"))
        cls.passed = Server(named("passed"), tls=tls.server_context(PASSED))
        cls.asks = Server(tell_header)
        cls.addClassCleanup(lambda: [server.close() for server in (cls.tcp, cls.passed, cls.asks)])
        asks = app("asks", cls.asks)
        asks[0]["metadata"]["annotations"] = {ANNOTATION: "v2"}
        return gw.Gateway(
            gateway_class(),
            gateway([listener(), listener("https", 443, "HTTPS", "web.example", ["web"]),
                     {**listener("pass", 443, "TLS", "passed.example"), "tls": {"mode": "Passthrough"}},
                     listener("tcp", 9000, "TCP"), listener("asks", 9001, "TCP"), listener("plain", 81)]),
            secret("web", *WEB), *app("app", cls.backend("app")), *app("tcp", cls.tcp), *app("passed", cls.passed),
            *asks, route(), tls_route("pass", ["passed.example"], ["passed"]),
            tcp_route("tcp", ["tcp"], [{"name": "gw", "sectionName": "tcp"}]),
            tcp_route("asks", ["asks"], [{"name": "gw", "sectionName": "asks"}]),
            access_log={"format": "json"},
            settings={"proxy_protocol": {"ports": [80, 443, 9000, 9001], "trusted": ["127.0.0.1/32"]}})

    def forwarded(self, header, port=80, context=None, sni=None, split=None):
        """X-Forwarded-For that the backend got."""
        raw = connect(self.gateway.port(port))
        with raw:
            for part in ([header] if not split else [header[n:n + split] for n in range(0, len(header), split)]):
                raw.sendall(part)
            with context.wrap_socket(raw, server_hostname=sni) if context else raw as client:
                client.sendall(b"GET /x HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n")
                answer = b""
                while part := client.recv(1 << 16):
                    answer += part
            self.assertIn(b" 200 ", answer)
            return self.backends["app"].last().get("x-forwarded-for")

    def test_the_client_that_a_header_names_is_whom_backends_are_told_of(self):
        for header, client in ((v1(), "192.0.2.7"), (v2(), "192.0.2.7"),
                               (v1("2001:db8::7", 1, "2001:db8::1"), "2001:db8::7"),
                               (v2("2001:db8::7", 1, "2001:db8::1"), "2001:db8::7"),
                               (v2(extensions=b"\x02\x00\x03abc"), "192.0.2.7"),
                               (b"PROXY UNKNOWN\r\n", "127.0.0.1"), (v2(command=0), "127.0.0.1")):
            with self.subTest(header):
                self.assertEqual(self.forwarded(header), client)
                self.assertEqual(self.forwarded(header, split=1), client)
                self.assertEqual(self.forwarded(header, 443, tls.client_context(), "web.example"), client)

    def test_the_log_names_it_too_and_flows_do(self):
        for port, first in ((9000, b"tcp"), (443, b"passed")):
            with connect(self.gateway.port(port)) as raw:
                raw.sendall(v1("198.51.100.9"))
                client = raw if port == 9000 else tls.client_context().wrap_socket(
                    raw, server_hostname="passed.example")
                with client:
                    self.assertEqual(read_line(client), first)
        until(lambda: {"TCP", "TLS"} <= {json.loads(line)["protocol"] for line in self.gateway.logs().splitlines()
                                         if line.startswith("{") and "198.51.100.9" in line})

    def test_a_backend_that_asks_for_a_header_is_told_what_came_in(self):
        with connect(self.gateway.port(9001)) as client:
            client.sendall(v1("2001:db8::9", 77, "2001:db8::1", 88) + b"ping\n")
            self.assertEqual(read_line(client), b"ping")
        self.assertEqual(self.asks.heads[-1], ("2001:db8::9", 77, "2001:db8::1", 88))

    def test_a_connection_without_a_good_header_is_refused_and_counted(self):
        name = "hyperway_proxy_headers_refused_total"
        before = self.gateway.metric(name)
        bad = [b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
               b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ", SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
               v2(extensions=b"\x03\x00\x04\x00\x00\x00\x00"), v2()[:20]]
        taken = self.tcp.taken
        for port in (80, 9000):
            for sent in bad:
                with self.subTest(sent), connect(self.gateway.port(port)) as client:
                    with contextlib.suppress(OSError):  # A reset, at any time.
                        client.sendall(sent)
                        client.shutdown(socket.SHUT_WR)
                        self.assertEqual(client.recv(100), b"")
        self.assertEqual(self.gateway.metric(name) - before, 2 * len(bad))
        self.assertEqual(self.tcp.taken, taken)

    def test_other_ports_take_no_header(self):
        with connect(self.gateway.port(81)) as client:
            client.sendall(v1() + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b" 400 ", client.recv(1000))
        with Client(self.gateway.port(81)) as client:
            self.assertEqual(client.ask("GET", "/").status, 200)


class Strangers(Case):
    def test_a_peer_that_is_not_trusted_is_refused_whatever_it_sends(self):
        server = self.use(Server(named("tcp")))
        gateway_ = self.use(gw.Gateway(
            gateway_class(), gateway([listener("tcp", 9000, "TCP")]), *app("app", server), tcp_route(),
            settings={"proxy_protocol": {"ports": [9000], "trusted": ["192.0.2.0/24"]}}))
        with connect(gateway_.port(9000)) as client:
            with contextlib.suppress(OSError):
                client.sendall(v1())
                self.assertEqual(client.recv(10), b"")
        self.assertEqual(gateway_.metric("hyperway_proxy_headers_refused_total"), 1)
        self.assertEqual(server.taken, 0)

    def test_a_header_that_drips_is_cut_in_time(self):
        server = self.use(Server(named("tcp")))
        gateway_ = self.use(gw.Gateway(
            gateway_class(), gateway([listener("tcp", 9000, "TCP")]), *app("app", server), tcp_route(),
            settings={"proxy_protocol": {"ports": [9000], "trusted": ["127.0.0.1"]},
                      "timeouts": {"handshake": "300ms"}}))
        with connect(gateway_.port(9000)) as client:
            client.sendall(v1()[:10])
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(client.recv(10), b"")
        self.assertEqual(server.taken, 0)


class TowardsBackends(Case):
    """Headers that go out."""

    def asking(self, version, handler, name="app"):
        """A Service whose endpoints ask for a header."""
        server = self.use(Server(handler))
        objects = app(name, server)
        objects[0]["metadata"]["annotations"] = {ANNOTATION: version}
        return server, objects

    def test_a_flow_begins_with_it(self):
        for version in ("v1", "v2"):
            server, objects = self.asking(version, tell_header)
            with gw.Gateway(gateway_class(), gateway([listener("tcp", 9000, "TCP")]), *objects,
                            tcp_route()) as gateway_:
                port = gateway_.port(9000)
                with connect(port) as client:
                    client.sendall(b"ping\n")
                    self.assertEqual(read_line(client), b"ping")
                    self.assertEqual(server.heads, [("127.0.0.1", client.getsockname()[1], "127.0.0.1", port)])

    def test_an_http_connection_begins_with_it_and_serves_one_client(self):
        for version in ("v1", "v2"):
            server, objects = self.asking(version, http1)
            with gw.Gateway(gateway_class(), gateway(), *objects, route()) as gateway_, \
                    Client(gateway_.port()) as one, Client(gateway_.port()) as other:
                for client in (one, other, one):
                    self.assertEqual(client.ask("GET", "/").body, b"ok")
                expected = [("127.0.0.1", client.socket.getsockname()[1], "127.0.0.1", gateway_.port())
                            for client in (one, other, one)]
                self.assertEqual((server.heads, server.taken), (expected, 3))

    def test_it_goes_in_front_of_tls(self):
        context = tls.server_context(WEB_AUTHORITY.issue("app.example"))

        def secure(connection, server):
            header = read_header(connection)
            with context.wrap_socket(connection, server_side=True) as inside:
                http1(inside, server, header)
        server, objects = self.asking("v2", secure)
        gateway_ = self.use(gw.Gateway(gateway_class(), gateway([listener(), listener("tcp", 9000, "TCP")]), *objects,
                                       route(), tcp_route(), anchors("ca", WEB_AUTHORITY.certificate), tls_policy()))
        with Client(gateway_.port()) as client:
            self.assertEqual(client.ask("GET", "/").body, b"ok")
            self.assertEqual(server.heads[-1][1], client.socket.getsockname()[1])
        with connect(gateway_.port(9000)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"\r\n\r\nok", client.recv(1000))
            self.assertEqual(server.heads[-1][1], client.getsockname()[1])

    def test_http2_backends_get_it_too(self):
        def http2(connection, server):
            server.heads.append(read_header(connection))
            serving(lambda session, request: session.answer(request.stream, 200, b"ok"))(Adapter(connection))
        server, objects = self.asking("v1", http2)
        objects[0]["spec"]["ports"][0]["appProtocol"] = "kubernetes.io/h2c"
        gateway_ = self.use(gw.Gateway(gateway_class(), gateway(), *objects, route()))
        with Client(gateway_.port()) as one, Client(gateway_.port()) as other:
            for client in (one, other, one):
                self.assertEqual(client.ask("GET", "/").body, b"ok")
            self.assertEqual([head[1] for head in server.heads],
                             [client.socket.getsockname()[1] for client in (one, other, one)])
        until(lambda: gateway_.metric("hyperway_upstream_connections") == 0)

    def test_a_mirror_gets_it_too(self):
        server, copy = self.asking("v2", http1, "copy")
        plain = self.use(Server(lambda connection, server: http1(connection, server, "none")))
        gateway_ = self.use(gw.Gateway(
            gateway_class(), gateway(), *app("app", plain), *copy,
            route(rules=[rule(["app"], None, [{"type": "RequestMirror", "requestMirror": {
                "backendRef": {"name": "copy", "port": 8080}}}])])))
        with Client(gateway_.port()) as client:
            self.assertEqual(client.ask("GET", "/").body, b"ok")
            until(lambda: server.heads)
            self.assertEqual(server.heads, [("127.0.0.1", client.socket.getsockname()[1], "127.0.0.1", gateway_.port())])

    def test_a_value_that_nobody_knows_is_told_and_nothing_is_sent(self):
        server, objects = self.asking("v3", tell_header)
        gateway_ = self.use(gw.Gateway(gateway_class(), gateway(), *objects, route()))
        with Client(gateway_.port()) as client:
            self.assertEqual(client.ask("GET", "/").status, 500)
        condition = gateway_.condition("HTTPRoute/default/route", "ResolvedRefs")
        self.assertEqual((condition["status"], condition["reason"]), ("False", "UnsupportedProtocol"))
        self.assertIn(ANNOTATION, condition["message"])
        self.assertEqual(server.taken, 0)


if __name__ == "__main__":
    unittest.main()
