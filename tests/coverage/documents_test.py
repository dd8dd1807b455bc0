# SPDX-License-Identifier: Apache-2.0
"""What the documents say exists: links, files, flags, keys, commands, reasons, statuses."""
import glob
import json
import os
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree

ROOT = os.environ.get("HYPERWAY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TOP = ("README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
FOR_USERS = ("README.md", "docs/configuration.md", "docs/troubleshooting.md", "docs/migration.md", "docs/limits.md")
WANTED = TOP + FOR_USERS + ("LICENSE", "docs/architecture.md", "docs/coverage.md", "docs/data-plane.md",
                            "docs/dependencies.md", "docs/plugin-guide.md", "docs/style.md")
# Flags of other programs that our documents show.
FOREIGN_FLAGS = {"--unix-socket", "--resolve", "--version", "--help", "--validate", "--wait-for", "--pid", "--cacert"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")


def read(name):
    """A file of the tree as text."""
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def documents():
    """All documents of ours."""
    return [*TOP, *(os.path.relpath(p, ROOT) for p in sorted(glob.glob(os.path.join(ROOT, "docs", "*.md"))))]


def anchors(text):
    """What #... may name in a document."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", text, re.M):
        plain = re.sub(r"[^\w\- ]", "", title.replace("`", "").lower())
        found.add(plain.replace(" ", "-"))
    return found


def commands():
    """The commands of ./dev, by its usage; what one does may begin on the next line."""
    usage = read("dev").split("TEXT")[1]
    return set(re.findall(r"^  ([a-z-]+)(?: \[[\w|]+\])*(?:  +\w.*)?$", usage, re.M))


class Documents(unittest.TestCase):
    def test_every_promised_document_is_there(self):
        for name in WANTED:
            with self.subTest(name):
                self.assertGreater(len(read(name)), 200)

    def test_links_lead_somewhere(self):
        for name in documents():
            for link in LINK.findall(read(name)):
                if re.match(r"[a-z]+:", link):
                    continue
                path, _, anchor = link.partition("#")
                target = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
                with self.subTest(name, link=link):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, target)))
                    if anchor:
                        self.assertIn(anchor, anchors(read(target)))

    def test_files_that_documents_name_exist(self):
        for name in set(documents()) - {"docs/architecture.md", "docs/progress.md", "docs/style.md", "docs/coverage.md"}:
            for code in CODE.findall(read(name)):
                if re.fullmatch(r"(core|docs|etc|plugins|tests|cmake|packaging)/[\w./-]*\w/?", code):
                    with self.subTest(name, path=code):
                        self.assertTrue(os.path.exists(os.path.join(ROOT, code)))

    def test_flags_that_documents_name_are_known(self):
        known = set(re.findall(r'"(--[a-z0-9-]+)"', read("core/app/options.cpp"))) | FOREIGN_FLAGS
        for name in FOR_USERS:
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9](?![\w*-])", read(name)):
                with self.subTest(name, flag=flag):
                    self.assertIn(flag, known)

    def test_every_flag_and_command_is_documented(self):
        text = read("docs/configuration.md")
        for flag in re.findall(r'\{"(--[a-z0-9-]+)"', read("core/app/options.cpp")):
            later = flag.startswith(("--gateway-api-k8s-", "--gateway-api-snapshot-"))
            with self.subTest(flag):
                self.assertTrue(later or flag in text or flag in ("--json", "--config"))

    def test_keys_that_documents_name_are_known(self):
        known = set(re.findall(r"^\| `([\w.\[\]*]+)` \|", read("docs/configuration.md"), re.M))
        groups = {key.split(".")[0] for key in known if "." in key}
        for name in FOR_USERS:
            for key in CODE.findall(read(name)):
                if re.fullmatch(r"[a-z_]+\.[a-z_]+", key) and key.split(".")[0] in groups - {"sources", "plugins"}:
                    with self.subTest(name, key=key):
                        self.assertIn(key, known)

    def test_commands_of_dev_that_documents_name_are_known(self):
        known = commands()
        self.assertIn("test-all", known)
        for name in documents():
            for command in re.findall(r"\./dev ([a-z][a-z-]*)", read(name)):
                with self.subTest(name, command=command):
                    self.assertIn(command, known)


class Translation(unittest.TestCase):
    """README.zh-CN.md says what README.md says: who changes one changes the other."""

    @staticmethod
    def shape(text):
        """What both have in common: levels of headings, commands with what they print, where links lead."""
        headings = [len(marks) for marks in re.findall(r"^(#+) ", text, re.M)]
        blocks = [line for line in text.splitlines() if line.startswith("    ")]
        links = [link.replace(".zh-CN.svg", ".svg") for link in LINK.findall(text) if "README" not in link or "/" in link]
        codes = sorted(code for code in CODE.findall(text))
        bold = len(re.findall(r"^\*\*", text, re.M))
        return headings, blocks, links, codes, bold

    def test_headings_commands_links_and_names_are_those_of_the_english_one(self):
        english, chinese = self.shape(read("README.md")), self.shape(read("README.zh-CN.md"))
        for what, ours, theirs in zip(("headings", "commands", "links", "names", "paragraphs"), english, chinese):
            with self.subTest(what):
                self.assertEqual(ours, theirs)

    def test_no_paragraph_was_left_in_english(self):
        prose = re.sub(r"`[^`]*`|\([^)]*\)", "", read("README.zh-CN.md"))
        for paragraph in prose.split("\n\n"):
            plain = [line for line in paragraph.splitlines() if not line.startswith(("    ", "#", "|--", "| |"))]
            with self.subTest(paragraph[:40]):
                self.assertTrue(not plain or re.search(r"[\u4e00-\u9fff]", "".join(plain)) or "Apache" in paragraph)


class Pictures(unittest.TestCase):
    def test_figures_are_what_their_script_draws(self):
        done = subprocess.run([sys.executable, os.path.join(ROOT, "docs", "make", "figures.py"), "--check"],
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_figures_are_whole_in_themselves(self):
        for path in sorted(glob.glob(os.path.join(ROOT, "docs", "images", "*.svg"))):
            with self.subTest(path):
                xml.etree.ElementTree.parse(path)
                text = read(os.path.relpath(path, ROOT)).replace("http://www.w3.org/2000/svg", "")
                self.assertNotRegex(text, r"https?://|<script|<image|@import")

    def test_the_picture_of_the_page_is_there(self):
        with open(os.path.join(ROOT, "docs", "images", "page.png"), "rb") as file:
            head = file.read(24)
        self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
        width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        self.assertGreaterEqual(width, 1200)
        self.assertGreater(height, 600)

    def test_figures_of_the_bench_have_date_commit_and_machine(self):
        results = json.loads(read("docs/bench/results.json"))
        for name in ("README.md", "README.zh-CN.md"):
            self.assertIn(results["date"], read(name))
            self.assertIn(results["commit"], read(name))
        for key in ("date", "commit", "machine", "source"):
            self.assertTrue(results[key])


class Troubleshooting(unittest.TestCase):
    def test_its_reasons_are_those_of_the_code(self):
        code = "".join(read(os.path.relpath(p, ROOT)) for p in glob.glob(os.path.join(ROOT, "core/gateway/*.cpp")))
        found = set()
        for row in re.findall(r"^\| `(\w+): (?:True|False)`, `(\w+)`", read("docs/troubleshooting.md"), re.M):
            found.update(row)
        self.assertGreater(len(found), 8)
        for word in found:
            with self.subTest(word):
                self.assertIn(f'"{word}"', code)

    def test_it_has_every_status_that_we_answer_ourselves(self):
        """Those that the streams make up, and those of refused messages."""
        made = set()
        for path in glob.glob(os.path.join(ROOT, "core/proxy/*.cpp")):
            made.update(re.findall(r"respondLocal\((\d{3}),", read(os.path.relpath(path, ROOT))))
        made.update(re.findall(r"return (\d{3});", read("core/http/error.cpp")))
        self.assertGreater(len(made), 8)
        told = set(re.findall(r"^\| (\d{3}) \|", read("docs/troubleshooting.md"), re.M))
        self.assertEqual(made - told, set())

    def test_the_three_questions_of_its_users_have_an_entry(self):
        text = read("docs/troubleshooting.md")
        for title in ("spec.checksum", "does not exist yet", "A route has no effect"):
            self.assertRegex(text, rf"(?m)^## .*{re.escape(title)}")


class Migration(unittest.TestCase):
    def test_the_names_that_stay_are_those_of_the_code(self):
        text = read("docs/migration.md")
        self.assertIn("hyperway.arloor.dev/gateway-controller", text)
        self.assertIn("hyperway.arloor.dev/gateway-controller", read("core/gateway/translate.hpp"))
        self.assertIn("hyperway.arloor.dev/v1alpha1", text)
        self.assertIn("hyperway.arloor.dev", read("core/gateway/objects.hpp") + read("core/gateway/references.hpp"))

    def test_it_says_what_has_to_be_changed_and_how(self):
        table = re.search(r"\| before \| now \| what to do \|\n\|[-|]+\|\n((?:\|.*\n)+)", read("docs/migration.md"))
        for row in table.group(1).splitlines():
            self.assertTrue(all(cell.strip() for cell in row.strip("|").split("|")), row)


class Security(unittest.TestCase):
    def test_it_says_where_to_report_and_what_is_supported(self):
        text = read("SECURITY.md")
        for title in ("## Reporting a vulnerability", "## Supported versions", "## What counts"):
            self.assertIn(title, text)
        self.assertIn("SECURITY.md", read("CONTRIBUTING.md"))


if __name__ == "__main__":
    unittest.main()
