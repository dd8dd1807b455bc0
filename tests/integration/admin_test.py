# SPDX-License-Identifier: Apache-2.0
"""The two admin faces: probes and metrics on a port, everything that shows configuration on a socket."""
import base64
import hashlib
import json
import os
import shutil
import stat
import time
import unittest

from harness import gateway as gw
from harness import ports, tls
from harness.case import GatewayCase, until
from harness.client import Client, ask
from harness.manifests import app, gateway, gateway_class, listener, route, rule, secret


class Probes(GatewayCase):
    CERT = tls.self_signed("a.example")

    @classmethod
    def make(cls):
        return gw.Gateway(gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
                          secret("cert", *cls.CERT), *app("app", cls.backend("app")), route())

    def test_healthz_and_readyz(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.gateway.ask_admin(path).status, 200)

    def test_other_paths_and_methods_are_refused(self):
        self.assertEqual(self.gateway.ask_admin("/nothing").status, 404)
        self.assertIn(self.gateway.ask_admin("/healthz", "DELETE").status, (404, 405))

    def test_nothing_on_the_probe_port_shows_configuration(self):
        for path in ("/config", "/explain", "/status", "/loglevel", "/", "/debug", "/api/summary", "/api/routes"):
            with self.subTest(path):
                got = self.gateway.ask_admin(path)
                self.assertIn(got.status, (404, 405))
                self.assertNotIn(b"default/", got.body)

    def test_metrics_count_requests_by_route_and_rule(self):
        before = self.gateway.metric("hyperway_requests_total", route="default/route")
        for _ in range(7):
            ask(self.port)
        until(lambda: self.gateway.metric("hyperway_requests_total", route="default/route") == before + 7)

    def test_metrics_have_latency_connections_upstreams_and_certificates(self):
        ask(self.port)
        names = until(lambda: {series.partition("{")[0] for series in self.gateway.metrics()})
        text = self.gateway.ask_admin("/metrics").body.decode()
        for part in ("_bucket", "connections", "upstream", "certificate"):
            self.assertTrue(any(part in name for name in names), f"{part} in none of {sorted(names)}")
        for line in text.splitlines():
            self.assertTrue(line.startswith("#") or len(line.rsplit(" ", 1)) == 2, line)

    def test_metrics_say_when_certificates_end(self):
        found = [v for k, v in self.gateway.metrics().items() if "certificate" in k and "default/cert" in k]
        self.assertTrue(any(abs(v - (time.time() + 30 * 86400)) < 2 * 86400 for v in found), found)

    def test_private_keys_are_shown_nowhere(self):
        key = self.CERT[1].decode().splitlines()[1]
        shown = self.gateway.ask_admin("/metrics").body.decode() + self.gateway.logs()
        for command in (("status",), ("status", "--json"), ("explain", "GET", "http://a.example/")):
            shown += self.gateway.run(*command, "--socket", self.gateway.socket).stdout
        self.assertNotIn(key, shown)
        self.assertNotIn("PRIVATE KEY", shown)

    def test_the_socket_is_for_the_owner_alone(self):
        mode = os.stat(self.gateway.socket).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_a_slow_scraper_disturbs_nobody(self):
        held = [self.use(Client(self.gateway.admin)) for _ in range(30)]
        for client in held:
            client.send("GET /metrics HT")
        until(lambda: self.gateway.ask_admin("/healthz").status == 200, 5)
        self.assertEqual(ask(self.port).status, 200)


class Series(GatewayCase):
    limit_seconds = 60

    @classmethod
    def make(cls):
        rules = [rule(["app"], [{"path": {"type": "PathPrefix", "value": "/a"}}], name="first"),
                 rule(["app"], [{"path": {"type": "PathPrefix", "value": "/b"}}])]
        return gw.Gateway(gateway_class(), gateway(), *app("app", cls.backend("app")), route(rules=rules))

    def count(self, **labels):
        """Requests counted in series with these labels."""
        return self.gateway.metric("hyperway_requests_total", route="default/route", **labels)

    def test_rules_of_a_route_are_counted_apart_and_answers_by_class(self):
        for path, times in (("/a", 3), ("/b", 5)):
            for _ in range(times):
                ask(self.port, "GET", path)
        until(lambda: self.count() == 8)
        series = [k for k in self.gateway.metrics() if k.startswith("hyperway_requests_total") and "default/route" in k]
        values = sorted(v for k, v in self.gateway.metrics().items() if k in series and v)
        self.assertEqual(values, [3, 5], series)
        for number, requests in ((0, 3), (1, 5)):
            labels = {"route": "default/route", "rule": str(number)}
            for name, expected in (("hyperway_request_duration_seconds_count", requests),
                                   ("hyperway_requests_total", requests),
                                   ("hyperway_response_body_bytes_total", requests * len(b"app"))):
                self.assertEqual(self.gateway.metric(name, **labels), expected, (name, labels))
            self.assertEqual(self.gateway.metric("hyperway_request_duration_seconds_bucket", le="+Inf", **labels),
                             requests)

    def test_series_are_bounded_whatever_the_number_of_routes(self):
        self.gateway.write("many.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": [
            route(f"r{n}", hostnames=[f"h{n}.example"]) for n in range(2600)]}))
        until(lambda: ask(self.port, host="h2599.example").status == 200, 20)
        for n in range(0, 2600, 2):
            ask(self.port, host=f"h{n}.example")
        time.sleep(0.3)
        text = self.gateway.ask_admin("/metrics").body.decode()
        named = {part.split('"')[0] for part in text.split('route="')[1:]}
        self.assertLessEqual(len(named), 2001)
        self.assertIn("other", named)


class SeriesOfDeletedRules(GatewayCase):
    limit_seconds = 60

    @classmethod
    def make(cls):
        return gw.Gateway(gateway_class(), gateway(), *app("app", cls.backend("app")))

    def test_the_counters_of_a_deleted_rule_never_go_on_as_anothers(self):
        """Rules come and go; those that take over a number begin at zero, the others never go back."""
        old = [route(f"old{n}", hostnames=[f"old{n}.example"]) for n in range(20)]
        kept = route("kept", hostnames=["kept.example"])
        self.gateway.apply(*old, kept)
        until(lambda: {ask(self.port, host=f"{n}.example").status for n in ("old19", "kept")} == {200})
        for n in range(20):
            for _ in range(3):
                ask(self.port, host=f"old{n}.example")
        before = until(lambda: self.gateway.metric("hyperway_requests_total", route="default/kept"))
        self.gateway.delete(*old)
        until(lambda: ask(self.port, host="old0.example").status == 404)
        new = [route(f"new{n}", hostnames=[f"new{n}.example"]) for n in range(25)]
        # A number is free when nobody has the old table any more, which is soon, not at once.
        until(lambda: not any("default/old" in series for series in self.gateway.metrics()))
        self.gateway.apply(*new)
        until(lambda: sum("default/new" in series and "_count" in series for series in self.gateway.metrics()) >= 20)
        for series, value in self.gateway.metrics().items():
            if "default/new" in series:
                self.assertEqual(value, 0, series)
        until(lambda: ask(self.port, host="new24.example").status == 200)
        self.assertEqual(self.gateway.metric("hyperway_requests_total", route="default/new24"), 1)
        self.assertEqual(self.gateway.metric("hyperway_requests_total", route="default/kept"), before)


class Inside(GatewayCase):
    """The face that shows configuration, on a loopback address."""

    CERT = tls.self_signed("a.example")

    @classmethod
    def make(cls):
        cls.loopback = ports.free_port()
        return gw.Gateway(gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
                          secret("cert", *cls.CERT), *app("app", cls.backend("app")), route(),
                          settings={"admin": {"loopback": f"127.0.0.1:{cls.loopback}"}})

    def get(self, path, method="GET", host="localhost", fields=(), body=None):
        """A request to the face."""
        with Client(self.loopback, timeout=5) as client:
            client.request(method, path, host=host, fields=[("Connection", "close"), *fields], body=body)
            return client.response(method)

    def test_a_page_for_browsers(self):
        got = self.get("/")
        self.assertEqual(got.status, 200)
        self.assertTrue(got.get("content-type").startswith("text/html"))
        for part in (b"<title>hyperway</title>", b'href="/config"', b'action="/explain"'):
            self.assertIn(part, got.body)
        self.assertNotIn(b"default/", got.body)
        policy = dict(p.split(" ", 1) for p in got.get("content-security-policy").split("; "))
        self.assertEqual(policy["default-src"], "'none'")
        for part in ("script", "style"):
            text = got.body.partition(f"<{part}>".encode())[2].partition(f"</{part}>".encode())[0]
            digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
            self.assertEqual(policy[part + "-src"], f"'sha256-{digest}'")

    def test_config_shows_listeners_rules_and_endpoints(self):
        text = self.get("/config").body.decode()
        for part in ("default/gw/http, port 80", "default/route/0", "default/app:8080, round_robin",
                     f"127.0.0.1:{self.app.port}"):
            self.assertIn(part, text)

    def test_what_the_socket_answers_is_here_too(self):
        self.assertIn(b"HTTPRoute default/route", self.get("/status").body)
        self.assertIsInstance(json.loads(self.get("/status?json").body), list)
        self.assertIn(b"file_source", self.get("/plugins").body)
        self.assertIn(b"generation", self.get("/readyz").body)
        got = self.get("/explain?method=GET&url=http%3A%2F%2Fa.example%2F&header=X-A%3A+1")
        self.assertIn(b"default/route", got.body)
        self.assertEqual(self.get("/explain?url=nowhere").status, 400)

    def test_the_log_level_is_asked_and_set(self):
        self.assertEqual(self.get("/loglevel").body, b"info\n")
        self.assertEqual(self.get("/loglevel", "PUT", body=b"debug").body, b"debug\n")
        self.assertEqual(self.get("/loglevel").body, b"debug\n")
        self.assertEqual(self.get("/loglevel", "PUT", body=b"loud").status, 400)
        self.get("/loglevel", "PUT", body=b"info")

    def test_other_hosts_and_other_sites_pages_are_refused(self):
        """DNS rebinding leads a browser here by a name of the attacker's."""
        for host in ("rebound.example", f"rebound.example:{self.loopback}", "127.0.0.1.example"):
            for path, method, body in (("/", "GET", None), ("/config", "GET", None), ("/loglevel", "PUT", b"off")):
                with self.subTest(host=host, path=path):
                    got = self.get(path, method, host, body=body)
                    self.assertEqual(got.status, 403)
                    self.assertNotIn(b"default/", got.body)
        got = self.get("/loglevel", "PUT", fields=[("Origin", "https://evil.example")], body=b"off")
        self.assertEqual(got.status, 403)
        self.assertEqual(self.get("/loglevel").body, b"info\n")
        for host in (f"localhost:{self.loopback}", f"127.0.0.1:{self.loopback}"):
            self.assertEqual(self.get("/status", host=host, fields=[("Origin", f"http://{host}")]).status, 200)
        # Another port of this machine is another origin, though browsers call it the same site.
        for fields in ([("Origin", "http://localhost:1")], [("Sec-Fetch-Site", "same-site")]):
            self.assertEqual(self.get("/api/summary", host=f"localhost:{self.loopback}", fields=fields).status, 403)

    def test_private_keys_are_shown_nowhere(self):
        key = self.CERT[1].decode().splitlines()[1]
        for path in ("/", "/config", "/status", "/status?json", "/plugins", "/readyz", "/metrics", "/api/summary",
                     "/api/gateways", "/api/routes", "/api/backends", "/api/certificates", "/api/plugins",
                     "/explain?url=https%3A%2F%2Fa.example%2F"):
            got = self.get(path)
            self.assertNotIn(key.encode(), got.body, path)
            self.assertNotIn(b"PRIVATE KEY", got.body, path)


class Commands(GatewayCase):
    @classmethod
    def make(cls):
        return gw.Gateway(gateway_class(), gateway(), *app("app", cls.backend("app")), route(
            rules=[rule(["app"], [{"path": {"type": "PathPrefix", "value": "/shop"}, "method": "GET"}])]))

    def run_on_socket(self, *arguments):
        """A command against the running process."""
        return self.gateway.run(*arguments, "--socket", self.gateway.socket)

    def test_status_tells_conditions(self):
        self.assertEqual(self.gateway.condition("HTTPRoute/default/route", "Accepted")["status"], "True")
        self.assertEqual(self.gateway.condition("Gateway/default/gw", "Programmed")["status"], "True")
        text = self.run_on_socket("status").stdout
        self.assertIn("route", text)
        self.assertIn("Accepted", text)

    def test_explain_names_what_answers_and_why_not(self):
        done = self.run_on_socket("explain", "GET", "http://example.com/shop/1")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("default/gw", "default/route", "app"):
            self.assertIn(word, done.stdout)
        done = self.run_on_socket("explain", "POST", "http://example.com/shop/1")
        self.assertIn("404", done.stdout)
        self.assertIn("method", done.stdout.lower())

    def test_explain_and_status_work_offline_on_manifests(self):
        for command in (("explain", "GET", "http://example.com/shop"), ("status",)):
            done = self.gateway.run(*command, "--gateway-api-config-file", self.gateway.manifests)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("default/route" if command[0] == "explain" else "route", done.stdout)

    def test_check_finds_nothing_wrong_here(self):
        done = self.gateway.run("check", "--config", self.gateway.config_file)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_check_names_file_and_line(self):
        folder = os.path.join(self.gateway.folder, "bad")
        shutil.copytree(self.gateway.manifests, folder)
        bad = os.path.join(folder, "bad.yaml")
        with open(bad, "w", encoding="utf-8") as file:
            file.write("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: x}\n"
                       "spec:\n  parentRefs:\n  - name: gw\n  rules:\n  - backendRefs:\n    - name: app\n"
                       "      port: 8080\n      weight: -5\n")
        done = self.gateway.run("check", "--gateway-api-config-file", folder)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, r"bad\.yaml:11")

    def test_version_and_plugins(self):
        self.assertRegex(self.gateway.run("version").stdout, r"\d+\.\d+\.\d+")
        self.assertIn("file_source", self.run_on_socket("plugins").stdout)

    def test_a_command_without_a_process_says_so(self):
        done = self.gateway.run("status", "--socket", os.path.join(self.gateway.folder, "none.sock"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("none.sock", done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main()
