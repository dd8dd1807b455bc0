# SPDX-License-Identifier: Apache-2.0
"""k8s_source on a real API server and through its faults: two replicas in the merged shape."""
import time
import unittest

import harness
import shop
from shop import ACCOUNT, ROUTES

LEASE = "/apis/coordination.k8s.io/v1/namespaces/hyperway-system/leases/hyperway-status"
SILENCE = 10  # seconds
NOBODYS = """
apiVersion: v1
kind: Secret
metadata: {name: nobodys, namespace: default}
stringData: {key: value}
"""


class OnARealServer(unittest.TestCase):
    """One cluster for all."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = shop.install(cls)
        cls.cluster.apply(NOBODYS)
        cls.create("stays")
        for pod in cls.pods():
            cls.cluster.until("it is served", lambda p=pod: cls.served("stays", p))

    @classmethod
    def create(cls, name):
        """Makes a route, as soon as the API server takes it."""
        cls.cluster.until("the route is made", lambda: cls.cluster.request(
            "POST", ROUTES, shop.redirect(name))[0] in (201, 409), seconds=60)

    @classmethod
    def pods(cls):
        """Addresses of the replicas."""
        return [address for address in shop.pods(cls.cluster).values() if address]

    @classmethod
    def served(cls, name, pod):
        """True if a replica answers for a route."""
        return shop.ask(pod, name + ".example")[0] == 302

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
        # PING finds it: 2 s without a byte, 2 s without its answer.
        self.check_right_again("vanished", pods)

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
        # Watches that are open go on; what they tell has a status that may not be written.
        self.cluster.until("the right is gone", lambda: not self.may_read_routes())
        self.create("refused")
        self.cluster.until("a status is refused", lambda: [
            e for e in harness.denied(self.cluster.audit(ACCOUNT)) if e["verb"] in ("get", "patch")
            and e.get("objectRef", {}).get("resource") == "httproutes"])
        self.cluster.fault("cut", "default/kubernetes")
        for pod in pods:
            self.assertTrue(self.served("stays", pod))
        self.assertEqual(self.cluster.request(
            "POST", path.rpartition("/")[0],
            {**binding, "metadata": {"name": "hyperway", "labels": binding["metadata"].get("labels", {})}})[0], 201)
        began = time.monotonic()
        self.check_right_again("given-back", pods)
        for name in ("refused", "given-back"):
            self.cluster.until(f"the status of {name} is written", lambda n=name: self.parents(n), seconds=5)
        self.assertLess(time.monotonic() - began, 5)

    def may_read_routes(self):
        """True if our account has the right."""
        what = {"group": "gateway.networking.k8s.io", "resource": "httproutes", "verb": "get", "namespace": "default"}
        return self.cluster.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": ACCOUNT, "resourceAttributes": what}})[1]["status"]["allowed"]

    def test_one_writes_and_the_other_takes_over_when_it_dies(self):
        holder = self.cluster.get(LEASE)["spec"]["holderIdentity"]
        pods = shop.pods(self.cluster)
        dying, = [name for name in pods if holder.startswith(name)]
        self.cluster.request("DELETE", f"{shop.PODS}/{dying}?gracePeriodSeconds=0")
        self.cluster.until("it is dead", lambda: not self.alive(pods[dying]))
        self.create("orphan")
        self.cluster.until("its status is written", lambda: self.parents("orphan"), seconds=40)
        self.assertNotEqual(self.cluster.get(LEASE)["spec"]["holderIdentity"], holder)
        self.cluster.until("two replicas serve", lambda: len(found := self.pods()) == 2 and all(
            self.served("orphan", pod) for pod in found))

    def alive(self, pod):
        """False if nobody listens there any more."""
        try:
            return self.served("stays", pod)
        except OSError:
            return False

    def test_secrets_that_no_gateway_of_ours_names_are_never_read(self):
        read = [e["requestURI"] for e in self.cluster.audit(ACCOUNT)
                if e.get("objectRef", {}).get("resource") == "secrets"]
        self.assertEqual(read, [])

    def test_routes_get_a_status_each_from_one_replica_and_then_nothing_is_written(self):
        # scale_test.py has the numbers and times that are promised; this one has two replicas.
        before = len(self.writes("gateways"))
        for i in range(100):
            self.assertEqual(self.cluster.request("POST", ROUTES, shop.redirect(f"many-{i}"))[0], 201)

        def written():
            return [e for e in self.writes("httproutes") if e["objectRef"]["name"].startswith("many-")]
        for pod in self.pods():
            self.cluster.until("all are served", lambda p=pod: all(self.served(f"many-{i}", p) for i in range(100)),
                               seconds=10)
        self.cluster.until("all statuses are written", lambda: len(written()) >= 100, pause=0.5)
        routes = len(self.cluster.get(ROUTES)["items"])
        self.cluster.until("the count of routes is right", lambda: self.cluster.get(
            shop.GATEWAYS + "/shop")["status"]["listeners"][0]["attachedRoutes"] == routes)
        self.assertEqual(len(written()), 100)
        self.assertLessEqual(len(self.writes("gateways")) - before, 20)
        # The audit log may be a moment behind the object.
        still = self.cluster.settle(lambda: (len(self.writes("gateways")), len(self.writes("httproutes"))))
        # "Then none": the rule is about time, which has to pass.
        time.sleep(SILENCE)
        self.assertEqual((len(self.writes("gateways")), len(self.writes("httproutes"))), still)

    def writes(self, resource):
        """Statuses of a resource that our account wrote."""
        return [e for e in self.cluster.audit(ACCOUNT) if e["verb"] == "patch"
                and e.get("objectRef", {}).get("resource") == resource and e["responseStatus"]["code"] == 200]


if __name__ == "__main__":
    unittest.main()
