# SPDX-License-Identifier: Apache-2.0
"""What can go wrong behind the gateway, and which answer the client gets for it."""
import signal
import socket
import threading
import time
import unittest

from harness import gateway as gw
from harness import wire
from harness.backend import Backend, answer
from harness.case import Case, GatewayCase, until
from harness.client import Client, ask
from harness.manifests import (app, backend_ref, endpoints, gateway, gateway_class, path_match, route,
                               rule, service, slices)
from harness.ports import free_port


def cut_after(data, reset=False):
    """A script that sends bytes after a request and then ends the connection."""
    def script(connection):
        if connection.read_request() is None:
            return
        connection.send(data)
        if reset:
            time.sleep(0.05)  # Let the bytes arrive before the RST takes them away.
            connection.reset()
        else:
            connection.close()
    return script


class Failures(GatewayCase):
    def test_garbage_instead_of_an_answer_is_502(self):
        for data in (b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 OK\r\n\r\n", b"\0" * 100,
                     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
                     b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
                     b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"):
            with self.subTest(data):
                self.app.script = cut_after(data)
                self.assertEqual(ask(self.port, "POST", "/", body=b"x").status, 502)

    def test_a_connection_cut_before_the_answer_is_502(self):
        for data in (b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-"):
            for reset in (False, True):
                with self.subTest(data=data, reset=reset):
                    self.app.script = cut_after(data, reset)
                    self.assertEqual(ask(self.port, "POST", "/", body=b"x").status, 502)

    def test_a_truncated_answer_never_looks_complete(self):
        for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\nX: y\r\n"):
            for reset in (False, True):
                with self.subTest(data=data, reset=reset), Client(self.port) as client:
                    self.app.script = cut_after(data, reset)
                    client.request("GET", "/")
                    with self.assertRaises(wire.Truncated):
                        got = client.response()
                        self.fail(f"looks complete: {got}")

    def test_bad_chunks_end_the_answer_visibly(self):
        for data in (b"3\nabc\r\n0\r\n\r\n", b"3\r\nabcXX0\r\n\r\n", b"zz\r\n", b"-1\r\n",
                     b"ffffffffffffffffff\r\n", b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n"):
            with self.subTest(data), Client(self.port) as client:
                self.app.script = cut_after(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n" + data)
                client.request("GET", "/")
                with self.assertRaises(wire.Truncated):
                    got = client.response()
                    if got.status == 502:
                        raise wire.Truncated("refused as a whole")
                    self.fail(f"looks complete: {got}")

    def test_a_truncated_answer_to_http10_is_reset(self):
        # Without chunks, only a reset tells a cut body from a whole one.
        self.app.script = cut_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
        with Client(self.port) as client:
            client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            with self.assertRaises((ConnectionResetError, wire.Truncated)):
                while client.socket.recv(4096):
                    pass

    def test_a_crash_in_mid_answer_fails_that_request_and_nobody_elses(self):
        release = threading.Event()

        def script(connection):
            while (request := connection.read_request()) is not None:
                if request.target == "/crash":
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
                    release.wait(5)
                    connection.reset()
                    return
                connection.send(answer(200, "fine"))
        self.app.script = script
        with Client(self.port) as victim, Client(self.port) as other:
            victim.request("GET", "/crash")
            self.assertEqual(victim.head().status, 200)
            self.assertEqual(other.ask("GET", "/").body, b"fine")
            release.set()
            with self.assertRaises(wire.Truncated):
                victim.reader.take(100)
            for _ in range(5):
                self.assertEqual(other.ask("GET", "/").body, b"fine")
        crashed = [c for c in self.app.connections if any(r.target == "/crash" for r in c.requests)]
        self.assertEqual([r.target for c in crashed for r in c.requests][-1], "/crash")

    def test_a_request_that_may_not_be_repeated_reaches_a_backend_once(self):
        self.app.script = cut_after(b"")
        for method in ("POST", "PATCH", "BREW"):
            with self.subTest(method):
                before = len(self.app.requests)
                self.assertEqual(ask(self.port, method, "/", body=b"x").status, 502)
                self.assertEqual(len(self.app.requests), before + 1)

    def test_a_stale_pooled_connection_does_not_fail_the_next_request(self):
        self.assertEqual(ask(self.port).status, 200)

        def close_old(connection):
            connection.socket.shutdown(socket.SHUT_RDWR)
        close_old(self.app.connections[0])
        time.sleep(0.1)
        for method in ("GET", "POST"):
            self.assertEqual(ask(self.port, method, "/", body=b"").status, 200)

    def test_a_backend_that_closes_each_connection_never_fails_a_request(self):
        # It says nothing of it beforehand, so pooled connections die at any moment.
        def script(connection):
            if connection.read_request() is not None:
                connection.send(answer(200, "once"))
                connection.close()
        self.app.script = script
        with Client(self.port) as client:
            for n in range(100):
                self.assertEqual(client.ask("GET", f"/{n}").body, b"once")


class Endpoints(GatewayCase):
    @classmethod
    def make(cls):
        first, second = cls.backend("first"), cls.backend("second")
        dead = [("127.0.0.1", free_port())]
        three = [cls.backend(f"three{n}") for n in range(3)]
        return gw.Gateway(
            gateway_class(), gateway(), *app("both", first, second), *app("three", *three),
            service("none"), service("dead"), endpoints("dead", dead),
            service("half"), *slices("half", [first]), endpoints("half", [("127.0.0.1", free_port())]),
            service("unready"), endpoints("unready", [(first.host, first.port)], ready=False),
            *app("v6", cls.backend("v6", host="::1")),
            route(rules=[rule([name], [path_match(f"/{name}")])
                         for name in ("both", "three", "none", "dead", "half", "unready", "missing", "v6")]
                  + [rule([], [path_match("/empty")])]))

    def test_requests_go_round_robin(self):
        with Client(self.gateway.port()) as client:
            got = [client.ask("GET", "/three").body for _ in range(30)]
        self.assertEqual({got.count(b"three%d" % n) for n in range(3)}, {10})

    def test_no_endpoint_is_503(self):
        self.assertEqual(ask(self.port, "GET", "/none").status, 503)

    def test_endpoints_that_are_not_ready_get_nothing(self):
        self.assertEqual(ask(self.port, "GET", "/unready").status, 503)
        self.assertEqual(self.backends["first"].requests, [])

    def test_an_unresolved_service_is_500(self):
        self.assertEqual(ask(self.port, "GET", "/missing").status, 500)

    def test_a_rule_without_backends_is_500(self):
        self.assertEqual(ask(self.port, "GET", "/empty").status, 500)

    def test_only_dead_endpoints_are_502_or_503(self):
        for _ in range(5):
            self.assertIn(ask(self.port, "GET", "/dead").status, (502, 503))

    def test_a_refused_connection_is_retried_on_another_endpoint(self):
        # Nothing was sent, so this holds for POST as well.
        for method in ("GET", "POST"):
            for _ in range(10):
                got = ask(self.port, method, "/half", body=b"x")
                self.assertEqual((got.status, got.body), (200, b"first"))
        self.assertEqual({r.body for r in self.backends["first"].requests}, {b"x"})

    def test_an_ipv6_endpoint_is_as_good(self):
        self.assertEqual(ask(self.port, "GET", "/v6").body, b"v6")


class KindsOfServices(GatewayCase):
    @classmethod
    def make(cls):
        one = cls.backend("one")
        plain = service("plain")
        del plain["spec"]["selector"]
        outside = service("outside")
        outside["spec"] = {"type": "ExternalName", "externalName": "127.0.0.1", "ports": [{"port": one.port}]}
        slow, last = slices("slow", [one]), slices("last", [one])
        for item in slow + last:
            item["endpoints"][0]["conditions"] = {"ready": False, "serving": True, "terminating": True}
        return gw.Gateway(
            gateway_class(), gateway(), service("headless", clusterIP="None"), *slices("headless", [one]),
            plain, *slices("plain", [one]), outside, service("slow"), *slow,
            service("last"), *last, *slices("slow", [cls.backend("two")]),
            route(rules=[rule([name], [path_match(f"/{name}")]) for name in ("headless", "plain", "slow", "last")]
                  + [rule([backend_ref("outside", port=one.port)], [path_match("/outside")])]))

    def test_headless_and_selectorless_services_are_served_by_their_slices(self):
        for path in ("/headless", "/plain"):
            self.assertEqual(ask(self.port, "GET", path).body, b"one")

    def test_an_external_name_is_refused_unless_opted_in(self):
        self.assertEqual(ask(self.port, "GET", "/outside").status, 500)
        condition = self.gateway.condition("HTTPRoute/default/route", "ResolvedRefs")
        self.assertEqual(condition["status"], "False")
        self.assertIn("ExternalName", condition["message"])
        self.assertEqual(self.backends["one"].requests, [])

    def test_endpoints_that_are_terminating_serve_only_where_no_other_does(self):
        for _ in range(6):
            self.assertEqual(ask(self.port, "GET", "/slow").body, b"two")
        self.assertEqual(ask(self.port, "GET", "/last").body, b"one")


class ExternalName(Case):
    def test_an_external_name_that_is_opted_in_never_reaches_this_machine(self):
        backend = self.use(Backend("app"))
        for address in ("127.0.0.1", "169.254.169.254", "::1", "localhost"):
            with self.subTest(address):
                outside = service("outside")
                outside["spec"] = {"type": "ExternalName", "externalName": address, "ports": [{"port": backend.port}]}
                with gw.Gateway(gateway_class(), gateway(), outside,
                                route(rules=[rule([backend_ref("outside", port=backend.port)])]),
                                settings={"external_name_namespaces": ["default"]}) as process:
                    self.assertEqual(ask(process.port()).status, 500)
        self.assertEqual(backend.connections, [])


class LeastRequest(Case):
    """The configuration says that requests in flight decide."""

    def test_requests_in_flight_decide(self):
        release, held = threading.Event(), threading.Semaphore(0)

        def handler(_):
            held.release()
            release.wait(20)
            return answer(200, "slow")
        slow, fast = self.use(Backend("slow", handler=handler)), self.use(Backend("fast"))
        self.addCleanup(release.set)
        process = self.use(gw.simple(slow, *slices("app", [fast]),
                                     settings={"balance": {"default/app:8080": "least_request"}}))
        clients = [self.use(Client(process.port(), timeout=20)) for _ in range(2)]
        # Of two idle endpoints either may come first: one of these two requests is held.
        for client in clients:
            client.request("GET", "/")
        self.assertTrue(held.acquire(timeout=5))
        until(lambda: len(slow.requests) == 1 and len(fast.requests) == 1)
        with Client(process.port()) as client:
            self.assertEqual({client.ask("GET", "/").body for _ in range(40)}, {b"fast"})
        self.assertEqual(len(slow.requests), 1)
        release.set()
        self.assertEqual({client.response().body for client in clients}, {b"slow", b"fast"})
        # In flight are none: both serve again.
        with Client(process.port()) as client:
            got = [client.ask("GET", "/").body for _ in range(20)]
        self.assertEqual({got.count(b"slow"), got.count(b"fast")}, {10})

    def test_round_robin_is_the_default_and_the_choice_is_live(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def handler(request):
            if request.target == "/held":
                release.wait(20)
            return answer(200, "one")
        one, two = self.use(Backend("one", handler=handler)), self.use(Backend("two"))
        process = self.use(gw.simple(one, *slices("app", [two])))
        with Client(process.port(), timeout=20) as waiting, Client(process.port()) as client:
            until(lambda: (client.ask("GET", "/").body == b"two") or None)
            waiting.request("GET", "/held")  # the next in turn is one
            until(lambda: any(r.target == "/held" for r in one.requests))
            got = [client.ask("GET", "/").body for _ in range(10)]
            self.assertEqual(got.count(b"one"), 5)
            process.settings = {"balance": {"*": "least_request"}}
            process.write_config()
            process.process.send_signal(signal.SIGHUP)
            until(lambda: {client.ask("GET", "/").body for _ in range(10)} == {b"two"})
            release.set()
            self.assertEqual(waiting.response().body, b"one")


class Changes(Case):
    """Endpoints that come and go at run time."""

    def test_endpoint_changes_take_effect_without_a_failed_request(self):
        one, two = self.use(Backend("one")), self.use(Backend("two"))
        gateway_process = self.use(gw.simple(one))
        port = gateway_process.port()
        self.assertEqual(ask(port).body, b"one")
        gateway_process.apply(*slices("app", [two]))
        gateway_process.delete(*slices("app", [one]))
        until(lambda: {ask(port).body for _ in range(6)} == {b"two"}, message="new endpoint alone")
        gateway_process.delete(*slices("app", [two]))
        until(lambda: ask(port).status == 503, message="no endpoint left")
        gateway_process.apply(*slices("app", [one, two]))
        until(lambda: {ask(port).body for _ in range(6)} == {b"one", b"two"}, message="both endpoints")

    def test_a_request_on_a_removed_endpoint_finishes(self):
        started, release = threading.Event(), threading.Event()

        def handler(request):
            if request.target != "/held":
                return answer(200, "one")
            started.set()
            release.wait(10)
            return answer(200, "finished")
        one, two = self.use(Backend("one", handler=handler)), self.use(Backend("two"))
        gateway_process = self.use(gw.simple(one))
        with Client(gateway_process.port()) as client:
            client.request("GET", "/held")
            self.assertTrue(started.wait(5))
            gateway_process.apply(*slices("app", [two])).delete(*slices("app", [one]))
            until(lambda: ask(gateway_process.port()).body == b"two", message="new endpoint")
            release.set()
            self.assertEqual(client.response().body, b"finished")

    def test_an_endpoint_that_fails_is_ejected_and_comes_back(self):
        one, two = self.use(Backend("one")), self.use(Backend("two"))
        gateway_process = self.use(gw.simple(one, *slices("app", [two])))
        port = gateway_process.port()
        until(lambda: {ask(port).body for _ in range(4)} == {b"one", b"two"})
        where = two.port
        two.close()
        for _ in range(30):
            self.assertEqual(ask(port).body, b"one")
        again = self.use(Backend("again", port=where))
        until(lambda: ask(port).body == b"again", 25, message="the endpoint serves again")
        self.assertEqual(again.name, "again")

    limit_seconds = 60


if __name__ == "__main__":
    unittest.main()
