# SPDX-License-Identifier: Apache-2.0
"""ListenerSets: listeners that others add to a Gateway, served beside its own."""
import json
import unittest

from harness import gateway as gw
from harness import tls
from harness.backend import Backend
from harness.case import Case, until
from harness.client import Client, ask
from harness.manifests import app, gateway, gateway_class, grant, listener, listener_set, route, rule, secret
from harness.ports import free_port

OPEN = {"allowedListeners": {"namespaces": {"from": "All"}}}
SET = {"name": "set", "kind": "ListenerSet"}


class ListenerSets(Case):
    def start(self, *objects, **kwargs):
        """A Gateway for gw.test that takes all sets, with these objects."""
        self.app, self.other = self.use(Backend("app")), self.use(Backend("other"))
        self.gateway = self.use(gw.Gateway(
            gateway_class(), gateway([listener(hostname="gw.test")], **OPEN), *app("app", self.app),
            *app("other", self.other), *objects, **kwargs))

    def served_by(self, host, port=80):
        """The name of the backend that answers, or the status."""
        got = ask(self.gateway.port(port), host=host)
        return got.body.decode() if got.status == 200 else got.status

    def test_a_set_serves_its_own_routes_beside_its_gateway(self):
        self.start(listener_set([listener(hostname="set.test"), listener("more", 81)]),
                   route("own"), route("sets", [rule(["other"])], parents=[SET]))
        self.assertEqual(self.served_by("gw.test"), "app")
        self.assertEqual(self.served_by("set.test"), "other")
        self.assertEqual(self.served_by("any.test", 81), "other")
        for name in ("http", "more"):
            condition = until(lambda name=name: self.gateway.condition("ListenerSet/default/set", "Programmed", name))
            self.assertEqual((condition["status"], condition["reason"]), ("True", "Programmed"))
        self.assertEqual(self.gateway.condition("ListenerSet/default/set", "Accepted")["reason"], "Accepted")
        status = self.gateway.status()
        self.assertEqual(status["Gateway/default/gw"]["attachedListenerSets"], 1)
        self.assertEqual([one["name"] for one in status["Gateway/default/gw"]["listeners"]], ["http"])
        self.assertEqual([one["attachedRoutes"] for one in status["ListenerSet/default/set"]["listeners"]], [1, 1])
        self.gateway.delete(listener_set([]))
        until(lambda: self.served_by("set.test") == 404, message="set gone")
        self.assertEqual(self.served_by("gw.test"), "app")

    def test_a_set_comes_and_its_gateway_shuts_it_out_again(self):
        self.start(route("sets", parents=[SET]))
        self.assertEqual(self.served_by("set.test"), 404)
        self.gateway.apply(listener_set([listener(hostname="set.test")]))
        until(lambda: self.served_by("set.test") == "app", message="set served")
        self.gateway.apply(gateway([listener(hostname="gw.test")]))
        until(lambda: self.served_by("set.test") == 404, message="set shut out")
        self.assertEqual(self.gateway.condition("ListenerSet/default/set", "Accepted")["reason"], "NotAllowed")

    def test_a_sets_certificate_is_shown_for_its_host_once_it_is_granted(self):
        own, sets = tls.self_signed("gw.test"), tls.self_signed("set.test")
        self.start(gateway([listener("https", 443, "HTTPS", "gw.test", ["own"])], **OPEN), secret("own", *own),
                   listener_set([listener("https", 443, "HTTPS", "set.test", [("certs", "cert")])], namespace="team"),
                   secret("cert", *sets, namespace="certs"))

        def shown(name):
            with Client(self.gateway.port(443), tls=tls.client_context(), sni=name) as client:
                return client.socket.getpeercert(True)
        self.assertEqual(shown("gw.test"), tls.der(own[0]))
        condition = self.gateway.condition("ListenerSet/team/set", "ResolvedRefs", "https")
        self.assertEqual(condition["reason"], "RefNotPermitted")
        self.gateway.apply(grant("grant", "ListenerSet", "team", "Secret", "certs"))
        until(lambda: self.gateway.condition("ListenerSet/team/set", "Programmed")["status"] == "True")
        self.assertEqual(shown("set.test"), tls.der(sets[0]))
        self.assertEqual(shown("gw.test"), tls.der(own[0]))

    def test_the_page_shows_a_sets_listeners_at_their_gateway(self):
        page = free_port()
        self.start(listener_set([listener(hostname="set.test"), listener("taken", hostname="gw.test")], namespace="team"),
                   settings={"admin": {"loopback": f"127.0.0.1:{page}"}})
        with Client(page) as client:
            got = client.ask("GET", "/api/gateways", host="localhost")
        row = next(row for row in json.loads(got.body)["rows"] if row["gateway"] == "default/gw")
        self.assertEqual([(one["name"], one["health"]) for one in row["listeners"]],
                         [("http", "ok"), ("team/set/http", "ok"), ("team/set/taken", "failing")])


if __name__ == "__main__":
    unittest.main()
