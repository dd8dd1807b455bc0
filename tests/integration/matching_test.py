# SPDX-License-Identifier: Apache-2.0
"""Which backend a request reaches: HTTPRoute matching and precedence, end to end."""
import unittest

from harness import gateway as gw
from harness.case import GatewayCase
from harness.client import Client, ask
from harness.manifests import (app, backend_ref, gateway, gateway_class, listener, path_match, route, rule)


class MatchCase(GatewayCase):
    """One Service per name; the body of an answer is the name of the backend that gave it."""

    names = ()

    @classmethod
    def routes(cls):
        """The routes of this class."""
        return []

    @classmethod
    def listeners(cls):
        """The listeners of the Gateway."""
        return [listener()]

    @classmethod
    def make(cls):
        services = [x for name in cls.names for x in app(name, cls.backend(name))]
        return gw.Gateway(gateway_class(), gateway(cls.listeners()), *services, *cls.routes())

    def check(self, rows):
        """Each row: (expected body or status, method, target, keyword arguments)."""
        for expected, method, target, extra in rows:
            with self.subTest(method=method, target=target, **extra):
                got = ask(self.port, method, target, **extra)
                if isinstance(expected, int):
                    self.assertEqual(got.status, expected)
                else:
                    self.assertEqual((got.status, got.body.decode()), (200, expected))


class Paths(MatchCase):
    names = ("exact", "prefix", "deep", "regex", "root")

    @classmethod
    def routes(cls):
        return [route(rules=[
            rule(["root"], [path_match("/")]),
            rule(["prefix"], [path_match("/foo")]),
            rule(["deep"], [path_match("/foo/deep/")]),
            rule(["exact"], [path_match("/foo/exact", "Exact")]),
            rule(["regex"], [path_match("/num/[0-9]+", "RegularExpression")])])]

    def test_exact_prefix_and_regular_expression(self):
        self.check([
            ("root", "GET", "/", {}), ("root", "GET", "/foobar", {}), ("prefix", "GET", "/foo", {}),
            ("prefix", "GET", "/foo/", {}), ("prefix", "GET", "/foo/x", {}), ("prefix", "GET", "/foo?x", {}),
            ("deep", "GET", "/foo/deep", {}), ("deep", "GET", "/foo/deep/er", {}),
            ("prefix", "GET", "/foo/deeper", {}), ("exact", "GET", "/foo/exact", {}),
            ("prefix", "GET", "/foo/exact/", {}), ("prefix", "GET", "/foo/exactly", {}),
            ("regex", "GET", "/num/42", {}), ("root", "GET", "/num/42x", {}),
            ("root", "GET", "/a/num/42", {}), ("root", "GET", "/FOO", {})])

    def test_the_normalised_path_is_what_is_matched(self):
        self.check([("prefix", "GET", "/bar/../foo", {}), ("prefix", "GET", "/%66oo", {}),
                    ("exact", "GET", "/foo/./exact", {}), ("root", "GET", "//foo", {}),
                    ("root", "GET", "/foo%2Fdeep", {})])


class Conditions(MatchCase):
    names = ("path", "method", "header", "two", "regex", "query", "both")

    @classmethod
    def routes(cls):
        def header(name, value, kind="Exact"):
            return {"name": name, "value": value, "type": kind}
        return [route(rules=[
            rule(["path"], [path_match("/long/path")]),
            rule(["method"], [{**path_match("/long"), "method": "POST"}]),
            rule(["header"], [{**path_match("/h"), "headers": [header("X-Color", "blue")]}]),
            rule(["two"], [{**path_match("/h"), "headers": [header("x-color", "blue"),
                                                           header("x-size", "big")]}]),
            rule(["regex"], [{**path_match("/h"), "headers": [header("X-Id", "[0-9]+", "RegularExpression")]}]),
            rule(["query"], [{**path_match("/q"), "queryParams": [header("a", "1")]}]),
            rule(["both"], [{**path_match("/q"), "queryParams": [header("a", "1"), header("b", "x y")]}])])]

    def test_a_longer_path_beats_a_method(self):
        self.check([("path", "POST", "/long/path", {}), ("method", "POST", "/long", {}),
                    (404, "GET", "/long", {})])

    def test_headers(self):
        self.check([
            ("header", "GET", "/h", {"fields": [("x-COLOR", "blue")]}),
            ("two", "GET", "/h", {"fields": [("X-Color", "blue"), ("X-Size", "big")]}),
            (404, "GET", "/h", {"fields": [("X-Color", "blues")]}), (404, "GET", "/h", {}),
            ("regex", "GET", "/h", {"fields": [("X-Id", "42")]}),
            (404, "GET", "/h", {"fields": [("X-Id", "a42")]})])

    def test_query_parameters(self):
        self.check([
            ("query", "GET", "/q?a=1", {}), ("query", "GET", "/q?x&a=1&y", {}), (404, "GET", "/q?a=2", {}),
            ("both", "GET", "/q?b=x%20y&a=1", {}), ("both", "GET", "/q?b=x+y&a=1", {}),
            (404, "GET", "/q?A=1", {}), ("query", "GET", "/q?%61=1", {})])

    def test_only_the_first_of_a_repeated_parameter_counts(self):
        self.check([("query", "GET", "/q?a=1&a=2", {}), (404, "GET", "/q?a=2&a=1", {})])


class Hosts(MatchCase):
    names = ("exact", "wild", "deep", "any", "late")

    @classmethod
    def routes(cls):
        return [route("exact", [rule(["exact"], [path_match("/only")])], ["a.example.com"]),
                route("wild", [rule(["wild"])], ["*.example.com"]),
                route("deep", [rule(["deep"])], ["*.b.example.com"]),
                route("any", [rule(["any"])])]

    def test_exact_then_longest_wildcard_then_any(self):
        self.check([
            ("exact", "GET", "/only", {"host": "a.example.com"}),
            # No rule of the exact host matches, so the matches of less specific hosts are next.
            ("wild", "GET", "/else", {"host": "a.example.com"}),
            ("wild", "GET", "/", {"host": "x.example.com"}), ("wild", "GET", "/", {"host": "X.Example.COM:99"}),
            ("wild", "GET", "/", {"host": "x.y.example.com"}), ("deep", "GET", "/", {"host": "x.b.example.com"}),
            ("any", "GET", "/", {"host": "example.com"}), ("any", "GET", "/", {"host": "other.org"}),
            ("wild", "GET", "/", {"host": "x.example.com."})])


class Listeners(MatchCase):
    names = ("wide", "narrow", "named")

    @classmethod
    def listeners(cls):
        return [listener("any"), listener("wild", hostname="*.example.com"),
                listener("exact", hostname="foo.example.com")]

    @classmethod
    def routes(cls):
        return [route("wide", [rule(["wide"])], parents=[{"name": "gw", "sectionName": "any"}]),
                route("narrow", [rule(["narrow"], [path_match("/narrow")])],
                      parents=[{"name": "gw", "sectionName": "wild"}]),
                route("named", [rule(["named"], [path_match("/named")])], ["*.example.com"],
                      parents=[{"name": "gw", "sectionName": "exact"}])]

    def test_the_most_specific_listener_alone_answers(self):
        self.check([
            ("wide", "GET", "/", {"host": "else.org"}), ("narrow", "GET", "/narrow", {"host": "x.example.com"}),
            (404, "GET", "/", {"host": "x.example.com"}), ("named", "GET", "/named", {"host": "foo.example.com"}),
            (404, "GET", "/narrow", {"host": "foo.example.com"}), (404, "GET", "/", {"host": "foo.example.com"})])

    def test_a_wildcard_route_on_an_exact_listener_serves_that_host_only(self):
        self.check([(404, "GET", "/named", {"host": "bar.example.com"})])


class Precedence(MatchCase):
    names = ("old", "new", "alpha", "first", "second", "other")

    @classmethod
    def routes(cls):
        return [
            route("zz-old", [rule(["old"], [path_match("/age")])], created="2020-01-01T00:00:00Z"),
            route("aa-new", [rule(["new"], [path_match("/age")])], created="2021-01-01T00:00:00Z"),
            route("b-name", [rule(["other"], [path_match("/name")])], created="2020-01-01T00:00:00Z"),
            route("a-name", [rule(["alpha"], [path_match("/name")])], created="2020-01-01T00:00:00Z"),
            route("order", [rule(["first"], [path_match("/order")]), rule(["second"], [path_match("/order")])])]

    def test_the_oldest_then_the_first_by_name_then_the_first_rule_wins(self):
        self.check([("old", "GET", "/age", {}), ("alpha", "GET", "/name", {}), ("first", "GET", "/order", {})])


class Weights(MatchCase):
    names = ("a", "b", "zero")

    @classmethod
    def routes(cls):
        return [route(rules=[
            rule([backend_ref("a", weight=70), backend_ref("b", weight=30), backend_ref("zero", weight=0)],
                 [path_match("/split")]),
            rule([backend_ref("a", weight=0), backend_ref("zero", weight=0)], [path_match("/zero")]),
            rule([backend_ref("a", weight=3), backend_ref("missing", weight=1)], [path_match("/partly")]),
            rule([backend_ref("a", weight=1000000), backend_ref("b", weight=1)], [path_match("/heavy")]),
            rule([backend_ref("a"), backend_ref("b")], [path_match("/even")])])]

    def shares(self, path, requests=2500):
        """{body or status: share} of so many requests. A choice is made for each request: one share of a half has a
        standard deviation of 0.01 in 2,500."""
        out = {}
        with Client(self.port) as client:
            for _ in range(requests):
                got = client.ask("GET", path)
                key = got.body.decode() if got.status == 200 else got.status
                out[key] = out.get(key, 0) + 1 / requests
        return out

    def test_shares_are_within_five_points(self):
        for path, expected in (("/split", {"a": 0.7, "b": 0.3}), ("/even", {"a": 0.5, "b": 0.5}),
                               ("/partly", {"a": 0.75, 500: 0.25})):
            with self.subTest(path):
                got = self.shares(path)
                self.assertEqual(set(got), set(expected))
                for key, share in expected.items():
                    self.assertAlmostEqual(got[key], share, delta=0.05)

    def test_a_zero_weight_gets_nothing_and_only_zeroes_are_500(self):
        self.assertNotIn("zero", self.shares("/split"))
        self.assertEqual(set(self.shares("/zero", 20)), {500})

    def test_the_largest_weight_is_fine(self):
        self.assertGreater(self.shares("/heavy", 200)["a"], 0.97)


if __name__ == "__main__":
    unittest.main()
