# SPDX-License-Identifier: Apache-2.0
"""What a data plane of mode A takes for each route of its snapshot, with the Service and the EndpointSlice behind it."""
import json
import unittest

from harness import gateway as gw
from harness import probes
from harness.backend import Backend
from harness.case import Case, until
from harness.client import ask
from harness.kubernetes import Kubernetes
from harness.manifests import app
from harness.ports import free_port

ROUTES = 2000
PART = 100  # routes in each part
KEPT = 5500  # bytes for the three of them; what does not grow with their number comes beside it
BESIDE = 4 << 20
LISTENER = "default/gw/http"


def space(number):
    """Namespace of a route by its number."""
    return f"space-{number % 50}"


def entry(number):
    """A route as a controller writes it into a snapshot."""
    name = f"r-{number}"
    return {"id": f"{space(number)}/{name}/0:default:gw:http", "routeNamespace": space(number), "routeName": name,
            "routeCreated": 1700000000, "gatewayNamespace": "default", "gatewayName": "gw", "listenerName": "http",
            "listenerPort": 80, "hostnames": [f"{name}.example"],
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backends": [{"namespace": space(number), "name": name, "port": 8080, "weight": 1}]}


def snapshot(name, spec):
    """A RouteSnapshot."""
    return {"apiVersion": "hyperway.arloor.dev/v1alpha1", "kind": "RouteSnapshot",
            "metadata": {"name": name, "namespace": "default"}, "spec": spec}


class SnapshotMemory(Case):
    limit_seconds = 120

    def add(self, first, last):
        """Routes one behind the other, as they are made; each change of a part comes with a new index."""
        for number in range(first, last):
            self.cluster.apply(*app(f"r-{number}", self.backend, namespace=space(number)))
        for end in range(first + PART // 4, last + 1, PART // 4):
            begin = (end - 1) // PART * PART
            part = f"snap-{begin}-{end}"
            self.cluster.apply(snapshot(part, {"checksum": part, "partOf": "snap",
                                               "content": json.dumps({"httpRoutesV1": [
                                                   entry(i) for i in range(begin, end)]}, separators=(",", ":"))}))
            self.parts[begin] = part
            parts = [{"name": name, "checksum": name} for name in self.parts.values()]
            self.cluster.apply(snapshot("snap", {
                "checksum": f"up to {end}", "parts": parts,
                "listeners": [{"name": LISTENER, "port": 80, "protocol": "HTTP"}]}))
        until(lambda: ask(self.port, host=f"r-{last - 1}.example").status == 200, 30)
        self.assertEqual(ask(self.port, host=f"r-{first}.example").status, 200)

    def test_a_route_with_its_service_takes_little_once_changes_are_over(self):
        self.cluster, self.backend, self.parts = self.use(Kubernetes()), self.use(Backend("app")), {}
        self.port = free_port()
        source = {"plugin": "snapshot_source", "config": {"name": "snap", "kubeconfig": self.cluster.kubeconfig}}
        self.cluster.apply(snapshot("snap", {"checksum": "0", "listeners": [
            {"name": LISTENER, "port": 80, "protocol": "HTTP"}]}))
        process = self.use(gw.Gateway(listen={80: self.port}, settings={"sources": [source]},
                                      environment={"POD_NAME": "plane", "POD_NAMESPACE": "default"}))
        before = probes.memory(process.pid)["pss"]
        self.add(0, ROUTES)

        def settled(routes):
            grown = probes.memory(process.pid)["pss"] - before
            self.assertLess(grown, KEPT * routes + BESIDE)
            return grown / routes
        # What was needed on the way is given back once nothing comes any more.
        until(lambda: settled(ROUTES), 10, every=0.2)
        self.add(ROUTES, 2 * ROUTES)
        taken = until(lambda: settled(2 * ROUTES), 10, every=0.2)
        print(f"{taken:.0f} bytes for each of {2 * ROUTES} routes, {before / 2**20:.1f} MiB without any")


if __name__ == "__main__":
    unittest.main()
