# SPDX-License-Identifier: Apache-2.0
"""What the admin page reads: JSON of bounded size, right whatever the mode."""
import hashlib
import json
import threading
import time
import unittest
import urllib.parse

from harness import gateway as gw
from harness import ports, tls
from harness.backend import Backend
from harness.case import Case, GatewayCase, patience, until
from harness.client import Client, ask
from harness.kubernetes import Kubernetes
from harness.manifests import (app, backend_ref, endpoints, extension, filter_object, gateway, gateway_class, listener,
                               path_match, route, rule, secret, service)

MARKUP = "<script>alert(1)<script>"


def read(port, path, **query):
    """The status and the JSON (or text) of an answer of the face on loopback."""
    target = path + ("?" + urllib.parse.urlencode(query) if query else "")
    with Client(port, timeout=10) as client:
        client.request("GET", target, host="localhost", fields=[("Connection", "close")])
        got = client.response()
    is_json = got.get("content-type") == "application/json"
    return got.status, json.loads(got.body) if is_json else got.body.decode()


class Lists(GatewayCase):
    limit_seconds = 60
    CERT = tls.self_signed("a.example")

    @classmethod
    def make(cls):
        cls.loopback = ports.free_port()
        keys = {"keys": [{"name": "alice", "sha256": hashlib.sha256(b"key").hexdigest()}]}
        rules = [rule(["app"], [path_match("/shop")], name="shop"),
                 rule(["app"], [{**path_match("/admin", "Exact"), "method": "GET",
                                 "headers": [{"name": "x-a", "value": "1"}]}], [extension("keys")])]
        return gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", *cls.CERT), *app("app", cls.backend("app")), route(rules=rules, hostnames=["*.example"]),
            filter_object("keys", "api_key", keys), route("broken", [rule([backend_ref("nowhere")])], ["broken.example"]),
            route("marked", [rule(["app"], [path_match("/marked")], name=MARKUP)]),
            settings={"admin": {"loopback": f"127.0.0.1:{cls.loopback}"}}, workers=2)

    def get(self, name, **query):
        """An answer below /api/."""
        status, value = read(self.loopback, "/api/" + name, **query)
        self.assertEqual(status, 200, value)
        return value

    def row(self, name, key, value):
        """The row of a list that has this value."""
        return next(row for row in self.get(name, filter=value)["rows"] if row[key] == value)

    def have(self, *items):
        """Objects for this test; behind it, what there was before is there again."""
        before = self.get("summary")["objects"]

        def end():
            self.gateway.delete(*items)
            until(lambda: self.get("summary")["objects"] == before, message="gone again")
        self.gateway.apply(*items)
        self.addCleanup(end)

    def test_the_summary_tells_state_traffic_and_what_needs_attention(self):
        before = sum(self.get("summary")["traffic"]["codes"])
        for _ in range(5):
            ask(self.port, "GET", "/shop", host="a.example")
        ask(self.port, "GET", "/nothing")
        until(lambda: sum(self.get("summary")["traffic"]["codes"]) == before + 6)
        got = self.get("summary")
        self.assertEqual((got["readiness"], got["mode"], got["workers"]), ("ready", "files", 2))
        self.assertEqual(len(got["traffic"]["latency"]), len(got["latency_bounds_us"]) + 1)
        self.assertEqual(sum(got["traffic"]["latency"]), before + 6)
        self.assertGreaterEqual(got["traffic"]["unrouted"], 1)
        self.assertEqual(got["objects"]["HTTPRoute"], {"ok": 2, "pending": 0, "failing": 1})
        attention = {(one["kind"], one["name"]): one for one in got["attention"]}
        problem = attention["HTTPRoute", "default/broken"]["problems"][0]
        self.assertEqual((problem["type"], problem["reason"], problem["place"]),
                         ("ResolvedRefs", "BackendNotFound", "default/gw"))
        self.assertIn("nowhere", problem["message"])

    def test_routes_have_status_rules_and_numbers(self):
        before = self.row("routes", "route", "default/route")["rules"][0]["codes"][2]
        for _ in range(4):
            ask(self.port, "GET", "/shop/x", host="a.example")
        until(lambda: self.row("routes", "route", "default/route")["rules"][0]["codes"][2] == before + 4)
        row = self.row("routes", "route", "default/route")
        self.assertEqual((row["health"], row["in_force"], row["parents"]), ("ok", True, ["default/gw"]))
        self.assertEqual(row["hosts"], ["*.example"])
        first, second = row["rules"]
        self.assertEqual((first["name"], first["matches"]), ("shop", [{"kind": "prefix", "path": "/shop"}]))
        self.assertEqual(first["backends"], [{"name": "default/app:8080", "weight": 1, "resolved": True}])
        self.assertEqual(second["matches"], [
            {"kind": "exact", "path": "/admin", "method": "GET", "conditions": ["x-a: 1"]}])
        self.assertEqual(second["filters"], ["api_key"])
        self.assertFalse(self.row("routes", "route", "default/broken")["rules"][0]["backends"][0]["resolved"])

    def test_what_is_not_well_comes_first_or_alone(self):
        self.assertEqual(self.get("routes")["rows"][0]["route"], "default/broken")
        self.assertEqual([row["route"] for row in self.get("routes", failing=1)["rows"]], ["default/broken"])
        names = [row["route"] for row in self.get("routes", sort="name")["rows"]]
        self.assertEqual(names, sorted(names))

    def test_names_from_outside_are_only_text(self):
        self.assertEqual(self.row("routes", "route", "default/marked")["rules"][0]["name"], MARKUP)
        for name in ("summary", "routes", "gateways"):
            with Client(self.loopback) as client:
                client.request("GET", "/api/" + name, host="localhost", fields=[("Connection", "close")])
                got = client.response()
            self.assertEqual(got.get("content-type"), "application/json")
            self.assertEqual(got.get("x-content-type-options"), "nosniff")
            self.assertIn("default-src 'none'", got.get("content-security-policy"))

    def test_gateways_have_listeners_with_addresses(self):
        row = self.row("gateways", "gateway", "default/gw")
        listeners = {one["name"]: one for one in row["listeners"]}
        self.assertEqual(listeners["https"]["certificates"], ["default/cert"])
        self.assertEqual(listeners["http"]["binds"], [f"127.0.0.1:{self.port}"])
        self.assertEqual((listeners["http"]["protocol"], listeners["http"]["port"], listeners["http"]["attached"]),
                         ("HTTP", 80, 3))

    def test_an_endpoint_that_refuses_is_shown_as_ejected(self):
        items = [service("dead"), endpoints("dead", [("127.0.0.1", ports.free_port())]),
                 route("dead", [rule(["dead"], [path_match("/dead")])])]
        self.have(*items)
        until(lambda: ask(self.port, "GET", "/dead").status == 502)

        def ejected():
            ask(self.port, "GET", "/dead")
            endpoint = self.row("backends", "backend", "default/dead:8080")["endpoints"][0]
            return endpoint["ejected_by"] and endpoint["failures"]
        until(ejected)
        self.assertEqual(self.row("backends", "backend", "default/dead:8080")["health"], "pending")
        good = self.row("backends", "backend", "default/app:8080")
        self.assertEqual((good["health"], good["endpoints"][0]["ejected_by"]), ("ok", 0))

    def test_a_backend_without_endpoints_is_told(self):
        items = [service("empty"), route("empty", [rule(["empty"], [path_match("/empty")])])]
        self.have(*items)
        until(lambda: self.get("summary")["backends"]["failing"] == 1)
        self.assertEqual([row["backend"] for row in self.get("backends", failing=1)["rows"]], ["default/empty:8080"])
        self.assertEqual(self.gateway.metric("hyperway_backends_without_endpoints"), 1)

    def test_certificates_have_their_end(self):
        row = self.get("certificates")["rows"][0]
        self.assertEqual((row["subject"], row["secret"], row["listener"]),
                         ("a.example", "default/cert", "default/gw/https"))
        self.assertLess(abs(row["not_after"] - time.time() - 30 * 86400), 2 * 86400)
        self.assertEqual(self.get("certificates", failing=1)["rows"], [])

    def test_plugins_have_hash_calls_and_cost(self):
        before = next(row for row in self.get("plugins")["rows"] if "api_key" in row["filters"])
        for _ in range(6):
            ask(self.port, "GET", "/admin", host="a.example", fields=[("X-A", "1")])
        plugin = until(lambda: [row for row in self.get("plugins")["rows"] if "api_key" in row["filters"]
                                and row["calls"] >= before["calls"] + 6])[0]
        self.assertRegex(plugin["sha256"], r"\A[0-9a-f]{64}\Z")
        self.assertGreater(plugin["call_ns"], before["call_ns"])
        self.assertLess((plugin["call_ns"] - before["call_ns"]) / (plugin["calls"] - before["calls"]), 1e6)
        self.assertEqual(self.gateway.metric("hyperway_plugin_calls_total", plugin=plugin["id"]), plugin["calls"])

    def test_the_last_changes_are_told_with_what_is_wrong_with_them(self):
        bad = route("late", [rule([backend_ref("missing")], [path_match("/late")])])
        self.have(bad)
        note = until(lambda: [one for one in self.get("summary")["changes"] if "HTTPRoute default/late" in one["names"]])[0]
        self.assertEqual(note["objects"], 1)
        self.assertLess(abs(note["at_ms"] / 1000 - time.time()), 60)
        self.assertTrue(any("default/late (default/gw): ResolvedRefs BackendNotFound" in text for text in note["problems"]),
                        note)
        self.gateway.write("unreadable.yaml", json.dumps(
            {**route("unread"), "spec": {"parentRefs": "none"}}))
        self.addCleanup(self.gateway.write, "unreadable.yaml", "")
        until(lambda: any("HTTPRoute default/unread" in text for one in self.get("summary")["changes"] for text in one["problems"]))
        self.assertGreater(self.gateway.metric("hyperway_config_last_change_timestamp_seconds"), time.time() - 60)

    def test_a_list_takes_bounded_questions_only(self):
        for name, value in (("limit", "0"), ("limit", "101"), ("limit", "x"), ("offset", "-1"), ("sort", "size"),
                            ("filter", "x" * 300)):
            with self.subTest(name, value=value[:5]):
                self.assertEqual(read(self.loopback, "/api/routes", **{name: value})[0], 400)
        self.assertEqual(read(self.loopback, "/api/nothing")[0], 404)

    def test_only_get(self):
        for method in ("POST", "PUT", "DELETE"):
            with self.subTest(method), Client(self.loopback) as client:
                client.request(method, "/api/summary", host="localhost", fields=[("Connection", "close")])
                self.assertEqual(client.response().status, 405)

    def test_objects_are_counted_by_state_for_alerts(self):
        self.assertEqual(self.gateway.metric("hyperway_objects", kind="HTTPRoute", state="failing"), 1)
        self.assertEqual(self.gateway.metric("hyperway_objects", kind="Gateway", state="ok"), 1)
        self.assertEqual(self.gateway.metric("hyperway_ready"), 1)
        self.assertGreater(self.gateway.metric("process_resident_memory_bytes"), 1 << 20)
        self.assertGreater(self.gateway.metric("process_cpu_seconds_total"), 0)


class ManyRoutes(GatewayCase):
    limit_seconds = 120
    ROUTES = 10000

    @classmethod
    def make(cls):
        cls.loopback = ports.free_port()
        many = json.dumps({"apiVersion": "v1", "kind": "List", "items": [
            route(f"r{n:05}", [rule(["app"], [path_match(f"/r{n}")])], hostnames=[f"h{n}.example"])
            for n in range(cls.ROUTES)]})
        made = gw.Gateway(gateway_class(), gateway(), *app("app", cls.backend("app")), start=False,
                          settings={"admin": {"loopback": f"127.0.0.1:{cls.loopback}"}})
        made.write("many.json", many)
        return made.start()

    def test_answers_stay_small_and_requests_do_not_wait(self):
        stop, slowest = threading.Event(), [0.0]

        def traffic():
            with Client(self.port) as client:
                while not stop.is_set():
                    began = time.monotonic()
                    client.request("GET", "/r7", host="h7.example")
                    client.response()
                    slowest[0] = max(slowest[0], time.monotonic() - began)
                    time.sleep(0.001)
        thread = threading.Thread(target=traffic)
        thread.start()
        try:
            for path, query in (("summary", {}), ("routes", {}), ("routes", {"filter": "r0999", "limit": 100}),
                                ("routes", {"offset": 9000, "limit": 100}), ("routes", {"sort": "requests"}),
                                ("gateways", {}), ("backends", {}), ("plugins", {})) * 3:
                began = time.monotonic()
                with Client(self.loopback, timeout=20) as client:
                    client.request("GET", "/api/" + path + "?" + urllib.parse.urlencode(query), host="localhost",
                                   fields=[("Connection", "close")])
                    body = client.response().body
                self.assertLess(len(body), 256 * 1024, path)
                self.assertLess(time.monotonic() - began, 1.0 * patience(), path)
        finally:
            stop.set()
            thread.join()
        self.assertLess(slowest[0], 0.5 * patience())
        status, page = read(self.loopback, "/api/routes", filter="r0999", limit=100)
        self.assertEqual((status, page["fitting"], page["all"]), (200, 10, self.ROUTES))
        self.assertEqual([row["route"] for row in page["rows"]], [f"default/r0999{n}" for n in range(10)])
        page = read(self.loopback, "/api/routes", offset=9990, limit=20)[1]
        self.assertEqual([row["route"] for row in page["rows"]], [f"default/r0999{n}" for n in range(10)])
        busiest = read(self.loopback, "/api/routes", sort="requests", limit=1)[1]["rows"][0]
        self.assertEqual(busiest["route"], "default/r00007")
        # Rules beyond the bound of series share their counters, and say so.
        self.assertTrue(any(not one["counted"] for row in read(self.loopback, "/api/routes", limit=100, offset=5000)[1]["rows"]
                            for one in row["rules"]))


class Modes(Case):
    limit_seconds = 60

    def test_a_controller_and_a_data_plane_each_show_what_they_know(self):
        cluster = self.use(Kubernetes())
        port, of_controller, of_plane = ports.free_port(), ports.free_port(), ports.free_port()
        cluster.apply(gateway_class(), gateway([listener(port=port)]), *app("app", self.use(Backend("app"))),
                      route(hostnames=["a.example.com"]),
                      route("broken", [rule([backend_ref("nowhere")], [path_match("/broken")])]))
        config = {"kubeconfig": cluster.kubeconfig}
        self.use(gw.Gateway(listen=False, program="hyperway_controller", settings={
            "sources": [{"plugin": "k8s_source", "config": config}],
            "sinks": [{"plugin": "snapshot_sink", "config": {"name": "snap", **config}}],
            "admin": {"loopback": f"127.0.0.1:{of_controller}"}}))
        self.use(gw.Gateway(listen={port: port}, environment={"POD_NAME": "plane", "POD_NAMESPACE": "default"}, settings={
            "sources": [{"plugin": "snapshot_source", "config": {"name": "snap", **config}}],
            "admin": {"loopback": f"127.0.0.1:{of_plane}"}}))
        until(lambda: ask(port, host="a.example.com").body == b"app")
        summary = read(of_controller, "/api/summary")[1]
        self.assertEqual((summary["mode"], summary["serves"]), ("controller", False))
        rows = {row["route"]: row for row in read(of_controller, "/api/routes")[1]["rows"]}
        self.assertEqual(rows["default/broken"]["problems"][0]["reason"], "BackendNotFound")
        summary = read(of_plane, "/api/summary")[1]
        self.assertEqual((summary["mode"], summary["serves"], summary["routes"]), ("data plane", True, 2))
        page = read(of_plane, "/api/routes")[1]
        self.assertEqual((page["all"], sorted(row["route"] for row in page["rows"])), (2, ["default/broken", "default/route"]))
        row = next(row for row in page["rows"] if row["route"] == "default/route")
        self.assertEqual((row["in_force"], row["hosts"], row["rules"][0]["codes"][2]), (True, ["a.example.com"], 1))
        gateways = read(of_plane, "/api/gateways")[1]["rows"]
        self.assertEqual((gateways[0]["gateway"], gateways[0]["listeners"][0]["name"]), ("default/gw", "http"))


if __name__ == "__main__":
    unittest.main()
