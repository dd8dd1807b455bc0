# SPDX-License-Identifier: Apache-2.0
"""Change under load: routes, certificates and endpoints change 50 times a second, then a drain.

10 seconds by default; HYPERWAY_CHURN_REQUESTS=200000 runs until so many requests were answered. No
request may fail: every client is one that never retries.
"""
import itertools
import multiprocessing
import os
import time
import unittest

from harness import gateway as gw
from harness import probes, tls, upgrade
from harness.backend import Backend, answer
from harness.case import Case, patience, until
from harness.client import Client
from harness.manifests import app, backend_ref, gateway, gateway_class, listener, path_match, route, rule, secret, slices

SECONDS = 10
EDITS_PER_SECOND = 50


def client_process(port, tls_port, kind, stop, answered, failures):
    """Asks until told to stop: `kind` is keep, fresh or tls. Four GETs, then a POST of 1 KiB."""
    context, client, body = tls.client_context(), None, b"x" * 1024
    try:
        for n in itertools.count():
            if stop.is_set():
                break
            try:
                if client is None:
                    client = (Client(tls_port, timeout=10, tls=context, sni="a.example") if kind == "tls"
                              else Client(port, timeout=10))
                method, data = ("POST", body) if n % 5 == 4 else ("GET", None)
                client.request(method, f"/{n % 7}/x", host="a.example", body=data)
                got = client.response(method)
                want = b"%d" % (len(data) if data else 0)
                if got.status != 200 or got.body != want:
                    failures.put(f"{kind} {method}: {got}")
                with answered.get_lock():
                    answered.value += 1
                last = (got.get("connection") or "").lower() == "close"
            except ConnectionRefusedError as error:
                if not stop.is_set():
                    failures.put(f"{kind}: {error!r}")
                break
            except Exception as error:  # noqa: BLE001
                failures.put(f"{kind}: {error!r}")
                last = True
            if last or kind == "fresh" or (kind == "tls" and n % 50 == 49):
                client.close()
                client = None
    finally:
        if client is not None:
            client.close()


class Churn(Case):
    limit_seconds = 3600 if os.environ.get("HYPERWAY_CHURN_REQUESTS") else 90

    def test_nothing_fails_while_everything_changes_and_the_process_drains(self):
        wanted = int(os.environ.get("HYPERWAY_CHURN_REQUESTS", "0"))
        backends = [self.use(Backend(f"b{n}", handler=lambda r: answer(200, str(len(r.body))))) for n in range(3)]
        certificates = [tls.self_signed("a.example", serial=n) for n in (1, 2)]
        process = self.use(gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", "a.example", ["cert"])]),
            secret("cert", *certificates[0]), *app("app", *backends), self._route(0),
            *[route(f"other-{n}", hostnames=[f"h{n}.example"]) for n in range(50)], workers=2,
            settings={"drain": {"delay": "1s", "deadline": "10s"}}))
        stop, failures = multiprocessing.Event(), multiprocessing.Queue()
        answered = multiprocessing.Value("L", 0)
        kinds = ["keep", "keep", "fresh", "fresh", "tls", "tls"]
        clients = [multiprocessing.Process(target=client_process, daemon=True, args=(
            process.port(80), process.port(443), kind, stop, answered, failures)) for kind in kinds]
        for one in clients:
            one.start()
        begin, edits = time.monotonic(), 0
        try:
            while True:
                now = time.monotonic() - begin
                if (now >= SECONDS and answered.value >= wanted) or not failures.empty():
                    break
                self._edit(process, edits, backends, certificates)
                edits += 1
                time.sleep(max(0.0, begin + edits / EDITS_PER_SECOND - time.monotonic()))
            took = time.monotonic() - begin
            # The drain, still under load: readiness goes, clients are told, then leave within the delay.
            process.terminate()
            until(lambda: process.ask_admin("/readyz").status == 503, message="readiness off")
            stop.set()
            for one in clients:
                one.join(20)
        finally:
            stop.set()
            for one in clients:
                if one.is_alive():
                    one.terminate()
        problems = []
        while not failures.empty():
            problems.append(failures.get())
        self.assertEqual(problems[:10], [], f"{len(problems)} of {answered.value} requests failed")
        self.assertEqual(process.process.wait(30), 0)
        print(f"churn: {answered.value} requests, {edits} edits in {took:.1f} s, 0 failed", flush=True)
        self.assertGreaterEqual(answered.value, max(wanted, 200))
        self.assertGreaterEqual(edits / took, EDITS_PER_SECOND / (1.5 * patience()))
        self.assertEqual([x for b in backends for x in b.ambiguous], [])

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


class LongTunnels(Case):
    limit_seconds = 120

    def test_tunnels_held_over_many_edits_keep_no_old_tables_alive(self):
        count, edits = 300, 600
        backend = self.use(Backend("app", script=upgrade.echo_tunnel))
        process = self.use(gw.simple(backend))
        clients = []
        for _ in range(count):
            client = self.use(Client(process.port()))
            client.send(upgrade.WEBSOCKET)
            self.assertEqual(client.response().status, 101)
            clients.append(client)
        others = [route(f"r{n}", hostnames=[f"h{n}.example"]) for n in range(200)]
        process.apply(*others)
        time.sleep(1.5)
        sizes = []
        for n in range(edits):
            process.apply(route(f"r{n % 200}", hostnames=[f"v{n}.example"]))
            time.sleep(0.005)
            if n in (edits // 3, edits - 1):
                time.sleep(1.5)
                sizes.append(probes.memory(process.pid)["private"])
        self.assertLess(sizes[1] - sizes[0], (2 << 20) * (8 if gw.sanitized() else 1))
        for client in clients[::20]:
            client.send(b"alive")
            self.assertEqual(client.reader.take(5), b"alive")


if __name__ == "__main__":
    unittest.main()
