# SPDX-License-Identifier: Apache-2.0
"""Plugins in a running gateway: loaded, replaced under load, refused, and misbehaving."""
import hashlib
import os
import shutil
import signal
import tempfile
import threading
import time
import unittest

from harness import gateway as gw
from harness import plugin_source
from harness.backend import Backend
from harness.case import Case, patience, until
from harness.client import Client, ask
from harness.manifests import app, extension, filter_object, gateway, gateway_class, path_match, route, rule


class Replacement(Case):
    limit_seconds = 90

    @classmethod
    def setUpClass(cls):
        cls.built = tempfile.mkdtemp(prefix="hw-plugins-")
        body = plugin_source.THROWS + plugin_source.SLEEPS
        cls.one = plugin_source.build(cls.built, "one", "1.0.0", body)
        cls.two = plugin_source.build(cls.built, "two", "2.0.0", body)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.built)

    def start(self, start=True, **plugin):
        """A gateway whose /marked goes through the plugin, a copy of version one."""
        self.app = self.use(Backend("app"))
        process = gw.Gateway(
            gateway_class(), gateway(), *app("app", self.app), filter_object("mark", "marker", {}),
            route(rules=[rule(["app"], [path_match("/marked")], [extension("mark")]),
                         rule(["app"], [path_match("/")])]), start=False)
        self.library = os.path.join(process.folder, "marker.so")
        shutil.copy(self.one, self.library)
        process.settings["plugins"] = [{"name": "marker", "path": self.library, **plugin}]
        self.gateway = self.use(process)
        if start:
            process.start()
        return process

    def version(self):
        """Which version of the plugin a request meets."""
        self.assertEqual(ask(self.gateway.port(), "GET", "/marked").status, 200)
        return self.app.last().get("x-marker")

    def reload(self):
        """Asks for a reload as an operator does."""
        self.gateway.process.send_signal(signal.SIGHUP)

    def refused(self, process):
        """Runs the process and returns what it said when it refused to start."""
        process.write_config()
        done = process.run("run", "--config", process.config_file)
        self.assertNotEqual(done.returncode, 0)
        return done.stdout + done.stderr

    def test_a_plugin_built_outside_the_tree_works(self):
        self.start()
        self.assertEqual(self.version(), "1.0.0")
        self.assertIn("test.marker", self.gateway.run("plugins", "--socket", self.gateway.socket).stdout)

    def test_a_hash_that_differs_or_a_missing_file_stops_the_start(self):
        process = self.start(start=False, sha256="0" * 64)
        self.assertIn("marker", self.refused(process))
        process.settings["plugins"][0] = {"name": "marker", "path": "/nonexistent/marker.so"}
        self.assertIn("/nonexistent/marker.so", self.refused(process))

    def test_a_file_overwritten_in_place_is_replaced_on_reload_and_nothing_fails(self):
        self.start()
        failures, stop, count = [], threading.Event(), [0]

        def load():
            with Client(self.gateway.port()) as client:
                while not stop.is_set():
                    got = client.ask("GET", "/marked")
                    count[0] += 1
                    if got.status != 200:
                        failures.append(got)
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for n, source in enumerate((self.two, self.one, self.two)):
                with open(source, "rb") as new, open(self.library, "r+b") as old:
                    old.write(new.read())  # In place: the very inode that was loaded.
                    old.truncate()
                self.reload()
                want = ("2.0.0", "1.0.0", "2.0.0")[n]
                until(lambda want=want: self.version() == want, 10, f"version {want}")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures[:3], [])
        self.assertGreater(count[0], 20)

    def test_another_path_in_the_configuration_is_one_more_change(self):
        self.start()
        with open(self.two, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        self.gateway.settings["plugins"] = [{"name": "marker", "path": self.two, "sha256": digest}]
        self.gateway.write_config()
        self.reload()
        until(lambda: self.version() == "2.0.0", 10)

    def test_a_bad_new_file_keeps_the_old_version_and_says_so(self):
        self.start()
        with open(self.library, "wb") as file:
            file.write(b"this is no shared object")
        self.reload()
        until(lambda: "marker.so" in self.gateway.logs(), 10)
        self.assertEqual(self.version(), "1.0.0")

    def test_an_exception_is_500_for_that_request_and_is_counted(self):
        self.start()
        with Client(self.gateway.port()) as other:
            self.assertEqual(other.ask("GET", "/marked").status, 200)
            self.assertEqual(ask(self.gateway.port(), "GET", "/marked", fields=[("X-Throw", "1")]).status, 500)
            self.assertEqual(other.ask("GET", "/marked").status, 200)
        until(lambda: sum(v for k, v in self.gateway.metrics().items() if "fault" in k) >= 1, message="a counted fault")

    def test_a_slow_call_costs_others_no_more_than_itself(self):
        self.start()
        with Client(self.gateway.port()) as slow, Client(self.gateway.port()) as other:
            other.ask("GET", "/")
            slow.request("GET", "/marked", fields=[("X-Sleep", "1")])
            time.sleep(0.05)
            begin = time.monotonic()
            self.assertEqual(other.ask("GET", "/").status, 200)
            self.assertLess(time.monotonic() - begin, (0.3 + 0.05) * patience())
            self.assertEqual(slow.response().status, 200)
        until(lambda: "marker" in self.gateway.logs() and "slow" in self.gateway.logs(), message="a log line that names it")


if __name__ == "__main__":
    unittest.main()
