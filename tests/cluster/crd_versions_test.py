# SPDX-License-Identifier: Apache-2.0
"""Definitions of the Gateway API from v1.1 on, each on an API server of its own.

By default the oldest and the newest; HYPERWAY_FULL=1 tries all of them.
"""
import glob
import os
import unittest

import yaml

import harness
import shop
from shop import ACCOUNT, GATEWAY_API, conditions

FULL = bool(os.environ.get("HYPERWAY_FULL"))
CONTROLLER = "hyperway.arloor.dev/gateway-controller"
MISSING = "hyperway.arloor.dev/KindsMissing"
WANTED = """
apiVersion: v1
kind: Namespace
metadata: {name: stock}
---
apiVersion: v1
kind: Service
metadata: {name: answers, namespace: stock}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: encrypted, namespace: default}
spec: {ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: answers-1, namespace: stock, labels: {kubernetes.io/service-name: answers}}
addressType: IPv4
endpoints: [{addresses: [%(address)s], conditions: {ready: true}}]
ports: [{name: "", port: %(port)d, protocol: TCP}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: shop, namespace: stock}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: "", kind: Service}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: shop}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /encrypted}}]
    backendRefs: [{name: encrypted, port: 443}]
  - backendRefs: [{name: answers, namespace: stock, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: wrong, namespace: default}
spec:
  parentRefs: [{name: shop, sectionName: nowhere}]
  rules: [{backendRefs: [{name: nobody, port: 80}]}]
"""
POLICY = """
apiVersion: gateway.networking.k8s.io/%s
kind: BackendTLSPolicy
metadata: {name: encrypted, namespace: default}
spec:
  targetRefs: [{group: "", kind: Service, name: encrypted}]
  validation: {hostname: encrypted.example, wellKnownCACertificates: System}
"""


class CrdVersionsTest(unittest.TestCase):
    """A Gateway and its routes, the same with each version of the definitions."""

    def test_the_standard_channel_of_v1_1(self):
        self.check("build/cluster/crds-1.1.0/standard", missing={"BackendTLSPolicy"})

    if FULL:
        def test_the_experimental_channel_of_v1_1(self):
            self.check("build/cluster/crds-1.1.0/experimental", policy_version="v1alpha3")

        def test_the_standard_channel_of_v1_4(self):
            self.check("build/cluster/crds-1.4.0/standard")

        def test_the_standard_channel_of_v1_6(self):
            self.check("build/cluster/crds-1.6.3/standard")

        def test_the_standard_channel_of_v1_7(self):
            self.check("build/cluster/suite-1.7.0/crds/standard")

    def test_the_experimental_channel_of_v1_7(self):
        self.check("build/cluster/suite-1.7.0/crds/experimental")

    def check(self, definitions, missing=frozenset(), policy_version="v1"):
        """All that is promised, with one folder of definitions, of which some kinds are missing."""
        self.policy_version = policy_version
        self.definitions = os.path.join(harness.ROOT, definitions)
        self.assertTrue(glob.glob(self.definitions + "/*.yaml"), "./dev cluster fetches the definitions")
        self.cluster = self.enterContext(harness.Cluster(crds=None, apply=[definitions, *shop.SHARED]))
        self.cluster.enter_network()
        self.addCleanup(self.cluster.leave_network)
        backend = self.enterContext(shop.Backend())
        self.cluster.apply(shop.GATEWAY)
        self.cluster.apply(WANTED % {"address": shop.NODE, "port": backend.port})
        if "BackendTLSPolicy" not in missing:
            self.cluster.apply(POLICY % policy_version)
        self.cluster.wait("gateway/shop", "Programmed")
        self.check_traffic()
        self.check_statuses(missing)
        self.check_features()
        self.check_what_is_missing(missing)
        self.check_that_nothing_went_wrong()

    def check_traffic(self):
        address = self.cluster.get(f"{GATEWAY_API}/namespaces/default/gateways/shop")["status"]["addresses"][0]

        self.cluster.until("the backend answers through the Gateway", lambda: (
            shop.ask(address["value"], port=80) == (200, "hello")))

    def check_statuses(self, missing):
        def status(resource, name):
            version = self.policy_version if resource == "backendtlspolicies" else "v1"
            found = self.cluster.get(f"/apis/gateway.networking.k8s.io/{version}/namespaces/default/{resource}/{name}")
            found = found["status"]
            return found, found.get("parents") or found.get("ancestors")
        self.cluster.until("the count of routes is right", lambda: (
            status("gateways", "shop")[0]["listeners"][0]["attachedRoutes"] == 1))
        gateway, _ = status("gateways", "shop")
        self.assertEqual(conditions(gateway)["Accepted"][0], "True")
        listener, = gateway["listeners"]
        self.assertEqual({k: v[0] for k, v in conditions(listener).items()},
                         {"Accepted": "True", "Programmed": "True", "ResolvedRefs": "True"} | (
                             {"Conflicted": "False"} if "Conflicted" in conditions(listener) else {}))
        self.assertEqual([k["kind"] for k in listener["supportedKinds"]], ["HTTPRoute", "GRPCRoute"])
        for resource, name, wanted in [
                ("httproutes", "shop", {"Accepted": "True", "ResolvedRefs": "True"}),
                ("httproutes", "wrong", {"Accepted": "False", "ResolvedRefs": "False"}),
                ("backendtlspolicies", "encrypted", {"Accepted": "True", "ResolvedRefs": "True"})]:
            if resource == "backendtlspolicies" and "BackendTLSPolicy" in missing:
                continue
            entry, = self.cluster.until(f"{name} has a status", lambda r=resource, n=name: status(r, n)[1])
            self.assertEqual(entry["controllerName"], CONTROLLER)
            found = {k: v[0] for k, v in conditions(entry).items()}
            self.assertEqual({k: found.get(k) for k in wanted}, wanted, (name, entry))

    def check_features(self):
        """supportedFeatures are what the schema has: objects, or names, or nothing at all."""
        with open(glob.glob(self.definitions + "/*_gatewayclasses.yaml")[0], encoding="utf-8") as file:
            versions = yaml.safe_load(file)["spec"]["versions"]
        schema = next(v for v in versions if v["name"] == "v1")["schema"]["openAPIV3Schema"]
        wanted = schema["properties"]["status"]["properties"].get("supportedFeatures")
        self.features_are_names = wanted is not None and wanted["items"]["type"] == "string"
        found = self.gateway_class()["status"].get("supportedFeatures")
        if wanted is None:
            self.assertIsNone(found)
            return
        names = found if self.features_are_names else [f["name"] for f in found]
        self.assertIn("HTTPRoute", names)
        self.assertTrue(all(isinstance(name, str) for name in names), names)

    def gateway_class(self):
        return self.cluster.get(f"{GATEWAY_API}/gatewayclasses/hyperway")

    def check_what_is_missing(self, missing):
        """The log of each replica and the class's condition name the missing kinds, and those only."""
        logs = self.logs()
        self.assertEqual(len(logs), 2, logs)
        for log in logs:
            told = [line.partition('kind="')[2].partition('"')[0] for line in log if "counts as empty" in line]
            self.assertEqual(sorted(told), sorted(missing))
        status = self.cluster.until("the class is accepted", lambda: (
            found := self.gateway_class()["status"]) and conditions(found)["Accepted"][0] == "True" and found)
        said = [c for c in status["conditions"] if c["type"] == MISSING]
        self.assertEqual(len(said), 1 if missing else 0, said)
        if missing:
            kinds = ", ".join(f"{kind} (not served)" for kind in sorted(missing))
            self.assertEqual((said[0]["status"], said[0]["message"]),
                             ("True", f"cannot be read and count as empty: {kinds}"))

    def logs(self):
        """The log of each replica, as lines."""
        logs = []
        for path in glob.glob(os.path.join(self.cluster.dir, "pods/hyperway-system/*/*.log")):
            with open(path, encoding="utf-8") as file:
                logs.append(file.read().splitlines())
        return logs

    def check_that_nothing_went_wrong(self):
        """No call is denied, no status refused, none written again and again, and no error logged."""
        events = self.cluster.audit(ACCOUNT)
        self.assertEqual([(e["verb"], e["requestURI"]) for e in harness.denied(events)], [])
        writes = [e for e in events if e["verb"] in ("create", "update", "patch", "delete")]
        classes = [e for e in writes if e["objectRef"]["resource"] == "gatewayclasses"]
        # That features are names is learnt from the one refusal.
        learnt = [e for e in classes if e["responseStatus"]["code"] == 422]
        self.assertEqual(len(learnt), 1 if self.features_are_names else 0)
        self.assertEqual([(e["verb"], e["requestURI"], e["responseStatus"]) for e in writes
                          if e["responseStatus"]["code"] >= 400 and e["responseStatus"]["code"] != 409
                          and e not in learnt], [])
        self.assertLessEqual(len(classes), 4)
        self.assertEqual([line for log in self.logs() for line in log if " error " in line], [])


if __name__ == "__main__":
    unittest.main()
