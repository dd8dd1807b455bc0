# SPDX-License-Identifier: Apache-2.0
"""The ancestor's own command lines, with all of its flags, in each of its modes, in the forms `--flag value` and `--flag=value`:
they start what they always started, and each flag does what it did."""
import os
import unittest

from harness import gateway as gw
from harness.backend import Backend
from harness.case import Case, until
from harness.client import ask
from harness.kubernetes import Kubernetes
from harness.manifests import app, gateway, gateway_class, listener, route
from harness.ports import free_port

MINE = "example.com/mine"


def joined(flags):
    """["--a", "b", "--c"] as ["--a=b", "--c"]."""
    out = []
    for word in flags:
        if word.startswith("--"):
            out.append(word)
        else:
            out[-1] += "=" + word
    return out


class CommandLines(Case):
    limit_seconds = 60

    def setUp(self):
        super().setUp()
        self.port, self.app = free_port(), self.use(Backend("app"))
        self.objects = [gateway_class(controller=MINE), gateway([listener(port=self.port)]), *app("app", self.app), route()]

    def served(self):
        """True if the route is served."""
        return ask(self.port).body == b"app"

    def gone(self):
        """True if nobody listens any more."""
        try:
            ask(self.port, timeout=1)
        except ConnectionRefusedError:
            return True
        return False

    def forms(self, flags):
        """Both forms of a command line, each as a test of its own."""
        for form in (flags, joined(flags)):
            with self.subTest(form):
                yield form
                until(self.gone, 15)

    def start(self, stack, flags, program="hyperway", objects=(), **kwargs):
        """A process of these flags."""
        process = gw.Gateway(*objects, flags=flags, program=program, ready=False, **kwargs)
        stack.append(process)
        return process

    def end(self, stack):
        """Ends them in turn."""
        while stack:
            stack.pop().stop()

    def says(self, process, name, what):
        """Waits until that log file of the process says something."""
        def look():
            with open(os.path.join(process.folder, name), encoding="utf-8") as file:
                return what in file.read()
        until(look, 15, f"{name}: {what}")

    def test_file_mode(self):
        for flags in self.forms(["--gateway-api-config-file", "{manifests}", "--gateway-api-k8s-controller-name", MINE,
                                 "--log-dir", "{folder}", "--log-file", "mine.log"]):
            stack = []
            self.addCleanup(self.end, stack)
            process = self.start(stack, flags, objects=self.objects)
            until(self.served, 15)
            self.says(process, "mine.log", "ready")
            self.end(stack)

    def test_direct(self):
        for flags in self.forms(["--gateway-api-k8s-sync", "--gateway-api-k8s-namespace", "default",
                                 "--gateway-api-k8s-poll-seconds", "30", "--gateway-api-k8s-controller-name", MINE,
                                 "--log-dir", "{folder}"]):
            stack = []
            self.addCleanup(self.end, stack)
            with Kubernetes() as cluster:
                cluster.apply(*self.objects)
                process = self.start(stack, flags, environment={"KUBECONFIG": cluster.kubeconfig})
                until(self.served, 15)
                self.says(process, "proxy.log", "ready")
                self.assertEqual(cluster.asked("GET", "/v1/httproutes"), 0)
                self.assertGreater(cluster.asked("GET", "/namespaces/default/httproutes"), 0)
                self.assertEqual(cluster.asked("GET", "routesnapshots"), 0)
                self.end(stack)

    def test_snapshot(self):
        for flags in self.forms(["--gateway-api-snapshot-name", "routes", "--gateway-api-snapshot-namespace", "gateways",
                                 "--gateway-api-k8s-namespace", "default", "--gateway-api-k8s-poll-seconds", "30",
                                 "--gateway-api-k8s-controller-name", MINE, "--log-dir", "{folder}"]):
            reader = ["--gateway-api-snapshot-name", "routes", "--gateway-api-snapshot-namespace", "gateways",
                      "--gateway-api-snapshot-poll-seconds", "5", "--log-dir", "{folder}", "--log-file", "mine.log"]
            if flags[0].count("="):
                reader = joined(reader)
            stack = []
            self.addCleanup(self.end, stack)
            with Kubernetes() as cluster:
                cluster.apply(*self.objects)
                environment = {"KUBECONFIG": cluster.kubeconfig}
                plane = self.start(stack, reader, environment=environment)
                self.says(plane, "mine.log", "RouteSnapshot gateways/routes does not exist yet")
                controller = self.start(stack, flags, program="hyperway_controller", environment=environment)
                until(self.served, 15)
                self.says(controller, "gateway-controller.log", "ready")
                self.assertIn(("routesnapshots", "gateways/routes"), cluster.objects)
                self.assertEqual(cluster.asked("GET", "/v1/httproutes"), 0)
                self.end(stack)

    def test_a_snapshot_is_called_default_slash_name_unless_told_otherwise(self):
        stack = []
        self.addCleanup(self.end, stack)
        with Kubernetes() as cluster:
            cluster.apply(gateway_class(), *self.objects[1:])
            environment = {"KUBECONFIG": cluster.kubeconfig}
            for program in ("hyperway_controller", "hyperway"):
                self.start(stack, ["--gateway-api-snapshot-name", "routes"], program=program, environment=environment)
            until(self.served, 15)
            self.assertIn(("routesnapshots", "default/routes"), cluster.objects)
            self.end(stack)


if __name__ == "__main__":
    unittest.main()
