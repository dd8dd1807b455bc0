# SPDX-License-Identifier: Apache-2.0
"""ReferenceGrants of a cluster: what crosses namespaces needs one that fits, and goes with it within 5 s."""
import unittest

from harness import gateway as gw
from harness import tls
from harness.backend import Backend
from harness.case import Case, until
from harness.client import ask
from harness.kubernetes import Kubernetes
from harness.manifests import (app, backend_ref, gateway, gateway_class, grant, listener, route, rule, secret,
                               tls_policy)
from harness.ports import free_port

PAIR = tls.self_signed("a.example.com")
FOR_ROUTES = grant("routes", "HTTPRoute", "default", "Service", "apps")
FOR_GATEWAYS = grant("gateways", "Gateway", "default", "Secret", "vault")


class Grants(Case):
    limit_seconds = 60

    def setUp(self):
        super().setUp()
        self.cluster = self.use(Kubernetes())
        self.plain, self.secure = free_port(), free_port()
        listeners = [listener(port=self.plain),
                     listener("https", self.secure, "HTTPS", "a.example.com", [("vault", "cert")])]
        self.cluster.apply(
            gateway_class(), gateway(listeners), secret("cert", *PAIR, namespace="vault"),
            app("app", self.use(Backend("app")), namespace="apps"), app("own", self.use(Backend("own"))),
            route(rules=[rule([backend_ref(namespace="apps")])], hostnames=["a.example.com"]),
            route("own", rules=[rule([backend_ref("own")])], hostnames=["own.example.com"]))

    def start(self):
        """A gateway on the cluster as it is."""
        source = {"plugin": "k8s_source", "config": {"kubeconfig": self.cluster.kubeconfig}}
        ports = {port: port for port in (self.plain, self.secure)}
        self.use(gw.Gateway(listen=ports, settings={"sources": [source]}))

    def backend(self):
        """The status of an answer from the backend in the other namespace."""
        return ask(self.plain, host="a.example.com").status

    def has_certificate(self):
        """True if the listener shows the certificate of the other namespace."""
        try:
            ask(self.secure, tls=tls.client_context(), sni="a.example.com", host="a.example.com")
            return True
        except OSError:
            return False

    def condition(self, kind, name, listener_name=None):
        """(status, reason) of ResolvedRefs."""
        status = self.cluster.status(kind, name)
        found = status["parents"][0] if kind == "HTTPRoute" else [
            each for each in status["listeners"] if each["name"] == listener_name][0]
        return [(c["status"], c["reason"]) for c in found["conditions"] if c["type"] == "ResolvedRefs"][0]

    def check_nothing_crosses(self):
        """Both references are refused, and what needs none is served."""
        self.assertEqual(ask(self.plain, host="own.example.com").body, b"own")
        self.assertEqual(self.backend(), 500)
        self.assertFalse(self.has_certificate())
        self.assertEqual(self.refused(), [("False", "RefNotPermitted")] * 2)

    def refused(self):
        """Why references do not resolve."""
        def both():
            try:
                return [self.condition("HTTPRoute", "route"), self.condition("Gateway", "gw", "https")]
            except (KeyError, IndexError):
                return None
        until(both, 5)
        return both()

    def test_without_a_grant_nothing_crosses(self):
        self.start()
        self.check_nothing_crosses()

    def test_a_grant_in_another_namespace_is_none(self):
        self.cluster.apply(grant("routes", "HTTPRoute", "default", "Service", "default"),
                           grant("gateways", "Gateway", "default", "Secret", "apps"),
                           grant("from", "HTTPRoute", "elsewhere", "Service", "apps"),
                           grant("from", "Gateway", "elsewhere", "Secret", "vault"))
        self.start()
        self.check_nothing_crosses()

    def test_a_grant_for_another_kind_or_name_is_none(self):
        self.cluster.apply(grant("from-kind", "Gateway", "default", "Service", "apps"),
                           grant("from-kind", "HTTPRoute", "default", "Secret", "vault"),
                           grant("from-group", "HTTPRoute", "default", "Service", "apps", from_group="x.io"),
                           grant("to-kind", "HTTPRoute", "default", "ConfigMap", "apps"),
                           grant("to-kind", "Gateway", "default", "ConfigMap", "vault"),
                           grant("to-name", "HTTPRoute", "default", "Service", "apps", "other"),
                           grant("to-name", "Gateway", "default", "Secret", "vault", "other"))
        self.start()
        self.check_nothing_crosses()

    def test_a_grant_that_is_revoked_takes_certificate_and_backends_away(self):
        self.cluster.apply(FOR_ROUTES, FOR_GATEWAYS)
        self.start()
        until(lambda: self.backend() == 200 and self.has_certificate(), 5)
        self.cluster.delete(FOR_ROUTES)
        until(lambda: self.backend() == 500, 5)
        self.assertTrue(self.has_certificate())
        self.cluster.delete(FOR_GATEWAYS)
        until(lambda: not self.has_certificate(), 5)
        until(lambda: self.refused() == [("False", "RefNotPermitted")] * 2, 5)
        self.check_nothing_crosses()
        self.cluster.apply(FOR_ROUTES, FOR_GATEWAYS)
        until(lambda: self.backend() == 200 and self.has_certificate(), 5)

    def test_a_grant_that_is_revoked_while_the_server_is_away_goes_when_it_is_back(self):
        self.cluster.apply(FOR_ROUTES, FOR_GATEWAYS)
        self.start()
        until(lambda: self.backend() == 200 and self.has_certificate(), 5)
        self.cluster.down()
        self.cluster.delete(FOR_ROUTES)
        self.cluster.delete(FOR_GATEWAYS)
        self.cluster.compact()
        self.cluster.listen()
        until(lambda: self.backend() == 500 and not self.has_certificate(), 10)

    def test_a_policy_cannot_have_a_secret_read(self):
        policy = tls_policy(service_name="own", authorities=())
        policy["spec"]["validation"]["caCertificateRefs"] = [{"group": "", "kind": "Secret", "name": "private"}]
        self.cluster.apply(policy, secret("private", *PAIR))
        self.start()
        until(lambda: self.cluster.status("BackendTLSPolicy", "policy").get("ancestors"), 5)
        self.assertEqual(self.cluster.asked("GET", "private"), 0)


if __name__ == "__main__":
    unittest.main()
