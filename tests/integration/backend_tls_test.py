# SPDX-License-Identifier: Apache-2.0
"""TLS to backends: whom we trust, what we show, and that nothing goes out in plain text or on a
connection that was made with other settings."""
import os
import ssl
import threading
import time
import unittest

from harness import gateway as gw
from harness import tls
from harness.backend import Backend, answer
from harness.case import Case, GatewayCase, until
from harness.client import Client, ask
from harness.manifests import (anchors, app, gateway, gateway_class, listener, route, rule, secret, service, slices,
                               tls_policy, trust_bundle, path_match)
from harness.upgrade import WEBSOCKET, echo_tunnel

AUTHORITY = tls.Authority()
OTHER = tls.Authority("other")


def peer_of(backend):
    """The certificate (DER) that the last connection's client showed, or None."""
    return backend.connections[-1].socket.getpeercert(True)


class Verification(GatewayCase):
    """One backend for each way in which a certificate is good or bad."""

    SPIFFE = "spiffe://cluster.example/ns/a/sa/b"
    # name: (pair of the backend, fields of the policy, status, reason in the access log)
    CASES = {
        "good": (AUTHORITY.issue("app.example"), {}, 200, None),
        "wildcard": (AUTHORITY.issue("*.apps.example"), {"hostname": "app.apps.example"}, 200, None),
        "several": (AUTHORITY.issue("app.example"), {"authorities": ("other", "ca")}, 200, None),
        "pinned": (tls.self_signed("app.example"), {"authorities": ("pinned",)}, 200, None),
        "wrong-ca": (OTHER.issue("app.example"), {}, 502, "backend_certificate"),
        "self-signed": (tls.self_signed("app.example", serial=7), {}, 502, "backend_certificate"),
        "wrong-name": (AUTHORITY.issue("else.example"), {}, 502, "backend_certificate"),
        "deep-wildcard": (AUTHORITY.issue("*.apps.example"), {"hostname": "a.b.apps.example"}, 502,
                          "backend_certificate"),
        "common-name": (AUTHORITY.issue(subject="app.example"), {}, 502, "backend_certificate"),
        "expired": (AUTHORITY.issue("app.example", days=-1), {}, 502, "backend_certificate"),
        "client-only": (AUTHORITY.issue("app.example", usage="clientAuth"), {}, 502, "backend_certificate"),
        "uri": (AUTHORITY.issue(uris=[SPIFFE]), {"names": [{"type": "URI", "uri": SPIFFE}]}, 200, None),
        "other-uri": (AUTHORITY.issue("app.example", uris=[SPIFFE + "c"]), {"names": [{"type": "URI", "uri": SPIFFE}]},
                      502, "backend_certificate"),
        "alt-name": (AUTHORITY.issue("alt.example"), {"names": [{"type": "Hostname", "hostname": "alt.example"}]},
                     200, None),
        "host-is-sni-only": (AUTHORITY.issue("app.example"),
                             {"names": [{"type": "Hostname", "hostname": "alt.example"}]}, 502, "backend_certificate"),
        "one-of-two": (AUTHORITY.issue("alt.example"),
                       {"names": [{"type": "URI", "uri": SPIFFE}, {"type": "Hostname", "hostname": "alt.example"}]},
                       200, None),
    }

    @classmethod
    def make(cls):
        objects = [gateway_class(), gateway(), anchors("ca", AUTHORITY.certificate),
                   anchors("other", OTHER.certificate), anchors("pinned", tls.self_signed("app.example")[0])]
        for name, (pair, fields, _, _) in cls.CASES.items():
            objects += app(name, cls.backend(name, tls=tls.server_context(pair)))
            objects.append(tls_policy(name, name, **fields))
        plain = cls.backend("plain")
        objects += [*app("plain", plain), tls_policy("plain", "plain")]
        objects.append(route(rules=[rule([name], [path_match(f"/{name}")]) for name in [*cls.CASES, "plain"]]))
        process = gw.Gateway(*objects, start=False, settings={"timeouts": {"connect": "1s"}})
        process.access_log = {"format": "json", "path": os.path.join(process.folder, "access.log")}
        return process.start()

    def test_a_backend_is_trusted_for_its_certificate_and_name_alone(self):
        for name, (_, fields, status, _) in self.CASES.items():
            with self.subTest(name):
                got = ask(self.port, target=f"/{name}")
                self.assertEqual(got.status, status)
                self.assertEqual(bool(self.backends[name].requests), status == 200)
                asked = fields.get("hostname", "app.example")
                self.assertEqual(set(self.backends[name].tls.names), {asked}, "SNI")

    def test_a_refusal_is_named_in_the_access_log_counted_and_logged_once(self):
        before = self.gateway.metric("hyperway_upstream_tls_failures_total")
        for _ in range(3):
            self.assertEqual(ask(self.port, target="/expired").status, 502)
        self.assertGreaterEqual(self.gateway.metric("hyperway_upstream_tls_failures_total"), before + 3)
        path = os.path.join(self.gateway.folder, "access.log")

        def lines():
            with open(path, encoding="utf-8") as file:
                return [line for line in file if '"/expired"' in line]
        self.assertIn("backend_certificate", until(lambda: len(lines()) >= 3 and lines())[0])
        said = [line for line in self.gateway.logs().splitlines() if "certificate has expired" in line]
        self.assertEqual(len(said), 1, said)
        self.assertIn("app.example", said[0])

    def test_a_backend_without_tls_gets_no_request(self):
        came = []

        def script(connection):
            came.append(connection.socket.recv(1 << 16))
            connection.send(answer(400, "no TLS here"))
        self.backends["plain"].script = script
        self.assertEqual(ask(self.port, target="/plain").status, 502)
        self.assertTrue(came)
        self.assertTrue(all(data.startswith(b"\x16\x03") for data in came), "a handshake and nothing else")

    def test_connections_are_kept_and_bodies_pass_both_ways(self):
        backend = self.backends["good"]
        backend.handler = lambda r: (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(r.body)) + r.body
        blob = bytes(n % 251 for n in range(3_000_000))
        with Client(self.port) as client:
            for body in (b"x", blob, b"", blob):
                self.assertEqual(client.ask("POST", "/good", body=body).body, body)
        self.assertEqual(len(backend.connections), 1)

    def test_an_answer_that_ends_with_the_connection_is_whole_only_with_close_notify(self):
        backend = self.backends["good"]

        def closing(notify):
            def script(connection):
                connection.read_request()
                connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole")
                if notify:
                    connection.socket = connection.socket.unwrap()
                connection.close()
            return script
        backend.script = closing(True)
        self.assertEqual(ask(self.port, target="/good").body, b"whole")
        backend.script = closing(False)
        with Client(self.port) as client:
            client.request("GET", "/good")
            with self.assertRaises(Exception):
                client.response()

    def test_a_kept_connection_that_the_backend_closes_costs_no_request(self):
        backend = self.backends["good"]

        def once(connection):
            connection.read_request()
            connection.send(answer(200, "one"))
            connection.socket.unwrap()
        backend.script = once
        with Client(self.port) as client:
            for _ in range(5):
                self.assertEqual(client.ask("GET", "/good").status, 200)

    def test_a_silent_handshake_ends_with_the_time_for_connecting(self):
        silent = threading.Event()
        backend = self.backends["plain"]
        backend.script = lambda connection: silent.wait(20)
        self.addCleanup(silent.set)
        with Client(self.port, timeout=20) as client:
            self.assertEqual(client.ask("GET", "/plain").status, 504)


class Change(Case):
    """Settings that change at run time, under load where it matters."""

    limit_seconds = 60

    def start(self, *more, pair=None, clients=None, policy=None, gateway_spec=None, **kwargs):
        """A gateway in front of one TLS backend called app."""
        self.app = self.use(Backend("app", tls=tls.server_context(pair or AUTHORITY.issue("app.example"), clients,
                                                                  required=False)))
        self.gateway = self.use(gw.Gateway(
            gateway_class(), gateway(**(gateway_spec or {})), anchors("ca", AUTHORITY.certificate), *app("app", self.app),
            policy or tls_policy(), route(), *more, **kwargs))
        return self.gateway.port()

    def condition(self, kind):
        """A condition of the policy at its only ancestor."""
        ancestors = self.gateway.status().get("BackendTLSPolicy/default/policy", {}).get("ancestors", [])
        found = [c for a in ancestors for c in a["conditions"] if c["type"] == kind]
        return found[0]["status"] + " " + found[0]["reason"] if found else None

    def test_a_policy_that_comes_and_goes_moves_requests_to_other_connections(self):
        port = self.start()
        plain = self.use(Backend("app"))
        with Client(port) as client:
            self.assertEqual(client.ask("GET", "/").status, 200)
            self.gateway.delete(tls_policy())
            self.gateway.apply(*slices("app", [plain]))
            self.gateway.delete(*slices("app", [self.app]))
            until(lambda: client.ask("GET", "/").status == 200 and plain.requests, message="plain text")
            secured = len(self.app.requests)
            self.gateway.apply(tls_policy())
            until(lambda: client.ask("GET", "/").status == 502, message="no plain text with a policy")
            count = len(plain.requests)
            for _ in range(5):
                self.assertEqual(client.ask("GET", "/").status, 502)
            self.assertEqual(len(plain.requests), count)
            self.assertEqual(len(self.app.requests), secured)

    def test_an_invalid_policy_answers_5xx_and_never_in_plain_text(self):
        port = self.start(policy=tls_policy(authorities=("none",)))
        self.assertEqual(ask(port).status, 500)
        self.assertEqual(self.condition("Accepted"), "False NoValidCACertificate")
        self.assertEqual(self.condition("ResolvedRefs"), "False InvalidCACertificateRef")
        self.assertEqual(self.app.connections, [])
        self.gateway.apply(anchors("none", AUTHORITY.certificate))
        until(lambda: ask(port).status == 200, message="anchors that came")
        self.assertEqual(self.condition("Accepted"), "True Accepted")
        self.gateway.apply(anchors("none"))
        until(lambda: ask(port).status == 500, message="anchors that went")

    def test_a_cluster_trust_bundle_is_an_anchor(self):
        port = self.start()
        policy = tls_policy(authorities=())
        policy["spec"]["validation"]["caCertificateRefs"] = [
            {"group": "certificates.k8s.io", "kind": "ClusterTrustBundle", "name": "example:ca"}]
        self.gateway.apply(policy)
        until(lambda: ask(port).status == 500, message="an anchor that is not there")
        self.assertEqual(self.condition("ResolvedRefs"), "False InvalidCACertificateRef")
        self.gateway.apply(trust_bundle("example:ca", AUTHORITY.certificate))
        until(lambda: ask(port).status == 200, message="the bundle that came")
        self.assertEqual(self.condition("Accepted"), "True Accepted")
        self.gateway.apply(trust_bundle("example:ca", OTHER.certificate))
        until(lambda: ask(port).status == 502, message="the bundle that changed")

    def test_a_changed_policy_never_uses_a_connection_made_before(self):
        port = self.start()
        with Client(port) as client:
            self.assertEqual(client.ask("GET", "/").status, 200)
            self.gateway.apply(tls_policy(hostname="else.example"))
            until(lambda: client.ask("GET", "/").status == 502, message="other name refused")
            for _ in range(5):
                self.assertEqual(client.ask("GET", "/").status, 502)
            self.gateway.apply(tls_policy())
            until(lambda: client.ask("GET", "/").status == 200, message="first name again")

    def test_authorities_rotate_under_load_without_a_failure(self):
        port = self.start()
        stop, failures, done = threading.Event(), [], []

        def load():
            with Client(port) as client:
                while not stop.is_set():
                    got = client.ask("GET", "/")
                    done.append(got.status)
                    if got.status != 200:
                        failures.append(got.status)
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            new = OTHER.issue("app.example")
            until(lambda: len(done) > 100, message="requests")
            first = len(self.app.connections)
            self.gateway.apply(anchors("ca", AUTHORITY.certificate, OTHER.certificate))
            until(lambda: len(self.app.connections) > first, message="connections with both authorities")
            second = len(self.app.connections)
            self.app.tls = tls.server_context(new)
            self.gateway.apply(anchors("ca", OTHER.certificate))
            until(lambda: len(self.app.connections) > second, message="connections with the new authority")
            count = len(done)
            until(lambda: len(done) > count + 50, message="more requests")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])

    def test_the_client_certificate_of_the_gateway_is_shown_and_followed(self):
        first, second = (AUTHORITY.issue(usage="clientAuth", subject=name) for name in ("one", "two"))
        port = self.start(secret("client", *first), clients=AUTHORITY.certificate,
                          gateway_spec={"tls": {"backend": {"clientCertificateRef": {"name": "client"}}}})
        self.assertEqual(ask(port).status, 200)
        self.assertEqual(peer_of(self.app), tls.der(first[0]))
        self.gateway.apply(secret("client", *second))
        until(lambda: ask(port).status == 200 and peer_of(self.app) == tls.der(second[0]), message="second certificate")
        self.gateway.apply(gateway())
        until(lambda: ask(port).status == 200 and peer_of(self.app) is None, message="no certificate")

    def test_two_gateways_share_a_backend_and_not_their_certificates(self):
        one, two = (AUTHORITY.issue(usage="clientAuth", subject=name) for name in ("one", "two"))
        spec = {"tls": {"backend": {"clientCertificateRef": {"name": "one"}}}}
        other = gateway([listener(port=81)], name="other",
                        tls={"backend": {"clientCertificateRef": {"name": "two"}}})
        port = self.start(secret("one", *one), secret("two", *two), other, route("more", parents=[{"name": "other"}]),
                          clients=AUTHORITY.certificate, gateway_spec=spec)
        for _ in range(3):
            self.assertEqual(ask(port).status, 200)
            self.assertEqual(ask(self.gateway.port(81)).status, 200)
        shown = {connection.socket.getpeercert(True): len(connection.requests) for connection in self.app.connections}
        self.assertEqual(set(shown), {tls.der(one[0]), tls.der(two[0])})

    def test_a_backend_that_refuses_our_certificate_is_502_and_says_why(self):
        port = self.start()
        self.app.tls = tls.server_context(AUTHORITY.issue("app.example"), OTHER.certificate, required=True)
        self.assertEqual(ask(port).status, 502)
        until(lambda: "certificate required" in self.gateway.logs(), message="reason in the log")

    def test_the_machines_authorities_are_trusted_where_a_policy_says_so(self):
        trusted = tls.Authority("machine")
        bundle = os.path.join(self.use(tls.tempfile.TemporaryDirectory()), "bundle.pem")
        with open(bundle, "wb") as file:
            file.write(trusted.certificate)
        port = self.start(pair=trusted.issue("app.example"), environment={"SSL_CERT_FILE": bundle},
                          policy=tls_policy(authorities=(), wellKnownCACertificates="System"))
        self.assertEqual(ask(port).status, 200)
        self.app.tls = tls.server_context(AUTHORITY.issue("app.example"))
        self.app.forget()
        until(lambda: ask(port).status == 502, message="another authority refused")

    def test_the_machines_authorities_are_read_again_when_their_file_changes(self):
        first, second = tls.Authority("first"), tls.Authority("second")
        folder = self.use(tls.tempfile.TemporaryDirectory())
        bundle = os.path.join(folder, "bundle.pem")

        def put(content):
            with open(bundle + ".new", "wb") as file:
                file.write(content)
            os.rename(bundle + ".new", bundle)
        put(first.certificate)
        port = self.start(pair=first.issue("app.example"), environment={"SSL_CERT_FILE": bundle},
                          policy=tls_policy(authorities=(), wellKnownCACertificates="System"))
        client = self.use(Client(port))
        self.assertEqual(client.ask("GET", "/").status, 200)
        put(second.certificate)
        # The kept connection of before goes too.
        until(lambda: client.ask("GET", "/").status == 502, 15, message="the first one is trusted no more")
        put(b"no certificate at all")
        until(lambda: "trust anchors for backends stay as they were" in self.gateway.logs(), 15, message="said")
        self.app.tls = tls.server_context(second.issue("app.example"))
        self.assertEqual(client.ask("GET", "/").status, 200)
        put(first.certificate)
        until(lambda: client.ask("GET", "/").status == 502, 15, message="the second one is trusted no more")

    def test_the_end_of_each_certificate_that_is_shown_is_in_the_metrics(self):
        ends = {name: AUTHORITY.issue("a.example", usage="clientAuth", subject=name, days=days)
                for name, days in (("one", 3), ("two", 30))}
        listeners = [listener(), listener("https", 443, "HTTPS", "a.example", ["one"])]
        self.start(secret("one", *ends["one"]), secret("two", *ends["two"]), clients=AUTHORITY.certificate,
                   gateway_spec={"listeners": listeners, "tls": {"backend": {"clientCertificateRef": {"name": "two"}}}})

        def shown():
            name = "hyperway_certificate_expiry_timestamp_seconds"
            return {series: round((value - time.time()) / 86400) for series, value in self.gateway.metrics().items()
                    if series.startswith(name)}
        found = shown()
        self.assertEqual(sorted(found.values()), [3, 30], found)
        for series, days in found.items():
            self.assertIn('secret="default/' + ("one" if days == 3 else "two") + '"', series)
            self.assertEqual("listener=" in series, days == 3)
        self.gateway.apply(gateway(listeners))
        until(lambda: list(shown().values()) == [3], message="nothing is shown to backends any more")

    def test_websockets_pass_through_tls(self):
        port = self.start(service(ports=[{"port": 8080, "appProtocol": "kubernetes.io/wss"}]))
        self.app.script = echo_tunnel
        client = self.use(Client(port))
        client.send(WEBSOCKET.encode())
        self.assertEqual(client.response().status, 101)
        blob = bytes(n % 251 for n in range(200_000))
        client.send(blob)
        self.assertEqual(client.reader.take(len(blob)), blob)

    def test_both_versions_are_spoken_and_http11_is_offered(self):
        port = self.start()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.app.tls = tls.server_context(AUTHORITY.issue("app.example"), maximum=version,
                                              alpn=["h2", "http/1.1"])
            self.app.forget()
            with self.subTest(version):
                until(lambda: ask(port).status == 200, message="an answer")
                self.assertEqual(self.app.connections[-1].socket.version(),
                                 {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version])
                self.assertEqual(self.app.connections[-1].socket.selected_alpn_protocol(), "http/1.1")


if __name__ == "__main__":
    unittest.main()
