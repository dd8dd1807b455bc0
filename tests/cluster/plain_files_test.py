# SPDX-License-Identifier: Apache-2.0
"""The plain files of deploy/, applied in the order that they and deploy/README.md document, bring up the demo."""
import http.client
import json
import os
import re
import unittest

import yaml

import harness
import shop

DEPLOY = os.path.join(harness.ROOT, "deploy")
DEMO = "demo.example"


def read(name):
    """A file of deploy/."""
    with open(os.path.join(DEPLOY, name), encoding="utf-8") as file:
        return file.read()


def documented_order(manifest):
    """The files that the comment at the head of a manifest applies, in this order."""
    head = read(manifest).split("\napiVersion:", 1)[0].replace("\\\n#", " ")
    command = next(line for line in head.splitlines() if "kubectl apply" in line)
    return re.findall(r"-f (\S+)", command)


def shapes():
    """{last file: files in their order} as the table of deploy/README.md has them."""
    found = {}
    for row in read("README.md").splitlines():
        files = re.findall(r"`([\w.-]+\.yaml)`", row.split("|")[2] if row.startswith("|") else "")
        if len(files) > 1:
            found[files[-1]] = files
    return found


class PlainFiles(unittest.TestCase):
    """A cluster for each: they are what a user begins with."""

    def start(self, manifest, deployment="hyperway"):
        """A cluster with the files of a shape, applied one after the other by kubectl, and the demo."""
        cluster = self.enterContext(harness.Cluster())
        cluster.enter_network()
        self.addCleanup(cluster.leave_network)
        for name in [*documented_order(manifest), "gateway-api-demo.yaml"]:
            cluster.kubectl("apply", "-f", os.path.join(DEPLOY, name), "--server-side")
            if name.endswith("-crd.yaml"):
                cluster.kubectl("wait", "--for=condition=Established", "-f", os.path.join(DEPLOY, name))
        cluster.wait(f"deployment/{deployment}", "Available", namespace="hyperway-system")
        cluster.wait("deployment/demo", "Available")
        cluster.wait("gateway/hyperway", "Programmed")
        return cluster

    def check_demo(self, cluster):
        """The demo answers under its Gateway's address as its file says."""
        address = cluster.get(f"{shop.GATEWAYS}/hyperway")["status"]["addresses"][0]["value"]
        # A right that was refused, because the server does not know the Role yet, is tried again after 30 s.
        status, body = cluster.until("the backend answers", lambda: (
            answer := shop.ask(address, DEMO, "/path", port=80))[0] == 200 and answer, seconds=60)
        told = json.loads(body)
        self.assertEqual((status, told["path"], told["host"]), (200, "/path", DEMO))
        self.assertEqual(told["headers"]["X-Demo"], ["hyperway"])
        self.assertRegex(told["pod"], "^demo-")
        connection = http.client.HTTPConnection(address, 80, timeout=5)
        self.addCleanup(connection.close)
        connection.request("GET", "/old/thing", headers={"Host": DEMO})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.getheader("Location")), (301, f"http://{DEMO}/thing"))
        answer.read()
        self.assertEqual(shop.ask(address, "other.example", port=80)[0], 404)

    def check_rights(self, cluster):
        """No request of ours was refused."""
        for account in ("hyperway", "hyperway-controller"):
            events = cluster.audit("system:serviceaccount:hyperway-system:" + account)
            self.assertEqual([e["requestURI"] for e in harness.denied(events)], [])

    def test_the_table_names_the_files_in_the_order_of_their_comments(self):
        found = shapes()
        for manifest in ("gateway-api-direct.yaml", "gateway-api-merged.yaml", "gateway-api-snapshot-shared.yaml",
                         "gateway-api-snapshot-deployed.yaml", "gateway-api-sidecar.yaml"):
            with self.subTest(manifest):
                self.assertEqual(found[manifest], documented_order(manifest))
        for manifest, files in found.items():
            with self.subTest(manifest):
                self.assertEqual(files, documented_order(manifest))
        named = {name for files in found.values() for name in files}
        others = {"gateway-api-demo.yaml", "gateway-api-argocd-dashboard.yaml"}
        self.assertEqual({name for name in os.listdir(DEPLOY) if name.endswith(".yaml")}, named | others)

    def test_mode_b_brings_up_the_demo(self):
        cluster = self.start("gateway-api-direct.yaml")
        self.check_demo(cluster)
        self.check_rights(cluster)

    def test_mode_a_brings_up_the_demo(self):
        cluster = self.start("gateway-api-snapshot-shared.yaml")
        self.check_demo(cluster)
        self.check_rights(cluster)

    def test_mode_a_with_data_planes_for_each_gateway_brings_up_the_demo(self):
        cluster = self.start("gateway-api-snapshot-deployed.yaml", "hyperway-controller")
        self.check_demo(cluster)
        self.assertEqual(harness.denied(cluster.audit("system:serviceaccount:hyperway-system:hyperway-controller")), [])

    def test_controller_and_data_plane_in_one_pod_bring_up_the_demo(self):
        cluster = self.start("gateway-api-sidecar.yaml")
        self.check_demo(cluster)
        self.check_rights(cluster)
        self.check_example(cluster)

    def check_example(self, cluster):
        """The complete example is accepted; its backend and its certificate are not here, and that is said."""
        cluster.kubectl("create", "namespace", "argocd")
        cluster.kubectl("apply", "--server-side", "-f", os.path.join(DEPLOY, "gateway-api-argocd-dashboard.yaml"))
        routes = f"{shop.GATEWAY_API}/namespaces/argocd/httproutes"
        for name, resolved in (("argocd-redirect", ("True", "ResolvedRefs")), ("argocd", ("False", "BackendNotFound"))):
            found = cluster.until(name, lambda n=name: shop.conditions(
                cluster.get(f"{routes}/{n}")["status"]["parents"][0]))
            self.assertEqual((found["Accepted"], found["ResolvedRefs"]), (("True", "Accepted"), resolved))
        address = cluster.until("its address", lambda: cluster.get(
            f"{shop.GATEWAY_API}/namespaces/argocd/gateways/argocd")["status"]["addresses"])[0]["value"]
        cluster.until("it leads to https", lambda: shop.ask(address, "argocd.example.com", port=80)[0] == 301)

    def test_manifests_are_yaml_of_one_namespace(self):
        for name in sorted(os.listdir(DEPLOY)):
            if name.endswith(".yaml"):
                with self.subTest(name):
                    documents = list(yaml.safe_load_all(read(name)))
                    spaces = {d["metadata"]["namespace"] for d in documents if "namespace" in d["metadata"]}
                    self.assertLessEqual(len(spaces), 1)


if __name__ == "__main__":
    unittest.main()
