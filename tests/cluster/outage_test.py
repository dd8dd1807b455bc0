# SPDX-License-Identifier: Apache-2.0
"""The API server is away for long: traffic goes on, it is said, and all is right again within 5 s of its return.

20 s by default, HYPERWAY_FULL=1 makes it 10 minutes.
"""
import collections
import glob
import http.client
import os
import threading
import time
import unittest

import shop

FULL = bool(os.environ.get("HYPERWAY_FULL"))
AWAY = 600 if FULL else 20
IN_TIME = 5  # seconds
TOLD = 15  # seconds until it is told that nobody is there
LOG_LINES = 40  # of a replica, in all of it
DEGRADED = "hyperway_config_degraded"


class Client(threading.Thread):
    """Asks one replica all the time, for a backend and for a redirect in turn; and whether it is ready."""

    def __init__(self, address, kept, stop):
        super().__init__(daemon=True)
        self.asker, self.address, self.kept, self.stop = shop.Asker(address), address, kept, stop
        self.seen = collections.Counter()
        self.failed = []

    def run(self):
        number = 0
        while not self.stop.wait(0.02) and len(self.failed) < 10:
            number += 1
            host, wanted = (("app.example", 200), ("stays.example", 302))[number % 2]
            status = self.asker.ask(host)[0]
            if not self.kept:
                self.asker.close()
                if number % 50 == 0:
                    self.expect("/readyz", self.readiness(), 200)
            self.expect(host, status, wanted)
        self.asker.close()

    def readiness(self):
        """Status of /readyz; 0 if there was no answer."""
        try:
            return shop.ask(self.address, path="/readyz", port=shop.ADMIN)[0]
        except (OSError, http.client.HTTPException):
            return 0

    def expect(self, what, status, wanted):
        """Counts an answer."""
        self.seen[what] += 1
        if status != wanted:
            self.failed.append((time.strftime("%X"), self.address, self.kept, what, status))


class Outage(unittest.TestCase):
    """One cluster."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = shop.install(cls)
        backend = cls.enterClassContext(shop.Backend())
        cls.make(shop.SERVICES, shop.service("app"))
        cls.make(shop.SLICES, shop.endpoint_slice("app", backend.port))
        cls.make(shop.ROUTES, shop.forward("app"))
        cls.make(shop.ROUTES, shop.redirect("stays"))
        cls.pods = shop.pods(cls.cluster)
        for pod in cls.pods.values():
            cls.cluster.until("all is served", lambda p=pod: shop.ask(p, "app.example")[0] == 200
                              and shop.ask(p, "stays.example")[0] == 302)

    @classmethod
    def make(cls, path, body):
        """Creates an object."""
        status, answer = cls.cluster.request("POST", path, body)
        assert status == 201, answer

    def told(self, pod):
        """(what /readyz says of health, the metric of it) of a replica."""
        _, ready = shop.ask(pod, path="/readyz?verbose", port=shop.ADMIN)
        _, metrics = shop.ask(pod, path="/metrics", port=shop.ADMIN)
        value = [line.split()[1] for line in metrics.splitlines() if line.startswith(DEGRADED + " ")]
        return "the last good state is served" in ready, value == ["1"]

    def log_lines(self):
        """{Pod: lines of its log}"""
        lines = {}
        for name in self.pods:
            path, = glob.glob(os.path.join(self.cluster.dir, f"pods/hyperway-system/{name}_*/*.log"))
            with open(path, encoding="utf-8") as file:
                lines[name] = file.read().splitlines()
        return lines

    def test_a_server_that_is_away_for_long_costs_no_request_and_all_is_right_soon_after_its_return(self):
        before = self.log_lines()
        stop = threading.Event()
        self.addCleanup(stop.set)
        clients = [Client(pod, kept, stop) for pod in self.pods.values() for kept in (True, False)]
        for client in clients:
            client.start()
        self.cluster.fault("stop", "kube-apiserver")
        gone = time.monotonic()
        for pod in self.pods.values():
            self.cluster.until("it is told", lambda p=pod: self.told(p) == (True, True), seconds=TOLD)
        # The rule is about time, which has to pass.
        while (left := gone + AWAY - time.monotonic()) > 0 and not any(client.failed for client in clients):
            time.sleep(min(left, 1))
        for pod in self.pods.values():
            self.assertEqual(self.told(pod), (True, True))
        away = {name: lines[len(before[name]):] for name, lines in self.log_lines().items()}

        self.cluster.fault("start", "kube-apiserver")
        back = time.monotonic()
        # One that is edited, and a new one.
        status, edited = self.cluster.request("PATCH", shop.ROUTES + "/stays", {
            "spec": {"hostnames": ["stays.example", "edited.example"]}}, "application/merge-patch+json")
        self.assertEqual(status, 200)
        self.make(shop.ROUTES, shop.redirect("new"))
        pods = list(self.pods.values())
        waits = {
            "traffic": lambda: all(shop.ask(pod, host)[0] == 302 for pod in pods
                                   for host in ("edited.example", "new.example")),
            "health": lambda: all(self.told(pod) == (False, False) for pod in pods),
            "statuses": lambda: self.has_status("new", 1) and self.has_status(
                "stays", edited["metadata"]["generation"])}
        took = {}

        def right_again():
            for what, is_right in waits.items():
                if what not in took and is_right():
                    took[what] = round(time.monotonic() - back, 2)
            return len(took) == len(waits)
        self.cluster.until("all is right again", right_again, seconds=3 * IN_TIME, pause=0.02)
        stop.set()
        for client in clients:
            client.join()
        # That API server refuses some calls while it starts (403), as long as it has not read its roles.
        self.assertEqual([f for client in clients for f in client.failed], [])
        answers = sum((client.seen for client in clients), collections.Counter())
        self.assertEqual(set(answers), {"app.example", "stays.example", "/readyz"})
        print(f"{AWAY} s away: {sum(answers.values())} requests, 0 failed; log lines meanwhile "
              f"{[len(lines) for lines in away.values()]}; s after the return: {took}", flush=True)
        self.assertLess(max(took.values()), IN_TIME)
        for lines in away.values():
            self.assertLess(len(lines), LOG_LINES, "\n".join(lines))

    def has_status(self, name, generation):
        """Whether the conditions of a route are those of a generation."""
        parents = self.cluster.get(f"{shop.ROUTES}/{name}").get("status", {}).get("parents", [])
        return len(parents) == 1 and {c["observedGeneration"] for c in parents[0]["conditions"]} == {generation}


if __name__ == "__main__":
    unittest.main()
