# SPDX-License-Identifier: Apache-2.0
"""Mode A while its controller or the API server is away: data planes that start meanwhile serve; and two controllers.

Short by default, HYPERWAY_FULL=1 keeps the controller away for 10 minutes and is quiet for a minute.
"""
import base64
import contextlib
import http.client
import os
import signal
import ssl
import subprocess
import tempfile
import time
import unittest

import measure
import shop
from shop import ACCOUNT, PODS, SNAPSHOTS

FULL = bool(os.environ.get("HYPERWAY_FULL"))
AWAY = 600 if FULL else 20
QUIET = 60 if FULL else 10
INDEX = SNAPSHOTS + "/hyperway"
PLANES = PODS + "?labelSelector=app.kubernetes.io/component=gateway"
DEPLOYMENTS = "/apis/apps/v1/namespaces/hyperway-system/deployments"

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  gatewayClassName: hyperway
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
"""


class SnapshotOutageTest(unittest.TestCase):
    """One cluster for all."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = shop.install(cls, shop.SNAPSHOT_SHARED)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                            "/CN=app.example", "-keyout", folder + "/key", "-out", folder + "/crt"],
                           check=True, capture_output=True)

            def read(name):
                with open(folder + "/" + name, "rb") as file:
                    return base64.b64encode(file.read()).decode()
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cert", "namespace": "default"},
                      "type": "kubernetes.io/tls", "data": {"tls.crt": read("crt"), "tls.key": read("key")}}
        backend = cls.enterClassContext(shop.Backend())
        for path, body in (("/api/v1/namespaces/default/secrets", secret), (shop.SERVICES, shop.service("app")),
                           (shop.SLICES, shop.endpoint_slice("app", backend.port)), (shop.ROUTES, shop.forward("app")),
                           (shop.ROUTES, shop.redirect("stays"))):
            status, answer = cls.cluster.request("POST", path, body)
            assert status == 201, answer
        cls.cluster.apply(GATEWAY)
        cls.cluster.wait("gateway/shop", "Programmed")
        cls.ports = cls.cluster.until("both listeners are bound", lambda: (
            lambda found: found if len(found) == 2 else None)({
                listener["name"].rpartition("/")[2]: listener["binds"][0]["port"]
                for listener in cls.index()["spec"]["listeners"]}))
        for address in cls.planes().values():
            cls.cluster.until("all is served", lambda a=address: cls.served(a))

    @classmethod
    def index(cls):
        """The RouteSnapshot."""
        return cls.cluster.get(INDEX)

    @classmethod
    def planes(cls):
        """{name: address} of the data planes' Pods."""
        return shop.pods(cls.cluster, PLANES)

    @classmethod
    def served(cls, address):
        """True if a data plane serves a backend, a redirect, and HTTPS."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.closing(http.client.HTTPSConnection(address, cls.ports["https"], context=context,
                                                            timeout=3)) as secure:
            secure.request("GET", "/", headers={"Host": "app.example"})
            status = secure.getresponse().status
        return status == 200 and shop.ask(address, "app.example", port=cls.ports["http"])[0] == 200 and \
            shop.ask(address, "stays.example", port=cls.ports["http"])[0] == 302

    def restart_containers(self):
        """Kills the processes of all data planes; the node starts them again in their Pods."""
        old = {pid for pid, line in measure.processes(self.cluster, "hyperway").items()
               if "/etc/hyperway/hyperway.yaml" in line}
        self.assertEqual(len(old), 2)
        for pid in old:
            os.kill(pid, signal.SIGKILL)

        def fresh():
            now = {pid for pid, line in measure.processes(self.cluster, "hyperway").items()
                   if "/etc/hyperway/hyperway.yaml" in line}
            return len(now) == 2 and not now & old
        self.cluster.until("they run again", fresh, seconds=60)

    def test_a_controller_that_is_away_for_long_costs_nothing_and_data_planes_start_meanwhile(self):
        def scale(replicas):
            self.cluster.kubectl("scale", "deployment/hyperway-controller", f"--replicas={replicas}",
                                 "-n", "hyperway-system")
        scale(0)
        self.addCleanup(self.cluster.wait, "deployment/hyperway-controller", "Available", "hyperway-system")
        self.addCleanup(scale, 2)
        self.cluster.until("the controller is gone", lambda: self.cluster.get(
            DEPLOYMENTS + "/hyperway-controller")["status"].get("replicas", 0) == 0)
        gone = time.monotonic()
        self.restart_containers()
        for address in self.planes().values():
            self.cluster.until("what was restarted serves", lambda a=address: self.served(a), seconds=60)
        for name in (old := self.planes()):
            self.cluster.request("DELETE", f"{PODS}/{name}")
        self.cluster.until("others are there", lambda: len(
            set(self.planes()) - set(old)) == 2 and not set(self.planes()) & set(old), seconds=60)
        self.cluster.wait("deployment/hyperway", "Available", "hyperway-system")
        planes = self.planes()
        for address in planes.values():
            self.cluster.until("new Pods serve", lambda a=address: self.served(a))
        # The rule is about time, which has to pass; endpoints follow all the while.
        count = 0
        while time.monotonic() < gone + AWAY:
            for address in planes.values():
                self.assertTrue(self.served(address))
                count += 3
            time.sleep(0.1)
        scale(2)
        self.cluster.wait("deployment/hyperway-controller", "Available", "hyperway-system")
        status, answer = self.cluster.request("POST", shop.ROUTES, shop.redirect("later"))
        self.assertEqual(status, 201, answer)
        for address in planes.values():
            self.cluster.until("an edit is served", lambda a=address: (
                shop.ask(a, "later.example", port=self.ports["http"])[0] == 302))
        print(f"controller away for {AWAY} s: {count} requests of new data planes, 0 failed", flush=True)

    def test_data_planes_that_start_without_an_api_server_serve_from_their_caches(self):
        planes = self.planes()
        for address in planes.values():
            self.cluster.until("all is served", lambda a=address: self.served(a))
        self.cluster.fault("stop", "kube-apiserver")
        try:
            begin = time.monotonic()
            self.restart_containers()
            for address in planes.values():
                self.cluster.until("it is served, HTTPS too", lambda a=address: self.served(a), seconds=60)
            took = time.monotonic() - begin
            for address in planes.values():
                _, ready = shop.ask(address, path="/readyz?verbose", port=shop.ADMIN)
                self.assertIn("from the cache", ready)
        finally:
            self.cluster.fault("start", "kube-apiserver")
        for address in planes.values():
            self.cluster.until("they follow again", lambda a=address: "from the cache" not in shop.ask(
                a, path="/readyz?verbose", port=shop.ADMIN)[1], seconds=60)
            self.assertTrue(self.served(address))
        print(f"killed without an API server, all served again after {took:.1f} s", flush=True)

    def test_two_controllers_write_nothing_in_a_quiet_time(self):
        self.assertEqual(len(shop.pods(self.cluster, PODS + "?labelSelector=app.kubernetes.io/component=controller")), 2)

        def writes():
            return [(e["verb"], e["requestURI"]) for account in (ACCOUNT, ACCOUNT + "-controller")
                    for e in self.cluster.audit(account) if e["verb"] not in ("get", "list", "watch")
                    and e["objectRef"]["resource"] not in ("leases", "selfsubjectaccessreviews")]  # a question: nothing is stored
        # Entries of Pods that earlier tests deleted are removed within 30 s: that is a write too.
        self.cluster.until("the data planes that there are report, and no other", lambda: (
            lambda index: {e["name"] for e in index["status"]["dataPlanes"]} == set(self.planes())
            and {e["checksum"] for e in index["status"]["dataPlanes"]} == {index["spec"]["checksum"]})(self.index()),
            seconds=60)
        before = self.cluster.settle(writes)
        # "In a quiet minute": it has to pass.
        time.sleep(QUIET)
        self.assertEqual(writes()[len(before):], [])


if __name__ == "__main__":
    unittest.main()
