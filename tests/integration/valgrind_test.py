# SPDX-License-Identifier: Apache-2.0
"""A short life under valgrind: requests of every kind, edits, a drain; no error, nothing lost."""
import os
import re
import shutil
import ssl
import unittest

from harness import gateway as gw
from harness import tls, upgrade
from harness.backend import Backend, answer
from harness.case import Case, until
from harness.client import Client, ask
from harness.manifests import (anchors, app, config_map_ref, extension, filter_object, gateway, gateway_class,
                               listener, path_match, route, rule, secret, tls_policy)


class Valgrind(Case):
    limit_seconds = 240

    def start(self, process):
        """Starts it under valgrind; returns where valgrind reports."""
        program = shutil.which("valgrind")
        self.assertIsNotNone(program, "no valgrind: install Debian's valgrind")
        report = os.path.join(process.folder, "valgrind.txt")
        process.command = [program, "--leak-check=full", "--show-leak-kinds=definite", "--num-callers=30",
                           f"--log-file={report}", "--error-exitcode=99", "--errors-for-leak-kinds=definite"]
        self.addCleanup(process.kill)
        process.start(ready=False)
        process.wait_ready(120)
        return report

    def end(self, process, report):
        """Ends it, and judges the report."""
        process.terminate()
        code = process.process.wait(120)
        with open(report, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(code, 0, text[-6000:])
        self.assertRegex(text, r"ERROR SUMMARY: 0 errors")
        lost = re.search(r"definitely lost: ([0-9,]+) bytes", text)
        self.assertEqual(lost.group(1) if lost else "0", "0", text[-6000:])

    def test_no_error_and_nothing_lost(self):
        backend, pairs = self.use(Backend("app")), [tls.self_signed("a.example", serial=n) for n in (1, 2)]
        mirrored = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "app", "port": 8080}}}
        process = gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", *pairs[0]), *app("app", backend),
            filter_object("limit", "rate_limit", {"requests": 1000, "key": {"type": "address"}}),
            route(rules=[rule(["app"], [path_match("/limit")], [extension("limit")]),
                         rule(["app"], [path_match("/mirror")], [mirrored]), rule(["app"], [path_match("/")])]),
            workers=2, settings={"drain": {"delay": "0s", "deadline": "1s"}}, start=False)
        report = self.start(process)
        for path in ("/", "/limit", "/mirror"):
            self.assertEqual(ask(process.port(), "POST", path, body=b"x" * 20000, timeout=30).status, 200)
        self.assertEqual(ask(process.port(443), tls=tls.client_context(), sni="a", host="a", timeout=30).status, 200)
        backend.forget()  # Kept connections are served as they began.
        backend.script = upgrade.echo_tunnel
        with Client(process.port(), timeout=30) as client:
            client.send(upgrade.WEBSOCKET)
            self.assertEqual(client.response().status, 101)
            client.send(b"ping")
            self.assertEqual(client.reader.take(4), b"ping")
        backend.forget()
        backend.script = lambda connection: connection.read_request() and connection.close()
        self.assertEqual(ask(process.port(), timeout=30).status, 502)
        backend.script = None
        process.apply(secret("cert", *pairs[1]), route("more", hostnames=["more.example"]))
        until(lambda: ask(process.port(), host="more.example", timeout=30).status == 200, 60)
        # The end comes in the midst of everything: an upload with its copy, a tunnel, idle and TLS connections.
        backend.forget()
        backend.script = upgrade.echo_tunnel
        tunnel = self.use(Client(process.port(), timeout=30))
        tunnel.send(upgrade.WEBSOCKET)
        self.assertEqual(tunnel.response().status, 101)
        backend.script = lambda connection: connection.read_request() and connection.wait_for_close(60)
        for data in ("POST /mirror HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", "GET / HTTP/1.1\r\nHos",
                     "GET /limit HTTP/1.1\r\nHost: a\r\n\r\n"):
            self.use(Client(process.port(), timeout=30)).send(data)
        until(lambda: any(r.path == "/limit" for r in backend.requests), 30)
        self.use(Client(process.port(443), timeout=30, tls=tls.client_context(), sni="a"))
        self.use(Client(process.port(443), timeout=30)).send(b"\x16\x03\x01\x02\x00\x01")
        self.end(process, report)

    def test_tls_on_both_sides_and_its_changes(self):
        authority, other = tls.Authority(), tls.Authority("other")
        pairs = [authority.issue(usage="clientAuth", subject=str(n)) for n in range(2)]
        good, bad = (self.use(Backend(name, tls=tls.server_context(issuer.issue("app.example"))))
                     for name, issuer in (("app", authority), ("bad", other)))
        plain = self.use(Backend("plain", script=lambda connection: connection.send(answer(400, "no TLS here"))))
        process = gw.Gateway(
            gateway_class(),
            gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])],
                    tls={"frontend": {"default": {"validation": {"caCertificateRefs": [config_map_ref("ca")]}}},
                         "backend": {"clientCertificateRef": {"name": "client"}}}),
            secret("cert", *tls.self_signed("a.example")), secret("client", *pairs[0]),
            anchors("ca", authority.certificate),
            *[thing for backend in (good, bad, plain) for thing in (*app(backend.name, backend),
                                                                    tls_policy(backend.name, backend.name))],
            route(rules=[rule([name], [path_match(f"/{name}")]) for name in ("app", "bad", "plain")]),
            workers=2, settings={"drain": {"delay": "0s", "deadline": "1s"}}, start=False)
        report = self.start(process)
        mine = tls.client_context(pair=pairs[0])

        def status(path, **kwargs):
            return ask(process.port(), "POST", path, body=b"x" * 50000, timeout=60, **kwargs).status
        self.assertEqual([status(f"/{name}") for name in ("app", "bad", "plain", "app")], [200, 502, 502, 200])
        live = self.use(Client(process.port(443), tls=mine, sni="a", timeout=60))
        self.assertEqual(live.ask("GET", "/app", host="a").status, 200)
        with self.assertRaises(ssl.SSLError):
            ask(process.port(443), tls=tls.client_context(), sni="a", host="a", timeout=60)
        process.apply(secret("client", *pairs[1]), anchors("ca", other.certificate))
        until(lambda: status("/bad") == 200, 60)
        self.assertEqual(status("/app"), 502)
        self.assertEqual(live.ask("GET", "/app", host="a").status, 421)
        process.apply(anchors("ca", authority.certificate, other.certificate))
        until(lambda: status("/app") == 200, 60)
        process.delete(tls_policy("plain", "plain"))
        until(lambda: status("/plain") == 400, 60)
        self.end(process, report)


if __name__ == "__main__":
    unittest.main()
