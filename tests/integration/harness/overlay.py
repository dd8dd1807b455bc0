# SPDX-License-Identifier: Apache-2.0
"""What a lone example manifest lacks before it can serve: class, Gateway, Services, Secrets, labels."""
import copy

from . import manifests, tls
from .backend import Backend

CLASS = "overlay"


def _namespace(item):
    return item["metadata"].get("namespace", "default")


class Overlay:
    """Completes the documents of one file. `objects` are then what to serve, `backends` by Service."""

    def __init__(self, documents):
        self.documents = [copy.deepcopy(d) for d in documents if d]
        self.added, self.backends = [], {}
        self.gateways = {(_namespace(d), d["metadata"]["name"]): d for d in self._of("Gateway")}
        self._classes()
        for route in self._of("HTTPRoute"):
            self._parents(route)
        if not self._of("HTTPRoute"):
            for gateway in self._of("Gateway"):
                self._route_for(gateway)
        for gateway in self.gateways.values():
            self._complete(gateway)
        for route in self._of("HTTPRoute"):
            self._services(route)

    @property
    def objects(self):
        """The file's own documents and what was added."""
        return self.documents + self.added

    def close(self):
        """Ends the backends."""
        for backend in self.backends.values():
            backend.close()

    def _of(self, kind):
        return [d for d in self.objects if d["kind"] == kind]

    def _has(self, kind, namespace, name):
        return any(_namespace(d) == namespace and d["metadata"]["name"] == name for d in self._of(kind))

    def _classes(self):
        for item in self._of("GatewayClass"):
            item["spec"] = {"controllerName": manifests.CONTROLLER}
        names = {d["metadata"]["name"] for d in self._of("GatewayClass")}
        for gateway in self._of("Gateway"):
            name = gateway["spec"]["gatewayClassName"]
            if name not in names:
                names.add(name)
                self.added.append(manifests.gateway_class(name))

    def _parents(self, route):
        """A Gateway for each parentRef that names none of this file, and a parentRef where there is none."""
        refs = route["spec"].setdefault("parentRefs", [{"name": "overlay"}])
        for ref in refs:
            if ref.get("kind", "Gateway") != "Gateway":
                continue
            where = (ref.get("namespace", _namespace(route)), ref["name"])
            listeners = [manifests.listener("http", routes={"namespaces": {"from": "All"}}),
                         manifests.listener("https", 443, "HTTPS", None, ["overlay-cert"],
                                            {"namespaces": {"from": "All"}})]
            if where not in self.gateways:
                made = manifests.gateway(listeners, where[1], where[0], CLASS)
                self.gateways[where] = made
                self.added.append(made)
                if not self._has("GatewayClass", "default", CLASS):
                    self.added.append(manifests.gateway_class(CLASS))

    def _route_for(self, gateway):
        """A Gateway without a route gets one, in a namespace that its listeners admit."""
        namespace = _namespace(gateway)
        for listener in gateway["spec"]["listeners"]:
            admits = listener.get("allowedRoutes", {}).get("namespaces", {})
            if admits.get("from") == "Selector":
                labels = admits["selector"]["matchLabels"]
                namespace = labels.get("kubernetes.io/metadata.name", "overlay-ns")
                if not self._has("Namespace", "default", namespace):
                    self.added.append({"apiVersion": "v1", "kind": "Namespace",
                                       "metadata": {"name": namespace, "labels": dict(labels)}})
        parent = {"name": gateway["metadata"]["name"], "namespace": _namespace(gateway)}
        self.added.append(manifests.route("overlay", [manifests.rule(["overlay-svc"])], parents=[parent],
                                          namespace=namespace))

    def _complete(self, gateway):
        """Secrets, and labels of namespaces, that the listeners ask for."""
        for listener in gateway["spec"]["listeners"]:
            for ref in listener.get("tls", {}).get("certificateRefs", []):
                where = ref.get("namespace", _namespace(gateway))
                if not self._has("Secret", where, ref["name"]):
                    names = [listener.get("hostname", "overlay.example")]
                    self.added.append(manifests.secret(ref["name"], *tls.self_signed(*names), where))
            selector = listener.get("allowedRoutes", {}).get("namespaces", {}).get("selector", {})
            for route in self._of("HTTPRoute"):
                if selector and not self._has("Namespace", "default", _namespace(route)):
                    self.added.append({"apiVersion": "v1", "kind": "Namespace",
                                       "metadata": {"name": _namespace(route),
                                                    "labels": dict(selector.get("matchLabels", {}))}})

    def _services(self, route):
        refs = []
        for rule in route["spec"].get("rules", []):
            refs += rule.get("backendRefs", [])
            refs += [f["requestMirror"]["backendRef"] for f in rule.get("filters", []) if "requestMirror" in f]
        for ref in refs:
            if ref.get("kind", "Service") != "Service":
                continue
            where = ref.get("namespace", _namespace(route))
            if self._has("Service", where, ref["name"]):
                continue
            backend = self.backends[ref["name"]] = Backend(ref["name"])
            self.added.append(manifests.service(ref["name"], where, ref["port"]))
            self.added += manifests.slices(ref["name"], [backend], where)
