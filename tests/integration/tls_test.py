# SPDX-License-Identifier: Apache-2.0
"""HTTPS listeners: choice of certificate, versions, ALPN, misdirected requests, exchange at run time."""
import ssl
import time
import unittest
import warnings

from harness import gateway as gw
from harness import tls
from harness.backend import Backend
from harness.case import Case, GatewayCase, patience, until
from harness.client import Client, ask
from harness.manifests import (app, gateway, gateway_class, grant, listener, path_match, route, rule, secret)


def https(name, hostname=None, *certificates, port=443):
    """An HTTPS listener."""
    return listener(name, port, "HTTPS", hostname, certificates or [name])


def served(port, sni, context=None):
    """The certificate (DER) that a name gets."""
    with Client(port, tls=context or tls.client_context(["http/1.1"]), sni=sni) as client:
        return client.socket.getpeercert(True)


class Choice(GatewayCase):
    CERTS = {"any": tls.self_signed("any.example"), "exact": tls.self_signed("second.example.org"),
             "wild": tls.self_signed("*.wild.org"), "deep": tls.self_signed("*.deep.wild.org"),
             "named": tls.self_signed("fourth.wild.org")}

    @classmethod
    def make(cls):
        return gw.Gateway(
            gateway_class(),
            gateway([listener(), https("any"), https("exact", "second.example.org"), https("wild", "*.wild.org"),
                     https("deep", "*.deep.wild.org"), https("named", "fourth.wild.org")]),
            *[secret(name, *pair) for name, pair in cls.CERTS.items()], *app("app", cls.backend("app")), route())

    @property
    def tls_port(self):
        """Where port 443 is bound."""
        return self.gateway.port(443)

    def test_exact_then_longest_wildcard_then_the_listener_without_a_hostname(self):
        for sni, name in (("second.example.org", "exact"), ("x.wild.org", "wild"), ("x.y.wild.org", "wild"),
                          ("x.deep.wild.org", "deep"), ("fourth.wild.org", "named"), ("FOURTH.Wild.ORG", "named"),
                          ("else.net", "any"), ("wild.org", "any"), (None, "any")):
            with self.subTest(sni):
                self.assertEqual(served(self.tls_port, sni), tls.der(self.CERTS[name][0]))

    def test_requests_say_they_came_by_https(self):
        got = ask(self.tls_port, tls=tls.client_context(), sni="second.example.org", host="second.example.org")
        self.assertEqual(got.status, 200)
        self.assertEqual(self.app.last().get("x-forwarded-proto"), "https")

    def test_bodies_pass_both_ways(self):
        blob = bytes(range(256)) * 4000
        self.app.handler = lambda r: (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(r.body)) + r.body
        got = ask(self.tls_port, "POST", "/", tls=tls.client_context(), sni="second.example.org",
                  host="second.example.org", body=blob)
        self.assertEqual(got.body, blob)

    def test_a_host_of_another_listener_is_421(self):
        with Client(self.tls_port, tls=tls.client_context(), sni="second.example.org") as client:
            for host, status in (("second.example.org", 200), ("fourth.wild.org", 421), ("x.wild.org", 421),
                                 ("second.example.org:443", 200)):
                with self.subTest(host):
                    self.assertEqual(client.ask("GET", "/", host=host).status, status)
        self.assertEqual(len(self.app.requests), 2)

    def test_tls12_and_tls13_are_spoken_and_nothing_older(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = tls.client_context(minimum=version, maximum=version)
            self.assertTrue(served(self.tls_port, "else.net", context))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            old = tls.client_context(minimum=ssl.TLSVersion.TLSv1, maximum=ssl.TLSVersion.TLSv1_1,
                                     ciphers="ALL:@SECLEVEL=0")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            served(self.tls_port, "else.net", old)

    def test_alpn_agrees_or_refuses(self):
        with Client(self.tls_port, tls=tls.client_context(["http/1.1"]), sni="x") as client:
            self.assertEqual(client.socket.selected_alpn_protocol(), "http/1.1")
        with Client(self.tls_port, tls=tls.client_context(["unknown", "http/1.1"]), sni="x") as client:
            self.assertEqual(client.socket.selected_alpn_protocol(), "http/1.1")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            Client(self.tls_port, tls=tls.client_context(["spdy/9"]), sni="x").close()

    def test_plain_http_on_a_tls_port_is_refused(self):
        with Client(self.tls_port) as client:
            client.request("GET", "/")
            data = client.read_some()
            self.assertFalse(data.startswith(b"HTTP/1.1 2"), data)

    def test_no_session_is_resumed_under_another_name(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = tls.client_context(minimum=version, maximum=version)
            with Client(self.tls_port, tls=context, sni="second.example.org") as client:
                client.ask("GET", "/", host="second.example.org")
                session = client.socket.session
            with Client(self.tls_port) as plain:
                wrapped = context.wrap_socket(plain.socket.dup(), server_hostname="fourth.wild.org", session=session)
                self.assertFalse(wrapped.session_reused)
                self.assertEqual(wrapped.getpeercert(True), tls.der(self.CERTS["named"][0]))
                wrapped.close()

    def test_a_close_notify_ends_a_whole_answer(self):
        # suppress_ragged_eofs=False would raise on an end without close_notify.
        with Client(self.tls_port) as plain:
            wrapped = tls.client_context().wrap_socket(plain.socket.dup(), server_hostname="x",
                                                       suppress_ragged_eofs=False)
            wrapped.settimeout(5)
            wrapped.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            data = b""
            while part := wrapped.recv(4096):
                data += part
            self.assertTrue(data.endswith(b"app"))
            wrapped.close()


class TwoKinds(GatewayCase):
    RSA, EC = tls.self_signed("a.example", kind="rsa"), tls.self_signed("a.example")

    @classmethod
    def make(cls):
        return gw.Gateway(gateway_class(), gateway([https("both", "a.example", "rsa", "ec")]),
                          secret("rsa", *cls.RSA), secret("ec", *cls.EC), *app("app", cls.backend("app")), route())

    def test_rsa_and_ecdsa_side_by_side(self):
        for ciphers, pair in (("ECDHE-RSA-AES128-GCM-SHA256", self.RSA), ("ECDHE-ECDSA-AES128-GCM-SHA256", self.EC)):
            context = tls.client_context(maximum=ssl.TLSVersion.TLSv1_2, ciphers=ciphers)
            with self.subTest(ciphers):
                self.assertEqual(served(self.gateway.port(443), "a.example", context), tls.der(pair[0]))


class Exchange(Case):
    """Certificates that change while the port is open."""

    limit_seconds = 60

    def start(self, *more, listeners=None, **kwargs):
        """A gateway with one HTTPS listener and a plain one."""
        self.app = self.use(Backend("app"))
        self.old, self.new = tls.self_signed("a.example", serial=1), tls.self_signed("a.example", serial=2)
        self.gateway = self.use(gw.Gateway(
            gateway_class(), gateway(listeners or [listener(), https("cert", "a.example")]),
            secret("cert", *self.old), *app("app", self.app), route(), *more, **kwargs))
        return self.gateway.port(443)

    def test_a_new_certificate_serves_new_handshakes_and_live_connections_go_on(self):
        port = self.start()
        with Client(port, tls=tls.client_context(), sni="a.example") as live:
            self.assertEqual(live.ask("GET", "/", host="a.example").status, 200)
            begin = time.monotonic()
            self.gateway.apply(secret("cert", *self.new))
            until(lambda: served(port, "a.example") == tls.der(self.new[0]), message="new certificate")
            self.assertLess(time.monotonic() - begin, 1.0 * patience())
            got = live.ask("GET", "/", host="a.example")
            self.assertEqual(got.status, 200)

    def test_a_rotation_never_refuses_a_handshake(self):
        port = self.start()
        for n in range(40):
            self.gateway.apply(secret("cert", *(self.new, self.old)[n % 2]))
            self.assertIn(served(port, "a.example"), (tls.der(self.old[0]), tls.der(self.new[0])))

    def test_a_broken_secret_keeps_the_last_good_certificate(self):
        port = self.start()
        self.gateway.apply(secret("cert", b"not a certificate", self.old[1]))
        until(lambda: self.gateway.condition("Gateway/default/gw", "ResolvedRefs", "cert")["status"] == "False",
              message="ResolvedRefs False")
        self.assertEqual(served(port, "a.example"), tls.der(self.old[0]))
        self.assertEqual(ask(self.gateway.port(80)).status, 200)
        self.gateway.apply(secret("cert", *self.new))
        until(lambda: served(port, "a.example") == tls.der(self.new[0]), message="good certificate")
        until(lambda: self.gateway.condition("Gateway/default/gw", "ResolvedRefs", "cert")["status"] == "True")

    def test_a_key_that_does_not_fit_stays_alone(self):
        other = tls.self_signed("b.example")
        port = self.start(secret("bad", other[0], tls.self_signed("c.example")[1]),
                          listeners=[listener(), https("cert", "a.example"), https("bad", "b.example")])
        self.assertEqual(served(port, "a.example"), tls.der(self.old[0]))
        self.assertEqual(ask(self.gateway.port(80)).status, 200)
        self.assertEqual(self.gateway.condition("Gateway/default/gw", "ResolvedRefs", "bad")["reason"],
                         "InvalidCertificateRef")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            served(port, "b.example")

    def test_a_certificate_of_another_namespace_needs_a_grant_and_goes_with_it(self):
        allowed = grant("allow", "Gateway", "default", "Secret", "vault")
        other = tls.self_signed("b.example")
        port = self.start(secret("far", *other, namespace="vault"),
                          listeners=[listener(), https("cert", "a.example"),
                                     https("far", "b.example", ("vault", "far"))])

        def reason():
            return self.gateway.condition("Gateway/default/gw", "ResolvedRefs", "far")["reason"]

        def refused():
            try:
                return served(port, "b.example") != tls.der(other[0])
            except (ssl.SSLError, ConnectionError):
                return True
        self.assertEqual(reason(), "RefNotPermitted")
        self.assertTrue(refused())
        self.gateway.apply(allowed)
        until(lambda: served(port, "b.example") == tls.der(other[0]), message="certificate by grant")
        self.gateway.delete(allowed)
        until(refused, message="certificate gone with the grant")
        self.assertEqual(reason(), "RefNotPermitted")
        self.assertEqual(served(port, "a.example"), tls.der(self.old[0]))

    def test_a_listener_whose_hostname_changes_ends_old_connections_after_an_answer(self):
        port = self.start()
        with Client(port, tls=tls.client_context(), sni="a.example") as live:
            self.assertEqual(live.ask("GET", "/", host="a.example").status, 200)
            self.gateway.apply(gateway([listener()]))
            until(lambda: self._refused(port), message="port closed")
            try:
                got = live.ask("GET", "/", host="a.example")
                self.assertEqual(got.get("connection").lower(), "close")
            except Exception as error:  # noqa: BLE001
                self.assertNotIsInstance(error, TimeoutError)

    @staticmethod
    def _refused(port):
        try:
            Client(port, timeout=1).close()
        except ConnectionRefusedError:
            return True
        return False


if __name__ == "__main__":
    unittest.main()
