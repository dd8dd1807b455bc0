# SPDX-License-Identifier: Apache-2.0
"""Mirrors get a copy and never disturb the original."""
import time
import unittest

from harness import gateway as gw
from harness import wire
from harness.backend import Backend, answer
from harness.case import Case, GatewayCase, patience, until
from harness.client import Client, ask
from harness.manifests import (app, backend_ref, endpoints, gateway, gateway_class, path_match, route,
                               rule, service, slices)
from harness.ports import free_port


def mirror(name, **extra):
    """A RequestMirror filter."""
    return {"type": "RequestMirror",
            "requestMirror": {"backendRef": {"name": name, "port": 8080}, **extra}}


class Mirror(GatewayCase):
    @classmethod
    def make(cls):
        return gw.Gateway(
            gateway_class(), gateway(), *app("app", cls.backend("app")), *app("copy", cls.backend("copy")),
            *app("second", cls.backend("second")),
            service("dead"), endpoints("dead", [("127.0.0.1", free_port())]),
            route(rules=[
                rule(["app"], [path_match("/one")], [mirror("copy")]),
                rule(["app"], [path_match("/two")], [mirror("copy"), mirror("second")]),
                rule(["app"], [path_match("/part")], [mirror("copy", percent=20)]),
                rule(["app"], [path_match("/fraction")],
                     [mirror("copy", fraction={"numerator": 1, "denominator": 2})]),
                rule(["app"], [path_match("/never")], [mirror("copy", percent=0)]),
                rule(["app"], [path_match("/dead")], [mirror("dead")]),
                rule(["app"], [path_match("/edited")],
                     [{"type": "RequestHeaderModifier", "requestHeaderModifier": {
                         "set": [{"name": "X-Set", "value": "1"}]}}, mirror("copy")])]))

    def test_the_copy_has_the_request_and_its_body(self):
        self.assertEqual(ask(self.port, "POST", "/one?q", body=b"body", fields=[("X-A", "b")]).body, b"app")
        copy = until(lambda: [r for r in self.backends["copy"].requests if r.target == "/one?q"])[0]
        until(lambda: copy.complete)
        self.assertEqual((copy.method, copy.target, copy.body, copy.get("x-a")),
                         ("POST", "/one?q", b"body", "b"))

    def test_a_chunked_body_is_copied(self):
        with Client(self.port) as client:
            client.send("POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            self.assertEqual(client.response().status, 200)
        until(lambda: b"abcde" in [r.body for r in self.backends["copy"].requests])

    def test_every_mirror_of_a_rule_gets_one(self):
        ask(self.port, "GET", "/two?each")
        for name in ("copy", "second"):
            until(lambda name=name: [r.target for r in self.backends[name].requests].count("/two?each") == 1)

    def test_the_copy_is_taken_after_the_filters_of_the_rule(self):
        ask(self.port, "GET", "/edited")
        until(lambda: [r.get("x-set") for r in self.backends["copy"].requests if r.target == "/edited"] == ["1"])

    def test_shares_are_kept(self):
        for path, low, high in (("/part", 60, 140), ("/fraction", 200, 300), ("/never", 0, 0)):
            with self.subTest(path), Client(self.port) as client:
                self.backends["copy"].forget()
                for _ in range(500):
                    client.ask("GET", path)
                time.sleep(0.3)
                copies = [r for r in self.backends["copy"].requests if r.target == path]
                self.assertTrue(low <= len(copies) <= high, len(copies))

    def test_a_mirror_that_never_answers_costs_the_original_nothing(self):
        self.backends["copy"].script = lambda c: c.read_request() and c.wait_for_close(20)
        with Client(self.port) as client:
            begin = time.monotonic()
            for _ in range(50):
                self.assertEqual(client.ask("POST", "/one", body=b"x").body, b"app")
            self.assertLess(time.monotonic() - begin, 1.0 * patience())

    def test_a_mirror_that_does_not_read_is_cut_and_the_original_goes_on(self):
        self.backends["copy"].script = lambda c: c.wait_for_close(0.1) or time.sleep(5)
        self.app.handler = lambda r: answer(200, str(len(r.body)))
        blob = b"x" * (16 << 20)
        begin = time.monotonic()
        self.assertEqual(ask(self.port, "POST", "/one", body=blob).body, str(len(blob)).encode())
        self.assertLess(time.monotonic() - begin, 4 * patience())

    def test_a_mirror_that_is_not_there_costs_the_original_nothing(self):
        for _ in range(5):
            self.assertEqual(ask(self.port, "GET", "/dead").body, b"app")

    def test_the_answer_of_a_mirror_reaches_nobody(self):
        self.backends["copy"].handler = lambda r: answer(500, "wrong one", [("X-Wrong", "1")])
        for _ in range(20):
            got = ask(self.port, "GET", "/one")
            self.assertEqual((got.status, got.body, got.all("x-wrong")), (200, b"app", []))


class InFlight(Case):
    """Copies that are under way when something else ends."""

    def start(self, deadline="2s", **extra):
        """A gateway whose every request is mirrored to `copy`, which reads and never answers."""
        self.app, self.copy = self.use(Backend("app")), self.use(Backend("copy"))
        self.copy.script = lambda c: c.read_request() and c.wait_for_close(20)
        self.gateway = self.use(gw.Gateway(
            gateway_class(), gateway(), *app("app", self.app), *app("copy", self.copy),
            route(rules=[rule(["app"], None, [mirror("copy")], **extra)]),
            settings={"drain": {"delay": "200ms", "deadline": deadline}}))
        return self.gateway.port()

    def ended(self):
        """Seconds until the process ended, with 0 and no report of a sanitizer."""
        begin = time.monotonic()
        self.gateway.stop()
        return time.monotonic() - begin

    def test_a_drain_does_not_wait_for_copies(self):
        port = self.start(deadline="10s")
        for n in range(20):
            self.assertEqual(ask(port, "POST", "/", body=b"x" * 1000 * n).status, 200)
        until(lambda: len([r for r in self.copy.requests if r.complete]) == 20)
        self.assertLess(self.ended(), 3 * patience())
        self.assertTrue(all(c.closed.wait(2) for c in self.copy.connections))

    def test_the_deadline_ends_an_upload_and_its_copy(self):
        port = self.start(deadline="1s")
        with Client(port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
            until(lambda: self.copy.requests and self.app.requests)
            self.assertLess(self.ended(), 4 * patience())
        self.assertFalse(any(r.complete for r in self.copy.requests))

    def test_a_copy_to_a_backend_that_has_gone_from_the_configuration_ends_with_the_process(self):
        port = self.start()
        self.assertEqual(ask(port).status, 200)
        until(lambda: self.copy.requests)
        self.gateway.delete(slices("copy", [self.copy]))
        other = endpoints("copy", [("127.0.0.1", self.app.port)])
        self.gateway.apply(other)
        until(lambda: ask(port).status == 200 and len([r for r in self.app.requests]) >= 3, message="copies go to app")
        self.assertFalse(self.copy.connections[0].closed.is_set())
        self.assertLess(self.ended(), 4 * patience())

    def test_an_original_that_is_cut_ends_its_copy(self):
        port = self.start()
        with Client(port) as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            until(lambda: self.copy.requests)
            client.reset()
        self.assertTrue(self.copy.connections[0].closed.wait(5), "a copy of half a request lives on")
        self.assertIsInstance(self.copy.connections[0].error, wire.Truncated)

    def test_a_request_that_is_repeated_is_copied_once(self):
        port = self.start(retry={"codes": [503], "attempts": 2})
        left = [2]

        def handler(_):
            left[0] -= 1
            return answer(503 if left[0] >= 0 else 200)
        self.app.handler = handler
        self.assertEqual(ask(port, "PUT", "/", body=b"abc").status, 200)
        until(lambda: [r.body for r in self.copy.requests] == [b"abc"])
        self.assertEqual([r.body for r in self.app.requests], [b"abc"] * 3)

    def test_a_late_copy_is_cut(self):
        port = self.start()
        self.assertEqual(ask(port).status, 200)
        until(lambda: self.copy.requests)
        begin = time.monotonic()
        self.assertTrue(self.copy.connections[0].closed.wait(15 * patience()))
        self.assertGreater(time.monotonic() - begin, 8)
        self.assertEqual(self.gateway.metric("hyperway_mirrors_cut_total"), 1)


if __name__ == "__main__":
    unittest.main()
