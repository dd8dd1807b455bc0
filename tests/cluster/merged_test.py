# SPDX-License-Identifier: Apache-2.0
"""The merged shape of deploy/: one Service, which is the user's, has the address of all Gateways."""
import http.client
import os
import unittest

import yaml

import harness
import rights
import shop
from shop import ACCOUNT, GATEWAYS

FRONT = "/api/v1/namespaces/hyperway-system/services/hyperway"
WANTED = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: first, namespace: default}
spec:
  gatewayClassName: hyperway
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: first.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: second, namespace: default}
spec:
  gatewayClassName: hyperway
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: second.example}
  - {name: odd, port: 81, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: there, namespace: default}
spec:
  parentRefs: [{name: first}]
  rules:
  - filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /1}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: elsewhere, namespace: default}
spec:
  parentRefs: [{name: second, sectionName: http}]
  rules:
  - filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /2}}}]
"""
# What the rights are for that the others need no more of: a certificate, an authority, a policy.
ENCRYPTED = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: third, namespace: default}
spec:
  gatewayClassName: hyperway
  listeners:
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: certificate}]}}
---
apiVersion: v1
kind: Service
metadata: {name: encrypted, namespace: default}
spec: {ports: [{port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: encrypted, namespace: default}
spec:
  parentRefs: [{name: first}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /encrypted}}]
    backendRefs: [{name: encrypted, port: 443}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: encrypted, namespace: default}
spec:
  targetRefs: [{group: "", kind: Service, name: encrypted}]
  validation:
    hostname: encrypted.example
    caCertificateRefs:
    - {group: "", kind: ConfigMap, name: authority}
    - {group: certificates.k8s.io, kind: ClusterTrustBundle, name: authority}
"""
# One of each kind that nothing else here brings: that it has no place at the Gateway is told in its status as well.
OTHER_KINDS = """
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: other, namespace: default}
spec:
  parentRef: {name: first}
  listeners:
  - {name: http, port: 82, protocol: HTTP}
""" + "".join(f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: other, namespace: default}}
spec:
  parentRefs: [{{name: first}}]
  {hosts}
  rules:
  - backendRefs: [{{name: encrypted, port: 443}}]
""" for kind, hosts in (("GRPCRoute", ""), ("TLSRoute", "hostnames: [other.example]"), ("TCPRoute", ""), ("UDPRoute", "")))


class MergedTest(unittest.TestCase):
    """One cluster for all."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(harness.Cluster(apply=[*shop.MERGED, "tests/cluster/filter.yaml"]))
        cls.cluster.enter_network()
        cls.addClassCleanup(cls.cluster.leave_network)
        cls.cluster.wait("deployment/hyperway", "Available", namespace="hyperway-system")
        cls.cluster.apply(WANTED)
        cls.cluster.kubectl("wait", "--for=condition=Programmed", "gateway/first", "gateway/second",
                            "--timeout=60s")
        cls.address = cls.cluster.until("the Service has its addresses", lambda: (
            cls.cluster.get(FRONT)["status"]["loadBalancer"]["ingress"]))

    def location(self, host):
        """Where a request for a host is sent."""
        connection = http.client.HTTPConnection(self.address[0]["ip"], 80, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": host})
            return connection.getresponse().getheader("Location")
        finally:
            connection.close()

    def test_all_gateways_have_the_address_of_the_one_service_and_share_its_port_by_host(self):
        for name in ("first", "second"):
            found = self.cluster.get(f"{GATEWAYS}/{name}")["status"]["addresses"]
            self.assertEqual([a["value"] for a in found], [i["ip"] for i in self.address])
        # The port in redirects is the Gateway's, not the one that is listened on.
        for host, path in (("first.example", "/1"), ("second.example", "/2")):
            self.cluster.until(f"{host} is served", lambda h=host, p=path: (
                self.location(h) == f"http://{h}{p}"))

    def programmed(self):
        """(status, reason) of the condition of a Gateway."""
        return shop.conditions(self.cluster.get(f"{GATEWAYS}/first")["status"]).get("Programmed")

    def test_the_address_goes_and_comes_with_the_service(self):
        service = self.cluster.get(FRONT)
        self.cluster.request("DELETE", FRONT)
        self.addCleanup(self.cluster.until, "it is programmed", lambda: self.programmed() == ("True", "Programmed"))
        self.cluster.until("it has no address", lambda: (
            self.programmed() == ("False", "AddressNotAssigned")))
        for field in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
            service["metadata"].pop(field, None)
        for port in service["spec"]["ports"]:
            port.pop("nodePort", None)
        status, answer = self.cluster.request(
            "POST", "/api/v1/namespaces/hyperway-system/services",
            {"apiVersion": "v1", "kind": "Service", "metadata": service["metadata"],
             "spec": {key: service["spec"][key]
                      for key in ("type", "ports", "selector", "ipFamilyPolicy")}})
        self.assertEqual(status, 201, answer)

    def test_each_right_is_used_and_none_is_missing(self):
        with open(os.path.join(harness.ROOT, "deploy/gateway-api-merged-rbac.yaml"), encoding="utf-8") as file:
            granted = rights.granted(yaml.safe_load_all(file))
        self.assertTrue(granted)
        self.cluster.apply(ENCRYPTED)
        self.cluster.apply(OTHER_KINDS)

        def findings():
            return rights.findings(granted, self.cluster.audit(ACCOUNT))
        try:
            self.cluster.until("all is used", lambda: not findings(), pause=0.5)
        except harness.ClusterError:
            self.assertEqual(findings(), [])

    def test_no_call_is_denied_and_no_service_is_written(self):
        events = self.cluster.audit(ACCOUNT)
        self.assertTrue(events)
        self.assertEqual([(e["verb"], e["requestURI"]) for e in harness.denied(events)], [])
        written = [e["requestURI"] for e in events if e["verb"] in ("create", "patch", "delete", "update")
                   and e.get("objectRef", {}).get("resource") in ("services", "endpointslices")]
        self.assertEqual(written, [])


if __name__ == "__main__":
    unittest.main()
