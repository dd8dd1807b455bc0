# SPDX-License-Identifier: Apache-2.0
"""A cluster of tests/cluster for system tests in Python.

    with Cluster(apply=["deploy/..."]) as cluster:
        cluster.enter_network()
        cluster.wait("deployment/web", "Available", namespace="default")

The test process itself can step into the cluster's network, where Pods, Services and the API server have
their addresses. Nothing waits by sleeping for a fixed time; what waits says after which time it gives up.
"""
import base64
import contextlib
import ctypes
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.parse

import yaml

import rights

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build/cluster")  # see build.sh
API = ("10.77.0.1", 6443)
CLONE_NEWNET = 0x40000000
IDLE = 30  # seconds, of a connection
TESTER = "tests of rights"


class ClusterError(AssertionError):
    """The cluster did not do what was asked for."""


class Cluster:
    """One cluster, from `with` to its end, in a folder of its own.

    `images` are the image map's entries beside those of images.yaml (README.md says what they look
    like); `apply` are manifest files or folders; `suite` is the version of the official suite whose
    resource definitions and backends are used. The folder is kept if `with` ends by an exception, or if
    HYPERWAY_KEEP_CLUSTER is set.
    """

    def __init__(self, apply=(), images=(), suite="1.7.0", crds="experimental",
                 hyperway=os.path.join(ROOT, "build/release")):
        self.binary = os.path.join(BUILD, "cluster")
        self.suite = os.path.join(BUILD, "suite-" + suite)
        self.dir = None
        self._images = list(images)
        self._apply = ([os.path.join(self.suite, "crds", crds)] if crds else []) + list(apply)
        self._hyperway = hyperway
        self._process = None
        self._home = None
        self._connection, self._asked = None, 0.0

    def __enter__(self):
        if not os.path.exists(self.binary):
            raise ClusterError(f"{self.binary} is not built: ./dev cluster builds it")
        self.dir = tempfile.mkdtemp(prefix="hyperway-cluster-")
        mine = os.path.join(self.dir, "images.yaml")
        with open(mine, "w", encoding="utf-8") as file:
            yaml.safe_dump({"images": self._images}, file)
        command = [self.binary, "up", "--dir", self.dir, "--images", mine,
                   "--images", os.path.join(HERE, "images.yaml")]
        for path in self._apply:
            command += ["--apply", os.path.join(ROOT, path)]
        environment = dict(os.environ, SUITE=self.suite, HYPERWAY=self._hyperway, HERE=HERE)
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        if not self._process.stdout.readline().startswith("cluster ready"):
            status, log = self._process.wait(), os.path.join(self.dir, "logs/node.log")
            if not os.path.exists(log):
                raise ClusterError(f"the cluster program ended with {status} at once; what it said is above")
            with open(log, encoding="utf-8") as file:
                raise ClusterError("the cluster did not start:\n" + file.read()[-4000:])
        return self

    def __exit__(self, kind, *_):
        self._disconnect()
        self.leave_network()
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()
        if kind is None and not os.environ.get("HYPERWAY_KEEP_CLUSTER"):
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print(f"the cluster's logs are in {self.dir}")

    # -- commands ----------------------------------------------------------------------------------

    def run(self, *command, text_in=None, check=True):
        """Output of a command of the cluster program; without `check` the finished process."""
        done = subprocess.run([self.binary, command[0], "--dir", self.dir, *command[1:]], text=True,
                              input=text_in, capture_output=True, check=False)
        if not check:
            return done
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def kubectl(self, *arguments, text_in=None):
        """Output of kubectl."""
        return self.run("kubectl", *arguments, text_in=text_in)

    def apply(self, manifest):
        """Applies a manifest given as text."""
        return self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text_in=manifest)

    def wait(self, what, condition, namespace="default", seconds=60):
        """Waits for a condition of an object, as `kubectl wait` does."""
        return self.kubectl("wait", f"--for=condition={condition}", what, "-n", namespace,
                            f"--timeout={seconds}s")

    def inside(self, pod, *program):
        """Output of a program in a Pod's container; `pod` is NAMESPACE/POD or .../CONTAINER."""
        return self.run("exec", "--pod", pod, "--", *program)

    def on_node(self, *program):
        """The finished process of a program of this machine that sees the node's processes and mounts."""
        with open(os.path.join(self.dir, "node.pid"), encoding="utf-8") as file:
            node = file.read().strip()
        return subprocess.run(["nsenter", "--target", node, "--pid", "--mount", "--", *program], capture_output=True,
                              text=True, check=False)

    def fault(self, verb, argument=""):
        """Does something to the cluster: the verbs are those of `cluster fault`."""
        self._disconnect()
        return self.run("fault", verb, *([argument] if argument else []))

    # -- network -----------------------------------------------------------------------------------

    def enter_network(self):
        """Puts this thread, and those that it starts from now on, into the cluster's network."""
        with open(os.path.join(self.dir, "node.pid"), encoding="utf-8") as file:
            pid = int(file.read())
        if self._home is None:
            self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        _set_network(namespace)
        os.close(namespace)

    def leave_network(self):
        """Puts this thread back where it was."""
        if self._home is not None:
            _set_network(self._home)
            os.close(self._home)
            self._home = None

    # -- the API server, as its administrator (needs enter_network) ----------------------------------

    def connect(self, timeout=30):
        """A new connection to the API server."""
        context = ssl.create_default_context(cafile=os.path.join(self.dir, "pki/ca.crt"))
        context.load_cert_chain(os.path.join(self.dir, "pki/admin.crt"),
                                os.path.join(self.dir, "pki/admin.key"))
        return http.client.HTTPSConnection(*API, context=context, timeout=timeout)

    def _disconnect(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(self, method, path, body=None, content="application/json"):
        """Status and object that the API server answers with; one connection is kept for this, unless it was idle so
        long that the server may be closing it."""
        if time.monotonic() > self._asked + IDLE:
            self._disconnect()
        self._asked = time.monotonic()
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = self.connect()
            try:
                self._connection.request(method, path, json.dumps(body) if body is not None else None,
                                         {"Content-Type": content})
                answer = self._connection.getresponse()
                text = answer.read()
                return answer.status, json.loads(text) if text else None
            except (OSError, http.client.HTTPException):
                self._disconnect()
                if attempt == 2 or method == "POST":
                    raise
        raise AssertionError("not reached")

    def token(self, namespace, account):
        """A token of a ServiceAccount, as its Pods have them."""
        status, answer = self.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
                                      {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        if status != 201:
            raise ClusterError(f"no token of {namespace}/{account}: {status} {answer}")
        return answer["status"]["token"]

    def status_for(self, token, method, path):
        """The status that the API server answers with to whoever has a token; what is sent is an empty object. In the audit
        log the request has the user agent TESTER."""
        context = ssl.create_default_context(cafile=os.path.join(self.dir, "pki/ca.crt"))
        with contextlib.closing(http.client.HTTPSConnection(*API, context=context, timeout=30)) as connection:
            connection.request(method, path, None if method in ("GET", "DELETE") else "{}", {
                "Authorization": "Bearer " + token, "User-Agent": TESTER, "Content-Type":
                    "application/merge-patch+json" if method == "PATCH" else "application/json"})
            return connection.getresponse().status

    def get(self, path):
        """An object, which must be there."""
        status, answer = self.request("GET", path)
        if status != 200:
            raise ClusterError(f"GET {path}: {status} {answer}")
        return answer

    def watch(self, path, since=None, timeout=60):
        """Events of a watch, as they come: dictionaries with type and object."""
        query = {"watch": "true", "allowWatchBookmarks": "true"}
        if since is not None:
            query["resourceVersion"] = since
        connection = self.connect(timeout)
        connection.request("GET", f"{path}?{urllib.parse.urlencode(query)}")
        answer = connection.getresponse()
        try:
            while line := answer.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def until(self, what, look, seconds=30, pause=0.05):
        """What `look` returns, as soon as that is something; errors of it count as not yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found, why = look(), "it is not so"
            except (OSError, ClusterError, http.client.HTTPException, KeyError, IndexError) as error:
                found, why = None, repr(error)
            if found:
                return found
            if time.monotonic() > deadline:
                raise ClusterError(f"after {seconds} s still not: {what} ({why})")
            time.sleep(pause)

    def settle(self, look, quiet=3, seconds=90):
        """Waits until what `look` returns has been the same for `quiet` seconds, and returns it."""
        seen, since = look(), time.monotonic()

        def same():
            nonlocal seen, since
            if (now := look()) != seen:
                seen, since = now, time.monotonic()
            return time.monotonic() - since > quiet
        self.until("nothing goes on", same, seconds, pause=0.2)
        return seen

    # -- what has happened -------------------------------------------------------------------------

    def audit(self, user=None):
        """Events of the API server's audit log: all but what the administrator has only read."""
        with open(os.path.join(self.dir, "logs/audit.log"), encoding="utf-8") as log:
            events = [json.loads(line) for line in log if line.endswith("\n")]
        return [e for e in events if user is None or e["user"].get("username") == user]

    def log(self, component):
        """The log of a component: node, etcd, kube-apiserver, kube-controller-manager."""
        with open(os.path.join(self.dir, "logs", component + ".log"), encoding="utf-8") as file:
            return file.read()

    def secret(self, namespace, name):
        """The data of a Secret, decoded."""
        data = self.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}


def denied(events):
    """Those audit events whose request RBAC has refused."""
    return [e for e in events if rights.is_denied(e)]


def _set_network(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
