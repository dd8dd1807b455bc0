# SPDX-License-Identifier: Apache-2.0
"""External authorization by HTTP and by Envoy's gRPC protocol: what the server sees, what its word does,
and that nobody passes without it."""
import contextlib
import socket
import struct
import unittest

from harness import gateway as gw
from harness.backend import Backend, answer
from harness.case import Case, GatewayCase, until
from harness.client import Client, ask
from harness.ext_authz import OK, answer_call, at, auth, denied, fields_of, framed, header, ok, part
from harness.flows import reset
from harness.http2 import serving
from harness.manifests import (app, backend_ref, extension, filter_object, gateway, gateway_class, grant, path_match,
                               route, rule)

CHECK = "/envoy.service.auth.v3.Authorization/Check"


class AuthCase(GatewayCase):
    """One route whose rules are guarded, an app behind it and an authorization server."""

    @classmethod
    def rules(cls):
        """The rules of the route."""
        return []

    @classmethod
    def objects(cls):
        """What the rules refer to."""
        return []

    @classmethod
    def server(cls):
        """The authorization server."""
        return cls.backend("auth")

    @classmethod
    def make(cls):
        return gw.Gateway(gateway_class(), gateway(), *app("app", cls.backend("app")),
                          *app("auth", cls.server()), *cls.objects(), route(rules=cls.rules()))

    @property
    def auth(self):
        """The authorization server."""
        return self.backends["auth"]

    def refused(self, got, status=403):
        """Nobody passed."""
        self.assertEqual(got.status, status)
        self.assertEqual(self.app.requests, [])


class Http(AuthCase):
    @classmethod
    def objects(cls):
        return [filter_object("mask", "json_mask", {"fields": ["name"], "replacement": "***"})]

    @classmethod
    def rules(cls):
        def guarded(prefix, **settings):
            return rule(matches=[path_match(prefix)], filters=[auth(**settings)])
        return [guarded("/plain"), guarded("/under", path="/check/"),
                guarded("/some", allowedHeaders=["X-In", "cookie"], allowedResponseHeaders=["X-User", "X-Many"]),
                guarded("/body", body=16),
                rule([backend_ref("app", filters=[auth(path="/b")])], [path_match("/backend")]),
                rule([backend_ref("app", filters=[auth()])], [path_match("/masked")], [extension("mask")])]

    def allow(self, *fields, status=200, body=b""):
        """From now on the server says this."""
        self.auth.handler = lambda _: answer(status, body, fields)

    def test_the_server_sees_method_path_host_and_authorization_and_nothing_else(self):
        self.allow()
        got = ask(self.port, "PUT", "/under/a%2Fb?c=d", host="shop.example:80", body=b"content",
                  fields=[("Authorization", "Bearer x"), ("X-In", "1"), ("Cookie", "a=b")])
        self.assertEqual(got.status, 200)
        seen = self.auth.last()
        self.assertEqual((seen.method, seen.target), ("PUT", "/check/under/a%2Fb?c=d"))
        self.assertEqual(sorted((n.lower(), v) for n, v in seen.fields),
                         [("authorization", "Bearer x"), ("content-length", "0"), ("host", "shop.example:80")])
        self.assertEqual((self.app.last().target, self.app.last().body), ("/under/a%2Fb?c=d", b"content"))

    def test_headers_that_are_allowed_go_to_the_server(self):
        self.allow()
        ask(self.port, "GET", "/some", fields=[("x-in", "1"), ("X-IN", "2"), ("X-Out", "3"), ("Cookie", "a=b")])
        seen = self.auth.last()
        self.assertEqual((seen.all("x-in"), seen.all("x-out"), seen.all("cookie")), (["1", "2"], [], ["a=b"]))

    def test_what_the_server_says_goes_to_the_backend(self):
        self.allow(("X-User", "ann"), ("X-Many", "1"), ("X-Many", "2"), ("X-Other", "no"))
        ask(self.port, "GET", "/some", fields=[("X-User", "forged"), ("x-many", "forged")])
        seen = self.app.last()
        self.assertEqual((seen.all("x-user"), seen.all("x-many"), seen.all("x-other")), (["ann"], ["1", "2"], []))

    def test_a_client_cannot_set_what_the_server_was_to_set(self):
        self.allow()
        ask(self.port, "GET", "/some", fields=[("X-User", "forged")])
        self.assertEqual(self.app.last().all("x-user"), [])

    def test_without_a_list_all_but_host_and_the_content_of_the_answer_is_copied(self):
        self.allow(("X-User", "ann"), ("Content-Type", "text/html"), ("Connection", "close"), body=b"welcome")
        got = ask(self.port, "POST", "/plain", body=b"{}", fields=[("Content-Type", "application/json")])
        self.assertEqual(got.status, 200)
        seen = self.app.last()
        self.assertEqual((seen.all("x-user"), seen.all("content-type"), seen.all("content-length"), seen.body),
                         (["ann"], ["application/json"], ["2"], b"{}"))
        self.assertFalse(seen.has("connection"))

    def test_any_other_answer_goes_to_the_client_as_it_is(self):
        for status in (401, 403, 302, 204, 201, 429, 500, 503):
            with self.subTest(status):
                body = b"" if status == 204 else b"who are you?"
                self.allow(("WWW-Authenticate", "Basic"), ("Location", "/login"), ("Set-Cookie", "a=1"),
                           ("Set-Cookie", "b=2"), status=status, body=body)
                got = ask(self.port, "GET", "/plain")
                self.assertEqual((got.status, got.body, got.get("www-authenticate"), got.get("location"),
                                  got.all("set-cookie")), (status, body, "Basic", "/login", ["a=1", "b=2"]))
        self.assertEqual(self.app.requests, [])

    def test_a_denied_body_is_not_waited_for_and_the_connection_goes_on_or_ends(self):
        self.allow(status=401)
        for size in (10, 100000):
            with Client(self.port) as client:
                client.request("POST", "/plain", body=b"x" * size)
                self.refused(client.response("POST"), 401)

    def test_head_and_many_requests_on_kept_connections(self):
        self.allow()
        with Client(self.port) as client:
            for number in range(20):
                method = "HEAD" if number % 2 else "GET"
                self.assertEqual(client.ask(method, f"/plain/{number}").status, 200)
        self.assertEqual([r.method for r in self.auth.requests[:2]], ["GET", "HEAD"])
        self.assertEqual(len({id(c) for c in self.auth.connections if c.requests}), 1)

    def test_a_server_that_closed_its_kept_connection_is_asked_again(self):
        self.allow()
        for _ in range(3):
            self.assertEqual(ask(self.port, "POST", "/plain", body=b"x").status, 200)
            for connection in self.auth.connections:
                with contextlib.suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)

    def test_a_body_goes_to_the_server_and_to_the_backend(self):
        self.allow()
        for body in (b"0123456789abcdef", b"x", b""):
            with self.subTest(len(body)):
                self.assertEqual(ask(self.port, "POST", "/body", body=body).status, 200)
                self.assertEqual((self.auth.last().body, self.auth.last().get("content-length")),
                                 (body, str(len(body))))
                self.assertEqual(self.app.last().body, body)

    def test_a_body_in_chunks_goes_with_its_length(self):
        self.allow()
        with Client(self.port) as client:
            client.send("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            client.send("2\r\nde\r\n0\r\n\r\n")
            self.assertEqual(client.response("POST").status, 200)
        self.assertEqual((self.auth.last().body, self.auth.last().get("content-length")), (b"abcde", "5"))
        self.assertEqual(self.app.last().body, b"abcde")

    def test_a_body_that_is_too_large_is_refused_and_nobody_asked(self):
        self.allow()
        self.refused(ask(self.port, "POST", "/body", body=b"x" * 17), 413)
        with Client(self.port) as client:
            client.send("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "9\r\n123456789\r\n8\r\n12345678\r\n0\r\n\r\n")
            self.refused(client.response("POST"), 413)
        self.assertEqual(self.auth.requests, [])

    def test_a_client_that_expects_100_is_told_to_send_what_the_server_wants(self):
        self.allow()
        with Client(self.port) as client:
            client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            until(lambda: client.socket.recv(25, socket.MSG_PEEK).startswith(b"HTTP/1.1 100"))
            client.send("abc")
            self.assertEqual(client.response("POST").status, 200)
        self.assertEqual(self.auth.last().body, b"abc")

    def test_what_a_filter_of_a_backend_answers_goes_through_those_of_the_rule(self):
        self.allow(("Content-Type", "application/json"), status=403, body=b'{"name": "a name that is long"}')
        with Client(self.port) as client:
            for _ in range(2):
                client.request("GET", "/masked")
                got = client.response()
                self.refused(got)
                self.assertEqual(got.body, b'{"name": "***"}')

    def test_a_filter_of_a_backend_asks_too(self):
        self.allow(status=401)
        self.refused(ask(self.port, "GET", "/backend/x"), 401)
        self.assertEqual(self.auth.last().target, "/b/backend/x")
        self.allow()
        self.assertEqual(ask(self.port, "POST", "/backend/x", body=b"abc").status, 200)
        self.assertEqual(self.app.last().body, b"abc")

    def test_garbage_and_answers_that_break_off_let_nobody_pass(self):
        for sent in (b"", b"HTTP/1.1 2", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
                     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
            with self.subTest(sent):
                def script(connection, sent=sent):
                    connection.read_request()
                    connection.send(sent)
                    connection.close()
                self.auth.forget()
                self.auth.script = script
                try:
                    self.refused(ask(self.port, "GET", "/plain"))
                finally:
                    self.auth.script = None

    def test_a_huge_answer_lets_nobody_pass(self):
        self.allow(body=b"x" * 70000)
        self.refused(ask(self.port, "GET", "/plain"))
        self.auth.handler = lambda _: (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                       + b"1000\r\n" + b"x" * 4096 + b"\r\n"
                                       + (b"8000\r\n" + b"x" * 32768 + b"\r\n") * 2 + b"0\r\n\r\n")
        self.refused(ask(self.port, "GET", "/plain"))
        self.allow(*[(f"X-{i}", "y" * 900) for i in range(80)])
        self.refused(ask(self.port, "GET", "/plain"))

    def test_the_counts_say_what_happened(self):
        def counted(result):
            return self.gateway.metric("hyperway_plugin_external_auth_requests_total", result=result)
        before = [counted(r) for r in ("allowed", "denied", "failed")]
        self.allow()
        ask(self.port, "GET", "/plain")
        self.allow(status=401)
        ask(self.port, "GET", "/plain")
        self.allow(body=b"x" * 70000)
        ask(self.port, "GET", "/plain")
        self.assertEqual([counted(r) for r in ("allowed", "denied", "failed")], [n + 1 for n in before])
        self.assertGreaterEqual(self.gateway.metric("hyperway_callouts_total"), 3)
        self.assertGreaterEqual(self.gateway.metric("hyperway_callouts_failed_total"), 1)


class Down(AuthCase):
    @classmethod
    def rules(cls):
        return [rule(matches=[path_match("/soon")], filters=[auth()], timeouts={"request": "300ms"}),
                rule(filters=[auth()])]

    def test_a_server_that_does_not_answer_lets_nobody_pass(self):
        self.auth.handler = lambda _: b""
        self.refused(ask(self.port, "GET", "/soon"), 504)
        self.refused(ask(self.port, "GET", "/"))

    def test_a_client_that_leaves_ends_the_question(self):
        gone = []

        def script(connection):
            connection.read_request()
            gone.append(connection.wait_for_close())
        self.auth.forget()
        self.auth.script = script
        self.addCleanup(setattr, self.auth, "script", None)
        with Client(self.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: any(c.requests for c in self.auth.connections))
            reset(client.socket)
        until(lambda: gone == [True], timeout=3)

    def test_a_server_that_is_down_lets_nobody_pass(self):
        self.auth.forget()
        self.auth.stop_listening()
        for _ in range(3):
            self.refused(ask(self.port, "GET", "/"))
            self.refused(ask(self.port, "POST", "/", body=b"abc"))


class Statuses(Case):
    def refs(self, process, name="route"):
        """(status, reason) of ResolvedRefs."""
        found = process.condition(f"HTTPRoute/default/{name}", "ResolvedRefs")
        return found["status"], found["reason"]

    def start(self, *objects, filters):
        """A gateway with one route with these filters."""
        backend = self.use(Backend("app"))
        return self.use(gw.Gateway(gateway_class(), gateway(), *app("app", backend), *objects,
                                   route(rules=[rule(filters=filters)])))

    def test_a_server_that_does_not_resolve_is_500_and_in_the_status(self):
        for reason, what in (("BackendNotFound", auth("nobody")), ("BackendNotFound", auth("app", port=9)),
                             ("RefNotPermitted", auth("app", namespace="other")),
                             ("InvalidFilterConfig", auth("app", protocol="SMTP")),
                             ("InvalidFilterConfig", auth("app", path="/a/../b")),
                             ("InvalidFilterConfig", auth("app", allowedHeaders=["a b"]))):
            with self.subTest(what):
                process = self.start(filters=[what])
                self.assertEqual(self.refs(process), ("False", reason))
                self.assertEqual(ask(process.port()).status, 500)

    def test_a_grant_lets_a_route_use_a_server_of_another_namespace(self):
        server = self.use(Backend("auth"))
        server.handler = lambda _: answer(200)
        process = self.start(*app("auth", server, namespace="other"),
                             grant("g", "HTTPRoute", "default", "Service", "other"),
                             filters=[auth("auth", namespace="other")])
        self.assertEqual(self.refs(process), ("True", "ResolvedRefs"))
        self.assertEqual(ask(process.port()).status, 200)

    def test_a_service_that_goes_and_comes_is_followed(self):
        server = self.use(Backend("auth"))
        server.handler = lambda _: answer(200)
        process = self.start(filters=[auth()])
        self.assertEqual(ask(process.port()).status, 500)
        process.apply(*app("auth", server))
        until(lambda: ask(process.port()).status == 200)
        process.delete(*app("auth", server))
        until(lambda: ask(process.port()).status == 500)

    def test_a_filter_object_may_name_backends_of_its_own(self):
        server = self.use(Backend("auth"))
        server.handler = lambda _: answer(418)
        item = filter_object("ask", "ExternalAuth", {"protocol": "HTTP", "http": {}})
        item["spec"]["backendRefs"] = [{"name": "auth", "port": 8080}]
        process = self.start(*app("auth", server), item, filters=[extension("ask")])
        self.assertEqual(ask(process.port()).status, 418)
        explained = process.run("explain", "GET", "http://example.com/", "--socket", process.socket, check=True)
        self.assertIn("default/auth:8080", explained.stdout)
        item["spec"]["backendRefs"][0]["name"] = "nobody"
        process.apply(item)
        until(lambda: ask(process.port()).status == 500)
        self.assertEqual(self.refs(process), ("False", "BackendNotFound"))


class Grpc(AuthCase):
    said = OK
    answered = None

    @classmethod
    def server(cls):
        def check(http2, request):
            handler = cls.answered or cls.reply
            handler(http2, request)
        return cls.backend("auth", script=serving(check))

    @classmethod
    def reply(cls, http2, request):
        """Answers with `said`."""
        answer_call(http2, request, cls.said)

    @classmethod
    def rules(cls):
        return [rule(matches=[path_match("/some")], filters=[auth(protocol="GRPC", allowedHeaders=["x-in"])]),
                rule(matches=[path_match("/body")], filters=[auth(protocol="GRPC", body=16)]),
                rule(filters=[auth(protocol="GRPC")])]

    def setUp(self):
        super().setUp()
        type(self).said, type(self).answered = OK, None

    def say(self, message):
        """From now on the server says this."""
        type(self).said = message

    def seen(self):
        """The CheckRequest of the last call."""
        message = self.auth.requests[-1].body
        self.assertEqual(message[:5], b"\0" + struct.pack(">I", len(message) - 5))
        return message[5:]

    def test_the_server_sees_the_request(self):
        got = ask(self.port, "POST", "/a/b?c=d", host="shop.example:80", body=b"xyz",
                  fields=[("X-In", "1"), ("x-in", "2"), ("Cookie", "a=b"), ("X-Latin", "caf\xe9")])
        self.assertEqual(got.status, 200)
        call = self.auth.requests[-1]
        self.assertEqual((call.get(":method"), call.get(":path"), call.get("content-type"), call.get("te")),
                         ("POST", CHECK, "application/grpc", "trailers"))
        attributes = at(self.seen(), 1)
        source, target, request = at(attributes, 1, 1, 1), at(attributes, 2, 1, 1), at(attributes, 4, 2)
        self.assertEqual((at(source, 2), at(target, 2), at(target, 3)), (b"127.0.0.1", b"shop.example", 80))
        self.assertGreater(at(source, 3), 0)
        self.assertGreater(at(attributes, 4, 1, 1), 1_700_000_000)
        self.assertEqual([at(request, n) for n in (2, 4, 5, 6, 9, 10, 11)],
                         [b"POST", b"/a/b?c=d", b"shop.example:80", b"http", 3, b"HTTP/1.1", None])
        headers = {at(entry, 1): at(entry, 2) for field, entry in fields_of(request) if field == 3}
        self.assertEqual(headers[b"x-in"], b"1,2")
        self.assertEqual(headers[b"cookie"], b"a=b")
        self.assertEqual(headers[b":path"], b"/a/b?c=d")
        self.assertEqual(headers[b"x-latin"], b"caf!")

    def test_only_headers_that_are_allowed_go_to_the_server(self):
        ask(self.port, "GET", "/some", fields=[("X-In", "1"), ("X-Out", "2")])
        request = at(self.seen(), 1, 4, 2)
        self.assertEqual([(at(e, 1), at(e, 2)) for f, e in fields_of(request) if f == 3], [(b"x-in", b"1")])

    def test_a_body_goes_to_the_server_as_text_or_bytes(self):
        for body, field in ((b"0123456789abcdef", 11), ("grün".encode(), 11), (b"\xff\x00", 12)):
            with self.subTest(body):
                self.assertEqual(ask(self.port, "POST", "/body", body=body).status, 200)
                request = at(self.seen(), 1, 4, 2)
                self.assertEqual((at(request, field), at(request, 9)), (body, len(body)))
                self.assertEqual(self.app.last().body, body)
        self.app.forget()
        self.refused(ask(self.port, "POST", "/body", body=b"x" * 17), 413)

    def test_an_allowing_answer_edits_both_heads_and_the_query(self):
        self.say(ok(part(2, header("X-User", "ann")) + part(2, header("X-More", "2", append=True))
                    + part(2, header("X-Keep", "no", action=1)) + part(2, header("X-None", "no", action=3))
                    + part(2, header("Host", "evil.example")) + part(2, header(":path", "/evil"))
                    + part(2, header("Content-Length", "0"))
                    + part(5, "X-Gone") + part(5, "host") + part(6, header("X-Out", "new"))
                    + part(7, part(1, "new") + part(2, "a b&c")) + part(8, "token")))
        self.app.handler = lambda _: answer(200, "", [("X-Out", "old")])
        got = ask(self.port, "GET", "/x?token=1&keep=%41&token=2", host="shop.example",
                  fields=[("X-User", "forged"), ("X-More", "1"), ("X-Keep", "yes"), ("X-Gone", "1")])
        self.assertEqual((got.status, got.all("x-out")), (200, ["old", "new"]))
        seen = self.app.last()
        self.assertEqual(seen.target, "/x?keep=%41&new=a%20b%26c")
        self.assertEqual([seen.all(n) for n in ("x-user", "x-more", "x-keep", "x-none", "x-gone", "host")],
                         [["ann"], ["1", "2"], ["yes"], [], [], ["shop.example"]])

    def test_a_denying_answer_goes_to_the_client(self):
        self.say(denied(part(1, part(1, 401)) + part(2, header("WWW-Authenticate", "Bearer"))
                        + part(2, header("Set-Cookie", "a=1")) + part(2, header("Set-Cookie", "b=2"))
                        + part(3, "who are you?")))
        got = ask(self.port, "GET", "/")
        self.refused(got, 401)
        self.assertEqual((got.body, got.get("www-authenticate"), got.all("set-cookie")),
                         (b"who are you?", "Bearer", ["a=1", "b=2"]))

    def test_whatever_is_no_clear_yes_is_403(self):
        for said in (part(1, part(1, 16)), denied(b""), b"", OK + part(2, b""), ok(b"") + part(5, b""),
                     b"\x0a", b"\xff" * 20, part(1, part(1, 1 << 32)), OK + part(3, part(2, b"\x0a\xff")),
                     ok(part(2, header("a b", "c"))), ok(part(2, header("x-a", "c\r\nx-b: d"))),
                     ok(part(2, header("x", "y")) * 200)):
            with self.subTest(said[:40]):
                self.say(said)
                self.refused(ask(self.port, "GET", "/"))

    def test_calls_that_fail_let_nobody_pass(self):
        message = framed(OK)

        def call(status=200, kind="application/grpc", body=message, trailers=(("grpc-status", "0"),)):
            def handler(http2, request):
                http2.head(request.stream, status, [("content-type", kind)] if kind else [])
                http2.body(request.stream, body, end=not trailers)
                if trailers:
                    http2.trailers(request.stream, *trailers)
            return handler
        for name, handler in {
                "status": call(trailers=(("grpc-status", "14"), ("grpc-message", "no"))),
                "no status": call(trailers=()), "http": call(503), "type": call(kind="text/plain"),
                "no type": call(kind=""), "two": call(body=message * 2), "short": call(body=message[:-1]),
                "compressed": call(body=b"\1" + message[1:]), "none": call(body=b"\0\0\0\0"),
                "huge": call(body=b"\0" + struct.pack(">I", 100000) + b"x" * 100000),
                "trailers only": lambda h, r: h.head(
                    r.stream, 200, [("content-type", "application/grpc"), ("grpc-status", "13")], end=True),
                "reset": lambda h, r: h.h2.reset_stream(r.stream, 2) or h.flush()}.items():
            with self.subTest(name):
                type(self).answered = staticmethod(handler)
                self.refused(ask(self.port, "GET", "/"))

    def test_many_calls_share_a_connection(self):
        for _ in range(20):
            self.assertEqual(ask(self.port, "GET", "/").status, 200)
        self.assertEqual(len([c for c in self.auth.connections if c.requests]), 1)


class GrpcDown(AuthCase):
    @classmethod
    def rules(cls):
        return [rule(filters=[auth(protocol="GRPC")])]

    def test_a_server_that_speaks_http1_or_is_down_lets_nobody_pass(self):
        self.auth.script = lambda c: (c.socket.recv(1 << 16), c.send(answer(200)), c.close())
        self.refused(ask(self.port, "GET", "/"))
        self.auth.script = None
        self.auth.stop_listening()
        self.refused(ask(self.port, "GET", "/"))


if __name__ == "__main__":
    unittest.main()
