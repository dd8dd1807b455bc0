# SPDX-License-Identifier: Apache-2.0
"""A large cluster: what it costs in memory, and how often statuses are written."""
import time
import unittest

from harness import gateway as gw
from harness.case import Case, until
from harness.kubernetes import Kubernetes
from harness.manifests import backend_ref, gateway, gateway_class, listener, path_match, route, rule, service
from harness.ports import free_port

ROUTES = 5000


def pss(pid):
    """Proportional set size of a process in MiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def managed():
    """metadata.managedFields as kubectl leaves it: about as large as the object itself."""
    return [{"manager": "kubectl-client-side-apply", "operation": "Update", "time": "2026-01-01T00:00:00Z",
             "fieldsV1": {f"f:field{i}": {"f:value": {}, "k:{\"name\":\"x\"}": {".": {}}} for i in range(20)}}]


def endpoint_slice(name):
    """The EndpointSlice of a Service, as the API server's controller makes it."""
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name + "-abcde", "namespace": "default", "managedFields": managed(),
                         "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [f"10.0.0.{i + 1}"], "conditions": {"ready": True}} for i in range(3)]}


class Large(Case):
    limit_seconds = 280

    def test_five_thousand_routes_with_as_many_services_fit_in_100_mib(self):
        cluster = self.use(Kubernetes())
        port = free_port()
        cluster.apply(gateway_class(), gateway([listener(port=port)]))
        for i in range(ROUTES):
            name = f"s{i}"
            one = route(name=f"r{i}", hostnames=[f"h{i}.example.com"],
                        rules=[rule([backend_ref(name)], matches=[path_match(f"/path{i}")])])
            one["metadata"]["managedFields"] = managed()
            cluster.apply(one, service(name), endpoint_slice(name))
        source = {"plugin": "k8s_source", "config": {"kubeconfig": cluster.kubeconfig, "poll_seconds": 3600}}
        process = self.use(gw.Gateway(listen={port: port}, settings={"sources": [source]}))

        def all_written():
            with cluster.lock:
                return sum("status" in o for (r, _), o in cluster.objects.items() if r == "httproutes") == ROUTES
        until(all_written, 200, every=1)
        time.sleep(10)  # The promise is about 10 s after the last change.
        self.assertLess(pss(process.pid), 100)
        writes = cluster.asked("PATCH", "/httproutes/")
        self.assertEqual(writes, ROUTES)
        self.assertLessEqual(cluster.asked("PATCH", "/gateways/"), 20)
        print(f"PSS {pss(process.pid):.0f} MiB")


if __name__ == "__main__":
    unittest.main()
