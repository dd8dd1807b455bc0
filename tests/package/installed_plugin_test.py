# SPDX-License-Identifier: Apache-2.0
"""Filters built outside the tree against the package run in the packaged gateway."""
import os
import sys
import unittest

from unpacked import SOURCE, Unpacked

sys.path.insert(0, os.path.join(SOURCE, "tests", "integration"))
from harness import gateway as gw  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.case import Case, until  # noqa: E402
from harness.client import ask  # noqa: E402
from harness.manifests import (  # noqa: E402
    app, extension, filter_object, gateway, gateway_class, path_match, route, rule)


class InstalledPlugin(Unpacked, Case):
    """The binary and the plugins of the unpacked package, with two filters of somebody else."""

    limit_seconds = 60

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hello_c = cls.build_by_cc()
        cls.hello_cpp = os.path.join(cls.build_by_cmake(), "hello_cpp.so")
        os.environ["HYPERWAY_BIN"] = cls.path("usr/bin/hyperway")
        cls.addClassCleanup(os.environ.pop, "HYPERWAY_BIN")

    def make(self, **config):
        """A gateway, not yet started, whose /c and /cpp go through the filters."""
        backend = self.use(Backend("app"))
        made = gw.Gateway(
            gateway_class(), gateway(), *app("app", backend),
            filter_object("from-c", "hello_c", {}), filter_object("from-cpp", "hello_cpp", config),
            route(rules=[rule(["app"], [path_match("/c")], [extension("from-c")]),
                         rule(["app"], [path_match("/cpp")], [extension("from-cpp")]),
                         rule(["app"], [path_match("/")])]), start=False)
        made.settings["plugins"] = [{"name": "hello_c", "path": self.hello_c},
                                    {"name": "hello_cpp", "path": self.hello_cpp}]
        return self.use(made)

    def test_a_filter_built_outside_the_tree_is_loaded_and_works(self):
        made = self.make(greeting="from C++").start()
        for path, expected in (("/c", "from C"), ("/cpp", "from C++"), ("/", None)):
            with self.subTest(path):
                answer = ask(made.port(), "GET", path)
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.get("x-hello"), expected)

    def test_its_configuration_error_is_in_check(self):
        made = self.make(greting="typo")
        made.write_config()
        done = made.run("check", "--config", made.config_file)
        said = done.stdout + done.stderr
        self.assertNotEqual(done.returncode, 0, said)
        self.assertIn("greting", said)
        self.assertIn("from-cpp", said)

    def test_its_configuration_error_is_in_the_routes_status_and_the_rule_answers_500(self):
        made = self.make(greting="typo").start()
        condition = until(lambda: made.condition("HTTPRoute/default/route", "ResolvedRefs"))
        self.assertEqual((condition["status"], condition["reason"]),
                         ("False", "InvalidFilterConfig"))
        self.assertIn("greting", condition["message"])
        self.assertEqual(ask(made.port(), "GET", "/cpp").status, 500)
        self.assertEqual(ask(made.port(), "GET", "/c").status, 200)


if __name__ == "__main__":
    unittest.main()
