# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 at the front: the same streams, filters and logs as HTTP/1, over plain text and TLS."""
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import unittest

from harness import frames as f
from harness import gateway as gw
from harness import probes, tls
from harness.backend import Backend, answer, chunked, echo
from harness.case import Case, GatewayCase, patience, until
from harness.client import Client, ask
from harness.frames import FrameClient, data, headers, request_lines, reset, window
from harness.manifests import app, gateway, gateway_class, listener, route, secret
from harness.upgrade import echo_tunnel, switch

MIB = 1 << 20


class Requests(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app", handler=echo), access_log={"format": "json"})

    def client(self, **kwargs):
        return self.use(FrameClient(self.port, **kwargs))

    def test_a_get_reaches_the_backend_as_http1(self):
        got = self.client().ask(path="/a/./b?c=d", more=[("accept", "*/*")])
        self.assertEqual(got.status, 200)
        seen = json.loads(got.body)
        self.assertEqual((seen["method"], seen["target"]), ("GET", "/a/b?c=d"))
        fields = {n.lower(): v for n, v in seen["fields"]}
        self.assertEqual(fields["host"], "example.com")
        self.assertEqual(fields["x-forwarded-proto"], "http")
        self.assertEqual(got.get("content-length"), str(len(got.body)))
        self.assertIsNone(got.get("connection"))

    def test_the_log_says_which_version(self):
        self.client().ask(path="/logged-h2")
        ask(self.port, "GET", "/logged-h1")
        lines = until(lambda: {json.loads(x)["path"]: json.loads(x) for x in self.gateway.logs().splitlines()
                               if '"/logged-h' in x and x.startswith("{")}
                      if self.gateway.logs().count("/logged-h") >= 2 else None)
        self.assertEqual(lines["/logged-h2"]["protocol"], "HTTP/2.0")
        self.assertEqual(lines["/logged-h1"]["protocol"], "HTTP/1.1")

    def test_many_streams_at_once(self):
        client = self.client()
        streams = [client.request(path=f"/{n}") for n in range(100)]
        for n, stream in enumerate(streams):
            self.assertEqual(json.loads(client.answer(stream).body)["target"], f"/{n}")

    def test_bodies_with_and_without_length(self):
        client = self.client()
        for size in (0, 1, 16384, 65535, 300000):
            for more in ([], [("content-length", str(size))]):
                with self.subTest(size=size, more=more):
                    body = bytes(n % 251 for n in range(size))
                    got = self.upload(client, body, more)
                    self.assertEqual(got.status, 200)
                    self.assertEqual(json.loads(got.body)["body_bytes"], size)
                    self.assertEqual(bytes(self.app.last().body), body)

    def upload(self, client, body, more=()):
        """A POST that waits for windows."""
        stream = client.next_stream
        client.next_stream += 2
        client.send(headers(stream, method="POST", path="/up", more=more, end=False))
        credit = {0: 65535, stream: 65535}
        seen = len(client.frames)
        for one in client.frames:
            if one.kind == f.WINDOW_UPDATE and one.stream == 0:
                credit[0] += int.from_bytes(one.payload, "big")
        credit[0] -= getattr(client, "sent_bytes", 0)
        at = 0
        while at < len(body):
            most = min(16384, credit[0], credit[stream], len(body) - at)
            if most > 0:
                client.send(data(stream, body[at:at + most]))
                client.sent_bytes = getattr(client, "sent_bytes", 0) + most
                at, credit[0], credit[stream] = at + most, credit[0] - most, credit[stream] - most
                continue
            client.read()
            for one in client.frames[seen:]:
                if one.kind == f.WINDOW_UPDATE and one.stream in credit:
                    credit[one.stream] += int.from_bytes(one.payload, "big")
            seen = len(client.frames)
        client.send(data(stream, end=True))
        return client.answer(stream)

    def test_trailers_go_both_ways(self):
        def script(connection):
            request = connection.read_request()
            seen.append((request.body, request.trailers))
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            + chunked([b"one", b"two"], [("Grpc-Status", "0"), ("X-Sum", "6")]))
        seen, self.app.script = [], script
        client = self.client()
        client.send(headers(1, method="POST", end=False), data(1, b"abc"), headers(1, [("x-check", "7")]))
        got = client.answer(1)
        self.assertEqual(bytes(got.body), b"onetwo")
        self.assertEqual(got.trailers, [("grpc-status", "0"), ("x-sum", "6")])
        self.assertEqual(bytes(seen[0][0]), b"abc")
        self.assertEqual([(n.lower(), v) for n, v in seen[0][1]], [("x-check", "7")])

    def test_answers_without_a_body(self):
        def handler(request):
            return {"/204": answer(204), "/304": answer(304, fields=[("ETag", "x")]),
                    "/empty": answer(200)}.get(request.target, answer(200, b"x" * 1000))
        self.app.handler, client = handler, self.client()
        for target, status, length in (("/204", 204, None), ("/304", 304, None), ("/empty", 200, "0")):
            got = client.ask(path=target)
            self.assertEqual((got.status, got.get("content-length"), bytes(got.body)), (status, length, b""))
        got = client.ask("HEAD", "/large")
        self.assertEqual((got.status, got.get("content-length"), bytes(got.body)), (200, "1000", b""))

    def test_interim_answers_and_expect(self):
        def script(connection):
            while request := connection.read_head():
                connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
                if request.get("expect"):
                    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                connection.read_body(request)
                connection.send(answer(200, request.body))
        self.app.script, client = script, self.client()
        client.send(headers(1, method="POST", more=[("expect", "100-continue"), ("content-length", "3")], end=False))
        client.until(lambda c: 1 in c.answers and 100 in c.answers[1].interim)
        client.send(data(1, b"abc", end=True))
        got = client.answer(1)
        self.assertEqual((got.interim, got.status, bytes(got.body)), ([103, 100], 200, b"abc"))

    def test_a_cut_answer_is_reset(self):
        for head in (b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"):
            def script(connection):
                connection.read_request()
                body = b"part" if b"Length" in head else b"4\r\npart\r\n"
                connection.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body)
                connection.close()
            self.app.script, client = script, self.client()
            got = client.ask()
            self.assertEqual((got.status, bytes(got.body), got.ended), (200, b"part", False))
            self.assertEqual(got.reset, f.INTERNAL_ERROR)
            self.assertTrue(client.alive(), "others of its connection go on")

    def test_no_route_and_bad_paths_are_answered_on_their_stream(self):
        client = self.client()
        self.assertEqual(client.ask(path="/../..").status, 400)
        self.assertEqual(client.ask(path="/good").status, 200)

    def test_an_early_answer_ends_the_upload_without_an_error(self):
        def script(connection):
            connection.read_head()
            connection.send(answer(403, b"no"))
            connection.wait_for_close(2)
        self.app.script, client = script, self.client()
        client.send(headers(1, method="POST", end=False), data(1, b"x" * 1000))
        client.until(lambda c: 1 in c.answers and c.answers[1].reset is not None)
        got = client.answers[1]
        self.assertEqual((got.status, bytes(got.body), got.ended, got.reset), (403, b"no", True, f.NO_ERROR))
        self.app.script = None
        client.next_stream = 3
        self.assertEqual(client.ask().status, 200)

    def app_that_waits(self):
        """Has the backend answer nothing. Set when a connection with a request is closed."""
        gone = threading.Event()

        def script(connection):
            connection.read_request()
            if connection.wait_for_close(10):
                gone.set()
        self.app.script = script
        return gone

    def test_cancelling_a_request_cancels_it_at_the_backend(self):
        gone, client = self.app_that_waits(), self.client()
        stream = client.request()
        until(lambda: self.app.requests)
        client.send(reset(stream))
        self.assertTrue(gone.wait(5 * patience()))

    def test_what_is_refused_by_a_reset_has_a_line_and_a_count(self):
        def count():
            return self.gateway.metric("hyperway_requests_malformed_total")

        def lines():
            all_of_it = [json.loads(x) for x in self.gateway.logs().splitlines() if x.startswith("{")]
            return [x for x in all_of_it if x["status"] == 400 and x["protocol"] == "HTTP/2.0"]
        rows = [([("a b", "x")], "bad_field_name"), ([("content-length", "3")], "bad_content_length"),
                ([("Upper", "x")], "bad_frame")]
        before, count_before, client = len(lines()), count(), self.client()
        for more, why in rows:
            stream = client.request(more=more)
            self.assertEqual(client.answer(stream).reset, f.PROTOCOL_ERROR, why)
        until(lambda: len(lines()) >= before + len(rows), message="the log has a line for each")
        self.assertEqual([x["why"] for x in lines()[before:]], [why for _, why in rows])
        until(lambda: count() == count_before + len(rows), message="and metrics a count")

    def test_a_client_that_sends_no_more_still_gets_its_answers(self):
        go = threading.Event()

        def script(connection):
            connection.read_request()
            go.wait(20)
            connection.send(answer(200, b"late"))
        self.app.script, client = script, self.client()
        client.send(headers(1), headers(3, method="POST", end=False), data(3, b"part"))
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(client.answer(3).status, 400)
        go.set()
        got = client.answer(1)
        self.assertEqual((got.status, bytes(got.body), got.ended), (200, b"late", True))
        client.until(lambda c: c.closed)

    def test_a_silent_client_is_asked_after(self):
        client = self.client()
        self.assertEqual(client.ask().status, 200)
        until(lambda: probes.asked_after(client.socket))

    def test_a_client_that_is_gone_costs_its_backend_nothing_more(self):
        gone, client = self.app_that_waits(), self.client()
        client.request()
        until(lambda: self.app.requests)
        client.close()  # FIN, and a reset for what we still say
        self.assertTrue(gone.wait(5 * patience()))

    def test_curl_speaks_it_by_prior_knowledge(self):
        curl = shutil.which("curl")
        self.assertIsNotNone(curl, "curl is needed")
        out = subprocess.run([curl, "-sS", "--http2-prior-knowledge", "-H", "Host: example.com", "--data-binary", "@-",
                              "-w", "%{http_version} %{http_code}", f"http://127.0.0.1:{self.port}/c"],
                             input="x" * 200000, capture_output=True, text=True, timeout=20, check=True).stdout
        self.assertTrue(out.endswith("2 200"), out)
        self.assertIn('"body_bytes": 200000', out)

    def test_upgrade_to_h2c_is_not_taken(self):
        with Client(self.port) as client:
            got = client.ask("GET", "/", fields=[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                                                 ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
            self.assertEqual(got.status, 200)
        self.assertIsNone(self.app.last().get("upgrade"))


class FlowControl(GatewayCase):
    limit_seconds = 60

    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"))

    def test_large_downloads_of_many_streams_arrive_whole(self):
        size = 3 * MIB
        body = bytes(n % 253 for n in range(size))
        self.app.handler = lambda request: answer(200, body)
        client = self.use(FrameClient(self.port))
        streams = [client.request(path=f"/{n}") for n in range(8)]
        for stream in streams:
            got = client.answer(stream, timeout=30 * patience())
            self.assertTrue(got.ended)
            self.assertEqual(bytes(got.body), body)

    def test_a_stream_that_nobody_reads_stalls_no_other(self):
        self.app.handler = lambda request: answer(200, b"x" * (MIB if request.target == "/stuck" else 1000))
        client = self.use(FrameClient(self.port, grow=False, first=[(4, 10000)]))
        stuck = client.request(path="/stuck")
        client.until(lambda c: stuck in c.answers and len(c.answers[stuck].body) == 10000)
        for _ in range(20):
            self.assertEqual(client.ask().status, 200)
        self.assertEqual(len(client.answers[stuck].body), 10000)
        client.send(window(0, MIB), window(stuck, MIB))
        got = client.answer(stuck)
        self.assertTrue(got.ended)
        self.assertEqual(len(got.body), MIB)

    def test_an_upload_that_the_backend_does_not_read_stops_and_others_go_on(self):
        begun, go = threading.Event(), threading.Event()

        def script(connection):
            request = connection.read_head()
            if request.target != "/stuck":
                connection.read_body(request)
                return connection.send(answer(200, b"ok"))
            begun.set()
            go.wait(20)
            connection.read_body(request)
            connection.send(answer(200, b"%d" % len(request.body)))
        self.app.script = script
        client = self.use(FrameClient(self.port))
        client.send(headers(1, method="POST", path="/stuck", end=False))
        client.next_stream = 3
        sent = given = 0
        until(begun.is_set)
        quiet = 0
        while quiet < 2:
            if sent < given + 65535:
                step = min(16384, given + 65535 - sent)
                client.send(data(1, b"x" * step))
                sent, quiet = sent + step, 0
                continue
            try:
                one = client.read(timeout=0.3)
                if one.kind == f.WINDOW_UPDATE and one.stream == 1:
                    given += int.from_bytes(one.payload, "big")
            except TimeoutError:
                quiet += 1
            if sent > 64 * MIB:
                self.fail("nobody stops the upload")
        self.assertEqual(client.ask().status, 200)
        go.set()
        client.send(data(1, end=True))
        got = client.answer(1, timeout=20 * patience())
        self.assertEqual(bytes(got.body), b"%d" % sent)

    def test_unread_answers_fill_no_memory(self):
        size = 64 * MIB

        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(64):
                connection.send(b"x" * MIB)
        self.app.script = script
        ask_before = probes.memory(self.gateway.pid)["rss"]
        client = self.use(FrameClient(self.port, grow=False, first=[(4, 0x7fffffff)], receive_buffer=16384))
        client.send(window(0, 0x7fff0000 - 65535))
        for n in range(20):
            client.request(path=f"/{n}")
        until(lambda: self.app.requests)
        time.sleep(1)
        grown = probes.memory(self.gateway.pid)["rss"] - ask_before
        self.assertLessEqual(grown, 24 * MIB * {"": 1, "address": 4, "thread": 6}[gw.sanitized()])

    def test_unread_windows_fill_no_memory(self):
        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
            for _ in range(64):
                connection.send(b"x" * MIB)
        self.app.script = script
        before = probes.memory(self.gateway.pid)["rss"]
        client = self.use(FrameClient(self.port, grow=False, first=[(4, 0)]))
        for n in range(100):
            client.request(path=f"/{n}")
        until(lambda: len(self.app.requests) == 100)
        time.sleep(1)
        grown = probes.memory(self.gateway.pid)["rss"] - before
        self.assertLessEqual(grown, 24 * MIB * {"": 1, "address": 4, "thread": 6}[gw.sanitized()])


class Memory(Case):
    limit_seconds = 60

    def test_idle_connections_are_small(self):
        certificate, key = tls.self_signed("example.com")
        with gw.Gateway(gateway_class(),
                        gateway(listeners=[listener("plain", 80), listener(
                            "secure", 443, protocol="HTTPS", certificates=["cert"])]),
                        secret("cert", certificate, key), *app("app", self.use(Backend("app"))), route()) as process:
            for port, context, most in ((80, None, 16), (443, tls.client_context(alpn=["h2"]), 48)):
                def connect():
                    client = self.use(FrameClient(process.port(port), tls=context,
                                                  sni="example.com" if context else None))
                    self.assertEqual(client.ask(scheme="https" if context else "http").status, 200)
                    return client
                warm = [connect() for _ in range(20)]
                before = probes.memory(process.pid)["rss"]
                clients = [connect() for _ in range(200)]
                each = (probes.memory(process.pid)["rss"] - before) / 1024 / len(clients)
                if not gw.sanitized():
                    self.assertLessEqual(each, most, f"{each:.1f} KiB for an idle connection on port {port}")
                print(f"idle HTTP/2 connection on port {port}: {each:.1f} KiB")
                for client in warm + clients:
                    client.close()


class Secure(GatewayCase):
    @classmethod
    def make(cls):
        certificate, key = tls.self_signed("example.com", "other.example")
        return gw.Gateway(gateway_class(), gateway(listeners=[
            listener("secure", 443, protocol="HTTPS", certificates=["cert"])]),
            secret("cert", certificate, key), *app("app", cls.backend("app", handler=echo)), route())

    def test_alpn_decides(self):
        for offered, chosen in ((["h2"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (None, None)):
            with self.subTest(offered), Client(self.gateway.port(443), tls=tls.client_context(alpn=offered),
                                               sni="example.com") as client:
                self.assertEqual(client.socket.selected_alpn_protocol(), chosen)

    def test_an_offer_without_ours_is_refused(self):
        with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
            Client(self.gateway.port(443), tls=tls.client_context(alpn=["spdy/3"]), sni="example.com")

    def test_requests_over_tls(self):
        client = self.use(FrameClient(self.gateway.port(443), tls=tls.client_context(alpn=["h2"]), sni="example.com"))
        got = client.ask(scheme="https", path="/s")
        self.assertEqual(got.status, 200)
        self.assertIn(["x-forwarded-proto", "https"],
                      [[n.lower(), v] for n, v in json.loads(got.body)["fields"]])

    def test_a_client_that_ends_its_side_of_tls_still_gets_its_answers(self):
        go = threading.Event()

        def script(connection):
            connection.read_request()
            go.wait(20)
            connection.send(answer(200, b"late"))
        self.app.script = script
        client = self.use(FrameClient(self.gateway.port(443), tls=tls.client_context(alpn=["h2"]), sni="example.com"))
        stream = client.request(scheme="https")
        until(lambda: self.app.requests)
        socket.socket.shutdown(client.socket, socket.SHUT_WR)  # SSLSocket's forgets TLS
        client.until(lambda c: c.goaway is not None)
        go.set()
        self.assertEqual(bytes(client.answer(stream).body), b"late")

    def test_prior_knowledge_without_alpn_is_no_http2(self):
        with Client(self.gateway.port(443), tls=tls.client_context(), sni="example.com") as client:
            client.send(f.PREFACE + f.settings())
            self.assertIn(client.response().status, (400, 501, 505))

    def test_http1_on_a_connection_that_agreed_on_h2_ends_it(self):
        client = self.use(FrameClient(self.gateway.port(443), tls=tls.client_context(alpn=["h2"]), sni="example.com",
                                      preface=False))
        client.send(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        self.assertIn(client.end(), (f.PROTOCOL_ERROR, None))
        self.assertEqual(self.app.requests, [])


class Tunnels(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app", script=echo_tunnel))

    def open(self, more=()):
        client = self.use(FrameClient(self.port))
        client.send(headers(1, [(":method", "CONNECT"), (":protocol", "websocket"), *request_lines()[1:],
                                ("sec-websocket-version", "13"), *more], end=False))
        return client

    def test_a_websocket_over_http2_is_an_upgrade_at_the_backend(self):
        client = self.open()
        client.until(lambda c: 1 in c.answers and c.answers[1].status)
        self.assertEqual(client.theirs.get(8), 1, "SETTINGS_ENABLE_CONNECT_PROTOCOL")
        got = client.answers[1]
        self.assertEqual(got.status, 200)
        for name in ("upgrade", "connection", "sec-websocket-accept"):
            self.assertIsNone(got.get(name))
        asked = self.app.last()
        self.assertEqual((asked.method, asked.get("upgrade"), asked.get("connection").lower()),
                         ("GET", "websocket", "upgrade"))
        self.assertEqual(len(asked.get("sec-websocket-key")), 24)
        for size in (1, 10, 20000):
            blob = bytes(n % 251 for n in range(size))
            before = len(got.body)
            for at in range(0, size, 16384):
                client.send(data(1, blob[at:at + 16384]))
            client.until(lambda c: len(got.body) == before + size)
            self.assertEqual(bytes(got.body[before:]), blob)
        client.send(data(1, end=True))
        self.assertTrue(client.answer(1).ended)

    def test_bytes_of_a_hasty_client_wait(self):
        client = self.open()
        client.send(data(1, b"hasty"))
        client.until(lambda c: 1 in c.answers and bytes(c.answers[1].body) == b"hasty")

    def test_each_end_closes_the_other(self):
        client = self.open()
        client.until(lambda c: 1 in c.answers and c.answers[1].status)
        client.send(reset(1))
        until(lambda: self.app.connections[0].closed.is_set(), message="backend side closed")

        def script(connection):
            request = connection.read_request()
            connection.send(switch(request.get("sec-websocket-key")) + b"bye")
        self.app.script = script
        client = self.open()
        client.until(lambda c: 1 in c.answers and c.answers[1].ended)
        self.assertEqual(bytes(client.answers[1].body), b"bye")
        self.assertIsNone(client.answers[1].reset)
        client.send(data(1, b"last words", end=True))
        until(lambda: self.gateway.metric("hyperway_requests_active") == 0, message="no stream is left")

    def test_a_refusal_is_an_answer(self):
        def script(connection):
            connection.read_request()
            connection.send(answer(403, b"no"))
        self.app.script = script
        got = self.open().answer(1)
        self.assertEqual((got.status, bytes(got.body), got.ended), (403, b"no", True))

    def test_other_requests_share_the_connection(self):
        client = self.open()
        client.until(lambda c: 1 in c.answers and c.answers[1].status == 200)
        self.app.script = None
        client.next_stream = 3
        self.assertEqual(client.ask().status, 200)


class Drain(Case):
    limit_seconds = 40

    def test_drain_says_goaway_twice_and_finishes_what_was_begun(self):
        go = threading.Event()

        def script(connection):
            connection.read_request()
            go.wait(20)
            connection.send(answer(200, b"late"))
        with Backend("app") as backend:
            backend.script = script
            process = gw.simple(backend)
            try:
                client = self.use(FrameClient(process.port(80)))
                stream = client.request()
                until(lambda: backend.requests)
                process.terminate()
                client.until(lambda c: c.goaway is not None)
                self.assertEqual((client.goaway.last, client.goaway.code), (0x7fffffff, f.NO_ERROR))
                second = client.request(path="/on-its-way")
                client.until(lambda c: len([x for x in c.frames if x.kind == f.GOAWAY]) == 2)
                self.assertIn(client.goaway.last, (stream, second))
                go.set()
                self.assertEqual(bytes(client.answer(stream).body), b"late")
                if client.goaway.last == second:
                    self.assertEqual(client.answer(second).status, 200)
                client.until(lambda c: c.closed)
            finally:
                process.stop()

    def test_a_listener_that_goes_ends_its_connections(self):
        with Backend("app") as backend:
            process = gw.Gateway(gateway_class(), gateway(listeners=[listener("a", 80), listener("b", 81)]),
                                 *app("app", backend), route())
            try:
                client = self.use(FrameClient(process.port(80)))
                self.assertEqual(client.ask().status, 200)
                process.apply(gateway(listeners=[listener("b", 81)]))
                client.until(lambda c: c.closed, timeout=15)
                self.assertEqual([x.code for x in client.frames if x.kind == f.GOAWAY], [0, 0])
            finally:
                process.stop()


if __name__ == "__main__":
    unittest.main()
