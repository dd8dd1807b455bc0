# SPDX-License-Identifier: Apache-2.0
"""Session persistence: a client that brings back what it was given stays with its endpoint."""
import contextlib
import time
import unittest

from harness import gateway as gw
from harness import http2 as h2b
from harness import tls
from harness.backend import Backend, answer
from harness.case import Case, GatewayCase, until
from harness.client import Client, ask
from harness.frames import FrameClient
from harness.http2 import serving
from harness.manifests import (app, backend_ref, gateway, gateway_class, listener, path_match, route, rule, secret,
                               slices)
from harness.upgrade import WEBSOCKET, echo_tunnel

PAIR = tls.Authority().issue("example.com")
NAMES = ("a", "b", "c", "d")


def sticky(path, backends=("app",), matches=None, **session):
    """A rule with a session by cookie, unless told otherwise."""
    if session.get("type") != "Header" and "sessionName" not in session:
        session.setdefault("cookie", {})
    return rule(backends, matches or [path_match(path)], sessionPersistence=session)


def lines(response):
    """Set-Cookie lines of an answer of HTTP/1 or HTTP/2."""
    if hasattr(response, "heads"):
        return [value for name, value in response.heads[-1] if name == "set-cookie"]
    return response.all("set-cookie")


def cookies(response):
    """Set-Cookie lines by name: value and attributes."""
    out = {}
    for line in lines(response):
        pair, *attributes = line.split("; ")
        name, value = pair.split("=", 1)
        out[name] = (value, attributes)
    return out


class Session:
    """A client with a cookie jar, for one path."""

    def __init__(self, port, path, **kwargs):
        self.port, self.path, self.kwargs, self.jar = port, path, kwargs, {}

    def ask(self, path=None, method="GET", **kwargs):
        """One request on a connection of its own; notes what cookies came."""
        fields = [("Cookie", "; ".join(f"{n}={v}" for n, v in self.jar.items()))] if self.jar else []
        got = ask(self.port, method, path or self.path, fields=fields, **{**self.kwargs, **kwargs})
        self.jar.update({name: value for name, (value, _) in cookies(got).items()})
        return got

    def where(self, **kwargs):
        """The backend of the next request."""
        got = self.ask(**kwargs)
        assert got.status == 200, got
        return got.get("x-backend")


class Cookies(GatewayCase):
    @classmethod
    def make(cls):
        all_of = [cls.backend(name) for name in NAMES]
        rules = [
            sticky("/plain", cookie={"name": "sticky"}),
            sticky("/other", cookie={"name": "sticky"}),
            sticky("/made-up"),
            sticky("/timed", cookie={"name": "sticky"}, absoluteTimeout="400ms"),
            sticky("/permanent", cookie={"name": "sticky", "lifetimeType": "Permanent", "path": "/permanent"},
                   absoluteTimeout="5m"),
            sticky("/idle", idleTimeout="600ms", sessionName="sticky"),
            sticky("/weights", [backend_ref("one", weight=70), backend_ref("two", weight=30)],
                   cookie={"name": "sticky"}),
            sticky("/taken", cookie={"name": "sticky"}) | {"filters": [
                {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["Cookie"]}},
                {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["Set-Cookie"]}}]},
            rule(["app"], [path_match("/without")])]
        return gw.Gateway(
            gateway_class(),
            gateway([listener(), listener("https", 443, "HTTPS", certificates=["cert"])]),
            secret("cert", *PAIR), *app("app", *all_of), *app("one", *all_of[:2]), *app("two", *all_of[2:]),
            route(rules=rules), workers=2)

    def test_fifty_requests_of_a_session_reach_one_endpoint(self):
        session = Session(self.port, "/plain")
        first = session.where()
        for n in range(50):
            got = session.ask(f"/plain/{n}")
            self.assertEqual((got.status, got.get("x-backend")), (200, first))
            self.assertEqual(got.all("set-cookie"), [])

    def test_clients_without_a_session_are_spread(self):
        seen = {Session(self.port, "/plain").where() for _ in range(40)}
        self.assertEqual(seen, set(NAMES))

    def test_a_session_cookie_has_safe_attributes_and_no_expiry(self):
        value, attributes = cookies(ask(self.port, "GET", "/plain"))["sticky"]
        self.assertEqual(attributes, ["Path=/", "HttpOnly", "SameSite=Strict"])
        self.assertRegex(value, r"^[A-Za-z0-9_-]{80}$")
        tls_port = self.gateway.port(443)
        got = ask(tls_port, "GET", "/plain", tls=tls.client_context(), sni="example.com")
        self.assertEqual(cookies(got)["sticky"][1], ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"])

    def test_a_permanent_cookie_lives_as_long_as_the_session(self):
        session = Session(self.port, "/permanent")
        got = session.ask()
        self.assertEqual(cookies(got)["sticky"][1],
                         ["Path=/permanent", "Max-Age=300", "HttpOnly", "SameSite=Strict"])
        self.assertEqual({session.where() for _ in range(10)}, {got.get("x-backend")})

    def test_a_name_is_made_up_for_each_rule(self):
        name, = cookies(ask(self.port, "GET", "/made-up"))
        self.assertRegex(name, r"^hw-session-[0-9a-f]{16}$")

    def test_rules_share_no_sessions_even_under_one_name(self):
        session = Session(self.port, "/plain")
        session.where()
        got = session.ask("/other")
        self.assertIn("sticky", cookies(got), "a session of another rule was taken")

    def test_rules_without_it_give_no_cookie_and_answers_of_our_own_neither(self):
        self.assertEqual(ask(self.port, "GET", "/without").all("set-cookie"), [])
        self.assertEqual(ask(self.port, "GET", "/nothing").all("set-cookie"), [])

    def test_weights_count_for_new_sessions_only(self):
        sessions = [Session(self.port, "/weights") for _ in range(300)]
        first = [session.where() for session in sessions]
        share = sum(name in ("a", "b") for name in first) / len(first)
        self.assertTrue(0.6 < share < 0.8, share)
        for session, name in list(zip(sessions, first))[:60]:
            self.assertEqual(session.where(), name)

    def test_filters_neither_lose_a_session_nor_its_cookie(self):
        session = Session(self.port, "/taken")
        first = session.where()
        self.assertIn("sticky", session.jar)
        self.assertEqual({session.where() for _ in range(20)}, {first})
        self.assertIsNone(self.backends[first].last().get("cookie"))

    def test_what_is_no_token_of_ours_is_passed_over(self):
        session = Session(self.port, "/plain")
        first = session.where()
        good = session.jar["sticky"]
        changed = good[:-1] + ("A" if good[-1] != "A" else "B")
        for jar, taken in ((f"sticky={good}", True), (f"sticky={changed}", False), (f"sticky={good}x", False),
                           ("sticky=", False), ("sticky", False), (f"Sticky={good}", False), ("sticky=10.0.0.1", False),
                           (f"sticky={changed}; sticky={good}", True), (f"x=1; sticky=\"{good}\"", True)):
            with self.subTest(jar):
                got = ask(self.port, "GET", "/plain", fields=[("Cookie", jar)])
                self.assertEqual(got.status, 200)
                self.assertEqual("sticky" not in cookies(got), taken)
                if taken:
                    self.assertEqual(got.get("x-backend"), first)

    def test_two_cookie_lines_are_looked_through(self):
        session = Session(self.port, "/plain")
        first = session.where()
        got = ask(self.port, "GET", "/plain", fields=[("Cookie", "a=b"), ("Cookie", f"sticky={session.jar['sticky']}")])
        self.assertEqual((got.get("x-backend"), got.all("set-cookie")), (first, []))

    def test_after_the_absolute_timeout_a_session_begins_anew(self):
        session = Session(self.port, "/timed")
        begun = time.monotonic()
        session.where()
        old = session.jar["sticky"]
        while time.monotonic() - begun < 0.3:
            session.where()
        self.assertEqual(session.jar["sticky"], old, "use made the session longer")
        until(lambda: session.where() and session.jar["sticky"] != old)
        self.assertGreater(time.monotonic() - begun, 0.4)

    def test_an_idle_timeout_counts_from_the_last_request(self):
        session = Session(self.port, "/idle")
        begun = time.monotonic()
        first = session.where()
        while time.monotonic() - begun < 1.5:
            self.assertEqual(session.where(), first)
        old = session.jar["sticky"]
        time.sleep(0.7)  # The time that a client is silent is what is tested.
        seen = set()
        for _ in range(40):
            again = Session(self.port, "/idle")
            again.jar["sticky"] = old
            seen.add(again.where())
        self.assertEqual(seen, set(NAMES))

    def test_the_backend_sees_the_cookie_and_its_own_cookies_pass(self):
        def own(_):
            return answer(200, "x", [("X-Backend", "own"), ("Set-Cookie", "mine=1"), ("Set-Cookie", "sticky=theirs")])
        for name in NAMES:
            self.backends[name].handler = own
        got = ask(self.port, "GET", "/plain")
        self.assertEqual(lines(got)[:2], ["mine=1", "sticky=theirs"])
        self.assertEqual(len(lines(got)), 3)

    def test_http2_clients_have_sessions(self):
        client = self.use(FrameClient(self.port))
        got = client.ask(path="/plain")
        value, _ = cookies(got)["sticky"]
        for _ in range(20):
            again = client.ask(path="/plain", more=[("cookie", "x=y"), ("cookie", f"sticky={value}")])
            self.assertEqual((again.get("x-backend"), lines(again)), (got.get("x-backend"), []))

    def test_a_websocket_belongs_to_its_session(self):
        for name in NAMES:
            self.backends[name].script = echo_tunnel
        with Client(self.port) as client:
            got = client.send(WEBSOCKET.replace("/ws", "/plain")).head()
        self.assertEqual(got.status, 101)
        value, _ = cookies(got)["sticky"]
        where, = [name for name in NAMES if self.backends[name].requests]
        for name in NAMES:
            self.backends[name].script = None
        for _ in range(10):
            again = ask(self.port, "GET", "/plain", fields=[("Cookie", f"sticky={value}")])
            self.assertEqual((again.get("x-backend"), lines(again)), (where, []))

    def test_explain_says_so(self):
        text = self.gateway.run("explain", "GET", "http://example.com/plain", "--socket", self.gateway.socket).stdout
        self.assertRegex(text, r"session +by cookie sticky, path /: stays with its endpoint")


class Headers(GatewayCase):
    @classmethod
    def make(cls):
        backends = [cls.backend(name) for name in NAMES]
        return gw.simple(backends[0], *slices("app", backends[1:]), rules=[
            sticky("/", type="Header", header={"name": "X-Session"})])

    def test_a_header_keeps_the_session(self):
        got = ask(self.port, "GET", "/")
        value = got.get("x-session")
        self.assertRegex(value, r"^[A-Za-z0-9_-]{80}$")
        self.assertEqual(got.all("set-cookie"), [])
        for _ in range(20):
            again = ask(self.port, "GET", "/", fields=[("x-session", value)])
            self.assertEqual((again.get("x-backend"), again.get("x-session")), (got.get("x-backend"), None))
        self.assertIsNotNone(ask(self.port, "GET", "/", fields=[("x-session", "mine")]).get("x-session"))

    def test_what_the_backend_says_under_that_name_is_replaced(self):
        for name in NAMES:
            self.backends[name].handler = lambda _: answer(200, "x", [("X-Session", "theirs")])
        self.assertEqual(len(ask(self.port, "GET", "/").all("x-session")), 1)
        self.assertNotEqual(ask(self.port, "GET", "/").get("x-session"), "theirs")


class Changes(Case):
    """Endpoints, weights and processes come and go."""

    def setUp(self):
        super().setUp()
        self.backends = {name: self.use(Backend(name)) for name in NAMES}

    def start(self, *rules, uid=None, **kwargs):
        """A gateway with all backends behind app; uid: of the route."""
        only = route(rules=list(rules))
        if uid:
            only["metadata"]["uid"] = uid
        self.objects = [gateway_class(), gateway(), *app("app", *self.backends.values()), only]
        return self.use(gw.Gateway(*self.objects, **kwargs))

    def test_sessions_of_a_route_without_uid_are_of_one_process(self):
        first = self.start(sticky("/", cookie={"name": "sticky"}))
        session = Session(first.port(), "/")
        self.assertEqual(len({session.where() for _ in range(10)}), 1)
        second = self.use(gw.Gateway(*self.objects))
        session.port = second.port()
        self.assertIn("sticky", cookies(session.ask()), "names were enough to make a token")

    def test_sessions_outlive_a_restart_and_are_shared_by_replicas(self):
        first = self.start(sticky("/", cookie={"name": "sticky"}), uid="6b8f1f3e-5f0c-4d43-9d0e-0a5b6c7d8e9f")
        session = Session(first.port(), "/")
        where = session.where()
        second = self.use(gw.Gateway(*self.objects))
        for gateway_ in (first, second):
            session.port = gateway_.port()
            self.assertEqual({session.where() for _ in range(10)}, {where})

    def test_an_endpoint_that_refuses_loses_its_sessions_to_another(self):
        gateway_ = self.start(sticky("/", cookie={"name": "sticky"}))
        session = Session(gateway_.port(), "/")
        first = session.where()
        old = session.jar["sticky"]
        self.backends[first].stop_listening()
        self.backends[first].forget()
        second = session.where()
        self.assertNotEqual(second, first)
        self.assertNotEqual(session.jar["sticky"], old)
        self.assertEqual({session.where() for _ in range(10)}, {second})

    def test_an_endpoint_that_is_gone_loses_its_sessions_to_another(self):
        gateway_ = self.start(sticky("/", cookie={"name": "sticky"}))
        session = Session(gateway_.port(), "/")
        first = session.where()
        gateway_.delete(slices("app", [self.backends[first]]))
        until(lambda: Session(gateway_.port(), "/").ask() and session.where() != first)
        second = session.where()
        self.assertEqual({session.where() for _ in range(10)}, {second})

    def test_an_endpoint_that_terminates_keeps_its_sessions_while_it_serves(self):
        gateway_ = self.start(sticky("/", cookie={"name": "sticky"}))
        session = Session(gateway_.port(), "/")
        first = session.where()

        def say(**conditions):
            slice_, = slices("app", [self.backends[first]])
            slice_["endpoints"][0]["conditions"] = conditions
            gateway_.apply(slice_)
        say(ready=False, serving=True, terminating=True)
        until(lambda: first not in {Session(gateway_.port(), "/").where() for _ in range(12)})
        self.assertEqual({session.where() for _ in range(20)}, {first})
        self.assertNotIn(first, {Session(gateway_.port(), "/").where() for _ in range(12)})
        say(ready=False, serving=False, terminating=True)
        until(lambda: session.where() != first)

    def test_a_kept_connection_that_the_endpoint_closed_moves_no_session(self):
        gateway_ = self.start(sticky("/", cookie={"name": "sticky"}))
        session = Session(gateway_.port(), "/")
        first = session.where()
        for _ in range(20):
            for connection in [c for c in self.backends[first].connections if not c.closed.is_set()]:
                with contextlib.suppress(OSError):  # It may close just then.
                    connection.reset()
            self.assertEqual(session.where(), first)

    def test_a_status_that_is_retried_stays_with_the_endpoint(self):
        retried = sticky("/", cookie={"name": "sticky"}) | {"retry": {"codes": [503], "attempts": 2}}
        gateway_ = self.start(retried)
        session = Session(gateway_.port(), "/")
        first = session.where()
        left = [2]

        def handler(_):
            left[0] -= 1
            return answer(503) if left[0] >= 0 else answer(200, "x", [("X-Backend", first)])
        self.backends[first].handler = handler
        self.assertEqual(session.where(), first)
        self.assertEqual(left, [-1])

    def test_a_backend_whose_weight_is_0_keeps_its_sessions(self):
        one, two = app("one", self.backends["a"]), app("two", self.backends["b"])

        def split(first, second):
            return route(rules=[sticky("/", [backend_ref("one", weight=first), backend_ref("two", weight=second)],
                                       cookie={"name": "sticky"})])
        gateway_ = self.use(gw.Gateway(gateway_class(), gateway(), *one, *two, split(1, 0)))
        session = Session(gateway_.port(), "/")
        self.assertEqual(session.where(), "a")
        gateway_.apply(split(0, 1))
        until(lambda: Session(gateway_.port(), "/").where() == "b")
        self.assertEqual({Session(gateway_.port(), "/").where() for _ in range(10)}, {"b"})
        self.assertEqual({session.where() for _ in range(10)}, {"a"})
        gateway_.apply(split(0, 0))
        until(lambda: Session(gateway_.port(), "/").ask().status == 500)
        self.assertEqual({session.where() for _ in range(10)}, {"a"})

    def test_a_backend_whose_weight_is_0_gets_no_new_sessions_when_an_endpoint_refuses(self):
        one, two = app("one", self.backends["a"], self.backends["c"]), app("two", self.backends["b"])

        def split(first, second):
            return route(rules=[sticky("/", [backend_ref("one", weight=first), backend_ref("two", weight=second)],
                                       cookie={"name": "sticky"})])
        gateway_ = self.use(gw.Gateway(gateway_class(), gateway(), *one, *two, split(1, 0)))
        session = Session(gateway_.port(), "/")
        first = session.where()
        gateway_.apply(split(0, 1))
        until(lambda: Session(gateway_.port(), "/").where() == "b")
        self.backends[first].stop_listening()
        self.backends[first].forget()
        self.assertEqual({session.where() for _ in range(10)}, {"b"})

    def test_a_grpcroute_has_sessions_by_header(self):
        def handler_of(name):
            def handler(http2, request):
                http2.head(request.stream, 200, [("content-type", "application/grpc"), ("x-backend", name)])
                http2.body(request.stream, b"\0\0\0\0\0")
                http2.trailers(request.stream, ("grpc-status", "0"))
            return serving(handler)
        servers = [self.use(Backend(name, script=handler_of(name))) for name in NAMES]
        rpc = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute",
               "metadata": {"name": "rpc", "namespace": "default"},
               "spec": {"parentRefs": [{"name": "gw"}], "rules": [{
                   "matches": [{"method": {"service": "a.B", "method": "Get"}}],
                   "backendRefs": [backend_ref()],
                   "sessionPersistence": {"type": "Header", "header": {"name": "x-session"}}}]}}
        gateway_ = self.use(gw.Gateway(gateway_class(), gateway(), *app("app", *servers), rpc))
        client = self.use(FrameClient(gateway_.port()))

        def call(*more):
            stream = client.request("POST", "/a.B/Get", body=b"\0\0\0\0\0",
                                    more=[("content-type", "application/grpc"), ("te", "trailers"), *more])
            return client.answer(stream)
        got = call()
        value = got.get("x-session")
        self.assertIsNotNone(value)
        for _ in range(20):
            again = call(("x-session", value))
            self.assertEqual((again.get("x-backend"), again.get("x-session")), (got.get("x-backend"), None))


if __name__ == "__main__":
    unittest.main()
