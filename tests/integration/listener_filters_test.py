# SPDX-License-Identifier: Apache-2.0
"""Filters of listeners: they see each request before it is matched, in the order of their list, and the answer behind
all others."""
import hashlib
import shutil
import tempfile
import threading
import time
import unittest

from harness import gateway as gw
from harness import plugin_source
from harness.backend import Backend, answer
from harness.case import Case, GatewayCase, until
from harness.client import Client, ask
from harness.ext_authz import OK, answer_call, at, auth, denied, fields_of, header, ok, part
from harness.frames import FrameClient
from harness.http2 import serving
from harness.manifests import (app, backend_ref, extension, filter_object, gateway, gateway_class, grant, listener,
                               path_match, route, rule, slices)

KEYS = {"keys": [{"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest()}
                 for name, key in (("alice", "wonder"), ("bob", "build"))], "nameHeader": "X-Client"}


def filtered(name, port, *filters):
    """A listener with filters, by name or as they are."""
    return listener(name, port) | {"filters": {"requests": [
        extension(each) if isinstance(each, str) else each for each in filters]}}


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


class Auth(GatewayCase):
    """Listeners that ask an authorization server: by HTTP, by gRPC, and before routes that ask others."""

    said = OK

    @classmethod
    def make(cls):
        def parents(*names):
            return [{"name": "gw", "sectionName": name} for name in names]
        servers = [cls.backend("auth"), cls.backend("inner"), cls.backend("last"),
                   cls.backend("grpc", script=serving(lambda h, r: answer_call(h, r, cls.said)))]
        guarded = backend_ref("app", filters=[auth("last")])
        routes = [
            route("who", [rule(["app"], [who("x-user", "ann")]), rule(["other"], [who("x-user", "bob")])],
                  parents=parents("http", "grpc")),
            route("both", [rule([guarded], [path_match("/deep")], [auth("inner", path="/in")]),
                           rule(filters=[auth("inner", path="/in")])], parents=parents("both", "body")),
            route("rest", parents=parents("keyed"))]
        named = [pair for server in servers for pair in app(server.name, server)]
        return gw.Gateway(
            gateway_class(), *app("app", cls.backend("app")), *app("other", cls.backend("other")), *named, *routes,
            filter_object("keys", "api_key", KEYS),
            gateway([filtered("http", 80, auth("auth", allowedResponseHeaders=["X-User"])),
                     filtered("grpc", 81, auth("grpc", protocol="GRPC")),
                     filtered("both", 82, auth("auth", path="/out")),
                     filtered("body", 83, auth("auth", body=16)),
                     filtered("keyed", 84, auth("auth", allowedHeaders=["X-Client"]), "keys")]))

    def setUp(self):
        super().setUp()
        type(self).said = OK
        for name in ("auth", "inner", "last"):
            self.say(name)

    def say(self, name, *fields, status=200):
        """From now on this server says that."""
        self.backends[name].handler = lambda _: answer(status, b"" if status == 200 else name, fields)

    def passed(self):
        """How many requests each has seen."""
        return {name: len(b.requests) for name, b in self.backends.items() if b.requests}

    def test_what_the_server_says_decides_the_route(self):
        for user, backend in (("ann", "app"), ("bob", "other")):
            self.say("auth", ("X-User", user))
            got = ask(self.port, "GET", "/", fields=[("X-User", "forged"), ("Authorization", "Bearer x")])
            self.assertEqual((got.status, got.body.decode()), (200, backend))
            self.assertEqual(self.backends[backend].last().all("x-user"), [user])
            self.assertEqual(self.backends["auth"].last().all("authorization"), ["Bearer x"])
        self.say("auth")
        self.assertEqual(ask(self.port, "GET", "/", fields=[("X-User", "ann")]).status, 404)

    def test_a_denial_ends_it_before_the_match(self):
        self.say("auth", ("WWW-Authenticate", "Basic"), status=401)
        for path in ("/", "/nothing"):
            got = ask(self.port, "GET", path, fields=[("X-User", "ann")])
            self.assertEqual((got.status, got.body, got.get("www-authenticate")), (401, b"auth", "Basic"))
        self.assertEqual(self.passed(), {"auth": 2})

    def test_a_denial_keeps_the_filters_behind_it_from_running(self):
        self.assertEqual(ask(self.gateway.port(84), "GET", "/").status, 401)
        self.assertEqual(ask(self.gateway.port(84), "GET", "/", fields=[("X-Api-Key", "wonder")]).status, 200)
        # The server is asked first: what the second filter sets is not there yet.
        self.assertEqual(self.backends["auth"].last().all("x-client"), [])
        self.say("auth", status=403)
        self.assertEqual(ask(self.gateway.port(84), "GET", "/").body, b"auth")

    def test_the_same_by_grpc(self):
        for user, backend in (("ann", "app"), ("bob", "other")):
            type(self).said = ok(part(2, header("X-User", user)))
            got = ask(self.gateway.port(81), "GET", "/a?b", host="shop.example")
            self.assertEqual((got.status, got.body.decode()), (200, backend))
        message = self.backends["grpc"].requests[-1].body[5:]
        request = at(message, 1, 4, 2)
        self.assertEqual([at(request, n) for n in (2, 4, 5)], [b"GET", b"/a?b", b"shop.example"])
        self.assertTrue(fields_of(message))
        type(self).said = denied(part(1, part(1, 401)) + part(3, "no"))
        got = ask(self.gateway.port(81), "GET", "/")
        self.assertEqual((got.status, got.body), (401, b"no"))

    def test_listener_rule_and_backend_each_ask_their_own_server(self):
        for http2 in (False, True):
            with self.subTest(http2=http2):
                for backend in self.backends.values():
                    backend.forget()
                for name in ("auth", "inner", "last"):
                    self.say(name)
                if http2:
                    client = self.use(FrameClient(self.gateway.port(82)))
                    got = client.ask("POST", "/deep", body=b"abc")
                else:
                    got = ask(self.gateway.port(82), "POST", "/deep", body=b"abc")
                self.assertEqual((got.status, bytes(got.body)), (200, b"app"))
                self.assertEqual(self.passed(), {"auth": 1, "inner": 1, "last": 1, "app": 1})
                self.assertEqual([self.backends[n].last().target for n in ("auth", "inner", "last")],
                                 ["/out/deep", "/in/deep", "/deep"])
                self.assertEqual(self.app.last().body, b"abc")

    def test_each_of_them_may_deny(self):
        asked = {}
        for name in ("auth", "inner", "last"):
            asked[name] = 1
            with self.subTest(name):
                for backend in self.backends.values():
                    backend.forget()
                for other in ("auth", "inner", "last"):
                    self.say(other, status=403 if other == name else 200)
                got = ask(self.gateway.port(82), "GET", "/deep")
                self.assertEqual((got.status, got.body.decode(), self.passed()), (403, name, asked))

    def test_bodies_go_to_the_server_and_on(self):
        for body in (b"0123456789abcdef", b""):
            self.assertEqual(ask(self.gateway.port(83), "POST", "/", body=body).status, 200)
            self.assertEqual((self.backends["auth"].last().body, self.app.last().body), (body, body))
        self.assertEqual(ask(self.gateway.port(83), "POST", "/", body=b"x" * 17).status, 413)
        client = self.use(FrameClient(self.gateway.port(83)))
        self.assertEqual(bytes(client.ask("POST", "/", body=b"xyz").body), b"app")
        self.assertEqual(self.backends["auth"].last().body, b"xyz")

    def test_a_server_that_takes_its_time_and_the_rules_after_it(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def late(_):
            go.wait(10)
            return answer(200)
        self.backends["auth"].handler = late
        with Client(self.gateway.port(82)) as client:
            client.request("GET", "/deep")
            until(lambda: self.backends["auth"].requests)
            extra = route("extra", [rule(["other"], [path_match("/extra")])],
                          parents=[{"name": "gw", "sectionName": "both"}])
            self.gateway.apply(extra)
            self.addCleanup(self.gateway.delete, extra)
            time.sleep(1.5)  # After a second a request lets go of its table: that time is what is tested.
            go.set()
            self.assertEqual(client.response().body, b"app")
        self.assertEqual(self.passed(), {"auth": 1, "inner": 1, "last": 1, "app": 1})

    def test_explain_says_whom_they_ask(self):
        text = self.gateway.run("explain", "GET", "http://example.com:82/", "--socket", self.gateway.socket).stdout
        self.assertRegex(text, r"filter +ExternalAuth of Gateway default/gw, before the match")
        self.assertRegex(text, r"asks +default/auth:8080, before the match")
        self.assertRegex(text, r"asks +default/inner:8080\n")


class AuthServers(Case):
    """What becomes of a listener's authorization server."""

    def start(self, *objects, filters):
        """A gateway whose listener has these filters."""
        backend = self.use(Backend("app"))
        return self.use(gw.Gateway(gateway_class(), gateway([filtered("http", 80, *filters)]), *app("app", backend),
                                   route(), *objects))

    def server(self, name="auth", status=200):
        """An authorization server that says this."""
        server = self.use(Backend(name))
        server.handler = lambda _: answer(status)
        return server

    def refs(self, process):
        """(status, reason) of the listener's ResolvedRefs."""
        found = process.condition("Gateway/default/gw", "ResolvedRefs", listener="http")
        return found["status"], found["reason"]

    def test_one_that_does_not_resolve_is_500_and_in_the_listeners_status(self):
        for reason, what in (("InvalidListenerFilterRef", auth("nobody")),
                             ("InvalidListenerFilterRef", auth("app", port=9)),
                             ("RefNotPermitted", auth("app", namespace="other")),
                             ("InvalidListenerFilterRef", auth("app", path="/a/../b"))):
            with self.subTest(what):
                process = self.start(filters=[what])
                self.assertEqual(self.refs(process), ("False", reason))
                self.assertEqual(ask(process.port()).status, 500)

    def test_one_of_another_namespace_needs_a_grant_for_gateways(self):
        process = self.start(*app("auth", self.server(), namespace="other"),
                             grant("g", "HTTPRoute", "default", "Service", "other"),
                             filters=[auth(namespace="other")])
        self.assertEqual(ask(process.port()).status, 500)
        process.apply(grant("g", "Gateway", "default", "Service", "other"))
        until(lambda: ask(process.port()).status == 200)
        self.assertEqual(self.refs(process), ("True", "ResolvedRefs"))

    def test_its_service_and_endpoints_are_followed(self):
        process = self.start(filters=[auth()])
        self.assertEqual(ask(process.port()).status, 500)
        first = app("auth", self.server())
        process.apply(*first)
        until(lambda: ask(process.port()).status == 200)
        second = self.server(status=401)
        process.delete(*first[1:])
        process.apply(*slices("auth", [second]))
        until(lambda: ask(process.port()).status == 401)
        process.delete(*slices("auth", [second]))
        until(lambda: ask(process.port()).status == 403)
        process.delete(first[0])
        until(lambda: ask(process.port()).status == 500)

    def test_one_that_is_down_lets_nobody_pass(self):
        server = self.server()
        process = self.start(*app("auth", server), filters=[auth()])
        self.assertEqual(ask(process.port()).status, 200)
        server.forget()
        server.stop_listening()
        for _ in range(3):
            self.assertEqual(ask(process.port()).status, 403)
            self.assertEqual(ask(process.port(), "POST", "/", body=b"abc").status, 403)


if __name__ == "__main__":
    unittest.main()
