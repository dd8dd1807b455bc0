# SPDX-License-Identifier: Apache-2.0
"""A BackendTLSPolicy and TLSRoutes: connections that end here begin anew with TLS; those that pass through are TLS of
the client's own, and stay as they are."""
import unittest

from harness import gateway as gw
from harness import tls
from harness.backend import Backend
from harness.case import Case
from harness.client import Client
from harness.manifests import anchors, app, gateway, gateway_class, listener, secret, tls_policy

AUTHORITY = tls.Authority()


def tls_route(name):
    """A TLSRoute for NAME.example to "app"."""
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "TLSRoute",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"parentRefs": [{"name": "gw"}], "hostnames": [f"{name}.example"],
                     "rules": [{"backendRefs": [{"name": "app", "port": 8080}]}]}}


class FlowPolicies(Case):
    def test_tls_begins_anew_where_it_ends_and_nowhere_else(self):
        backend = self.use(Backend("app", tls=tls.server_context(AUTHORITY.issue("app.example"))))
        ends = listener("ends", 443, "TLS", "ends.example", ["cert"])
        passes = {**listener("passes", 443, "TLS", "passes.example"), "tls": {"mode": "Passthrough"}}
        process = self.use(gw.Gateway(
            gateway_class(), gateway([ends, passes]), secret("cert", *tls.self_signed("ends.example")),
            *app("app", backend), anchors("ca", AUTHORITY.certificate), tls_policy(), tls_route("ends"),
            tls_route("passes")))
        for name in ("ends", "passes"):
            with self.subTest(name), Client(process.port(443), tls=tls.client_context(),
                                            sni=f"{name}.example") as client:
                self.assertEqual(client.ask("GET", "/", host=f"{name}.example").body, b"app")


if __name__ == "__main__":
    unittest.main()
