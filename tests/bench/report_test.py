# SPDX-License-Identifier: Apache-2.0
"""A limit holds, or fails, for the right reason."""
import contextlib
import io
import unittest

import report
import scenarios
from scenarios import Limit

LIMIT = Limit("S1", "cpu_us", 0.95)


def rows(proxy, values, scenario="S1", **more):
    """One row for each value, in rounds 0, 1, ..."""
    return [{"scenario": scenario, "proxy": proxy, "workers": 1, "round": n, "cpu_us": v,
             "errors": 0, "non2xx": 0, "others": 0.0, "user_share": 0.5, "rps": 1, "p50": 1,
             "p99": 1, **more} for n, v in enumerate(values)]


def judge(*parts, limit=LIMIT):
    return report.judge([row for part in parts for row in part], limit, 1)


class Limits(unittest.TestCase):
    def test_the_median_of_the_paired_ratios_decides(self):
        # Round 1 was slow for both: paired, it does not count against us.
        ours, peer = rows("hyperway", [9, 18, 9]), rows("nginx", [10, 20, 10])
        self.assertTrue(judge(ours, peer)[0])
        self.assertFalse(judge(rows("hyperway", [10, 10, 9]), rows("nginx", [10, 10, 10]))[0])

    def test_the_best_peer_counts_and_the_floor_is_no_peer(self):
        ours = rows("hyperway", [9])
        self.assertFalse(judge(ours, rows("nginx", [10]), rows("haproxy", [9]))[0])
        self.assertTrue(judge(ours, rows("nginx", [10]), rows("floor", [5]))[0])

    def test_wrong_answers_are_no_speed(self):
        peer = rows("nginx", [10])
        self.assertFalse(judge(rows("hyperway", [5], non2xx=1), peer)[0])
        self.assertFalse(judge(rows("hyperway", [5], errors=1), peer)[0])
        self.assertFalse(judge(rows("hyperway", [5], faults=["rewrite"]), peer)[0])

    def test_a_failed_measurement_or_no_peer_fails(self):
        broken = [{"scenario": "S1", "proxy": "hyperway", "workers": 1, "round": 0, "error": "x"}]
        self.assertFalse(judge(broken, rows("nginx", [10]))[0])
        self.assertFalse(judge(rows("hyperway", [5]))[0])

    def test_what_was_not_measured_is_not_judged(self):
        self.assertIsNone(judge(rows("nginx", [10])))

    def test_a_limit_can_compare_with_our_own_other_scenario(self):
        limit = Limit("S7-10000", "cpu_us", 1.05, "S7-10")
        base = rows("hyperway", [10], "S7-10")
        self.assertTrue(judge(base, rows("hyperway", [10.4], "S7-10000"), limit=limit)[0])
        self.assertFalse(judge(base, rows("hyperway", [10.6], "S7-10000"), limit=limit)[0])

    def test_an_absolute_limit_needs_no_peer(self):
        limit = Limit("S1", "cpu_us", 20, "", "us")
        self.assertTrue(judge(rows("hyperway", [20]), limit=limit)[0])
        self.assertFalse(judge(rows("hyperway", [21]), limit=limit)[0])

    def test_every_limit_names_things_that_exist(self):
        for limit in scenarios.LIMITS:
            self.assertIn(limit.scenario, scenarios.DEFAULT)
            self.assertTrue(limit.against in ("", "best", "nginx*", "haproxy*") or
                            limit.against in scenarios.DEFAULT or
                            limit.against in report.DRIVERS)

    def test_a_limit_of_one_worker_says_nothing_of_two(self):
        both = rows("hyperway", [9], workers=2) + rows("nginx", [10], workers=2)
        self.assertIsNone(report.judge(both, Limit("S1", "cpu_us", 0.85, workers=1), 2))
        self.assertTrue(report.judge(both, Limit("S1", "cpu_us", 0.95, workers=2), 2)[0])

    def test_what_is_near_its_limit_is_undecided_on_both_sides(self):
        peer = rows("nginx", [10, 10, 10])
        for ours, wanted in ((7.7, []), (8, [(1, "S1")]), (9, [(1, "S1")]), (9.4, [])):
            with self.subTest(ours):
                self.assertEqual(report.undecided(rows("hyperway", [ours] * 3) + peer), wanted)
        self.assertEqual(report.undecided(rows("hyperway", [8.5])), [])

    def test_a_noisy_run_says_so(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            report.report(rows("hyperway", [9], others=0.5) + rows("nginx", [10]))
        self.assertIn("not quiet", out.getvalue())


if __name__ == "__main__":
    unittest.main()
