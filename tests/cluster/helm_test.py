# SPDX-License-Identifier: Apache-2.0
"""The chart and the image on a real API server: installed, upgraded and rolled back under load, and uninstalled without a trace.

A client never retries; what is no complete, right answer has failed (decision 19 of docs/architecture.md).
"""
import collections
import copy
import http.client
import json
import os
import re
import subprocess
import tempfile
import textwrap
import threading
import time
import unittest

import yaml

import harness
import shop
from shop import GATEWAYS, PODS, SERVICES

HELM = os.path.join(harness.BUILD, "helm")
CHART = os.path.join(harness.ROOT, "deploy/helm/hyperway")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# A filter of somebody else, which an init container brings along.
PLUGIN = os.path.join(harness.ROOT, "tests/package/out_of_tree/hello.c")
VALUES = {"crds": {"keep": False}}
PLUGINS = {"plugins": {"files": [{"name": "hello_c"}],
                "initContainers": [{"name": "hello", "image": "hello-plugin:1", "command": ["sh", "-c"],
                                    "args": ["cp /hello_c.so /plugins/ && chmod 755 /plugins/hello_c.so"]}]}}
WANTED = [
    {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "shop", "namespace": "default"},
     "spec": {"gatewayClassName": "hyperway", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}},
    {"apiVersion": "hyperway.arloor.dev/v1alpha1", "kind": "Filter", "metadata": {"name": "hello", "namespace": "default"},
     "spec": {"plugin": "hello_c", "config": {}}},
    {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "shop", "namespace": "default"},
     "spec": {"parentRefs": [{"name": "shop"}], "rules": [{
         "filters": [{"type": "ExtensionRef",
                      "extensionRef": {"group": "hyperway.arloor.dev", "kind": "Filter", "name": "hello"}}],
         "backendRefs": [{"name": "backend", "port": 80}]}]}}]
PATHS = (f"{shop.ROUTES}/shop", "/apis/hyperway.arloor.dev/v1alpha1/namespaces/default/filters/hello", f"{GATEWAYS}/shop")


class Client(threading.Thread):
    """Asks the Gateway's address again and again, on a kept connection or on a fresh one each time; each third request
    is a POST, which nobody may send twice."""

    def __init__(self, address, kept, said, stop):
        super().__init__(daemon=True)
        self.address, self.kept, self.said, self.stop = address, kept, said, stop
        self.answers, self.failures = 0, []

    def run(self):
        """Asks until it is told to stop, or too much has failed."""
        connection, number = None, 0
        while not self.stop.is_set() and len(self.failures) < 10:
            number += 1
            body = b"x" * 1000 if number % 3 == 0 else None
            connection = connection or http.client.HTTPConnection(self.address, 80, timeout=10)
            try:
                connection.request("POST" if body else "GET", "/", body)
                answer = connection.getresponse()
                if (answer.status, answer.read(), answer.getheader("x-hello")) != (200, b"hello", self.said):
                    raise AssertionError(f"{answer.status} {answer.getheaders()}")
                self.answers += 1
            except Exception as error:  # noqa: BLE001 (whatever it is, this request has failed)
                self.failures.append(f"{time.strftime('%X')} kept={self.kept} {number}: {error!r}")
                connection.close()
                connection = None
                continue
            if not self.kept or answer.will_close:
                connection.close()
                connection = None
            time.sleep(0.005)  # two cores: the load is there to ask all the time, not to fill the machine
        if connection is not None:
            connection.close()


class Backend(shop.Backend):
    """Answers POSTs too."""

    class _Handler(shop.Backend._Handler):
        def do_POST(self):
            """Takes the body first."""
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()


class HelmTest(unittest.TestCase):
    """One cluster for all: each test leaves it as it was, which is one of the things tested."""

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="hyperway-plugin-"))
        os.chmod(folder, 0o755)
        plugin = os.path.join(folder, "hello_c.so")
        subprocess.run(["cc", "-std=c11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-I",
                        os.path.join(harness.ROOT, "core/include"), PLUGIN, "-o", plugin], check=True)
        image = os.path.join(harness.ROOT, "packaging/image.py")
        subprocess.run(["/usr/bin/python3", image, "build", "--tree", os.path.join(harness.ROOT, "build/release"),
                        "--out", os.path.join(folder, "image")], check=True)
        unpacked = os.path.join(folder, "root")
        subprocess.run(["/usr/bin/python3", image, "unpack", os.path.join(folder, "image/hyperway"), unpacked], check=True)
        cls.cluster = cls.enterClassContext(harness.Cluster(
            apply=["tests/cluster/namespace.yaml"],
            images=[{"name": "hyperway", "root": unpacked, "entrypoint": ["/hyperway"], "user": 65532},
                    {"name": "hello-plugin", "entrypoint": ["/bin/sh"], "files": {"/hello_c.so": plugin}}]))
        cls.cluster.enter_network()
        cls.addClassCleanup(cls.cluster.leave_network)
        backend = cls.enterClassContext(Backend())
        for path, body in ((SERVICES, shop.service("backend")), (shop.SLICES, shop.endpoint_slice("backend", backend.port))):
            status, answer = cls.cluster.request("POST", path, body)
            assert status == 201, answer

    def helm(self, *arguments, values=None, check=True):
        """Output of helm."""
        command = ["exec", "--", HELM, *arguments, "--namespace", "hyperway-system"]
        if values is not None:
            command += ["--values", "-"]
        done = self.cluster.run(*command, text_in=json.dumps(values) if values is not None else None, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def install(self, values):
        """Output of an installation, which ends with the test at the latest."""
        self.addCleanup(lambda: self.helm("uninstall", "hyperway", "--ignore-not-found", "--wait", check=False))
        return self.helm("install", "hyperway", CHART, "--wait", "--timeout", "2m", values=values)

    def inventory(self):
        """(kind, namespace, name) of all objects but those that tell of something that has happened."""
        kinds = self.cluster.kubectl("api-resources", "--verbs=list", "-o", "name").split()
        kinds = sorted(set(kinds) - {"events", "events.events.k8s.io", "componentstatuses"})
        listed = self.cluster.kubectl("get", ",".join(kinds), "-A", "--ignore-not-found", "--no-headers", "-o",
                                      "custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name")
        return collections.Counter(tuple(line.split()) for line in listed.splitlines())

    def all_pods(self):
        """All Pods of ours: in the namespace default are those of a Gateway's own data planes."""
        return self.cluster.get(PODS)["items"] + self.cluster.get("/api/v1/namespaces/default/pods")["items"]

    def pods(self):
        """Names of those that are not ending."""
        return {pod["metadata"]["name"] for pod in self.all_pods() if "deletionTimestamp" not in pod["metadata"]}

    def use(self, filtered):
        """The Gateway and its route, with or without the filter; its address, once they are served."""
        wanted = copy.deepcopy(WANTED)
        if not filtered:
            del wanted[2]["spec"]["rules"][0]["filters"]
        self.cluster.apply("\n---\n".join(json.dumps(document) for document in wanted))
        self.cluster.wait("gateway/shop", "Programmed")
        address = self.cluster.get(f"{GATEWAYS}/shop")["status"]["addresses"][0]["value"]
        # A right that was refused, because the server does not know the Role yet, is tried again after 30 s.
        self.cluster.until("it is served", lambda: shop.ask(address, port=80) == (200, "hello"), seconds=60)
        return address

    def test_direct(self):
        self.live("direct")

    def test_merged(self):
        self.live("merged")

    def test_snapshot_shared(self):
        self.live("snapshot-shared")

    def test_snapshot_deployed(self):
        self.live("snapshot-deployed")

    def live(self, mode):
        """A release from its beginning to its end."""
        before = self.inventory()
        filtered = mode != "snapshot-deployed"
        values = {**VALUES, **(PLUGINS if filtered else {}), "mode": mode}
        self.install(values)
        address = self.use(filtered)
        self.look_at_processes()
        stop = threading.Event()
        self.addCleanup(stop.set)
        clients = [Client(address, kept, "from C" if filtered else None, stop) for kept in (True, True, False, False)]
        for client in clients:
            client.start()
        pods = self.pods()
        self.change(mode, pods, lambda: self.helm("upgrade", "hyperway", CHART, "--wait", "--timeout", "2m", values={
            **values, "config": {"timeouts": {"idle": "70s"}}, "controllerConfig": {"trace_context": True},
            "gatewayValues": {"accessLog": "json"}}))
        pods = self.pods()
        self.look_at_definitions(mode, lambda: self.change(
            mode, pods, lambda: self.helm("rollback", "hyperway", "1", "--wait", "--timeout", "2m")))
        stop.set()
        for client in clients:
            client.join()
        self.assertEqual([failure for client in clients for failure in client.failures], [])
        for client in clients:
            self.assertGreater(client.answers, 100)
        print(f"{mode}: {sum(client.answers for client in clients)} requests beside upgrade and rollback, 0 failed")
        for path in PATHS:
            self.cluster.request("DELETE", path)
        if mode != "merged":
            self.cluster.until("the Gateway's Service is gone", lambda: [s["metadata"]["name"] for s in self.cluster.get(
                SERVICES)["items"]] == ["backend", "kubernetes"])
        self.cluster.until("all that hyperway made is gone", lambda: not self.cluster.kubectl(
            "get", "services,serviceaccounts,configmaps,deployments,roles,rolebindings", "-A", "-o", "name", "-l",
            "app.kubernetes.io/managed-by=hyperway").strip())
        self.helm("uninstall", "hyperway", "--wait", "--timeout", "2m")
        self.cluster.until("nothing is left", lambda: self.inventory() == before or self.fail_late(before), seconds=90)

    def fail_late(self, before):
        """What is left, or missing, as an error that is tried again."""
        now = self.inventory()
        raise harness.ClusterError(f"left: {sorted(now - before)}, missing: {sorted(before - now)}")

    def change(self, mode, pods, upgrade):
        """An upgrade that replaces all Pods."""
        upgrade()
        self.cluster.until("all Pods are new ones", lambda: not self.pods() & pods and len(self.pods()) == len(pods),
                           seconds=60)
        self.cluster.until("the old ones are gone", lambda: not pods & {
            pod["metadata"]["name"] for pod in self.all_pods()}, seconds=60)
        self.assertEqual(len(pods), 4 if mode.startswith("snapshot") else 2)

    def look_at_definitions(self, mode, upgrade):
        """Definitions follow the chart at an upgrade; helm's folder crds/ would leave them as they were."""
        path = f"{CRDS}/filters.hyperway.arloor.dev"
        there = self.cluster.get(path)
        wanted = there["spec"]["versions"]
        self.assertTrue(wanted[0].pop("additionalPrinterColumns"))
        # As an older chart's, whoever of helm's writers applied it.
        writer = next(field["manager"] for field in there["metadata"]["managedFields"] if field["operation"] == "Apply")
        meta = {key: value for key, value in there["metadata"].items() if key in ("name", "labels", "annotations")}
        status, answer = self.cluster.request(
            "PATCH", f"{path}?fieldManager={writer}&force=true",
            {"apiVersion": there["apiVersion"], "kind": there["kind"], "metadata": meta, "spec": there["spec"]},
            "application/apply-patch+yaml")
        self.assertEqual((status, answer.get("spec", {}).get("versions")), (200, wanted), answer)
        upgrade()
        self.assertIn("additionalPrinterColumns", self.cluster.get(path)["spec"]["versions"][0])

    def look_at_processes(self):
        """Pods run as restricted as their namespace asks for, and the kernel says so."""
        namespace = self.cluster.get("/api/v1/namespaces/hyperway-system")
        self.assertEqual(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted")
        for pod in self.all_pods():
            name = pod["metadata"]["name"]
            process = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("process://")
            lines = self.cluster.on_node("cat", f"/proc/{process}/status").stdout.splitlines()
            status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
            with self.subTest(name):
                self.assertIn(status["Name"], (["hyperway"], ["hyperway_contro"]))
                self.assertEqual((status["Uid"], status["Gid"]), (["65532"] * 4, ["65532"] * 4))
                self.assertEqual(status["NoNewPrivs"], ["1"])
                for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                    self.assertEqual(int(status[kind][0], 16), 0)
                for folder in ("/", "/etc", "/plugins"):
                    done = self.cluster.on_node("touch", f"/proc/{process}/root{folder}/new")
                    self.assertIn("Read-only file system", done.stderr)
                self.assertEqual(self.cluster.on_node("ls", f"/proc/{process}/root/bin/sh").returncode, 2)  # it is our image

    def test_sidecar(self):
        """The notes' container, put into a Pod as it is printed, serves behind a Service of the user's."""
        before = self.inventory()
        said = self.install({"mode": "sidecar", "crds": {"keep": False}, "sidecar": {"service": "default/edge"}})
        snippet = re.search(r"^  containers:\n(?:    .*\n)+  volumes:\n(?:    .*\n)+", said, re.M).group()
        made = ((SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge"}, "spec": {
            "selector": {"app": "edge"}, "ports": [{"port": 80, "targetPort": 8080}]}}),
                ("/api/v1/namespaces/default/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {
                    "name": "edge", "labels": {"app": "edge"}}, "spec": yaml.safe_load(textwrap.dedent(snippet))}),
                (GATEWAYS, WANTED[0]), (shop.ROUTES, shop.redirect("beside")))
        for path, body in made:
            status, answer = self.cluster.request("POST", path, body)
            self.assertEqual(status, 201, answer)
        self.cluster.wait("pod/edge", "Ready")
        self.cluster.wait("gateway/shop", "Programmed")
        address = self.cluster.get(f"{GATEWAYS}/shop")["status"]["addresses"][0]["value"]
        self.assertEqual(address, self.cluster.get(SERVICES + "/edge")["spec"]["clusterIP"])
        self.cluster.until("it is served", lambda: shop.ask(address, "beside.example", port=80)[0] == 302)
        for account in ("default:default", "hyperway-system:hyperway-controller"):
            self.assertEqual([e["requestURI"] for e in harness.denied(
                self.cluster.audit("system:serviceaccount:" + account))], [])
        for path, body in reversed(made):
            self.cluster.request("DELETE", f"{path}/{body['metadata']['name']}")
        self.helm("uninstall", "hyperway", "--wait", "--timeout", "2m")
        self.cluster.until("nothing is left", lambda: self.inventory() == before or self.fail_late(before), seconds=90)

    def test_values_that_do_not_exist_are_refused_before_anything_is_made(self):
        before = self.inventory()
        said = self.helm("install", "hyperway", CHART, values={"replicaCount": 3}, check=False)
        self.assertIn("replicaCount", said)
        self.assertEqual(self.inventory(), before)


if __name__ == "__main__":
    unittest.main()
