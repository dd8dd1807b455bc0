# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 towards backends: requests and answers, streams that share a connection, and backends that
break off, go away or lie. The client speaks HTTP/1."""
import socket
import struct
import threading
import unittest

import h2.settings

from harness import gateway as gw
from harness import http2 as h2b
from harness import tls, wire
from harness.backend import Backend
from harness.case import Case, GatewayCase, until
from harness.client import Client, ask
from harness.http2 import Http2, serving
from harness.manifests import (anchors, gateway, gateway_class, path_match, route, rule, service, slices, tls_policy)
from harness.upgrade import ACCEPT, WEBSOCKET

CODES = h2.settings.SettingCodes
OK = ((":status", "200"),)


def h2c(name, *backends, protocol="kubernetes.io/h2c"):
    """A Service that says HTTP/2, with the slices of its backends."""
    ports = [{"port": 8080, "protocol": "TCP", "appProtocol": protocol}]
    return [service(name, ports=ports), *slices(name, backends)]


def echo(http2, request):
    """Answers with what was asked."""
    text = "\n".join(f"{name}={value}" for name, value in request.fields)
    http2.answer(request.stream, 200, text.encode() + b"\n\n" + request.body, [("x-backend", "h2")])


def raw(*frames, close=False):
    """A script: SETTINGS, and once the first request's head is there, these bytes."""
    def script(connection):
        http2 = Http2(connection)
        http2.request(ended=False)
        http2.send(b"".join(frames))
        if close:
            return
        while not http2.over:
            http2.read()
    return script


class Http2Case(GatewayCase):
    """One Service with one backend of HTTP/2."""

    @classmethod
    def make(cls):
        app = cls.backend("app", script=serving(echo))
        process = gw.Gateway(gateway_class(), gateway(), *h2c("app", app), route(), start=False)
        process.access_log = {"format": "json", "path": f"{process.folder}/access.log"}
        return process.start()

    def behave(self, script):
        """The backend does this from now on; connections of before are gone on both sides."""
        self.app.forget()
        until(lambda: self.gateway.metric("hyperway_upstream_connections") == 0)
        self.app.script = script

    def logged(self, why):
        """Waits for a line of the access log with that reason."""
        def there():
            with open(f"{self.gateway.folder}/access.log", encoding="utf-8") as file:
                return f'"why":"{why}"' in file.read().replace('": "', '":"')
        until(there, message=f"a line with why {why}")


class Messages(Http2Case):
    def test_a_request_has_the_form_of_http2(self):
        got = ask(self.port, "GET", "/a/b?c=d", host="app.example:80",
                  fields=[("X-Mixed-Case", "Kept As It Is"), ("Connection", "x-hop"), ("X-Hop", "1"),
                          ("Keep-Alive", "5"), ("TE", "trailers"), ("Upgrade", "h2c"), ("Cookie", "a=b; c=d")])
        self.assertEqual(got.status, 200)
        lines = got.body.decode().split("\n\n")[0].split("\n")
        self.assertEqual(lines[:4], [":method=GET", ":scheme=http", ":authority=app.example:80", ":path=/a/b?c=d"])
        self.assertIn("x-mixed-case=Kept As It Is", lines)
        self.assertIn("cookie=a=b; c=d", lines)
        self.assertIn("x-forwarded-for=127.0.0.1", lines)
        names = [line.partition("=")[0] for line in lines]
        for name in ("connection", "x-hop", "keep-alive", "te", "upgrade", "host", "transfer-encoding"):
            self.assertNotIn(name, names)
        self.assertEqual(got.get("x-backend"), "h2")

    def test_bodies_of_any_size_arrive_both_ways(self):
        for size in (1, 16384, 16385, 1 << 20, 5 << 20):
            with self.subTest(size):
                body = bytes(i * 7 % 251 for i in range(4096)) * (size // 4096 + 1)
                body = body[:size]
                got = ask(self.port, "POST", "/", body=body)
                self.assertEqual(got.status, 200)
                head, _, back = got.body.partition(b"\n\n")
                self.assertIn(f"content-length={size}".encode(), head)
                self.assertEqual(back, body)

    def test_chunks_and_trailers_go_through_both_ways(self):
        seen = {}

        def handler(http2, request):
            seen["request"] = request
            http2.head(request.stream, 200, [("trailer", "x-sum")])
            http2.body(request.stream, b"part")
            http2.trailers(request.stream, ("x-sum", "9"), ("x-forwarded-for", "7"))
        self.behave(serving(handler))
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-In\r\n\r\n"
                        "3\r\nabc\r\n0\r\nX-In: 1\r\n\r\n")
            got = client.response("POST")
        self.assertEqual((got.status, got.body), (200, b"part"))
        self.assertEqual([(n.lower(), v) for n, v in got.trailers], [("x-sum", "9")])
        self.assertEqual(seen["request"].body, b"abc")
        self.assertEqual(seen["request"].trailers, [("x-in", "1")])

    def test_answers_without_content(self):
        def handler(http2, request):
            status = int(request.get(":path")[1:])
            http2.head(request.stream, status, [("content-length", "5")] if request.get(":method") == "HEAD" else [],
                       end=True)
        self.behave(serving(handler))
        with Client(self.port) as client:
            for method, status in (("GET", 204), ("GET", 304), ("HEAD", 200), ("GET", 200), ("GET", 404)):
                got = client.ask(method, f"/{status}")
                self.assertEqual((got.status, got.body), (status, b""))

    def test_an_interim_answer_and_expect_100_continue(self):
        def script(connection):
            http2 = Http2(connection)
            request = http2.request(ended=False)
            self.assertEqual(request.get("expect"), "100-continue")
            http2.h2.send_headers(1, [(":status", "100")])
            http2.flush()
            http2.request()
            http2.answer(1, 200, request.body)
        self.behave(script)
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(client.head("POST").status, 100)
            client.send("ok")
            self.assertEqual(client.response("POST").body, b"ok")

    def test_streaming_both_ways_does_not_wait_for_the_end(self):
        def script(connection):
            http2 = Http2(connection)
            request = http2.request(ended=False)
            http2.head(1)
            for word in (b"one", b"two"):
                http2.until(lambda word=word: request.body.endswith(word))
                http2.body(1, word.upper())
            http2.body(1, b"", end=True)
            while not http2.over:
                http2.read()
        self.behave(script)
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.assertEqual(client.head("POST").status, 200)
            client.send("3\r\none\r\n")
            self.assertIn(b"ONE", client.read_some())
            client.send("3\r\ntwo\r\n")
            rest = b""
            while b"0\r\n\r\n" not in rest:
                rest += client.read_some()
            self.assertIn(b"TWO", rest)

    def test_an_early_answer_is_passed_on(self):
        def script(connection):
            http2 = Http2(connection)
            http2.request(ended=False)
            http2.head(1, 413, end=True)
            http2.h2.reset_stream(1, 0)
            http2.flush()
            while not http2.over:
                http2.read()
        self.behave(script)
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
            self.assertEqual(client.response("POST").status, 413)


class Sharing(Http2Case):
    def _many(self, number, each):
        threads = [threading.Thread(target=each, args=(i,)) for i in range(number)]
        for thread in threads:
            thread.start()
        return threads

    def test_requests_share_a_connection(self):
        together = threading.Event()

        def script(connection):
            http2 = Http2(connection)
            http2.until(lambda: len(http2.requests) == 20 and all(r.ended.is_set() for r in http2.requests.values()))
            together.set()
            for stream, request in http2.requests.items():
                http2.answer(stream, 200, request.get(":path").encode())
            while not http2.over:
                http2.read()
        self.behave(script)
        bodies = [None] * 20

        def each(i):
            bodies[i] = ask(self.port, "GET", f"/{i}").body
        for thread in self._many(20, each):
            thread.join()
        self.assertTrue(together.is_set())
        self.assertEqual(bodies, [f"/{i}".encode() for i in range(20)])
        self.assertEqual(len(self.app.connections), 1)

    def test_another_connection_where_the_backend_takes_no_more(self):
        together, answer_now = [], threading.Event()

        def script(connection):
            http2 = Http2(connection, {CODES.MAX_CONCURRENT_STREAMS: 2})
            answered = set()
            while not http2.over:
                waiting = [r for s, r in http2.requests.items() if r.ended.is_set() and s not in answered]
                if len(waiting) == 2:
                    together.append(connection.index)
                    answer_now.wait(10)
                if len(waiting) == 2 or (waiting and waiting[0].get(":path") == "/warm"):
                    for request in waiting:
                        answered.add(request.stream)
                        http2.answer(request.stream, 200, b"ok")
                else:
                    http2.read()
        self.behave(script)
        self.assertEqual(ask(self.port, "GET", "/warm").status, 200)  # its SETTINGS are known
        statuses = []
        threads = self._many(4, lambda i: statuses.append(ask(self.port, "GET", f"/{i}").status))
        until(lambda: sorted(together) == [0, 1], message="two connections with two requests each")
        answer_now.set()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [200] * 4)
        self.behave(serving(echo))
        self.assertEqual(ask(self.port).status, 200)  # and is believed when it allows more again

    def test_a_client_that_leaves_costs_others_nothing(self):
        def script(connection):
            http2 = Http2(connection)
            http2.until(lambda: len(http2.requests) == 2)
            streams = {r.get(":path"): r for r in http2.requests.values()}
            http2.head(streams["/leaves"].stream)
            http2.body(streams["/leaves"].stream, b"x" * 100)
            http2.until(lambda: streams["/leaves"].reset is not None)
            http2.answer(streams["/stays"].stream, 200, str(streams["/leaves"].reset).encode())
            while not http2.over:
                http2.read()
        self.behave(script)
        with Client(self.port) as stays:
            stays.request("GET", "/stays")
            leaves = Client(self.port)
            leaves.request("GET", "/leaves")
            leaves.head()
            leaves.reset()
            self.assertEqual(stays.response().body, b"8")  # CANCEL

    def test_a_slow_reader_holds_a_window_and_nobody_else(self):
        sent = [0]

        def fill(http2, stream):
            while sent[0] < 64 << 20:
                room = min(http2.h2.local_flow_control_window(stream), 16384)
                if room <= 0:
                    return
                http2.h2.send_data(stream, b"x" * room)
                sent[0] += room
                http2.flush()

        def script(connection):
            http2 = Http2(connection)
            begun = set()
            while not http2.over:
                for stream, request in list(http2.requests.items()):
                    slow = request.get(":path") == "/slow"
                    if request.ended.is_set() and stream not in begun:
                        begun.add(stream)
                        if slow:
                            http2.head(stream, 200)
                        else:
                            http2.answer(stream, 200, b"fast")
                    if slow and stream in begun and request.reset is None:
                        fill(http2, stream)
                http2.read()
        self.behave(script)
        with Client(self.port, receive_buffer=4096) as slow:
            slow.request("GET", "/slow")
            slow.head()
            for _ in range(20):
                self.assertEqual(ask(self.port, "GET", "/fast").body, b"fast")
        self.assertLess(sent[0], 8 << 20)

    def test_an_upload_waits_for_the_backend(self):
        def script(connection):
            http2 = Http2(connection)
            http2.reading = False
            request = http2.request(ended=False)
            http2.until(lambda: len(request.body) == 65535)
            http2.reading = True
            http2.h2.acknowledge_received_data(65535, request.stream)
            http2.flush()
            http2.request()
            http2.answer(request.stream, 200, str(len(request.body)).encode())
        self.behave(script)
        got = ask(self.port, "POST", "/", body=b"x" * (3 << 20))
        self.assertEqual(got.body, str(3 << 20).encode())


class GoingAway(Http2Case):
    def test_what_was_not_processed_is_sent_again_whatever_it_is(self):
        for how in (h2b.goaway(0), h2b.reset(1, 7)):
            with self.subTest(how):
                processed = []

                def script(connection, how=how):
                    if connection.index == 0 and how[3] == h2b.GOAWAY:
                        return raw(how)(connection)
                    http2 = Http2(connection)
                    first = http2.request()
                    if how[3] == h2b.RST_STREAM:
                        http2.send(how)
                        first = http2.request(1)
                    processed.append(first.body)
                    http2.answer(first.stream, 200, first.body)
                    while not http2.over:
                        http2.read()
                    return None
                self.behave(script)
                got = ask(self.port, "POST", "/", body=b"once")
                self.assertEqual((got.status, got.body), (200, b"once"))
                self.assertEqual(processed, [b"once"])

    def test_what_was_begun_before_goaway_is_finished(self):
        def script(connection):
            http2 = Http2(connection)
            http2.request()
            http2.head(1, 200)
            http2.send(h2b.goaway(1))
            http2.body(1, b"whole", end=True)
            while not http2.over:
                http2.read()
        self.behave(script)
        self.assertEqual(ask(self.port).body, b"whole")
        self.app.script = serving(echo)
        self.assertEqual(ask(self.port).status, 200)
        self.assertEqual(len(self.app.connections), 2)

    def test_a_reset_request_is_not_repeated_unless_that_is_safe(self):
        for method, requests in (("POST", 1), ("GET", 2)):
            with self.subTest(method):
                seen = []

                def handler(http2, request, seen=seen):
                    seen.append(request.get(":method"))
                    http2.send(h2b.reset(request.stream, 2))
                self.behave(serving(handler))
                self.assertEqual(ask(self.port, method, "/", body=b"" if method == "POST" else None).status, 502)
                self.assertEqual(len(seen), requests)

    def test_refusals_without_end_are_502(self):
        refused = []

        def handler(http2, request):
            refused.append(request.stream)
            http2.send(h2b.reset(request.stream, 7))
        self.behave(serving(handler))
        self.assertEqual(ask(self.port).status, 502)
        self.assertEqual(len(refused), 6)
        self.logged("backend_refused")


class Hostile(Http2Case):
    LENGTH = h2b.headers(1, *OK, ("content-length", "10"))
    BEFORE = {  # Whole answers that are none.
        "101": h2b.headers(1, (":status", "101")),
        "no status": h2b.headers(1, ("x", "y"), end=True),
        "bad status": h2b.headers(1, (":status", "2x0"), end=True),
        "status 600": h2b.headers(1, (":status", "600"), end=True),
        "two status": h2b.headers(1, *OK, *OK, end=True),
        "late status": h2b.headers(1, ("x", "y"), *OK, end=True),
        "request pseudo": h2b.headers(1, *OK, (":path", "/"), end=True),
        "upper case": h2b.headers(1, *OK, ("X-Up", "y"), end=True),
        "connection": h2b.headers(1, *OK, ("connection", "close"), end=True),
        "transfer-encoding": h2b.headers(1, *OK, ("transfer-encoding", "chunked"), end=True),
        "CRLF in a value": h2b.headers(1, *OK, ("x", "a\r\nset-cookie: b"), end=True),
        "NUL in a value": h2b.headers(1, *OK, ("x", "a\0b"), end=True),
        "space in a name": h2b.headers(1, *OK, ("x y", "a"), end=True),
        "colon in a name": h2b.headers(1, *OK, ("x:y", "a"), end=True),
        "empty name": h2b.headers(1, *OK, ("", "a"), end=True),
        "two lengths": h2b.headers(1, *OK, ("content-length", "1"), ("content-length", "2"), end=True),
        "negative length": h2b.headers(1, *OK, ("content-length", "-1"), end=True),
        "length without content": h2b.headers(1, *OK, ("content-length", "3"), end=True),
        "interim end": h2b.headers(1, (":status", "103"), end=True),
        "interim flood": b"".join(h2b.headers(1, (":status", "103"), ("link", "x")) for _ in range(50)),
        "many fields": h2b.headers(1, *OK, *[("a", "b")] * 300, end=True),
        "DATA first": h2b.data(1, b"x", end=True),
        "reset": h2b.reset(1, 0),
        "PUSH_PROMISE": h2b.frame(h2b.PUSH_PROMISE, 4, 1, struct.pack(">I", 2) + h2b.block((":method", "GET"))),
        "bad HPACK": h2b.frame(h2b.HEADERS, 5, 1, b"\xff" * 9),
        "huge frame": struct.pack(">I", 1 << 23)[1:] + b"\0\0\0\0\0\1",
        "other stream": h2b.headers(33, *OK, end=True),
        "SETTINGS on a stream": h2b.frame(h2b.SETTINGS, 0, 1, b""),
        "bad window": h2b.frame(h2b.WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)),
        "window overflow": h2b.frame(h2b.WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff)),
        "PING flood": h2b.frame(h2b.PING, 0, 0, b"12345678") * 3000,
        "SETTINGS flood": h2b.frame(h2b.SETTINGS) * 3000,
        "CONTINUATION flood": h2b.frame(h2b.HEADERS, 0, 1, h2b.block(*OK))
                              + h2b.frame(h2b.CONTINUATION, 0, 1, h2b.block(("a", "b" * 100))) * 3000,
        "RST flood": h2b.reset(1, 2) * 3000,
        "garbage": b"\x00garbage" * 100,
    }
    AFTER = {  # A good head, and then no good end: the client must see that it is cut.
        "too short": LENGTH + h2b.data(1, b"12345", end=True),
        "too long": LENGTH + h2b.data(1, b"12345678901", end=True),
        "reset": LENGTH + h2b.data(1, b"12345") + h2b.reset(1, 0),
        "reset at the end": LENGTH + h2b.data(1, b"1234567890") + h2b.reset(1, 2),
        "reset after all of it": LENGTH + h2b.data(1, b"12345678") + h2b.data(1, b"90") + h2b.reset(1, 0),
        "short and trailers": LENGTH + h2b.data(1, b"1") + h2b.headers(1, ("a", "b"), end=True),
        "trailers without end": h2b.headers(1, *OK) + h2b.data(1, b"1") + h2b.headers(1, ("a", "b")),
        "pseudo trailers": h2b.headers(1, *OK) + h2b.data(1, b"1") + h2b.headers(1, *OK, end=True),
        "bad trailers": h2b.headers(1, *OK) + h2b.data(1, b"1") + h2b.headers(1, ("a", "b\nc"), end=True),
        "empty DATA flood": h2b.headers(1, *OK) + h2b.data(1, b"1") + h2b.data(1, b"") * 3000,
        "PING flood": h2b.headers(1, *OK) + h2b.data(1, b"1") + h2b.frame(h2b.PING, 0, 0, b"12345678") * 3000,
        "bad frame": h2b.headers(1, *OK) + h2b.data(1, b"1") + b"\xff" * 50,
    }

    def test_what_is_no_answer_is_502(self):
        self.assertGreaterEqual(len(self.BEFORE), 30)
        for name, data in self.BEFORE.items():
            with self.subTest(name):
                self.behave(raw(data))
                self.assertEqual(ask(self.port, "POST", "/", body=b"").status, 502)

    def test_what_does_not_end_as_it_should_never_looks_complete(self):
        for name, data in self.AFTER.items():
            for close in (False, True):
                with self.subTest(name, close=close), Client(self.port) as client:
                    self.behave(raw(data, close=close))
                    client.request("GET", "/")
                    with self.assertRaises(wire.Truncated):
                        got = client.response()
                        if got.status == 502:
                            raise wire.Truncated("refused as a whole")
                        self.fail(f"looks complete: {got}")

    def test_a_backend_of_http1_is_said_to_be_one(self):
        def script(connection):
            connection.socket.recv(1000)
            connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        self.behave(script)
        self.assertEqual(ask(self.port).status, 502)
        until(lambda: "it answers in HTTP/1" in self.gateway.logs())
        self.logged("bad_frame")

    def test_nothing_is_left_behind(self):
        for _ in range(30):
            self.behave(raw(self.AFTER["reset"], close=True))
            ask_and_forget(self.port)
        self.behave(serving(echo))
        self.assertEqual(ask(self.port).status, 200)


def ask_and_forget(port):
    """A request whose answer does not matter."""
    with Client(port) as client:
        client.request("GET", "/")
        try:
            client.response()
        except wire.Truncated:
            pass


class Upgrades(Http2Case):
    def _upgrade(self, client):
        client.send(WEBSOCKET)
        return client.head()

    def test_a_websocket_is_an_extended_connect(self):
        seen = []

        def script(connection):
            http2 = Http2(connection, {CODES.ENABLE_CONNECT_PROTOCOL: 1})
            request = http2.request(ended=False)
            seen.append(request)
            http2.head(request.stream)
            http2.until(lambda: request.body.endswith(b"hello"))
            http2.body(request.stream, b"HELLO")
            http2.until(request.ended.is_set)
            http2.body(request.stream, b"BYE", end=True)
            while not http2.over:
                http2.read()
        self.behave(script)
        with Client(self.port) as client:
            head = self._upgrade(client)
            self.assertEqual(head.status, 101)
            self.assertEqual(head.get("upgrade").lower(), "websocket")
            self.assertEqual(head.get("sec-websocket-accept"), ACCEPT)
            client.send(b"hello")
            self.assertEqual(client.read_some(), b"HELLO")
            client.finish_sending()
            self.assertEqual(client.read_some(), b"BYE")
            self.assertEqual(client.read_some(), b"")
        self.assertEqual(seen[0].fields[:5],
                         [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                          (":authority", "a"), (":path", "/ws")])
        self.assertIsNone(seen[0].get("sec-websocket-key"))
        self.assertEqual(seen[0].get("sec-websocket-version"), "13")

    def test_a_backend_may_refuse(self):
        def script(connection):
            http2 = Http2(connection, {CODES.ENABLE_CONNECT_PROTOCOL: 1})
            request = http2.request(ended=False)
            http2.answer(request.stream, 403, b"no")
            while not http2.over:
                http2.read()
        self.behave(script)
        with Client(self.port) as client:
            client.send(WEBSOCKET)
            self.assertEqual(client.response().status, 403)

    def test_without_extended_connect_it_is_502(self):
        with Client(self.port) as client:
            client.send(WEBSOCKET)
            self.assertEqual(client.response().status, 502)
        self.logged("bad_upgrade")


class Secured(Case):
    """HTTP/2 over TLS is agreed on by ALPN."""

    def test_alpn_decides(self):
        authority = tls.Authority()
        pair = authority.issue("app.example")
        good = self.use(Backend("good", script=serving(echo), tls=tls.server_context(pair, alpn=["h2", "http/1.1"])))
        old = self.use(Backend("old", tls=tls.server_context(pair, alpn=["http/1.1"])))
        none = self.use(Backend("none", script=serving(echo), tls=tls.server_context(pair)))
        objects = [gateway_class(), gateway(), anchors("ca", authority.certificate)]
        for backend in (good, old, none):
            objects += [*h2c(backend.name, backend), tls_policy(backend.name, backend.name)]
        rules = [rule([b.name], [path_match(f"/{b.name}")]) for b in (good, old, none)]
        process = self.use(gw.Gateway(*objects, route(rules=rules)))
        got = ask(process.port(), "GET", "/good")
        self.assertEqual(got.status, 200)
        self.assertIn(b":scheme=https", got.body)
        self.assertEqual(good.connections[0].socket.selected_alpn_protocol(), "h2")
        for name in ("old", "none"):
            self.assertEqual(ask(process.port(), "GET", f"/{name}").status, 502)
        until(lambda: "the backend offers no HTTP/2 (ALPN)" in process.logs())


class Pools(Case):
    def test_connections_of_an_endpoint_that_left_end_with_their_last_request(self):
        go_on = threading.Event()

        def handler(http2, request):
            def answer():
                go_on.wait(10)
                http2.answer(request.stream, 200, b"ok")
            if request.get(":path") == "/slow":
                threading.Thread(target=answer).start()  # the script waits for bytes meanwhile
            else:
                http2.answer(request.stream, 200, b"ok")
        first = self.use(Backend("first", script=serving(handler)))
        second = self.use(Backend("second", script=serving(handler)))
        process = self.use(gw.Gateway(gateway_class(), gateway(), *h2c("app", first), route()))
        with Client(process.port()) as client:
            client.request("GET", "/slow")
            until(lambda: first.connections)
            process.delete(*slices("app", [first]))
            process.apply(*slices("app", [second]))
            until(lambda: ask(process.port()).status == 200 and second.requests)
            self.assertFalse(first.connections[0].closed.is_set())
            go_on.set()
            self.assertEqual(client.response().body, b"ok")
        until(first.connections[0].closed.is_set)

    def test_idle_connections_go_and_refused_ones_count(self):
        app = self.use(Backend("app", script=serving(echo)))
        process = self.use(gw.Gateway(gateway_class(), gateway(), *h2c("app", app), route(),
                                      settings={"timeouts": {"upstream_idle": "300ms"}}))
        self.assertEqual(ask(process.port()).status, 200)
        self.assertEqual(process.metric("hyperway_upstream_connections"), 1)
        until(lambda: process.metric("hyperway_upstream_connections") == 0)
        app.close()
        self.assertEqual(ask(process.port()).status, 502)
        self.assertGreaterEqual(process.metric("hyperway_upstream_connect_failures_total"), 1)

    def test_a_mirror_of_http2(self):
        app = self.use(Backend("app", script=serving(echo)))
        copy = self.use(Backend("copy", script=serving(echo)))
        mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copy", "port": 8080}}}
        process = self.use(gw.Gateway(gateway_class(), gateway(), *h2c("app", app), *h2c("copy", copy),
                                      route(rules=[rule(["app"], filters=[mirror])])))
        self.assertEqual(ask(process.port(), "POST", "/", body=b"twice").status, 200)
        until(lambda: [r.body for r in copy.requests] == [b"twice"])


if __name__ == "__main__":
    unittest.main()
