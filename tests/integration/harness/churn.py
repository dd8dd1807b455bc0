# SPDX-License-Identifier: Apache-2.0
"""Change under load: what changes 50 times a second, and what clients and backends must have seen of it."""
import collections
import time

from . import tls
from .case import patience
from .manifests import app, backend_ref, gateway, gateway_class, path_match, route, rule, secret, slices

EDITS_PER_SECOND = 50


def wait_for_turn(begin, edits):
    """Waits until the next edit after so many is due."""
    time.sleep(max(0.0, begin + edits / EDITS_PER_SECOND - time.monotonic()))


def finish(case, clients):
    """What all clients together saw; none may have failed, have waited long, or have lost a kept connection."""
    seen, failures = collections.Counter(), []
    for client in clients:
        one, failed = client.finish()
        failures += failed
        if one["GET"] < 50 and not failed:
            failures.append(f"{client.kind}: {one['GET']} requests only: it waited for something")
        if client.kind == "keep":
            case.assertEqual(one["connections before the drain"], 1, "a kept connection was closed")
        seen += one
    case.assertEqual(failures[:10], [], f"{len(failures)} of {seen['GET'] + seen['POST']} requests failed")
    return seen


class Changes:
    """Routes, a certificate, and three backends of which the last comes and goes."""

    def __init__(self, backends):
        self.backends = backends
        self.certificates = [tls.self_signed("a.example", serial=n) for n in (1, 2)]

    def objects(self, listeners):
        """What there is before the first change."""
        return [gateway_class(), gateway(listeners), secret("cert", *self.certificates[0]), *app("app", *self.backends),
                self._route(0), *[route(f"other-{n}", hostnames=[f"h{n}.example"]) for n in range(50)]]

    def make(self, target, n):
        """The nth change, of whatever has apply() and delete(): a route, the certificate, or the endpoints."""
        what = n % 10
        if what == 9:
            target.apply(secret("cert", *self.certificates[n // 10 % 2]))
        elif what in (3, 6):
            target.apply(slices("app", [self.backends[2]]))
        elif what in (4, 7):
            target.delete(*slices("app", [self.backends[2]]))
        elif what == 5:
            target.apply(route(f"other-{n % 50}", hostnames=[f"h{n}.example"]))
        else:
            target.apply(self._route(n))

    def versions(self):
        """Those of the route at work that backends saw."""
        return {key for b in self.backends for key in b.seen if key.startswith("edit ")}

    def check(self, case, edits, took, seen, edits_per_version):
        """That edits were made in time and took effect, with so many of them for each version of the route at work that
        was seen, at most: without this a gateway that ignores its configuration would pass."""
        case.assertGreaterEqual(edits / took, EDITS_PER_SECOND * 0.95 / (1 if patience() == 1 else 1.5 * patience()))
        case.assertEqual([x for b in self.backends for x in b.ambiguous], [])
        case.assertGreater(len(self.versions()), edits / (edits_per_version * patience()), "edits of the route at work")
        case.assertEqual(len([key for key in seen if key.startswith("certificate ")]), 2)
        served = [sum(n for key, n in b.seen.items() if key.startswith("method ")) for b in self.backends]
        case.assertTrue(0 < served[2] < min(served[:2]), f"requests of each backend: {served}")

    @staticmethod
    def _route(n):
        return route("main", [rule([backend_ref("app", weight=1 + n % 5)], [path_match("/")], [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [
                {"name": "X-Edit", "value": str(n)}]}}])], ["a.example"])
