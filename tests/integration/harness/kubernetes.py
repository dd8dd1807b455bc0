# SPDX-License-Identifier: Apache-2.0
"""A small Kubernetes API server: discovery, lists by pages, watches, statuses and Leases over HTTP/2 and TLS,
with faults on demand. Objects are dicts; versions count up over all of them, as etcd's do."""
import json
import os
import socket
import ssl
import tempfile
import threading
import urllib.parse

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from . import tls

GATEWAY = "gateway.networking.k8s.io/v1"
# group/version -> {resource: kind}
SERVED = {
    GATEWAY: {"gatewayclasses": "GatewayClass", "gateways": "Gateway", "httproutes": "HTTPRoute",
              "grpcroutes": "GRPCRoute", "tlsroutes": "TLSRoute", "tcproutes": "TCPRoute", "udproutes": "UDPRoute",
              "referencegrants": "ReferenceGrant", "backendtlspolicies": "BackendTLSPolicy"},
    "v1": {"services": "Service", "namespaces": "Namespace", "secrets": "Secret", "configmaps": "ConfigMap",
           "pods": "Pod"},
    "certificates.k8s.io/v1": {"clustertrustbundles": "ClusterTrustBundle"},
    "discovery.k8s.io/v1": {"endpointslices": "EndpointSlice"},
    "hyperway.arloor.dev/v1alpha1": {"filters": "Filter", "routesnapshots": "RouteSnapshot"},
    "coordination.k8s.io/v1": {"leases": "Lease"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
}
PLURAL = {kind: (group, resource) for group, kinds in SERVED.items() for resource, kind in kinds.items()}


def metadata_of(item):
    """What a server sends of an object to who asks for its metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


class _Watch:
    def __init__(self, connection, stream, resource, matches, partial):
        self.connection, self.stream, self.resource, self.matches = connection, stream, resource, matches
        self.partial = partial  # metadata is all that it wants


class _Connection(threading.Thread):
    """One client; frames are read here, and written by whoever has something to say."""

    def __init__(self, server, sock):
        super().__init__(daemon=True)
        self.server, self.sock = server, sock
        self.lock = threading.Lock()
        self.frozen = False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: server.streams})
        self.requests, self.unsent = {}, {}

    def run(self):
        try:
            self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
            with self.lock:
                self.h2.initiate_connection()
                self.flush()
            while data := self.sock.recv(65536):
                while self.frozen and not self.server.closed.wait(0.01):
                    pass
                with self.lock:
                    events = self.h2.receive_data(data)
                    self.flush()
                for event in events:
                    self.take(event)
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.close()

    def close(self):
        self.server.forget(self)
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def flush(self):
        if not self.frozen:
            self.sock.sendall(self.h2.data_to_send())

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.requests[event.stream_id] = (dict(event.headers), bytearray())
        elif isinstance(event, h2.events.DataReceived):
            self.requests[event.stream_id][1].extend(event.data)
            with self.lock:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.flush()
        elif isinstance(event, h2.events.StreamReset):
            self.server.forget(self, event.stream_id)
        elif isinstance(event, h2.events.WindowUpdated):
            with self.lock:
                for stream in list(self.unsent):
                    self.push(stream)
                self.flush()
        if isinstance(event, h2.events.StreamEnded):
            headers, body = self.requests.pop(event.stream_id)
            self.server.answer(self, event.stream_id, headers, bytes(body))

    def push(self, stream):
        data, end = self.unsent.pop(stream)
        while data:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
            if room <= 0:
                self.unsent[stream] = (data, end)
                return
            self.h2.send_data(stream, data[:room])
            data = data[room:]
        if end:
            self.h2.end_stream(stream)

    def send(self, stream, data=b"", end=False, head=None):
        """Head and data of an answer; data that finds no room waits for it."""
        try:
            with self.lock:
                if head:
                    self.h2.send_headers(stream, head)
                waiting, ends = self.unsent.pop(stream, (b"", False))
                self.unsent[stream] = (waiting + data, ends or end)
                self.push(stream)
                self.flush()
        except (OSError, h2.exceptions.ProtocolError):
            self.server.forget(self)


class Kubernetes:
    """A context manager. `config` is what k8s_source's settings need; `requests` what was asked so far."""

    def __init__(self, token="one"):
        self.folder = tempfile.TemporaryDirectory()
        certificate, key = tls.self_signed("localhost")
        self.kubeconfig = os.path.join(self.folder.name, "kubeconfig")
        self.token_file = os.path.join(self.folder.name, "token")
        for name, data in (("tls.crt", certificate), ("tls.key", key)):
            with open(os.path.join(self.folder.name, name), "wb") as file:
                file.write(data)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*(os.path.join(self.folder.name, n) for n in ("tls.crt", "tls.key")))
        self.context.set_alpn_protocols(["h2"])
        self.lock = threading.RLock()
        self.objects, self.history = {}, []  # (resource, key) -> object; (version, type, resource, object)
        self.version, self.oldest = 100, 0
        self.served = {group: dict(kinds) for group, kinds in SERVED.items()}
        self.token = token
        self.watches, self.connections, self.requests = [], [], []
        self.faults = []  # functions (method, path) -> None, or (status, body, headers) to answer instead
        self.closed = threading.Event()
        self.rotate(token)
        with open(self.kubeconfig, "w", encoding="utf-8") as file:
            json.dump({"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                       "users": [{"name": "u", "user": {"tokenFile": "token"}}], "clusters": []}, file)
        self.listener, self.port = None, None

    def __enter__(self):
        self.listen()
        with open(self.kubeconfig, encoding="utf-8") as file:
            document = json.load(file)
        document["clusters"] = [{"name": "c", "cluster": {
            "server": f"https://127.0.0.1:{self.port}", "certificate-authority": "tls.crt",
            "tls-server-name": "localhost"}}]
        with open(self.kubeconfig, "w", encoding="utf-8") as file:
            json.dump(document, file)
        return self

    def __exit__(self, *_):
        self.closed.set()
        self.down()
        self.folder.cleanup()

    # ---- the process

    def listen(self):
        """Begins to accept; on the same port as before, if there was one."""
        self.listener = socket.create_server(("127.0.0.1", self.port or 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        """Takes connections until the listener is closed."""
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            connection = _Connection(self, sock)
            with self.lock:
                self.connections.append(connection)
            connection.start()

    def down(self):
        """Ends as a killed process does."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.cut()

    def cut(self):
        """Ends every connection."""
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def freeze(self):
        """Connections of now stay open, and nothing comes through any more: half-open."""
        with self.lock:
            for connection in self.connections:
                connection.frozen = True

    def forget(self, connection, stream=None):
        """A connection or one of its streams is over."""
        with self.lock:
            self.watches = [w for w in self.watches
                            if w.connection is not connection or stream not in (None, w.stream)]
            if stream is None and connection in self.connections:
                self.connections.remove(connection)

    def rotate(self, token):
        """Another token is right from now on; the file has it."""
        self.token = token
        with open(self.token_file + ".new", "w", encoding="utf-8") as file:
            file.write(token)
        os.rename(self.token_file + ".new", self.token_file)

    # ---- objects

    @staticmethod
    def place(item):
        """(resource, "namespace/name") of an object."""
        return PLURAL[item["kind"]][1], f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"

    def apply(self, *items, told=True):
        """Makes or replaces objects. Not `told`: watches miss it."""
        for item in items:
            for one in item if isinstance(item, (list, tuple)) else [item]:
                resource, key = self.place(one)
                with self.lock:
                    before = self.objects.get((resource, key))
                    copy = json.loads(json.dumps(one))
                    copy["apiVersion"] = PLURAL[copy["kind"]][0]
                    if before and "status" in before:
                        copy.setdefault("status", before["status"])
                    self.store(resource, key, copy, told)

    def store(self, resource, key, item, told=True):
        """Gives an object its next version, and tells it."""
        before = self.objects.get((resource, key))
        self.version += 1
        meta = item["metadata"]
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", key)
        same = before is not None and before.get("spec") == item.get("spec")
        meta["generation"] = (before["metadata"]["generation"] + (not same)) if before else 1
        self.objects[resource, key] = item
        self.tell("MODIFIED" if before else "ADDED", resource, item, told)

    def delete(self, item, told=True):
        """Removes an object."""
        resource, key = self.place(item)
        with self.lock:
            gone = self.objects.pop((resource, key))
            self.version += 1
            gone["metadata"]["resourceVersion"] = str(self.version)
            self.tell("DELETED", resource, gone, told)

    def tell(self, kind, resource, item, told=True):
        """An event, to all who watch."""
        item = json.loads(json.dumps(item))
        if told:
            self.history.append((self.version, kind, resource, item))
            for watch in list(self.watches):
                if watch.resource == resource and watch.matches(item):
                    self.send_line(watch, {"type": kind, "object": item})

    def bookmark(self):
        """A bookmark to all who watch."""
        with self.lock:
            for watch in list(self.watches):
                self.send_line(watch, {"type": "BOOKMARK", "object": {
                    "metadata": {"resourceVersion": str(self.version)}}})

    @staticmethod
    def send_line(watch, line):
        """One line of a watch."""
        if watch.partial and line["type"] in ("ADDED", "MODIFIED", "DELETED"):
            line = {**line, "object": metadata_of(line["object"])}
        watch.connection.send(watch.stream, json.dumps(line).encode() + b"\n")

    def send_raw(self, resource, data, end=False):
        """Bytes into every watch of a resource."""
        with self.lock:
            for watch in [w for w in self.watches if w.resource == resource]:
                watch.connection.send(watch.stream, data, end)

    def compact(self):
        """Old versions are forgotten: who resumes from one gets 410."""
        with self.lock:
            self.oldest = self.version
            self.history = []

    def status(self, kind, name, namespace="default"):
        """The status of an object, as it was written."""
        with self.lock:
            return self.objects[PLURAL[kind][1], f"{namespace}/{name}"].get("status", {})

    def asked(self, method, part=""):
        """How often something was asked."""
        with self.lock:
            return sum(1 for m, path in self.requests if m == method and part in path)

    # ---- requests

    def answer(self, connection, stream, headers, body):
        """One request."""
        method, url = headers[":method"], urllib.parse.urlsplit(headers[":path"])
        query = dict(urllib.parse.parse_qsl(url.query))
        with self.lock:
            self.requests.append((method, headers[":path"]))
            if headers.get("authorization") != f"Bearer {self.token}":
                return self.reply(connection, stream, 401, {"kind": "Status", "reason": "Unauthorized"})
            for fault in list(self.faults):
                instead = fault(method, headers[":path"])
                if instead:
                    return self.reply(connection, stream, *instead)
            self.partial = "as=PartialObjectMetadata" in headers.get("accept", "")
            applies = headers.get("content-type", "").startswith("application/apply-patch")
            return self.route(connection, stream, "APPLY" if applies else method, url.path, query,
                              json.loads(body) if body else None)

    def reply(self, connection, stream, status, body, headers=()):
        """A whole answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.send(stream, data, True, [(":status", str(status)), ("content-type", "application/json"), *headers])

    def route(self, connection, stream, method, path, query, body):
        """Finds what a path means."""
        parts = path.strip("/").split("/")
        group = parts[1] if parts[0] == "api" else "/".join(parts[1:3])
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if group == "authorization.k8s.io/v1":
            return self.reply(connection, stream, 201, {"status": {"allowed": False}})
        kinds = self.served.get(group)
        if kinds is None:
            return self.missing(connection, stream)
        if not rest:
            return self.reply(connection, stream, 200, {"kind": "APIResourceList", "resources": [
                {"name": r, "kind": k} for r, k in kinds.items()]})
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        if rest[0] not in kinds:
            return self.missing(connection, stream)
        if len(rest) > 1:
            if method == "APPLY":
                return self.server_side_apply(connection, stream, rest[0], f"{namespace}/{rest[1]}", rest[2:], body)
            return self.one(connection, stream, method, rest[0], f"{namespace}/{rest[1]}", body)
        if method == "POST":
            return self.create(connection, stream, rest[0], f"{namespace}/{body['metadata']['name']}", body)
        name = query.get("fieldSelector", "").removeprefix("metadata.name=")
        label, _, value = query.get("labelSelector", "").partition("=")

        def matches(item):
            meta = item["metadata"]
            return (namespace in ("", meta.get("namespace", "")) and name in ("", meta["name"])
                    and (not label or meta.get("labels", {}).get(label) == value))
        if "watch" in query:
            return self.watch(connection, stream, rest[0], matches, int(query["resourceVersion"]))
        return self.list(connection, stream, rest[0], matches, query)

    def missing(self, connection, stream):
        """404, as a Status."""
        self.reply(connection, stream, 404, {"kind": "Status", "reason": "NotFound", "message": "not found"})

    def list(self, connection, stream, resource, matches, query):
        """A page of a list, in the order of names."""
        items = [item for (r, _), item in sorted(self.objects.items()) if r == resource and matches(item)]
        start = int(query.get("continue", "0"))
        end = start + min(int(query["limit"]), self.page)
        meta = {"resourceVersion": str(self.version), "continue": str(end) if end < len(items) else ""}
        items = items[start:end]
        self.reply(connection, stream, 200, {"kind": "List", "apiVersion": "v1", "metadata": meta, "items": [
            metadata_of(item) for item in items] if self.partial else items})

    partial = False  # what the request under way wants
    page = 500
    streams = 100  # that a connection may have at once; more end it

    def watch(self, connection, stream, resource, matches, since):
        """A watch: what happened since, and then what happens."""
        if since < self.oldest:
            return self.reply(connection, stream, 410, {"kind": "Status", "code": 410, "reason": "Expired"})
        watch = _Watch(connection, stream, resource, matches, self.partial)
        connection.send(stream, head=[(":status", "200"), ("content-type", "application/json")])
        for version, kind, of, item in self.history:
            if version > since and of == resource and matches(item):
                self.send_line(watch, {"type": kind, "object": item})
        self.watches.append(watch)
        return None

    def create(self, connection, stream, resource, key, body):
        """POST."""
        if (resource, key) in self.objects:
            return self.reply(connection, stream, 409, {"kind": "Status", "reason": "AlreadyExists"})
        if causes := self.wrong(resource, body):
            return self.invalid(connection, stream, causes)
        self.made += 1
        body["metadata"].setdefault("uid", f"{key}-{self.made}")
        self.store(resource, key, body)
        return self.reply(connection, stream, 201, metadata_of(body) if self.partial else body)

    def invalid(self, connection, stream, causes):
        """422, as a Status."""
        self.reply(connection, stream, 422, {
            "kind": "Status", "reason": "Invalid", "message": "is invalid", "details": {"causes": causes}})

    def one(self, connection, stream, method, resource, key, body):
        """GET, PUT and PATCH of an object; of its status where the path says so."""
        item = self.objects.get((resource, key))
        if item is None:
            return self.missing(connection, stream)
        if method == "GET":
            return self.reply(connection, stream, 200, item)
        if method == "DELETE":
            self.delete(item)
            return self.reply(connection, stream, 200, {"kind": "Status", "status": "Success"})
        if body["metadata"].get("resourceVersion") not in (None, item["metadata"]["resourceVersion"]):
            return self.reply(connection, stream, 409, {"kind": "Status", "reason": "Conflict"})
        changed = json.loads(json.dumps(item))
        if method == "PATCH":
            if causes := self.wrong(resource, body):
                return self.invalid(connection, stream, causes)
            for member in ("spec", "status"):
                if member in body:
                    changed.setdefault(member, {}).update(body[member])
        else:
            changed["spec"] = body["spec"]
        self.store(resource, key, changed)
        return self.reply(connection, stream, 200, changed)

    def server_side_apply(self, connection, stream, resource, key, subresource, body):
        """PATCH by apply: makes what is not there; of lists, data planes alone are merged, by their names."""
        item = self.objects.get((resource, key))
        if item is None and subresource:
            return self.missing(connection, stream)
        causes = [] if subresource else self.wrong(resource, body)
        if causes:
            return self.invalid(connection, stream, causes)
        changed = json.loads(json.dumps(item or {"apiVersion": body["apiVersion"], "kind": body["kind"],
                                                 "metadata": dict(body["metadata"])}))
        if subresource:
            status = changed.setdefault("status", {})
            planes = {plane["name"]: plane for plane in status.get("dataPlanes", [])}
            planes.update({plane["name"]: plane for plane in body["status"].get("dataPlanes", [])})
            status.update(body["status"])
            status["dataPlanes"] = list(planes.values())
        else:
            changed.update({key: value for key, value in body.items() if key != "metadata"})
            if item is None:
                self.made += 1
                changed["metadata"]["uid"] = f"{key}-{self.made}"
        self.store(resource, key, changed)
        return self.reply(connection, stream, 200, changed)

    made = 0

    @staticmethod
    def wrong(resource, body):
        """A schema: causes, as in a Status, why an applied object is refused."""
        return []
