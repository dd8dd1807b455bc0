# SPDX-License-Identifier: Apache-2.0
"""The chart, by the real helm and without a cluster: what it makes of which values."""
import os
import re
import unittest

import yaml

import chart

RBAC = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


def plain(path):
    """The objects of a manifest."""
    return [document for document in yaml.safe_load_all(chart.read(path)) if document]


def rights(documents):
    """{(kind, namespace, name): rules, or role and subjects} of all that is RBAC, without labels."""
    found = {}
    for document in documents:
        if document["kind"] in RBAC:
            meta = document["metadata"]
            content = document.get("rules") or (document["roleRef"], document["subjects"])
            found[document["kind"], meta.get("namespace"), meta["name"]] = content
    return found


def pod_specs(documents):
    """(name, spec) of the Pods of all Deployments."""
    for document in documents:
        if document["kind"] == "Deployment":
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def manifests():
    """The plain files that have Deployments."""
    folder = os.path.join(chart.ROOT, "deploy")
    return [f"deploy/{name}" for name in sorted(os.listdir(folder))
            if name.endswith(".yaml") and "kind: Deployment" in chart.read(f"deploy/{name}")]


class Chart(unittest.TestCase):
    """Each mode with its defaults, and some values."""

    def test_lint_finds_nothing(self):
        for name, values in chart.GOLDEN.items():
            with self.subTest(name):
                given = ["--values", values] if isinstance(values, str) else ["--set", "mode=" + values["mode"]]
                done = chart.helm("lint", "--strict", chart.CHART, "--kube-version", "1.37.0", *given)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("0 chart(s) failed", done.stdout)

    def test_each_mode_renders_as_its_golden_file(self):
        self.maxDiff = None
        for name, values in chart.GOLDEN.items():
            with self.subTest(name, renew="tests/helm/chart.py renew"):
                done = chart.template(values)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(chart.HEAD + done.stdout, chart.read(chart.golden(name)))

    def test_its_versions_are_those_of_the_project(self):
        about = yaml.safe_load(chart.read("deploy/helm/hyperway/Chart.yaml"))
        version = chart.read("VERSION").strip()
        self.assertEqual((about["version"], about["appVersion"]), (version, version))
        for path in manifests():
            with self.subTest(path):
                images = {container["image"] for _, spec in pod_specs(plain(path)) for container in spec["containers"]}
                ours = {image for image in images if image.split(":")[0].endswith("hyperway")}
                self.assertLessEqual(ours, {f"hyperway:{version}"})

    def test_rights_are_those_of_the_plain_files(self):
        for mode, path in chart.RIGHTS.items():
            with self.subTest(mode):
                self.assertEqual(rights(chart.render({"mode": mode})), rights(plain(path)))

    def test_definitions_are_those_of_the_plain_files(self):
        rendered = {document["metadata"]["name"]: document for document in chart.render({"mode": "snapshot-shared"})
                    if document["kind"] == "CustomResourceDefinition"}
        for copy, path in chart.DEFINITIONS.items():
            with self.subTest(copy, renew="tests/helm/chart.py renew"):
                self.assertEqual(chart.read(os.path.join(chart.CHART, copy)), chart.read(path))
                wanted = plain(path)[0]
                self.assertEqual(rendered[wanted["metadata"]["name"]]["spec"], wanted["spec"])

    def test_definitions_stay_unless_told_otherwise_and_can_be_left_out(self):
        def annotations(**crds):
            return [document["metadata"].get("annotations") for document in chart.render({"crds": crds})
                    if document["kind"] == "CustomResourceDefinition"]
        self.assertEqual(annotations(), [{"helm.sh/resource-policy": "keep"}])
        self.assertEqual(annotations(keep=False), [None])
        self.assertEqual(annotations(install=False), [])

    def test_every_pod_is_as_restricted_as_can_be(self):
        everything = [(name, chart.render(values)) for name, values in chart.GOLDEN.items()]
        for source, documents in everything + [(path, plain(path)) for path in manifests()]:
            for name, spec in pod_specs(documents):
                for container in spec["containers"] + spec.get("initContainers", []):
                    if container["name"] in ("beside", "backend"):  # not ours
                        continue
                    with self.subTest(source, deployment=name, container=container["name"]):
                        merged = {**spec["securityContext"], **container["securityContext"]}
                        self.assertEqual(merged, {
                            "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532,
                            "seccompProfile": {"type": "RuntimeDefault"}, "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})

    def test_what_is_not_a_value_is_refused_and_named(self):
        for values, named in (
                ({"replicas": 2}, "replicas"), ({"dataPlane": {"replica": 2}}, "replica"),
                ({"image": {"name": "x"}}, "name"), ({"mode": "fast"}, "mode"),
                ({"dataPlane": {"replicas": "two"}}, "replicas"), ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
                ({"service": {"ports": [{"name": "http", "port": 80, "targetPort": 80}]}}, "targetPort"),
                ({"gatewayServices": {"targetPorts": "10000"}}, "targetPorts"), ({"image": {"digest": "latest"}}, "digest"),
                ({"controllerName": "no-slash"}, "controllerName"), ({"plugins": {"files": [{"path": "/x.so"}]}}, "name"),
                ({"sidecar": {"service": "no-namespace"}}, "service"), ({"drain": {"delaySeconds": -1}}, "delaySeconds")):
            with self.subTest(values):
                done = chart.template(values)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(named, done.stderr)

    def test_every_value_is_in_schema_and_documents(self):
        def paths(values, schema, path=""):
            for key, value in values.items():
                self.assertIn(key, schema["properties"], path)
                inner = schema["properties"][key]
                self.assertTrue(inner.get("description"), path + key)
                if "properties" in inner:
                    self.assertEqual(inner.get("additionalProperties"), False, path + key)
                    self.assertEqual(set(inner["properties"]), set(value), path + key)
                    paths(value, inner, f"{path}{key}.")
        paths(chart.default_values(), chart.schema())
        self.assertEqual(chart.read("docs/helm.md"), chart.documented(), "renew: tests/helm/chart.py renew")

    def test_the_users_configuration_wins(self):
        maps = {document["metadata"]["name"]: document["data"] for document in chart.render(
            {"config": {"drain": {"delay": "9s"}, "limits": {"connections": 1000000}}}) if document["kind"] == "ConfigMap"}
        made = yaml.safe_load(maps["hyperway"]["hyperway.yaml"])
        self.assertEqual(made["drain"], {"delay": "9s", "deadline": "30s"})
        self.assertEqual(made["limits"], {"connections": 1000000})

    def test_defaults_configure_what_the_plain_files_do(self):
        def settings(documents):
            data = next(d for d in documents if d["kind"] == "ConfigMap")["data"]
            return {name: yaml.safe_load(text) for name, text in data.items()}
        for mode, path in chart.RIGHTS.items():
            with self.subTest(mode):
                made, wanted = settings(chart.render({"mode": mode})), settings(plain(path.replace("-rbac", "")))
                for name, content in wanted.items():
                    # Defaults that the chart writes out.
                    content.setdefault("controller_name", "hyperway.arloor.dev/gateway-controller")
                    for sink in content.get("sinks", []):
                        if sink["plugin"] == "gateway_deployer":
                            sink["config"].setdefault("target_ports", "10000-19999")
                            if sink["config"].get("shape") != "deployed":
                                sink["config"].setdefault("type", "LoadBalancer")
                    content["listen"] = {str(port): to for port, to in content.get("listen", {}).items()}
                    made[name].setdefault("listen", {})
                    for one in (content, made[name]):
                        one.setdefault("sinks", [{"plugin": "proxy"}])
                if mode == "snapshot-deployed":  # the chart says more of what shapes data planes
                    values = [d["controller.yaml"]["sinks"][1]["config"].pop("values") for d in (made, wanted)]
                    self.assertEqual({key: values[0][key] for key in values[1]} | {"image": values[0]["image"] | values[1]["image"]},
                                     {key: values[0][key] for key in values[1]})
                self.assertEqual(made, wanted)

    def test_data_planes_of_a_gateway_are_shaped_by_the_same_values(self):
        values = {"mode": "snapshot-deployed", "image": {"repository": "r.example/hyperway", "tag": "7"},
                  "imagePullSecrets": [{"name": "key"}], "gatewayServices": {"type": "ClusterIP"}, "gatewayValues": {"workers": 2},
                  "dataPlane": {"replicas": 3, "podLabels": {"tier": "edge"}, "autoscaling": {"enabled": True}}}
        text = next(d for d in chart.render(values) if d["kind"] == "ConfigMap")["data"]["controller.yaml"]
        made = yaml.safe_load(text)["sinks"][1]["config"]["values"]
        self.assertEqual(made["image"], {"repository": "r.example/hyperway", "tag": "7", "pullPolicy": "IfNotPresent",
                                         "pullSecrets": ["key"]})
        self.assertEqual((made["service"], made["workers"], made["replicas"], made["podLabels"]),
                         ({"type": "ClusterIP"}, 2, 3, {"tier": "edge"}))
        self.assertTrue(made["autoscaling"]["enabled"])
        done = chart.template({"mode": "snapshot-deployed", "plugins": {"files": [{"name": "mine"}]}})
        self.assertIn("cannot have plugins of yours", done.stderr)

    def test_two_releases_share_no_name(self):
        def names(release, values):
            return {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"])
                    for d in chart.render({**values, "crds": {"install": False}}, release=release)}
        other = {"controllerName": "other.example/controller", "gatewayClass": {"name": "other"}}
        for mode in chart.MODES:
            with self.subTest(mode):
                self.assertEqual(names("hyperway", {"mode": mode}) & names("other", {"mode": mode, **other}), set())

    def test_what_processes_make_goes_with_the_release(self):
        for mode in chart.MODES:
            with self.subTest(mode):
                documents = chart.render({"mode": mode})
                hooks = {(d["kind"], d["metadata"]["name"]) for d in documents
                         if "helm.sh/hook" in (d["metadata"].get("annotations") or {})}
                leases = next(rule["resourceNames"] for d in documents if d["kind"] == "Role"
                              for rule in d["rules"] if rule["resources"] == ["leases"] and "resourceNames" in rule)
                wanted = {("Lease", name) for name in leases}
                if mode in ("snapshot-shared", "sidecar"):
                    wanted.add(("RouteSnapshot", "hyperway"))
                self.assertEqual(hooks, wanted)

    def test_notes_say_what_to_do_next(self):
        for mode in chart.MODES:
            with self.subTest(mode):
                done = chart.helm("install", "hyperway", chart.CHART, "--dry-run=client", "--namespace", chart.NAMESPACE,
                                  "--set", "mode=" + mode)
                self.assertEqual(done.returncode, 0, done.stderr)
                notes = done.stdout.partition("NOTES:")[2]
                self.assertIn(f"mode {mode}", notes)
                self.assertIn("gatewayClassName: hyperway", notes)
                self.assertNotRegex(notes, re.compile(r"\{\{|<no value>|%!"))


if __name__ == "__main__":
    unittest.main()
