# SPDX-License-Identifier: Apache-2.0
"""Mirrors get a copy and never disturb the original."""
import time
import unittest

from harness import gateway as gw
from harness.backend import answer
from harness.case import GatewayCase, patience, until
from harness.client import Client, ask
from harness.manifests import (app, backend_ref, endpoints, gateway, gateway_class, path_match, route,
                               rule, service)
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


if __name__ == "__main__":
    unittest.main()
