# SPDX-License-Identifier: Apache-2.0
"""A Spec as Gateway API manifests, as a file source reads them."""
import base64
import json
import os
import shutil

from paths import put

NAMESPACE, SERVICE = "default", "backend"
CONTROLLER = "hyperway.arloor.dev/gateway-controller"
GATEWAY_API = "gateway.networking.k8s.io/v1"


def meta(name, **more):
    return {"name": name, "namespace": NAMESPACE, **more}


def listeners(spec):
    if spec.flow == "tcp":
        return [{"name": "flow", "port": spec.port, "protocol": "TCP"}]
    if spec.flow == "pass":
        return [{"name": "flow", "port": spec.tls_port, "protocol": "TLS", "hostname": "*.bench.test",
                 "tls": {"mode": "Passthrough"}}]
    certificate = {"kind": "Secret", "name": "bench-cert"}
    return [
        {"name": "http", "port": spec.port, "protocol": "HTTP"},
        {"name": "https", "port": spec.tls_port, "protocol": "HTTPS",
         "tls": {"mode": "Terminate", "certificateRefs": [certificate]}}]


def cluster(spec):
    """Everything but the routes."""
    def pem(path):
        with open(path, "rb") as file:
            return base64.b64encode(file.read()).decode()
    backend = spec.tls_backend if spec.flow == "pass" else spec.backend
    port = {"name": "app", "protocol": "TCP", "port": backend}
    return [
        {"apiVersion": "v1", "kind": "Namespace",
         "metadata": {"name": NAMESPACE, "labels": {"kubernetes.io/metadata.name": NAMESPACE}}},
        {"apiVersion": GATEWAY_API, "kind": "GatewayClass",
         "metadata": {"name": "hyperway", "generation": 1}, "spec": {"controllerName": CONTROLLER}},
        {"apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": meta("gw", generation=1),
         "spec": {"gatewayClassName": "hyperway", "listeners": listeners(spec)}},
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
         "metadata": meta("bench-cert"),
         "data": {"tls.crt": pem(spec.cert), "tls.key": pem(spec.key)}},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta(SERVICE),
         "spec": {"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "type": "ClusterIP",
                  "ports": [{**port, "targetPort": backend}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
         "metadata": meta(SERVICE + "-1", labels={"kubernetes.io/service-name": SERVICE}),
         "addressType": "IPv4", "ports": [port],
         "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]},
    ]


def http_route(index, route, backend):
    """One Route as an HTTPRoute."""
    def values(fields):
        return [{"name": name, "value": value} for name, value in fields.items()]
    match = {"path": {"type": "PathPrefix", "value": route.prefix.rstrip("/") or "/"}}
    if route.header:
        match["headers"] = [
            {"type": "Exact", "name": route.header[0], "value": route.header[1]}]
    filters = []
    if route.add or route.remove:
        change = {}
        if route.add:
            change["set"] = values(route.add)
        if route.remove:
            change["remove"] = list(route.remove)
        filters.append({"type": "RequestHeaderModifier", "requestHeaderModifier": change})
    if route.radd:
        filters.append({"type": "ResponseHeaderModifier",
                        "responseHeaderModifier": {"set": values(route.radd)}})
    if route.rewrite:
        prefix = {"type": "ReplacePrefixMatch",
                  "replacePrefixMatch": route.rewrite.rstrip("/") or "/"}
        filters.append({"type": "URLRewrite", "urlRewrite": {"path": prefix}})
    rule = {"matches": [match], "backendRefs": [{"name": SERVICE, "port": backend}]}
    if filters:
        rule["filters"] = filters
    spec = {"parentRefs": [{"name": "gw"}], "rules": [rule]}
    if route.host:
        spec["hostnames"] = [route.host]
    return {"apiVersion": GATEWAY_API, "kind": "HTTPRoute",
            "metadata": meta(f"r{index}", generation=1), "spec": spec}


def flow_route(spec):
    """The route of a Spec that is about a flow."""
    tls = spec.flow == "pass"
    route = {"parentRefs": [{"name": "gw"}],
             "rules": [{"backendRefs": [{"name": SERVICE, "port": spec.tls_backend if tls else spec.backend}]}]}
    if tls:
        route["hostnames"] = ["*.bench.test"]
    return {"apiVersion": GATEWAY_API, "kind": "TLSRoute" if tls else "TCPRoute",
            "metadata": meta("flow", generation=1), "spec": route}


def yaml(value, indent=0):
    """Block YAML of plain dicts, lists and scalars; strings are always quoted."""
    pad = "  " * indent

    def leaf(item):
        return not isinstance(item, (dict, list)) or not item
    if isinstance(value, dict):
        return "".join(f"{pad}{name}:" + (f" {json.dumps(item)}\n" if leaf(item)
                                          else "\n" + yaml(item, indent + 1))
                       for name, item in value.items())
    return "".join(f"{pad}- " + (json.dumps(item) + "\n" if leaf(item)
                                 else yaml(item, indent + 1).lstrip()) for item in value)


def write_manifests(spec, folder):
    """Writes <folder>/manifests/<kind>.yaml, one file per kind; gives the directory."""
    out = os.path.join(folder, "manifests")
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    kinds = {}
    routes = ([flow_route(spec)] if spec.flow else
              [http_route(i, route, spec.backend) for i, route in enumerate(spec.routes)])
    for obj in cluster(spec) + routes:
        kinds.setdefault(obj["kind"].lower(), []).append(yaml(obj))
    for kind, documents in kinds.items():
        put(out, kind + ".yaml", "---\n".join(documents))
    return out
