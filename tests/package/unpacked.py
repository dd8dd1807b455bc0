# SPDX-License-Identifier: Apache-2.0
"""The .deb of this build, made and unpacked into a directory."""
import os
import shutil
import subprocess
import tempfile

BUILD = os.environ["HYPERWAY_BUILD_DIR"]
SOURCE = os.environ["HYPERWAY_SOURCE_DIR"]
EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "out_of_tree")


def run(*argv, **more):
    """Runs a command; its output is the message if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}\n{done.stdout}{done.stderr}")
    return done.stdout


class Unpacked:
    """A mix-in for test cases: `work`, `deb`, `root` (as if /), `control`, made once a class."""

    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix="hyperway-package-")
        cls.addClassCleanup(shutil.rmtree, cls.work)
        run("cpack", "-G", "DEB", "-B", cls.work, "--config",
            os.path.join(BUILD, "CPackConfig.cmake"))
        debs = [f for f in os.listdir(cls.work) if f.endswith(".deb")]
        assert len(debs) == 1, debs
        cls.deb = os.path.join(cls.work, debs[0])
        cls.root = os.path.join(cls.work, "root")
        run("dpkg-deb", "-x", cls.deb, cls.root)
        cls.control = os.path.join(cls.work, "control")
        run("dpkg-deb", "-e", cls.deb, cls.control)

    @classmethod
    def path(cls, name):
        """A file of the package, by its installed name."""
        return os.path.join(cls.root, name.lstrip("/"))

    @classmethod
    def build_by_cmake(cls, compiler_c="gcc", compiler_cxx="g++"):
        """Builds the example project against the unpacked package; gives its build folder."""
        folder = tempfile.mkdtemp(dir=cls.work)
        example, build = os.path.join(folder, "source"), os.path.join(folder, "build")
        shutil.copytree(EXAMPLE, example)
        run("cmake", "-S", example, "-B", build, "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={cls.path('usr')}", f"-DCMAKE_C_COMPILER={compiler_c}",
            f"-DCMAKE_CXX_COMPILER={compiler_cxx}", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror",
            "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
        run("cmake", "--build", build)
        return build

    @classmethod
    def build_by_cc(cls):
        """Builds the example in C by one compiler call; gives the file."""
        out = os.path.join(cls.work, "bare.so")
        run("cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fPIC", "-shared",
            "-fvisibility=hidden", "-I", cls.path("usr/include"),
            os.path.join(EXAMPLE, "hello.c"), "-o", out)
        return out
