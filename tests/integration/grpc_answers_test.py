# SPDX-License-Identifier: Apache-2.0
"""What the gateway itself has to say to a client of gRPC is an answer of gRPC: 200, with grpc-status in
the head and nothing behind it."""
import unittest

from harness import gateway as gw
from harness import http2 as h2b
from harness.backend import Backend
from harness.case import Case
from harness.client import ask
from harness.http2 import serving
from harness.manifests import (backend_ref, gateway, gateway_class, path_match, route, rule, service, slices)
from harness.ports import free_port


class Answers(Case):
    TYPES = ("application/grpc", "application/grpc+proto", "application/grpc;x=y", "Application/GRPC")
    OTHERS = ("application/grpc-web", "application/json", "application/grpcish", "")

    def start(self):
        """A gateway with a route for each way in which it answers itself."""
        def handler(http2, request):
            if request.get(":path") == "/reset/m":
                http2.send(h2b.reset(request.stream, 2))
            elif request.get(":path") != "/late/m":
                http2.head(request.stream, 200, [("content-type", "application/grpc")])
                http2.body(request.stream, b"\0\0\0\0\0")
                http2.trailers(request.stream, ("grpc-status", "3"), ("grpc-message", "from the backend"))
        app = self.use(Backend("app", script=serving(handler)))
        gone = type("Gone", (), {"host": "127.0.0.1", "port": free_port()})
        ports = [{"port": 8080, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}]
        objects = [gateway_class(), gateway()]
        for name, backends in (("app", [app]), ("gone", [gone]), ("empty", [])):
            objects += [service(name, ports=ports), *slices(name, backends)]
        late = rule(["app"], [path_match("/late")], timeouts={"request": "200ms"})
        rules = [late, *[rule([name], [path_match(f"/{path}")]) for path, name in
                         (("ok", "app"), ("reset", "app"), ("gone", "gone"), ("empty", "empty"))],
                 rule([backend_ref("nowhere")], [path_match("/nowhere")])]
        return self.use(gw.Gateway(*objects, route(rules=rules), settings={"limits": {"body_bytes": 1000}}))

    def test_local_answers_are_those_of_grpc(self):
        port = self.start().port()
        for path, http, grpc in (("/none/m", 404, "12"), ("/reset/m", 502, "14"), ("/gone/m", 502, "14"),
                                 ("/empty/m", 503, "14"), ("/late/m", 504, "4"), ("/nowhere/m", 500, "13")):
            for kind in (*self.TYPES, *self.OTHERS):
                with self.subTest(path, kind=kind):
                    got = ask(port, "POST", path, body=b"\0\0\0\0\0", fields=[("Content-Type", kind)] if kind else [])
                    if kind in self.OTHERS:
                        self.assertEqual(got.status, http)
                        self.assertIsNone(got.get("grpc-status"))
                        continue
                    self.assertEqual((got.status, got.body), (200, b""))
                    self.assertEqual(got.get("content-type"), "application/grpc")
                    self.assertEqual(got.get("grpc-status"), grpc)
                    self.assertTrue(got.get("grpc-message").startswith(str(http)), got.get("grpc-message"))

    def test_what_a_grpcroute_cannot_send_on_is_unavailable_or_unimplemented(self):
        spec = {"parentRefs": [{"name": "gw"}],
                "rules": [{"matches": [{"method": {"service": "a.B", "method": "Get"}}],
                           "backendRefs": [{"name": "nowhere", "port": 80}]}]}
        item = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute",
                "metadata": {"name": "calls", "namespace": "default"}, "spec": spec}
        process = self.use(gw.Gateway(gateway_class(), gateway(), item))
        for path, grpc in (("/a.B/Get", "14"), ("/a.B/Put", "12"), ("/c.D/Get", "12")):
            got = ask(process.port(), "POST", path, body=b"\0\0\0\0\0", fields=[("Content-Type", "application/grpc")])
            self.assertEqual((got.status, got.get("grpc-status")), (200, grpc), path)

    def test_a_request_that_is_too_large_is_resource_exhausted(self):
        port = self.start().port()
        got = ask(port, "POST", "/ok/m", body=b"x" * 2000, fields=[("Content-Type", "application/grpc")])
        self.assertEqual((got.status, got.get("grpc-status")), (200, "8"))

    def test_answers_of_a_backend_stay_as_they_are(self):
        port = self.start().port()
        got = ask(port, "POST", "/ok/m", body=b"\0\0\0\0\0", fields=[("Content-Type", "application/grpc")])
        self.assertEqual((got.status, got.body), (200, b"\0\0\0\0\0"))
        self.assertEqual([(n.lower(), v) for n, v in got.trailers],
                         [("grpc-status", "3"), ("grpc-message", "from the backend")])


if __name__ == "__main__":
    unittest.main()
