# SPDX-License-Identifier: Apache-2.0
"""Client certificates on HTTPS listeners: who passes, who is refused in the handshake, and what
happens to connections when the rules change."""
import ssl
import unittest

from harness import gateway as gw
from harness import tls
from harness.backend import Backend
from harness.case import Case, GatewayCase, until
from harness.client import Client, ask
from harness.manifests import (anchors, app, config_map_ref, gateway, gateway_class, grant, listener, route, secret)
from harness.upgrade import WEBSOCKET, echo_tunnel

AUTHORITY, OTHER = tls.Authority(), tls.Authority("other")
SERVER = tls.self_signed("a.example")
GOOD = AUTHORITY.issue(usage="clientAuth", subject="good")
STRANGER = OTHER.issue(usage="clientAuth", subject="stranger")
EXPIRED = AUTHORITY.issue(usage="clientAuth", days=-1)
SERVER_ONLY = AUTHORITY.issue("a.example")


def validation(*names, mode=None, namespace=None):
    """A TLSConfig that validates clients."""
    out = {"caCertificateRefs": [config_map_ref(name, namespace) for name in names]}
    if mode:
        out["mode"] = mode
    return {"validation": out}


def frontend(default, *ports):
    """spec.tls of a Gateway; `ports` are (port, TLSConfig)."""
    return {"frontend": {"default": default, "perPort": [{"port": port, "tls": config} for port, config in ports]}}


def https(name="https", port=443, hostname=None):
    """An HTTPS listener."""
    return listener(name, port, "HTTPS", hostname, ["cert"])


def try_with(port, pair=None, version=None, sni="a.example"):
    """The status that a client with this certificate gets, or why its handshake failed."""
    context = tls.client_context(minimum=version, maximum=version, pair=pair)
    try:
        return ask(port, tls=context, sni=sni, host=sni).status
    except ssl.SSLError as error:
        return error.reason
    except ConnectionError:
        return "closed"


class Rules(GatewayCase):
    @classmethod
    def make(cls):
        return gw.Gateway(
            gateway_class(),
            gateway([listener(), https(), https("insecure", 444), https("open", 445), https("other", 446)],
                    tls=frontend(validation("ca"), (444, validation("ca", mode="AllowInsecureFallback")), (445, {}),
                                 (446, validation("other")))),
            anchors("ca", AUTHORITY.certificate), anchors("other", OTHER.certificate), secret("cert", *SERVER),
            *app("app", cls.backend("app")), route())

    def test_a_client_without_a_good_certificate_is_refused_in_the_handshake(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            none = ("SSLV3_ALERT_HANDSHAKE_FAILURE" if version == ssl.TLSVersion.TLSv1_2
                    else "TLSV13_ALERT_CERTIFICATE_REQUIRED")
            for name, pair, expected in (("good", GOOD, 200), ("none", None, none),
                                         ("stranger", STRANGER, "TLSV1_ALERT_UNKNOWN_CA"),
                                         ("expired", EXPIRED, "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
                                         ("for servers", SERVER_ONLY, "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE")):
                with self.subTest(f"{name} {version}"):
                    self.assertEqual(try_with(self.gateway.port(443), pair, version), expected)

    def test_a_port_has_rules_of_its_own(self):
        self.assertEqual(try_with(self.gateway.port(446), STRANGER), 200)
        self.assertEqual(try_with(self.gateway.port(446), GOOD), "TLSV1_ALERT_UNKNOWN_CA")
        self.assertEqual(try_with(self.gateway.port(445)), 200)
        self.assertEqual(ask(self.port).status, 200)

    def test_the_insecure_fallback_lets_everyone_through_and_says_so(self):
        for pair in (None, GOOD, STRANGER, EXPIRED, SERVER_ONLY):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                self.assertEqual(try_with(self.gateway.port(444), pair, version), 200)
        condition = self.gateway.condition("Gateway/default/gw", "InsecureFrontendValidationMode")
        self.assertEqual((condition["status"], condition["reason"]), ("True", "ConfigurationChanged"))

    def test_refusals_are_counted(self):
        before = self.gateway.metric("hyperway_tls_handshake_failures_total")
        try_with(self.gateway.port(443))
        until(lambda: self.gateway.metric("hyperway_tls_handshake_failures_total") > before)

    def test_no_session_is_resumed_under_other_rules(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = tls.client_context(minimum=version, maximum=version, pair=GOOD)
            with Client(self.gateway.port(444), tls=context, sni="a.example") as client:
                client.ask("GET", "/", host="a.example")
                session = client.socket.session
            bare = tls.client_context(minimum=version, maximum=version)
            bare_session = None
            with Client(self.gateway.port(444), tls=bare, sni="a.example") as client:
                client.ask("GET", "/", host="a.example")
                bare_session = client.socket.session
            for ctx, kept in ((context, session), (bare, bare_session)):
                with Client(self.gateway.port(443)) as plain:
                    try:
                        wrapped = ctx.wrap_socket(plain.socket.dup(), server_hostname="a.example", session=kept)
                    except ssl.SSLError:
                        self.assertIs(ctx, bare)
                        continue
                    self.assertFalse(wrapped.session_reused)
                    wrapped.close()


class Change(Case):
    limit_seconds = 60

    def start(self, *more, rules=None, listeners=None):
        """A gateway with one HTTPS listener that validates clients, and a plain one."""
        self.app = self.use(Backend("app"))
        self.gateway = self.use(gw.Gateway(
            gateway_class(), self.with_rules(rules or frontend(validation("ca")), listeners),
            anchors("ca", AUTHORITY.certificate), secret("cert", *SERVER), *app("app", self.app), route(), *more))
        return self.gateway.port(443)

    @staticmethod
    def with_rules(rules, listeners=None):
        """The Gateway, with spec.tls."""
        return gateway(listeners or [listener(), https()], tls=rules)

    def live(self, pair=GOOD):
        """A client whose connection is kept."""
        client = self.use(Client(self.gateway.port(443), tls=tls.client_context(pair=pair), sni="a.example"))
        self.assertEqual(client.ask("GET", "/", host="a.example").status, 200)
        return client

    def test_a_revoked_authority_ends_live_connections_unserved(self):
        port = self.start()
        client = self.live()
        self.gateway.apply(anchors("ca", OTHER.certificate))
        until(lambda: try_with(port, STRANGER) == 200, message="the new authority's clients")
        self.assertEqual(try_with(port, GOOD), "TLSV1_ALERT_UNKNOWN_CA")
        asked = len(self.app.requests)
        got = client.ask("GET", "/", host="a.example")
        self.assertEqual((got.status, got.get("connection").lower()), (421, "close"))
        self.assertEqual(len(self.app.requests), asked)

    def test_an_open_tunnel_lives_on_when_the_rules_change(self):
        port = self.start()
        self.app.script = echo_tunnel
        client = self.use(Client(port, tls=tls.client_context(pair=GOOD), sni="a.example"))
        client.send(WEBSOCKET.replace("Host: a\r\n", "Host: a.example\r\n").encode())
        self.assertEqual(client.response().status, 101)
        self.gateway.apply(anchors("ca", OTHER.certificate))
        until(lambda: try_with(port, GOOD) == "TLSV1_ALERT_UNKNOWN_CA", message="refused anew")
        client.send(b"still here")
        self.assertEqual(client.reader.take(10), b"still here")

    def test_an_authority_that_stays_trusted_costs_no_request(self):
        port = self.start()
        client = self.live()
        self.gateway.apply(anchors("ca", AUTHORITY.certificate, OTHER.certificate))
        until(lambda: try_with(port, STRANGER) == 200, message="both authorities' clients")
        got = client.ask("GET", "/", host="a.example")
        self.assertEqual((got.status, got.get("connection").lower()), (200, "close"))

    def test_validation_that_is_switched_on_ends_connections_without_a_certificate(self):
        port = self.start(rules=frontend({}))
        client = self.live(pair=None)
        self.gateway.apply(self.with_rules(frontend(validation("ca"))))
        until(lambda: try_with(port) != 200, message="certificates asked for")
        self.assertEqual(client.ask("GET", "/", host="a.example").status, 421)

    def test_a_listener_in_the_place_of_another_asks_the_connections_of_that_one_too(self):
        port = self.start(rules=frontend({}))
        client = self.live(pair=None)
        self.gateway.apply(self.with_rules(frontend(validation("ca")), [listener(), https("renamed")]))
        until(lambda: try_with(port) != 200, message="certificates asked for")
        asked = len(self.app.requests)
        self.assertEqual(client.ask("GET", "/", host="a.example").status, 421)
        self.assertEqual(len(self.app.requests), asked)

    def test_a_new_server_certificate_leaves_live_connections_alone(self):
        port = self.start()
        client = self.live()
        new = tls.self_signed("a.example", serial=9)
        self.gateway.apply(secret("cert", *new))

        def served():
            with Client(port, tls=tls.client_context(pair=GOOD), sni="a.example") as other:
                return other.socket.getpeercert(True)
        until(lambda: served() == tls.der(new[0]), message="new certificate")
        got = client.ask("GET", "/", host="a.example")
        self.assertEqual((got.status, got.get("connection")), (200, None))

    def test_bad_anchors_take_down_https_alone_and_come_back(self):
        port = self.start()
        self.gateway.delete(anchors("ca"))
        until(lambda: try_with(port, GOOD) == "closed", message="HTTPS refused")
        self.assertEqual(ask(self.gateway.port(80)).status, 200)
        self.assertEqual(self.gateway.condition("Gateway/default/gw", "Accepted", "https")["reason"],
                         "NoValidCACertificate")
        self.gateway.apply(anchors("ca", AUTHORITY.certificate))
        until(lambda: try_with(port, GOOD) == 200, message="HTTPS back")

    def test_anchors_of_another_namespace_need_a_grant_and_go_with_it(self):
        allowed = grant("allow", "Gateway", "default", "ConfigMap", "vault")
        port = self.start(anchors("far", AUTHORITY.certificate, namespace="vault"),
                          rules=frontend(validation("far", namespace="vault")))
        self.assertEqual(try_with(port, GOOD), "closed")
        self.gateway.apply(allowed)
        until(lambda: try_with(port, GOOD) == 200, message="anchors by grant")
        self.gateway.delete(allowed)
        until(lambda: try_with(port, GOOD) == "closed", message="anchors gone with the grant")

    def test_a_name_with_weaker_rules_is_no_way_around(self):
        port = self.start(gateway([https("free", 443, "b.example")], name="free"),
                          route("more", parents=[{"name": "free"}, {"name": "gw"}]),
                          listeners=[listener(), https("https", 443, "a.example")])
        self.assertEqual(try_with(port), "TLSV13_ALERT_CERTIFICATE_REQUIRED")
        with Client(port, tls=tls.client_context(), sni="b.example") as client:
            self.assertEqual(client.ask("GET", "/", host="b.example").status, 200)
            self.assertEqual(client.ask("GET", "/", host="a.example").status, 421)


if __name__ == "__main__":
    unittest.main()
