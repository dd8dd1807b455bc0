# SPDX-License-Identifier: Apache-2.0
"""Change under load: routes, certificates and endpoints change 50 times a second, then a drain.

10 seconds by default; HYPERWAY_FULL=1 makes it 60 seconds and at least 200,000 requests (or as many as
HYPERWAY_CHURN_REQUESTS says). HYPERWAY_SOAK_MINUTES=60 makes it a soak: clients that take their time, and memory and
descriptors that may not grow. No request may fail: every client is one that never retries.
"""
import multiprocessing
import os
import time
import unittest

from harness import gateway as gw
from harness import churn, probes, soak
from harness.case import Case, until
from harness.load import LoadClient
from harness.manifests import listener
from harness.processes import BackendProcess

FULL = bool(os.environ.get("HYPERWAY_FULL"))
SECONDS = soak.MINUTES * 60 or (60 if FULL else 10)
WANTED = int(os.environ.get("HYPERWAY_CHURN_REQUESTS") or (200000 if FULL else 0))
KINDS = ["keep", "keep", "fresh", "fresh", "tls", "tls"]


class Churn(Case):
    limit_seconds = (900 if WANTED else 90) + soak.MINUTES * 60

    def test_nothing_fails_while_everything_changes_and_the_process_drains(self):
        backends = [self.use(BackendProcess(f"b{n}")) for n in range(3)]
        changes = churn.Changes(backends)
        process = self.use(gw.Gateway(
            *changes.objects([listener(), listener("https", 443, "HTTPS", "a.example", ["cert"])]), workers=2,
            settings={"drain": {"delay": "2s", "deadline": "10s"}}))
        stop, draining = multiprocessing.Event(), multiprocessing.Event()
        self.addCleanup(stop.set)
        clients = [LoadClient(n, kind, (process.port(80), process.port(443)), stop, draining, soak.PAUSE)
                   for n, kind in enumerate(KINDS)]

        def answered():
            return sum(client.answered.value for client in clients)
        begin, edits, settled = time.monotonic(), 0, None
        samples = soak.Samples("hyperway", process.pid)
        while True:
            now = time.monotonic() - begin
            if now >= SECONDS and answered() >= WANTED or not all(c.process.is_alive() for c in clients):
                break
            if settled is None and now >= SECONDS / 2:
                settled = self._held(process)
            samples.take(now, f"{edits} edits, {answered()} requests")
            changes.make(process, edits)
            edits += 1
            churn.wait_for_turn(begin, edits)
        took, held = time.monotonic() - begin, self._held(process)
        # The drain, under load: readiness goes, clients are told, go on for a while, and leave within the delay.
        draining.set()
        process.terminate()
        until(lambda: process.ask_admin("/readyz").status == 503, message="readiness off")
        time.sleep(0.5)
        stop.set()
        seen = churn.finish(self, clients)
        count = seen["GET"] + seen["POST"]
        self.assertEqual(process.process.wait(30), 0)
        for backend in backends:
            backend.close()
        print(f"churn: {count} requests ({seen['POST']} POST, {seen['connections before the drain']} connections), "
              f"{edits} edits in {took:.1f} s, 0 failed; descriptors {settled[0]} -> {held[0]}, "
              f"memory {settled[1] / 1024:.0f} -> {held[1] / 1024:.0f} KiB", flush=True)
        self.assertGreaterEqual(count, max(WANTED, 200))
        self.assertAlmostEqual(seen["POST"] / count, 0.2, delta=0.05)
        changes.check(self, edits, took, seen, 8)
        # What came and went leaves nothing behind.
        self.assertLessEqual(held[0], settled[0] + 30)
        self.assertLessEqual(held[1] - settled[1], (8 << 20) * (8 if gw.sanitized() else 1))
        samples.check(self)

    @staticmethod
    def _held(process):
        return probes.descriptors(process.pid), probes.memory(process.pid)["private"]


if __name__ == "__main__":
    unittest.main()
