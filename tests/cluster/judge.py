#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Says whether a run of the official conformance suite passed everything that it has to.

usage: judge.py LIST LOG LATER [--report REPORT] [--only REGEX]

LIST is what `conformance.test -list-tests` prints, so that no test of the suite can be forgotten;
LOG is the run as `go test -json` writes it; LATER is later.txt; REPORT is the suite's own. Each test that
deviates gets one line, and any of them fails the run: a required test that failed, was skipped or did not run, a
claimed feature without a passed test, a line of LATER that may not be there, a profile of the report that says less
than the log. Tests of our own (docs/conformance/tests/) are counted apart: those whose features the GatewayClass claims are
required, and stand for a feature that the suite has no test of. With --only, tests whose whole name the expression
matches are judged alone, ours too.
"""
import argparse
import json
import os
import re
import sys

import yaml

ROOT_TEST = "TestConformance"
OWN_TEST = "TestOwn"
# What step 2 is about; a feature is named after its resource.
STEP_2 = ("Gateway", "HTTPRoute", "ReferenceGrant", "BackendTLSPolicy")
# The two of these that speak HTTP/2.
HTTP_2 = {"HTTPRouteBackendProtocolH2C", "HTTPRouteHTTPSListenerDetectMisdirectedRequests"}
PROFILES = {"GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP", "GATEWAY-UDP"}
# The suite that has a test of every feature that we claim; in older ones some were called otherwise.
NEWEST = "v1.7.0"
RENAMED = {"HTTPRouteRetry": "HTTPRouteRetryCodes"}


def read_later(text):
    """{test: reason} of later.txt; a line without a reason is an error."""
    later = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(" ")
        if not reason.strip():
            raise ValueError(f"later.txt:{number}: {name} has no reason")
        if name in later:
            raise ValueError(f"later.txt:{number}: {name} is there twice")
        later[name] = reason.strip()
    return later


def is_for_gateways(test):
    """Whether a test is about gateways at all; the suite has some for meshes too."""
    return "Mesh" not in test["features"]


def is_for_step_2(test):
    """Whether a test needs no other kinds than those of step 2, and only HTTP/1.1."""
    return (is_for_gateways(test) and test["name"] not in HTTP_2 and
            all(feature.startswith(STEP_2) for feature in test["features"]))


class Run:
    """What a log says: the outcome of each test of the suite and what it wrote."""

    def __init__(self, lines):
        self.outcomes = {}   # test: pass, fail, skip or run (began and never ended)
        self.own = {}        # the same of our own
        self.output = {}     # test or subtest: its lines
        self.claimed = set()  # features that the GatewayClass lists
        self.ended = None    # outcome of the whole
        self.own_ended = None
        self._begun = {}     # test: a line whose rest comes with the next event
        for line in lines:
            if line.strip():
                self._take(json.loads(line))

    def _take(self, event):
        action, path = event["Action"], event.get("Test", "")
        parts = path.split("/")
        if action == "output":
            text = self._begun.pop(path, "") + event["Output"]
            if not text.endswith("\n"):
                self._begun[path] = text
                return
            text = text.rstrip("\n")
            self.output.setdefault(path, []).append(text)
            found = re.search(r"Supported features for GatewayClass \S+: \[(.*)\]", text)
            if found:
                self.claimed = set(found.group(1).split())
        elif len(parts) == 2 and action in ("run", "pass", "fail", "skip"):
            {ROOT_TEST: self.outcomes, OWN_TEST: self.own}.get(parts[0], {})[parts[1]] = action
        elif path in ("", ROOT_TEST) and action in ("pass", "fail"):
            self.ended = action
        elif path == OWN_TEST and action in ("pass", "fail"):
            self.own_ended = action

    def reason(self, test, root=ROOT_TEST):
        """One line on why a test failed or was skipped: of its first subtest that says why."""
        prefix = f"{root}/{test}"
        for path in sorted((p for p in self.output if p == prefix or p.startswith(prefix + "/")),
                           key=lambda p: -p.count("/")):
            why = reason_in(self.output[path])
            if why:
                part = path[len(prefix) + 1:]
                return f"{part}: {why}" if part else why
        return "no reason given"


def reason_in(lines):
    """What the assertion library or t.Skip wrote into a test's output, in one line."""
    words, collecting = [], False
    for line in lines:
        found = re.match(r"\s*(Error|Messages):\s+(.*)", line)
        if found:
            collecting = True
            words.append(found.group(2).strip())
        elif re.match(r"\s*(Error Trace|Test):", line) or not line.strip():
            collecting = False
        elif collecting and len(words) < 6:
            words.append(line.strip())
    if words:
        return " ".join(" ".join(words).split())[:400]
    for line in lines:
        found = re.match(r"\s+[\w-]+\.go:\d+: (.*)", line)
        if found and re.search(r"[Ss]kip|fail|[Ee]rror|expected|not ", found.group(1)):
            return found.group(1)[:400]
    return ""


def tests_of(suite, feature):
    """Names of the tests for gateways that need a feature."""
    return [t["name"] for t in suite["tests"] if is_for_gateways(t) and feature in t["features"]]


def required_own(suite, run):
    """Our own tests that have to pass. Those with a feature that is not claimed are left out, as the suite does with its own."""
    return [test for test in suite.get("own", []) if run.claimed.issuperset(test["features"])]


def deviation(name, outcome, reason):
    """Lines on one test that has to pass: none if it did."""
    if outcome in ("fail", "skip"):
        return [f"{'FAILED ' if outcome == 'fail' else 'SKIPPED'} {name}: {reason}"]
    if outcome != "pass":
        return [f"NOT RUN {name}: it {'never ended' if outcome == 'run' else 'did not begin'}"]
    return []


def own_deviations(suite, run):
    """Lines on our own tests."""
    found = []
    required = required_own(suite, run)
    for test in required:
        name = test["name"]
        found += deviation(name, run.own.get(name), run.reason(name, OWN_TEST))
    if required and not found and run.own_ended != "pass":
        why = reason_in(run.output.get(OWN_TEST, [])) or "no reason given"
        found.append(f"FAILED  {OWN_TEST}: {why}" if run.own_ended else f"NOT RUN {OWN_TEST}: it never ended")
    names = {test["name"] for test in suite.get("own", [])}
    return found + [f"UNKNOWN {name}: is in the log, and none of our own tests" for name in sorted(set(run.own) - names)]


def has_passed_test(suite, run, feature):
    """Whether a test of a feature passed; None if there is none. Ours stand for a feature that the suite has no test of."""
    tests = tests_of(suite, feature)
    if suite["suite"] == NEWEST and not tests:
        tests = tests_of(suite, RENAMED.get(feature, feature))
    if tests:
        return any(run.outcomes.get(name) == "pass" for name in tests)
    own = [test["name"] for test in suite.get("own", []) if feature in test["features"]]
    return any(run.own.get(name) == "pass" for name in own) if own else None


def deviations(suite, later, run):
    """Lines on what is not as it has to be: empty if the run passed."""
    if not run.outcomes:
        return ["NO TEST began: " + (reason_in(run.output.get(ROOT_TEST, []) or
                                               run.output.get("", [])[-3:]) or "the log says no reason")]
    found = []
    names = {test["name"] for test in suite["tests"]}
    for test in suite["tests"]:
        name = test["name"]
        if name in later:
            if is_for_step_2(test):
                found.append(f"LATER   {name}: is for step 2, and may not be left")
            continue
        if not is_for_gateways(test):
            continue
        found += deviation(name, run.outcomes.get(name), run.reason(name))
    found += own_deviations(suite, run)
    for feature in sorted(run.claimed):
        passed = has_passed_test(suite, run, feature)
        if not passed and (passed is not None or suite["suite"] == NEWEST):
            found.append(f"CLAIMED {feature}: the GatewayClass lists it, and no test of it passed")
    unknown = sorted(set(run.outcomes) - names)
    found += [f"UNKNOWN {name}: is in the log, and not in the suite" for name in unknown]
    return found


def report_deviations(suite, later, report):
    """Lines on what the suite's report, read from YAML, does not say of the five profiles: that nothing failed, that nothing
    was skipped but what is left for later, and that no feature is unsupported that the suite has a test of."""
    profiles = {profile["name"]: profile for profile in report.get("profiles") or []}
    found = [f"REPORT  {name}: is not in it" for name in sorted(PROFILES - set(profiles))]
    # What is left for later takes its features with it.
    tested = {feature for test in suite["tests"] if is_for_gateways(test) and test["name"] not in later
              for feature in test["features"]}
    for name, profile in sorted(profiles.items()):
        for level in ("core", "extended"):
            part = profile.get(level) or {}
            skipped = set(part.get("skippedTests") or []) - set(later)
            if part.get("failedTests") or skipped or part.get("result") == "failure" or (
                    not later and part and part.get("result") != "success"):
                found.append(f"REPORT  {name}, {level}: {part.get('result')}, "
                             f"failed {part.get('failedTests') or []}, skipped {sorted(skipped)}")
            missing = tested.intersection(part.get("unsupportedFeatures") or [])
            if missing:
                found.append(f"REPORT  {name}, {level}: not supported: {', '.join(sorted(missing))}")
    return found


def remarks(suite, later, run):
    """Lines that fail nothing: tests left for later that pass, or that this suite does not have."""
    names = {test["name"] for test in suite["tests"]}
    found = [f"note: {name} passes: it can be taken out of later.txt"
             for name in sorted(later) if run.outcomes.get(name) == "pass"]
    gone = sorted(set(later) - names)
    left = sorted({test["name"] for test in suite.get("own", [])} - {test["name"] for test in required_own(suite, run)})
    if left:
        found.append(f"note: left out, as their features are not claimed: {', '.join(left)}")
    untested = sorted(f for f in run.claimed if not tests_of(suite, f))
    if untested:
        found.append(f"note: without a test in suite {suite['suite']}: {', '.join(untested)}")
    if gone:
        found.append(f"note: not in suite {suite['suite']}: {', '.join(gone)}")
    return found


def judge_only(suite, run, expression):
    """Prints what became of the tests that an expression matches; the program's status."""
    roots = {ROOT_TEST: (suite["tests"], run.outcomes), OWN_TEST: (suite.get("own", []), run.own)}
    found = []
    for root, (tests, outcomes) in roots.items():
        for test in tests:
            name = test["name"]
            if is_for_gateways(test) and re.fullmatch(expression, name):
                found.append(outcomes.get(name, "missing"))
                print(f"{name}: {found[-1]}" + ("" if found[-1] == "pass" else f": {run.reason(name, root)}"))
    passed = found.count("pass")
    print(f"{passed} of {len(found)} tests passed")
    return 0 if found and passed == len(found) else 1


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list")
    parser.add_argument("log")
    parser.add_argument("later")
    parser.add_argument("--report", help="judge this report too")
    parser.add_argument("--only", help="judge the tests alone whose whole name this expression matches")
    arguments = parser.parse_args(argv)
    with open(arguments.list, encoding="utf-8") as file:
        suite = json.load(file)
    with open(arguments.later, encoding="utf-8") as file:
        later = read_later(file.read())
    with open(arguments.log, encoding="utf-8") as file:
        run = Run(file)
    if arguments.only:
        return judge_only(suite, run, arguments.only)
    for line in remarks(suite, later, run):
        print(line)
    bad = deviations(suite, later, run)
    if arguments.report and not os.path.exists(arguments.report):
        bad.append(f"REPORT  {arguments.report} was not written")
    elif arguments.report:
        with open(arguments.report, encoding="utf-8") as file:
            bad += report_deviations(suite, later, yaml.safe_load(file))
    if run.ended is None:
        bad.append("the log has no end: the suite did not finish")
    for line in bad:
        print(line)
    if suite.get("own"):
        own = required_own(suite, run)
        print(f"own: {sum(run.own.get(t['name']) == 'pass' for t in own)} of {len(own)} tests passed")
    required = [t for t in suite["tests"] if is_for_gateways(t) and t["name"] not in later]
    passed = sum(run.outcomes.get(t["name"]) == "pass" for t in required)
    print(f"suite {suite['suite']}: {passed} of {len(required)} required tests passed, "
          f"{len(set(later) & {t['name'] for t in suite['tests']})} left for later, "
          f"{len(run.claimed)} features claimed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
