# SPDX-License-Identifier: Apache-2.0
"""Every case of h2spec holds at the gateway's front, in plain text by prior knowledge and over TLS by ALPN."""
import os
import tempfile
import unittest
import xml.etree.ElementTree

import tools
from harness import gateway as gw
from harness import tls
from harness.backend import Backend, answer
from harness.case import Case
from harness.manifests import app, gateway, gateway_class, listener, route, secret

CASES = 145  # of h2spec 2.2.1


class H2Spec(Case):
    limit_seconds = 300

    @classmethod
    def setUpClass(cls):
        # A case about windows needs a body to hold back.
        cls.backend = Backend("app", handler=lambda _: answer(200, b"x" * 100))
        cls.gateway = gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", *tls.self_signed("a.example")), *app("app", cls.backend), route())

    @classmethod
    def tearDownClass(cls):
        cls.backend.close()
        cls.gateway.stop()

    def judge(self, port, *options):
        """Runs all cases and counts them in the report that h2spec writes."""
        with tempfile.TemporaryDirectory() as folder:
            report = os.path.join(folder, "report.xml")
            status, output = tools.run("h2spec", "-h", "127.0.0.1", "-p", str(port), "-o", "3", "-j", report, *options,
                                       seconds=280)
            self.assertTrue(os.path.exists(report), f"h2spec wrote no report, status {status}: {output[-4000:]}")
            cases = xml.etree.ElementTree.parse(report).getroot().findall(".//testcase")
        bad = [f"{case.get('package')}/{case.get('classname')}: {child.text or child.get('message') or child.tag}"
               for case in cases for child in case if child.tag in ("failure", "error", "skipped")]
        self.assertEqual(bad, [], output[-6000:])
        self.assertEqual(len(cases), CASES)
        self.assertEqual(status, 0, output[-4000:])

    def test_all_cases_hold_in_plain_text(self):
        self.judge(self.gateway.port(80))

    def test_all_cases_hold_over_tls(self):
        self.judge(self.gateway.port(443), "-t", "-k")


if __name__ == "__main__":
    unittest.main()
