# SPDX-License-Identifier: Apache-2.0
"""A server that is built from Envoy's own protocol buffers and gRPC's own server understands what the filter
ExternalAuth asks, and is understood."""
import json
import unittest

import tools
from harness import gateway as gw
from harness.backend import Backend
from harness.case import Case
from harness.client import ask
from harness.manifests import app, backend_ref, gateway, gateway_class, route, rule


class ExtAuthz(Case):
    def setUp(self):
        super().setUp()
        self.server = self.use(tools.Server("ext_authz", "-port=PORT"))
        self.backend = self.use(Backend("app"))
        auth = {"type": "ExternalAuth", "externalAuth": {
            "protocol": "GRPC", "grpc": {}, "backendRef": backend_ref("auth"), "forwardBody": {"maxSize": 1000}}}
        self.gateway = self.use(gw.Gateway(gateway_class(), gateway(), *app("app", self.backend),
                                           *app("auth", self.server), route(rules=[rule(filters=[auth])])))

    def check_question(self, text):
        """What was asked is the request."""
        attributes = json.loads(text)["attributes"]
        request = attributes["request"]["http"]
        self.assertEqual({k: request[k] for k in ("method", "host", "scheme", "protocol", "size", "body")},
                         {"method": "POST", "host": "shop.example", "scheme": "http", "protocol": "HTTP/1.1",
                          "size": "5", "body": "grün"})
        self.assertEqual(request["headers"]["x-in"], "1,2")
        self.assertEqual(attributes["source"]["address"]["socket_address"]["address"], "127.0.0.1")
        self.assertEqual(attributes["destination"]["address"]["socket_address"],
                         {"address": "shop.example", "port_value": 80})
        self.assertTrue(attributes["request"]["time"].startswith("20"))
        return request["path"]

    def ask(self, target):
        """A request with a body."""
        return ask(self.gateway.port(), "POST", target, host="shop.example", body="grün".encode(),
                   fields=[("X-In", "1"), ("X-In", "2"), ("X-User", "forged"), ("X-Many", "1"), ("X-Gone", "1")])

    def test_it_allows_and_edits(self):
        got = self.ask("/a?token=1&keep=2")
        self.assertEqual((got.status, got.get("x-out")), (200, "new"))
        seen = self.backend.last()
        self.assertEqual((seen.target, seen.body), ("/a?keep=2&new=a%20b", "grün".encode()))
        self.assertEqual([seen.all(n) for n in ("x-user", "x-many", "x-gone")], [["ann"], ["1", "2"], []])
        self.assertEqual(self.check_question(seen.get("x-asked").encode("latin-1")), "/a?token=1&keep=2")

    def test_it_denies(self):
        got = self.ask("/deny")
        self.assertEqual((got.status, got.get("www-authenticate"), got.get("content-type")),
                         (401, "Bearer", "application/json"))
        self.assertEqual(self.check_question(got.body), "/deny")
        self.assertEqual(self.backend.requests, [])

    def test_its_errors_let_nobody_pass(self):
        self.assertEqual(self.ask("/error").status, 403)
        self.assertEqual(self.backend.requests, [])


if __name__ == "__main__":
    unittest.main()
