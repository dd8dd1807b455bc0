# SPDX-License-Identifier: Apache-2.0
"""gateway_deployer on a real API server, with the rights that deploy/ gives it and no others.

Gateways come from files here, so that what is seen is the sink's work alone.
"""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import yaml

import harness
from shop import ACCOUNT, SERVICES, SLICES

PODS = """
apiVersion: v1
kind: Service
metadata: {name: hyperway-pods, namespace: hyperway-system}
spec: {clusterIP: None, ipFamilyPolicy: PreferDualStack, ports: [{name: probes, port: 9180}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: hyperway-pods-4
  namespace: hyperway-system
  labels: {kubernetes.io/service-name: hyperway-pods}
addressType: IPv4
endpoints:
- {addresses: [10.77.9.9], conditions: {ready: true}}
- {addresses: [10.77.9.8], conditions: {ready: false, serving: true, terminating: true}}
ports: [{name: probes, port: 9180, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: hyperway-pods-6
  namespace: hyperway-system
  labels: {kubernetes.io/service-name: hyperway-pods}
addressType: IPv6
endpoints: [{addresses: ["fd00:77::9"], conditions: {ready: true}}]
ports: [{name: probes, port: 9180, protocol: TCP}]
"""


def gateway(name, *ports, **spec):
    """A Gateway with an HTTP listener on each port."""
    listeners = [{"name": f"p{port}", "port": port, "protocol": "HTTP"} for port in ports]
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"gatewayClassName": "hyperway", "listeners": listeners, **spec}}


def targets(service):
    """{port: target port} of a Service."""
    return {port["port"]: port["targetPort"] for port in service["spec"]["ports"]}


class Replica:
    """A hyperway whose Gateways are in a file and whose Services are in the cluster."""

    def __init__(self, folder, kubeconfig, admin):
        self.folder = folder
        os.makedirs(os.path.join(folder, "manifests"), exist_ok=True)
        config = {
            "sources": [{"plugin": "file_source", "config": {"paths": [folder + "/manifests"]}}],
            "sinks": [{"plugin": "proxy"},
                      {"plugin": "gateway_deployer",
                       "config": {"pods_service": "hyperway-system/hyperway-pods",
                                  "target_ports": "10000-10004", "kubeconfig": kubeconfig,
                                  "lease": {"namespace": "hyperway-system"}}}],
            "gateways": {"addresses": "services"},
            "admin": {"address": f"127.0.0.1:{admin}", "socket": folder + "/admin.sock"}}
        with open(folder + "/hyperway.yaml", "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file)
        self.process = None

    def put(self, *gateways):
        """Replaces all Gateways."""
        controller = {"controllerName": "hyperway.arloor.dev/gateway-controller"}
        classes = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
                   "metadata": {"name": "hyperway"}, "spec": controller}
        path = os.path.join(self.folder, "manifests/gateways.yaml")
        with open(path + ".new", "w", encoding="utf-8") as file:
            yaml.safe_dump_all([classes, *gateways], file)
        os.rename(path + ".new", path)

    def start(self):
        """Starts the process."""
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(harness.ROOT, "build/release/bin/hyperway"), "run", "--config",
                 self.folder + "/hyperway.yaml"], stdout=log, stderr=log)

    def end(self, number=signal.SIGTERM):
        """Ends it, and waits for that."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=40)

    def status(self):
        """What `hyperway status` prints; nothing while nobody answers."""
        return subprocess.run([os.path.join(harness.ROOT, "build/release/bin/hyperway"), "status",
                               "--socket", self.folder + "/admin.sock"],
                              capture_output=True, text=True, check=False).stdout


class GatewayDeployerTest(unittest.TestCase):
    """One story after the other on one cluster, each with Gateways of its own."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(harness.Cluster(
            apply=["deploy/gateway-api-direct-rbac.yaml"], crds=None))
        cls.cluster.enter_network()
        cls.addClassCleanup(cls.cluster.leave_network)
        cls.cluster.apply(PODS)
        token = cls.cluster.kubectl("create", "token", "hyperway", "-n", "hyperway-system").strip()
        cls.folder = tempfile.mkdtemp(prefix="hyperway-deployer-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.kubeconfig = cls.folder + "/kubeconfig"
        with open(cls.kubeconfig, "w", encoding="utf-8") as file:
            yaml.safe_dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {
                    "server": "https://10.77.0.1:6443",
                    "certificate-authority": os.path.join(cls.cluster.dir, "pki/ca.crt")}}],
                "users": [{"name": "u", "user": {"token": token}}]}, file)
        cls.one = Replica(cls.folder + "/one", cls.kubeconfig, 9191)
        cls.one.put()
        cls.one.start()
        cls.addClassCleanup(cls.one.end)

    def setUp(self):
        self.one.put()
        self.until("all is gone", lambda: not self.ours())

    def until(self, what, look, **more):
        """See Cluster.until."""
        return self.cluster.until(what, look, **more)

    def ours(self):
        """Names of the Services and EndpointSlices that hyperway has made."""
        label = "?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dhyperway"
        return [item["metadata"]["name"] for path in (SERVICES, SLICES)
                for item in self.cluster.get(path + label)["items"]]

    def service(self, name):
        """A Service, once it is there with an address."""
        return self.until(f"Service {name} has an address", lambda: (
            found := self.cluster.get(f"{SERVICES}/{name}"))["status"]["loadBalancer"].get("ingress")
            and found)

    def test_each_gateway_has_an_address_and_target_ports_of_its_own(self):
        infrastructure = {"labels": {"key2": "v2"}, "annotations": {"key1": "v1"}}
        self.one.put(gateway("a", 80, 8080, infrastructure=infrastructure),
                     gateway("b.c", 80, addresses=[{"value": "10.78.0.77"}]),
                     gateway("d" * 253, 443))
        a = self.service("hyperway-a")
        self.assertEqual(a["metadata"]["labels"]["key2"], "v2")
        self.assertEqual(a["metadata"]["labels"]["gateway.networking.k8s.io/gateway-name"], "a")
        self.assertEqual(a["metadata"]["annotations"]["key1"], "v1")
        self.assertNotIn("selector", a["spec"])
        names = self.until("all Services are there", lambda: (
            found := [n for n in self.ours() if "ipv" not in n]) and len(found) == 3 and found)
        used = [port for name in names for port in targets(self.service(name)).values()]
        self.assertEqual(len(set(used)), 4)
        self.assertTrue(all(10000 <= port <= 10004 for port in used), used)
        b = self.service(next(n for n in names if n.startswith("hyperway-b-c-")))
        self.assertEqual([i["ip"] for i in b["status"]["loadBalancer"]["ingress"]], ["10.78.0.77"])
        four = self.until("its IPv4 slice", lambda: self.cluster.get(f"{SLICES}/hyperway-a-ipv4"))
        six = self.until("its IPv6 slice", lambda: self.cluster.get(f"{SLICES}/hyperway-a-ipv6"))
        self.assertEqual([e["addresses"] for e in four["endpoints"]], [["10.77.9.8"], ["10.77.9.9"]])
        self.assertEqual(four["endpoints"][0]["conditions"],
                         {"ready": False, "serving": True, "terminating": True})
        self.assertEqual([e["addresses"] for e in six["endpoints"]], [["fd00:77::9"]])
        self.assertEqual({p["name"]: p["port"] for p in four["ports"]},
                         {f"tcp-{port}": target for port, target in targets(a).items()})

    def test_fields_of_others_survive_and_ours_are_put_right(self):
        self.one.put(gateway("a", 80, infrastructure={"labels": {"mine": "1"}}))
        before = targets(self.service("hyperway-a"))
        self.cluster.kubectl("annotate", "service", "hyperway-a", "foreign=yes")
        self.cluster.kubectl("patch", "service", "hyperway-a", "--type=merge", "-p",
                             '{"spec": {"externalTrafficPolicy": "Local"}}')
        self.cluster.kubectl("patch", "service", "hyperway-a", "--type=json", "-p",
                             '[{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9180}]')
        self.until("the target port is right again", lambda: targets(
            self.cluster.get(f"{SERVICES}/hyperway-a")) == before)
        self.one.put(gateway("a", 80, 81))
        changed = self.until("the label is gone", lambda: (
            found := self.cluster.get(f"{SERVICES}/hyperway-a"))
            and "mine" not in found["metadata"]["labels"] and found)
        self.assertEqual(changed["metadata"]["annotations"]["foreign"], "yes")
        self.assertEqual(changed["spec"]["externalTrafficPolicy"], "Local")
        self.assertEqual(targets(changed)[80], before[80])

    def test_what_was_made_by_post_is_owned_by_apply_so_that_a_port_that_goes_is_gone(self):
        self.one.put(gateway("a", 80, 81))
        self.service("hyperway-a")

        def owners(path):
            fields = self.cluster.get(path)["metadata"]["managedFields"]
            return {f["operation"] for f in fields if f["manager"] == "hyperway"}
        for path in (f"{SERVICES}/hyperway-a", f"{SLICES}/hyperway-a-ipv4"):
            self.until("it is owned by apply alone", lambda p=path: owners(p) == {"Apply"})
        self.one.put(gateway("a", 81))
        self.until("the port is gone", lambda: set(targets(self.cluster.get(f"{SERVICES}/hyperway-a"))) == {81})

    def test_an_endpoint_slice_of_somebody_else_is_left_alone_and_the_status_says_so(self):
        status, _ = self.cluster.request("POST", SLICES, {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "hyperway-a-ipv4"},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.77.9.1"]}], "ports": []})
        self.assertEqual(status, 201)
        self.addCleanup(self.cluster.request, "DELETE", f"{SLICES}/hyperway-a-ipv4")
        self.one.put(gateway("a", 80))
        self.until("the status says it", lambda: (
            "EndpointSlice default/hyperway-a-ipv4 is there already, and was not made by hyperway"
            in self.one.status()))
        foreign = self.cluster.get(f"{SLICES}/hyperway-a-ipv4")
        self.assertEqual(foreign["endpoints"][0]["addresses"], ["10.77.9.1"])

    def test_a_service_of_somebody_else_is_left_alone_and_the_status_says_so(self):
        status, _ = self.cluster.request("POST", SERVICES, {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "hyperway-a"},
            "spec": {"ports": [{"port": 80}]}})
        self.assertEqual(status, 201)
        self.one.put(gateway("a", 80), gateway("b", 80))
        self.service("hyperway-b")
        self.until("the status says it", lambda: (
            "Service default/hyperway-a is there already, and was not made by hyperway"
            in self.one.status()))
        foreign = self.cluster.get(f"{SERVICES}/hyperway-a")
        self.assertEqual(targets(foreign), {80: 80})
        self.cluster.request("DELETE", f"{SERVICES}/hyperway-a")
        self.service("hyperway-a")

    def test_a_port_range_that_is_used_up_is_told(self):
        self.one.put(gateway("a", 80, 81, 82, 83), gateway("b", 80, 81))
        self.until("the status says it", lambda: "no target port is free" in self.one.status())
        self.assertEqual(len(targets(self.service("hyperway-a"))), 4)
        self.assertEqual(len(targets(self.service("hyperway-b"))), 1)

    def test_another_replica_goes_on_where_the_first_one_ended(self):
        self.one.put(gateway("a", 80), gateway("b", 80))
        before = {name: targets(self.service(name)) for name in ("hyperway-a", "hyperway-b")}
        two = Replica(self.folder + "/two", self.kubeconfig, 9192)
        two.put(gateway("b", 80), gateway("c", 80))
        two.start()
        self.addCleanup(self.one.start)
        self.addCleanup(two.end)
        self.one.end()
        self.service("hyperway-c")
        self.assertEqual(targets(self.service("hyperway-b")), before["hyperway-b"])
        self.until("what nobody wants is gone", lambda: sorted(
            n for n in self.ours() if "ipv" not in n) == ["hyperway-b", "hyperway-c"])
        two.put()
        self.until("all is gone", lambda: not self.ours())

    def test_no_call_is_denied(self):
        self.one.put(gateway("a", 80))
        self.service("hyperway-a")
        events = self.cluster.audit(ACCOUNT)
        self.assertTrue(events)
        denied = [(e["verb"], e["requestURI"]) for e in harness.denied(events)]
        self.assertEqual(denied, [])


if __name__ == "__main__":
    unittest.main()
