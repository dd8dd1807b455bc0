# SPDX-License-Identifier: Apache-2.0
"""UDPRoutes: datagrams go to a backend and its answers come back, client by client."""
import collections
import os
import threading
import unittest

from harness import gateway as gw
from harness import successor
from harness.case import Case, patience, until
from harness.client import ask
from harness.datagrams import UdpBackend, UdpClient
from harness.manifests import backend_ref, gateway, gateway_class, listener
from harness.ports import free_port

ALPHA = "gateway.networking.k8s.io/v1alpha2"


def udp_route(*backends, name="udp", section=None):
    """A UDPRoute; `backends` are names of Services, or backendRefs."""
    parent = {"name": "gw", **({"sectionName": section} if section else {})}
    refs = [backend_ref(b, 53) if isinstance(b, str) else b for b in backends]
    return {"apiVersion": ALPHA, "kind": "UDPRoute", "metadata": {"name": name, "namespace": "default"},
            "spec": {"parentRefs": [parent], "rules": [{"backendRefs": refs}]}}


def udp_app(name, *backends):
    """A Service of UDP port 53 with one slice of its backends each."""
    out = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"ports": [{"port": 53, "protocol": "UDP"}], "selector": {"app": name}}}]
    for backend in backends:
        out.append({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                    "metadata": {"name": f"{name}-{backend.port}", "namespace": "default",
                                 "labels": {"kubernetes.io/service-name": name}},
                    "addressType": "IPv4", "ports": [{"port": backend.port, "protocol": "UDP"}],
                    "endpoints": [{"addresses": [backend.host], "conditions": {"ready": True}}]})
    return out


class UdpCase(Case):

    def start(self, *objects, **kwargs):
        """A gateway with a UDP listener on port 53."""
        self.gateway = self.use(gw.Gateway(gateway_class(), gateway([listener("udp", 53, "UDP")]), *objects, **kwargs))
        self.port = self.gateway.listen.get(53)  # none if the test binds it
        return self.gateway

    def client(self, port=None, **kwargs):
        """A new client."""
        return self.use(UdpClient(port or self.port, **kwargs))

    def once(self, data="x", timeout=None):
        """The answer to a new client."""
        with UdpClient(self.port) as client:
            return client.ask(data, timeout)

    def sessions(self):
        """How many sessions there are."""
        return self.gateway.metric("hyperway_udp_sessions")


class Datagrams(UdpCase):

    def test_answers_come_from_the_address_that_was_asked(self):
        backend = self.use(UdpBackend())
        bound = free_port()
        self.start(udp_route("app"), *udp_app("app", backend), listen=False,
                   settings={"addresses": ["0.0.0.0"], "listen": {53: f"0.0.0.0:{bound}"}})
        for host in ("127.0.0.1", "127.0.0.2", "127.9.8.7"):
            # A connected socket hears from no other address.
            self.assertEqual(self.client(bound, host=host).ask("x"), b"app:x")

    def test_a_client_keeps_its_backend_and_another_has_its_own_session(self):
        backends = [self.use(UdpBackend(name)) for name in ("a", "b", "c")]
        self.start(udp_route("app"), *udp_app("app", *backends))
        names = collections.Counter()
        for _ in range(9):
            client = self.client()
            mine = client.ask("0")[:1]
            names[mine] += 1
            for i in range(1, 5):
                self.assertEqual(client.ask(str(i)), mine + b":" + str(i).encode())
        self.assertEqual(sorted(names.values()), [3, 3, 3])
        self.assertEqual(self.sessions(), 9)
        # Each session has an address of its own towards its backend.
        self.assertEqual([len(b.peers) for b in backends], [3, 3, 3])

    def test_any_datagram_goes_through_the_empty_and_the_largest(self):
        backend = self.use(UdpBackend(answer=lambda data: [data]))
        self.start(udp_route("app"), *udp_app("app", backend))
        client = self.client()
        for data in (b"", b"\0", os.urandom(1500), os.urandom(65507), b"after"):
            self.assertEqual(client.ask(data), data)

    def test_a_backend_may_answer_with_many_or_none_or_unasked(self):
        backend = self.use(UdpBackend(answer=lambda data: [b"%d" % i for i in range(int(data))]))
        self.start(udp_route("app"), *udp_app("app", backend))
        client = self.client()
        client.send("0")
        client.send("40")
        self.assertEqual([client.receive() for _ in range(40)], [b"%d" % i for i in range(40)])
        backend.send(b"news", next(iter(backend.peers)))
        self.assertEqual(client.receive(), b"news")

    def test_weights_are_kept_over_sessions(self):
        a, b = self.use(UdpBackend("a")), self.use(UdpBackend("b"))
        self.start(udp_route(backend_ref("a", 53, weight=9), backend_ref("b", 53, weight=1), backend_ref("c", 53, weight=0)),
                   *udp_app("a", a), *udp_app("b", b), *udp_app("c"))
        names = collections.Counter(self.once()[:1] for _ in range(500))
        self.assertEqual(sum(names.values()), 500)
        self.assertTrue(20 <= names[b"b"] <= 90, names)

    def test_what_has_no_backend_is_dropped_and_counted(self):
        backend = self.use(UdpBackend())
        process = self.start()
        client = self.client()
        client.send("nobody")
        until(lambda: process.metric("hyperway_udp_datagrams_dropped_total") == 1)
        process.apply(udp_route("app"), *udp_app("app"))
        until(lambda: process.condition("UDPRoute/default/udp", "Accepted")["status"] == "True")
        for i in range(2, 5):
            client.send("nobody")
            until(lambda n=i: process.metric("hyperway_udp_datagrams_dropped_total") == n)
        self.assertEqual(self.sessions(), 0)
        process.apply(*udp_app("app", backend))
        until(lambda: client.ask("x", 0.2) == b"app:x")

    def test_tcp_and_udp_of_one_number_do_not_meet(self):
        backend = self.use(UdpBackend())
        process = self.use(gw.Gateway(
            gateway_class(), gateway([listener("udp", 80, "UDP"), listener("http", 80)]),
            udp_route("app", section="udp"), *udp_app("app", backend)))
        self.port = process.port(80)
        self.assertEqual(self.client().ask("x"), b"app:x")
        self.assertEqual(ask(self.port).status, 404)


class Sessions(UdpCase):

    def test_the_least_recently_used_session_makes_room(self):
        backend = self.use(UdpBackend())
        self.start(udp_route("app"), *udp_app("app", backend), settings={"limits": {"udp_sessions": 3}},
                   access_log={"format": "json"})
        clients = [self.client() for _ in range(3)]
        for client in clients:
            self.assertEqual(client.ask("x"), b"app:x")
        self.assertEqual(clients[0].ask("y"), b"app:y")  # now clients[1] is the oldest
        self.assertEqual(self.client().ask("z"), b"app:z")
        self.assertEqual(self.sessions(), 3)
        self.assertEqual(self.gateway.metric("hyperway_udp_sessions_evicted_total"), 1)
        before = len(backend.peers)
        for client in (clients[0], clients[2]):
            self.assertEqual(client.ask("again"), b"app:again")
        self.assertEqual(len(backend.peers), before)
        self.assertEqual(clients[1].ask("back"), b"app:back")
        self.assertEqual(len(backend.peers), before + 1)
        until(lambda: "too many sessions" in self.gateway.logs())

    def test_a_silent_session_ends_and_has_its_line_in_the_log(self):
        backend = self.use(UdpBackend())
        self.start(udp_route("app"), *udp_app("app", backend), settings={"timeouts": {"udp_idle": "300ms"}},
                   access_log={"format": "json"})
        client = self.client()
        self.assertEqual(client.ask("hello"), b"app:hello")
        self.assertEqual(self.sessions(), 1)
        until(lambda: self.sessions() == 0)
        line = until(lambda: [x for x in self.gateway.logs().splitlines() if '"UDP"' in x][0])
        for text in ("127.0.0.1", "default/gw/udp", "default/udp", f"127.0.0.1:{backend.port}"):
            self.assertIn(text, line)
        self.assertEqual(self.gateway.metric("hyperway_udp_sessions_begun_total"), 1)
        # It begins anew.
        self.assertEqual(client.ask("again"), b"app:again")
        self.assertEqual(len(backend.peers), 2)

    def test_thousands_of_clients_at_once(self):
        backend = self.use(UdpBackend())
        count = 1000
        self.start(udp_route("app"), *udp_app("app", backend), workers=2)
        clients = [self.client() for _ in range(count)]
        for round_number in range(3):
            for begin in range(0, count, 50):
                for i in range(begin, begin + 50):
                    clients[i].send(f"{round_number}.{i}")
                for i in range(begin, begin + 50):
                    self.assertEqual(clients[i].receive(), f"app:{round_number}.{i}".encode())
        self.assertEqual(self.sessions(), count)
        self.assertEqual(self.gateway.metric("hyperway_udp_datagrams_dropped_total"), 0)

    def test_a_backend_that_is_not_there_is_passed_over(self):
        good, bad = self.use(UdpBackend("good")), UdpBackend("bad")
        bad.close()
        process = self.start(udp_route("app"), *udp_app("app", good, bad))
        lost = 0
        for _ in range(20):
            client = self.client()
            if client.ask("x", 0.3) is None:
                lost += 1
                # What ICMP said is known now: the same client is served by the other one.
                self.assertEqual(client.ask("x"), b"good:x")
        self.assertTrue(1 <= lost <= 3, lost)
        self.assertGreaterEqual(process.metric("hyperway_upstream_ejections_total"), 1)


class Changes(UdpCase):

    def test_a_session_stays_while_its_endpoint_does(self):
        a, b = self.use(UdpBackend("a")), self.use(UdpBackend("b"))
        process = self.start(udp_route("app"), *udp_app("app", a))
        client = self.client()
        self.assertEqual(client.ask("1"), b"a:1")
        process.apply(*udp_app("app", b))
        until(lambda: self.once()[:1] == b"b")
        for i in range(20):
            self.assertEqual(client.ask(str(i)), b"a:%d" % i)
        process.delete(udp_app("app", a)[1])
        until(lambda: client.ask("x")[:1] == b"b")
        self.assertEqual(client.ask("y"), b"b:y")

    def test_a_route_that_goes_ends_what_its_clients_send(self):
        a, b = self.use(UdpBackend("a")), self.use(UdpBackend("b"))
        process = self.start(udp_route("a"), *udp_app("a", a), *udp_app("b", b))
        client = self.client()
        self.assertEqual(client.ask("1"), b"a:1")
        process.apply(udp_route("b"))
        until(lambda: client.ask("2") == b"b:2")
        process.delete(udp_route("b"))
        until(lambda: client.ask("3", 0.2) is None)
        until(lambda: self.sessions() == 0)

    def test_a_listener_that_goes_ends_its_sessions_and_frees_its_port(self):
        a = self.use(UdpBackend("a"))
        process = self.start(udp_route("a", section="udp"), *udp_app("a", a))
        client = self.client()
        self.assertEqual(client.ask("1"), b"a:1")
        process.apply(gateway([listener("http", 80)]))
        until(lambda: self.sessions() == 0)
        self.use(UdpBackend("other", port=self.port))
        self.assertEqual(client.ask("2"), b"other:2")

    def test_a_busy_port_is_said_and_taken_once_it_is_free(self):
        a = self.use(UdpBackend("a"))
        bound = free_port()
        taken = UdpBackend("taken", port=bound)
        process = self.start(udp_route("a"), *udp_app("a", a), listen={53: bound}, ready=False)
        until(lambda: "UDP port" in (process.condition("Gateway/default/gw", "Programmed", "udp") or {})["message"])
        taken.close()
        until(lambda: self.once("x", 0.2) == b"a:x", 15)

    def test_nothing_is_lost_while_routes_and_endpoints_change(self):
        backends = [self.use(UdpBackend("ab"[i])) for i in range(2)]
        process = self.start(udp_route("app"), *udp_app("app", *backends), workers=2)
        with Load(self.port, 8) as load:
            for i in range(20):
                process.apply(udp_route("app", name=f"other{i}", section="udp"),
                              *udp_app(f"more{i}", backends[i % 2]))
                process.apply(udp_route(backend_ref("app", 53, weight=1 + i)))
                load.more(50)
        self.assertEqual(load.lost, 0)
        self.assertGreater(load.answered, 1000)


class Load:
    """Clients that ask one question after the other, each on a thread of its own."""

    def __init__(self, port, clients):
        self.stop = threading.Event()
        self.answered = self.lost = 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(port, n), daemon=True) for n in range(clients)]

    def _run(self, port, number):
        with UdpClient(port) as client:
            asked = 0
            while not self.stop.is_set():
                asked += 1
                question = f"{number}.{asked}".encode()
                answer = client.ask(question, 2.0 * patience())
                with self.lock:
                    if answer is not None and answer.endswith(b":" + question):
                        self.answered += 1
                    else:
                        self.lost += 1

    def more(self, answers):
        """Waits for some more."""
        wanted = self.answered + answers
        until(lambda: self.answered >= wanted, 20)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class InPlaceUpgrade(UdpCase):
    limit_seconds = 90

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        successor.adopt_orphans()

    def test_nothing_is_lost_in_an_upgrade_and_answers_under_way_arrive(self):
        backends = [self.use(UdpBackend("ab"[i])) for i in range(2)]
        self.start(udp_route("app"), *udp_app("app", *backends), workers=2,
                   settings={"drain": {"deadline": "20s"}})
        late = self.client()
        first = late.ask("x")
        backend = backends[0] if first[:1] == b"a" else backends[1]
        with Load(self.port, 6) as load:
            load.more(100)
            old = successor.upgrade(self.gateway)
            # The old process has the session, and brings what its backend still says.
            backend.send(b"late answer", next(iter(backend.peers)))
            self.assertEqual(late.receive(), b"late answer")
            load.more(500)
        self.assertEqual(load.lost, 0)
        # The next question begins a session in the new process.
        self.assertIn(late.ask("y"), (b"a:y", b"b:y"))
        self.assertEqual(old.wait(30 * patience()), 0, self.gateway.logs()[-4000:])


if __name__ == "__main__":
    unittest.main()
