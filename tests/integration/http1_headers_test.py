# SPDX-License-Identifier: Apache-2.0
"""Fields that a gateway removes, keeps and adds (RFC 9110 7.6, RFC 7239's elder siblings)."""
import re
import unittest

from harness import gateway as gw
from harness.backend import answer
from harness.case import GatewayCase
from harness.client import Client, ask, exchange

HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "te", "upgrade", "proxy-authenticate",
              "http2-settings")


class HopByHop(GatewayCase):
    def test_fields_of_one_hop_end_at_the_gateway_on_the_way_in(self):
        got = ask(self.port, fields=[("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"),
                                     ("Proxy-Connection", "keep-alive"), ("TE", "gzip"),
                                     ("X-Stays", "1")])
        self.assertEqual(got.status, 200)
        asked = self.app.last()
        for name in HOP_BY_HOP:
            self.assertEqual(asked.all(name), [], name)
        self.assertEqual(asked.get("x-stays"), "1")

    def test_fields_named_by_connection_end_at_the_gateway_on_the_way_in(self):
        ask(self.port, fields=[("Connection", "X-One, x-two"), ("X-One", "1"), ("X-TWO", "2"),
                               ("Connection", "X-Three"), ("X-Three", "3"), ("X-Four", "4")])
        asked = self.app.last()
        self.assertEqual([asked.all(f"x-{n}") for n in ("one", "two", "three", "four")],
                         [[], [], [], ["4"]])

    def test_fields_named_by_connection_end_at_the_gateway_on_the_way_out(self):
        self.app.handler = lambda r: answer(200, "x", [
            ("Connection", "X-One, keep-alive"), ("X-One", "1"), ("Keep-Alive", "timeout=9"),
            ("X-Two", "2"), ("Proxy-Connection", "keep-alive")])
        got = ask(self.port)
        self.assertEqual((got.all("x-one"), got.all("keep-alive"), got.all("x-two"),
                          got.all("proxy-connection")), ([], [], ["2"], []))
        self.assertNotIn("x-one", (got.get("connection") or "").lower())

    def test_connection_cannot_name_what_the_gateway_relies_on(self):
        for name in ("Host", "Content-Length", "Transfer-Encoding", "X-Forwarded-For", "Authorization",
                     "Cookie", "X-Forwarded-Proto"):
            with self.subTest(name):
                got = ask(self.port, fields=[("Connection", name), ("X-Forwarded-For", "1.2.3.4"),
                                             ("Authorization", "a"), ("Cookie", "b=c")])
                self.assertEqual(got.status, 400)
        self.assertEqual(self.app.requests, [])

    def test_the_order_and_spelling_of_other_fields_is_kept(self):
        ask(self.port, fields=[("x-B", "1"), ("X-a", "2"), ("x-B", "3"), ("Accept", "*/*")])
        names = [(n, v) for n, v in self.app.last().fields if n.lower() in ("x-a", "x-b", "accept")]
        self.assertEqual(names, [("x-B", "1"), ("X-a", "2"), ("x-B", "3"), ("Accept", "*/*")])

    def test_trailer_is_announced_only_as_field_not_smuggled(self):
        for field in ("Content-Length: 3", "Transfer-Encoding: chunked", "Host: evil", "Connection: close",
                      "Authorization: x"):
            with self.subTest(field):
                with Client(self.port) as client:
                    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                f"1\r\na\r\n0\r\n{field}\r\n\r\n")
                    self.assertEqual(client.response().status, 400)


class Identity(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), settings={"trace_context": True})

    def test_host_is_kept_as_the_client_sent_it(self):
        for host in ("example.com", "Example.COM:8080", "[::1]:80", "127.0.0.1"):
            with self.subTest(host):
                ask(self.port, host=host)
                self.assertEqual(self.app.last().get("host"), host)

    def test_forwarded_fields_are_added(self):
        ask(self.port, host="shop.example")
        asked = self.app.last()
        self.assertEqual((asked.get("x-forwarded-for"), asked.get("x-forwarded-proto"),
                          asked.get("x-forwarded-host")), ("127.0.0.1", "http", "shop.example"))

    def test_forwarded_fields_of_strangers_are_replaced(self):
        ask(self.port, fields=[("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"),
                               ("X-Forwarded-Host", "evil")])
        asked = self.app.last()
        self.assertEqual((asked.get("x-forwarded-for"), asked.get("x-forwarded-proto"),
                          asked.get("x-forwarded-host")), ("127.0.0.1", "http", "example.com"))

    def test_every_request_gets_its_own_id(self):
        seen = set()
        for _ in range(20):
            ask(self.port)
            seen.add(self.app.last().get("x-request-id"))
        self.assertEqual(len(seen), 20)
        self.assertNotIn(None, seen)

    def test_request_id_of_a_stranger_is_replaced(self):
        ask(self.port, fields=[("X-Request-Id", "mine")])
        self.assertNotEqual(self.app.last().get("x-request-id"), "mine")

    def test_a_traceparent_is_made_and_a_good_one_goes_on(self):
        ask(self.port)
        made = self.app.last().get("traceparent")
        self.assertRegex(made, r"\A00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
        self.assertFalse(re.match(r"00-0{32}", made))
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        ask(self.port, fields=[("traceparent", f"00-{trace}-00f067aa0ba902b7-01")])
        self.assertRegex(self.app.last().get("traceparent"), rf"\A00-{trace}-[0-9a-f]{{16}}-01\Z")

    def test_a_bad_traceparent_is_replaced(self):
        for bad in ("00-zz-00-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "x"):
            with self.subTest(bad):
                ask(self.port, fields=[("traceparent", bad)])
                self.assertRegex(self.app.last().get("traceparent"),
                                 r"\A00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")

    def test_two_hosts_are_refused(self):
        for fields in ("Host: a\r\nHost: a", "Host: a\r\nHost: b", "Host: a, b", "Host: a b",
                       "Host: user@a", "Host: a/b", "Host: a:port", "Host: a:99999"):
            with self.subTest(fields):
                self.assertEqual(exchange(self.port, f"GET / HTTP/1.1\r\n{fields}\r\n\r\n").status, 400)
        self.assertEqual(self.app.requests, [])

    def test_http11_without_host_is_refused(self):
        self.assertEqual(exchange(self.port, "GET / HTTP/1.1\r\n\r\n").status, 400)


class TrustedProxy(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), settings={"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]})

    def test_what_a_trusted_proxy_says_goes_on(self):
        ask(self.port, fields=[("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"),
                               ("X-Forwarded-Host", "outer.example"), ("X-Request-Id", "abc-123")])
        asked = self.app.last()
        self.assertEqual((asked.get("x-forwarded-for"), asked.get("x-forwarded-proto"),
                          asked.get("x-forwarded-host"), asked.get("x-request-id")),
                         ("203.0.113.7, 127.0.0.1", "https", "outer.example", "abc-123"))

    def test_several_lines_become_one_list(self):
        ask(self.port, fields=[("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "10.1.1.1")])
        self.assertEqual(self.app.last().get("x-forwarded-for"), "203.0.113.7, 10.1.1.1, 127.0.0.1")

    def test_without_them_they_are_made(self):
        ask(self.port)
        asked = self.app.last()
        self.assertEqual((asked.get("x-forwarded-for"), asked.get("x-forwarded-proto")),
                         ("127.0.0.1", "http"))


if __name__ == "__main__":
    unittest.main()
