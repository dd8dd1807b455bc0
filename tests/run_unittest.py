#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one unittest file and records which cases passed.

usage: run_unittest.py FILE.py [argument of unittest ...]

Each case becomes a line "PASS FILE.py::Class.test" or "FAIL ..." in
$HYPERWAY_TEST_RESULTS/$HYPERWAY_TEST_NAME.results; the check of docs/coverage.md reads them. A
skipped case fails the run: what cannot run here has shown nothing.
"""
import importlib.util
import os
import sys
import unittest


class RecordingResult(unittest.TextTestResult):
    """A text result that also keeps the names of what passed and what did not."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.lines = []

    def stopTest(self, test):  # noqa: N802 (unittest's name)
        super().stopTest(test)
        bad = [t for t, _ in self.failures + self.errors + self.skipped]
        # A failed subTest is listed as itself; its parent has then failed too.
        failed = any(t is test or getattr(t, "test_case", None) is test for t in bad)
        failed = failed or test in self.unexpectedSuccesses
        name = ".".join(test.id().split(".")[-2:])
        self.lines.append(f"{'FAIL' if failed else 'PASS'} {self.file}::{name}")


def load(path):
    """Imports a test file by its path, with its folder on sys.path for its own imports."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(argv):
    if len(argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    path = argv[1]
    module = load(path)
    RecordingResult.file = os.path.basename(path)
    runner = unittest.TextTestRunner(verbosity=2, resultclass=RecordingResult, stream=sys.stderr)
    program = unittest.main(module=module, argv=[path, *argv[2:]], testRunner=runner, exit=False)
    result = program.result
    folder, name = os.environ.get("HYPERWAY_TEST_RESULTS"), os.environ.get("HYPERWAY_TEST_NAME")
    if folder and name:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name + ".results"), "w", encoding="utf-8") as out:
            out.write("".join(line + "\n" for line in result.lines))
    if result.skipped:
        print(f"FAIL: {len(result.skipped)} case(s) skipped", file=sys.stderr)
    if result.testsRun == 0:
        print("FAIL: no case ran", file=sys.stderr)
    return 0 if result.wasSuccessful() and not result.skipped and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
