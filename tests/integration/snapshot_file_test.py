# SPDX-License-Identifier: Apache-2.0
"""A RouteSnapshot in a file, in the ancestor's form."""
import unittest

from harness import gateway as gw
from harness.backend import Backend
from harness.case import Case, until
from harness.client import ask
from harness.manifests import app
from harness.ports import free_port


def snapshot(hostname="a.example.com", **spec):
    """One listener, one rule; nothing of what came later."""
    return {"apiVersion": "hyperway.arloor.dev/v1alpha1", "kind": "RouteSnapshot",
            "metadata": {"name": "snap", "namespace": "default"},
            "spec": {"controllerName": "c", "updatedAt": "2025-01-02T03:04:05Z", "checksum": "17",
                     "listeners": [{"name": "default/gw/http", "port": 80}],
                     "httpRoutesV1": [{
                         "id": "default/route/0:default:gw:http", "routeNamespace": "default", "routeName": "route",
                         "gatewayNamespace": "default", "gatewayName": "gw", "listenerName": "http",
                         "listenerPort": 80, "hostnames": [hostname],
                         "matches": [{"path": {"matchType": "pathPrefix", "value": "/"}}],
                         "requestHeaderModifier": {"set": [{"name": "x-set", "value": "1"}], "add": [], "remove": []},
                         "requestMirrors": [],
                         "backends": [{"namespace": "default", "name": "app", "port": 8080, "weight": 1}]}],
                     "routeDiagnostics": [], "gatewayListenerStatuses": [], "gatewayClassStatuses": [], **spec}}


class SnapshotFile(Case):

    def test_a_snapshot_of_the_ancestor_is_served_from_a_file(self):
        backend = self.use(Backend("app"))
        port = free_port()
        process = self.use(gw.Gateway(snapshot(), *app("app", backend), listen={80: port}))
        self.assertEqual(ask(port, host="a.example.com").body, b"app")
        self.assertEqual(backend.last().get("x-set"), "1")
        self.assertEqual(ask(port, host="b.example.com").status, 404)
        process.apply(snapshot("b.example.com"))
        until(lambda: ask(port, host="b.example.com").body == b"app")
        # What does not read changes nothing.
        process.apply(snapshot("c.example.com", listeners=[{"name": "no", "port": 80}]))
        until(lambda: "RouteSnapshot default/snap: /spec/listeners/0/name" in
              process.ask_admin("/readyz?verbose").body.decode())
        self.assertEqual(ask(port, host="b.example.com").body, b"app")


if __name__ == "__main__":
    unittest.main()
