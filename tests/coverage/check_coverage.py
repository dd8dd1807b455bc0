#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks docs/coverage.md: every row names a test, and each named test ran and passed in this run.

usage: check_coverage.py docs/coverage.md RESULTS_DIRECTORY...

A results directory holds ctest.xml (ctest --output-junit) and *.results with one line
"PASS <case>" or "FAIL <case>" for each case (see cmake/HyperwayTest.cmake). A row is

    | clause | `test`, `test`, ... |

and a test is one of

    `unit_http`                         a ctest name
    `unit_http: a chunk size is hex`    one doctest case of it, by its title
    `routes_test.py::Host.test_case`    one case of a unittest file
    `routes_test.py::test_case`         the same, whatever its class
"""
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

ROW = re.compile(r"^\s*\|(.*)\|\s*$")
CODE = re.compile(r"`([^`]+)`")


class Evidence:
    """What ran and how it ended. A test that failed in any of the runs has not passed."""

    def __init__(self):
        self.ended = {}  # name -> True while it has passed every time

    def add(self, name, passed):
        self.ended[name] = self.ended.get(name, True) and passed

    def read(self, folder):
        """Takes in one results directory; gives the problems of doing so."""
        junit = os.path.join(folder, "ctest.xml")
        if not os.path.isfile(junit):
            return [f"{folder}: no ctest.xml: this run of the tests did not happen"]
        ran = set()
        for case in ElementTree.parse(junit).getroot().iter("testcase"):
            name, status = case.get("name"), case.get("status")
            if status in ("run", "fail"):
                ran.add(name)
                self.add(name, status == "run" and case.find("failure") is None)
        for file in sorted(os.listdir(folder)):
            # Results that an earlier run left behind are no evidence.
            if file.endswith(".results") and file[:-len(".results")] in ran:
                self.read_cases(folder, file)
        return []

    def read_cases(self, folder, file):
        test = file[:-len(".results")]
        with open(os.path.join(folder, file), encoding="utf-8") as lines:
            for line in lines:
                verdict, _, case = line.rstrip("\n").partition(" ")
                passed = verdict == "PASS"
                if "::" in case and case.split("::")[0].endswith(".py"):
                    path, _, name = case.partition("::")
                    self.add(case, passed)
                    self.add(f"{path}::{name.split('.')[-1]}", passed)
                else:
                    self.add(f"{test}: {case}", passed)


def rows(text):
    """[(line number, clause, [test])] of the tables; header and ruler lines are left out."""
    found, lines = [], text.split("\n")
    for number, line in enumerate(lines, 1):
        match = ROW.match(line)
        if not match:
            continue
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", match.group(1))]
        ruler = all(re.fullmatch(r":?-+:?", c) for c in cells)
        header = number < len(lines) and re.match(r"^\s*\|[\s:|-]+\|\s*$", lines[number])
        if ruler or header:
            continue
        found.append((number, cells[0], CODE.findall(cells[-1]) if len(cells) > 1 else []))
    return found


def problems(text, evidence):
    """Lines that say which row lacks what."""
    table = rows(text)
    found = [] if table else ["no table rows: nothing is covered"]
    for number, clause, tests in table:
        if not tests:
            found.append(f"line {number}: names no test: {clause}")
        for test in tests:
            if test not in evidence.ended:
                found.append(f"line {number}: `{test}` did not run: {clause}")
            elif not evidence.ended[test]:
                found.append(f"line {number}: `{test}` failed: {clause}")
    return found


def main(argv):
    if len(argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    evidence, found = Evidence(), []
    for folder in argv[1:]:
        found += evidence.read(folder)
    with open(argv[0], encoding="utf-8") as file:
        text = file.read()
    found += problems(text, evidence)
    for line in found:
        print(f"{argv[0]}: {line}")
    print(f"{len(rows(text))} rows, {len(evidence.ended)} tests and cases ran, "
          f"{len(found)} problem(s)")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
