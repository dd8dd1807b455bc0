# SPDX-License-Identifier: Apache-2.0
"""The plugin author's guide shows the very files that are built and run."""
import os
import re
import unittest

DOCS = os.path.join(os.environ.get("HYPERWAY_SOURCE_DIR") or os.path.join(os.path.dirname(__file__), "..", ".."), "docs")
SHOWN = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```$", re.S | re.M)


class Guide(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(DOCS, "plugin-guide.md"), encoding="utf-8") as file:
            self.text = file.read()
        self.shown = dict(SHOWN.findall(self.text))

    def test_every_program_in_the_guide_is_its_file(self):
        self.assertGreaterEqual(len(self.shown), 5)
        for path, code in self.shown.items():
            with open(os.path.join(DOCS, path), encoding="utf-8") as file:
                self.assertEqual(file.read(), code, path)

    def test_every_file_beside_the_guide_is_in_it(self):
        folder = os.path.join(DOCS, "plugin-guide")
        self.assertEqual(sorted("plugin-guide/" + name for name in os.listdir(folder)), sorted(self.shown))

    def test_programs_are_shown_by_reference_only(self):
        rest = SHOWN.sub("", self.text)
        self.assertNotRegex(rest, r"```(cpp|c|cmake)\n")

    def test_links_lead_somewhere(self):
        for link in re.findall(r"\]\(([^)#]+)", self.text):
            self.assertTrue(os.path.exists(os.path.join(DOCS, link)), link)


if __name__ == "__main__":
    unittest.main()
