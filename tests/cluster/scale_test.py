# SPDX-License-Identifier: Apache-2.0
"""Many routes on a real API server: how soon each one answers, what is written, and what it costs.

Small by default; HYPERWAY_FULL=1 makes it the sizes and the bounds that are promised. In the small form the
bounds of times are for a machine that does other things too. Figures are printed.

One replica runs, so that two processes do not share the processors with the API server and those who measure.
"""
import json
import multiprocessing
import os
import random
import selectors
import socket
import tempfile
import threading
import time
import unittest
from datetime import datetime

import yaml

import harness
import measure
import shop
from measure import percentile, spread
from shop import ACCOUNT, ROUTES, SERVICES, SLICES, Asker, forward, redirect, service

FULL = bool(os.environ.get("HYPERWAY_FULL"))
AT_ONCE = 1000 if FULL else 100
SILENCE = 60 if FULL else 10
ONE_BY_ONE = 3000 if FULL else 50
MOVES = 1000 if FULL else 50
WITH_SERVICES = 5000 if FULL else 500
SETTLES = 10 if FULL else 1
GENEROUS = 1 if FULL else 5  # times the promised bound
JUDGED = 99 if FULL else 90  # which percentile: of 50 changes the 99th is the slowest one
AFTER_EVENT = 0.010 * GENEROUS
AFTER_RETURN = 0.050 * GENEROUS

FORK = multiprocessing.get_context("fork")  # a child that is forked is in the cluster's network too


class Beside:
    """A function in a process of its own: work(done, tell, *arguments), until `done` is set or it returns."""

    def __init__(self, work, *arguments):
        self._done = FORK.Event()
        self._here, there = FORK.Pipe()
        self._process = FORK.Process(target=self._run, args=(work, there, arguments), daemon=True)
        self._process.start()
        there.close()
        assert self._here.recv() == "ready"

    def _run(self, work, there, arguments):
        there.send(work(self._done, lambda: there.send("ready"), *arguments))

    def result(self, end=True, seconds=60):
        """What the function returned; it is asked to end if `end`."""
        if end:
            self._done.set()
        if not self._here.poll(seconds):
            self._process.terminate()
            raise AssertionError("the process beside the test does not end")
        found = self._here.recv()
        self._process.join()
        return found


def each_millisecond(done):
    """Comes back each millisecond; what was missed is left out."""
    due = time.monotonic()
    while not done.is_set():
        yield
        due += 0.001
        rest = due - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        else:
            due -= rest


def watch(done, tell, cluster, path, since):
    """When a plain watch says a version of an object, and each object first: {(name, version) or name: when}."""
    held = {}
    connection = cluster.connect(timeout=None)
    connection.request("GET", f"{path}?watch=true&resourceVersion={since}")
    stream = connection.getresponse()

    def read():
        while line := stream.readline():
            now = time.monotonic()
            meta = json.loads(line)["object"]["metadata"]
            held.setdefault(meta["name"], now)
            held[meta["name"], meta["resourceVersion"]] = now
    threading.Thread(target=read, daemon=True).start()
    tell()
    done.wait()
    return dict(held)


def probe_routes(done, tell, address, count, answered):
    """([when a route was first answered], [what was wrong]); an old route is asked between two new ones."""
    wrong, when = [], []
    with Asker(address) as asker:
        assert asker.ask("nobody.example")[0] == 404
        tell()
        for tick, _ in enumerate(each_millisecond(done)):
            status, body = asker.ask(f"one-{len(when)}.example")
            if status == 302:
                when.append(time.monotonic())
                answered.value = len(when)
                if len(when) == count:
                    break
            elif status != 404:
                wrong.append((len(when), status, body))
            if when and tick % 4 == 0:
                old = random.randrange(len(when))
                if (got := asker.ask(f"one-{old}.example"))[0] != 302:
                    wrong.append((old, *got))
    return when, wrong


def load_routes(done, tell, address, answered):
    """(count, [what was wrong]) of requests for routes that have answered, over four connections."""
    askers, wrong, count = [Asker(address) for _ in range(4)], [], 0
    tell()
    for count, _ in enumerate(each_millisecond(done), 1):
        if known := answered.value:
            old = random.randrange(known)
            if (got := askers[count % 4].ask(f"one-{old}.example"))[0] != 302:
                wrong.append((old, *got))
    for asker in askers:
        asker.close()
    return count, wrong


def probe_moves(done, tell, address, count, answered):
    """([when the backend of a turn first answered], [what was wrong]); turn N is that of backend N % 2."""
    wrong, when = [], []
    tell()
    with Asker(address) as asker:
        for _ in each_millisecond(done):
            turn = len(when)
            status, body = asker.ask("moves.example")
            if (status, body) == (200, str((turn + 1) % 2)):
                when.append(time.monotonic())
                answered.value = len(when)
                if len(when) == count:
                    break
            elif (status, body) != (200, str(turn % 2)):
                wrong.append((turn, status, body))
    return when, wrong


def serve(done, tell, listeners):
    """Backends, one on each listener: the body of an answer is the listener's number."""
    ready = selectors.DefaultSelector()
    for number, listener in enumerate(listeners):
        ready.register(listener, selectors.EVENT_READ, (number, True))
    tell()
    while not done.is_set():
        for key, _ in ready.select(timeout=0.2):
            number, listens = key.data
            if listens:
                connection = key.fileobj.accept()[0]
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.register(connection, selectors.EVENT_READ, (number, False))
                continue
            try:
                asked = key.fileobj.recv(65536).count(b"\r\n\r\n")
            except OSError:
                asked = 0
            if asked:
                key.fileobj.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number * asked)
            else:
                ready.unregister(key.fileobj)
                key.fileobj.close()


class ScaleTest(unittest.TestCase):
    """One cluster for all; the tests run in the order of their names, so that memory is measured first."""

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        with open(os.path.join(harness.ROOT, "deploy/gateway-api-merged.yaml"), encoding="utf-8") as file:
            shape = list(yaml.safe_load_all(file))
        for deployment in (o for o in shape if o["kind"] == "Deployment"):
            deployment["spec"]["replicas"] = 1
        with open(folder + "/one-replica.yaml", "w", encoding="utf-8") as file:
            yaml.safe_dump_all(shape, file)
        cls.cluster = shop.install(cls, [*shop.MERGED[:2], folder + "/one-replica.yaml"])
        cls.address = next(iter(shop.pods(cls.cluster).values()))
        cls.process, = measure.processes(cls.cluster, "hyperway")
        # The first status write needs the Lease, which is not what is measured here.
        cls.make([(ROUTES, redirect("first"))])
        cls.cluster.until("its status is written", lambda: cls.cluster.get(f"{ROUTES}/first")["status"]["parents"])

    @classmethod
    def memory(cls):
        """Bytes of the whole process (PSS)."""
        return measure.memory(cls.process)

    @classmethod
    def make(cls, objects, connections=4):
        """Creates (path, object) over some connections at once; returns when the last create returned."""
        return measure.call(cls.cluster, [("POST", path, body) for path, body in objects], connections)

    def say(self, text):
        """Prints a figure."""
        print(f"{self.id().rpartition('.')[2]}: {text}", flush=True)

    def writes(self, resource, prefix=""):
        """Statuses of a resource that hyperway wrote."""
        return [e for e in self.cluster.audit(ACCOUNT) if e["verb"] in ("patch", "update")
                and e.get("objectRef", {}).get("resource") == resource
                and e["objectRef"]["name"].startswith(prefix) and e["responseStatus"]["code"] == 200]

    def test_1_many_routes_with_as_many_services_fit(self):
        before = self.memory()
        self.make([(SERVICES, service(f"wide-{i}", {"app": f"wide-{i}"})) for i in range(WITH_SERVICES)])
        self.make([(ROUTES, forward(f"wide-{i}")) for i in range(WITH_SERVICES)])
        self.cluster.until("all statuses are written", lambda: len(
            {e["objectRef"]["name"] for e in self.writes("httproutes", "wide-")}) == WITH_SERVICES,
            pause=1, seconds=120)
        self.cluster.until("each Service has its EndpointSlice", lambda: 1 + self.cluster.get(
            SLICES + "?limit=1")["metadata"]["remainingItemCount"] >= WITH_SERVICES, pause=1, seconds=120)
        # The figure is that of some time after the last change.
        time.sleep(SETTLES)
        after = self.memory()
        each = (after - before) / WITH_SERVICES
        self.say(f"{before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB with {WITH_SERVICES} routes, Services and "
                 f"EndpointSlices more: {each / 1024:.1f} KiB each, "
                 f"{(before + 5000 * each) / 2**20:.1f} MiB with 5,000 of them")
        measure.call(self.cluster, [("DELETE", f"{ROUTES}/wide-{i}", {}) for i in range(WITH_SERVICES)])
        self.cluster.until("the routes are gone", lambda: self.attached() == 1, seconds=60)
        self.assertLess(before + 5000 * each, 100 * 2**20)

    def test_2_many_routes_at_once_answer_soon_and_get_one_status_each_and_then_nothing_is_written(self):
        gateways = len(self.writes("gateways"))
        last = self.make([(ROUTES, redirect(f"many-{i}")) for i in range(AT_ONCE)])
        missing, wrong = list(range(AT_ONCE)), []
        with Asker(self.address) as asker:
            while missing and time.monotonic() < last + 30:
                answers = [(i, asker.ask(f"many-{i}.example")) for i in missing]
                wrong += [(i, got) for i, got in answers if got[0] not in (302, 404)]
                missing = [i for i, got in answers if got[0] != 302]
            answered = time.monotonic() - last
        self.assertEqual((missing, wrong), ([], []))
        self.cluster.until("all statuses are written", lambda: len(
            {e["objectRef"]["name"] for e in self.writes("httproutes", "many-")}) == AT_ONCE, pause=0.5, seconds=60)
        self.cluster.until("the count of routes is right", lambda: self.attached() == AT_ONCE + 1)
        before = len(self.cluster.audit(ACCOUNT))
        # "Then none": the rule is about time, which has to pass.
        time.sleep(SILENCE)
        later = [(e["verb"], e["requestURI"]) for e in self.cluster.audit(ACCOUNT)[before:]
                 if e["verb"] in ("patch", "update") and e["objectRef"]["resource"] != "leases"]
        routes, gateways = self.writes("httproutes", "many-"), len(self.writes("gateways")) - gateways

        def when(event):
            return datetime.fromisoformat(event["stageTimestamp"].rstrip("Z")).timestamp()
        created = max(when(e) for e in self.cluster.audit("admin") if e["verb"] == "create"
                      and e.get("objectRef", {}).get("name", "").startswith("many-"))
        written = max(map(when, routes)) - created
        self.say(f"{AT_ONCE} routes: all answered {answered:.3f} s after the last create; {len(routes)} writes of "
                 f"theirs, {gateways} of the Gateway's, the last {written:.1f} s after it; then {len(later)}")
        self.assertEqual(len(routes), AT_ONCE)
        self.assertLessEqual(gateways, 20)
        self.assertEqual(later, [])
        self.assertLess(answered, 2)
        self.assertLess(written, 30)

    def attached(self):
        """The Gateway's count of routes."""
        return self.cluster.get(shop.GATEWAYS + "/shop")["status"]["listeners"][0]["attachedRoutes"]

    def check_soon(self, held, returned, answered):
        """The two figures."""
        event = [b - a for a, b in zip(held, answered)]
        back = [b - a for a, b in zip(returned, answered)]
        self.say(f"{len(answered)} changes: after the watcher's event {spread(event)}; "
                 f"after the call returned {spread(back)}")
        self.assertLessEqual(percentile(event, JUDGED), AFTER_EVENT)
        self.assertLessEqual(percentile(back, JUDGED), AFTER_RETURN)

    def follow(self, prober, answered, change, count):
        """Makes changes, each when the one before is answered; when the calls returned."""
        returned = []
        for i in range(count):
            change(i)
            returned.append(time.monotonic())
            deadline = returned[-1] + 10
            while answered.value <= i:
                time.sleep(0.0005)
                if time.monotonic() > deadline:
                    raise AssertionError(f"change {i} is not answered after 10 s: {prober.result()}")
        return returned

    def test_3_routes_added_one_at_a_time_answer_at_once_and_nothing_is_answered_wrong(self):
        answered = FORK.Value("i", 0, lock=False)
        since = self.cluster.get(ROUTES + "?limit=1")["metadata"]["resourceVersion"]
        watcher = Beside(watch, self.cluster, ROUTES, since)
        prober = Beside(probe_routes, self.address, ONE_BY_ONE, answered)
        load = Beside(load_routes, self.address, answered)

        def add(i):
            self.assertEqual(self.cluster.request("POST", ROUTES, redirect(f"one-{i}"))[0], 201)
        returned = self.follow(prober, answered, add, ONE_BY_ONE)
        when, wrong = prober.result(end=False)
        count, wrong_under_load = load.result()
        held = watcher.result()
        self.say(f"{count} requests beside it")
        self.assertEqual((wrong, wrong_under_load), ([], []))
        self.check_soon([held[f"one-{i}"] for i in range(ONE_BY_ONE)], returned, when)

    def test_4_an_endpoint_that_moves_is_asked_at_once_and_nothing_is_answered_wrong(self):
        listeners = [self.enterContext(socket.create_server((shop.NODE, 0))) for _ in range(2)]
        ports = [listener.getsockname()[1] for listener in listeners]
        backends = Beside(serve, listeners)
        self.addCleanup(backends.result)

        def slice_(turn):
            return shop.endpoint_slice("moves", ports[turn % 2])
        self.make([(SERVICES, service("moves")), (SLICES, slice_(0)), (ROUTES, forward("moves"))], connections=1)
        with Asker(self.address) as asker:
            self.cluster.until("it is served", lambda: asker.ask("moves.example") == (200, "0"))
        answered = FORK.Value("i", 0, lock=False)
        since = self.cluster.get(SLICES + "?limit=1")["metadata"]["resourceVersion"]
        watcher = Beside(watch, self.cluster, SLICES, since)
        prober = Beside(probe_moves, self.address, MOVES, answered)
        versions = []

        def move(i):
            status, answer = self.cluster.request("PATCH", f"{SLICES}/moves", {"ports": slice_(i + 1)["ports"]},
                                                  "application/merge-patch+json")
            self.assertEqual(status, 200, answer)
            versions.append(answer["metadata"]["resourceVersion"])
        returned = self.follow(prober, answered, move, MOVES)
        when, wrong = prober.result(end=False)
        held = watcher.result()
        self.assertEqual(wrong, [])
        self.check_soon([held["moves", version] for version in versions], returned, when)


if __name__ == "__main__":
    unittest.main()
