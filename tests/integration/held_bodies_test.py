# SPDX-License-Identifier: Apache-2.0
"""Filters of a backend that hold or pause a request, together with retries: every attempt is whole."""
import shutil
import socket
import tempfile
import time
import unittest

from harness import gateway as gw
from harness import plugin_source
from harness.backend import answer
from harness.case import GatewayCase, patience, until
from harness.client import Client, ask
from harness.manifests import (app, backend_ref, endpoints, extension, filter_object, gateway, gateway_class,
                               path_match, route, rule, service, slices)
from harness.ports import free_port

MODES = ("hold-head", "hold-body", "pause-head", "pause-body")
KIB = 1 << 10


def request(mode, kind, path="/retry", size=300):
    """Pieces of a request to send one by one, its body and its trailers."""
    body = bytes(97 + n % 23 for n in range(size))
    head = f"PUT /{mode}{path} HTTP/1.1\r\nHost: a\r\n".encode()
    half = len(body) // 2
    if kind == "at once":
        return [head + b"Content-Length: %d\r\n\r\n" % size + body], body, []
    if kind == "in pieces":
        return [head + b"Content-Length: %d\r\n\r\n" % size, body[:half], body[half:]], body, []
    if kind == "empty chunked":
        return [head + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"], b"", []
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:])]
    if kind == "chunked":
        return [head + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n"], body, []
    return ([head + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\nX-Last: yes\r\n\r\n"], body,
            [("x-last", "yes")])


class HeldBodies(GatewayCase):
    limit_seconds = 60

    @classmethod
    def make(cls):
        cls.built = tempfile.mkdtemp(prefix="hw-holder-")
        library = plugin_source.compile_text(cls.built, "holder", plugin_source.HOLDER)
        first = cls.backend("app")
        rules = []
        for mode in MODES:
            for path, name, extra in (
                    ("retry", "app", {"retry": {"codes": [503], "attempts": 2}}),
                    ("backoff", "app", {"retry": {"codes": [503], "attempts": 2, "backoff": "50ms"}}),
                    ("half", "half", {}), ("plain", "app", {})):
                rules.append(rule([backend_ref(name, filters=[extension(mode)])],
                                  [path_match(f"/{mode}/{path}")], **extra))
        rules.append(rule([backend_ref("app", filters=[extension("never")])], [path_match("/never")],
                          timeouts={"request": "500ms"}))
        rules.append(rule(["app"], [path_match("/free")]))
        dead = endpoints("half", [("127.0.0.1", free_port())])
        routes = [route(f"r{n}", rules[n:n + 6]) for n in range(0, len(rules), 6)]
        return gw.Gateway(
            gateway_class(), gateway(), *app("app", first), service("half"), *slices("half", [first]), dead,
            *[filter_object(mode, "holder", {"mode": mode}) for mode in (*MODES, "never")], *routes,
            settings={"plugins": [{"name": "holder", "path": library}]})

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.built, ignore_errors=True)

    def fail_first(self, times):
        """The backend refuses so many requests and takes the next."""
        self.app.forget()
        left = [times]

        def handler(_):
            left[0] -= 1
            return answer(503, "bad") if left[0] >= 0 else answer(200, "good")
        self.app.handler = handler

    def send(self, pieces, pause=0.02):
        """Sends the pieces one by one and returns the answer."""
        with Client(self.port) as client:
            for n, piece in enumerate(pieces):
                if n:
                    time.sleep(pause)
                client.send(piece)
            return client.response("PUT")

    def check(self, mode, body, trailers, count):
        """Every attempt reached the backend whole, edited once."""
        asked = self.app.requests
        self.assertEqual([r.body[-30:] for r in asked], [(body + b"|end")[-30:]] * count)
        self.assertEqual([len(r.body) for r in asked], [len(body) + 4] * count)
        self.assertEqual({r.get("x-filter") for r in asked}, {mode})
        self.assertEqual([[(n.lower(), v) for n, v in r.trailers] for r in asked], [trailers] * count)
        if mode == "hold-head":
            self.assertEqual({r.get("x-held") for r in asked}, {str(len(body))})

    def test_every_attempt_has_the_whole_body_edited_once(self):
        for mode in MODES:
            for kind in ("at once", "in pieces", "chunked", "trailers", "empty chunked"):
                for path in ("/retry", "/backoff"):
                    for fails in (0, 1, 2):
                        with self.subTest(mode=mode, kind=kind, path=path, fails=fails):
                            pieces, body, trailers = request(mode, kind, path)
                            self.fail_first(fails)
                            self.assertEqual(self.send(pieces).status, 200)
                            self.check(mode, body, trailers, fails + 1)

    def test_when_attempts_are_used_up_the_last_answer_counts(self):
        for mode in MODES:
            with self.subTest(mode):
                pieces, body, trailers = request(mode, "in pieces")
                self.fail_first(3)
                self.assertEqual(self.send(pieces).status, 503)
                self.check(mode, body, trailers, 3)

    def test_a_refused_connection_goes_to_another_endpoint(self):
        for mode in MODES:
            for kind in ("at once", "chunked", "trailers"):
                for _ in range(4):  # Both endpoints come first, and the dead one is ejected.
                    with self.subTest(mode=mode, kind=kind):
                        self.app.forget()
                        pieces, body, trailers = request(mode, kind, "/half")
                        self.assertEqual(self.send(pieces).status, 200)
                        self.check(mode, body, trailers, 1)

    def test_a_stale_connection_costs_nothing(self):
        for mode in MODES:
            with self.subTest(mode):
                self.app.forget()
                self.assertEqual(ask(self.port, "GET", "/free").status, 200)
                pieces, body, trailers = request(mode, "in pieces", "/plain")
                self.app.connections[0].socket.shutdown(socket.SHUT_RDWR)
                self.assertEqual(self.send(pieces).status, 200)
                self.assertEqual([r.body for r in self.app.requests[1:]], [body + b"|end"])

    def test_a_backend_that_dies_over_the_request_is_asked_again(self):
        for mode in MODES:
            with self.subTest(mode):
                self.app.forget()
                calls = []

                def script(connection, calls=calls):
                    while connection.read_request() is not None:
                        calls.append(1)
                        if len(calls) == 1:
                            return
                        connection.send(answer(200, "second"))
                self.app.script = script
                pieces, body, trailers = request(mode, "in pieces")
                self.assertEqual(self.send(pieces).body, b"second")
                self.check(mode, body, trailers, 2)

    def test_a_body_too_large_to_keep_is_sent_once(self):
        for mode in MODES:
            with self.subTest(mode):
                self.fail_first(1)
                pieces, body, trailers = request(mode, "in pieces", size=300 * KIB)
                self.assertEqual(self.send(pieces).status, 503)
                self.check(mode, body, trailers, 1)

    def test_a_body_beyond_what_a_filter_may_hold_is_413(self):
        for mode in ("hold-head", "hold-body"):
            with self.subTest(mode), Client(self.port) as client:
                client.send(f"PUT /{mode}/plain HTTP/1.1\r\nHost: a\r\nContent-Length: {2048 * KIB}\r\n\r\n")
                try:
                    client.send(b"x" * (2048 * KIB))
                except OSError:
                    pass
                self.assertEqual(client.response("PUT").status, 413)
        self.assertFalse(any(r.complete for r in self.app.requests))

    def test_a_client_that_leaves_meanwhile_harms_nobody(self):
        for mode in (*MODES, "never"):
            for kind in ("in pieces", "chunked"):
                pieces, _, _ = request(mode, kind)
                for count in range(1, len(pieces) + 1):
                    with Client(self.port) as client:
                        for piece in pieces[:count]:
                            client.send(piece)
                        if count % 2:
                            client.reset()
        until(lambda: ask(self.port, "GET", "/free").status == 200)
        until(lambda: self.gateway.metric("hyperway_requests_active") == 0, message="no stream is left")

    def test_a_filter_that_never_goes_on_is_ended_by_the_request_limit(self):
        with Client(self.port) as client:
            begin = time.monotonic()
            client.request("GET", "/never")
            self.assertEqual(client.response().status, 504)
            self.assertLess(time.monotonic() - begin, 0.75 * patience() + 0.1)
        self.assertEqual(self.app.requests, [])


if __name__ == "__main__":
    unittest.main()
