# SPDX-License-Identifier: Apache-2.0
"""ReferenceGrants on a real API server, under load: what crosses namespaces comes with a grant that fits and goes
with it within 5 s, traffic and statuses, at both replicas."""
import base64
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import harness
import shop

HOST = "app.example"
IN_TIME = 5  # seconds
ROUNDS = 3
GRANTS = "/apis/gateway.networking.k8s.io/v1beta1/namespaces/{}/referencegrants"
SECURE = """
apiVersion: v1
kind: Namespace
metadata: {name: apps}
---
apiVersion: v1
kind: Namespace
metadata: {name: vault}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: secure, namespace: default}
spec:
  gatewayClassName: hyperway
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: app.example,
     tls: {certificateRefs: [{name: pair, namespace: vault}]}}
  - {name: nothing, port: 443, protocol: HTTPS, hostname: nothing.example,
     tls: {certificateRefs: [{name: gone, namespace: vault}]}}
"""


def grant(name, kind, to_kind, origin="default"):
    """A ReferenceGrant from a kind of the Gateway API to one of the core."""
    return {"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant", "metadata": {"name": name},
            "spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": origin}],
                     "to": [{"group": "", "kind": to_kind}]}}


def certificate(host):
    """(certificate, key) in PEM, signed by itself."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", folder + "/key", "-out", folder + "/crt", "-days", "2", "-subj", "/CN=" + host,
                        "-addext", "subjectAltName=DNS:" + host], check=True, capture_output=True)
        pair = []
        for name in ("crt", "key"):
            with open(os.path.join(folder, name), "rb") as file:
                pair.append(file.read())
        return pair


class Load(threading.Thread):
    """Asks one replica all the time, on a kept connection: in turn for what needs a grant and for what needs none."""

    def __init__(self, address, stop):
        super().__init__(daemon=True)
        self.asker, self.stop = shop.Asker(address), stop
        self.crossing = []  # (when it was asked, status)
        self.failed = []

    def run(self):
        while not self.stop.is_set():
            status = self.asker.ask("own.example")[0]
            if status != 200:
                self.failed.append(status)
            began = time.monotonic()
            self.crossing.append((began, self.asker.ask(HOST)[0]))
            time.sleep(0.002)
        self.asker.close()


class ReferenceGrants(unittest.TestCase):
    """One cluster."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = shop.install(cls)
        cls.cluster.apply(SECURE)
        backend = cls.enterClassContext(shop.Backend())
        for name, namespace, reference in (("app", "apps", {"namespace": "apps"}), ("own", "default", {})):
            cls.make(f"/api/v1/namespaces/{namespace}/services", shop.service(name, namespace=namespace))
            cls.make(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
                     shop.endpoint_slice(name, backend.port, namespace=namespace))
            cls.make(shop.ROUTES, shop.forward(name, **reference))
        pair = [base64.b64encode(pem).decode() for pem in certificate(HOST)]
        cls.make("/api/v1/namespaces/vault/secrets", {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pair"}, "type": "kubernetes.io/tls",
            "data": {"tls.crt": pair[0], "tls.key": pair[1]}})

    @classmethod
    def make(cls, path, body):
        """Creates an object."""
        status, answer = cls.cluster.request("POST", path, body)
        assert status == 201, answer

    def give(self):
        """The two grants that fit."""
        self.make(GRANTS.format("apps"), grant("fits", "HTTPRoute", "Service"))
        self.make(GRANTS.format("vault"), grant("fits", "Gateway", "Secret"))

    def take_away(self):
        """Deletes them."""
        for namespace in ("apps", "vault"):
            self.assertEqual(self.cluster.request("DELETE", GRANTS.format(namespace) + "/fits")[0], 200)

    @staticmethod
    def has_certificate(pod):
        """Whether a replica shows the certificate of the other namespace."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection((pod, shop.SECURE_PORT), timeout=3) as plain:
                context.wrap_socket(plain, server_hostname=HOST).close()
                return True
        except OSError:
            return False

    def references(self):
        """(status, reason) of ResolvedRefs of the route and of the listener."""
        route = self.cluster.get(shop.ROUTES + "/app")["status"]["parents"][0]
        return [shop.conditions(one).get("ResolvedRefs") for one in (route, self.listeners()["https"])]

    def listeners(self):
        """{name: status} of the Gateway's listeners."""
        return {one["name"]: one for one in self.cluster.get(shop.GATEWAYS + "/secure")["status"]["listeners"]}

    def check_in_time(self, what, answer, shown, condition):
        """Both replicas change within the time, and the statuses too; how long each took."""
        began, took = time.monotonic(), []

        def changed(what, look):
            left = IN_TIME - (time.monotonic() - began)
            self.cluster.until(what, look, seconds=max(left, 0), pause=0.02)
            took.append(time.monotonic() - began)
        for pod in self.pods:
            changed(f"{what}: backend", lambda p=pod: shop.ask(p, HOST)[0] == answer)
            changed(f"{what}: certificate", lambda p=pod: self.has_certificate(p) == shown)
        changed(f"{what}: statuses", lambda: self.references() == [condition] * 2)
        print(f"{what}: traffic {took[-2]:.2f} s, statuses {took[-1]:.2f} s", flush=True)
        return time.monotonic()

    def test_certificate_and_backends_come_with_the_grant_and_go_with_it_under_load(self):
        self.pods = list(shop.pods(self.cluster).values())
        refused, fine = ("False", "RefNotPermitted"), ("True", "ResolvedRefs")
        # Grants that do not fit are none.
        self.make(GRANTS.format("default"), grant("of-another-namespace", "HTTPRoute", "Service"))
        self.make(GRANTS.format("apps"), grant("of-another-kind", "Gateway", "Service"))
        self.make(GRANTS.format("vault"), grant("to-another-kind", "Gateway", "ConfigMap"))
        self.make(GRANTS.format("vault"), grant("for-others", "Gateway", "Secret", "apps"))
        for pod in self.pods:
            self.cluster.until("it is served", lambda p=pod: shop.ask(p, "own.example")[0] == 200)
        self.check_in_time("no grant fits", 500, False, refused)
        # Without a grant nobody learns what there is.
        there, nothing = ([c["message"].partition(": ")[2] for c in self.listeners()[name]["conditions"]
                           if c["type"] == "ResolvedRefs"] for name in ("https", "nothing"))
        self.assertEqual([text.replace("pair", "gone") for text in there], nothing)

        stop = threading.Event()
        self.addCleanup(stop.set)
        loads = [Load(pod, stop) for pod in self.pods for _ in range(2)]
        for load in loads:
            load.start()
        expected = []  # (from, until, status): what requests begun in this time must be answered with
        since = time.monotonic()
        for _ in range(ROUNDS):
            expected.append((since, time.monotonic(), 500))
            self.give()
            since = self.check_in_time("given", 200, True, fine)
            self.hold(loads)
            expected.append((since, time.monotonic(), 200))
            self.take_away()
            since = self.check_in_time("taken away", 500, False, refused)
            self.hold(loads)
        expected.append((since, time.monotonic(), 500))
        stop.set()
        for load in loads:
            load.join()
        self.assertEqual([f for load in loads for f in load.failed], [])
        for begin, end, status in expected:
            wrong = [answer for load in loads for when, answer in load.crossing
                     if begin <= when < end and answer != status]
            self.assertEqual(wrong, [], f"where {status} was due")
        answers = [answer for load in loads for _, answer in load.crossing]
        self.assertEqual(set(answers), {200, 500})
        print(f"{2 * len(answers)} requests beside it")
        self.assertEqual(harness.denied(self.cluster.audit(shop.ACCOUNT)), [])

    def hold(self, loads):
        """Lets some requests pass in the state that there is."""
        before = [len(load.crossing) for load in loads]
        self.cluster.until("requests pass", lambda: all(
            len(load.crossing) > count + 50 for load, count in zip(loads, before)))


if __name__ == "__main__":
    unittest.main()
