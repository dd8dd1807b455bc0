# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 through the gateway: messages and connections, in both directions (RFC 9110, RFC 9112)."""
import threading
import time
import unittest

from harness.backend import answer, chunked
from harness.case import GatewayCase, until
from harness.client import Client, ask, exchange


class Messages(GatewayCase):
    def test_get_passes_both_ways(self):
        self.app.handler = lambda r: answer(200, "hello", [("X-Up", "1"), ("X-Up", "2")], "Fine")
        got = ask(self.port, "GET", "/a/b?c=d&e", fields=[("X-Down", "3")])
        self.assertEqual((got.status, got.body, got.all("x-up")), (200, b"hello", ["1", "2"]))
        asked = self.app.last()
        self.assertEqual((asked.method, asked.target, asked.version, asked.all("x-down")),
                         ("GET", "/a/b?c=d&e", "HTTP/1.1", ["3"]))
        self.assertEqual(asked.framing, "none")

    def test_every_method_token_passes(self):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "BREW"):
            with self.subTest(method):
                self.assertEqual(ask(self.port, method, "/").status, 200)
                self.assertEqual(self.app.last().method, method)

    def test_post_without_a_body_says_length_zero(self):
        ask(self.port, "POST", "/", body=b"")
        self.assertEqual((self.app.last().length, self.app.last().body), (0, b""))

    def test_request_body_with_length(self):
        ask(self.port, "POST", "/", body=b"x" * 100000)
        self.assertEqual((self.app.last().framing, self.app.last().body), ("length", b"x" * 100000))

    def test_get_with_a_body_keeps_it(self):
        ask(self.port, "GET", "/", body=b"abc")
        self.assertEqual(self.app.last().body, b"abc")

    def test_chunked_request_stays_chunked_with_trailers_and_without_extensions(self):
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                        "5;name=value\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 42\r\n\r\n")
            self.assertEqual(client.response().status, 200)
        asked = self.app.last()
        self.assertEqual((asked.framing, asked.body, asked.trailers),
                         ("chunked", b"hello!", [("X-Sum", "42")]))

    def test_chunked_response_with_trailers(self):
        self.app.handler = lambda r: (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
                                      b"\r\n" + chunked([b"hel", b"lo"], [("X-Sum", "7")]))
        got = ask(self.port)
        self.assertEqual((got.framing, got.body, got.trailers), ("chunked", b"hello", [("X-Sum", "7")]))

    def test_chunk_extensions_of_a_response_are_dropped(self):
        self.app.handler = lambda r: (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      b"2;a=b\r\nok\r\n0;c\r\n\r\n")
        self.assertEqual(ask(self.port).body, b"ok")  # wire.py refuses extensions.

    def test_response_until_close_becomes_chunked(self):
        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
            connection.close()
        self.app.script = script
        with Client(self.port) as client:
            got = client.ask("GET", "/")
            self.assertEqual((got.framing, got.body), ("chunked", b"until the end"))
            self.app.script = None
            self.assertEqual(client.ask("GET", "/").status, 200)

    def test_http10_backend_is_understood(self):
        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold")
            connection.close()
        self.app.script = script
        self.assertEqual(ask(self.port).body, b"old")

    def test_answers_without_body(self):
        for status, method in ((204, "GET"), (304, "GET"), (200, "HEAD"), (404, "HEAD")):
            with self.subTest(status=status, method=method):
                self.app.handler = lambda r, s=status: answer(s, "", [("X-A", "b")])
                with Client(self.port) as client:
                    self.assertEqual(client.ask(method, "/").status, status)
                    self.app.handler = lambda r: answer(200, "next")
                    self.assertEqual(client.ask("GET", "/").body, b"next")

    def test_head_and_304_keep_the_length_the_backend_named(self):
        for head, method in ((b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", "HEAD"),
                             (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n", "GET")):
            with self.subTest(method), Client(self.port) as client:
                self.app.handler = lambda r, head=head: head
                self.assertEqual(client.ask(method, "/").length, 5000)
                self.app.handler = lambda r: answer(200, "next")
                self.assertEqual(client.ask("GET", "/").body, b"next")

    def test_interim_answers_pass(self):
        self.app.handler = lambda r: (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
                                      + answer(200, "done"))
        got = ask(self.port)
        self.assertEqual(got.body, b"done")
        # Passing on 1xx is a MUST unless the gateway asked for it itself (RFC 9110 15.2).
        self.assertEqual([i.status for i in got.interim], [103])

    def test_unknown_statuses_and_reasons_pass(self):
        self.app.handler = lambda r: answer(599, "x", reason="Very \xe9 odd")
        got = ask(self.port)
        self.assertEqual(got.status, 599)

    def test_bytes_above_ascii_in_values_pass(self):
        self.app.handler = lambda r: answer(200, "", [("X-Name", "gr\xfc\xdfe")])
        self.assertEqual(ask(self.port, fields=[("X-Name", "h\xe9")]).get("x-name"), "gr\xfc\xdfe")
        self.assertEqual(self.app.last().get("x-name"), "h\xe9")

    def test_binary_bodies_are_untouched_in_both_directions(self):
        blob = bytes(range(256)) * 3000
        self.app.handler = lambda r: answer(200, r.body)
        self.assertEqual(ask(self.port, "POST", "/", body=blob).body, blob)


class Targets(GatewayCase):
    def test_absolute_form_names_the_host(self):
        got = exchange(self.port, "GET http://example.com/x?y HTTP/1.1\r\nHost: example.com\r\n\r\n")
        self.assertEqual(got.status, 200)
        self.assertEqual((self.app.last().target, self.app.last().get("host")), ("/x?y", "example.com"))

    def test_absolute_form_with_another_host_is_refused(self):
        got = exchange(self.port, "GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n")
        self.assertEqual(got.status, 400)
        self.assertEqual(self.app.requests, [])

    def test_absolute_form_without_path_means_the_root(self):
        exchange(self.port, "GET http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n")
        self.assertEqual(self.app.last().target, "/")

    def test_options_asterisk_passes(self):
        got = exchange(self.port, "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n", "OPTIONS")
        self.assertLess(got.status, 500)
        for request in self.app.requests:
            self.assertEqual((request.method, request.target), ("OPTIONS", "*"))

    def test_asterisk_is_for_options_only(self):
        self.assertEqual(exchange(self.port, "GET * HTTP/1.1\r\nHost: a\r\n\r\n").status, 400)

    def test_connect_is_refused(self):
        with Client(self.port) as client:
            client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
            self.assertIn(client.response().status, (400, 405, 501))
        self.assertEqual(self.app.connections, [])

    def test_the_path_is_forwarded_as_it_was_matched(self):
        for sent, forwarded in (("/a/%62c", "/a/bc"), ("/a/%2f/b", "/a/%2F/b"), ("/a/../b", "/b"),
                                ("/a/./b", "/a/b"), ("/a/%2e%2E/b", "/b"), ("//a//b", "//a//b"),
                                ("/a%20b?q=%2f", "/a%20b?q=%2f"), ("/a/..", "/"), ("/?", "/?")):
            with self.subTest(sent):
                self.assertEqual(ask(self.port, "GET", sent).status, 200)
                self.assertEqual(self.app.last().target, forwarded)

    def test_paths_that_servers_read_differently_are_refused(self):
        for target in ("/..", "/a/../../b", "/%2e%2e/", "/a\\b", "/a%5cb", "/a%00b", "/%zz", "/%4",
                       "/a\x01b", "/a#b", "a", "/a\xffb"):
            with self.subTest(target):
                got = exchange(self.port, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(got.status, 400)
        self.assertEqual(self.app.requests, [])


class Connections(GatewayCase):
    def test_one_connection_serves_many_requests_on_both_sides(self):
        with Client(self.port) as client:
            for n in range(50):
                self.assertEqual(client.ask("GET", f"/{n}").status, 200)
        self.assertEqual([r.target for r in self.app.requests], [f"/{n}" for n in range(50)])
        self.assertEqual(len(self.app.connections), 1)

    def test_connection_close_of_the_client_is_kept(self):
        with Client(self.port) as client:
            client.request("GET", "/", fields=[("Connection", "close")])
            self.assertEqual(client.response().get("connection"), "close")
            client.closed_after(2)
        # Nothing of it concerns the backend's connection.
        self.assertIsNone(self.app.last().get("connection"))

    def test_connection_close_of_the_backend_is_not_passed_on(self):
        self.app.handler = lambda r: answer(200, "x", [("Connection", "close")])
        with Client(self.port) as client:
            self.assertIsNone(client.ask("GET", "/").get("connection"))
            self.assertEqual(client.ask("GET", "/").status, 200)
        # What the backend said is held: no second request on that connection.
        self.assertEqual([len(c.requests) for c in self.app.connections], [1, 1])

    def test_http10_client_gets_no_chunks_and_a_close(self):
        self.app.handler = lambda r: (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      + chunked([b"ab", b"cd"]))
        with Client(self.port) as client:
            client.send("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n")
            got = client.response()
            self.assertEqual((got.framing, got.body), ("close", b"abcd"))
        self.assertEqual(self.app.last().version, "HTTP/1.1")

    def test_http10_client_may_leave_out_host(self):
        got = exchange(self.port, "GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(got.status, 200)
        self.assertEqual(len(self.app.last().all("host")), 1)

    def test_http10_client_with_keep_alive(self):
        self.app.handler = lambda r: answer(200, "same")
        with Client(self.port) as client:
            client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            first = client.response()
            self.assertEqual((first.framing, first.body), ("length", b"same"))
            if (first.get("connection") or "").lower() == "keep-alive":
                client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
                self.assertEqual(client.response().body, b"same")
            else:
                client.closed_after(2)

    def test_pipelined_requests_are_answered_in_order(self):
        def handler(request):
            if request.target == "/0":
                time.sleep(0.2)
            return answer(200, request.target)
        self.app.handler = handler
        with Client(self.port) as client:
            client.send("".join(f"GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(20)))
            self.assertEqual([client.response().body.decode() for _ in range(20)],
                             [f"/{n}" for n in range(20)])

    def test_pipelining_behind_bodies(self):
        self.app.handler = lambda r: answer(200, r.target.encode() + b":" + r.body)
        with Client(self.port) as client:
            client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                        "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "2\r\nde\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertEqual([client.response().body for _ in range(3)], [b"/1:abc", b"/2:de", b"/3:"])
            client.closed_after(2)

    def test_an_empty_line_before_a_request_is_skipped(self):
        with Client(self.port) as client:
            client.send("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.response().status, 200)

    def test_heads_cut_at_every_byte_are_understood(self):
        data = b"POST /cut HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n"
        with Client(self.port) as client:
            for n in range(len(data)):
                client.send(data[n:n + 1])
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.app.last().body, b"abc")

    def test_answers_cut_at_every_byte_are_understood(self):
        data = (b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunked([b"abc", b"d"], [("T", "v")]))

        def script(connection):
            connection.read_request()
            for n in range(len(data)):
                connection.send(data[n:n + 1])
                if n % 10 == 0:
                    time.sleep(0.001)
            connection.read_request()
        self.app.script = script
        got = ask(self.port)
        self.assertEqual((got.body, got.trailers), (b"abcd", [("T", "v")]))

    def test_a_client_that_half_closes_still_gets_its_answer(self):
        def handler(_):
            time.sleep(0.2)
            return answer(200, "late")
        self.app.handler = handler
        with Client(self.port) as client:
            client.request("GET", "/").finish_sending()
            self.assertEqual(client.response().body, b"late")

    def test_a_client_that_leaves_ends_the_request_at_the_backend(self):
        gone = threading.Event()

        def script(connection):
            connection.read_request()
            if connection.wait_for_close(5):
                gone.set()
        self.app.script = script
        client = Client(self.port)
        client.request("GET", "/")
        until(lambda: self.app.requests)
        client.reset()
        self.assertTrue(gone.wait(5), "the backend's connection stayed open")

    def test_bytes_stream_before_the_message_is_whole(self):
        release = threading.Event()

        def script(connection):
            connection.read_head()
            self.assertEqual(connection.reader.line(), b"3")
            self.assertEqual(connection.reader.take(5), b"abc\r\n")
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n")
            release.wait(5)
            connection.send(b"0\r\n\r\n")
            connection.wait_for_close(1)
        self.app.script = script
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            self.assertEqual(client.head().status, 200)
            self.assertEqual(client.reader.line(), b"3")
            self.assertEqual(client.reader.take(5), b"xyz\r\n")
            client.send("0\r\n\r\n")
            release.set()
            self.assertEqual(client.reader.take(5), b"0\r\n\r\n")


class Expectations(GatewayCase):
    HEAD = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    def test_100_continue_comes_and_the_body_follows(self):
        with Client(self.port) as client:
            client.send(self.HEAD)
            self.assertEqual(client.head().status, 100)
            client.send("hello")
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.app.last().body, b"hello")

    def test_a_final_answer_instead_of_100_comes_before_the_body(self):
        def script(connection):
            connection.read_head()
            connection.send(answer(417, "no"))
            connection.wait_for_close(3)
        self.app.script = script
        with Client(self.port) as client:
            client.send(self.HEAD)
            got = client.response()
            # Either the backend's refusal, or a 100 of our own and then the refusal.
            self.assertEqual((got.status, got.body), (417, b"no"))
            # The body may or may not follow: the connection must not be used again.
            if not got.interim:
                self.assertEqual((got.get("connection") or "").lower(), "close")

    def test_the_leftover_body_of_a_refused_request_is_never_a_request(self):
        seen = []

        def script(connection):
            request = connection.read_head()
            seen.append(request.target)
            connection.send(answer(403, "no"))
            while connection.read_head() is not None:
                seen.append("second")
        self.app.script = script
        with Client(self.port) as client:
            smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
            client.send(f"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: {len(smuggled)}\r\n"
                        "Expect: 100-continue\r\n\r\n")
            self.assertEqual(client.response().status, 403)
            try:
                client.send(smuggled)
                data = client.read_some(1.0)
            except OSError:
                data = b""
            self.assertEqual(data, b"")
        self.assertEqual(seen, ["/first"])

    def test_a_client_that_does_not_wait_is_served(self):
        with Client(self.port) as client:
            client.send(self.HEAD + "hello")
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.app.last().body, b"hello")

    def test_other_expectations_are_refused(self):
        got = exchange(self.port, "GET / HTTP/1.1\r\nHost: a\r\nExpect: the-moon\r\n\r\n")
        self.assertEqual(got.status, 417)

    def test_expect_from_http10_is_ignored(self):
        with Client(self.port) as client:
            client.send("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
            got = client.response()
            self.assertEqual((got.status, got.interim), (200, []))


class EarlyAnswers(GatewayCase):
    def test_an_answer_before_the_body_ends_the_exchange_cleanly(self):
        def script(connection):
            connection.read_head()
            connection.send(answer(413, "too big for me", [("Connection", "close")]))
            connection.wait_for_close(5)
        self.app.script = script
        with Client(self.port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + "x" * 1000)
            self.assertEqual(client.response(timeout=5).status, 413)

    def test_after_an_early_answer_neither_connection_is_used_again(self):
        def script(connection):
            request = connection.read_head()
            if request.target == "/early":
                connection.send(answer(200, "early"))
                connection.wait_for_close(5)
            else:
                connection.send(answer(200, "other"))
        self.app.script = script
        with Client(self.port) as client:
            client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\npart")
            self.assertEqual(client.response().body, b"early")
            self.assertEqual(ask(self.port).body, b"other")
        until(lambda: self.app.connections[0].closed.is_set(), message="backend connection closed")
        self.assertEqual(len(self.app.connections[0].requests), 1)

    def test_extra_bytes_after_an_answer_reach_nobody(self):
        def script(connection):
            connection.read_request()
            connection.send(answer(200, "first") + answer(200, "poison"))
            connection.read_request()
        self.app.script = script
        with Client(self.port) as client:
            self.assertEqual(client.ask("GET", "/").body, b"first")
            self.app.script = None
            self.assertEqual(client.ask("GET", "/").body, b"app")
        self.assertEqual(len(self.app.connections), 2)

    def test_bytes_on_an_idle_backend_connection_reach_nobody(self):
        def script(connection):
            connection.read_request()
            connection.send(answer(200, "first"))
            time.sleep(0.1)
            connection.send(answer(200, "poison"))
            connection.read_request()
        self.app.script = script
        with Client(self.port) as client:
            self.assertEqual(client.ask("GET", "/").body, b"first")
            self.app.script = None
            time.sleep(0.3)
            self.assertEqual(client.ask("GET", "/").body, b"app")


if __name__ == "__main__":
    unittest.main()
