# SPDX-License-Identifier: Apache-2.0
"""Rules that users of the gateway's ancestor rely on; each test is named for the rule."""
import socket
import ssl
import time
import unittest

from harness import gateway as gw
from harness import probes, tls
from harness.backend import Backend, answer
from harness.case import Case, GatewayCase, patience, until
from harness.client import Client, ask
from harness.manifests import (app, backend_ref, endpoints, gateway, gateway_class, grant, listener, path_match,
                               route, rule, secret, service)
from harness.ports import free_port
from harness.tls import client_context


class OneFraming(GatewayCase):
    """Rule 1."""

    def test_content_length_with_transfer_encoding_never_reaches_a_backend(self):
        for first, second in (("Content-Length: 40", "Transfer-Encoding: chunked"),
                              ("Transfer-Encoding: chunked", "Content-Length: 40")):
            with self.subTest(first), Client(self.port) as client:
                client.send(f"POST /victim HTTP/1.1\r\nHost: a\r\n{first}\r\n{second}\r\n\r\n0\r\n\r\n")
                self.assertEqual(client.response().status, 400)
        self.assertEqual(self.app.requests, [])

    def test_the_next_users_request_is_never_swallowed(self):
        ask(self.port)  # A pooled connection that could be poisoned.
        with Client(self.port) as attacker:
            attacker.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "0\r\n\r\n")
            attacker.response()
        self.app.handler = lambda r: answer(200, r.target)
        for n in range(5):
            self.assertEqual(ask(self.port, "GET", f"/user{n}").body, f"/user{n}".encode())


class OneBadObjectStaysAlone(Case):
    """Rule 2."""

    def test_a_bad_secret_a_busy_port_and_a_large_weight_stop_nothing(self):
        good, backend = tls.self_signed("good.example"), self.use(Backend("app"))
        with socket.socket() as holder:
            busy = free_port()
            holder.bind(("127.0.0.1", busy))
            holder.listen()
            process = self.use(gw.Gateway(
                gateway_class(),
                gateway([listener(), listener("good", 443, "HTTPS", "good.example", ["good"]),
                         listener("bad", 443, "HTTPS", "bad.example", ["bad"]), listener("busy", 81)]),
                secret("good", *good), secret("bad", b"rubbish", b"rubbish"), *app("app", backend), route(),
                route("heavy", [rule([backend_ref("app", weight=100000)], [path_match("/heavy")])]),
                route("invalid", [{"backendRefs": [{"name": "app", "port": 8080, "weight": -1}]}], ["x.example"]),
                listen={80: free_port(), 443: free_port(), 81: busy}))
            self.assertEqual(ask(process.port()).status, 200)
            self.assertEqual(ask(process.port(), "GET", "/heavy").status, 200)
            self.assertEqual(ask(process.port(443), tls=client_context(), sni="good.example",
                                 host="good.example").status, 200)
            # And nothing is frozen: edits still take effect.
            process.apply(route("later", hostnames=["later.example"],
                                rules=[rule(["app"], [path_match("/later")])]))
            process.delete(route())
            until(lambda: ask(process.port()).status == 404)
            self.assertEqual(ask(process.port(), "GET", "/later", host="later.example").status, 200)


class Matching(GatewayCase):
    """Rule 3."""

    @classmethod
    def make(cls):
        names = ["foo", "long", "method", "host", "regex", "other"]
        return gw.Gateway(
            gateway_class(), gateway(), *[x for n in names for x in app(n, cls.backend(n))],
            service("nobody"), endpoints("nobody", [("127.0.0.1", free_port())]), service("empty"),
            route("paths", [rule(["foo"], [path_match("/foo")]), rule(["long"], [path_match("/a/b")]),
                            rule(["method"], [{**path_match("/a"), "method": "GET"}]),
                            rule(["regex"], [path_match("^/r[0-9]+$", "RegularExpression")]),
                            rule([backend_ref("foo"), backend_ref("other", weight=0)], [path_match("/zero")]),
                            rule(["unknown"], [path_match("/unknown")]),
                            rule(["nobody"], [path_match("/nobody")]), rule(["empty"], [path_match("/empty")])]),
            route("any", [rule(["other"], [path_match("/h")])], ["*.example.com"]),
            route("host", [rule(["host"], [path_match("/h")])], ["a.example.com"]))

    def test_a_prefix_covers_whole_path_elements_only(self):
        self.assertEqual(ask(self.port, "GET", "/foo/bar").body, b"foo")
        self.assertEqual(ask(self.port, "GET", "/foobar").status, 404)

    def test_a_longer_path_beats_a_method_match(self):
        self.assertEqual(ask(self.port, "GET", "/a/b").body, b"long")

    def test_the_more_specific_host_wins(self):
        self.assertEqual(ask(self.port, "GET", "/h", host="a.example.com").body, b"host")

    def test_anchored_regular_expressions_match(self):
        self.assertEqual(ask(self.port, "GET", "/r7").body, b"regex")

    def test_a_zero_weight_gets_no_traffic(self):
        for _ in range(50):
            self.assertEqual(ask(self.port, "GET", "/zero").body, b"foo")

    def test_an_unresolved_backend_is_500(self):
        self.assertEqual(ask(self.port, "GET", "/unknown").status, 500)

    def test_an_unreachable_backend_is_502_503_or_504(self):
        self.assertIn(ask(self.port, "GET", "/nobody").status, (502, 503, 504))
        self.assertEqual(ask(self.port, "GET", "/empty").status, 503)


class Identity(GatewayCase):
    """Rule 4."""

    def test_the_clients_host_reaches_the_backend(self):
        ask(self.port, host="shop.example:8080")
        self.assertEqual(self.app.last().get("host"), "shop.example:8080")

    def test_x_forwarded_for_and_proto_are_added(self):
        ask(self.port)
        self.assertEqual((self.app.last().get("x-forwarded-for"), self.app.last().get("x-forwarded-proto")),
                         ("127.0.0.1", "http"))


class Bounds(GatewayCase):
    """Rule 5."""

    limit_seconds = 60

    @classmethod
    def make(cls):
        return gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", *tls.self_signed("a.example")), *app("app", cls.backend("app")), route(),
            settings={"timeouts": {"header": "1s", "handshake": "1s"}, "limits": {"connections": 50}})

    def test_a_300_mb_upload_is_streamed(self):
        size = 300 << 20

        def script(connection):
            request = connection.read_head()
            left = request.length - len(connection.reader.buffer)
            connection.reader.buffer.clear()
            while left > 0:
                left -= len(connection.socket.recv(1 << 20) or b"x" * left)
            connection.send(answer(200, "got it"))
        self.app.script = script
        before, peak = probes.memory(self.gateway.pid)["rss"], 0
        with Client(self.port, timeout=50) as client:
            client.send(f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
            block = b"x" * (1 << 20)
            for n in range(300):
                client.send(block)
                if n % 20 == 0:
                    peak = max(peak, probes.memory(self.gateway.pid)["rss"])
            self.assertEqual(client.response().status, 200)
        self.assertLess(peak - before, (8 << 20) * (4 if gw.sanitized() else 1))

    def test_an_unfinished_head_and_an_unfinished_handshake_are_cut(self):
        for port in (self.port, self.gateway.port(443)):
            with Client(port) as client:
                client.send("GET / HTTP/1.1\r\nHost" if port == self.port else b"\x16\x03\x01")
                begin = time.monotonic()
                client.reader.rest()
                self.assertLess(time.monotonic() - begin, 1.5 * patience())

    def test_connections_are_limited(self):
        held, answered = [self.use(Client(self.port, timeout=2)) for _ in range(60)], 0
        for client in held:
            try:
                answered += client.ask("GET", "/").status == 200
            except Exception:  # noqa: BLE001 (turned away, whichever way)
                pass
        self.assertTrue(40 <= answered <= 50, answered)


class HostnamesOfListeners(GatewayCase):
    """Rule 6."""

    @classmethod
    def make(cls):
        return gw.Gateway(gateway_class(), gateway([listener(hostname="foo.example.com")]),
                          *app("app", cls.backend("app")), route(hostnames=["*.example.com"]))

    def test_a_listeners_hostname_bounds_its_routes(self):
        self.assertEqual(ask(self.port, host="foo.example.com").status, 200)
        self.assertEqual(ask(self.port, host="bar.example.com").status, 404)


class CertificatesOfOthers(Case):
    """Rule 7."""

    def test_a_certificate_from_another_namespace_needs_a_reference_grant(self):
        pair, backend = tls.self_signed("a.example"), self.use(Backend("app"))
        process = self.use(gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", "a.example", [("vault", "cert")])]),
            secret("cert", *pair, namespace="vault"), *app("app", backend), route()))

        def fetch():
            return ask(process.port(443), tls=client_context(), sni="a.example", host="a.example").status
        self.assertEqual(process.condition("Gateway/default/gw", "ResolvedRefs", "https")["reason"], "RefNotPermitted")
        with self.assertRaises((OSError, ssl.SSLError)):
            fetch()
        # A grant for another namespace or kind is none.
        process.apply(grant("wrong-ns", "Gateway", "elsewhere", "Secret", "vault"),
                      grant("wrong-kind", "HTTPRoute", "default", "Secret", "vault"),
                      grant("wrong-place", "Gateway", "default", "Secret", "default"),
                      grant("wrong-name", "Gateway", "default", "Secret", "vault", "other"))
        time.sleep(0.3)
        with self.assertRaises((OSError, ssl.SSLError)):
            fetch()
        process.apply(grant("right", "Gateway", "default", "Secret", "vault"))
        until(lambda: fetch() == 200, message="granted")

    def test_status_does_not_tell_whether_a_foreign_secret_exists(self):
        pair = tls.self_signed("a.example")

        def one(name, secret_name):
            return gateway([listener("https", 443, "HTTPS", f"{name}.example", [("vault", secret_name)])], name)
        process = self.use(gw.Gateway(gateway_class(), one("there", "present"), one("gone", "missing"),
                                      secret("present", *pair, namespace="vault")))
        there, gone = (process.condition(f"Gateway/default/{n}", "ResolvedRefs", "https") for n in ("there", "gone"))
        self.assertEqual((there["reason"], there["message"].replace("present", "X")),
                         (gone["reason"], gone["message"].replace("missing", "X")))

    def test_a_backend_of_another_namespace_needs_a_reference_grant(self):
        backend = self.use(Backend("far"))
        process = self.use(gw.Gateway(
            gateway_class(), gateway(), *app("app", backend, namespace="far"),
            route(rules=[rule([backend_ref("app", namespace="far")])])))
        self.assertEqual(ask(process.port()).status, 500)
        allowed = grant("right", "HTTPRoute", "default", "Service", "far")
        process.apply(allowed)
        until(lambda: ask(process.port()).status == 200)
        process.delete(allowed)
        until(lambda: ask(process.port()).status == 500)


class RotationWithoutGap(Case):
    """Rule 10."""

    limit_seconds = 60

    def test_a_certificate_rotation_never_closes_the_port(self):
        pairs = [tls.self_signed("a.example", serial=n) for n in (1, 2)]
        backend = self.use(Backend("app"))
        process = self.use(gw.Gateway(
            gateway_class(), gateway([listener("https", 443, "HTTPS", "a.example", ["cert"])]),
            secret("cert", *pairs[0]), *app("app", backend), route()))
        port = process.port(443)
        with Client(port, tls=client_context(), sni="a.example") as live:
            for n in range(60):
                process.apply(secret("cert", *pairs[n % 2]))
                self.assertEqual(ask(port, tls=client_context(), sni="a.example", host="a.example").status, 200)
                self.assertEqual(live.ask("GET", "/", host="a.example").status, 200)

    def test_a_secret_that_is_briefly_unreadable_takes_no_listener_down(self):
        pair = tls.self_signed("a.example")
        backend = self.use(Backend("app"))
        process = self.use(gw.Gateway(
            gateway_class(), gateway([listener("https", 443, "HTTPS", "a.example", ["cert"])]),
            secret("cert", *pair), *app("app", backend), route()))
        port = process.port(443)
        process.write("Secret-default-cert.yaml", "{ half of a manif")
        time.sleep(0.3)
        self.assertEqual(ask(port, tls=client_context(), sni="a.example", host="a.example").status, 200)
        process.apply(secret("cert", pair[0][:200], pair[1]))
        time.sleep(0.3)
        self.assertEqual(ask(port, tls=client_context(), sni="a.example", host="a.example").status, 200)


if __name__ == "__main__":
    unittest.main()
