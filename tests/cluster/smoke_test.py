# SPDX-License-Identifier: Apache-2.0
"""A handful of the official suite passes on a real API server, with the manifests of deploy/.

`./dev conformance direct` runs the whole suite; this shows in a minute that all parts work together.
"""
import os
import sys
import tempfile
import unittest

import conformance
import judge

# Statuses, a change of listeners, matching, certificates and grants: one of each.
TESTS = ("GatewayClassObservedGenerationBump", "GatewayModifyListeners", "HTTPRouteMatching",
         "HTTPRouteHTTPSListener", "HTTPRouteReferenceGrant", "HTTPRouteRequestMirror")
BUILD = os.environ.get("HYPERWAY_BUILD_DIR", os.path.join(conformance.ROOT, "build/release"))


class Smoke(unittest.TestCase):
    """The real binary in Pods."""

    def test_a_handful_of_the_official_suite_passes(self):
        out = self.enterContext(tempfile.TemporaryDirectory(prefix="hyperway-smoke-"))
        done = conformance.main(["direct", "--out", out, "--hyperway", BUILD,
                                 "--run", "|".join(TESTS)])
        with open(os.path.join(out, "direct.json"), encoding="utf-8") as log:
            run = judge.Run(log)
        self.assertEqual(done, 0, "\n".join(run.output.get("", [])[-40:]))
        deviating = {test: (run.outcomes.get(test), run.reason(test)) for test in TESTS
                     if run.outcomes.get(test) != "pass"}
        self.assertEqual(deviating, {})


if __name__ == "__main__":
    sys.exit(unittest.main())
