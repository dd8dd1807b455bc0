# SPDX-License-Identifier: Apache-2.0
"""Filters of listeners: they see each request before it is matched, in the order of their list, and the answer behind
all others."""
import hashlib
import shutil
import tempfile
import time
import unittest

from harness import gateway as gw
from harness import plugin_source
from harness.case import GatewayCase, until
from harness.client import Client, ask
from harness.frames import FrameClient
from harness.manifests import (app, extension, filter_object, gateway, gateway_class, listener, path_match, route, rule)

KEYS = {"keys": [{"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest()}
                 for name, key in (("alice", "wonder"), ("bob", "build"))], "nameHeader": "X-Client"}


def filtered(name, port, *filters):
    """A listener with filters."""
    return listener(name, port) | {"filters": {"requests": [extension(each) for each in filters]}}


def who(name, value, path="/"):
    """A match of a path and a header."""
    return path_match(path) | {"headers": [{"name": name, "value": value}]}


def modify(**config):
    """The configuration of a header modifier."""
    return {kind: [{"name": n, "value": v} for n, v in fields.items()] for kind, fields in config.items()}


class ListenerFilters(GatewayCase):
    @classmethod
    def make(cls):
        cls.built = tempfile.mkdtemp(prefix="hw-listener-")
        library = plugin_source.compile_text(cls.built, "holder", plugin_source.HOLDER)
        first, second = cls.backend("app"), cls.backend("other")
        filters = [
            filter_object("keys", "api_key", KEYS),
            filter_object("one", "RequestHeaderModifier", modify(add={"X-Order": "one"}, set={"X-Last": "one"})),
            filter_object("two", "RequestHeaderModifier", modify(add={"X-Order": "two"}, set={"X-Last": "two"})),
            filter_object("answers", "ResponseHeaderModifier", modify(set={"X-Seen": "listener"})),
            filter_object("moved", "URLRewrite", {"hostname": "second.example", "path": {
                "type": "ReplaceFullPath", "replaceFullPath": "/moved"}}),
            filter_object("limit", "rate_limit", {"requests": 2, "per": "minute", "key": {"type": "route"}}),
            filter_object("held", "holder", {"mode": "hold-head"}),
            filter_object("paused", "holder", {"mode": "pause-head"}),
            filter_object("bad", "api_key", {"keys": "none"})]
        own = {"type": "ResponseHeaderModifier",
               "responseHeaderModifier": modify(set={"X-Seen": "rule", "X-Rule": "1"})}
        mark = {"type": "RequestHeaderModifier", "requestHeaderModifier": modify(add={"X-Order": "rule"})}
        routes = [
            route("who", [rule(["app"], [who("x-client", "alice")]), rule(["other"], [who("x-client", "bob")])],
                  parents=[{"name": "gw", "sectionName": "keyed"}]),
            route("order", [rule(["app"], [who("x-last", "two")], [mark, own]), rule(["other"], [path_match("/")])],
                  parents=[{"name": "gw", "sectionName": "ordered"}]),
            route("moved", [rule(["app"], [path_match("/moved")])], ["first.example"],
                  parents=[{"name": "gw", "sectionName": "moved"}]),
            route("second", [rule(["other"], [path_match("/")])], ["second.example"],
                  parents=[{"name": "gw", "sectionName": "moved"}]),
            route("body", [rule(["other"], [who("x-held", "5")], [mark]), rule(["app"], [path_match("/")])],
                  parents=[{"name": "gw", "sectionName": name} for name in ("held", "paused")]),
            route("rest", [rule(["app"], [path_match("/here")])],
                  parents=[{"name": "gw", "sectionName": name} for name in ("bad", "limited", "plain")])]
        return gw.Gateway(
            gateway_class(), *filters, *app("app", first), *app("other", second), *routes,
            gateway([filtered("keyed", 80, "keys"), filtered("ordered", 81, "one", "two", "answers"),
                     filtered("moved", 82, "moved"), filtered("held", 83, "held"), filtered("paused", 84, "paused"),
                     filtered("bad", 85, "bad"), filtered("limited", 86, "limit"),
                     listener("plain", 88)]),
            settings={"plugins": [{"name": "holder", "path": library}]})

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.built, ignore_errors=True)

    def at(self, port):
        """Where a port of the Gateway is bound."""
        return self.gateway.port(port)

    def test_what_a_filter_says_decides_the_route(self):
        for key, name, backend in (("wonder", "alice", "app"), ("build", "bob", "other")):
            with self.subTest(name):
                got = ask(self.at(80), "GET", "/", fields=[("X-Api-Key", key)])
                self.assertEqual(got.body.decode(), backend)
                self.assertEqual(self.backends[backend].last().all("x-client"), [name])

    def test_what_the_client_says_instead_counts_for_nothing(self):
        got = ask(self.at(80), "GET", "/", fields=[("X-Api-Key", "build"), ("X-Client", "alice")])
        self.assertEqual(got.body, b"other")

    def test_a_filter_that_answers_ends_it_before_the_match(self):
        for path in ("/", "/nothing"):
            got = ask(self.at(80), "GET", path)
            self.assertIn(got.status, (401, 403))
        self.assertEqual(self.app.requests + self.backends["other"].requests, [])

    def test_filters_run_in_the_order_of_the_list_then_those_of_the_rule(self):
        got = ask(self.at(81), "GET", "/")
        self.assertEqual(got.body, b"app")
        self.assertEqual(self.app.last().all("x-order"), ["one", "two", "rule"])

    def test_answers_pass_the_rules_filters_first(self):
        got = ask(self.at(81), "GET", "/")
        self.assertEqual((got.get("x-seen"), got.get("x-rule")), ("listener", "1"))

    def test_a_rule_without_filters_and_no_rule_are_served_with_them(self):
        self.assertEqual(ask(self.at(82), "GET", "/x", host="first.example").body, b"app")
        self.assertEqual(ask(self.at(80), "GET", "/", fields=[("X-Api-Key", "wonder")]).status, 200)
        self.assertEqual(ask(self.at(82), "GET", "/x", host="third.example").status, 404)

    def test_the_path_may_be_changed_and_the_host_may_not(self):
        got = ask(self.at(82), "GET", "/somewhere", host="first.example")
        self.assertEqual(got.body, b"app")
        self.assertEqual((self.app.last().target, self.app.last().get("host")), ("/moved", "first.example"))

    def test_another_listener_is_not_affected(self):
        self.assertEqual(ask(self.at(88), "GET", "/here").body, b"app")
        self.assertIsNone(self.app.last().get("x-order"))
        self.assertEqual(ask(self.at(88), "GET", "/nothing").status, 404)

    def test_requests_are_matched_by_their_body(self):
        for size, backend in ((5, "other"), (6, "app")):
            with self.subTest(size):
                got = ask(self.at(83), "POST", "/", body=b"x" * size)
                self.assertEqual(got.body.decode(), backend)
                self.assertEqual(self.backends[backend].last().body, b"x" * size + b"|end")
        self.assertEqual(self.backends["other"].last().all("x-order"), ["rule"])

    def test_the_same_over_http2(self):
        client = self.use(FrameClient(self.at(83)))
        self.assertEqual(bytes(client.ask("POST", "/", body=b"x" * 5).body), b"other")
        self.assertEqual(bytes(client.ask("POST", "/", body=b"x" * 4).body), b"app")

    def test_a_paused_request_goes_on(self):
        for _ in range(5):
            self.assertEqual(ask(self.at(84), "POST", "/", body=b"abc").body, b"app")
        self.assertEqual(self.app.last().body, b"abc|end")

    def test_a_filter_that_cannot_run_is_500_and_the_listener_says_so(self):
        self.assertEqual(ask(self.at(85), "GET", "/here").status, 500)
        self.assertEqual(ask(self.at(85), "GET", "/nothing").status, 500)
        found = self.gateway.condition("Gateway/default/gw", "ResolvedRefs", listener="bad")
        self.assertEqual((found["status"], found["reason"]), ("False", "InvalidListenerFilterRef"))
        self.assertEqual(self.app.requests, [])

    def test_what_runs_before_the_match_counts_requests_that_match_nothing(self):
        statuses = [ask(self.at(86), "GET", path).status for path in ("/nothing", "/nothing", "/here", "/nothing")]
        self.assertEqual(statuses, [404, 404, 429, 429])

    def test_a_request_outlives_the_table_that_its_filters_began_with(self):
        with Client(self.at(83)) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nxx")
            extra = route("extra", [rule(["other"], [path_match("/extra")])],
                          parents=[{"name": "gw", "sectionName": "plain"}])
            self.gateway.apply(extra)
            self.addCleanup(self.gateway.delete, extra)
            until(lambda: ask(self.at(88), "GET", "/extra").status == 200)
            time.sleep(1.5)  # After a second a request lets go of its table: that time is what is tested.
            client.send(b"xxx")
            got = client.response()
            self.assertEqual((got.status, got.body), (200, b"other"))
            client.request("GET", "/")
            self.assertEqual(client.response().body, b"app")

    def test_explain_names_them(self):
        text = self.gateway.run("explain", "GET", "http://example.com:81/", "--socket", self.gateway.socket).stdout
        self.assertRegex(text, r"filter +RequestHeaderModifier of Filter default/one, before the match")


class Waiting(GatewayCase):
    @classmethod
    def make(cls):
        cls.built = tempfile.mkdtemp(prefix="hw-listener-")
        library = plugin_source.compile_text(cls.built, "holder", plugin_source.HOLDER)
        return gw.Gateway(
            gateway_class(), gateway([filtered("never", 80, "never")]), *app("app", cls.backend("app")), route(),
            filter_object("never", "holder", {"mode": "never"}),
            settings={"plugins": [{"name": "holder", "path": library}], "timeouts": {"request": "300ms"}})

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.built, ignore_errors=True)

    def test_a_filter_that_waits_for_ever_ends_with_the_time_for_requests(self):
        for body in (None, b"abc"):
            with Client(self.port) as client:
                client.request("POST", "/", body=body)
                self.assertEqual(client.response().status, 504)
        self.assertEqual(self.app.requests, [])
        until(lambda: self.gateway.metric("hyperway_requests_active") == 0)


if __name__ == "__main__":
    unittest.main()
