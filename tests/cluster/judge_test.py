# SPDX-License-Identifier: Apache-2.0
"""A run of the official suite passes only if every test that has to pass did."""
import contextlib
import io
import json
import os
import tempfile
import unittest

import judge

HERE = os.path.dirname(os.path.abspath(__file__))
SUITE = {"suite": judge.NEWEST, "tests": [
    {"name": "HTTPRouteWeight", "features": ["Gateway", "HTTPRoute"]},
    {"name": "HTTPRouteCORS", "features": ["Gateway", "HTTPRoute", "HTTPRouteCORS"]},
    {"name": "GRPCRouteWeight", "features": ["Gateway", "GRPCRoute"]},
    {"name": "MeshBasic", "features": ["Mesh", "HTTPRoute"]},
]}
LATER = {"GRPCRouteWeight": "GRPCRoute is not served yet"}


OWN = {**SUITE, "own": [
    {"name": "BundleOfOurs", "features": ["Gateway", "Bundle"]},
    {"name": "OtherOfOurs", "features": ["Gateway", "Other"]},
]}


def log(outcomes, output=(), ended="pass", root="TestConformance"):
    """Lines of `go test -json`: outcomes by test, output as (test, line)."""
    events = [{"Action": "output", "Test": f"{root}/{test}" if test else root,
               "Output": text + "\n"} for test, text in output]
    for test, outcome in outcomes.items():
        events.append({"Action": "run", "Test": f"{root}/{test}"})
        if outcome:
            events.append({"Action": outcome, "Test": f"{root}/{test}"})
    if ended:
        events += [{"Action": ended, "Test": root}, {"Action": ended}]
    return [json.dumps(event) for event in events]


def deviations(outcomes, later=None, **more):
    """Deviations of a run of SUITE."""
    return judge.deviations(SUITE, LATER if later is None else later, judge.Run(log(outcomes, **more)))


GOOD = {"HTTPRouteWeight": "pass", "HTTPRouteCORS": "pass", "GRPCRouteWeight": "skip",
        "MeshBasic": "skip"}


class Judge(unittest.TestCase):
    """Each way to fall short gets its line."""

    def test_a_run_where_all_required_tests_passed_passes(self):
        self.assertEqual(deviations(GOOD), [])

    def test_a_failed_test_is_named_with_its_reason(self):
        lines = [("HTTPRouteCORS/preflight", "    \tError Trace:\tx.go:1"),
                 ("HTTPRouteCORS/preflight", "    \tError:      \tReceived unexpected error:"),
                 ("HTTPRouteCORS/preflight", "    \t            \ttimed out"),
                 ("HTTPRouteCORS/preflight", "    \tTest:       \tTestConformance"),
                 ("HTTPRouteCORS/preflight", "    \tMessages:   \tno answer")]
        self.assertEqual(
            deviations({**GOOD, "HTTPRouteCORS": "fail"}, output=lines),
            ["FAILED  HTTPRouteCORS: preflight: Received unexpected error: timed out no answer"])

    def test_a_skipped_test_is_no_passed_test(self):
        lines = [("HTTPRouteCORS", "    conformance.go:73: Skipping HTTPRouteCORS: suite does not "
                                   "support HTTPRouteCORS")]
        found = deviations({**GOOD, "HTTPRouteCORS": "skip"}, output=lines)
        self.assertEqual(found, ["SKIPPED HTTPRouteCORS: Skipping HTTPRouteCORS: suite does not "
                                 "support HTTPRouteCORS"])

    def test_a_test_that_did_not_run_or_end_is_no_passed_test(self):
        outcomes = {**GOOD, "HTTPRouteCORS": None}
        del outcomes["HTTPRouteWeight"]
        self.assertEqual(deviations(outcomes), ["NOT RUN HTTPRouteWeight: it did not begin",
                                                "NOT RUN HTTPRouteCORS: it never ended"])

    def test_a_test_of_step_2_cannot_be_left_for_later(self):
        found = deviations(GOOD, later={**LATER, "HTTPRouteCORS": "too hard"})
        self.assertEqual(found, ["LATER   HTTPRouteCORS: is for step 2, and may not be left"])

    def test_a_test_left_for_later_that_passes_is_reported(self):
        run = judge.Run(log({**GOOD, "GRPCRouteWeight": "pass"}))
        self.assertEqual(judge.deviations(SUITE, LATER, run), [])
        self.assertEqual(judge.remarks(SUITE, LATER, run),
                         ["note: GRPCRouteWeight passes: it can be taken out of later.txt"])

    def test_a_claimed_feature_needs_a_passed_test(self):
        claim = [("", "Supported features for GatewayClass hyperway: [HTTPRouteCORS ListenerSet]")]
        self.assertEqual(
            deviations(GOOD, output=claim),
            ["CLAIMED ListenerSet: the GatewayClass lists it, and no test of it passed"])

    def test_a_line_that_comes_in_two_pieces_is_one(self):
        pieces = ["Supported features for GatewayClass hyperway: [HTTPRo", "ute HTTPRouteCORS]\n"]
        lines = [json.dumps({"Action": "output", "Test": "TestConformance", "Output": piece})
                 for piece in pieces]
        self.assertEqual(judge.Run(lines).claimed, {"HTTPRoute", "HTTPRouteCORS"})

    def test_a_feature_that_an_older_suite_has_no_test_of_is_a_remark(self):
        claim = [("", "Supported features for GatewayClass hyperway: [HTTPRouteNew]")]
        run = judge.Run(log(GOOD, output=claim))
        self.assertEqual(judge.deviations({**SUITE, "suite": "v1.0.0"}, LATER, run), [])
        self.assertIn("note: without a test in suite v1.0.0: HTTPRouteNew",
                      judge.remarks({**SUITE, "suite": "v1.0.0"}, LATER, run))
        self.assertEqual(len(judge.deviations(SUITE, LATER, run)), 1)

    def test_the_older_name_of_a_feature_stands_for_its_tests(self):
        suite = {**SUITE, "tests": [{"name": "HTTPRouteRetry", "features": ["HTTPRouteRetryCodes"]}]}
        claim = [("", "Supported features for GatewayClass hyperway: [HTTPRouteRetry]")]
        for outcome, expected in (("pass", 0), ("skip", 2)):
            run = judge.Run(log({"HTTPRouteRetry": outcome}, output=claim))
            self.assertEqual(len(judge.deviations(suite, {}, run)), expected)

    def test_a_test_that_the_suite_does_not_have_is_found(self):
        self.assertEqual(deviations({**GOOD, "Forged": "pass"}),
                         ["UNKNOWN Forged: is in the log, and not in the suite"])

    def test_a_line_without_a_reason_or_twice_is_refused(self):
        self.assertEqual(judge.read_later("# why\n\nA  because\n"), {"A": "because"})
        for text in ("A\n", "A   \n", "A b\nA c\n"):
            with self.subTest(text), self.assertRaises(ValueError):
                judge.read_later(text)

    def run_main(self, lines, *arguments):
        """Exit status and output of the program."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("list", "log", "later")]
            texts = (json.dumps(SUITE), "\n".join(lines), "GRPCRouteWeight  not yet\n")
            for path, text in zip(paths, texts):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                return judge.main([*paths, *arguments]), out.getvalue()

    def test_the_program_says_how_many_and_fails_by_its_status(self):
        status, said = self.run_main(log(GOOD))
        self.assertEqual(status, 0)
        self.assertEqual(said, f"suite {judge.NEWEST}: 2 of 2 required tests passed, 1 left for later, "
                               "0 features claimed\n")
        status, said = self.run_main(log({**GOOD, "HTTPRouteCORS": "fail"}))
        self.assertEqual(status, 1)
        self.assertIn(f"\nsuite {judge.NEWEST}: 1 of 2 required tests passed", said)

    def test_a_log_that_breaks_off_fails(self):
        status, said = self.run_main(log(GOOD, ended=None))
        self.assertEqual(status, 1)
        self.assertIn("the log has no end", said)

    def test_a_run_that_began_no_test_says_why(self):
        lines = [("", "    \tError:      \tno supported features"), ("", "    \tMessages:   \tat start")]
        self.assertEqual(deviations({}, output=lines), ["NO TEST began: no supported features at start"])

    def test_tests_can_be_judged_alone_by_their_names(self):
        self.assertEqual(self.run_main(log({"HTTPRouteCORS": "pass"}), "--only", "HTTPRouteCORS"),
                         (0, "HTTPRouteCORS: pass\n1 of 1 tests passed\n"))
        self.assertEqual(self.run_main(log({}), "--only", "HTTPRouteCORS")[0], 1)
        self.assertEqual(self.run_main(log({}), "--only", "None")[0], 1)
        both = self.run_main(log({"HTTPRouteWeight": "pass", "GRPCRouteWeight": "pass"}), "--only", ".*Weight")
        self.assertEqual((both[0], both[1].splitlines()[-1]), (0, "2 of 2 tests passed"))

    def report(self, changes=None, later=()):
        """Deviations of a report where all went well but for the changes of one profile's extended part."""
        part = {"result": "success", "supportedFeatures": ["HTTPRouteCORS"], "unsupportedFeatures": ["ClusterTrustBundle"]}
        profiles = [{"name": name, "core": {"result": "success"}, "extended": dict(part)}
                    for name in sorted(judge.PROFILES)]
        profiles[1]["extended"].update(changes or {})
        return judge.report_deviations(SUITE, later, {"profiles": profiles})

    def test_the_report_has_to_say_of_all_five_profiles_that_they_succeeded(self):
        self.assertEqual(self.report(), [])
        for changes in ({"result": "failure", "failedTests": ["HTTPRouteCORS"]},
                        {"result": "partial", "skippedTests": ["HTTPRouteCORS"]},
                        {"unsupportedFeatures": ["HTTPRouteCORS"]}):
            with self.subTest(changes):
                self.assertEqual(len(self.report(changes)), 1)
        self.assertEqual(len(judge.report_deviations(SUITE, (), {})), len(judge.PROFILES))
        status, said = self.run_main(log(GOOD), "--report", "/nowhere/report.yaml")
        self.assertEqual((status, said.splitlines()[0]), (1, "REPORT  /nowhere/report.yaml was not written"))

    def test_what_is_left_for_later_may_be_skipped_in_the_report(self):
        skipped = {"result": "partial", "skippedTests": ["GRPCRouteWeight"], "unsupportedFeatures": ["GRPCRoute"]}
        self.assertEqual(self.report(skipped, later=LATER), [])


class Own(unittest.TestCase):
    """Our own tests are judged apart, by what the GatewayClass claims."""

    def judge(self, own, claimed=("Gateway", "Bundle"), suite=None, **more):
        """Deviations of a run where all of SUITE went well."""
        claim = [("", f"Supported features for GatewayClass hyperway: [{' '.join(claimed)}]")]
        run = judge.Run(log(GOOD, output=claim) + log(own, root="TestOwn", **more))
        return judge.deviations(suite or OWN, LATER, run)

    def test_a_passed_test_of_ours_stands_for_a_feature_that_the_suite_has_no_test_of(self):
        self.assertEqual(self.judge({"BundleOfOurs": "pass", "OtherOfOurs": "skip"}), [])

    def test_it_does_not_stand_for_one_that_the_suite_has_a_test_of(self):
        suite = {**OWN, "tests": [*SUITE["tests"], {"name": "Bundle", "features": ["Bundle"]}]}
        self.assertEqual(self.judge({"BundleOfOurs": "pass"}, suite=suite),
                         ["NOT RUN Bundle: it did not begin",
                          "CLAIMED Bundle: the GatewayClass lists it, and no test of it passed"])

    def test_a_claimed_feature_without_any_test_is_found(self):
        self.assertEqual(self.judge({"BundleOfOurs": "pass"}, claimed=("Gateway", "Bundle", "New")),
                         ["CLAIMED New: the GatewayClass lists it, and no test of it passed"])

    def test_a_test_of_ours_that_failed_was_skipped_or_did_not_run_is_no_passed_test(self):
        claimed = "CLAIMED Bundle: the GatewayClass lists it, and no test of it passed"
        output = [("BundleOfOurs", "    x.go:1: it was not so")]
        for outcome, line in (("fail", "FAILED  BundleOfOurs: it was not so"), ("skip", "SKIPPED BundleOfOurs: it was not so"),
                              (None, "NOT RUN BundleOfOurs: it never ended")):
            with self.subTest(outcome):
                self.assertEqual(self.judge({"BundleOfOurs": outcome}, output=output), [line, claimed])
        self.assertEqual(self.judge({}), ["NOT RUN BundleOfOurs: it did not begin", claimed])

    def test_a_test_of_ours_for_what_is_not_claimed_is_left_out(self):
        self.assertEqual(self.judge({"BundleOfOurs": "skip", "OtherOfOurs": "skip"}, claimed=("Gateway",)), [])
        self.assertEqual(self.judge({}, claimed=("Gateway",), ended=None), [])
        run = judge.Run(log(GOOD, output=[("", "Supported features for GatewayClass hyperway: [Gateway Other]")]))
        self.assertIn("note: left out, as their features are not claimed: BundleOfOurs", judge.remarks(OWN, LATER, run))

    def test_a_failure_beside_our_tests_is_one(self):
        self.assertEqual(self.judge({"BundleOfOurs": "pass"}, ended="fail"), ["FAILED  TestOwn: no reason given"])
        self.assertEqual(self.judge({"BundleOfOurs": "pass"}, ended=None), ["NOT RUN TestOwn: it never ended"])

    def test_a_test_that_is_none_of_ours_is_found(self):
        self.assertEqual(self.judge({"BundleOfOurs": "pass", "Forged": "pass"}),
                         ["UNKNOWN Forged: is in the log, and none of our own tests"])

    def test_a_test_of_ours_is_none_of_the_suite_s(self):
        run = judge.Run(log({**GOOD, "HTTPRouteCORS": "fail"}) + log({"HTTPRouteCORS": "pass"}, root="TestOwn"))
        self.assertEqual(judge.deviations(OWN, LATER, run)[0], "FAILED  HTTPRouteCORS: no reason given")

    def test_they_are_counted_apart_and_judged_alone_by_their_names(self):
        claim = [("", "Supported features for GatewayClass hyperway: [Gateway Bundle]")]
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("list", "log", "later")]
            lines = log(GOOD, output=claim) + log({"BundleOfOurs": "pass", "OtherOfOurs": "skip"}, root="TestOwn")
            for path, text in zip(paths, (json.dumps(OWN), "\n".join(lines), "GRPCRouteWeight  not yet\n")):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            for only, status, said in (
                    ((), 0, ["own: 1 of 1 tests passed",
                             f"suite {judge.NEWEST}: 2 of 2 required tests passed, 1 left for later, 2 features claimed"]),
                    (("--only", ".*OfOurs"), 1, ["OtherOfOurs: skip: no reason given", "1 of 2 tests passed"]),
                    (("--only", "BundleOfOurs"), 0, ["BundleOfOurs: pass", "1 of 1 tests passed"])):
                with self.subTest(only), contextlib.redirect_stdout(io.StringIO()) as out:
                    self.assertEqual(judge.main([*paths, *only]), status)
                    self.assertEqual(out.getvalue().splitlines()[-2:], said)


class Later(unittest.TestCase):
    """The list of this tree."""

    def test_the_list_can_be_read_and_every_reason_names_what_is_missing(self):
        with open(os.path.join(HERE, "later.txt"), encoding="utf-8") as file:
            later = judge.read_later(file.read())
        for name, reason in later.items():
            self.assertRegex(reason, r"(Route|ListenerSet) is not (served|read) yet$|HTTP/2", name)


if __name__ == "__main__":
    unittest.main()
