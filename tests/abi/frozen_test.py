# SPDX-License-Identifier: Apache-2.0
"""What is frozen, and what is not: drafts may still change."""
import os
import re
import unittest

ROOT = os.environ.get("HYPERWAY_SOURCE_DIR") or os.path.join(os.path.dirname(__file__), "..", "..")
TODAY = os.path.join(ROOT, "core", "include", "hyperway", "abi")
FROZEN = os.path.join(ROOT, "tests", "abi", "frozen", "v1", "hyperway", "abi")


def headers(folder):
    """The headers below a folder, by path relative to it."""
    return sorted(os.path.relpath(os.path.join(at, name), folder)
                  for at, _, names in os.walk(folder) for name in names if name.endswith(".h"))


def text(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


class Frozen(unittest.TestCase):
    def test_everything_but_drafts_is_frozen(self):
        stable = [name for name in headers(TODAY) if not name.startswith("draft")]
        self.assertEqual(headers(FROZEN), stable)

    def test_no_draft_type_is_in_the_table(self):
        table = text(ROOT, "tests", "abi", "layout_v1.inc")
        for name in headers(TODAY):
            if not name.startswith("draft"):
                continue
            for struct in re.findall(r"^\} (hw_\w+);", text(TODAY, name), re.M):
                self.assertNotIn(struct, table)

    def test_a_draft_says_so_in_its_id(self):
        for name in headers(TODAY):
            for kind in re.findall(r'#define HW_\w+_(?:FACTORY|SERVICE) "([^"]+)"', text(TODAY, name)):
                self.assertEqual("/draft-" in kind, name.startswith("draft"), kind)

    def test_every_stable_type_is_in_the_table(self):
        table = text(ROOT, "tests", "abi", "layout_v1.inc")
        for name in headers(FROZEN):
            for struct in re.findall(r"^\} (hw_\w+);", text(FROZEN, name), re.M):
                self.assertIn(f"SIZE({struct},", table)


if __name__ == "__main__":
    unittest.main()
