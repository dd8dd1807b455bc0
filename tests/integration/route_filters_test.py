# SPDX-License-Identifier: Apache-2.0
"""The filters of HTTPRoute, end to end: what the client and what the backend sees of them."""
import unittest

from harness import gateway as gw
from harness.backend import answer
from harness.case import GatewayCase
from harness.client import ask
from harness.manifests import app, backend_ref, gateway, gateway_class, path_match, route, rule


def modifier(kind, **edits):
    """A RequestHeaderModifier or ResponseHeaderModifier; set and add as dicts, remove as a list."""
    body = {k: ([{"name": n, "value": x} for n, x in v.items()] if isinstance(v, dict) else v)
            for k, v in edits.items()}
    return {"type": f"{kind}HeaderModifier", f"{kind[0].lower()}{kind[1:]}HeaderModifier": body}


def redirect(**what):
    """A RequestRedirect filter."""
    return {"type": "RequestRedirect", "requestRedirect": what}


def rewrite(**what):
    """A URLRewrite filter."""
    return {"type": "URLRewrite", "urlRewrite": what}


PREFIX = "ReplacePrefixMatch"
FULL = "ReplaceFullPath"


class FilterCase(GatewayCase):
    @classmethod
    def rules(cls):
        """The rules of this class's one route."""
        return []

    @classmethod
    def make(cls):
        return gw.Gateway(gateway_class(), gateway(), *app("app", cls.backend("app")),
                          *app("two", cls.backend("two")), route(rules=cls.rules()))


class HeaderModifiers(FilterCase):
    @classmethod
    def rules(cls):
        return [
            rule(filters=[modifier("Request", set={"X-Set": "new"}, add={"X-Add": "more"}, remove=["X-Gone"]),
                          modifier("Response", set={"X-Set": "out"}, add={"X-Add": "out2"}, remove=["X-Gone"])],
                 matches=[path_match("/both")]),
            rule([backend_ref("app", weight=1, filters=[modifier("Request", set={"X-Which": "app"}),
                                                       modifier("Response", set={"X-From": "app"})]),
                  backend_ref("two", weight=1, filters=[modifier("Request", set={"X-Which": "two"}),
                                                       modifier("Response", set={"X-From": "two"})])],
                 [path_match("/backend")]),
            rule(filters=[modifier("Request", set={"Host": "changed.example"})], matches=[path_match("/host")])]

    def test_request_fields_are_set_added_and_removed(self):
        ask(self.port, "GET", "/both", fields=[("x-set", "old"), ("X-SET", "older"), ("X-Add", "one"),
                                               ("x-gone", "1")])
        asked = self.app.last()
        self.assertEqual((asked.all("x-set"), asked.all("x-add"), asked.all("x-gone")),
                         (["new"], ["one", "more"], []))

    def test_response_fields_are_set_added_and_removed(self):
        self.app.handler = lambda r: answer(200, "", [("x-set", "old"), ("X-Add", "one"), ("X-Gone", "1")])
        got = ask(self.port, "GET", "/both")
        self.assertEqual((got.all("x-set"), got.all("x-add"), got.all("x-gone")), (["out"], ["one", "out2"], []))

    def test_filters_of_a_backend_run_for_that_backend_alone(self):
        for _ in range(20):
            got = ask(self.port, "GET", "/backend")
            self.assertEqual(got.get("x-from"), got.body.decode())
        for name in ("app", "two"):
            self.assertEqual({r.get("x-which") for r in self.backends[name].requests}, {name})


class Redirects(FilterCase):
    @classmethod
    def rules(cls):
        rows = {
            "/host": redirect(hostname="other.example"),
            "/301": redirect(hostname="other.example", statusCode=301),
            "/308": redirect(hostname="other.example", statusCode=308),
            "/scheme": redirect(scheme="https"),
            "/port": redirect(port=8443),
            "/httpport": redirect(scheme="http", port=80),
            "/full": redirect(path={"type": FULL, "replaceFullPath": "/new"}),
            "/prefix": redirect(path={"type": PREFIX, "replacePrefixMatch": "/new/"}),
            "/strip": redirect(path={"type": PREFIX, "replacePrefixMatch": "/"}),
        }
        return [rule([], [path_match(path)], [what]) for path, what in rows.items()]

    def test_locations(self):
        bound = self.gateway.port()
        del bound  # The port of the Location is that of the Gateway's spec, 80: left out for http.
        for target, status, location in (
                ("/host/a?b=c", 302, "http://other.example/host/a?b=c"),
                ("/301", 301, "http://other.example/301"), ("/308", 308, "http://other.example/308"),
                ("/scheme/x", 302, "https://example.com/scheme/x"),
                ("/port", 302, "http://example.com:8443/port"),
                ("/httpport", 302, "http://example.com/httpport"),
                ("/full/a/b?x", 302, "http://example.com/new?x"),
                ("/prefix/a", 302, "http://example.com/new/a"), ("/prefix", 302, "http://example.com/new/"),
                ("/strip/a", 302, "http://example.com/a"), ("/strip", 302, "http://example.com/")):
            with self.subTest(target):
                got = ask(self.port, "GET", target)
                self.assertEqual((got.status, got.get("location")), (status, location))
        self.assertEqual(self.app.requests, [])

    def test_a_redirect_answers_requests_with_bodies_too(self):
        got = ask(self.port, "POST", "/host", body=b"x" * 1000)
        self.assertEqual(got.status, 302)


class Rewrites(FilterCase):
    @classmethod
    def rules(cls):
        return [
            rule(filters=[rewrite(path={"type": PREFIX, "replacePrefixMatch": "/new"})], matches=[path_match("/prefix")]),
            rule(filters=[rewrite(path={"type": PREFIX, "replacePrefixMatch": "/"})], matches=[path_match("/strip")]),
            rule(filters=[rewrite(path={"type": FULL, "replaceFullPath": "/fixed"})], matches=[path_match("/full")]),
            rule(filters=[rewrite(hostname="inside.example")], matches=[path_match("/host")]),
            rule([backend_ref("app", filters=[rewrite(hostname="b.example", path={
                "type": PREFIX, "replacePrefixMatch": "/b"})])], [path_match("/backend")]),
            rule([backend_ref("app", filters=[rewrite(hostname="one.example")]),
                  backend_ref("two", filters=[rewrite(path={"type": FULL, "replaceFullPath": "/two"})])],
                 [path_match("/each")])]

    def test_a_rewrite_of_a_backend_is_for_that_backend_alone(self):
        for _ in range(20):
            self.assertEqual(ask(self.port, "GET", "/each/x?q").status, 200)
        for name, seen in (("app", ("one.example", "/each/x?q")), ("two", ("example.com", "/two?q"))):
            self.assertEqual({(r.get("host"), r.target) for r in self.backends[name].requests}, {seen})

    def test_what_the_backend_sees(self):
        for target, host, seen in (
                ("/prefix", "example.com", "/new"), ("/prefix/a?b", "example.com", "/new/a?b"),
                ("/prefix/", "example.com", "/new/"), ("/strip/a/b", "example.com", "/a/b"),
                ("/strip", "example.com", "/"), ("/full/x?q", "example.com", "/fixed?q"),
                ("/host/a", "inside.example", "/host/a"), ("/backend/x", "b.example", "/b/x")):
            with self.subTest(target):
                self.assertEqual(ask(self.port, "GET", target).status, 200)
                self.assertEqual((self.app.last().get("host"), self.app.last().target), (host, seen))

    def test_the_first_host_is_told_to_the_backend(self):
        ask(self.port, "GET", "/host")
        self.assertEqual(self.app.last().get("x-forwarded-host"), "example.com")


class Cors(FilterCase):
    @classmethod
    def rules(cls):
        cors = {"type": "CORS", "cors": {
            "allowOrigins": ["https://www.foo.com", "https://*.bar.com"], "allowMethods": ["GET", "POST"],
            "allowHeaders": ["x-header-1", "x-header-2"], "exposeHeaders": ["x-out"], "maxAge": 3600,
            "allowCredentials": True}}
        anyone = {"type": "CORS", "cors": {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"]}}
        return [rule(filters=[cors], matches=[{**path_match("/cors"), "method": "GET"}]),
                rule(filters=[anyone], matches=[path_match("/any")])]

    def preflight(self, path, origin, method="GET", headers=None):
        """A CORS preflight."""
        fields = [("Origin", origin), ("Access-Control-Request-Method", method)]
        if headers:
            fields.append(("Access-Control-Request-Headers", headers))
        return ask(self.port, "OPTIONS", path, fields=fields)

    def test_a_preflight_is_answered_without_the_backend(self):
        got = self.preflight("/cors", "https://www.foo.com", headers="x-header-1")
        self.assertIn(got.status, (200, 204))
        self.assertEqual(got.get("access-control-allow-origin"), "https://www.foo.com")
        self.assertEqual({m.strip() for m in got.get("access-control-allow-methods").split(",")}, {"GET", "POST"})
        self.assertEqual({h.strip().lower() for h in got.get("access-control-allow-headers").split(",")},
                         {"x-header-1", "x-header-2"})
        self.assertEqual((got.get("access-control-max-age"), got.get("access-control-allow-credentials")),
                         ("3600", "true"))
        self.assertEqual(self.app.requests, [])

    def test_wildcard_origins(self):
        self.assertEqual(self.preflight("/cors", "https://x.bar.com").get("access-control-allow-origin"),
                         "https://x.bar.com")
        got = self.preflight("/any", "https://whoever.org", "DELETE", "x-any")
        self.assertIn(got.get("access-control-allow-origin"), ("*", "https://whoever.org"))

    def test_a_strange_origin_gets_no_permission(self):
        got = self.preflight("/cors", "https://evil.com")
        self.assertEqual(got.all("access-control-allow-origin"), [])
        got = ask(self.port, "GET", "/cors", fields=[("Origin", "https://evil.com")])
        self.assertEqual((got.status, got.all("access-control-allow-origin")), (200, []))

    def test_an_actual_request_passes_with_permission(self):
        got = ask(self.port, "GET", "/cors", fields=[("Origin", "https://www.foo.com")])
        self.assertEqual((got.body, got.get("access-control-allow-origin"),
                          got.get("access-control-expose-headers").lower(),
                          got.get("access-control-allow-credentials")),
                         (b"app", "https://www.foo.com", "x-out", "true"))

    def test_the_backends_own_permission_is_replaced(self):
        self.app.handler = lambda r: answer(200, "", [("Access-Control-Allow-Origin", "*")])
        got = ask(self.port, "GET", "/cors", fields=[("Origin", "https://www.foo.com")])
        self.assertEqual(got.all("access-control-allow-origin"), ["https://www.foo.com"])

    def test_plain_options_is_an_ordinary_request(self):
        self.assertEqual(ask(self.port, "OPTIONS", "/any").body, b"app")


if __name__ == "__main__":
    unittest.main()
