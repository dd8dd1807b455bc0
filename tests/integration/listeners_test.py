# SPDX-License-Identifier: Apache-2.0
"""Listeners open, close and fail at run time, each alone."""
import socket
import threading
import unittest

from harness import gateway as gw
from harness import tls
from harness.backend import Backend, answer
from harness.case import Case, until
from harness.client import Client, ask
from harness.manifests import app, gateway, gateway_class, listener, route, rule, secret
from harness.ports import free_port


def refuses(port):
    """True if nobody listens there."""
    try:
        Client(port, timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


class RunTime(Case):
    def start(self, listeners, *more, **kwargs):
        """A gateway whose one route is attached to every listener."""
        self.app = self.use(Backend("app"))
        self.gateway = self.use(gw.Gateway(gateway_class(), gateway(listeners), *app("app", self.app), route(),
                                           *more, **kwargs))
        return self.gateway

    def test_a_new_listener_opens_and_a_removed_one_closes(self):
        self.start([listener()], listen={80: free_port(), 81: free_port()})
        one, two = self.gateway.port(80), self.gateway.port(81)
        self.assertTrue(refuses(two))
        with Client(one) as live:
            live.ask("GET", "/")
            self.gateway.apply(gateway([listener(), listener("more", 81)]))
            until(lambda: ask(two).status == 200, message="new listener")
            self.assertEqual(live.ask("GET", "/").status, 200)
            self.gateway.apply(gateway([listener()]))
            until(lambda: refuses(two), message="listener gone")
            self.assertEqual(live.ask("GET", "/").status, 200)
        self.assertEqual(ask(one).status, 200)

    def test_a_listener_that_changes_in_place_is_programmed_again(self):
        self.start([listener(hostname="a.test")])
        gateway_key = "Gateway/default/gw"

        def programmed():
            found = self.gateway.condition(gateway_key, "Programmed", listener="http")
            return found is not None and found["status"] == "True"
        until(programmed, message="first form")
        self.gateway.apply(gateway([listener(hostname="b.test")]))
        until(lambda: ask(self.gateway.port(80), host="b.test").status == 200, message="new host")
        until(programmed, message="second form")

    def test_a_removed_listener_lets_requests_finish(self):
        started, release = threading.Event(), threading.Event()

        def handler(_):
            started.set()
            release.wait(10)
            return answer(200, "whole")
        self.start([listener(), listener("more", 81)])
        self.app.handler = handler
        two = self.gateway.port(81)
        with Client(two) as client:
            client.request("GET", "/")
            self.assertTrue(started.wait(5))
            self.gateway.apply(gateway([listener()]))
            until(lambda: refuses(two), message="listener gone")
            release.set()
            got = client.response()
            self.assertEqual((got.body, got.get("connection").lower()), (b"whole", "close"))

    def test_a_busy_port_stays_alone_and_opens_when_it_is_free(self):
        with socket.socket() as holder:
            busy = free_port()
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", busy))
            holder.listen()
            self.start([listener(), listener("busy", 81)], listen={80: free_port(), 81: busy})
            self.assertEqual(ask(self.gateway.port(80)).status, 200)
            condition = until(lambda: self.gateway.condition("Gateway/default/gw", "Programmed", "busy"))
            self.assertEqual(condition["status"], "False")
            self.assertIn(str(busy), condition["message"])
            self.assertEqual(self.gateway.condition("Gateway/default/gw", "Programmed", "http")["status"], "True")
        until(lambda: ask(busy).status == 200, 15, message="the port opens once it is free")

    def test_a_busy_port_is_not_shared_by_reuseport(self):
        # Two processes of one user could share a port unnoticed (ARCHITECTURE decision 18).
        with socket.socket() as holder:
            busy = free_port()
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", busy))
            holder.listen()
            self.start([listener(), listener("busy", 81)], listen={80: free_port(), 81: busy})
            self.assertEqual(self.gateway.condition("Gateway/default/gw", "Programmed", "busy")["status"], "False")

    def test_http_and_https_on_one_port_is_a_conflict_and_others_go_on(self):
        cert = tls.self_signed("a.example")
        self.start([listener("plain", 80), listener("enc", 80, "HTTPS", "a.example", ["cert"]),
                    listener("fine", 81)], secret("cert", *cert))
        self.assertEqual(ask(self.gateway.port(81)).status, 200)
        for name in ("plain", "enc"):
            self.assertEqual(self.gateway.condition("Gateway/default/gw", "Conflicted", name)["reason"],
                             "ProtocolConflict")
            accepted = self.gateway.condition("Gateway/default/gw", "Accepted", name)
            self.assertEqual((accepted["status"], accepted["reason"]), ("False", "PortConflict"))

    def test_protocols_that_nobody_knows_are_refused_clearly(self):
        self.start([listener(), listener("odd", 83, "X")])
        self.assertEqual(ask(self.gateway.port(80)).status, 200)
        condition = self.gateway.condition("Gateway/default/gw", "Accepted", "odd")
        self.assertEqual((condition["status"], condition["reason"]), ("False", "UnsupportedProtocol"))

    def test_ipv6_listens_as_ipv4_does(self):
        port = free_port()
        self.start([listener()], settings={"listen": {80: f"[::1]:{port}"}})
        with Client(port, host="::1") as client:
            self.assertEqual(client.ask("GET", "/").status, 200)
        self.assertEqual(self.app.last().get("x-forwarded-for"), "::1")

    def test_several_workers_serve_one_port(self):
        self.start([listener()], workers=3)
        for _ in range(60):
            self.assertEqual(ask(self.gateway.port(80)).status, 200)

    def test_a_route_that_comes_and_goes(self):
        self.start([listener()])
        port = self.gateway.port(80)
        self.gateway.delete(route())
        until(lambda: ask(port).status == 404, message="route gone")
        self.gateway.apply(route(rules=[rule(["app"], [{"path": {"type": "PathPrefix", "value": "/new"}}])]))
        until(lambda: ask(port, "GET", "/new").status == 200, message="route there")
        self.assertEqual(ask(port).status, 404)

    def test_an_address_pool_gives_each_gateway_its_own_address(self):
        port = free_port()
        one, two = self.use(Backend("one")), self.use(Backend("two"))
        self.use(gw.Gateway(
            gateway_class(), gateway([listener(port=port)], "one"), gateway([listener(port=port)], "two"),
            *app("one", one), *app("two", two),
            route("r1", [rule(["one"])], parents=[{"name": "one"}]),
            route("r2", [rule(["two"])], parents=[{"name": "two"}]),
            listen=False, settings={"address_pool": ["127.0.1.1", "127.0.1.2"]}))

        def body(host):
            with Client(port, host=host) as client:
                return client.ask("GET", "/").body
        self.assertEqual({body("127.0.1.1"), body("127.0.1.2")}, {b"one", b"two"})


class BadObjects(Case):
    def test_a_bad_route_stays_alone(self):
        backend = self.use(Backend("app"))
        bad = route("bad", [{"backendRefs": [{"name": "app", "port": 8080, "weight": 5000000}]}], ["bad.example"])
        with gw.simple(backend, bad) as gateway_process:
            self.assertEqual(ask(gateway_process.port()).status, 200)

    def test_a_bad_regular_expression_stays_alone(self):
        backend = self.use(Backend("app"))
        bad = route("bad", [rule(["app"], [{"path": {"type": "RegularExpression", "value": "/(["}}]),
                            rule(["app"], [{"path": {"type": "PathPrefix", "value": "/good"}}])], ["bad.example"])
        with gw.simple(backend, bad) as gateway_process:
            self.assertEqual(ask(gateway_process.port()).status, 200)
            self.assertEqual(ask(gateway_process.port(), "GET", "/good", host="bad.example").status, 200)
            condition = gateway_process.condition("HTTPRoute/default/bad", "PartiallyInvalid")
            self.assertEqual(condition["status"], "True")
            self.assertTrue(condition["message"].startswith("Dropped Rule"), condition)

    def test_a_filter_that_is_not_there_answers_500_and_falls_through_to_nobody(self):
        backend = self.use(Backend("app"))
        ref = {"type": "ExtensionRef", "extensionRef": {"group": "hyperway.arloor.dev", "kind": "Filter",
                                                        "name": "missing"}}
        bad = route("bad", [rule(["app"], [{"path": {"type": "PathPrefix", "value": "/guarded"}}], [ref])])
        with gw.simple(backend, bad) as gateway_process:
            self.assertEqual(ask(gateway_process.port(), "GET", "/guarded").status, 500)
            self.assertEqual(ask(gateway_process.port(), "GET", "/").status, 200)
            self.assertEqual(gateway_process.condition("HTTPRoute/default/bad", "ResolvedRefs")["status"], "False")
        self.assertEqual([r.target for r in backend.requests], ["/"])


if __name__ == "__main__":
    unittest.main()
