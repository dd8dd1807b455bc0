# SPDX-License-Identifier: Apache-2.0
"""Change under load in mode A: a controller and a data plane, while routes, certificates and endpoints change 50 times a
second. The API server is harness/kubernetes.py.

10 seconds by default; HYPERWAY_SOAK_MINUTES=60 makes it a soak: clients that take their time, and memory and descriptors of
both processes that may not grow. No request may fail: every client is one that never retries.
"""
import collections
import multiprocessing
import os
import time
import unittest

from harness import gateway as gw
from harness import soak, tls
from harness.case import Case, patience, until
from harness.kubernetes import Kubernetes
from harness.load import LoadClient
from harness.manifests import app, backend_ref, gateway, gateway_class, listener, path_match, route, rule, secret, slices
from harness.ports import free_port
from harness.processes import BackendProcess

SECONDS = soak.MINUTES * 60 or 10
EDITS_PER_SECOND = 50
COMPACTED = 500  # edits; then the server forgets what was before, as etcd does
KINDS = ["keep", "fresh", "tls"]


class SnapshotChurn(Case):
    limit_seconds = 90 + soak.MINUTES * 60

    def test_nothing_fails_while_everything_changes_by_way_of_snapshots(self):
        backends = [self.use(BackendProcess(f"b{n}")) for n in range(3)]
        certificates = [tls.self_signed("a.example", serial=n) for n in (1, 2)]
        ports = free_port(), free_port()
        begin, stop, never = (multiprocessing.Event() for _ in range(3))
        self.addCleanup(stop.set)
        self.addCleanup(begin.set)
        clients = [LoadClient(n, kind, ports, stop, never, soak.PAUSE, begin) for n, kind in enumerate(KINDS)]

        def answered():
            return sum(client.answered.value for client in clients)
        cluster = self.use(Kubernetes())
        cluster.apply(gateway_class(), gateway([listener(port=ports[0]), listener(
            "https", ports[1], "HTTPS", "a.example", ["cert"])]), secret("cert", *certificates[0]), *app("app", *backends),
            self.route(0), *[route(f"other-{n}", hostnames=[f"h{n}.example"]) for n in range(50)])
        controller, plane = self.controller(cluster), self.data_plane(cluster, ports)
        until(lambda: self.programmed(cluster) == ["True", "True"], 15)
        samples = [soak.Samples("controller", controller.pid), soak.Samples("data plane", plane.pid)]
        begin.set()
        start, edits = time.monotonic(), 0
        while (now := time.monotonic() - start) < SECONDS and all(c.process.is_alive() for c in clients):
            for one in samples:
                one.take(now, f"{edits} edits, {answered()} requests")
            self.edit(cluster, edits, backends, certificates)
            edits += 1
            if edits % COMPACTED == 0:
                with cluster.lock:
                    cluster.compact()
                    cluster.requests.clear()
            time.sleep(max(0.0, start + edits / EDITS_PER_SECOND - time.monotonic()))
        took = time.monotonic() - start
        stop.set()
        seen, failures = collections.Counter(), []
        for client in clients:
            one, failed = client.finish()
            failures += failed
            if one["GET"] < 50 and not failed:
                failures.append(f"{client.kind}: {one['GET']} requests only: it waited for something")
            if client.kind == "keep":
                self.assertEqual(one["connections before the drain"], 1, "a kept connection was closed")
            seen += one
        count = seen["GET"] + seen["POST"]
        self.assertEqual(failures[:10], [], f"{len(failures)} of {count} requests failed")
        for backend in backends:
            backend.close()
        versions = {key for b in backends for key in b.seen if key.startswith("edit ")}
        print(f"churn in mode A: {count} requests, {edits} edits in {took:.1f} s, {len(versions)} of them of the route at work "
              "were seen, 0 failed", flush=True)
        self.assertGreaterEqual(edits / took, EDITS_PER_SECOND * 0.95 / (1 if patience() == 1 else 1.5 * patience()))
        # Without these a gateway that ignores its snapshot would pass.
        self.assertEqual([x for b in backends for x in b.ambiguous], [])
        self.assertGreater(len(versions), edits / (12 * patience()))
        self.assertEqual(len([key for key in seen if key.startswith("certificate ")]), 2)
        served = [sum(n for key, n in b.seen.items() if key.startswith("method ")) for b in backends]
        self.assertTrue(0 < served[2] < min(served[:2]), f"requests of each backend: {served}")
        for process in (controller, plane):
            until(lambda p=process: p.ask_admin("/readyz").status == 200)
        for one in samples:
            one.check(self)

    def controller(self, cluster):
        """A controller of that cluster."""
        config = {"kubeconfig": cluster.kubeconfig}
        return self.use(gw.Gateway(listen=False, program="hyperway_controller", settings={
            "sources": [{"plugin": "k8s_source", "config": config}],
            "sinks": [{"plugin": "snapshot_sink", "config": {
                "name": "snap", "data_plane_account": "default/plane", **config}}]}))

    def data_plane(self, cluster, ports):
        """A data plane of that cluster, with a cache as it is deployed."""
        config = {"name": "snap", "kubeconfig": cluster.kubeconfig, "cache": os.path.join(cluster.folder.name, "cache")}
        return self.use(gw.Gateway(
            listen={port: port for port in ports}, workers=2, environment={"POD_NAME": "plane", "POD_NAMESPACE": "default"},
            settings={"sources": [{"plugin": "snapshot_source", "config": config}]}))

    @staticmethod
    def programmed(cluster):
        """What the listeners' conditions of that type say."""
        return [c["status"] for one in cluster.status("Gateway", "gw")["listeners"] for c in one["conditions"]
                if c["type"] == "Programmed"]

    @staticmethod
    def route(n):
        """The route at work, in its nth form."""
        return route("main", [rule([backend_ref("app", weight=1 + n % 5)], [path_match("/")], [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [
                {"name": "X-Edit", "value": str(n)}]}}])], ["a.example"])

    def edit(self, cluster, n, backends, certificates):
        """One change: a route, a certificate, or the endpoints."""
        what = n % 10
        if what == 9:
            cluster.apply(secret("cert", *certificates[n // 10 % 2]))
        elif what in (3, 6):
            cluster.apply(slices("app", [backends[2]]))
        elif what in (4, 7):
            cluster.delete(*slices("app", [backends[2]]))
        elif what == 5:
            cluster.apply(route(f"other-{n % 50}", hostnames=[f"h{n}.example"]))
        else:
            cluster.apply(self.route(n))


if __name__ == "__main__":
    unittest.main()
