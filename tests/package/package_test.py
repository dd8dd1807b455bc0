# SPDX-License-Identifier: Apache-2.0
"""The .deb holds what it should, and a plugin builds outside the tree against it."""
import ctypes
import os
import re
import shutil
import stat
import subprocess
import unittest

from unpacked import BUILD, EXAMPLE, SOURCE, Unpacked, run

MAGIC = 0x4C505748


def built_plugins():
    folder = os.path.join(BUILD, "lib", "hyperway", "plugins")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


class Package(Unpacked, unittest.TestCase):
    """What the package holds, and what can be built with it."""

    def assert_plugin(self, path, plugin_id):
        """The file exports the manifest, as data and alone, and it can be read."""
        symbols = run("nm", "-D", "--defined-only", path).split("\n")
        self.assertEqual([s.split()[1:] for s in symbols if s][0][1], "hyperway_plugin_v1")
        self.assertEqual(len([s for s in symbols if s]), 1)
        manifest = ctypes.c_uint32.in_dll(ctypes.CDLL(path), "hyperway_plugin_v1")
        self.assertEqual(manifest.value, MAGIC)
        with open(path, "rb") as file:
            self.assertIn(plugin_id.encode() + b"\0", file.read())

    # ---- what is in it ----

    def test_the_package_holds_everything_an_operator_and_an_author_need(self):
        for name in ("usr/bin/hyperway", "usr/lib/systemd/system/hyperway.service",
                     "usr/lib/sysusers.d/hyperway.conf", "usr/include/hyperway/abi/filter.h",
                     "usr/include/hyperway/abi/draft/source.h",
                     "usr/include/hyperway/sdk/plugin.hpp",
                     "usr/lib/cmake/hyperway/hyperwayConfig.cmake",
                     "usr/share/doc/hyperway/copyright", "etc/hyperway/manifests"):
            self.assertTrue(os.path.exists(self.path(name)), name)

    def test_every_plugin_and_every_abi_header_is_in_the_package(self):
        plugins = sorted(os.listdir(self.path("usr/lib/hyperway/plugins")))
        self.assertEqual(plugins, built_plugins())
        self.assertGreater(len(plugins), 0)
        for folder, _, files in os.walk(os.path.join(SOURCE, "core", "include")):
            for file in files:
                if file.startswith("."):
                    continue  # how our tools format them is nobody else's business
                name = os.path.relpath(os.path.join(folder, file),
                                       os.path.join(SOURCE, "core", "include"))
                self.assertTrue(os.path.isfile(self.path("usr/include/" + name)), name)

    def test_configuration_is_the_administrators(self):
        with open(os.path.join(self.control, "conffiles"), encoding="utf-8") as file:
            listed = sorted(file.read().split())
        there = sorted("/etc/hyperway/" + f for f in os.listdir(self.path("etc/hyperway"))
                       if os.path.isfile(self.path("etc/hyperway/" + f)))
        self.assertEqual(listed, there)
        self.assertIn("/etc/hyperway/local.yaml", listed)

    def test_the_control_file_names_version_and_libraries(self):
        with open(os.path.join(self.control, "control"), encoding="utf-8") as file:
            control = file.read()
        with open(os.path.join(SOURCE, "VERSION"), encoding="utf-8") as file:
            self.assertIn(f"Version: {file.read().strip()}", control)
        for library in ("libc6", "libssl3", "libpoconet80", "libre2-9"):
            self.assertRegex(control, rf"Depends:.*\b{library}\b")

    def test_nothing_in_the_package_names_the_machine_that_built_it(self):
        for folder, _, files in os.walk(self.root):
            for file in files:
                with open(os.path.join(folder, file), "rb") as data:
                    self.assertNotIn(SOURCE.encode() + b"/", data.read(), file)

    def test_nobody_but_root_can_write_to_what_is_installed(self):
        listing = run("dpkg-deb", "-c", self.deb)
        for line in listing.strip().split("\n"):
            self.assertRegex(line, r"^.....-..-. root/root|^l.{9} root/root", line)

    def test_the_installed_binary_exports_nothing_and_runs(self):
        binary = self.path("usr/bin/hyperway")
        self.assertTrue(os.stat(binary).st_mode & stat.S_IXUSR)
        symbols = run("nm", "-D", "--defined-only", binary)
        self.assertNotIn("hyperway", symbols)
        with open(os.path.join(SOURCE, "VERSION"), encoding="utf-8") as file:
            self.assertIn(file.read().strip(), run(binary, "version"))

    def test_the_unit_runs_what_is_installed(self):
        with open(self.path("usr/lib/systemd/system/hyperway.service"), encoding="utf-8") as file:
            unit = file.read()
        self.assertIn("Type=notify\n", unit)
        command = re.search(r"^ExecStart=(.*)$", unit, re.M).group(1).split()
        self.assertTrue(os.path.exists(self.path(command[0])))
        self.assertTrue(os.path.exists(self.path(command[command.index("--config") + 1])))

    # ---- plugins of others ----

    def test_a_plugin_builds_by_find_package(self):
        build = self.build_by_cmake()
        self.assert_plugin(os.path.join(build, "hello_c.so"), "com.example.hello-c")
        self.assert_plugin(os.path.join(build, "hello_cpp.so"), "com.example.hello-cpp")

    def test_a_plugin_builds_by_find_package_with_clang(self):
        build = self.build_by_cmake("clang-16", "clang++-16")
        self.assert_plugin(os.path.join(build, "hello_cpp.so"), "com.example.hello-cpp")

    def test_a_plugin_builds_by_a_bare_compiler_call(self):
        self.assert_plugin(self.build_by_cc(), "com.example.hello-c")

    def test_a_plugin_that_exports_more_does_not_build(self):
        folder = os.path.join(self.work, "leaky")
        shutil.copytree(EXAMPLE, folder)
        with open(os.path.join(folder, "hello.c"), encoding="utf-8") as file:
            text = file.read()
        with open(os.path.join(folder, "hello.c"), "w", encoding="utf-8") as file:
            file.write(text.replace("HYPERWAY_PLUGIN_SYMBOL = {", "some_other_name = {"))
        build = os.path.join(folder, "build")
        run("cmake", "-S", folder, "-B", build, "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={self.path('usr')}")
        done = subprocess.run(["cmake", "--build", build, "--target", "plugin_hello_c"],
                              capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("must export hyperway_plugin_v1",
                      " ".join((done.stdout + done.stderr).split()))

    def test_every_installed_header_stands_alone(self):
        include = self.path("usr/include")
        strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-fsyntax-only", "-I",
                  include]
        for folder, _, files in os.walk(include):
            for file in sorted(files):
                header = os.path.relpath(os.path.join(folder, file), include)
                source = f"#include <{header}>\n"
                with self.subTest(header):
                    if header.endswith(".h"):
                        run("gcc", "-std=c11", *strict, "-x", "c", "-", input=source)
                    for compiler in ("g++", "clang++-16"):
                        run(compiler, "-std=c++20", *strict, "-x", "c++", "-", input=source)


if __name__ == "__main__":
    unittest.main()
