# SPDX-License-Identifier: Apache-2.0
"""Mode A: a controller writes a RouteSnapshot, data planes serve it. The API server is harness/kubernetes.py;
tests/cluster has a real one."""
import json
import os
import socket
import unittest

from harness import gateway as gw
from harness import tls
from harness.backend import Backend, answer
from harness.case import Case, until
from harness.client import ask
from harness.ext_authz import auth
from harness.kubernetes import Kubernetes
from harness.manifests import app, backend_ref, gateway, gateway_class, listener, route, rule, secret, service
from harness.ports import free_port

SNAPSHOT = "/routesnapshots/snap"


class Snapshots(Case):
    limit_seconds = 60

    def begin(self, *objects, name="a.example.com"):
        """A cluster with a route to "app" and these objects."""
        self.cluster = self.use(Kubernetes())
        self.port = free_port()
        self.cluster.apply(gateway_class(), gateway([listener(port=self.port)]),
                           *app("app", self.use(Backend("app"))), route(hostnames=[name]), *objects)

    def controller(self, sink=None, **kwargs):
        """A controller; its own log is in .logs()."""
        config = {"kubeconfig": self.cluster.kubeconfig}
        settings = {"sources": [{"plugin": "k8s_source", "config": config}],
                    "sinks": [{"plugin": "snapshot_sink", "config": {"name": "snap", **config, **(sink or {})}}]}
        return self.use(gw.Gateway(listen=False, settings=settings, program="hyperway_controller", **kwargs))

    def data_plane(self, ports=None, pod="plane", source=None, **kwargs):
        """A data plane; the Gateway's port is bound on 127.0.0.1."""
        source = {"plugin": "snapshot_source",
                  "config": {"name": "snap", "kubeconfig": self.cluster.kubeconfig, **(source or {})}}
        return self.use(gw.Gateway(listen=ports or {self.port: self.port}, settings={"sources": [source]},
                                   environment={"POD_NAME": pod, "POD_NAMESPACE": "default"}, **kwargs))

    def served(self, host="a.example.com", port=None):
        """True if the app answers under that host."""
        return ask(port or self.port, host=host).body == b"app"

    def snapshot(self, name="snap"):
        """A RouteSnapshot as the API server has it."""
        return self.cluster.objects["routesnapshots", f"default/{name}"]

    def add(self, name, **how):
        """One more route, under NAME.example.com."""
        self.cluster.apply(route(name=name, hostnames=[f"{name}.example.com"], **how))
        return f"{name}.example.com"

    def test_what_a_controller_writes_a_data_plane_serves(self):
        self.begin()
        self.controller()
        self.data_plane()
        self.assertTrue(self.served())
        host = self.add("more")
        until(lambda: self.served(host))
        self.cluster.delete({"kind": "HTTPRoute", "metadata": {"name": "more", "namespace": "default"}})
        until(lambda: not self.served(host))
        # Endpoints are none of the controller's business.
        spec = self.snapshot()["spec"]
        for item in [item for (resource, _), item in self.cluster.objects.items() if resource == "endpointslices"]:
            self.cluster.delete(item)
        self.cluster.apply(app("app", self.use(Backend("other")))[1])
        until(lambda: ask(self.port, host="a.example.com").body == b"other")
        self.assertEqual(self.snapshot()["spec"], spec)

    def test_a_data_plane_says_that_there_is_no_snapshot_and_waits_for_it(self):
        self.begin()
        plane = self.data_plane(ready=False)
        text = "RouteSnapshot default/snap does not exist yet"
        until(lambda: text in plane.ask_admin("/readyz?verbose").body.decode(), 10)
        until(lambda: text in plane.logs())
        self.assertEqual(plane.ask_admin("/readyz").status, 503)
        with self.assertRaises(ConnectionRefusedError):
            ask(self.port, host="a.example.com")
        self.controller()
        plane.wait_ready()
        self.assertTrue(self.served())
        until(lambda: text not in plane.ask_admin("/readyz?verbose").body.decode())

    def test_programmed_follows_what_data_planes_say(self):
        self.begin()
        controller = self.controller()

        def programmed():
            return {c["type"]: c["status"] for c in self.cluster.status("Gateway", "gw")["conditions"]}["Programmed"]
        until(lambda: self.cluster.status("RouteSnapshot", "snap").get("lastAppliedChecksum"))
        self.assertNotEqual(programmed(), "True")
        self.data_plane()
        until(lambda: programmed() == "True")
        entry = self.cluster.status("RouteSnapshot", "snap")["dataPlanes"][0]
        self.assertEqual((entry["name"], entry["namespace"], entry["refused"]), ("plane", "default", []))
        self.assertEqual(entry["checksum"], self.snapshot()["spec"]["checksum"])
        status = self.cluster.status("RouteSnapshot", "snap")
        self.assertEqual((status["routeRuleCount"], status["listenerCount"]), (1, 1))
        self.assertEqual(status["conditions"][0]["reason"], "Synced")
        self.assertEqual(controller.ask_admin("/readyz").status, 200)

    def test_a_listener_that_a_data_plane_refuses_is_not_programmed(self):
        self.begin()
        self.controller()
        with socket.create_server(("127.0.0.1", 0)) as busy:
            self.data_plane(ports={self.port: busy.getsockname()[1]})

            def condition():
                found = self.cluster.status("Gateway", "gw")["listeners"][0]["conditions"]
                return next(c for c in found if c["type"] == "Programmed")
            until(lambda: condition()["status"] == "False" and "data plane plane" in condition()["message"], 10)

    def test_certificates_go_by_reference(self):
        certificate, key = tls.self_signed("secure.example.com")
        self.begin(secret("cert", certificate, key))
        secure = free_port()
        self.cluster.apply(gateway([listener(port=self.port),
                                    listener(name="https", port=secure, protocol="HTTPS", certificates=["cert"])]))
        self.controller()
        self.data_plane(ports={self.port: self.port, secure: secure})
        answer = until(lambda: ask(secure, host="a.example.com", tls=tls.client_context(), sni="secure.example.com"))
        self.assertEqual(answer.body, b"app")
        text = json.dumps(self.snapshot())
        self.assertNotIn("PRIVATE KEY", text)
        self.assertNotIn("BEGIN CERTIFICATE", text)
        # No Secret but that one was asked for.
        self.assertEqual(self.cluster.asked("GET", "/v1/secrets"), 0)

    def test_a_data_plane_asks_the_server_of_a_listeners_filter(self):
        server = self.use(Backend("auth"))
        server.handler = lambda _: answer(401)
        self.begin(*app("auth", server))
        guarded = listener(port=self.port) | {"filters": {"requests": [auth()]}}
        self.cluster.apply(gateway([guarded]))
        self.controller()
        self.data_plane()
        until(lambda: ask(self.port, host="a.example.com").status == 401)
        other = self.use(Backend("auth"))
        other.handler = lambda _: answer(200)
        for key, item in list(self.cluster.objects.items()):
            if key[0] == "endpointslices" and key[1].startswith("default/auth"):
                self.cluster.delete(item)
        self.cluster.apply(app("auth", other)[1])
        until(self.served)
        self.cluster.delete(service("auth"))
        until(lambda: ask(self.port, host="a.example.com").status == 500)

    def test_data_planes_are_let_to_read_the_secrets_that_are_named_and_no_others(self):
        self.begin()

        def listeners(*names):
            more = [listener(name=f"https-{n}", port=443, protocol="HTTPS", hostname=f"{n}.example.com",
                             certificates=[n]) for n in names]
            self.cluster.apply(gateway([listener(port=self.port), *more]))

        def roles():
            return {key: item for (resource, key), item in self.cluster.objects.items() if resource == "roles"}
        certificate, key = tls.self_signed("one.example.com")
        for name in ("one", "two", "three"):
            self.cluster.apply(secret(name, certificate, key))
        listeners("one", "two")
        self.controller(sink={"data_plane_account": "system/plane"})
        until(lambda: [r["rules"] for r in roles().values()] == [[
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"],
             "resourceNames": ["one", "two"]}]])
        binding = until(lambda: [item for (resource, _), item in self.cluster.objects.items()
                                 if resource == "rolebindings"])[0]
        self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "namespace": "system", "name": "plane"}])
        until(lambda: len(self.snapshot()["spec"]["listeners"]) == 3)
        listeners("three")
        until(lambda: [r["rules"][0]["resourceNames"] for r in roles().values()] == [["three"]])
        listeners()
        until(lambda: not roles())
        until(lambda: ("rolebindings", "default/" + binding["metadata"]["name"]) not in self.cluster.objects)

    def test_nothing_is_written_twice_and_nothing_in_a_quiet_time(self):
        self.begin(gateway([listener(port=free_port())], name="second"))
        self.controller()
        self.controller()
        self.data_plane()
        until(lambda: self.cluster.status("RouteSnapshot", "snap").get("dataPlanes"))
        until(lambda: self.cluster.status("RouteSnapshot", "snap").get("lastAppliedChecksum"))
        host = self.add("more")
        until(lambda: self.served(host))
        until(lambda: self.cluster.status("RouteSnapshot", "snap")["dataPlanes"][0]["checksum"]
              == self.snapshot()["spec"]["checksum"])
        until(lambda: self.cluster.status("RouteSnapshot", "snap")["lastAppliedChecksum"]
              == self.snapshot()["spec"]["checksum"])
        writes = self.cluster.asked("PATCH", SNAPSHOT)
        # Something that changes no route: a namespace that nobody looks at.
        self.cluster.apply({"kind": "Namespace", "metadata": {"name": "unused"}})
        with self.assertRaises(AssertionError):
            until(lambda: self.cluster.asked("PATCH", SNAPSHOT) != writes, 2)

    def test_a_snapshot_that_is_edited_or_deleted_is_put_right_at_once(self):
        self.begin()
        self.controller()
        self.data_plane()
        self.assertTrue(self.served())
        right = self.snapshot()["spec"]
        edited = json.loads(json.dumps(self.snapshot()))
        edited["spec"]["httpRoutesV1"] = []
        self.cluster.apply(edited)
        until(lambda: self.snapshot()["spec"] == right, 2)
        until(self.served)
        self.cluster.delete(self.snapshot())
        until(lambda: self.snapshot()["spec"] == right, 2)
        self.assertTrue(self.served())
        until(lambda: self.cluster.status("RouteSnapshot", "snap").get("dataPlanes"))

    def test_a_data_plane_serves_on_when_its_controller_and_the_server_are_gone(self):
        self.begin()
        controller = self.controller()
        plane = self.data_plane()
        controller.stop()
        self.assertTrue(self.served())
        self.cluster.down()
        until(lambda: "the last good state is served" in plane.ask_admin("/readyz?verbose").body.decode(), 10)
        self.assertTrue(self.served())

    def test_a_data_plane_starts_from_its_cache_when_there_is_no_api_server(self):
        certificate, key = tls.self_signed("secure.example.com")
        self.begin(secret("cert", certificate, key))
        secure = free_port()
        self.cluster.apply(gateway([listener(port=self.port),
                                    listener(name="https", port=secure, protocol="HTTPS", certificates=["cert"])]))
        self.add("old")
        self.controller()
        cache = os.path.join(self.cluster.folder.name, "cache")
        how = {"ports": {self.port: self.port, secure: secure}, "source": {"cache": cache}}
        first = self.data_plane(**how)
        self.assertTrue(self.served("old.example.com"))
        first.stop()
        self.assertEqual(os.stat(cache).st_mode & 0o777, 0o600)
        self.cluster.down()
        second = self.data_plane(**how)
        self.assertTrue(self.served())
        self.assertEqual(ask(secure, host="a.example.com", tls=tls.client_context(), sni="x").body, b"app")
        self.assertIn("from the cache", second.ask_admin("/readyz?verbose").body.decode())
        self.cluster.delete({"kind": "HTTPRoute", "metadata": {"name": "old", "namespace": "default"}})
        for item in [item for (resource, _), item in self.cluster.objects.items() if resource == "endpointslices"]:
            self.cluster.delete(item)
        self.cluster.apply(app("app", self.use(Backend("new")))[1])
        self.cluster.listen()
        until(lambda: ask(self.port, host="a.example.com").body == b"new", 15)
        until(lambda: not self.served("old.example.com") and ask(
            self.port, host="old.example.com").status == 404, 15)
        until(lambda: "degraded" not in second.ask_admin("/readyz?verbose").body.decode(), 10)

    def test_many_routes_go_into_parts_and_one_edit_replaces_one(self):
        self.begin(*[route(name=f"r{i}", hostnames=[f"r{i}.example.com"], rules=[rule(matches=[
            {"path": {"type": "PathPrefix", "value": f"/{i}/{j}"}} for j in range(8)])]) for i in range(300)])
        self.controller()
        self.data_plane()

        def parts():
            return set(self.snapshot()["spec"]["partNames"].split())
        before = parts()
        self.assertGreater(len(before), 3)
        self.assertEqual(self.snapshot()["spec"]["httpRoutesV1"], [])
        for name in before:
            part = self.snapshot(name)
            self.assertEqual(part["metadata"]["ownerReferences"][0]["uid"], self.snapshot()["metadata"]["uid"])
            self.assertLess(len(json.dumps(part)), 100_000)
        self.assertEqual(ask(self.port, target="/7/3", host="r7.example.com").body, b"app")
        self.add("r7")
        until(lambda: ask(self.port, target="/none", host="r7.example.com").body == b"app")
        after = parts()
        self.assertEqual((len(before - after), len(after - before)), (1, 1))
        # It was read once, from what the server has in its memory.
        reads = [path for method, path in self.cluster.requests if method == "GET" and min(after - before) in path]
        self.assertEqual([path.rpartition("=")[0] for path in reads], [
            f"/apis/hyperway.arloor.dev/v1alpha1/namespaces/default/routesnapshots/{min(after - before)}?resourceVersion"])
        # A part that somebody deletes or edits is there again.
        victim = sorted(after)[0]
        self.cluster.delete(self.snapshot(victim))
        until(lambda: self.snapshot(victim), 2)
        edited = json.loads(json.dumps(self.snapshot(victim)))
        edited["spec"]["content"] = ""
        self.cluster.apply(edited)
        until(lambda: self.snapshot(victim)["spec"]["content"], 2)
        self.assertEqual(self.snapshot(victim)["metadata"]["generation"], 1)

    def test_a_route_that_the_server_refuses_holds_up_no_other(self):
        self.begin()
        controller = self.controller()
        self.data_plane()

        def wrong(_, body):
            return [{"field": f"spec.httpRoutesV1[{i}].backends[0].port", "message": "is odd"}
                    for i, entry in enumerate(body.get("spec", {}).get("httpRoutesV1", []))
                    if entry["routeName"] == "bad"]
        self.cluster.wrong = wrong
        self.add("bad")
        good = self.add("good")
        until(lambda: self.served(good))
        until(lambda: "HTTPRoute/default/bad (spec.httpRoutesV1[0].backends[0].port: is odd)" in controller.logs())
        self.assertGreater(controller.metric("hyperway_plugin_snapshot_sink_writes_total", result="refused"), 0)

    def odd_ports(self, port):
        """From now on the server takes no route with a backend of that port, and says where it is."""
        def wrong(_, body):
            return [{"field": f"spec.httpRoutesV1[{i}].backends[{j}].port", "message": "is odd"}
                    for i, entry in enumerate(body.get("spec", {}).get("httpRoutesV1", []))
                    for j, backend in enumerate(entry["backends"]) if backend["port"] == port]
        self.cluster.wrong = wrong

    def test_an_edit_that_the_server_refuses_takes_down_nothing_even_over_a_restart(self):
        self.begin()
        controller = self.controller()
        self.data_plane()
        host = self.add("edited")
        until(lambda: self.served(host))
        self.odd_ports(4711)
        self.cluster.apply(service("odd", port=4711))
        self.add("edited", rules=[rule([backend_ref("odd", 4711)])])
        until(lambda: "HTTPRoute/default/edited" in controller.ask_admin("/readyz?verbose").body.decode())
        other = self.add("other")
        until(lambda: self.served(other))
        self.assertTrue(self.served(host))
        # It stays in /readyz, whatever else is reported.
        self.assertIn("HTTPRoute/default/edited", controller.ask_admin("/readyz?verbose").body.decode())
        controller.stop()
        again = self.controller()
        until(lambda: "HTTPRoute/default/edited" in again.ask_admin("/readyz?verbose").body.decode())
        another = self.add("another")
        until(lambda: self.served(another))
        self.assertTrue(self.served(host))
        # Programmed does not wait for what cannot be written.
        until(lambda: {c["type"]: c["status"] for c in self.cluster.status("Gateway", "gw")["conditions"]}
              ["Programmed"] == "True")

    def test_a_controller_that_may_not_read_routes_writes_nothing_and_is_not_ready(self):
        self.begin()
        first = self.controller()
        self.data_plane()
        self.assertTrue(self.served())
        right = self.snapshot()["spec"]
        first.stop()
        forbidden = lambda method, path: ("/httproutes?" in path and method == "GET") and (  # noqa: E731
            403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"})
        self.cluster.faults.append(forbidden)
        controller = self.controller(ready=False)
        until(lambda: "HTTPRoute: 403" in controller.ask_admin("/readyz?verbose").body.decode(), 15)
        self.assertEqual(controller.ask_admin("/readyz").status, 503)
        with self.assertRaises(AssertionError):
            until(lambda: self.snapshot()["spec"] != right, 2)
        self.cluster.faults.remove(forbidden)
        controller.wait_ready()
        host = self.add("more")
        until(lambda: self.served(host))
        self.assertTrue(self.served())

    def test_an_index_says_what_became_of_routes_listeners_and_classes(self):
        self.begin()
        self.controller()
        self.data_plane()
        self.add("lost", rules=[rule(["nobody"])])

        def spec():
            return self.snapshot()["spec"]
        until(lambda: len(spec()["routeDiagnostics"]) == 2)
        lost, good = spec()["routeDiagnostics"]
        self.assertEqual((lost["routeNamespace"], lost["routeName"], lost["parentGroup"], lost["parentKind"],
                          lost["parentName"]), ("default", "lost", "gateway.networking.k8s.io", "Gateway", "gw"))
        self.assertEqual((lost["accepted"], lost["resolvedRefs"], lost["resolvedRefsReason"]),
                         (True, False, "BackendNotFound"))
        self.assertEqual((good["routeName"], good["accepted"], good["resolvedRefs"]), ("route", True, True))
        until(lambda: spec()["gatewayListenerStatuses"][0]["attachedRoutes"] == 2)
        status = spec()["gatewayListenerStatuses"][0]
        self.assertEqual((status["gatewayNamespace"], status["gatewayName"], status["listenerName"], status["accepted"],
                          status["acceptedReason"]), ("default", "gw", "http", True, "Accepted"))
        self.assertIn({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}, status["supportedKinds"])
        self.assertEqual([(c["name"], c["accepted"]) for c in spec()["gatewayClassStatuses"]], [("hyperway", True)])
        self.cluster.delete({"kind": "HTTPRoute", "metadata": {"name": "lost", "namespace": "default"}})
        until(lambda: [d["routeName"] for d in spec()["routeDiagnostics"]] == ["route"])

    def test_a_controller_follows_no_endpoints(self):
        self.begin()
        self.controller()
        until(self.snapshot)
        self.assertEqual(self.cluster.asked("GET", "/endpointslices"), 0)
        until(lambda: self.cluster.status("GatewayClass", "hyperway", "").get("conditions"))
        self.assertEqual([c for c in self.cluster.status("GatewayClass", "hyperway", "")["conditions"]
                          if c["type"].endswith("KindsMissing") and c["status"] == "True"], [])

    def test_what_the_server_does_not_list_at_a_start_comes_from_the_cache(self):
        self.begin()
        self.controller()
        how = {"source": {"cache": os.path.join(self.cluster.folder.name, "cache")}}
        first = self.data_plane(**how)
        self.assertTrue(self.served())
        first.stop()
        away = lambda method, path: (method == "GET" and "routesnapshots" not in path) and (  # noqa: E731
            503, {"kind": "Status", "code": 503, "message": "not now"})
        self.cluster.faults.append(away)
        second = self.data_plane(**how)
        self.assertTrue(self.served())
        self.assertIn("from the cache", second.ask_admin("/readyz?verbose").body.decode())
        self.cluster.faults.remove(away)
        until(lambda: "degraded" not in second.ask_admin("/readyz?verbose").body.decode(), 15)
        self.assertTrue(self.served())

    def test_a_reader_passes_over_fields_of_a_newer_writer(self):
        self.begin()
        controller = self.controller()
        until(self.snapshot)
        controller.stop()
        newer = json.loads(json.dumps(self.snapshot()))
        newer["spec"]["more"] = {"x": [1]}
        for entry in newer["spec"]["listeners"] + newer["spec"]["httpRoutesV1"]:
            entry["more"] = "text"
            for inner in entry.get("matches", []) + entry.get("backends", []) + entry.get("filters", []):
                inner["more"] = [{"a": 1}]
        self.cluster.apply(newer)
        self.data_plane()
        self.assertTrue(self.served())

    def test_a_definition_of_the_version_before_leaves_everything_as_it_is(self):
        self.begin()
        controller = self.controller()
        plane = self.data_plane()
        right = self.snapshot()["spec"]
        unknown = lambda method, path: (method == "PATCH" and SNAPSHOT in path) and (  # noqa: E731
            500, {"kind": "Status", "code": 500, "message": "failed to create typed patch object (default/snap; "
                  "hyperway.arloor.dev/v1alpha1, Kind=RouteSnapshot): .spec.listeners[0].new: field not declared in schema"})
        self.cluster.faults.append(unknown)
        self.add("more")
        until(lambda: "is the RouteSnapshot CRD an older one?" in controller.ask_admin(
            "/readyz?verbose").body.decode())
        self.assertEqual(self.snapshot()["spec"], right)
        self.assertTrue(self.served())
        self.assertEqual(plane.ask_admin("/readyz").status, 200)

    def test_the_flags_of_mode_a_are_enough(self):
        self.begin()
        environment = {"KUBECONFIG": self.cluster.kubeconfig}
        self.use(gw.Gateway(flags=["--gateway-api-snapshot-name", "snap", "--gateway-api-k8s-namespace", "default",
                                   "--gateway-api-k8s-poll-seconds", "7"],
                            program="hyperway_controller", environment=environment, ready=False))
        until(self.snapshot, 15)
        self.use(gw.Gateway(flags=["--gateway-api-snapshot-name", "snap", "--gateway-api-snapshot-namespace", "default",
                                   "--gateway-api-snapshot-poll-seconds", "3", "--workers", "1"],
                            environment=environment, ready=False))
        until(self.served, 15)


if __name__ == "__main__":
    unittest.main()
