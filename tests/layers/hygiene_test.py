# SPDX-License-Identifier: Apache-2.0
"""What every file of the tree has, and what none has."""
import re
import unittest

import tree

# Endings of files that carry a licence line, and names of files without an ending that do.
LICENSED = (".c", ".h", ".cpp", ".hpp", ".py", ".sh", ".cmake", ".yaml", ".yml", ".map",
            "CMakeLists.txt", "/dev", ".ci/run", ".service")
SPDX = "SPDX-License-Identifier: Apache-2.0"
# Data of tests: an input whose first byte matters cannot carry a line of ours.
DATA = re.compile(r"^tests/(.*/)?(corpus|cases|manifests|fixtures|data)/")
BINARY = (".pem", ".bin", ".der", ".png", ".gz")

# Folders of people and of machines. A path in a test or example lies below /etc, /usr, /srv, ...
MACHINE = re.compile(r"(?:(?<![\w.$}>)*-])|(?<=-[IL]))/(home|root|work|Users|mnt|media)/[A-Za-z0-9_.-]")


def first_lines(text):
    """What may hold the licence: a "#!" line and the one or two below it."""
    return "\n".join(text.split("\n")[:3])


def machine_paths(text):
    """Paths of a machine in a text: [(line number, path)]."""
    return [(number, match.group()) for number, line in enumerate(text.split("\n"), 1)
            for match in MACHINE.finditer(line)]


class Scanner(unittest.TestCase):
    """The searches find what they have to find."""

    def test_machine_paths_are_found(self):
        home = "/" + "home"
        for text in (f"see {home}/jo/x", f"'{home}/jo'", "cd /" + "root/x", "-I/" + "work/main"):
            with self.subTest(text):
                self.assertEqual(len(machine_paths("fine\n" + text)), 1)

    def test_other_paths_pass(self):
        for text in ("/etc/hyperway", "/tmp/some.sock", "a/" + "home/b", "/usr/lib", "/foo/bar",
                     "$ROOT/" + "work/x"):
            with self.subTest(text):
                self.assertEqual(machine_paths(text), [])


class Tree(unittest.TestCase):
    """This tree keeps the rules."""

    def test_every_source_file_names_its_licence(self):
        files = [n for n in tree.tracked() if ("/" + n).endswith(LICENSED) and not DATA.match(n)]
        self.assertGreater(len(files), 20)
        found = [n for n in files if SPDX not in first_lines(tree.read(n))]
        self.assertEqual(found, [], f"first line: '// {SPDX}' (or '#'):\n" + "\n".join(found))

    def test_no_text_names_a_path_of_a_machine(self):
        found = [f"{name}:{line}: {path}..." for name in tree.tracked()
                 if not name.endswith(BINARY) and not DATA.match(name)
                 for line, path in machine_paths(tree.read(name))]
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_every_package_that_is_installed_is_explained(self):
        lists = re.findall(r'^\w+_packages="([^"]*)"', tree.read("dev"), re.M)
        packages = {word for text in lists for word in text.split()}
        self.assertGreater(len(packages), 15)
        explained = set(re.findall(r"`([a-z0-9.+-]+)`", tree.read("docs/dependencies.md")))
        self.assertEqual(packages - explained, set())

    def test_the_version_is_semantic(self):
        self.assertRegex(tree.read("VERSION"), r"\A\d+\.\d+\.\d+\n\Z")

    def test_the_changelog_knows_the_version(self):
        self.assertIn(f"## {tree.read('VERSION').strip()}", tree.read("CHANGELOG.md"))


if __name__ == "__main__":
    unittest.main()
