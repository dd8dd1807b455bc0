# SPDX-License-Identifier: Apache-2.0
"""./dev says what it does, and never calls a failure a success."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
INSTALLED = "echo installed\n"


class Dev(unittest.TestCase):
    """Runs a copy of the script in a tree of its own, with stand-ins for the tools it calls."""

    def setUp(self):
        self.tree = tempfile.mkdtemp(prefix="hyperway-dev-")
        self.addCleanup(shutil.rmtree, self.tree)
        self.script = shutil.copy(os.path.join(ROOT, "dev"), self.tree)
        self.tools = os.path.join(self.tree, "tools")
        os.makedirs(self.tools)
        os.makedirs(os.path.join(self.tree, "core"))
        with open(os.path.join(self.tree, "core", "a.cpp"), "w", encoding="utf-8") as file:
            file.write("int a;\n")

    def tool(self, name, body):
        """A stand-in for a program."""
        path = os.path.join(self.tools, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + body)
        os.chmod(path, 0o755)

    def script_of_the_tree(self, name, body):
        """A stand-in for a script that ./dev calls."""
        os.makedirs(os.path.dirname(os.path.join(self.tree, name)))
        self.tool(os.path.join("..", name), body)

    def run_dev(self, *arguments, path=None, **environment):
        return subprocess.run(
            ["sh", self.script, *arguments], capture_output=True, text=True, check=False,
            timeout=60, stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": path or self.tools + ":/usr/bin:/bin", **environment})

    def test_it_is_plain_posix_shell(self):
        for shell in ("dash", "bash"):
            subprocess.run([shell, "-n", self.script], check=True)

    def test_help_names_every_command(self):
        with open(self.script, encoding="utf-8") as file:
            commands = re.findall(r"^  ([a-z-]+)\)$", file.read(), re.M)
        self.assertIn("build", commands)
        shown = self.run_dev("help").stdout
        for command in commands:
            self.assertRegex(shown, rf"\n  {command}\b")

    def test_an_unknown_command_is_an_error(self):
        done = self.run_dev("frobnicate")
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown command: frobnicate", done.stderr)

    def test_conformance_asks_for_a_shape(self):
        for arguments in ((), ("sideways",), ("--suite", "1.6.3")):
            done = self.run_dev("conformance", *arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn("name a shape: direct", done.stderr)

    def test_stages_are_numbered_and_timed_and_the_end_is_one_line(self):
        self.tool("dpkg-query", INSTALLED)
        self.tool("clang-format-16", "exit 0\n")
        done = self.run_dev("check-format")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = done.stdout.strip().split("\n")
        self.assertRegex(lines[0], r"^\[1/2\] install what is missing \.\.\. took \d+s$")
        self.assertRegex(lines[1], r"^\[2/2\] check the format \.\.\. took \d+s$")
        self.assertRegex(lines[2], r"^PASS \./dev check-format in \d+s$")

    def test_a_failed_stage_fails_the_command_and_shows_why(self):
        self.tool("dpkg-query", INSTALLED)
        self.tool("clang-format-16", "echo a.cpp is crooked\nexit 1\n")
        done = self.run_dev("check-format")
        self.assertEqual(done.returncode, 1)
        self.assertIn("a.cpp is crooked", done.stdout)
        self.assertRegex(done.stdout.strip().split("\n")[-1],
                         r"^FAIL \./dev check-format after \d+s: format$")

    def test_tests_that_could_not_run_count_as_failed(self):
        self.tool("dpkg-query", INSTALLED)
        self.script_of_the_tree("tests/cluster/toolchain.sh", "exit 0\n")
        self.tool("cmake", "exit 1\n")
        done = self.run_dev("asan")
        self.assertEqual(done.returncode, 1)
        self.assertIn("tests under ASan and UBSan ... NOT RUN: build-asan failed", done.stdout)
        self.assertRegex(done.stdout.strip().split("\n")[-1], r"^FAIL .*: build-asan test-asan$")

    def test_a_missing_right_is_a_failure_and_not_a_skip(self):
        self.tool("dpkg-query", "exit 1\n")
        self.tool("id", "echo 1000\n")
        for name in ("sh", "dirname", "nproc", "date", "mkdir", "tail", "grep", "cat", "printf"):
            os.symlink(shutil.which(name), os.path.join(self.tools, name))
        done = self.run_dev("check-format", path=self.tools)  # no sudo on this path
        self.assertEqual(done.returncode, 1)
        self.assertIn("installing: clang-format-16", done.stdout)
        self.assertIn("need root to run", done.stdout)

    def test_a_busy_port_is_named_before_anything_is_built(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            done = self.run_dev("run", HYPERWAY_DEMO_PORTS=str(port))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"port {port} is busy: process {os.getpid()}, ", done.stderr)
        self.assertNotIn("[1/", done.stdout)


if __name__ == "__main__":
    unittest.main()
