# SPDX-License-Identifier: Apache-2.0
"""Every HTTP manifest of the Gateway API's examples/standard, run alone.

Each file of the module sigs.k8s.io/gateway-api v1.7.0 is a row of EXAMPLES with the answers that it
has to give, or of NO_HTTP with the reason why it gives none. An overlay adds what a lone file lacks:
a class of ours, ports, Services and endpoints, Secrets, a Gateway or parentRef where there is none.
"""
import os
import unittest

import yaml

from harness import gateway as gw
from harness import modules, tls
from harness.case import Case, until
from harness.client import Client
from harness.overlay import Overlay

ROOT = ("sigs.k8s.io/gateway-api", "v1.7.0")


class Ask:
    """One request and what it has to come to: a Service's name, a status, or (status, Location)."""

    def __init__(self, expected, target="/", host="example.com", method="GET", fields=(), https=False,
                 share=None, check=None):
        self.expected, self.target, self.host, self.method = expected, target, host, method
        self.fields, self.https, self.share, self.check = list(fields), https, share, check


def seen(**fields):
    """A check: the backend saw these fields; None means absent."""
    def check(case, overlay, answer):
        request = overlay.backends[answer.body.decode()].last()
        for name, value in fields.items():
            case.assertEqual(request.get(name.replace("_", "-")), value)
    return check


def reached(host=None, target=None):
    """A check: the backend saw this Host and target."""
    def check(case, overlay, answer):
        request = overlay.backends[answer.body.decode()].last()
        if host:
            case.assertEqual(request.get("host"), host)
        if target:
            case.assertEqual(request.target, target)
    return check


def told(**fields):
    """A check: the client got these fields; None means absent."""
    def check(case, overlay, answer):
        del overlay
        for name, value in fields.items():
            case.assertEqual(answer.get(name.replace("_", "-")), value)
    return check


def mirrored(name):
    """A check: this Service got a copy."""
    def check(case, overlay, answer):
        del answer
        until(lambda: overlay.backends[name].requests, message=f"a copy at {name}")
        case.assertTrue(overlay.backends[name].requests)
    return check


def origin(value, **more):
    """Fields of a request with an Origin; more are preflight fields."""
    return [("Origin", value)] + [(f"Access-Control-Request-{k.title()}", v) for k, v in more.items()]


EXAMPLES = {
    "basic-http.yaml": [
        Ask("my-service1", "/bar", "foo.com"), Ask("my-service1", "/bar/x", "foo.com"), Ask(404, "/barx", "foo.com"),
        Ask("my-service2", "/some/thing?great=example", "foo.com", fields=[("magic", "foo")]),
        Ask(404, "/some/thing?great=other", "foo.com", fields=[("magic", "foo")]),
        Ask(404, "/some/thing?great=example", "foo.com"),
        Ask(404, "/some/thing?great=example", "foo.com", "POST", fields=[("magic", "foo")]),
        Ask(404, "/bar", "bar.com")],
    "default-match-http.yaml": [
        # The first backend is of a kind that nobody here knows: unresolved, so 500.
        Ask(500, "/any", "default-match.com", fields=[("magic", "default-match")]),
        Ask("my-service-2", "/example/exact", "default-match.com"),
        Ask("my-service-2", "/example/exact", "default-match.com", fields=[("magic", "default-match")]),
        Ask(404, "/example/exact/", "default-match.com"), Ask(404, "/", "default-match.com")],
    "http-filter.yaml": [Ask("my-filter-svc1", "/", "my.filter.com", check=seen(my_header="foo")),
                         Ask(404, "/", "other.com")],
    "http-redirect-path.yaml": [Ask((302, "http://my-filter.example.com/foo"), "/a/b", "my-filter.example.com")],
    "http-redirect.yaml": [
        Ask((302, "https://my-filter.example.com/a?b"), "/a?b", "my-filter.example.com"),
        Ask("my-filter-svc1", "/a", "my-filter.example.com", https=True)],
    "http-request-header-add.yaml": [
        Ask("echo", "/add-a-request-header", check=seen(my_header_name="my-header-value")), Ask(404, "/")],
    "http-request-header-remove.yaml": [
        Ask("echo", "/remove-a-request-header", fields=[("x-request-id", "1")], check=seen(x_request_id=None))],
    "http-request-header-set.yaml": [
        Ask("echo", "/edit-a-request-header", fields=[("My-Header-Name", "old")],
            check=seen(my_header_name="my-new-header-value"))],
    # A rewrite without a backend: nothing to send the request to.
    "http-rewrite.yaml": [Ask(500, "/a", "my-filter.example.com")],
    "httproute.yaml": [
        Ask("my-service-1", "/mypath"), Ask("my-service-1", "/mypath/x"), Ask("my-service-2", "/mypath-012"),
        Ask("my-service-3", "/my%20path/123"), Ask("my-service-3", "/my%20path/123/x"), Ask(404, "/my"),
        Ask(404, "/mypath-0123")],
    "tls-basic.yaml": [Ask("overlay-svc", "/", "foo.example.com", https=True),
                       Ask("overlay-svc", "/", "bar.example.com", https=True)],
    "tls-cert-cross-namespace.yaml": [Ask("overlay-svc", "/", "x.example.com", https=True)],
    "wildcard-tls-gateway.yaml": [Ask("overlay-svc", "/", "x.example.com", https=True),
                                  Ask("overlay-svc", "/", "foo.example.com", https=True)],
    "cross-namespace-routing/gateway.yaml": [Ask("overlay-svc", "/", "foo.example.com", https=True)],
    "cross-namespace-routing/site-route.yaml": [
        Ask("home", "/", "foo.example.com"), Ask({"login-v1": 0.9, "login-v2": 0.1}, "/login", "foo.example.com")],
    "cross-namespace-routing/store-route.yaml": [Ask("store", "/store/1", "foo.example.com"),
                                                 Ask(404, "/", "foo.example.com")],
    "http-cors/httproute-all-fields-set.yaml": [
        Ask("infra-backend-v1", "/cors-behavior-creds-true", fields=origin("https://www.foo.com"),
            check=told(access_control_allow_origin="https://www.foo.com", access_control_allow_credentials="true",
                       access_control_expose_headers="x-header-3, x-header-4")),
        Ask("infra-backend-v1", "/cors-behavior-creds-true", fields=origin("https://x.bar.com"),
            check=told(access_control_allow_origin="https://x.bar.com")),
        Ask("infra-backend-v1", "/cors-behavior-creds-true", fields=origin("https://evil.com"),
            check=told(access_control_allow_origin=None)),
        Ask((200, 204), "/cors-behavior-creds-true", method="OPTIONS",
            fields=origin("https://www.foo.com", method="GET", headers="x-one"),
            # With credentials "*" must not be sent: the name asked for is.
            check=told(access_control_allow_origin="https://www.foo.com", access_control_allow_headers="x-one",
                       access_control_max_age="3600"))],
    "http-cors/httproute-all-origins-no-creds.yaml": [
        Ask("infra-backend-v1", "/cors-behavior-creds-false", fields=origin("https://who.ever"),
            check=told(access_control_allow_origin="*", access_control_allow_credentials=None))],
    "http-cors/httproute-credentials-true.yaml": [
        Ask("infra-backend-v1", "/cors-behavior-creds-true", fields=origin("https://app.example"),
            check=told(access_control_allow_origin="https://app.example", access_control_allow_credentials="true"))],
    "http-cors/httproute-origins-with-wildcards-no-creds.yaml": [
        Ask("infra-backend-v1", "/cors-behavior-creds-false", fields=origin("https://a.foo.com"),
            check=told(access_control_allow_origin="https://a.foo.com", access_control_allow_credentials=None)),
        Ask("infra-backend-v1", "/cors-behavior-creds-false", fields=origin("https://foo.com"),
            check=told(access_control_allow_origin=None))],
    "http-cors/httproute-specific-origin-no-creds.yaml": [
        Ask("infra-backend-v1", "/cors-behavior-creds-false", fields=origin("https://app.example"),
            check=told(access_control_allow_origin="https://app.example", access_control_allow_credentials=None))],
    "http-redirect-rewrite/gateway-redirect-http-https.yaml": [
        Ask("overlay-svc"), Ask("overlay-svc", https=True)],
    "http-redirect-rewrite/httproute-redirect-303.yaml": [
        Ask((303, "http://forms.example.com/thank-you"), "/submit-form", "forms.example.com", "POST"),
        Ask(404, "/submit-form", "forms.example.com")],
    "http-redirect-rewrite/httproute-redirect-307.yaml": [
        Ask((307, "http://api.example.com/api/v2"), "/api/v1/x", "api.example.com", "PUT")],
    "http-redirect-rewrite/httproute-redirect-308.yaml": [
        Ask((308, "http://api.example.com/new-api"), "/old-api", "api.example.com")],
    "http-redirect-rewrite/httproute-redirect-full.yaml": [
        Ask((302, "http://redirect.example/paprika"), "/cayenne/pinch", "redirect.example")],
    "http-redirect-rewrite/httproute-redirect-http.yaml": [
        Ask((301, "https://redirect.example/a"), "/a", "redirect.example")],
    "http-redirect-rewrite/httproute-redirect-https.yaml": [
        Ask("example-svc", "/", "redirect.example", https=True), Ask(404, "/", "redirect.example")],
    "http-redirect-rewrite/httproute-redirect-prefix.yaml": [
        Ask((302, "http://redirect.example/paprika/pinch"), "/cayenne/pinch", "redirect.example")],
    "http-redirect-rewrite/httproute-rewrite-full-path.yaml": [
        Ask("example-svc", "/cardamom/pinch", "rewrite.example", check=reached("elsewhere.example", "/fennel"))],
    "http-redirect-rewrite/httproute-rewrite-prefix-path.yaml": [
        Ask("example-svc", "/cardamom/pinch", "rewrite.example", check=reached("elsewhere.example", "/fennel/pinch"))],
    "http-redirect-rewrite/httproute-rewrite.yaml": [
        Ask("example-svc", "/a", "rewrite.example", check=reached("elsewhere.example", "/a"))],
    "http-request-mirroring/httproute-mirroring.yaml": [
        Ask("foo-v1", "/", "mirror.example", check=mirrored("foo-v2"))],
    "http-route-attachment/gateway-namespaces.yaml": [Ask("overlay-svc")],
    "http-route-attachment/gateway-strict.yaml": [Ask("overlay-svc")],
    "http-route-attachment/httproute.yaml": [Ask("foo-svc")],
    "http-routing/bar-httproute.yaml": [
        Ask("bar-svc", "/", "bar.example.com"), Ask("bar-svc-canary", "/", "bar.example.com", fields=[("env", "canary")])],
    "http-routing/foo-httproute.yaml": [Ask("foo-svc", "/login", "foo.example.com"), Ask(404, "/", "foo.example.com")],
    "http-routing/gateway.yaml": [Ask("example-svc", "/", "example.com"), Ask(404, "/", "other.com")],
    "listenerset/listenerset.yaml": [Ask("overlay-svc", "/", "foo.com")],
    "multicluster/httproute-hybrid.yaml": [Ask({"store": 0.9, 500: 0.1})],
    "multicluster/httproute-location.yaml": [Ask(500, "/west"), Ask(500, "/east"), Ask(500, "/")],
    "multicluster/httproute-method.yaml": [Ask(500, "/", method="POST"), Ask(500, "/")],
    "multicluster/httproute-referencegrant.yaml": [Ask(500, "/bar"), Ask(404, "/")],
    "multicluster/httproute-simple.yaml": [Ask(500, "/")],
    "simple-gateway/gateway.yaml": [Ask("overlay-svc")],
    "simple-gateway/httproute.yaml": [Ask("foo-svc")],
    "simple-http-https/bar-route.yaml": [Ask("bar-app", "/", "bar.example.com", https=True),
                                         Ask(404, "/", "bar.example.com")],
    "simple-http-https/foo-route.yaml": [Ask("foo-app", "/", "foo.example.com", https=True),
                                         Ask("foo-orders-app", "/orders/1", "foo.example.com", https=True)],
    "simple-http-https/gateway.yaml": [Ask("overlay-svc", "/", "x.example.com"),
                                       Ask("overlay-svc", "/", "x.example.com", https=True), Ask(404, "/", "example.org")],
    "simple-http-https/tls-redirect-route.yaml": [
        Ask((302, "https://foo.example.com/a"), "/a", "foo.example.com"),
        Ask((302, "https://bar.example.com/a"), "/a", "bar.example.com"), Ask(404, "/", "x.example.com")],
    "traffic-splitting/simple-split.yaml": [Ask({"foo-v1": 0.9, "foo-v2": 0.1})],
    "traffic-splitting/traffic-split-1.yaml": [
        Ask("foo-v1", "/", "foo.example.com"), Ask("foo-v2", "/", "foo.example.com", fields=[("traffic", "test")])],
    "traffic-splitting/traffic-split-2.yaml": [Ask({"foo-v1": 0.9, "foo-v2": 0.1}, "/", "foo.example.com")],
    "traffic-splitting/traffic-split-3.yaml": [Ask({"foo-v2": 1.0}, "/", "foo.example.com")],
}

NO_HTTP = {
    "0-namespaces.yaml": "namespaces only",
    "cross-namespace-routing/0-namespaces.yaml": "namespaces only",
    "multicluster/0-namespaces.yaml": "namespaces only",
    "reference-grant.yaml": "a ReferenceGrant only",
    "multicluster/httproute-gamma.yaml": "a mesh route: its parent is no Gateway",
    "backend-tls.yaml": "TLS to backends: a later release, refused in status",
    "backendtlspolicy/backendtlspolicy-ca-certs.yaml": "BackendTLSPolicy only: a later release",
    "backendtlspolicy/backendtlspolicy-system-certs.yaml": "BackendTLSPolicy only: a later release",
    "frontend-cert-validation.yaml": "client certificates: a later release, refused in status",
    "gateway-addresses.yaml": "asks for public addresses that no test host has, and for an unsupported type",
    "basic-grpc.yaml": "gRPC, which the suite calls",
    "grpc-filter.yaml": "gRPC, which the suite calls",
    "grpc-routing/bar-grpcroute.yaml": "gRPC, which the suite calls",
    "grpc-routing/foo-grpcroute.yaml": "gRPC, which the suite calls",
    "grpc-routing/gateway.yaml": "gRPC, which the suite calls",
    "grpc-routing/reflection-grpcroute.yaml": "gRPC, which the suite calls",
    "traffic-splitting/grpc-traffic-split-2.yaml": "gRPC, which the suite calls",
    "basic-tcp.yaml": "TCP",
    "basic-udp.yaml": "UDP",
    "tcp-routing/gateway.yaml": "TCP",
    "tcp-routing/tcp-route.yaml": "TCP",
    "udp-routing/gateway.yaml": "UDP",
    "udp-routing/udp-route.yaml": "UDP",
    "tls-routing/gateway.yaml": "TLSRoute",
    "tls-routing/tls-route-terminate.yaml": "TLSRoute",
    "tls-routing/tls-route.yaml": "TLSRoute",
}


def examples():
    """The folder of the examples."""
    return os.path.join(modules.folder(*ROOT), "examples", "standard")


class Examples(Case):
    """One test for each row of EXAMPLES; made below."""

    def run_example(self, name):
        """Serves one file alone and asks what its row says."""
        with open(os.path.join(examples(), name), encoding="utf-8") as file:
            overlay = Overlay(list(yaml.safe_load_all(file)))
        self.addCleanup(overlay.close)
        process = self.use(gw.Gateway(*overlay.objects))
        for row in EXAMPLES[name]:
            with self.subTest(method=row.method, host=row.host, target=row.target, fields=row.fields, https=row.https):
                self.judge(process, overlay, row)
        self.assertEqual({n: b.ambiguous for n, b in overlay.backends.items() if b.ambiguous}, {})

    def judge(self, process, overlay, row):
        """One row."""
        context = tls.client_context(["http/1.1"]) if row.https else None
        with Client(process.port(443 if row.https else 80), tls=context, sni=row.host) as client:
            def ask():
                return client.ask(row.method, row.target, host=row.host, fields=row.fields)
            if isinstance(row.expected, dict):
                got = [ask() for _ in range(2500)]  # a share of a half: standard deviation 0.01
                keys = [g.body.decode() if g.status == 200 else g.status for g in got]
                self.assertLessEqual(set(keys), set(row.expected))
                for key, share in row.expected.items():
                    self.assertAlmostEqual(keys.count(key) / len(keys), share, delta=0.05)
                return
            answer = ask()
            if isinstance(row.expected, str):
                self.assertEqual((answer.status, answer.body.decode()), (200, row.expected))
            elif isinstance(row.expected, int):
                self.assertEqual(answer.status, row.expected)
            elif isinstance(row.expected[1], str):
                self.assertEqual((answer.status, answer.get("location")), row.expected)
            else:
                self.assertIn(answer.status, row.expected)
            if row.check:
                row.check(self, overlay, answer)


class Table(Case):
    def test_every_file_has_a_row_or_a_reason(self):
        root = examples()
        files = {os.path.relpath(os.path.join(folder, name), root)
                 for folder, _, names in os.walk(root) for name in names if name.endswith(".yaml")}
        self.assertEqual(files, set(EXAMPLES) | set(NO_HTTP))
        self.assertEqual(set(EXAMPLES) & set(NO_HTTP), set())

    def test_files_without_http_behaviour_harm_nobody(self):
        # All of them together, beside one plain example that goes on serving.
        documents = []
        for name in sorted(NO_HTTP):
            with open(os.path.join(examples(), name), encoding="utf-8") as file:
                documents += [d for d in yaml.safe_load_all(file) if d]
        with open(os.path.join(examples(), "simple-gateway/httproute.yaml"), encoding="utf-8") as file:
            overlay = Overlay(list(yaml.safe_load_all(file)))
        self.addCleanup(overlay.close)
        process = self.use(gw.Gateway(*overlay.objects, listen={80: gw.ports.free_port(), 443: gw.ports.free_port()},
                                      start=False))
        process.write("others.yaml", yaml.safe_dump_all(documents))
        process.start()
        with Client(process.port(80)) as client:
            self.assertEqual(client.ask("GET", "/").body, b"foo-svc")


def _make(name):
    def test(self):
        self.run_example(name)
    test.__doc__ = None
    return test


for _name in EXAMPLES:
    setattr(Examples, "test_" + _name.removesuffix(".yaml").replace("/", "_").replace("-", "_"), _make(_name))


if __name__ == "__main__":
    unittest.main()
