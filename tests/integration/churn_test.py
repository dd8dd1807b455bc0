# SPDX-License-Identifier: Apache-2.0
"""Change under load: routes, certificates and endpoints change 50 times a second, then a drain.

10 seconds by default; HYPERWAY_FULL=1 makes it 60 seconds and at least 200,000 requests (or as many as
HYPERWAY_CHURN_REQUESTS says). HYPERWAY_SOAK_MINUTES=60 makes it a soak: clients that take their time, and memory and
descriptors that may not grow. No request may fail: every client is one that never retries.
"""
import collections
import multiprocessing
import os
import time
import unittest

from harness import gateway as gw
from harness import probes, soak, tls
from harness.case import Case, patience, until
from harness.load import LoadClient
from harness.manifests import app, backend_ref, gateway, gateway_class, listener, path_match, route, rule, secret, slices
from harness.processes import BackendProcess

FULL = bool(os.environ.get("HYPERWAY_FULL"))
SECONDS = soak.MINUTES * 60 or (60 if FULL else 10)
WANTED = int(os.environ.get("HYPERWAY_CHURN_REQUESTS") or (200000 if FULL else 0))
EDITS_PER_SECOND = 50
KINDS = ["keep", "keep", "fresh", "fresh", "tls", "tls"]


class Churn(Case):
    limit_seconds = (900 if WANTED else 90) + soak.MINUTES * 60

    def test_nothing_fails_while_everything_changes_and_the_process_drains(self):
        backends = [self.use(BackendProcess(f"b{n}")) for n in range(3)]
        certificates = [tls.self_signed("a.example", serial=n) for n in (1, 2)]
        process = self.use(gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", "a.example", ["cert"])]),
            secret("cert", *certificates[0]), *app("app", *backends), self._route(0),
            *[route(f"other-{n}", hostnames=[f"h{n}.example"]) for n in range(50)], workers=2,
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
            self._edit(process, edits, backends, certificates)
            edits += 1
            time.sleep(max(0.0, begin + edits / EDITS_PER_SECOND - time.monotonic()))
        took, held = time.monotonic() - begin, self._held(process)
        # The drain, under load: readiness goes, clients are told, go on for a while, and leave within the delay.
        draining.set()
        process.terminate()
        until(lambda: process.ask_admin("/readyz").status == 503, message="readiness off")
        time.sleep(0.5)
        stop.set()
        seen, failures = collections.Counter(), []
        for client in clients:
            one, failed = client.finish()
            failures += failed
            if one["GET"] < 50 and not failed:
                failures.append(f"{client.kind}: {one['GET']} requests only: it waited for something")
            if client.kind == "keep":
                self.assertEqual(one["connections before the drain"], 1, "a kept connection was closed")
            seen += one
        count = seen["GET"] + seen["POST"]
        self.assertEqual(failures[:10], [], f"{len(failures)} of {count} requests failed")
        self.assertEqual(process.process.wait(30), 0)
        for backend in backends:
            backend.close()
        print(f"churn: {count} requests ({seen['POST']} POST, {seen['connections before the drain']} connections), "
              f"{edits} edits in {took:.1f} s, 0 failed; descriptors {settled[0]} -> {held[0]}, "
              f"memory {settled[1] / 1024:.0f} -> {held[1] / 1024:.0f} KiB", flush=True)
        self.assertGreaterEqual(count, max(WANTED, 200))
        self.assertAlmostEqual(seen["POST"] / count, 0.2, delta=0.05)
        self.assertGreaterEqual(edits / took, EDITS_PER_SECOND * 0.95 / (1 if patience() == 1 else 1.5 * patience()))
        self._check_that_edits_took_effect(edits, seen, backends)
        # What came and went leaves nothing behind.
        self.assertLessEqual(held[0], settled[0] + 30)
        self.assertLessEqual(held[1] - settled[1], (8 << 20) * (8 if gw.sanitized() else 1))
        samples.check(self)

    def _check_that_edits_took_effect(self, edits, seen, backends):
        """Without this a gateway that ignores its configuration would pass."""
        self.assertEqual([x for b in backends for x in b.ambiguous], [])
        versions = {key for b in backends for key in b.seen if key.startswith("edit ")}
        self.assertGreater(len(versions), edits / (8 * patience()), "edits of the route at work")
        certificates = [n for key, n in seen.items() if key.startswith("certificate ")]
        self.assertEqual(len(certificates), 2)
        served = [sum(n for key, n in b.seen.items() if key.startswith("method ")) for b in backends]
        self.assertTrue(0 < served[2] < min(served[:2]), f"requests of each backend: {served}")

    @staticmethod
    def _held(process):
        return probes.descriptors(process.pid), probes.memory(process.pid)["private"]

    @staticmethod
    def _route(n):
        return route("main", [rule([backend_ref("app", weight=1 + n % 5)], [path_match("/")], [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [
                {"name": "X-Edit", "value": str(n)}]}}])], ["a.example"])

    def _edit(self, process, n, backends, certificates):
        """One change: a route, a certificate, or the endpoints."""
        what = n % 10
        if what == 9:
            process.apply(secret("cert", *certificates[n // 10 % 2]))
        elif what in (3, 6):
            process.apply(slices("app", [backends[2]]))
        elif what in (4, 7):
            process.delete(slices("app", [backends[2]]))
        elif what == 5:
            process.apply(route(f"other-{n % 50}", hostnames=[f"h{n}.example"]))
        else:
            process.apply(self._route(n))


if __name__ == "__main__":
    unittest.main()
