# SPDX-License-Identifier: Apache-2.0
"""Every manifest of the official conformance suite's tests/ gets the statuses that its test expects.

Each expect/NAME.yaml belongs to tests/NAME.yaml of the module and has two parts:
  expect: from "Kind namespace/name" to its status, in short form: conditions as "True Reason",
          listeners and parents with theirs, `sets` how many ListenerSets a Gateway has. All objects
          whose status the manifest brings or changes.
  steps:  what the Go test changes on the way: `merge`, from object to a JSON merge patch, `anchors`,
          ConfigMaps with trust anchors that it makes, or `remove`; and the statuses that differ after
          that.
A file of the module without expectations fails, and so does the other way round.

  manifests_test.py show NAME     prints what the translator says, in the form of expect/
"""
import copy
import glob
import json
import os
import subprocess
import sys
import unittest

import yaml

import go_module

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get("HYPERWAY_BUILD_DIR",
                                       os.path.join(HERE, "../../build/release")))
EXPECT = os.path.join(HERE, "expect")
INFRA, WEB, APP = (f"gateway-conformance-{name}" for name in ("infra", "web-backend", "app-backend"))

# Made by the suite when it starts. Only the frame of a PEM file matters here.
PEM = "-----BEGIN {0}-----\naGVsbG8=\n-----END {0}-----\n"
SUITE_SECRETS = [
    (WEB, "certificate"), (INFRA, "tls-validity-checks-certificate"),
    (INFRA, "tls-validity-checks-client-certificate"),
    (INFRA, "tls-validity-checks-per-port-client-certificate"), (INFRA, "tls-checks-certificate"),
    (INFRA, "tls-checks-client-certificate"), (INFRA, "tls-passthrough-checks-certificate"),
    (APP, "tls-passthrough-checks-certificate"), (INFRA, "tls-terminate-checks-certificate"),
]
SUITE_CONFIG_MAPS = [
    (WEB, "web-backend-cm"), (INFRA, "tls-validity-checks-ca-certificate"),
    (INFRA, "tls-validity-checks-per-port-ca-certificate"), (INFRA, "tls-checks-ca-certificate"),
    (INFRA, "mismatch-ca-certificate"),
]
# Replaced by what the runner's options name. The usable address is in translate_manifests' pool.
PLACEHOLDERS = {"{GATEWAY_CLASS_NAME}": "hyperway",
                "{GATEWAY_CONTROLLER_NAME}": "hyperway.arloor.dev/gateway-controller",
                "PLACEHOLDER_USABLE_ADDRS": "127.1.0.250",
                "PLACEHOLDER_UNUSABLE_ADDRS": "127.9.9.9"}


def config_map(namespace, name, anchors):
    """A ConfigMap with trust anchors."""
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace}, "data": {"ca.crt": anchors}}


def suite_objects():
    """What is there before any test: the class, the secrets and the trust anchors."""
    yield {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
           "metadata": {"name": "hyperway"},
           "spec": {"controllerName": "hyperway.arloor.dev/gateway-controller"}}
    for namespace, name in SUITE_SECRETS:
        yield {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
               "metadata": {"name": name, "namespace": namespace},
               "stringData": {"tls.crt": PEM.format("CERTIFICATE"),
                              "tls.key": PEM.format("PRIVATE KEY")}}
    for namespace, name in SUITE_CONFIG_MAPS:
        yield config_map(namespace, name, PEM.format("CERTIFICATE"))


def read_manifest(path):
    """The objects of a manifest of the suite, its placeholders filled in."""
    with open(path, encoding="utf-8") as text:
        text = text.read()
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    return [document for document in yaml.safe_load_all(text) if document]


def key_of(obj):
    """"Kind namespace/name" of an object."""
    return f"{obj['kind']} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def merged(target, patch):
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        out[name] = merged(out.get(name), value)
        if value is None:
            del out[name]
    return out


class World:
    """One translator, and the objects that it was given."""

    def __init__(self):
        self.process = subprocess.Popen([os.path.join(BUILD, "tests", "translate_manifests")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.objects = {}

    def close(self):
        """Ends the process; it must have ended well."""
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()

    def send(self, obj, text):
        group = obj["apiVersion"].rpartition("/")[0]
        meta = obj["metadata"]
        self.process.stdin.write("\t".join(["put", group, obj["kind"], meta.get("namespace", ""),
                                            meta["name"], text]) + "\n")

    def put(self, obj):
        """Creates or replaces; counts generations as an API server does."""
        obj = copy.deepcopy(obj)
        old = self.objects.get(key_of(obj))
        obj["metadata"]["generation"] = 1 if old is None else old["metadata"]["generation"] + 1
        self.objects[key_of(obj)] = obj
        self.send(obj, json.dumps(obj))

    def change(self, step):
        """Applies a step of an expectation."""
        for key, patch in (step.get("merge") or {}).items():
            self.put(merged(self.objects[key], patch))
        for namespace, name in step.get("anchors") or []:
            self.put(config_map(namespace, name, PEM.format("CERTIFICATE")))
        for key in step.get("remove") or []:
            self.send(self.objects.pop(key), "")

    def show(self):
        """All statuses, in short form. Checks what holds for each: generations and messages."""
        self.process.stdin.write("show\n")
        self.process.stdin.flush()
        statuses = json.loads(self.process.stdout.readline())
        return {key: self.shorten(key, status) for key, status in statuses.items()}

    def shorten(self, key, status):
        generation = self.objects[key]["metadata"]["generation"]

        def conditions(part):
            out = {}
            for condition in part["conditions"]:
                assert condition["observedGeneration"] == generation, (key, condition)
                assert condition["type"] not in out, (key, condition)
                assert condition["message"] or condition["status"] != "False" or \
                    condition["reason"] == "NoConflicts", (key, condition)
                out[condition["type"]] = f"{condition['status']} {condition['reason']}"
            return out

        short = conditions(status) if "conditions" in status else {}
        if "addresses" in status:
            short["addresses"] = len(status["addresses"])
        if "attachedListenerSets" in status:
            short["sets"] = status["attachedListenerSets"]
        if "listeners" in status:
            short["listeners"] = {}
            for listener in status["listeners"]:
                kinds = [kind["kind"] for kind in listener["supportedKinds"]]
                short["listeners"][listener["name"]] = {
                    "kinds": kinds, "attached": listener["attachedRoutes"], **conditions(listener)}
        if "parents" in status:
            short["parents"] = {}
            for parent in status["parents"]:
                assert parent["controllerName"] == "hyperway.arloor.dev/gateway-controller"
                ref = parent["parentRef"]
                name = ref["name"] + (" " + ref["sectionName"] if "sectionName" in ref else "")
                name += f" :{ref['port']}" if "port" in ref else ""
                short["parents"][name] = conditions(parent)
        if "ancestors" in status:
            short["ancestors"] = {}
            for ancestor in status["ancestors"]:
                assert ancestor["controllerName"] == "hyperway.arloor.dev/gateway-controller"
                ref = ancestor["ancestorRef"]
                assert (ref["group"], ref["kind"]) == ("gateway.networking.k8s.io", "Gateway"), ref
                name = f"{ref['namespace']}/{ref['name']}"
                short["ancestors"][name] = conditions(ancestor)
        return short


def difference(old, new):
    """Statuses of `new` that are not the same in `old`, and null for those that are gone."""
    out = {key: status for key, status in new.items() if old.get(key) != status}
    out.update({key: None for key in old if key not in new})
    return out


def module_root():
    """The module's files, in the build tree."""
    return go_module.ensure(os.path.join(HERE, "module.sum"),
                            os.path.join(BUILD, "conformance_manifests"))


def play(root, name, steps):
    """Statuses that the manifest `name` brings, and after each step those that changed."""
    world = World()
    try:
        for obj in list(suite_objects()) + read_manifest(os.path.join(root, "base/manifests.yaml")):
            world.put(obj)
        before = world.show()
        for obj in read_manifest(os.path.join(root, "tests", name + ".yaml")):
            world.put(obj)
        now = world.show()
        results = [difference(before, now)]
        for step in steps:
            world.change(step)
            before, now = now, world.show()
            results.append(difference(before, now))
        return results
    finally:
        if world.close() != 0:
            raise RuntimeError("translate_manifests ended with an error")


def names_in(folder):
    """Names of the manifests in a folder."""
    return {os.path.basename(path)[:-len(".yaml")] for path in glob.glob(os.path.join(folder, "*.yaml"))}


class Manifests(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.root = module_root()

    def test_every_manifest_has_expectations(self):
        self.assertEqual(names_in(os.path.join(self.root, "tests")), names_in(EXPECT))

    def test_another_hash_is_refused(self):
        path = os.path.join(BUILD, "conformance_manifests", "other.sum")
        module, version, _ = go_module.read_sum(os.path.join(HERE, "module.sum"))
        with open(path, "w", encoding="utf-8") as out:
            out.write(f"{module} {version} h1:{'A' * 43}=\n")
        with self.assertRaisesRegex(RuntimeError, "has the hash"):
            go_module.ensure(path, os.path.join(BUILD, "conformance_manifests"))

    def check(self, name):
        with open(os.path.join(EXPECT, name + ".yaml"), encoding="utf-8") as text:
            expected = yaml.safe_load(text)
        steps = expected.get("steps") or []
        results = play(self.root, name, steps)
        self.assertEqual(expected["expect"] or {}, results[0])
        for number, (step, result) in enumerate(zip(steps, results[1:])):
            self.assertEqual(step["expect"] or {}, result, f"after step {number + 1}")


def add_cases():
    """One case for each expectation, named for the manifest."""
    for name in sorted(names_in(EXPECT)):
        def case(self, name=name):
            self.check(name)
        setattr(Manifests, "test_" + name.replace("-", "_"), case)


add_cases()

if __name__ == "__main__" and sys.argv[1:2] == ["show"]:
    print(yaml.safe_dump({"expect": play(module_root(), sys.argv[2], [])[0]}, sort_keys=False, width=100,
                         default_flow_style=None), end="")
elif __name__ == "__main__":
    unittest.main()
