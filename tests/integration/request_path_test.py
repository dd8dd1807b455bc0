# SPDX-License-Identifier: Apache-2.0
"""What a request costs beside its bytes: no allocation, no needless system call; and where splice is used."""
import os
import shutil
import tempfile
import time
import unittest

from harness import gateway as gw
from harness.backend import Backend, answer
from harness.calls import Counter
from harness.case import Case, GatewayCase, until
from harness.client import Client, ask
from harness.manifests import (app, extension, filter_object, gateway, gateway_class, path_match, route, rule)

MIB = 1 << 20
HEADERS = {"type": "RequestHeaderModifier", "requestHeaderModifier": {
    "set": [{"name": "X-Set", "value": "1"}], "add": [{"name": "X-Add", "value": "2"}], "remove": ["X-Gone"]}}


def open_text(path):
    """A file as text."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class RequestPath(GatewayCase):
    limit_seconds = 60

    @classmethod
    def make(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="hw-calls-")
        cls.counter = Counter(cls.folder.name)
        return gw.Gateway(
            gateway_class(), gateway(), *app("app", cls.backend("app")),
            filter_object("mask", "json_mask", {"fields": ["x"]}),
            route(rules=[rule(["app"], [path_match("/plain")]), rule(["app"], [path_match("/edited")], [HEADERS]),
                         rule(["app"], [path_match("/masked")], [extension("mask")])]),
            environment=cls.counter.environment)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.counter.close()
        cls.folder.cleanup()

    def calls_each(self, path, count=500, **kwargs):
        """{slot: calls for each request} of a kept connection that is warm."""
        with Client(self.port) as client:
            def ask():
                for _ in range(count):
                    self.assertEqual(client.ask("GET", path, **kwargs).status, 200)
            ask()
            return {slot: calls / count for slot, calls in self.counter.during(ask).items()}

    def test_no_allocation_for_a_request(self):
        self.app.handler = lambda r: answer(200, b"x" * 1024, [("X-One", "1"), ("X-Two", "2")])
        for path in ("/plain", "/edited"):
            with self.subTest(path):
                each = self.calls_each(path, fields=[("X-Gone", "1"), ("Accept", "*/*")])
                self.assertLess(each["allocate"], 0.02, each)
        self.assertGreater(self.counter.read()["allocate"], 0, "nothing is counted")

    def test_no_lock_and_no_call_to_another_thread(self):
        """Nobody is woken either: that takes a condition, or a write beside the two messages (see below)."""
        for path in ("/plain", "/edited"):
            with self.subTest(path):
                each = self.calls_each(path)
                self.assertLess(each["lock"], 0.02, each)
                self.assertLess(each["send"], 2.1, each)
        # The table is exchanged by a message to the worker, which takes a lock: it is counted.
        before = self.counter.read()["lock"]
        self.gateway.apply(route("more", rules=[rule(["app"], [path_match("/more")])]))
        until(lambda: ask(self.port, "GET", "/more").status == 200)
        self.assertGreater(self.counter.read()["lock"], before, "nothing is counted")

    def test_no_needless_system_call(self):
        self.app.handler = lambda r: answer(200, b"x" * 1024)
        each = self.calls_each("/plain")
        # Two messages come in and two go out, each in one piece; waiting is at most once for each that comes in.
        self.assertTrue(1.9 < each["receive"] < 2.2, each)
        self.assertTrue(1.9 < each["send"] < 2.1, each)
        self.assertLess(each["epoll_wait"], 2.2, each)
        self.assertLess(each["epoll_ctl"] + each["option"], 0.05, each)

    def large(self, path, content="application/octet-stream"):
        """{slot: calls} of one download of 8 MiB."""
        blob = b"y" * (8 * MIB)
        if content == "application/json":
            blob = b'{"z":"' + blob[:-9] + b'"}'
        self.app.handler = lambda r: answer(200, blob, [("Content-Type", content)])

        def ask():
            with Client(self.port, timeout=30) as client:
                self.assertEqual(len(client.ask("GET", path).body), len(blob))
        return self.counter.during(ask)

    def test_large_plain_bodies_are_spliced_both_ways(self):
        self.assertGreater(self.large("/plain")["splice"], 4)

        def upload():
            with Client(self.port, timeout=30) as client:
                client.request("POST", "/plain", body=b"z" * (8 * MIB))
                self.assertEqual(client.response().status, 200)
        self.app.handler = lambda r: answer(200, str(len(r.body)))
        self.assertGreater(self.counter.during(upload)["splice"], 4)

    def test_bodies_that_a_filter_looks_at_are_not(self):
        self.assertEqual(self.large("/masked", "application/json")["splice"], 0)

    def test_a_splice_that_stalls_resumes(self):
        blob = bytes(range(256)) * (4 * MIB // 256)
        self.app.handler = lambda r: answer(200, blob)
        with Client(self.port, timeout=20, receive_buffer=65536) as client:
            client.request("GET", "/plain")
            time.sleep(0.5)
            self.assertEqual(client.response().body, blob)


class EverySystemCall(Case):
    """The same with what the kernel sees: calls that no wrapper of the C library makes count, too."""

    limit_seconds = 90

    def test_four_calls_for_a_request_and_a_shared_wait(self):
        tracer = shutil.which("strace")
        self.assertIsNotNone(tracer, "no strace: install Debian's strace")
        backend = self.use(Backend("app", handler=lambda r: answer(200, b"x" * 1024)))
        process = gw.Gateway(gateway_class(), gateway(), *app("app", backend), route(), start=False)
        self.addCleanup(process.kill)
        trace = os.path.join(process.folder, "trace.txt")
        process.command = [tracer, "-D", "-f", "-qq", "-o", trace]
        process.start()
        tasks = f"/proc/{process.process.pid}/task"
        worker = next(task for task in os.listdir(tasks)
                      if open_text(f"{tasks}/{task}/comm").startswith("hw-worker"))

        def calls():
            """[name] of the worker's calls so far."""
            return [line.split()[1].split("(")[0] for line in open_text(trace).splitlines()
                    if line.startswith(worker + " ") and "resumed>" not in line]
        count = 300
        with Client(process.port(), timeout=20) as client:
            for _ in range(50):
                self.assertEqual(client.ask("GET", "/").status, 200)
            until(lambda: calls()[-1:] == ["epoll_wait"], message="the worker waits")
            before = len(calls())
            for _ in range(count):
                self.assertEqual(client.ask("GET", "/").status, 200)
            until(lambda: calls()[-1:] == ["epoll_wait"] and len(calls()) > before, message="the worker waits")
        made = calls()[before:]
        names = {name: made.count(name) / count for name in set(made)}
        waits = names.pop("epoll_wait", 0) + names.pop("epoll_pwait", 0)
        self.assertGreater(sum(names.values()), 3.9, names)
        self.assertLess(sum(names.values()), 4.1, names)
        self.assertLess(waits, 2.2)
        process.stop(timeout=40)


if __name__ == "__main__":
    unittest.main()
