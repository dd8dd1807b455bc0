# SPDX-License-Identifier: Apache-2.0
"""The filters that a route reaches by ExtensionRef, through the public ABI, end to end."""
import hashlib
import json
import time
import unittest

from harness import gateway as gw
from harness.backend import answer, chunked
from harness.case import GatewayCase, patience, until
from harness.client import Client, ask
from harness.manifests import (app, extension, filter_object, gateway, gateway_class, path_match, route, rule)


def digest(text):
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


KEYS = {"keys": [{"name": "alice", "sha256": digest("wonder")}, {"name": "bob", "sha256": digest("build")}],
        "nameHeader": "X-Client"}
MASK = {"fields": ["password", "token"], "replacement": "***"}


class Filters(GatewayCase):
    @classmethod
    def make(cls):
        slow = {"requests": 3, "per": "minute", "key": {"type": "header", "name": "X-Client"}}
        return gw.Gateway(
            gateway_class(), gateway(), *app("app", cls.backend("app")),
            filter_object("keys", "api_key", KEYS), filter_object("limit", "rate_limit", slow),
            filter_object("everyone", "rate_limit", {"requests": 2, "per": "second", "key": {"type": "route"}}),
            filter_object("mask", "json_mask", MASK), filter_object("bad", "api_key", {"keys": "none"}),
            filter_object("strange", "no_such_plugin", {}),
            route(rules=[
                rule(["app"], [path_match("/keyed")], [extension("keys")]),
                rule(["app"], [path_match("/limited")], [extension("limit")]),
                rule(["app"], [path_match("/burst")], [extension("everyone")]),
                rule(["app"], [path_match("/mask")], [extension("mask")]),
                rule(["app"], [path_match("/both")], [extension("keys"), extension("mask")]),
                rule(["app"], [path_match("/plain")])]),
            route("broken", [rule(["app"], [path_match("/bad")], [extension("bad")])]),
            route("unknown", [rule(["app"], [path_match("/strange")], [extension("strange")])]),
            route("missing", [rule(["app"], [path_match("/missing")], [extension("nothing")])]))

    def test_an_api_key_is_asked_for(self):
        for fields in ([], [("X-Api-Key", "wrong")], [("X-Api-Key", "")], [("X-Api-Key", "wonder "[:-1] + "x")]):
            with self.subTest(fields):
                got = ask(self.port, "GET", "/keyed", fields=fields)
                self.assertIn(got.status, (401, 403))
        self.assertEqual(self.app.requests, [])

    def test_a_known_key_passes_and_is_not_handed_on(self):
        got = ask(self.port, "GET", "/keyed", fields=[("X-Api-Key", "wonder")])
        self.assertEqual(got.body, b"app")
        self.assertEqual((self.app.last().get("x-client"), self.app.last().all("x-api-key")), ("alice", []))

    def test_a_client_cannot_claim_a_name(self):
        ask(self.port, "GET", "/keyed", fields=[("X-Api-Key", "build"), ("X-Client", "alice")])
        self.assertEqual(self.app.last().all("x-client"), ["bob"])

    def test_a_refused_body_does_not_disturb_the_connection(self):
        with Client(self.port) as client:
            client.request("POST", "/keyed", body=b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(client.response().status, (401, 403))
            client.request("GET", "/plain")
            try:
                self.assertEqual(client.response().body, b"app")
            except Exception as error:  # noqa: BLE001 (closing instead is fine)
                self.assertNotIsInstance(error, (AssertionError, TimeoutError))
        self.assertNotIn("/smuggled", [r.target for r in self.app.requests])

    def test_a_rate_is_kept_for_each_key(self):
        for client in ("one", "two"):
            statuses = [ask(self.port, "GET", "/limited", fields=[("X-Client", client)]).status for _ in range(5)]
            self.assertEqual(statuses, [200, 200, 200, 429, 429])
        got = ask(self.port, "GET", "/limited", fields=[("X-Client", "one")])
        self.assertGreater(int(got.get("retry-after")), 0)

    def test_tokens_come_back_with_time(self):
        until(lambda: ask(self.port, "GET", "/burst").status == 429)
        time.sleep(1.1)
        self.assertEqual(ask(self.port, "GET", "/burst").status, 200)

    def test_buckets_survive_edits_elsewhere(self):
        fields = [("X-Client", "three")]
        for _ in range(3):
            ask(self.port, "GET", "/limited", fields=fields)
        self.gateway.apply(route("elsewhere", hostnames=["else.example"]))
        until(lambda: ask(self.port, host="else.example").status == 200)
        self.assertEqual(ask(self.port, "GET", "/limited", fields=fields).status, 429)

    def mask(self, data, **kwargs):
        """What the client gets of a JSON answer."""
        self.app.handler = lambda r: answer(200, data, [("Content-Type", "application/json")])
        return ask(self.port, "GET", kwargs.pop("path", "/mask"), **kwargs)

    def test_fields_of_json_answers_are_masked(self):
        got = self.mask(json.dumps({"user": "u", "password": "secret", "in": [{"token": "t\"x", "n": 1.50}]}))
        self.assertEqual(json.loads(got.body), {"user": "u", "password": "***", "in": [{"token": "***", "n": 1.5}]})

    def test_a_masked_body_of_another_length_is_framed_anew(self):
        got = self.mask(json.dumps({"password": "x" * 5000}))
        self.assertEqual(json.loads(got.body), {"password": "***"})

    def test_json_is_masked_wherever_chunks_are_cut(self):
        text = b'{"a":"b","password":"s\\"ecret","z":[true,null,{"token":"abc"}]}'

        def script(connection):
            while connection.read_request() is not None:
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                b"Transfer-Encoding: chunked\r\n\r\n")
                for n in range(len(text)):
                    connection.send(b"1\r\n" + text[n:n + 1] + b"\r\n")
                connection.send(b"0\r\n\r\n")
        self.app.script = script
        self.assertEqual(json.loads(ask(self.port, "GET", "/mask").body),
                         {"a": "b", "password": "***", "z": [True, None, {"token": "***"}]})

    def test_other_content_is_left_alone(self):
        self.app.handler = lambda r: answer(200, b'{"password":"x"}', [("Content-Type", "text/plain")])
        self.assertEqual(ask(self.port, "GET", "/mask").body, b'{"password":"x"}')

    def test_a_large_answer_streams_through_the_filter(self):
        rows = b"[" + b",".join(b'{"id":%d,"token":"%s"}' % (n, b"t" * 50) for n in range(20000)) + b"]"
        self.app.handler = lambda r: (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                      b"Transfer-Encoding: chunked\r\n\r\n"
                                      + chunked([rows[i:i + 8192] for i in range(0, len(rows), 8192)]))
        begin = time.monotonic()
        got = ask(self.port, "GET", "/mask")
        self.assertLess(time.monotonic() - begin, 5 * patience())
        self.assertEqual(got.body.count(b'"token":"***"'), 20000)

    def test_filters_run_in_list_order(self):
        self.assertIn(ask(self.port, "GET", "/both").status, (401, 403))
        got = self.mask('{"token": "t"}', path="/both", fields=[("X-Api-Key", "wonder")])
        self.assertEqual(json.loads(got.body), {"token": "***"})

    def test_a_refused_configuration_answers_500_and_says_where(self):
        self.assertEqual(ask(self.port, "GET", "/bad").status, 500)
        condition = self.gateway.condition("HTTPRoute/default/broken", "ResolvedRefs")
        self.assertEqual((condition["status"], condition["reason"]), ("False", "InvalidFilterConfig"))
        self.assertIn("/keys", condition["message"])
        self.assertEqual(self.app.requests, [])

    def test_an_unknown_plugin_or_filter_answers_500(self):
        for path, name in (("/strange", "unknown"), ("/missing", "missing")):
            with self.subTest(path):
                self.assertEqual(ask(self.port, "GET", path).status, 500)
                self.assertEqual(self.gateway.condition(f"HTTPRoute/default/{name}", "ResolvedRefs")["status"], "False")
        self.assertEqual(self.app.requests, [])

    def test_an_edited_filter_takes_effect(self):
        more = {"keys": KEYS["keys"] + [{"name": "carol", "sha256": digest("new")}], "nameHeader": "X-Client"}
        self.assertIn(ask(self.port, "GET", "/keyed", fields=[("X-Api-Key", "new")]).status, (401, 403))
        self.gateway.apply(filter_object("keys", "api_key", more))
        until(lambda: ask(self.port, "GET", "/keyed", fields=[("X-Api-Key", "new")]).status == 200)
        self.gateway.apply(filter_object("keys", "api_key", KEYS))
        until(lambda: ask(self.port, "GET", "/keyed", fields=[("X-Api-Key", "new")]).status in (401, 403))


if __name__ == "__main__":
    unittest.main()
