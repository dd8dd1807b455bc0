# SPDX-License-Identifier: Apache-2.0
"""What tests on a cluster have in common: hyperway as deploy/ installs it, the Gateway default/shop, and the
paths and objects of the API that they use."""
import http.client
import http.server
import socket
import threading

import harness

ACCOUNT = "system:serviceaccount:hyperway-system:hyperway"
GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"
API = GATEWAY_API + "/namespaces/default"
GATEWAYS = API + "/gateways"
ROUTES = API + "/httproutes"
SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
PODS = "/api/v1/namespaces/hyperway-system/pods"

MERGED = ("deploy/filters-crd.yaml", "deploy/gateway-api-merged-rbac.yaml", "deploy/gateway-api-merged.yaml")
SHARED = ("deploy/filters-crd.yaml", "deploy/gateway-api-direct-rbac.yaml", "deploy/gateway-api-direct.yaml")
SNAPSHOTS = "/apis/hyperway.arloor.dev/v1alpha1/namespaces/hyperway-system/routesnapshots"
SNAPSHOT_SHARED = ("deploy/filters-crd.yaml", "deploy/gateway-api-snapshot-crd.yaml",
                   "deploy/gateway-api-snapshot-shared-rbac.yaml", "deploy/gateway-api-snapshot-shared.yaml")
SNAPSHOT_DEPLOYED = ("deploy/filters-crd.yaml", "deploy/gateway-api-snapshot-crd.yaml",
                     "deploy/gateway-api-snapshot-deployed-rbac.yaml", "deploy/gateway-api-snapshot-deployed.yaml")
NODE = "10.77.0.1"  # of the cluster's network: a backend there needs no Pod
PORT, SECURE_PORT = 8080, 8443  # of a Pod in the merged shape, for the Gateways' ports 80 and 443
ADMIN = 9180  # of a Pod

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  gatewayClassName: hyperway
  listeners: [{name: http, port: 80, protocol: HTTP}]
"""


def install(case, manifests=MERGED, deployment="hyperway", **more):
    """A cluster with hyperway in the merged shape (or by other manifests) and the Gateway, for a test class; its
    thread is in the cluster's network. `deployment` has to be available first; `more` is that of harness.Cluster."""
    cluster = case.enterClassContext(harness.Cluster(apply=manifests, **more))
    cluster.enter_network()
    case.addClassCleanup(cluster.leave_network)
    cluster.wait("deployment/" + deployment, "Available", namespace="hyperway-system")
    cluster.apply(GATEWAY)
    cluster.wait("gateway/shop", "Programmed")
    return cluster


def pods(cluster, path=PODS):
    """{name: address} of the Pods, hyperway's or those at a path, that are not ending."""
    return {p["metadata"]["name"]: p["status"].get("podIP") for p in cluster.get(path)["items"]
            if "deletionTimestamp" not in p["metadata"]}


def _route(name, rule, namespace="default"):
    parent = {"name": "shop", **({"namespace": "default"} if namespace != "default" else {})}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"parentRefs": [parent], "hostnames": [name + ".example"], "rules": [rule]}}


def redirect(name, namespace="default"):
    """An HTTPRoute that answers under NAME.example by itself, with 302."""
    return _route(name, {"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 302}}]}, namespace)


def forward(name, route_namespace="default", **backend):
    """An HTTPRoute that leads NAME.example to the Service of the same name; `backend` adds to the reference."""
    return _route(name, {"backendRefs": [{"name": name, "port": 80, **backend}]}, route_namespace)


def service(name, selector=None, namespace="default"):
    """A Service; its EndpointSlice is the controller's if it has a selector, else the test's."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"port": 80, "targetPort": 8000}], **({"selector": selector} if selector else {})}}


def endpoint_slice(service_name, port, address=NODE, namespace="default"):
    """An EndpointSlice of a Service, with one endpoint."""
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": service_name, "namespace": namespace,
                         "labels": {"kubernetes.io/service-name": service_name}},
            "ports": [{"name": "", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}]}


def ask(address, host="", path="/", port=PORT, timeout=3):
    """(status, body) of a GET on a connection of its own."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Backend:
    """A server on the node that answers each GET with "hello", within `with`; `port` is its port."""

    class _Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body go in two writes. With Nagle's algorithm the body waits for the head to be acknowledged, which
        # Linux delays by 40 ms where requests come all the time: they would count as ours.
        disable_nagle_algorithm = True

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_):
            pass

    def __enter__(self):
        self._server = http.server.ThreadingHTTPServer((NODE, 0), self._Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class Asker:
    """One kept connection that asks without costing much."""

    def __init__(self, address, port=PORT):
        self._address = address, port
        self._socket = None

    def ask(self, host):
        """(status, body) of a GET, or (0, why) if there was no answer."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=5)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            head, _, body = self._more(b"").partition(b"\r\n\r\n")
            fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
            while len(body) < int(fields.get(b"content-length", 0)):
                body += self._more(b"\r\n\r\n")
            if b"close" in fields.get(b"connection", b""):
                self.close()
            return int(head.split(b" ", 2)[1]), body.decode()
        except OSError as error:
            self.close()
            return 0, repr(error)

    def _more(self, seen):
        while True:
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionError("closed without an answer")
            seen += piece
            if b"\r\n\r\n" in seen:
                return seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def conditions(status):
    """{type: (status, reason)} of what has conditions."""
    return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
