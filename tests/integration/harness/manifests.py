# SPDX-License-Identifier: Apache-2.0
"""Gateway API and Kubernetes objects as dicts, as short as the tests need them."""
import base64

CONTROLLER = "hyperway.arloor.dev/gateway-controller"
GATEWAY_GROUP = "gateway.networking.k8s.io"
API = f"{GATEWAY_GROUP}/v1"


def _meta(name, namespace=None, **extra):
    meta = {"name": name, **extra}
    if namespace:
        meta["namespace"] = namespace
    return meta


def gateway_class(name="hyperway", controller=CONTROLLER):
    """A GatewayClass of ours."""
    return {"apiVersion": API, "kind": "GatewayClass", "metadata": _meta(name),
            "spec": {"controllerName": controller}}


def listener(name="http", port=80, protocol="HTTP", hostname=None, certificates=(), routes=None):
    """One listener; `certificates` are names of Secrets, or (namespace, name)."""
    out = {"name": name, "port": port, "protocol": protocol}
    if hostname:
        out["hostname"] = hostname
    if certificates:
        refs = [{"name": c} if isinstance(c, str) else {"namespace": c[0], "name": c[1]}
                for c in certificates]
        out["tls"] = {"mode": "Terminate", "certificateRefs": refs}
    if routes:
        out["allowedRoutes"] = routes
    return out


def gateway(listeners=None, name="gw", namespace="default", class_name="hyperway", **spec):
    """A Gateway; one HTTP listener on port 80 by default."""
    return {"apiVersion": API, "kind": "Gateway", "metadata": _meta(name, namespace),
            "spec": {"gatewayClassName": class_name, "listeners": listeners or [listener()], **spec}}


def listener_set(listeners, name="set", namespace="default", parent=None, created=None):
    """A ListenerSet of Gateway default/gw, unless told otherwise."""
    meta = _meta(name, namespace)
    if created:
        meta["creationTimestamp"] = created
    return {"apiVersion": API, "kind": "ListenerSet", "metadata": meta,
            "spec": {"parentRef": parent or {"name": "gw", "namespace": "default"}, "listeners": listeners}}


def backend_ref(name="app", port=8080, weight=None, namespace=None, filters=None):
    """A backendRef to a Service."""
    out = {"name": name, "port": port}
    if weight is not None:
        out["weight"] = weight
    if namespace:
        out["namespace"] = namespace
    if filters:
        out["filters"] = filters
    return out


def path_match(value, kind="PathPrefix"):
    """{"path": ...} of a match."""
    return {"path": {"type": kind, "value": value}}


def rule(backends=("app",), matches=None, filters=None, **extra):
    """One rule; `backends` are names or backendRefs."""
    out = dict(extra)
    if backends:
        out["backendRefs"] = [backend_ref(b) if isinstance(b, str) else b for b in backends]
    if matches:
        out["matches"] = matches
    if filters:
        out["filters"] = filters
    return out


def route(name="route", rules=None, hostnames=(), namespace="default", parents=None, created=None):
    """An HTTPRoute, attached to Gateway gw unless told otherwise."""
    meta = _meta(name, namespace)
    if created:
        meta["creationTimestamp"] = created
    spec = {"parentRefs": parents or [{"name": "gw"}], "rules": rules or [rule()]}
    if hostnames:
        spec["hostnames"] = list(hostnames)
    return {"apiVersion": API, "kind": "HTTPRoute", "metadata": meta, "spec": spec}


def service(name="app", namespace="default", port=8080, **spec):
    """A Service with one port."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(name, namespace),
            "spec": {"ports": [{"port": port, "protocol": "TCP"}], "selector": {"app": name}, **spec}}


def endpoints(name="app", addresses=(), namespace="default", ready=True):
    """An EndpointSlice for a Service; `addresses` are (ip, port), all with one port per slice: give
    several ports as several slices with slices()."""
    ports = {port for _, port in addresses}
    assert len(ports) <= 1, "one port per slice: use slices()"
    family = "IPv6" if any(":" in ip for ip, _ in addresses) else "IPv4"
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": _meta(f"{name}-{ports.pop() if ports else 0}", namespace,
                              labels={"kubernetes.io/service-name": name}),
            "addressType": family,
            "ports": [{"port": addresses[0][1], "protocol": "TCP"}] if addresses else [],
            "endpoints": [{"addresses": [ip], "conditions": {"ready": ready}} for ip, _ in addresses]}


def slices(name, backends, namespace="default"):
    """One EndpointSlice for each backend (things with host and port)."""
    return [endpoints(name, [(b.host, b.port)], namespace) for b in backends]


def app(name, *backends, namespace="default"):
    """A Service with the slices of its backends."""
    return [service(name, namespace), *slices(name, backends, namespace)]


def secret(name, certificate, key, namespace="default"):
    """A TLS Secret of PEM bytes."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _meta(name, namespace),
            "type": "kubernetes.io/tls",
            "data": {"tls.crt": base64.b64encode(certificate).decode(),
                     "tls.key": base64.b64encode(key).decode()}}


def anchors(name, *pems, namespace="default"):
    """A ConfigMap of trust anchors, PEM bytes."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(name, namespace),
            "data": {"ca.crt": b"".join(pems).decode()}}


def trust_bundle(name, *pems):
    """A ClusterTrustBundle of PEM bytes."""
    return {"apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle", "metadata": _meta(name),
            "spec": {"trustBundle": b"".join(pems).decode()}}


def config_map_ref(name, namespace=None):
    """A caCertificateRef."""
    out = {"group": "", "kind": "ConfigMap", "name": name}
    if namespace:
        out["namespace"] = namespace
    return out


def tls_policy(name="policy", service_name="app", hostname="app.example", authorities=("ca",), names=(),
               section=None, namespace="default", created=None, **validation):
    """A BackendTLSPolicy for a Service; `authorities` are names of ConfigMaps."""
    target = {"group": "", "kind": "Service", "name": service_name}
    if section:
        target["sectionName"] = section
    meta = _meta(name, namespace)
    if created:
        meta["creationTimestamp"] = created
    validation["hostname"] = hostname
    if authorities:
        validation["caCertificateRefs"] = [config_map_ref(authority) for authority in authorities]
    if names:
        validation["subjectAltNames"] = list(names)
    return {"apiVersion": API, "kind": "BackendTLSPolicy", "metadata": meta,
            "spec": {"targetRefs": [target], "validation": validation}}


def grant(name, from_kind, from_namespace, to_kind, namespace, to_name=None,
          from_group=GATEWAY_GROUP):
    """A ReferenceGrant in `namespace` for core objects of `to_kind`."""
    to = {"group": "", "kind": to_kind}
    if to_name:
        to["name"] = to_name
    return {"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
            "metadata": _meta(name, namespace),
            "spec": {"from": [{"group": from_group, "kind": from_kind,
                               "namespace": from_namespace}], "to": [to]}}


def filter_object(name, plugin, config, namespace="default"):
    """A Filter of ours, for ExtensionRef."""
    return {"apiVersion": "hyperway.arloor.dev/v1alpha1", "kind": "Filter",
            "metadata": _meta(name, namespace), "spec": {"plugin": plugin, "config": config}}


def extension(name):
    """A filter entry that refers to a Filter of ours."""
    return {"type": "ExtensionRef",
            "extensionRef": {"group": "hyperway.arloor.dev", "kind": "Filter", "name": name}}


def opaque_secret(name, values, namespace="default"):
    """A Secret of text values."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _meta(name, namespace),
            "type": "Opaque", "stringData": dict(values)}
