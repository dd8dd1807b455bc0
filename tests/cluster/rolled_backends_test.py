# SPDX-License-Identifier: Apache-2.0
"""All Pods of a backend are replaced under load, and no request fails.

One round by default, HYPERWAY_FULL=1 makes ten. A client never retries; what is no complete, right answer has failed
(decision 19 of docs/architecture.md).
"""
import collections
import http.client
import os
import threading
import time
import unittest

import harness
import shop

FULL = bool(os.environ.get("HYPERWAY_FULL"))
ROUNDS = 10 if FULL else 1
DRAIN = 3  # seconds that a Pod of the backend goes on serving
PODS = "/api/v1/namespaces/default/pods?labelSelector=app%3Dbackend"
WANTED = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: backend, namespace: default}}
spec:
  replicas: 3
  strategy: {{rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}}}
  selector: {{matchLabels: {{app: backend}}}}
  template:
    metadata: {{labels: {{app: backend}}}}
    spec:
      containers:
      - name: backend
        image: draining-backend
        args: ["9000", "{DRAIN}"]
        readinessProbe: {{tcpSocket: {{port: 9000}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: backend, namespace: default}}
spec:
  selector: {{app: backend}}
  ports: [{{port: 80, targetPort: 9000}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: shop, namespace: default}}
spec:
  parentRefs: [{{name: shop}}]
  rules: [{{backendRefs: [{{name: backend, port: 80}}]}}]
"""


class Client(threading.Thread):
    """Asks one replica again and again, on a kept connection or on a fresh one each time; each third request
    is a POST, which nobody may send twice. Slow answers are under way at any time, also when a Pod is told to end."""

    def __init__(self, address, kept, slow, stop):
        super().__init__(daemon=True)
        self.address, self.kept, self.stop = address, kept, stop
        self.path = "/slow/" if slow else "/"
        self.pods = collections.Counter()
        self.failures = []

    def run(self):
        """Asks until it is told to stop, or too much has failed."""
        connection, number = None, 0
        while not self.stop.is_set() and len(self.failures) < 10:
            number += 1
            size = 1000 if number % 3 == 0 else 0
            connection = connection or http.client.HTTPConnection(self.address, shop.PORT, timeout=10)
            try:
                connection.request("POST" if size else "GET", f"{self.path}{number}", b"x" * size if size else None)
                answer = connection.getresponse()
                text = answer.read().decode()
                pod, _, length = text.partition(" ")
                if (answer.status, length) != (200, str(size)):
                    raise AssertionError(f"{answer.status} {text}")
                self.pods[pod] += 1
            except Exception as error:  # noqa: BLE001 (whatever it is, this request has failed)
                self.failures.append(f"{time.strftime('%X')} {self.address} kept={self.kept} {number}: {error!r}")
                connection.close()
                connection = None
                continue
            if not self.kept or answer.will_close:
                connection.close()
                connection = None
            time.sleep(0.002)  # two cores: the load is there to ask all the time, not to fill the machine
        if connection is not None:
            connection.close()


class RolledBackendsTest(unittest.TestCase):
    """One cluster for all."""

    @classmethod
    def setUpClass(cls):
        image = {"name": "draining-backend",
                 "entrypoint": ["/usr/bin/python3", os.path.join(harness.HERE, "draining_backend.py")]}
        cls.cluster = shop.install(cls, images=[image])
        cls.cluster.apply(WANTED)
        cls.cluster.wait("deployment/backend", "Available")

    def backends(self):
        """{name: address} of the backend's Pods that are not ending."""
        return shop.pods(self.cluster, PODS)

    def test_no_request_fails_while_all_pods_of_a_backend_are_replaced(self):
        gateways = list(shop.pods(self.cluster).values())
        self.assertEqual(len(gateways), 2)
        stop = threading.Event()
        for address in gateways:
            self.cluster.until("it answers", lambda a=address: shop.ask(a)[0] == 200)
        clients = [Client(address, kept, slow, stop) for address in gateways for kept in (True, False)
                   for slow in (False, True, True)]
        self.addCleanup(stop.set)
        for client in clients:
            client.start()
        all_pods = dict(self.backends())
        for _ in range(ROUNDS):
            before = set(self.backends())
            self.cluster.kubectl("rollout", "restart", "deployment/backend")
            self.cluster.kubectl("rollout", "status", "deployment/backend", "--timeout=120s")
            self.cluster.until("the old Pods have ended", lambda b=before: not b & {
                p["metadata"]["name"] for p in self.cluster.get(PODS)["items"]})
            now = self.backends()
            self.assertEqual(before & set(now), set())
            all_pods |= now
            seen = lambda: sum((c.pods for c in clients), collections.Counter())  # noqa: E731
            self.cluster.until("each new Pod answers", lambda n=now: set(n) <= set(seen()))
        stop.set()
        for client in clients:
            client.join()
        self.assertEqual([f for client in clients for f in client.failures], [])
        answers = seen()
        self.assertEqual(set(answers), set(all_pods))
        for kept in (True, False):
            self.assertGreater(sum(sum(c.pods.values()) for c in clients if c.kept == kept), 100 * ROUNDS)
        print(f"{sum(answers.values())} requests, {len(all_pods)} Pods, 0 failed")


if __name__ == "__main__":
    unittest.main()
