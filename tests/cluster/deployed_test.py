# SPDX-License-Identifier: Apache-2.0
"""Mode A, deployed shape, on a real API server, by deploy/: each Gateway has data planes of its own."""
import collections
import http.client
import json
import subprocess
import tempfile
import threading
import unittest

import harness
import rights
import shop
from shop import GATEWAYS, ROUTES

CONTROLLER = "system:serviceaccount:hyperway-system:hyperway-controller"
PLANE = "system:serviceaccount:default:hyperway-shop"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SNAPSHOTS = "/apis/hyperway.arloor.dev/v1alpha1/namespaces/default/routesnapshots"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/"
# What a Gateway gets in its namespace: collection -> whether it always does.
MADE = {SNAPSHOTS: True, DEPLOYMENTS: True, "/api/v1/namespaces/default/serviceaccounts": True,
        "/api/v1/namespaces/default/configmaps": True, shop.SERVICES: True, RBAC + "default/roles": True,
        RBAC + "default/rolebindings": True, "/apis/policy/v1/namespaces/default/poddisruptionbudgets": True,
        "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers": False}
NAME_LABEL = "gateway.networking.k8s.io/gateway-name"


def gateway(name, **spec):
    """A Gateway with an HTTP listener on port 80."""
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"gatewayClassName": "hyperway",
                     "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}], **spec}}


def parameters(name, values):
    """A ConfigMap with values."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
            "data": {"values.yaml": values}}


def refer(name):
    """`infrastructure` that names a ConfigMap."""
    return {"parametersRef": {"group": "", "kind": "ConfigMap", "name": name}}


class Client(threading.Thread):
    """Asks again and again, on a kept connection or on a fresh one each time, and never retries."""

    def __init__(self, address, kept, stop):
        super().__init__(daemon=True)
        self.address, self.kept, self.stop = address, kept, stop
        self.count, self.failures = 0, []

    def run(self):
        """Asks until it is told to stop."""
        connection = None
        while not self.stop.is_set() and len(self.failures) < 10:
            connection = connection or http.client.HTTPConnection(self.address, 80, timeout=10)
            try:
                connection.request("GET", "/", headers={"Host": "first.example"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 302:
                    raise AssertionError(answer.status)
                self.count += 1
                close = answer.headers.get("Connection", "") == "close"
            except Exception as error:  # noqa: BLE001 (whatever it is, this request has failed)
                self.failures.append(repr(error))
                close = True
            if close or not self.kept:
                connection.close()
                connection = None
        if connection:
            connection.close()


class DeployedTest(unittest.TestCase):
    """One cluster for all; the Gateway `shop` with the route `first` is always there."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = shop.install(cls, shop.SNAPSHOT_DEPLOYED, deployment="hyperway-controller")
        cls.address = cls.address_of("shop")
        cls.create(ROUTES, shop.redirect("first"))
        cls.cluster.until("first is served", lambda: cls.asks(cls.address, "first") == 302)

    @classmethod
    def create(cls, path, *objects):
        """Makes objects that must be new."""
        for made in objects:
            status, answer = cls.cluster.request("POST", path, made)
            assert status == 201, answer

    @classmethod
    def address_of(cls, name):
        """The address of a Gateway, once it is programmed."""
        cls.cluster.wait(f"gateway/{name}", "Programmed")
        return cls.cluster.get(f"{GATEWAYS}/{name}")["status"]["addresses"][0]["value"]

    @staticmethod
    def asks(address, name):
        """The status of an answer."""
        return shop.ask(address, name + ".example", port=80)[0]

    def made_for(self, name):
        """Collections that have an object for the Gateway of that label's value."""
        query = f"?labelSelector={NAME_LABEL}%3D{name}"
        return {path for path in MADE if self.cluster.get(path + query)["items"]}

    def condition(self, name, kind):
        """(status, reason, message) of a Gateway's condition."""
        for one in self.cluster.get(f"{GATEWAYS}/{name}")["status"]["conditions"]:
            if one["type"] == kind:
                return one["status"], one["reason"], one["message"]
        return None

    def add(self, *gateways):
        """Makes Gateways, for this test."""
        for one in gateways:
            self.create(GATEWAYS, one)
            self.addCleanup(self.cluster.request, "DELETE", f"{GATEWAYS}/{one['metadata']['name']}")

    def configure(self, name, values):
        """Makes a ConfigMap with values, for this test."""
        self.create("/api/v1/namespaces/default/configmaps", parameters(name, values))
        self.addCleanup(self.cluster.request, "DELETE", f"/api/v1/namespaces/default/configmaps/{name}")

    def test_a_gateway_has_all_of_its_own_and_takes_it_along(self):
        self.add(gateway("own", infrastructure={"labels": {"team": "a"}, "annotations": {"note": "b"}}))
        self.address_of("own")
        self.assertEqual(self.made_for("own"), {path for path, always in MADE.items() if always})
        for path in self.made_for("own"):
            for made in self.cluster.get(f"{path}?labelSelector={NAME_LABEL}%3Down")["items"]:
                self.assertEqual(made["metadata"]["labels"]["team"], "a")
                self.assertEqual(made["metadata"]["annotations"]["note"], "b")
                self.assertEqual(made["metadata"]["ownerReferences"][0]["name"], "own")
        self.cluster.request("DELETE", f"{GATEWAYS}/own")
        self.cluster.until("all is gone", lambda: not self.made_for("own"))

    def test_gateways_do_not_see_each_others_routes(self):
        self.add(gateway("other"))
        other = self.address_of("other")
        route = shop.redirect("second")
        route["spec"]["parentRefs"] = [{"name": "other"}]
        self.create(ROUTES, route)
        self.addCleanup(self.cluster.request, "DELETE", ROUTES + "/second")
        self.cluster.until("it is served", lambda: self.asks(other, "second") == 302)
        self.assertEqual(self.asks(self.address, "second"), 404)
        self.assertEqual(self.asks(other, "first"), 404)
        self.assertNotIn("second", json.dumps(self.cluster.get(SNAPSHOTS + "/hyperway-shop")["spec"]))

    def test_backends_of_another_namespace_are_reached_and_rights_there_go_with_the_route(self):
        self.create("/api/v1/namespaces", {"metadata": {"name": "far"}})
        self.addCleanup(self.cluster.request, "DELETE", "/api/v1/namespaces/far")
        with shop.Backend() as backend:
            self.create("/api/v1/namespaces/far/services", shop.service("far", namespace="far"))
            self.create("/apis/discovery.k8s.io/v1/namespaces/far/endpointslices",
                        shop.endpoint_slice("far", backend.port, namespace="far"))
            self.create("/apis/gateway.networking.k8s.io/v1beta1/namespaces/far/referencegrants", {
                "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
                "metadata": {"name": "all", "namespace": "far"},
                "spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}],
                         "to": [{"group": "", "kind": "Service"}]}})
            route = shop.forward("far")
            route["spec"]["rules"][0]["backendRefs"][0]["namespace"] = "far"
            self.create(ROUTES, route)
            self.addCleanup(self.cluster.request, "DELETE", ROUTES + "/far")
            self.cluster.until("it answers", lambda: self.asks(self.address, "far") == 200)
            given = lambda: [r["rules"] for r in self.cluster.get(RBAC + "far/roles")["items"]]  # noqa: E731
            self.assertEqual([rule["resources"] for rule in given()[0]], [["services"], ["endpointslices"]])
            self.assertEqual(self.may("list", "services", "kube-system"), "no")
            self.cluster.request("DELETE", ROUTES + "/far")
            self.cluster.until("the rights are gone", lambda: not given())

    def may(self, verb, resource, namespace="default"):
        """What `kubectl auth can-i` says of the data planes of `shop`."""
        done = self.cluster.run("kubectl", "auth", "can-i", verb, resource, "-n", namespace, "--as", PLANE, check=False)
        return done.stdout.strip()

    def test_a_data_plane_may_read_its_own_snapshot_and_the_secrets_that_it_names(self):
        key, cert = (tempfile.NamedTemporaryFile() for _ in range(2))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x",
                        "-keyout", key.name, "-out", cert.name], check=True, capture_output=True)
        for name in ("named", "unnamed"):
            self.cluster.kubectl("create", "secret", "tls", name, "--key", key.name, "--cert", cert.name)
            self.addCleanup(self.cluster.kubectl, "delete", "secret", name)
        listeners = [{"name": "https", "port": 443, "protocol": "HTTPS",
                      "tls": {"certificateRefs": [{"name": "named"}]}}]
        listeners += self.cluster.get(f"{GATEWAYS}/shop")["spec"]["listeners"]
        patch = lambda spec: self.cluster.request(  # noqa: E731
            "PATCH", f"{GATEWAYS}/shop", {"spec": spec}, "application/merge-patch+json")
        self.assertEqual(patch({"listeners": listeners})[0], 200)
        self.addCleanup(patch, {"listeners": listeners[1:]})
        self.cluster.until("it may", lambda: self.may("list", "secrets/named") == "yes")
        for verb, resource in (("list", "secrets/unnamed"), ("list", "secrets"), ("get", "gateways"),
                               ("patch", "routesnapshots/hyperway-shop"), ("list", "routesnapshots"),
                               ("create", "pods"), ("get", "configmaps")):
            self.assertEqual(self.may(verb, resource), "no", (verb, resource))
        self.assertEqual(self.may("list", "routesnapshots/hyperway-shop"), "yes")
        self.cluster.until("the listener is programmed", lambda: [
            c["status"] for one in self.cluster.get(f"{GATEWAYS}/shop")["status"]["listeners"] if one["name"] == "https"
            for c in one["conditions"] if c["type"] == "Programmed"] == ["True"])

    def test_parameters_shape_the_workload_and_wrong_ones_are_told_and_harm_nobody(self):
        self.configure("shape", "replicas: 1\npodLabels: {tier: front}\nautoscaling: {enabled: false}\n")
        self.add(gateway("shaped", infrastructure=refer("shape")))
        address = self.address_of("shaped")
        name = f"{DEPLOYMENTS}/hyperway-shaped"
        self.assertEqual(self.cluster.get(name)["spec"]["replicas"], 1)
        self.assertEqual(self.cluster.get(name)["spec"]["template"]["metadata"]["labels"]["tier"], "front")

        def put(values):
            self.cluster.request("PATCH", "/api/v1/namespaces/default/configmaps/shape",
                                 {"data": {"values.yaml": values}}, "application/merge-patch+json")
        put("replica: 3")
        self.cluster.until("it is told", lambda: self.condition("shaped", "Accepted")[:2] == (
            "False", "InvalidParameters"))
        message = self.condition("shaped", "Accepted")[2]
        self.assertIn("ConfigMap default/shape, values.yaml: /replica: unknown field", message)
        self.cluster.until("it is served, with no route", lambda: self.asks(address, "first") == 404)
        put("replicas: 1\nautoscaling: {enabled: true, minReplicas: 1}\npodDisruptionBudget: {enabled: false}\n")
        self.cluster.until("it is right again", lambda: self.condition("shaped", "Accepted")[0] == "True")
        kinds = lambda: {path.rsplit("/", 1)[1] for path in self.made_for("shaped")}  # noqa: E731
        self.cluster.until("the autoscaler is there, the budget is not", lambda: (
            "horizontalpodautoscalers" in kinds() and "poddisruptionbudgets" not in kinds()))

    def test_missing_parameters_and_other_kinds_are_refused(self):
        other = {"parametersRef": {"group": "example.com", "kind": "Shape", "name": "x"}}
        self.add(gateway("missing", infrastructure=refer("nothing")), gateway("kind", infrastructure=other))
        for name, why in (("missing", "ConfigMap default/nothing does not exist"),
                          ("kind", "must name a ConfigMap, not a Shape")):
            self.cluster.until("it is refused", lambda n=name: self.condition(n, "Accepted")[:2] == (
                "False", "InvalidParameters"))
            self.assertIn(why, self.condition(name, "Accepted")[2])
            self.assertEqual(self.made_for(name) - {SNAPSHOTS}, set())

    def test_a_long_name_is_cut_and_hashed(self):
        long = "g" * 253
        self.add(gateway(long))
        self.address_of(long)
        mine = [d for d in self.cluster.get(DEPLOYMENTS)["items"]
                if d["metadata"]["annotations"].get("hyperway.arloor.dev/gateway") == "default/" + long]
        self.assertEqual(len(mine), 1)
        self.assertLessEqual(len(mine[0]["metadata"]["name"]), 63)

    def test_what_somebody_else_made_is_left_alone_and_the_status_says_so(self):
        name = f"{DEPLOYMENTS}/hyperway-taken"
        pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "image": "echo-basic"}]}}
        self.create(DEPLOYMENTS, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hyperway-taken"},
                                  "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": pod}})
        self.addCleanup(self.cluster.request, "DELETE", name)
        self.add(gateway("taken"))
        self.cluster.until("the status says it", lambda: (
            "Deployment default/hyperway-taken is there already" in self.condition("taken", "Programmed")[2]))
        self.assertEqual(self.cluster.get(name)["spec"]["replicas"], 0)

    def test_what_is_changed_by_hand_is_put_right(self):
        name = f"{DEPLOYMENTS}/hyperway-shop"
        self.cluster.request("PATCH", name, {"spec": {"replicas": 0}}, "application/merge-patch+json")
        self.cluster.until("it is as it was", lambda: self.cluster.get(name)["spec"]["replicas"] == 2)
        uid = self.cluster.get(SNAPSHOTS + "/hyperway-shop")["metadata"]["uid"]
        self.cluster.request("DELETE", SNAPSHOTS + "/hyperway-shop")
        self.cluster.until("the snapshot is there again", lambda: (
            self.cluster.get(SNAPSHOTS + "/hyperway-shop")["metadata"]["uid"] != uid))
        self.cluster.until("first is served", lambda: self.asks(self.address, "first") == 302)
        self.cluster.wait("deployment/hyperway-shop", "Available")

    def test_rolling_the_data_planes_under_load_loses_nothing(self):
        self.cluster.wait("deployment/hyperway-shop", "Available")
        stop = threading.Event()
        clients = [Client(self.address, kept, stop) for kept in (True, False, True, False)]
        for client in clients:
            client.start()
        try:
            self.cluster.kubectl("rollout", "status", "deployment/hyperway-shop", "--timeout=60s")
            before = collections.Counter(client.count for client in clients)
            infrastructure = {"annotations": {"roll": "1"}}
            self.cluster.request("PATCH", f"{GATEWAYS}/shop", {"spec": {"infrastructure": infrastructure}},
                                 "application/merge-patch+json")
            self.cluster.until("the roll has begun", lambda: self.cluster.get(f"{DEPLOYMENTS}/hyperway-shop")["spec"][
                "template"]["metadata"]["annotations"].get("roll") == "1")
            self.cluster.kubectl("rollout", "status", "deployment/hyperway-shop", "--timeout=120s")
            pods = "/api/v1/namespaces/default/pods?labelSelector=gateway.networking.k8s.io/gateway-name%3Dshop"
            self.cluster.until("the old ones are gone", lambda: len(self.cluster.get(pods)["items"]) == 2, seconds=90)
        finally:
            stop.set()
            for client in clients:
                client.join()
        self.assertEqual([client.failures for client in clients], [[]] * len(clients))
        self.assertGreater(sum(client.count for client in clients), sum(before))
        print(f"{sum(client.count for client in clients)} requests, 0 failed")

    def test_nobody_asks_for_what_is_not_allowed(self):
        what = lambda e: (e["verb"], e["requestURI"].split("?")[0])  # noqa: E731
        for account in (CONTROLLER, PLANE):
            events = self.cluster.audit(account)
            self.assertTrue(events, account)
            denied = {what(e) for e in harness.denied(events)}
            if account == PLANE:  # It is there a moment before the API server knows its rights.
                denied -= {what(e) for e in events if not rights.is_denied(e)}
            self.assertEqual(denied, set(), account)
        self.assertEqual([e["requestURI"] for e in self.cluster.audit(PLANE)
                          if "gateway.networking.k8s.io/v1" in e["requestURI"]], [])


if __name__ == "__main__":
    unittest.main()
