# SPDX-License-Identifier: Apache-2.0
"""The cluster for tests does what its README says, on a real API server, without any gateway."""
import fcntl
import http.client
import os
import socket
import struct
import subprocess
import sys
import time
import unittest

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.realpath(sys.executable)
IMAGES = [{"name": "shell", "entrypoint": ["/bin/sh"]}, {"name": "python", "entrypoint": [PYTHON]}]
WEB = "10.78.0.77", 8000  # the load balancer of selftest.yaml
ACCOUNT = "system:serviceaccount:default:default"


def fetch(address=WEB, path="/colour", timeout=5):
    """Body of an answer."""
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def talk(address, port, request):
    """What a TCP server says before and after a request of one line, two lines; None if nobody is there."""
    try:
        with socket.create_connection((address, port), 2) as connection, connection.makefile("rb") as lines:
            hello = lines.readline()
            connection.sendall(request)
            return hello + lines.readline()
    except OSError:
        return None


def datagram(address, port, request):
    """The answer to a datagram; None if there is none within a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        try:
            client.connect((address, port))
            client.send(request)
            return client.recv(2048)
        except OSError:
            return None


class ClusterTest(unittest.TestCase):
    """One cluster for all: each test leaves it as it was."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(harness.Cluster(
            apply=[os.path.join(HERE, "selftest.yaml")], images=IMAGES, crds=None))
        cls.cluster.enter_network()
        cls.cluster.wait("deployment/web", "Available")

    def pods(self, label):
        """Pods with a label app=..., those that end left out."""
        found = self.cluster.get(f"/api/v1/namespaces/default/pods?labelSelector=app%3D{label}")
        return [p for p in found["items"] if "deletionTimestamp" not in p["metadata"]]

    def make_pod(self, name, container, **spec):
        """A Pod of one container, removed at the end."""
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
               "spec": {"containers": [{"name": "one", **container}], **spec}}
        status, answer = self.cluster.request("POST", "/api/v1/namespaces/default/pods", pod)
        self.assertEqual(status, 201, answer)
        path = f"/api/v1/namespaces/default/pods/{name}"
        self.addCleanup(lambda: self.cluster.request("DELETE", path + "?gracePeriodSeconds=0"))
        return path

    def phase(self, path, wanted):
        """Waits for the phase of a Pod."""
        return self.cluster.until(f"{path} is {wanted}", lambda: (
            pod := self.cluster.get(path))["status"].get("phase") == wanted and pod)

    def test_a_pod_finds_its_environment_volumes_account_and_dns(self):
        try:
            self.cluster.wait("job/everything", "Complete", seconds=30)
        except harness.ClusterError:
            self.fail(self.cluster.kubectl("logs", "job/everything"))
        self.assertFalse(os.path.exists("/etc/only-in-this-container"))

    def test_a_service_leads_to_ready_pods_and_changes_of_a_config_map_arrive(self):
        self.assertEqual(fetch(), "blue")
        service = self.cluster.get("/api/v1/namespaces/default/services/web")
        self.assertEqual(service["status"]["loadBalancer"]["ingress"], [{"ip": WEB[0], "ipMode": "VIP"}])
        self.assertEqual(fetch((service["spec"]["clusterIP"], 8000)), "blue")
        path = "/api/v1/namespaces/default/configmaps/settings"
        for colour in ("green", "blue"):
            self.cluster.request("PATCH", path, {"data": {"colour": colour}},
                                 "application/merge-patch+json")
            self.cluster.until(f"web is {colour}", lambda: fetch() == colour)

    @unittest.skipUnless(os.path.exists("/proc/net/if_inet6"), "this machine has no IPv6")
    def test_a_service_has_addresses_of_both_ip_families(self):
        self.make_pod("both", {"image": "python", "args": ["-m", "http.server", "80", "--bind", "::"],
                               "readinessProbe": {"tcpSocket": {"port": 80}}})
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "both"},
                   "spec": {"type": "LoadBalancer", "ipFamilyPolicy": "RequireDualStack",
                            "selector": {"app": "both"}, "ports": [{"port": 8001, "targetPort": 80}]}}
        path = "/api/v1/namespaces/default/services"
        self.assertEqual(self.cluster.request("POST", path, service)[0], 201)
        self.addCleanup(lambda: self.cluster.request("DELETE", path + "/both"))
        self.cluster.wait("pod/both", "Ready")
        ingress = self.cluster.until("addresses", lambda: self.cluster.get(path + "/both")[
            "status"]["loadBalancer"].get("ingress"))
        addresses = [i["ip"] for i in ingress] + self.cluster.get(path + "/both")["spec"]["clusterIPs"]
        self.assertEqual([":" in a for a in addresses], [False, True, False, True])
        for address in addresses:
            self.assertIn("Directory listing", self.cluster.until(
                address, lambda a=address: fetch((a, 8001), "/")))

    def test_a_load_balancer_gives_the_address_that_is_asked_for_or_none(self):
        path = "/api/v1/namespaces/default/services"
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "asking"},
                   "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}
        self.assertEqual(self.cluster.request("POST", path, service)[0], 201)
        self.addCleanup(lambda: self.cluster.request("DELETE", path + "/asking"))

        def has(*addresses):
            status = self.cluster.get(path + "/asking")["status"]["loadBalancer"]
            return [i["ip"] for i in status.get("ingress", [])] == list(addresses)

        self.cluster.until("any address", lambda: not has())
        for asked, given in (("10.78.0.99", ["10.78.0.99"]), ("192.0.2.1", []), (WEB[0], []),
                             ("10.78.0.98", ["10.78.0.98"])):
            self.cluster.request("PATCH", path + "/asking", {"spec": {"loadBalancerIP": asked}},
                                 "application/merge-patch+json")
            self.cluster.until(f"{given} for {asked}", lambda g=given: has(*g))

    def test_a_service_of_tcp_and_udp_leads_to_the_echo_servers_of_the_official_suite(self):
        kinds = {"TCP": {"name": "TCP_ECHO_SERVER", "value": "1"}, "UDP": {"name": "UDP_ECHO_SERVER", "value": "1"}}
        ports = {"TCP": 3000, "UDP": 8080}
        self.make_pod("echoes", {}, containers=[
            {"name": kind.lower(), "image": "echo-basic", "env": [kinds[kind]]} for kind in kinds])
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echoes"}, "spec": {
            "type": "LoadBalancer", "selector": {"app": "echoes"},
            "ports": [{"name": kind.lower(), "protocol": kind, "port": 5300, "targetPort": ports[kind]} for kind in kinds]}}
        path = "/api/v1/namespaces/default/services"
        self.assertEqual(self.cluster.request("POST", path, service)[0], 201)
        self.addCleanup(lambda: self.cluster.request("DELETE", path + "/echoes"))
        self.cluster.wait("pod/echoes", "Ready")
        address = self.cluster.until("an address", lambda: self.cluster.get(path + "/echoes")[
            "status"]["loadBalancer"].get("ingress"))[0]["ip"]
        slices = self.cluster.until("endpoints", lambda: [s for s in self.cluster.get(
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector="
            "kubernetes.io%2Fservice-name%3Dechoes")["items"] if s["endpoints"] and s["addressType"] == "IPv4"])
        self.assertEqual({(p["protocol"], p["port"]) for p in slices[0]["ports"]}, set(ports.items()))
        for where in ((address, 5300), (self.cluster.get("/api/v1/namespaces/default/pods/echoes")["status"]["podIP"], None)):
            with self.subTest(where):
                self.assertEqual(self.cluster.until("TCP", lambda w=where: talk(w[0], w[1] or 3000, b"PING\n")),
                                 b"Gateway API Test TCP Server\nPONG\n")
                self.assertIn(b'"request":"hello"', self.cluster.until(
                    "UDP", lambda w=where: datagram(w[0], w[1] or 8080, b"hello")))

    def test_a_container_that_ends_is_started_again_after_a_back_off(self):
        self.assertEqual(
            self.cluster.until("log", lambda: self.cluster.kubectl(
                "logs", "deployment/crashing", "--tail=1")).strip(), "here I am")
        status = self.cluster.until("back-off", lambda: (
            s := self.pods("crashing")[0]["status"]["containerStatuses"][0])["restartCount"] and s)
        self.assertEqual(status["lastState"]["terminated"]["exitCode"], 3)

    def privileges(self, name, container=None, pod=None):
        """What the kernel says of a process in a container with these security contexts: {field: words}."""
        path = self.make_pod(name, {"image": "shell", "args": ["-c", "cat /proc/self/status"],
                                    "securityContext": container or {}},
                             securityContext=pod or {}, restartPolicy="Never")
        self.phase(path, "Succeeded")
        lines = self.cluster.kubectl("logs", name).splitlines()
        return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}

    def test_a_process_has_the_user_groups_and_capabilities_that_are_asked_for_and_no_more(self):
        with open("/proc/self/status", encoding="utf-8") as file:  # no container has what the machine lacks
            machine = int(next(line for line in file if line.startswith("CapBnd")).split()[1], 16)
        usual, bind = 0xa80425fb, 1 << 10  # of container runtimes; CAP_NET_BIND_SERVICE
        restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        user = {"runAsUser": 65532, "runAsGroup": 65533, "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"}}
        for name, container, pod, expected in (
                ("usual", {}, {}, ("0", "0", {"0"}, usual, usual, "0")),
                ("root-with-one", {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}, {},
                 ("0", "0", {"0"}, bind, bind, "0")),
                ("root-without-one", {"capabilities": {"drop": ["NET_BIND_SERVICE"]}}, {},
                 ("0", "0", {"0"}, usual - bind, usual - bind, "0")),
                ("privileged", {"privileged": True}, {}, ("0", "0", {"0"}, machine, machine, "0")),
                ("user", {}, {"runAsUser": 7}, ("7", "0", {"0"}, 0, usual, "0")),
                ("own-user", {"runAsUser": 8, "runAsGroup": 9}, user, ("8", "9", {"9"}, 0, usual, "0")),
                ("restricted", restricted, user, ("65532", "65533", {"65533"}, 0, 0, "1")),
                ("groups", restricted, {**user, "fsGroup": 11, "supplementalGroups": [12, 13]},
                 ("65532", "65533", {"65533", "11", "12", "13"}, 0, 0, "1"))):
            with self.subTest(name):
                uid, gid, groups, effective, bounding, no_new = expected
                found = self.privileges(name, container, pod)
                self.assertEqual(found["Uid"], [uid] * 4)
                self.assertEqual(found["Gid"], [gid] * 4)
                self.assertEqual(set(found["Groups"]), groups)
                self.assertEqual([int(found[s][0], 16) for s in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")],
                                 [effective & machine, effective & machine, bounding & machine, 0, 0])
                self.assertEqual(found["NoNewPrivs"], [no_new])

    def test_a_container_that_would_run_as_root_against_its_will_does_not_start(self):
        path = self.make_pod("no-root", {"image": "shell", "args": ["-c", "true"]},
                             securityContext={"runAsNonRoot": True})
        waiting = self.cluster.until("it is refused", lambda: self.cluster.get(path)["status"][
            "containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError" and
            self.cluster.get(path)["status"]["containerStatuses"][0]["state"]["waiting"])
        self.assertIn("runAsNonRoot", waiting["message"])

    def test_a_read_only_root_can_be_written_nowhere_but_on_volumes(self):
        script = "for d in / /etc /usr /var /home; do ! touch $d/new 2>/dev/null || exit 1; done; touch /scratch/new"
        for name, user in (("read-only-for-root", 0), ("read-only", 65532)):
            path = self.make_pod(
                name, {"image": "shell", "args": ["-c", script],
                       "securityContext": {"readOnlyRootFilesystem": True, "runAsUser": user},
                       "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
                restartPolicy="Never", volumes=[{"name": "scratch", "emptyDir": {}}])
            with self.subTest(name):
                self.phase(path, "Succeeded")

    def test_volumes_belong_to_the_group_of_the_pod_and_are_in_memory_if_asked(self):
        script = ("set -ex; test $(stat -c %g /scratch) = 4711; touch /scratch/new; test $(stat -c %g /scratch/new) = 4711; "
                  "test $(stat -f -c %T /scratch) = tmpfs; test $(df --output=size -B1 /scratch | tail -n 1) = 1048576; "
                  "cat /secret/word; test $(stat -L -c %a:%g /secret/word) = 440:4711")
        path = self.make_pod(
            "grouped", {"image": "shell", "args": ["-c", script],
                        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"},
                                         {"name": "secret", "mountPath": "/secret"}]},
            securityContext={"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 4711}, restartPolicy="Never",
            volumes=[{"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                     {"name": "secret", "secret": {"secretName": "hidden", "defaultMode": 0o400}}])
        self.phase(path, "Succeeded")

    def test_a_port_below_1024_needs_a_capability_or_a_setting_of_the_pod(self):
        script = "import socket; socket.create_server(('', 80))"
        nobody = {"runAsUser": 65532}
        for name, pod, ended in (
                ("low-port", nobody, "Failed"), ("low-port-of-root", {}, "Succeeded"),
                ("low-port-by-setting", {**nobody, "sysctls": [
                    {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}, "Succeeded")):
            with self.subTest(name):
                self.phase(self.make_pod(name, {"image": "python", "args": ["-c", script]}, securityContext=pod,
                                         restartPolicy="Never"), ended)

    def test_the_api_server_keeps_pods_out_of_a_restricted_namespace_that_ask_for_more(self):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
        self.assertEqual(self.cluster.request("POST", "/api/v1/namespaces", namespace)[0], 201)
        self.addCleanup(lambda: self.cluster.request("DELETE", "/api/v1/namespaces/restricted"))
        self.cluster.until("its account", lambda: self.cluster.get(
            "/api/v1/namespaces/restricted/serviceaccounts/default"))
        context = {"runAsNonRoot": True, "runAsUser": 65532, "allowPrivilegeEscalation": False,
                   "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
        for missing in (None, *sorted(set(context) - {"runAsUser"})):
            with self.subTest(missing):
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kept-out"}, "spec": {
                    "containers": [{"name": "one", "image": "shell", "args": ["-c", "true"], "securityContext": {
                        key: value for key, value in context.items() if key != missing}}]}}
                status, answer = self.cluster.request("POST", "/api/v1/namespaces/restricted/pods?dryRun=All", pod)
                self.assertEqual(status, 403 if missing else 201, answer)
                if missing:
                    self.assertIn("violates PodSecurity", answer["message"])

    def test_hooks_run_before_a_container_gets_its_signal(self):
        shared = {"name": "shared", "mountPath": "/shared"}
        script = ("import signal, sys\n"
                  "def end(*_):\n open('/shared/log', 'a').write('signal\\n'); sys.exit(0)\n"
                  "signal.signal(signal.SIGTERM, end)\n"
                  "open('/shared/up', 'w').close()\n"
                  "while True: signal.pause()\n")
        path = self.make_pod(
            "hooked",
            {"image": "python", "args": ["-c", script], "volumeMounts": [shared],
             "readinessProbe": {"exec": {"command": ["test", "-e", "/shared/up"]}},
             "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo hook >>/shared/log"]}}}},
            volumes=[{"name": "shared", "hostPath": {"path": self.cluster.dir}}])
        self.cluster.wait("pod/hooked", "Ready")
        self.assertEqual(self.cluster.inside("default/hooked", "uname", "-n").strip(), "hooked")
        self.cluster.request("DELETE", path)
        self.cluster.until("the Pod is gone", lambda: self.cluster.request("GET", path)[0] == 404)
        with open(os.path.join(self.cluster.dir, "log"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "hook\nsignal\n")

    def test_the_api_server_dies_comes_back_and_etcd_forgets(self):
        listed = self.cluster.get("/api/v1/namespaces/default/configmaps")
        since = listed["metadata"]["resourceVersion"]
        self.cluster.kubectl("annotate", "configmap", "settings", "turn=1", "--overwrite")
        self.cluster.fault("stop", "kube-apiserver")
        with self.assertRaises(OSError):
            self.cluster.connect(5).request("GET", "/readyz")
        self.cluster.fault("compact")
        self.cluster.fault("start", "kube-apiserver")
        event = next(self.cluster.watch("/api/v1/configmaps", since))
        self.assertEqual((event["type"], event["object"]["code"]), ("ERROR", 410))
        self.assertEqual(fetch(), "blue")

    def api_connection(self):
        """A connection to the API server as Pods make it: through its Service."""
        return socket.create_connection(("10.96.0.1", 443), timeout=10)

    def test_connections_through_a_service_can_be_cut_frozen_refused_and_lost(self):
        with self.api_connection() as one:
            self.cluster.until("forwarded", lambda: "0 connections\n" != self.cluster.fault(
                "cut", "default/kubernetes"))
            with self.assertRaises(ConnectionResetError):
                one.recv(1)
        self.addCleanup(self.cluster.fault, "mend", "default/kubernetes")
        self.cluster.fault("refuse", "default/kubernetes")
        with self.assertRaises(ConnectionResetError), self.api_connection() as one:
            one.recv(1)
        self.cluster.fault("freeze", "default/kubernetes")
        hello = b"GET / HTTP/1.1\r\n\r\n"  # the API server answers this in plain text
        with self.api_connection() as one:
            one.sendall(hello)
            one.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                one.recv(1)
            self.cluster.fault("mend", "default/kubernetes")
            one.settimeout(10)
            self.assertTrue(one.recv(1).startswith(b"H"))
        with self.api_connection() as one:
            self.cluster.until("forwarded", lambda: "0 connections\n" != self.cluster.fault(
                "vanish", "default/kubernetes"))
            one.settimeout(0.5)
            with self.assertRaises(TimeoutError):  # silence, until we send something
                one.recv(1)
            one.sendall(hello)
            one.settimeout(10)
            with self.assertRaises(ConnectionResetError):
                one.recv(1)

    def test_requests_of_pods_are_in_the_audit_log_and_refused_ones_are_marked(self):
        script = ("account=/var/run/secrets/kubernetes.io/serviceaccount; curl -s --cacert $account/ca.crt "
                  "-H \"Authorization: Bearer $(cat $account/token)\" "
                  "https://kubernetes.default.svc/api/v1/secrets")
        self.phase(self.make_pod("curious", {"image": "shell", "args": ["-c", script]},
                                 restartPolicy="Never"), "Succeeded")
        events = self.cluster.until("audit event", lambda: [
            e for e in harness.denied(self.cluster.audit(ACCOUNT))
            if e["objectRef"]["resource"] == "secrets"])
        self.assertEqual((events[0]["verb"], events[0]["responseStatus"]["code"]), ("list", 403))

    def test_tokens_can_be_renewed_while_a_pod_runs(self):
        token = ["cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"]
        self.make_pod("renewed", {"image": "shell", "args": ["-c", "sleep 1000"]})
        self.cluster.wait("pod/renewed", "Ready")
        before = self.cluster.inside("default/renewed", *token)
        time.sleep(1.1)  # a token made within the same second is the same one
        self.cluster.fault("renew-tokens")
        self.assertNotEqual(self.cluster.inside("default/renewed", *token), before)

    def test_a_pod_that_ends_serves_on_until_it_has_drained(self):
        script = ("import http.server, signal, threading\n"
                  "server = http.server.HTTPServer(('', 80), http.server.SimpleHTTPRequestHandler)\n"
                  "signal.signal(signal.SIGTERM, lambda *_: threading.Timer(3, server.shutdown).start())\n"
                  "server.serve_forever()\n")
        path = self.make_pod(
            "draining", {"image": "python", "args": ["-c", script],
                         "readinessProbe": {"httpGet": {"port": 80, "path": "/"}, "periodSeconds": 1}})
        self.cluster.wait("pod/draining", "Ready")
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "draining"},
                   "spec": {"selector": {"app": "draining"}, "ports": [{"port": 80}]}}
        self.cluster.request("POST", "/api/v1/namespaces/default/services", service)
        self.addCleanup(lambda: self.cluster.request(
            "DELETE", "/api/v1/namespaces/default/services/draining"))
        slices = ("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
                  "?labelSelector=kubernetes.io%2Fservice-name%3Ddraining")

        def conditions():
            return self.cluster.get(slices)["items"][0]["endpoints"][0]["conditions"]

        self.cluster.until("endpoint", lambda: conditions()["ready"])
        self.cluster.request("DELETE", path)
        self.cluster.until("terminating", lambda: conditions() == {
            "ready": False, "serving": True, "terminating": True}, seconds=2)

    def test_the_nodes_hardware_address_does_not_change_with_its_pods(self):
        with socket.socket() as any_socket:  # SIOCGIFHWADDR
            found = fcntl.ioctl(any_socket, 0x8927, struct.pack("16s16x", b"pods"))
        self.assertEqual(found[18:24].hex(), "02000a4d0001")

    def test_a_killed_cluster_leaves_nothing_behind(self):
        with harness.Cluster(crds=None) as other:
            with open(os.path.join(other.dir, "node.pid"), encoding="utf-8") as file:
                node = int(file.read())
            other._process.kill()  # pylint: disable=protected-access
            other.until("the node is gone", lambda: not os.path.exists(f"/proc/{node}"))
        mounts = subprocess.run(["grep", "-c", other.dir, "/proc/self/mounts"], capture_output=True,
                                text=True, check=False)
        self.assertEqual(mounts.stdout.strip(), "0")


if __name__ == "__main__":
    unittest.main()
