# SPDX-License-Identifier: Apache-2.0
"""Mode A on a real API server, by the manifests of deploy/: a controller writes a RouteSnapshot, data planes serve it."""
import json
import unittest

import harness
import shop
from shop import ACCOUNT, GATEWAYS, PODS, ROUTES, SNAPSHOTS

INDEX = SNAPSHOTS + "/hyperway"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/routesnapshots.hyperway.arloor.dev"
DEPLOYMENTS = "/apis/apps/v1/namespaces/hyperway-system/deployments"


class SnapshotTest(unittest.TestCase):
    """One cluster for all."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = shop.install(cls, shop.SNAPSHOT_SHARED)
        cls.address = cls.cluster.until("the Gateway has an address", lambda: (
            cls.cluster.get(f"{GATEWAYS}/shop")["status"]["addresses"][0]["value"]))
        cls.add("first")

    @classmethod
    def add(cls, name):
        """A route that answers under NAME.example, and waits until it does."""
        status, answer = cls.cluster.request("POST", ROUTES, shop.redirect(name))
        assert status == 201, answer
        cls.cluster.until(f"{name} is served", lambda: cls.served(name))

    @classmethod
    def served(cls, name):
        """True if the route of that name answers."""
        return shop.ask(cls.address, name + ".example", port=80)[0] == 302

    def index(self):
        """The RouteSnapshot."""
        return self.cluster.get(INDEX)

    def planes(self):
        """Names of data planes in its status that serve what it says."""
        index = self.index()
        return {entry["name"] for entry in index["status"]["dataPlanes"]
                if entry["checksum"] == index["spec"]["checksum"]}

    def pods(self):
        """Names of the data planes' Pods."""
        path = PODS + "?labelSelector=app.kubernetes.io/component=gateway"
        return set(shop.pods(self.cluster, path))

    def test_routes_come_and_go(self):
        self.add("second")
        self.cluster.request("DELETE", ROUTES + "/second")
        self.cluster.until("it is gone", lambda: not self.served("second"))
        self.assertTrue(self.served("first"))

    def test_it_can_be_looked_at(self):
        self.add("looked-at")
        self.cluster.until("the status follows", lambda: (
            self.index()["status"]["lastAppliedChecksum"] == self.index()["spec"]["checksum"]))
        lines = self.cluster.kubectl("get", "hwrs", "-n", "hyperway-system").splitlines()
        self.assertEqual(lines[0].split()[:4], ["NAME", "RULES", "LISTENERS", "READY"])
        self.assertEqual(lines[1].split()[0], "hyperway")
        self.assertEqual(lines[1].split()[3], "True")
        text = json.dumps(self.index())
        self.assertNotIn("PRIVATE", text)

    def test_data_planes_report_and_those_that_are_gone_are_forgotten(self):
        self.cluster.until("all report", lambda: self.planes() == self.pods())
        gone = sorted(self.pods())[0]
        self.cluster.request("DELETE", f"{PODS}/{gone}")
        self.cluster.until("the new one reports, and the old one is forgotten", lambda: (
            len(self.pods()) == 2 and {e["name"] for e in self.index()["status"]["dataPlanes"]} == self.pods()),
            seconds=90)

    def test_what_is_edited_or_deleted_by_hand_is_put_right_at_once(self):
        spec = self.index()["spec"]
        status, answer = self.cluster.request("PATCH", INDEX, {"spec": {"httpRoutesV1": [], "listeners": []}},
                                              "application/merge-patch+json")
        self.assertEqual(status, 200, answer)
        self.cluster.until("it is as it was", lambda: self.index()["spec"] == spec, seconds=3)
        self.cluster.request("DELETE", INDEX)
        self.cluster.until("it is there again", lambda: self.index()["spec"] == spec, seconds=3)
        self.cluster.until("it is served", lambda: self.served("first"))

    def test_the_schema_refuses_what_is_no_snapshot(self):
        for spec in ({"checksum": 7}, {"listeners": [{"name": "x", "port": 0}]},
                     {"httpRoutesV1": [{"id": "a"}]}):
            with self.subTest(spec):
                status, _ = self.cluster.request("POST", SNAPSHOTS, {
                    "apiVersion": "hyperway.arloor.dev/v1alpha1", "kind": "RouteSnapshot",
                    "metadata": {"name": "wrong", "namespace": "hyperway-system"}, "spec": spec})
                self.assertEqual(status, 422)

    def test_a_large_configuration_goes_into_parts(self):
        names = [f"many-{i}" for i in range(120)]
        for name in names:
            route = shop.redirect(name)
            route["spec"]["rules"][0]["matches"] = [
                {"path": {"type": "PathPrefix", "value": f"/{j}/" + "x" * 100}} for j in range(8)]
            self.assertEqual(self.cluster.request("POST", ROUTES, route)[0], 201)

        def parts():
            return {part["name"] for part in self.index()["spec"]["parts"]}
        self.cluster.until("there are parts", lambda: len(parts()) > 2)
        self.cluster.until("the last one is served", lambda: (
            shop.ask(self.address, names[-1] + ".example", "/3/" + "x" * 100, port=80)[0] == 302))
        before = parts()
        self.add("one-more")
        self.assertEqual((len(before - parts()), len(parts() - before)), (1, 1))
        victim = sorted(parts())[0]
        uid = self.cluster.get(f"{SNAPSHOTS}/{victim}")["metadata"]["uid"]
        self.cluster.request("PATCH", f"{SNAPSHOTS}/{victim}", {"spec": {"httpRoutesV1": []}},
                             "application/merge-patch+json")
        self.cluster.until("the part is made anew", lambda: (
            self.cluster.get(f"{SNAPSHOTS}/{victim}")["metadata"]["uid"] != uid), seconds=5)
        self.assertTrue(self.cluster.get(f"{SNAPSHOTS}/{victim}")["spec"]["httpRoutesV1"])
        for name in [*names, "one-more"]:
            self.cluster.request("DELETE", f"{ROUTES}/{name}")
        self.cluster.until("it is one object again", lambda: self.index()["spec"].get("parts", []) == [])
        self.assertTrue(self.served("first"))

    def test_data_planes_start_and_serve_without_a_controller(self):
        def scale(replicas):
            self.cluster.kubectl("scale", "deployment/hyperway-controller", f"--replicas={replicas}",
                                 "-n", "hyperway-system")
        scale(0)
        self.addCleanup(self.cluster.wait, "deployment/hyperway-controller", "Available", "hyperway-system")
        self.addCleanup(scale, 2)
        self.cluster.until("the controller is gone", lambda: self.cluster.get(
            DEPLOYMENTS + "/hyperway-controller")["status"].get("replicas", 0) == 0)
        old = self.pods()
        for pod in old:
            self.cluster.request("DELETE", f"{PODS}/{pod}")
        self.cluster.until("others are there", lambda: len(self.pods() - old) == 2 and not self.pods() & old)
        self.cluster.wait("deployment/hyperway", "Available", "hyperway-system")
        # Where the Service leads is copied by the controller; the Pods themselves serve.
        binds = self.index()["spec"]["listeners"][0]["binds"]
        for address in shop.pods(self.cluster, PODS + "?labelSelector=app.kubernetes.io/component=gateway").values():
            self.cluster.until("it is served", lambda a=address: (
                shop.ask(a, "first.example", port=binds[0]["port"])[0] == 302))

    def define(self, change):
        """Changes the schema of `spec` in the definition of RouteSnapshots."""
        definition = self.cluster.get(DEFINITION)
        for version in definition["spec"]["versions"]:
            change(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])
        status, answer = self.cluster.request("PUT", DEFINITION, definition)
        self.assertEqual(status, 200, answer)

    def told(self, what):
        """True if a controller says that in /readyz."""
        path = PODS + "?labelSelector=app.kubernetes.io/component=controller"
        return any(what in shop.ask(address, path="/readyz?verbose", port=shop.ADMIN)[1]
                   for address in shop.pods(self.cluster, path).values())

    def test_definitions_of_before_leave_everything_as_it_is(self):
        # One that lacks a field, and that of the ancestor, whose checksum was a number.
        for name, change in (("lacks", lambda spec: spec.pop("udpRoutes")),
                             ("number", lambda spec: spec.update(checksum={"type": "integer", "format": "int64"}))):
            with self.subTest(name):
                kept = {}
                self.define(lambda spec, k=kept: k.update(json.loads(json.dumps(spec))))
                self.define(change)

                def back(kept=kept):
                    self.define(lambda spec: (spec.clear(), spec.update(kept)))
                self.addCleanup(back)
                before = self.index()["metadata"]["generation"]
                self.assertEqual(self.cluster.request("POST", ROUTES, shop.redirect(name))[0], 201)
                self.cluster.until("the controller says so", lambda: self.told("is the RouteSnapshot CRD an older one?"))
                self.assertTrue(self.served("first"))
                self.assertEqual(self.index()["metadata"]["generation"], before)
                back()
                self.cluster.until("it is served", lambda n=name: self.served(n), seconds=60)

    def test_a_data_plane_reads_no_gateway_api(self):
        events = self.cluster.audit(ACCOUNT)
        self.assertTrue(events)
        self.assertEqual([e["requestURI"] for e in harness.denied(events)], [])
        self.assertEqual([e["requestURI"] for e in events if "gateway.networking.k8s.io" in e["requestURI"]], [])
        self.assertEqual([e["requestURI"] for e in harness.denied(self.cluster.audit(ACCOUNT + "-controller"))], [])


if __name__ == "__main__":
    unittest.main()
