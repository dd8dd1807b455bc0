# SPDX-License-Identifier: Apache-2.0
"""Mode A on a real API server, by the manifests of deploy/: a controller writes a RouteSnapshot, data planes serve it."""
import json
import subprocess
import tempfile
import unittest

import harness
import shop
from shop import ACCOUNT, GATEWAY_API, GATEWAYS, PODS, ROUTES, SERVICES, SLICES, SNAPSHOTS

INDEX = SNAPSHOTS + "/hyperway"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/routesnapshots.hyperway.arloor.dev"
SECRETS = "/api/v1/namespaces/default/secrets"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
ONE = "?fieldSelector=metadata.name%3D"
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
        def large(name):
            route = shop.redirect(name)
            route["spec"]["rules"][0]["matches"] = [
                {"path": {"type": "PathPrefix", "value": f"/{j}/" + "x" * 100}} for j in range(8)]
            return route
        names = [f"many-{i}" for i in range(120)]
        for name in names:
            self.assertEqual(self.cluster.request("POST", ROUTES, large(name))[0], 201)

        def parts():
            return set(self.index()["spec"]["partNames"].split())
        self.cluster.until("there are parts", lambda: len(parts()) > 2)
        self.cluster.until("the last one is served", lambda: (
            shop.ask(self.address, names[-1] + ".example", "/3/" + "x" * 100, port=80)[0] == 302))
        before = parts()
        edited = large(names[7])
        edited["spec"]["rules"][0]["filters"][0]["requestRedirect"]["statusCode"] = 301
        self.assertEqual(self.cluster.request("PATCH", f"{ROUTES}/{names[7]}", {"spec": edited["spec"]},
                                              "application/merge-patch+json")[0], 200)
        self.cluster.until("the edit is served", lambda: (
            shop.ask(self.address, names[7] + ".example", "/3/" + "x" * 100, port=80)[0] == 301))
        self.assertEqual((len(before - parts()), len(parts() - before)), (1, 1))
        victim = sorted(parts())[0]
        uid = self.cluster.get(f"{SNAPSHOTS}/{victim}")["metadata"]["uid"]
        self.cluster.request("PATCH", f"{SNAPSHOTS}/{victim}", {"spec": {"content": ""}},
                             "application/merge-patch+json")
        self.cluster.until("the part is made anew", lambda: (
            self.cluster.get(f"{SNAPSHOTS}/{victim}")["metadata"]["uid"] != uid), seconds=5)
        self.assertTrue(self.cluster.get(f"{SNAPSHOTS}/{victim}")["spec"]["content"])
        for name in names:
            self.cluster.request("DELETE", f"{ROUTES}/{name}")
        self.cluster.until("it is one object again", lambda: self.index()["spec"].get("partNames", "") == "")
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

    def keeps_all(self):
        """True if the API server would keep a snapshot as it is: it applies a changed definition some time later."""
        spec = {**self.index()["spec"], "udpRoutes": []}
        status, answer = self.cluster.request("POST", SNAPSHOTS + "?dryRun=All", {
            "apiVersion": "hyperway.arloor.dev/v1alpha1", "kind": "RouteSnapshot",
            "metadata": {"name": "tried", "namespace": "hyperway-system"}, "spec": spec})
        return status == 201 and answer["spec"] == spec

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
                self.cluster.until("the definition is in force", self.keeps_all)
                self.define(lambda spec, k=kept: k.update(json.loads(json.dumps(spec))))
                self.define(change)

                def back(kept=kept):
                    self.define(lambda spec: (spec.clear(), spec.update(kept)))
                self.addCleanup(back)
                self.cluster.until("the definition is in force", lambda: not self.keeps_all())
                before = self.index()["metadata"]["generation"]
                self.assertEqual(self.cluster.request("POST", ROUTES, shop.redirect(name))[0], 201)
                self.cluster.until("the controller says so", lambda: self.told("is the RouteSnapshot CRD an older one?"))
                self.assertTrue(self.served("first"))
                self.assertEqual(self.index()["metadata"]["generation"], before)
                back()
                self.cluster.until("it is served", lambda n=name: self.served(n), seconds=60)

    def name_secrets(self, *names):
        """The Gateway has one HTTPS listener for each of these Secrets, beside the one that it has."""
        listeners = [one for one in self.cluster.get(f"{GATEWAYS}/shop")["spec"]["listeners"] if one["name"] == "http"]
        listeners += [{"name": name, "port": 443, "protocol": "HTTPS", "hostname": name + ".example",
                       "tls": {"certificateRefs": [{"name": name}]}} for name in names]
        status, answer = self.cluster.request("PATCH", f"{GATEWAYS}/shop", {"spec": {"listeners": listeners}},
                                              "application/merge-patch+json")
        self.assertEqual(status, 200, answer)

    def answers(self, account, rows):
        """What the API server answers to the token of an account: {(method, path): status} of these methods and paths."""
        token = self.cluster.token("hyperway-system", account)
        return {(method, path): self.cluster.status_for(token, method, path) for method, path in rows}

    def test_a_data_planes_token_opens_the_secret_that_its_snapshot_names_and_nothing_else(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x",
                            "-keyout", folder + "/key", "-out", folder + "/crt"], check=True, capture_output=True)
            for name in ("named", "unnamed"):
                self.cluster.kubectl("create", "secret", "tls", name, "--key", folder + "/key", "--cert",
                                     folder + "/crt")
                self.addCleanup(self.cluster.kubectl, "delete", "secret", name)
        self.addCleanup(self.name_secrets)
        self.name_secrets("named")
        named = [("GET", SECRETS + ONE + "named")]
        self.cluster.until("it gets the one that is named", lambda: set(self.answers("hyperway", named).values()) == {200})
        allowed = [*named, ("GET", SNAPSHOTS + ONE + "hyperway"), ("GET", INDEX), ("GET", SERVICES), ("GET", SLICES),
                   ("PATCH", INDEX + "/status")]
        self.assertEqual(self.answers("hyperway", allowed), dict.fromkeys(allowed, 200))
        kinds = ("gatewayclasses", "gateways", "httproutes", "referencegrants", "backendtlspolicies")
        refused = [("GET", f"{GATEWAY_API}/{kind}") for kind in kinds] + [
            ("GET", f"{GATEWAYS}/shop"), ("PATCH", f"{GATEWAYS}/shop/status"),
            ("GET", SECRETS), ("GET", "/api/v1/secrets"), ("GET", SECRETS + ONE + "unnamed"), ("GET", SECRETS + "/unnamed"),
            ("GET", "/api/v1/namespaces/hyperway-system/secrets" + ONE + "named"), ("PATCH", SECRETS + "/named"),
            ("GET", SNAPSHOTS), ("GET", SNAPSHOTS + ONE + "other"), ("POST", SNAPSHOTS), ("PATCH", INDEX),
            ("DELETE", INDEX), ("PATCH", SNAPSHOTS + "/other/status"), ("GET", PODS), ("POST", ROLES), ("GET", ROLES),
            ("GET", "/api/v1/namespaces"), ("GET", "/api/v1/namespaces/default/configmaps"), ("PATCH", SERVICES + "/app")]
        self.assertEqual(self.answers("hyperway", refused), dict.fromkeys(refused, 403))
        self.name_secrets("unnamed")
        self.cluster.until("what is not named any more is refused", lambda: (
            set(self.answers("hyperway", named).values()) == {403}))

    def test_a_controllers_token_changes_no_role_but_its_own(self):
        bindings = ROLES.replace("roles", "rolebindings")
        refused = [(method, path + "/other") for path in (ROLES, bindings) for method in ("GET", "PATCH", "DELETE")]
        refused += [("GET", path) for path in (ROLES, bindings)] + [("PATCH", SNAPSHOTS + "/other/status")]
        self.assertEqual(self.answers("hyperway-controller", refused), dict.fromkeys(refused, 403))

    def test_a_data_plane_reads_no_gateway_api(self):
        events = [e for e in self.cluster.audit(ACCOUNT) if e["userAgent"] != harness.TESTER]
        self.assertTrue(events)
        self.assertEqual([e["requestURI"] for e in harness.denied(events)], [])
        self.assertEqual([e["requestURI"] for e in events if "gateway.networking.k8s.io" in e["requestURI"]], [])
        self.assertEqual([e["requestURI"] for e in harness.denied(self.cluster.audit(ACCOUNT + "-controller"))
                          if e["userAgent"] != harness.TESTER], [])


if __name__ == "__main__":
    unittest.main()
