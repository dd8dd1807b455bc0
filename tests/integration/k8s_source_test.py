# SPDX-License-Identifier: Apache-2.0
"""A gateway that reads an API server with all its faults. The server is harness/kubernetes.py; tests/cluster has a
real one."""
import json
import os
import re
import signal
import unittest

from harness import gateway as gw
from harness.backend import Backend
from harness.case import Case, until
from harness.client import ask
from harness.kubernetes import GATEWAY, Kubernetes
from harness.manifests import app, gateway, gateway_class, listener, route
from harness.ports import free_port


class FromACluster(Case):
    limit_seconds = 60

    def start(self, *objects, before=None, config=None):
        """A gateway on a cluster that has a route to "app" and these objects."""
        self.cluster = self.use(Kubernetes())
        backend = self.use(Backend("app"))
        self.port = free_port()
        self.cluster.apply(gateway_class(), gateway([listener(port=self.port)]), *app("app", backend),
                           route(hostnames=["a.example.com"]), *objects)
        if before:
            before(self.cluster)
        source = {"plugin": "k8s_source", "config": {"kubeconfig": self.cluster.kubeconfig, **(config or {})}}
        self.process = self.use(gw.Gateway(listen={self.port: self.port}, settings={"sources": [source]}))
        return self.process

    def served(self, host="a.example.com"):
        """True if the app answers under that host."""
        return ask(self.port, host=host).body == b"app"

    def add(self, name, **how):
        """One more route, under NAME.example.com."""
        self.cluster.apply(route(name=name, hostnames=[f"{name}.example.com"]), **how)
        return f"{name}.example.com"

    def health(self):
        return self.process.ask_admin("/readyz?verbose").body.decode()

    def test_a_cluster_is_served_and_followed_and_gets_its_statuses(self):
        self.start()
        self.assertTrue(self.served())
        host = self.add("more")
        until(lambda: self.served(host))
        self.cluster.delete({"kind": "HTTPRoute", "metadata": {"name": "more", "namespace": "default"}})
        until(lambda: not self.served(host))

        def conditions(kind, name, namespace="default"):
            found = self.cluster.status(kind, name, namespace)
            found = found["parents"][0] if kind == "HTTPRoute" else found
            return {c["type"]: c["status"] for c in found["conditions"]}
        until(lambda: conditions("Gateway", "gw")["Programmed"] == "True")
        until(lambda: conditions("GatewayClass", "hyperway", "")["Accepted"] == "True")
        until(lambda: conditions("HTTPRoute", "route")["Accepted"] == "True")
        parent = self.cluster.status("HTTPRoute", "route")["parents"][0]
        self.assertEqual(parent["controllerName"], "hyperway.arloor.dev/gateway-controller")
        for condition in parent["conditions"]:
            self.assertRegex(condition["lastTransitionTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_a_server_that_has_a_name_is_found(self):
        def named(cluster):
            with open(cluster.kubeconfig, encoding="utf-8") as file:
                text = file.read()
            with open(cluster.kubeconfig, "w", encoding="utf-8") as file:
                file.write(text.replace("https://127.0.0.1:", "https://localhost:"))
        self.start(before=named)
        self.assertTrue(self.served())

    def test_a_server_that_is_away_changes_nothing_and_is_caught_up_with(self):
        self.start()
        self.cluster.down()
        until(lambda: "the last good state is served" in self.health(), 10)
        self.assertTrue(self.served())
        host = self.add("meanwhile")
        self.cluster.listen()
        until(lambda: self.served(host), 5)
        until(lambda: "degraded" not in self.health(), 5)

    def test_a_connection_that_is_cut_is_made_again_without_a_list(self):
        self.start()
        lists = self.cluster.asked("GET", "httproutes?limit")
        self.cluster.cut()
        host = self.add("after")
        until(lambda: self.served(host))
        self.assertEqual(self.cluster.asked("GET", "httproutes?limit"), lists)

    def test_a_half_open_connection_is_found_by_ping(self):
        self.start()
        self.cluster.freeze()
        host = self.add("after")
        until(lambda: self.served(host) and self.cluster.status("HTTPRoute", "after").get("parents"), 5)

    def test_versions_that_are_gone_mean_a_list_and_what_is_missing_in_it_goes(self):
        self.start()
        host = self.add("old")
        until(lambda: self.served(host))
        self.cluster.down()
        self.cluster.delete({"kind": "HTTPRoute", "metadata": {"name": "old", "namespace": "default"}})
        new = self.add("new")
        self.cluster.compact()
        self.cluster.listen()
        until(lambda: self.served(new), 10)
        until(lambda: not self.served(host))
        self.assertTrue(self.served())

    def test_an_empty_list_that_fails_later_drops_nothing(self):
        self.start()
        failing = {"pages": 0}

        def fault(method, path):
            if "httproutes?limit" not in path:
                return None
            failing["pages"] += 1
            if "continue" in path:
                return 500, {"kind": "Status", "message": "etcd"}
            return 200, {"metadata": {"resourceVersion": "9999", "continue": "x"}, "items": []}
        self.cluster.faults.append(fault)
        self.cluster.compact()
        self.cluster.send_raw("httproutes", b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n')
        until(lambda: failing["pages"] >= 2, 10)
        self.assertTrue(self.served())
        self.cluster.faults.clear()
        host = self.add("later")
        until(lambda: self.served(host), 10)

    def test_lines_that_are_cut_or_no_events_break_the_watch_and_nothing_else(self):
        self.start()
        for raw, end in ((b'{"type":"ADDED","obj', True), (b"nonsense\n", False)):
            self.cluster.send_raw("httproutes", raw, end)
            host = self.add("after" + str(len(raw)))
            until(lambda: self.served(host), 5)
        self.assertTrue(self.served())

    def test_events_that_come_twice_or_late_do_not_take_back_what_is_newer(self):
        self.start()
        old = route(name="r", hostnames=["old.example.com"])
        self.cluster.apply(old)
        stored = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.cluster.version)}}
        until(lambda: self.served("old.example.com"))
        self.cluster.apply(route(name="r", hostnames=["new.example.com"]))
        until(lambda: self.served("new.example.com"))
        self.cluster.send_raw("httproutes", json.dumps({"type": "MODIFIED", "object": stored}).encode() + b"\n")
        host = self.add("marker")
        until(lambda: self.served(host))
        self.assertTrue(self.served("new.example.com"))
        self.assertFalse(self.served("old.example.com"))

    def test_a_token_that_rotates_is_read_again(self):
        self.start()
        self.cluster.rotate("two")
        self.cluster.cut()
        host = self.add("after")
        until(lambda: self.served(host), 5)
        until(lambda: self.cluster.status("HTTPRoute", "after").get("parents"), 5)

    def test_429_is_obeyed(self):
        def busy(method, path):
            return (429, {"kind": "Status"}, [("retry-after", "2")]) if "watch=true" in path else None
        self.start()
        self.cluster.faults.append(busy)
        before = self.cluster.asked("GET", "httproutes?watch=true")
        self.cluster.cut()
        until(lambda: self.cluster.asked("GET", "httproutes?watch=true") == before + 1, 5)
        self.cluster.faults.clear()
        host = self.add("after")
        until(lambda: self.served(host), 5)
        self.assertEqual(self.cluster.asked("GET", "httproutes?watch=true"), before + 2)

    def test_lists_come_by_pages(self):
        def small(cluster):
            cluster.page = 2
        self.start([route(name=f"r{i}", hostnames=[f"r{i}.example.com"]) for i in range(9)], before=small)
        for i in range(9):
            self.assertTrue(self.served(f"r{i}.example.com"))
        self.assertEqual(self.cluster.asked("GET", "httproutes?limit"), 5)

    def test_a_poll_finds_what_the_watch_did_not_tell(self):
        self.start(config={"poll_seconds": 1})
        host = self.add("silent", told=False)
        until(lambda: self.served(host), 15)

    def test_kinds_that_are_missing_or_forbidden_are_named_and_the_rest_is_served(self):
        def less(cluster):
            del cluster.served[GATEWAY]["backendtlspolicies"]
            cluster.faults.append(lambda method, path: (
                (403, {"kind": "Status", "reason": "Forbidden", "message": "no"}) if "filters" in path else None))
        self.start(before=less)
        self.assertTrue(self.served())

        def message():
            found = self.cluster.status("GatewayClass", "hyperway", "")["conditions"]
            return [c["message"] for c in found if c["type"] == "hyperway.arloor.dev/KindsMissing"][0]
        until(lambda: "BackendTLSPolicy (not served), Filter (forbidden)" in message(), 5)
        self.assertEqual(len(re.findall("a kind cannot be read", self.process.logs())), 2)

    def test_kinds_of_newer_definitions_are_not_missed(self):
        def less(cluster):
            for resource in ("grpcroutes", "tlsroutes", "tcproutes", "udproutes"):
                del cluster.served[GATEWAY][resource]
        self.start(before=less)
        self.assertTrue(self.served())
        until(lambda: self.cluster.status("GatewayClass", "hyperway", "").get("conditions"))
        found = self.cluster.status("GatewayClass", "hyperway", "")["conditions"]
        self.assertEqual([c for c in found if c["type"].endswith("KindsMissing")], [])
        self.assertNotIn("a kind cannot be read", self.process.logs())

    def test_routes_of_every_kind_get_their_statuses(self):
        """Whether a listener takes them or not; here only the GRPCRoute finds one of its protocol."""
        spec = {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [{"name": "app", "port": 80}]}]}
        hosts = {"GRPCRoute": {"hostnames": ["rpc.example.com"]}, "TLSRoute": {"hostnames": ["tls.example.com"]}}
        self.start(*({"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
                      "metadata": {"name": "one", "namespace": "default"}, "spec": {**spec, **hosts.get(kind, {})}}
                     for kind in ("GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")))

        def accepted(kind):
            parents = self.cluster.status(kind, "one").get("parents", [])
            return [(c["status"], c["reason"]) for p in parents for c in p["conditions"] if c["type"] == "Accepted"]
        until(lambda: accepted("GRPCRoute") == [("True", "Accepted")])
        for kind in ("TLSRoute", "TCPRoute", "UDPRoute"):
            until(lambda kind=kind: accepted(kind) == [("False", "NotAllowedByListeners")])

    def test_only_secrets_that_a_gateway_of_ours_names_are_read(self):
        foreign = gateway([listener(name="s", port=444, protocol="HTTPS", certificates=["theirs"])], name="other",
                          class_name="other")
        secure = gateway([listener(name="s", port=443, protocol="HTTPS", certificates=["ours"])], name="secure")
        self.start(foreign)
        self.assertEqual(self.cluster.asked("GET", "/secrets"), 0)
        self.cluster.apply(secure)
        until(lambda: self.cluster.asked("GET", "/secrets?fieldSelector=metadata.name%3Dours") >= 2)
        self.assertEqual(self.cluster.asked("GET", "theirs"), 0)
        self.assertEqual(self.cluster.asked("GET", "/secrets?limit"), 0)

    def test_what_is_removed_and_made_again_at_once_gets_its_status_again(self):
        self.start()
        again = route(hostnames=["a.example.com"])

        def accepted():
            parents = (self.cluster.status("HTTPRoute", "route") or {}).get("parents", [])
            return [c["status"] for parent in parents for c in parent["conditions"] if c["type"] == "Accepted"] == ["True"]
        until(accepted)
        for _ in range(20):
            # What happens meanwhile comes in one piece.
            os.kill(self.process.pid, signal.SIGSTOP)
            self.cluster.delete({"kind": "HTTPRoute", "metadata": {"name": "route", "namespace": "default"}})
            self.cluster.apply(again)
            os.kill(self.process.pid, signal.SIGCONT)
            until(accepted)
            self.assertTrue(self.served())

    def test_one_namespace_only(self):
        self.start(config={"namespace": "default"})
        self.assertTrue(self.served())
        self.assertEqual(self.cluster.asked("GET", "/v1/httproutes"), 0)
        self.assertGreater(self.cluster.asked("GET", "/namespaces/default/httproutes"), 0)

    def test_the_flags_of_mode_b_are_enough(self):
        self.start()
        self.process.stop()
        flags = ["--gateway-api-k8s-sync", "--gateway-api-k8s-namespace", "default",
                 "--gateway-api-k8s-poll-seconds", "7", "--workers", "1"]
        self.cluster.requests.clear()
        self.use(gw.Gateway(flags=flags, environment={"KUBECONFIG": self.cluster.kubeconfig}, ready=False))
        until(self.served, 15)
        self.assertEqual(self.cluster.asked("GET", "/v1/httproutes"), 0)
        self.assertEqual(self.cluster.asked("GET", "/namespaces/default/httproutes?limit"), 1)

    def test_a_status_that_is_refused_holds_up_no_other(self):
        def refuse(method, path):
            bad = method == "PATCH" and "/httproutes/bad/" in path
            return (422, {"kind": "Status", "reason": "Invalid", "message": "status.parents: too long"}) if bad else None
        self.start(before=lambda cluster: cluster.faults.append(refuse))
        self.add("bad")
        self.add("good")
        until(lambda: self.cluster.status("HTTPRoute", "good").get("parents"))
        until(lambda: "status.parents: too long" in self.process.logs())
        # It is tried again, and told once.
        refused = "hyperway_plugin_k8s_source_status_writes_total"
        until(lambda: self.process.metric(refused, result="refused") >= 2)
        self.assertEqual(self.process.logs().count("status.parents: too long"), 1)

    def test_statuses_are_right_within_5_s_after_rights_are_given_back(self):
        def deny(method, path):
            return (403, {"kind": "Status", "reason": "Forbidden", "message": "no"}) if (
                method == "PATCH" and "/httproutes/" in path) else None
        self.start(before=lambda cluster: cluster.faults.append(deny))
        names = [f"r{i}" for i in range(50)]
        for name in names:
            self.add(name)
        # By now each of them is tried no more than every four seconds.
        until(lambda: self.cluster.asked("PATCH", "/httproutes/r0/") >= 3, 15)
        self.cluster.faults.clear()
        until(lambda: all(self.cluster.status("HTTPRoute", name).get("parents") for name in names), 5)

    def test_entries_of_others_survive_and_a_status_is_written_once(self):
        theirs = {"controllerName": "them/there", "parentRef": {"name": "x"}, "conditions": []}
        mine = route(name="shared", hostnames=["shared.example.com"])
        self.start({**mine, "status": {"parents": [theirs]}})
        until(lambda: len(self.cluster.status("HTTPRoute", "shared")["parents"]) == 2)
        self.assertEqual(self.cluster.status("HTTPRoute", "shared")["parents"][0], theirs)
        self.add("marker")
        until(lambda: self.cluster.status("HTTPRoute", "marker").get("parents"))
        self.assertEqual(self.cluster.asked("PATCH", "/httproutes/shared/status"), 1)

    def test_of_two_processes_one_writes_and_the_other_takes_over(self):
        self.start()
        until(lambda: self.cluster.status("HTTPRoute", "route").get("parents"))
        source = {"plugin": "k8s_source", "config": {"kubeconfig": self.cluster.kubeconfig}}
        second = self.use(gw.Gateway(listen={self.port: free_port()}, settings={"sources": [source]}))
        held = "hyperway_plugin_k8s_source_lease_held"
        self.assertEqual((self.process.metric(held), second.metric(held)), (1, 0))
        before = self.cluster.asked("PATCH")
        self.process.stop()
        until(lambda: second.metric(held) == 1, 10)
        self.add("handed")
        until(lambda: self.cluster.status("HTTPRoute", "handed").get("parents"))
        # What was right already was not written again.
        self.assertLessEqual(self.cluster.asked("PATCH") - before, 3)

    def test_two_installations_with_other_controller_names_both_write(self):
        port = free_port()
        self.start(gateway_class("theirs", "example.com/mine"),
                   gateway([listener(port=port)], name="theirs", class_name="theirs"))
        source = {"plugin": "k8s_source", "config": {"kubeconfig": self.cluster.kubeconfig}}
        self.use(gw.Gateway(listen={port: port}, settings={"sources": [source], "controller_name": "example.com/mine"}))
        for name in ("hyperway", "theirs"):
            until(lambda n=name: self.cluster.status("GatewayClass", n, "").get("conditions"))
        for name in ("gw", "theirs"):
            until(lambda n=name: self.cluster.status("Gateway", n).get("conditions"))
        with self.cluster.lock:
            leases = {key for resource, key in self.cluster.objects if resource == "leases"}
        self.assertEqual(leases, {"default/hyperway-status", "default/hyperway-status-b32e8104"})


if __name__ == "__main__":
    unittest.main()
