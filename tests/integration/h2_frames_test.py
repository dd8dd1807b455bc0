# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hostile frames: nothing of them reaches a backend, and the client hears the right error."""
import contextlib
import struct
import time
import unittest

from harness import frames as f
from harness import gateway as gw
from harness.backend import answer
from harness.case import GatewayCase
from harness.frames import FrameClient, block, data, frame, headers, literal, request_lines, reset, settings, window

PROTOCOL, FLOW, CLOSED, SIZE, COMPRESSION = (
    {f.PROTOCOL_ERROR}, {f.FLOW_CONTROL_ERROR}, {f.STREAM_CLOSED}, {f.FRAME_SIZE_ERROR}, {f.COMPRESSION_ERROR})


def line(name, value):
    """A GET with one more line."""
    return headers(1, request_lines(more=[(name, value)]))


def instead(**pseudo):
    """A GET with pseudo fields replaced; None leaves one out."""
    lines = dict(request_lines())
    for name, value in pseudo.items():
        lines[":" + name] = value
    return headers(1, [(n, v) for n, v in lines.items() if v is not None])


def post(*pieces, length=None, more=()):
    """A POST on stream 1 that goes on with `pieces`."""
    more = [*more, *([("content-length", str(length))] if length is not None else [])]
    return headers(1, method="POST", more=more, end=False) + b"".join(pieces)


def connect(**extra):
    """An extended CONNECT with pseudo fields replaced."""
    lines = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":authority": "example.com",
             ":path": "/ws"}
    lines.update({":" + name: value for name, value in extra.items()})
    return headers(1, [(n, v) for n, v in lines.items() if v is not None], end=False)


# What a stream may be refused with: a reset, or an answer of ours.
STREAM = {
    "name in upper case": line("Upper", "x"),
    "name with a space": line("a b", "x"),
    "name with a colon": line("a:b", "x"),
    "name with CR LF": line("a\r\nb", "x"),
    "name with NUL": line("a\0", "x"),
    "name with DEL": line("a\x7f", "x"),
    "name without a byte": line("", "x"),
    "name above ASCII": line("\xe4", "x"),
    "value with CR LF": line("a", "x\r\nx-evil: 1"),
    "value with LF": line("a", "x\nx-evil: 1"),
    "value with CR": line("a", "x\rx-evil: 1"),
    "value with NUL": line("a", "x\0y"),
    "value with a space in front": line("a", " x"),
    "value with a tab behind": line("a", "x\t"),
    "unknown pseudo field": headers(1, [(":evil", "1"), *request_lines()]),
    "pseudo field of answers": headers(1, [(":status", "200"), *request_lines()]),
    "pseudo field behind others": headers(1, [*request_lines()[:3], ("a", "b"), (":path", "/")]),
    "method twice": headers(1, [(":method", "GET"), *request_lines()]),
    "path twice": headers(1, [(":path", "/other"), *request_lines()]),
    "authority twice": headers(1, [(":authority", "other"), *request_lines()]),
    "no method": instead(method=None),
    "no scheme": instead(scheme=None),
    "no path": instead(path=None),
    "no authority": instead(authority=None),
    "empty path": instead(path=""),
    "empty method": instead(method=""),
    "method with a space": instead(method="GET /evil HTTP/1.1\r\nX:"),
    "method with CR LF": instead(method="GET\r\nX-Evil: 1"),
    "path with a space": instead(path="/ HTTP/1.1\r\nX-Evil: 1\r\nX: "),
    "path with LF": instead(path="/\nX-Evil: 1"),
    "path with NUL": instead(path="/\0"),
    "path without a slash": instead(path="evil"),
    "path above the root": instead(path="/../../etc"),
    "absolute path": instead(path="http://other/"),
    "asterisk for GET": instead(path="*"),
    "query with CR LF": instead(path="/?a\r\nX-Evil: 1"),
    "fragment": instead(path="/a#b"),
    "scheme with a target": instead(scheme="http://evil/?"),
    "scheme unknown": instead(scheme="ftp"),
    "authority with CR LF": instead(authority="a\r\nX-Evil: 1"),
    "authority with userinfo": instead(authority="user@example.com"),
    "authority with a path": instead(authority="example.com/evil"),
    "authority with a space": instead(authority="example.com evil"),
    "host unlike authority": line("host", "other.example"),
    "host twice": headers(1, request_lines(more=[("host", "example.com"), ("host", "example.com")])),
    "connection": line("connection", "close"),
    "connection names a field": headers(1, request_lines(more=[("connection", "x-a"), ("x-a", "1")])),
    "keep-alive": line("keep-alive", "timeout=5"),
    "proxy-connection": line("proxy-connection", "keep-alive"),
    "transfer-encoding": post(data(1, b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", end=True),
                              more=[("transfer-encoding", "chunked")]),
    "upgrade": line("upgrade", "websocket"),
    "te other than trailers": line("te", "chunked"),
    "underscore for a hyphen": line("content_length", "5"),
    "forwarded with underscores": line("x_forwarded_for", "1.2.3.4"),
    "unknown expectation": line("expect", "evil"),
    "content-length on a request without a body": line("content-length", "5"),
    "content-length that is no number": post(data(1, b"hello", end=True), more=[("content-length", "5a")]),
    "content-length with a sign": post(data(1, b"hello", end=True), more=[("content-length", "+5")]),
    "content-length as a list": post(data(1, b"hello", end=True), more=[("content-length", "5, 5")]),
    "content-length twice": post(data(1, b"hello", end=True),
                                 more=[("content-length", "5"), ("content-length", "5")]),
    "content-length beyond 2^64": post(data(1, b"x", end=True), more=[("content-length", "99999999999999999999")]),
    "plain CONNECT": headers(1, [(":method", "CONNECT"), (":authority", "example.com:443")], end=False),
    "CONNECT with a path": headers(1, request_lines(method="CONNECT"), end=False),
    "extended CONNECT for another protocol": connect(protocol="connect-udp"),
    "extended CONNECT without a path": connect(path=None),
    "extended CONNECT without a scheme": connect(scheme=None),
    ":protocol on GET": connect(method="GET"),
    "TRACE with a body": headers(1, method="TRACE", end=False),
}

# Bodies that are unlike what their head said: the backend may have seen the head, never an end.
BODY = {
    "more than content-length": post(data(1, b"123456", end=True), length=5),
    "much more than content-length": post(data(1, b"12345"), data(1, b"GET /evil HTTP/1.1\r\n\r\n", end=True), length=5),
    "less than content-length": post(data(1, b"1234", end=True), length=5),
    "nothing of content-length": post(data(1, b"", end=True), length=5),
    "trailers before the whole content-length": post(data(1, b"1234"), headers(1, [("a", "b")]), length=5),
    "trailers without the end": post(data(1, b"1234"), headers(1, [("a", "b")], end=False)),
    "trailers with a pseudo field": post(data(1, b"1234"), headers(1, [(":path", "/evil")])),
    "trailers with content-length": post(data(1, b"1234"), headers(1, [("content-length", "4")])),
    "trailers with transfer-encoding": post(data(1, b"1234"), headers(1, [("transfer-encoding", "chunked")])),
    "trailers with host": post(data(1, b"1234"), headers(1, [("host", "evil")])),
    "trailers with CR LF": post(data(1, b"1234"), headers(1, [("a", "b\r\n\r\nGET /evil")])),
    "trailers in upper case": post(data(1, b"1234"), headers(1, [("Upper", "b")])),
    "a window beyond 2^31": post(window(1, 0x7fffffff)),
}

# What breaks the connection, by what GOAWAY says.
CONNECTION = {
    "HEADERS that depend on themselves": (frame(f.HEADERS, f.END_HEADERS | f.END_STREAM | f.HAS_PRIORITY, 1,
                                                struct.pack("!IB", 1, 16) + block(*request_lines())), PROTOCOL),
    "WINDOW_UPDATE of nothing on a stream": (post(window(1, 0)), PROTOCOL),
    "DATA on stream 0": (frame(f.DATA, 0, 0, b"x"), PROTOCOL),
    "HEADERS on stream 0": (frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 0, block(*request_lines())), PROTOCOL),
    "DATA on an idle stream": (data(1, b"x"), PROTOCOL),
    "RST_STREAM on an idle stream": (reset(1), PROTOCOL),
    "RST_STREAM on stream 0": (reset(0), PROTOCOL),
    "WINDOW_UPDATE on an idle stream": (window(1, 1), PROTOCOL),
    "WINDOW_UPDATE of nothing on stream 0": (window(0, 0), PROTOCOL),
    "a window of the connection beyond 2^31": (window(0, 0x7fffffff), FLOW),
    "PING on a stream": (frame(f.PING, 0, 1, b"12345678"), PROTOCOL),
    "SETTINGS on a stream": (frame(f.SETTINGS, 0, 1), PROTOCOL),
    "GOAWAY on a stream": (frame(f.GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    "PUSH_PROMISE of a client": (frame(f.PUSH_PROMISE, f.END_HEADERS, 1, struct.pack("!I", 2)), PROTOCOL),
    "a stream of even number": (headers(2), PROTOCOL),
    "a stream number that goes back": (headers(5) + headers(3), PROTOCOL | CLOSED),
    "HEADERS behind END_STREAM": (post(data(1, b"x", end=True), headers(1)), PROTOCOL | CLOSED),
    "DATA behind the client's reset": (post(reset(1), data(1, b"late", end=True)), CLOSED),
    "HEADERS behind the client's reset": (post(reset(1), headers(1)), CLOSED),
    "CONTINUATION alone": (frame(f.CONTINUATION, f.END_HEADERS, 1, b""), PROTOCOL),
    "a frame between HEADERS and CONTINUATION":
        (headers(1, flags=0) + f.ping() + frame(f.CONTINUATION, f.END_HEADERS, 1), PROTOCOL),
    "CONTINUATION of another stream": (headers(1, flags=0) + frame(f.CONTINUATION, f.END_HEADERS, 3), PROTOCOL),
    "padding as long as the frame": (post(frame(f.DATA, f.PADDED, 1, b"\x05abcd")), PROTOCOL),
    "HEADERS padding beyond the frame":
        (frame(f.HEADERS, f.END_HEADERS | f.PADDED, 1, b"\xff" + block(*request_lines())), PROTOCOL),
    "a PING of seven bytes": (frame(f.PING, 0, 0, b"1234567"), SIZE),
    "SETTINGS of five bytes": (frame(f.SETTINGS, 0, 0, b"12345"), SIZE),
    "SETTINGS ACK with a payload": (frame(f.SETTINGS, f.ACK, 0, bytes(6)), SIZE),
    "RST_STREAM of three bytes": (post(frame(f.RST_STREAM, 0, 1, b"123")), SIZE),
    "WINDOW_UPDATE of three bytes": (frame(f.WINDOW_UPDATE, 0, 0, b"123"), SIZE),
    "a frame beyond the largest": (frame(f.HEADERS, f.END_HEADERS, 1, b"", length=16385), SIZE),
    "SETTINGS_ENABLE_PUSH of two": (settings((2, 2)), PROTOCOL),
    "SETTINGS_INITIAL_WINDOW_SIZE beyond 2^31": (settings((4, 0x80000000)), FLOW),
    "SETTINGS_MAX_FRAME_SIZE too small": (settings((5, 16383)), PROTOCOL),
    "SETTINGS_MAX_FRAME_SIZE too large": (settings((5, 1 << 24)), PROTOCOL),
    "an HPACK index that is not there": (frame(f.HEADERS, 5, 1, b"\xff\xff\xff\x0f"), COMPRESSION),
    "an HPACK index of zero": (frame(f.HEADERS, 5, 1, b"\x80"), COMPRESSION),
    "an HPACK string beyond the block": (frame(f.HEADERS, 5, 1, b"\x00\x7f\xff\x01a"), COMPRESSION),
    "an HPACK table beyond the limit": (frame(f.HEADERS, 5, 1, b"\x3f\xe1\xff\x03" + block(*request_lines())),
                                        COMPRESSION),
    "an HPACK table size at the end": (frame(f.HEADERS, 5, 1, block(*request_lines()) + b"\x20"), COMPRESSION),
    "Huffman padding of zeros": (frame(f.HEADERS, 5, 1, b"\x00\x81\x00\x81\x00"), COMPRESSION),
    "a block cut off": (frame(f.HEADERS, 5, 1, block(*request_lines())[:-3]), COMPRESSION),
}


class HostileFrames(GatewayCase):
    limit_seconds = 120

    def nothing_evil(self):
        """No request of a hostile case may have become one at the backend."""
        for request in self.app.requests:
            self.assertEqual(request.target, "/good", f"reached the backend: {request.target!r} {request.fields}")
            self.assertFalse([n for n, _ in request.fields if "evil" in n.lower()])

    def lives(self, client, stream):
        """The connection still serves another stream."""
        client.send(headers(stream, path="/good"))
        self.assertEqual(client.answer(stream).status, 200)

    def test_there_are_enough_cases(self):
        self.assertGreaterEqual(len(STREAM) + len(BODY) + len(CONNECTION), 40)

    def test_malformed_requests_are_refused_and_others_go_on(self):
        for name, sent in STREAM.items():
            with self.subTest(name), FrameClient(self.port) as client:
                client.send(sent)
                got = client.answer(1)
                if got.status is None:
                    self.assertEqual(got.reset, f.PROTOCOL_ERROR, client.frames)
                else:
                    self.assertIn(got.status, (400, 405, 417, 501), client.frames)
                    self.assertTrue(got.ended)
                self.lives(client, 3)
        self.nothing_evil()

    def test_bodies_unlike_their_head_never_look_complete(self):
        for name, sent in BODY.items():
            with self.subTest(name), FrameClient(self.port) as client:
                client.send(sent)
                got = client.answer(1)
                self.assertTrue(got.reset in (f.PROTOCOL_ERROR, f.FLOW_CONTROL_ERROR) or got.status == 400,
                                client.frames)
                self.lives(client, 3)
        for request in self.app.requests:
            self.assertTrue(request.target == "/good" or not getattr(request, "complete", False), request.target)
        for connection in self.app.connections:
            self.assertNotIn(b"evil", connection.raw)

    def test_what_breaks_the_connection_ends_it_with_the_right_code(self):
        for name, (sent, codes) in CONNECTION.items():
            with self.subTest(name), FrameClient(self.port) as client:
                client.send(sent)
                code = client.end()
                self.assertIn(code, codes, client.frames)
        for connection in self.app.connections:
            self.assertNotIn(b"evil", connection.raw)

    def test_a_wrong_preface_is_not_http2(self):
        for sent in (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
                     b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            with self.subTest(sent), FrameClient(self.port, preface=False) as client:
                client.send(sent)
                got = client.socket.recv(1000)
                self.assertRegex(got, rb"^HTTP/1.1 (400|501|505) ")

    def test_something_else_than_settings_behind_the_preface_ends_it(self):
        with FrameClient(self.port, preface=False) as client:
            client.send(f.PREFACE, headers(1))
            self.assertEqual(client.end(), f.PROTOCOL_ERROR)
        self.assertEqual(self.app.requests, [])

    def test_unknown_frames_and_flags_are_passed_over(self):
        with FrameClient(self.port) as client:
            client.send(frame(0xfe, 0xff, 1, b"x"), frame(0xfe, 0, 0, b""), settings((0xff00, 1)),
                        frame(f.PRIORITY, 0, 1, struct.pack("!IB", 3, 1)),
                        frame(f.HEADERS, f.END_HEADERS | f.END_STREAM | 0xc2, 1, block(*request_lines(path="/good"))))
            self.assertEqual(client.answer(1).status, 200)

    def test_cookies_are_joined_and_one_hop_fields_go(self):
        with FrameClient(self.port) as client:
            got = client.ask(path="/good", more=[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"),
                                                 ("x-a", "1"), ("x-a", "2")])
            self.assertEqual(got.status, 200)
        seen = self.app.last()
        self.assertEqual([v for n, v in seen.fields if n.lower() == "cookie"], ["a=1; b=2"])
        self.assertEqual([v for n, v in seen.fields if n.lower() == "x-a"], ["1", "2"])
        self.assertEqual([n for n, _ in seen.fields if n.lower() in ("te", "connection", "upgrade")], [])
        self.assertEqual(seen.get("host"), "example.com")


class Floods(GatewayCase):
    """RELIABILITY: resets, control frames, header blocks; each ended and counted, and few requests get through."""

    limit_seconds = 60
    QUICK = "/quick"  # of other clients

    @classmethod
    def make(cls):
        def slow(request):
            if request.target != cls.QUICK:
                time.sleep(0.05)
            return answer(200, "late")
        return gw.simple(cls.backend("app", handler=slow))

    @contextlib.contextmanager
    def bounded(self):
        """RELIABILITY: memory grows by 16 MiB at most, and another client waits no more than half a second."""
        self.assertEqual(self.quick(), 200)
        with self.growth_within(16, self.quick):
            yield

    def flood(self, kind, pieces, limit):
        """Sends pieces until the gateway ends the connection; returns how many went out."""
        with self.bounded():
            return self.sent(kind, pieces, limit)

    def sent(self, kind, pieces, limit):
        """The flood itself."""
        before = self.gateway.metric("hyperway_http2_floods_total", kind=kind)
        sent = 0
        with FrameClient(self.port) as client:
            client.read()
            for piece in pieces:
                if sent > limit + 400 or not client.try_send(piece):
                    break
                sent += 1
            self.assertIn(client.end(), (f.ENHANCE_YOUR_CALM, None), client.frames[-3:])
        self.assertEqual(self.gateway.metric("hyperway_http2_floods_total", kind=kind), before + 1)
        self.assertLessEqual(len([r for r in self.app.requests if r.target != self.QUICK]), 200)
        self.assertEqual(self.quick(), 200)
        return sent

    def paced(self, piece):
        """Makes the gateway reset one stream after the other; returns how many it did."""
        before = self.gateway.metric("hyperway_http2_floods_total", kind="resets")
        with FrameClient(self.port) as client:
            for stream in self.numbers():
                client.send(piece(stream))
                client.until(lambda c: c.goaway or stream in c.answers and c.answers[stream].reset is not None)
                if client.goaway or client.closed:
                    break
            self.assertEqual(client.end(), f.ENHANCE_YOUR_CALM)
        self.assertEqual(self.gateway.metric("hyperway_http2_floods_total", kind="resets"), before + 1)
        self.assertLessEqual(stream // 2, 201)
        self.assertEqual(self.quick(), 200)

    def quick(self):
        """Another client is served."""
        with FrameClient(self.port) as client:
            return client.ask(path=self.QUICK).status

    def numbers(self):
        """Stream ids of a client."""
        return range(1, 1 << 16, 2)

    def test_rapid_reset(self):
        self.flood("resets", (headers(s) + reset(s) for s in self.numbers()), 200)

    def test_made_you_reset_by_overflowing_windows(self):
        self.paced(lambda s: headers(s, end=False, method="POST") + window(s, 0x7fffffff))

    def test_made_you_reset_by_malformed_requests(self):
        self.paced(lambda s: headers(s, request_lines(more=[("Upper", "x")])))

    def test_made_you_reset_by_lengths(self):
        self.paced(lambda s: headers(s, method="POST", more=[("content-length", "1")], end=False)
                   + data(s, b"xx", end=True))

    def test_streams_beyond_the_limit_end_the_connection(self):
        with FrameClient(self.port) as client:
            client.until(lambda c: c.theirs)
            for stream in self.numbers():
                if stream > 2000 or not client.try_send(headers(stream, end=False, method="POST")):
                    break
            self.assertIn(client.end(), (f.PROTOCOL_ERROR, f.ENHANCE_YOUR_CALM, None))
        self.assertLessEqual(len(self.app.requests), 200)
        self.assertEqual(self.quick(), 200)

    def test_pings(self):
        self.flood("frames", (f.ping() for _ in range(5000)), 1000)

    def test_settings(self):
        self.flood("frames", (settings() for _ in range(5000)), 1000)

    def test_priorities(self):
        self.flood("frames", (frame(f.PRIORITY, 0, s, struct.pack("!IB", 0, 1)) for s in self.numbers()), 1000)

    def test_window_updates(self):
        self.flood("frames", (window(0, 1) for _ in range(5000)), 1000)

    def test_unknown_frames(self):
        self.flood("frames", (frame(0xee, 0, 0, b"") for _ in range(5000)), 1000)

    def test_empty_data(self):
        self.flood("frames", (headers(1, method="POST", end=False) if i == 0 else data(1) for i in range(5000)), 1000)

    def test_data_of_padding_only(self):
        self.flood("frames", (headers(1, method="POST", end=False) if i == 0 else data(1, pad=10)
                              for i in range(5000)), 1000)

    def test_empty_continuations(self):
        self.flood("headers", (headers(1, flags=0) if i == 0 else frame(f.CONTINUATION, 0, 1)
                               for i in range(5000)), 100)

    def test_large_continuations(self):
        piece = frame(f.CONTINUATION, 0, 1, literal("a", "x" * 16000)[:16384])
        self.flood("headers", (headers(1, flags=0) if i == 0 else piece for i in range(500)), 20)

    def test_hpack_bomb(self):
        # One large line in the table, then named by one byte again and again.
        start = block(*request_lines()) + b"\x40" + literal("a", "x" * 4000)[1:]
        self.flood("headers", (frame(f.HEADERS, 5, s, (start if s == 1 else block(*request_lines())) + b"\xbe" * 8000)
                               for s in self.numbers()), 50)

    def test_heads_beyond_the_limit_get_431(self):
        lines = request_lines(more=[("x", "y" * 4000) for _ in range(17)])
        whole = block(*lines)
        with FrameClient(self.port) as client:
            client.send(frame(f.HEADERS, f.END_STREAM, 1, whole[:16384]),
                        *[frame(f.CONTINUATION, f.END_HEADERS if at + 16384 >= len(whole) else 0, 1,
                                whole[at:at + 16384]) for at in range(16384, len(whole), 16384)])
            self.assertEqual(client.answer(1).status, 431)
            self.assertEqual(self.app.requests, [])
            client.next_stream = 3
            self.assertEqual(client.ask().status, 200)


if __name__ == "__main__":
    unittest.main()
