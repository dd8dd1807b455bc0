# SPDX-License-Identifier: Apache-2.0
"""Flags that are shorthand for settings, and exit codes that tell what went wrong."""
import os
import unittest

from harness import gateway as gw
from harness.backend import Backend
from harness.case import Case, until
from harness.client import ask
from harness.manifests import app, gateway, gateway_class, listener, route
from harness.ports import free_port


class Flags(Case):
    def start(self, *flags, controller=None):
        """A gateway by flags alone, on a class of the given controller."""
        backend = self.use(Backend("app"))
        self.listener = free_port()
        kind = gateway_class()
        if controller:
            kind["spec"]["controllerName"] = controller
        return self.use(gw.Gateway(kind, gateway([listener(port=self.listener)]), *app("app", backend), route(),
                                   flags=["--gateway-api-config-file", "{manifests}", "--workers", "1", *flags],
                                   ready=False))

    def test_a_log_file_by_the_ancestors_flags(self):
        process = self.start("--log-dir", "{folder}", "--log-file", "mine.log")
        path = os.path.join(process.folder, "mine.log")

        def ready():
            with open(path, encoding="utf-8") as file:
                return "ready" in file.read()
        until(ready, 15)

    def test_another_controller_name_takes_other_classes(self):
        self.start("--gateway-api-k8s-controller-name", "example.com/mine", controller="example.com/mine")
        until(lambda: ask(self.listener).body == b"app", 15)

    def test_classes_of_others_are_left_alone(self):
        process = self.start("--socket", "{folder}/admin.sock", controller="example.com/other")
        until(lambda: process.run("status", "--socket", process.socket).returncode == 0, 15)
        with self.assertRaises(OSError):
            ask(self.listener, timeout=1)
        self.assertIn("no object of ours", process.run("status", "--socket", process.socket).stdout)

    def test_an_empty_namespace_means_all(self):
        self.start("--gateway-api-k8s-namespace", "")
        until(lambda: ask(self.listener).body == b"app", 15)


class ExitCodes(Case):
    def test_usage_configuration_and_absence_differ(self):
        process = self.use(gw.Gateway(start=False))
        bad = os.path.join(process.folder, "bad.yaml")
        with open(bad, "w", encoding="utf-8") as file:
            file.write("workerz: 1\n")
        rows = ((["--nonsense"], 64), ([], 64), (["explain", "GET"], 64), (["run", "--config", bad], 78),
                (["check", "--config", bad], 78), (["run", "--config", "/nonexistent"], 78),
                (["status", "--socket", "/nonexistent.sock"], 69), (["version"], 0), (["help"], 0), (["schema"], 0),
                (["--gateway-api-config-file", process.manifests, "--log-dir", "/nonexistent"], 71))
        for arguments, code in rows:
            with self.subTest(arguments):
                done = process.run(*arguments)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
