# SPDX-License-Identifier: Apache-2.0
"""k8s_source on a real API server and through its faults: two replicas in the merged shape."""
import http.client
import json
import threading
import time
import unittest

import harness

ACCOUNT = "system:serviceaccount:hyperway-system:hyperway"
API = "/apis/gateway.networking.k8s.io/v1/namespaces/default"
ROUTES = API + "/httproutes"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/hyperway-system/leases/hyperway-status"
PODS = "/api/v1/namespaces/hyperway-system/pods"
WANTED = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  gatewayClassName: hyperway
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: v1
kind: Secret
metadata: {name: nobodys, namespace: default}
stringData: {key: value}
"""


def route(name):
    """An HTTPRoute that answers under NAME.example by itself."""
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"parentRefs": [{"name": "shop"}], "hostnames": [name + ".example"], "rules": [
                {"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 302}}]}]}}


class OnARealServer(unittest.TestCase):
    """One cluster for all."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(harness.Cluster(apply=[
            "deploy/filters-crd.yaml", "deploy/gateway-api-merged-rbac.yaml", "deploy/gateway-api-merged.yaml"]))
        cls.cluster.enter_network()
        cls.addClassCleanup(cls.cluster.leave_network)
        cls.cluster.wait("deployment/hyperway", "Available", namespace="hyperway-system")
        cls.cluster.apply(WANTED)
        cls.cluster.wait("gateway/shop", "Programmed")
        cls.create("stays")
        for pod in cls.pods():
            cls.cluster.until("it is served", lambda p=pod: cls.served("stays", p))

    @classmethod
    def create(cls, name):
        """Makes a route, as soon as the API server takes it."""
        cls.cluster.until("the route is made", lambda: cls.cluster.request("POST", ROUTES, route(name))[0] in (201, 409),
                          seconds=60)

    @classmethod
    def pods(cls):
        """Addresses of the replicas."""
        items = cls.cluster.get(PODS)["items"]
        return [p["status"]["podIP"] for p in items if "deletionTimestamp" not in p["metadata"]]

    @classmethod
    def served(cls, name, pod):
        """True if a replica answers for a route."""
        connection = http.client.HTTPConnection(pod, 8080, timeout=3)
        try:
            connection.request("GET", "/", headers={"Host": name + ".example"})
            return connection.getresponse().status == 302
        finally:
            connection.close()

    def check_right_again(self, name, pods, seconds=5):
        """Both replicas serve what there was all the time, and what is new within some seconds."""
        for pod in pods:
            self.assertTrue(self.served("stays", pod))
        self.create(name)
        began = time.monotonic()
        for pod in pods:
            self.cluster.until(f"{name} is served", lambda p=pod: self.served(name, p), seconds=seconds)
        self.assertLess(time.monotonic() - began, seconds)

    def parents(self, name):
        return self.cluster.get(f"{ROUTES}/{name}").get("status", {}).get("parents", [])

    def test_the_server_is_killed_and_comes_back(self):
        pods = self.pods()
        self.cluster.fault("stop", "kube-apiserver")
        for pod in pods:
            self.assertTrue(self.served("stays", pod))
        self.cluster.fault("start", "kube-apiserver")
        self.check_right_again("restarted", pods)

    def test_old_versions_are_compacted_away(self):
        pods = self.pods()
        self.cluster.fault("stop", "kube-apiserver")
        self.cluster.fault("compact")
        self.cluster.fault("start", "kube-apiserver")
        self.check_right_again("compacted", pods)

    def test_connections_are_cut(self):
        pods = self.pods()
        self.cluster.fault("cut", "default/kubernetes")
        self.check_right_again("cut", pods)

    def test_connections_are_half_open(self):
        pods = self.pods()
        self.cluster.fault("vanish", "default/kubernetes")
        # PING finds it: 5 s without a byte, 4 s without its answer.
        self.check_right_again("vanished", pods, seconds=15)

    def test_connections_stay_open_and_silent(self):
        pods = self.pods()
        self.cluster.fault("freeze", "default/kubernetes")
        self.create("frozen")
        for pod in pods:
            self.assertTrue(self.served("stays", pod))
            self.assertFalse(self.served("frozen", pod))
        self.cluster.fault("mend", "default/kubernetes")
        self.check_right_again("mended", pods)

    def test_tokens_rotate(self):
        pods = self.pods()
        self.cluster.fault("renew-tokens")
        self.cluster.fault("cut", "default/kubernetes")
        self.check_right_again("rotated", pods)

    def test_rights_are_taken_away_and_given_back(self):
        pods = self.pods()
        path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/hyperway"
        binding = self.cluster.get(path)
        self.assertEqual(self.cluster.request("DELETE", path)[0], 200)
        self.cluster.fault("cut", "default/kubernetes")
        self.cluster.until("it is denied", lambda: harness.denied(self.cluster.audit(ACCOUNT)))
        for pod in pods:
            self.assertTrue(self.served("stays", pod))
        self.assertEqual(self.cluster.request(
            "POST", path.rpartition("/")[0],
            {**binding, "metadata": {"name": "hyperway", "labels": binding["metadata"].get("labels", {})}})[0], 201)
        self.check_right_again("given-back", pods)

    def test_one_writes_and_the_other_takes_over_when_it_dies(self):
        holder = self.cluster.get(LEASE)["spec"]["holderIdentity"]
        dying = [p["metadata"]["name"] for p in self.cluster.get(PODS)["items"]
                 if holder.startswith(p["metadata"]["name"])]
        self.assertEqual(len(dying), 1, holder)
        self.cluster.request("DELETE", f"{PODS}/{dying[0]}?gracePeriodSeconds=0")
        self.create("orphan")
        self.cluster.until("its status is written", lambda: self.parents("orphan"), seconds=40)
        self.assertNotEqual(self.cluster.get(LEASE)["spec"]["holderIdentity"], holder)
        self.cluster.wait("deployment/hyperway", "Available", namespace="hyperway-system")
        self.cluster.until("both are there", lambda: len(self.pods()) == 2)

    def test_secrets_that_no_gateway_of_ours_names_are_never_read(self):
        read = [e["requestURI"] for e in self.cluster.audit(ACCOUNT)
                if e.get("objectRef", {}).get("resource") == "secrets"]
        self.assertEqual(read, [])

    def test_a_thousand_routes_get_a_status_each_and_then_nothing_is_written(self):
        def make(first):
            connection = self.cluster.connect()
            for i in range(first, 1000, 4):
                connection.request("POST", ROUTES, json.dumps(route(f"many-{i}")), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                self.assertEqual(answer.status, 201)
            connection.close()
        before = len(self.writes("gateways"))
        threads = [threading.Thread(target=make, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        def written():
            return [e for e in self.writes("httproutes") if e["objectRef"]["name"].startswith("many-")]
        for pod in self.pods():
            self.cluster.until("all are served", lambda p=pod: all(self.served(f"many-{i}", p) for i in (0, 500, 999)),
                               seconds=2)
        self.cluster.until("all statuses are written", lambda: len(written()) >= 1000, seconds=30, pause=0.5)
        self.cluster.until("the count of routes is right", lambda: self.cluster.get(
            API + "/gateways/shop")["status"]["listeners"][0]["attachedRoutes"] >= 1000)
        self.assertEqual(len(written()), 1000)
        self.assertLessEqual(len(self.writes("gateways")) - before, 20)
        still = len(self.writes("gateways")), len(self.writes("httproutes"))
        # "Then none": the rule is about time, which has to pass.
        time.sleep(60)
        self.assertEqual((len(self.writes("gateways")), len(self.writes("httproutes"))), still)

    def writes(self, resource):
        """Statuses of a resource that our account wrote."""
        return [e for e in self.cluster.audit(ACCOUNT) if e["verb"] == "patch"
                and e.get("objectRef", {}).get("resource") == resource and e["responseStatus"]["code"] == 200]


if __name__ == "__main__":
    unittest.main()
