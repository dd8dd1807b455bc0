# SPDX-License-Identifier: Apache-2.0
"""docs/coverage.md counts only what ran and passed."""
import os
import tempfile
import unittest

import check_coverage

JUNIT = """<?xml version="1.0"?>
<testsuite>
  <testcase name="unit_http" status="run"/>
  <testcase name="system" status="run"/>
  <testcase name="broken" status="fail"><failure/></testcase>
  <testcase name="off" status="disabled"/>
  <testcase name="missing" status="notrun"><skipped/></testcase>
</testsuite>
"""
RESULTS = {
    "unit_http": "PASS a chunk size is hex\nFAIL a bare LF is refused\n",
    "system": "PASS system_test.py::Drain.test_zero_failed\nFAIL system_test.py::Drain.test_other\n",
    "stale": "PASS from an earlier run\n",
}
HEAD = "# Coverage\n\n| Clause | Tests |\n|---|---|\n"


def check(tests, clause="a clause", runs=1):
    """The problems of a table with one row."""
    evidence = check_coverage.Evidence()
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "ctest.xml"), "w", encoding="utf-8") as file:
            file.write(JUNIT)
        for name, text in RESULTS.items():
            with open(os.path.join(folder, name + ".results"), "w", encoding="utf-8") as file:
                file.write(text)
        for _ in range(runs):
            assert evidence.read(folder) == []
    return check_coverage.problems(f"{HEAD}| {clause} | {tests} |\n", evidence)


class Checker(unittest.TestCase):
    def test_a_test_that_ran_and_passed_covers_a_row(self):
        for tests in ("`unit_http`", "`unit_http: a chunk size is hex`", "`unit_http`, `system`",
                      "`system_test.py::Drain.test_zero_failed`", "`system_test.py::test_zero_failed`"):
            with self.subTest(tests):
                self.assertEqual(check(tests), [])

    def test_a_row_without_a_passed_test_is_refused(self):
        for tests in ("", "unit_http", "`broken`", "`off`", "`missing`", "`unit_tls`",
                      "`unit_http: a title nobody wrote`", "`unit_http: a bare LF is refused`",
                      "`unit_http`, `unit_tls`", "`system_test.py::test_other`",
                      "`stale: from an earlier run`"):
            with self.subTest(tests):
                self.assertEqual(len(check(tests)), 1)

    def test_one_failure_outweighs_a_pass_elsewhere(self):
        evidence = check_coverage.Evidence()
        evidence.add("x", True)
        evidence.add("x", False)
        evidence.add("x", True)
        self.assertEqual(len(check_coverage.problems(f"{HEAD}| c | `x` |\n", evidence)), 1)

    def test_a_bar_in_a_clause_is_not_a_column(self):
        self.assertEqual(check("`unit_http`", clause=r"check\|explain"), [])

    def test_an_empty_document_covers_nothing(self):
        self.assertEqual(len(check_coverage.problems(HEAD, check_coverage.Evidence())), 1)

    def test_a_run_that_did_not_happen_is_no_evidence(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(len(check_coverage.Evidence().read(folder)), 1)


if __name__ == "__main__":
    unittest.main()
