# SPDX-License-Identifier: Apache-2.0
"""Change under load in mode A: a controller and a data plane, while routes, certificates and endpoints change 50 times a
second. The API server is harness/kubernetes.py.

10 seconds by default; HYPERWAY_SOAK_MINUTES=60 makes it a soak: clients that take their time, and memory and descriptors of
both processes that may not grow. No request may fail: every client is one that never retries.
"""
import multiprocessing
import os
import time
import unittest

from harness import gateway as gw
from harness import churn, soak
from harness.case import Case, until
from harness.kubernetes import Kubernetes
from harness.load import LoadClient
from harness.manifests import listener
from harness.ports import free_port
from harness.processes import BackendProcess

SECONDS = soak.MINUTES * 60 or 10
COMPACTED = 500  # edits; then the server forgets what was before, as etcd does
KINDS = ["keep", "fresh", "tls"]


class SnapshotChurn(Case):
    limit_seconds = 90 + soak.MINUTES * 60

    def test_nothing_fails_while_everything_changes_by_way_of_snapshots(self):
        backends = [self.use(BackendProcess(f"b{n}")) for n in range(3)]
        changes = churn.Changes(backends)
        ports = free_port(), free_port()
        begin, stop, never = (multiprocessing.Event() for _ in range(3))
        self.addCleanup(stop.set)
        self.addCleanup(begin.set)
        clients = [LoadClient(n, kind, ports, stop, never, soak.PAUSE, begin) for n, kind in enumerate(KINDS)]

        def answered():
            return sum(client.answered.value for client in clients)
        cluster = self.use(Kubernetes())
        cluster.apply(*changes.objects([listener(port=ports[0]), listener("https", ports[1], "HTTPS", "a.example", ["cert"])]))
        controller, plane = self.controller(cluster), self.data_plane(cluster, ports)
        until(lambda: self.programmed(cluster) == ["True", "True"], 15)
        samples = [soak.Samples("controller", controller.pid), soak.Samples("data plane", plane.pid)]
        begin.set()
        start, edits = time.monotonic(), 0
        while (now := time.monotonic() - start) < SECONDS and all(c.process.is_alive() for c in clients):
            for one in samples:
                one.take(now, f"{edits} edits, {answered()} requests")
            changes.make(cluster, edits)
            edits += 1
            if edits % COMPACTED == 0:
                with cluster.lock:
                    cluster.compact()
                    cluster.requests.clear()
            churn.wait_for_turn(start, edits)
        took = time.monotonic() - start
        stop.set()
        seen = churn.finish(self, clients)
        for backend in backends:
            backend.close()
        print(f"churn in mode A: {seen['GET'] + seen['POST']} requests, {edits} edits in {took:.1f} s, {len(changes.versions())} of "
              "them of the route at work were seen, 0 failed", flush=True)
        changes.check(self, edits, took, seen, 12)
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


if __name__ == "__main__":
    unittest.main()
