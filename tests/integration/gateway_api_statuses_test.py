# SPDX-License-Identifier: Apache-2.0
"""Every Gateway and HTTPRoute manifest of the official conformance suite, with the statuses its tests expect.

The manifests come from the module sigs.k8s.io/gateway-api/conformance v1.7.0. What a test asserts in Go
is here as data: unless EXPECTED says otherwise, each HTTPRoute of a file is Accepted and resolved at each
parent, and each listener it attaches to is Accepted and resolved, as those tests ask.
"""
import json
import os
import subprocess
import tempfile
import unittest

import yaml

from harness import gateway as gw
from harness import manifests, modules, tls
from harness.case import Case

MODULE = ("sigs.k8s.io/gateway-api/conformance", "v1.7.0")
INFRA = "gateway-conformance-infra"
WEB = "gateway-conformance-web-backend"
ANY = None

# What the suite makes in Go: (namespace, Secret name, names in it).
SECRETS = [(WEB, "certificate", ("*.example",)),
           (INFRA, "tls-validity-checks-certificate", ("*.org", "*.wildcard.org")),
           (INFRA, "tls-validity-checks-client-certificate", ("client.example",)),
           (INFRA, "tls-validity-checks-per-port-client-certificate", ("client.example",)),
           (INFRA, "tls-checks-certificate", ("abc.example.com", "other.example.com")),
           (INFRA, "tls-checks-client-certificate", ("client.example",)),
           (INFRA, "tls-terminate-checks-certificate", ("tls.example.com",))]


def route(name, accepted=(True, "Accepted"), resolved=(True, "ResolvedRefs"), namespace=INFRA):
    """What an HTTPRoute's conditions have to be: (status, reason), reason ANY for any."""
    return (f"HTTPRoute/{namespace}/{name}", {"Accepted": accepted, "ResolvedRefs": resolved})


def gateway(name, conditions=None, namespace=INFRA, **listeners):
    """What a Gateway's own conditions and its listeners have to be; see listener()."""
    return (f"Gateway/{namespace}/{name}", {"conditions": conditions or {}, "listeners": {
        k.replace("_", "-"): v for k, v in listeners.items()}})


def listener(attached, kinds=("HTTPRoute",), **conditions):
    """A ListenerStatus: attachedRoutes, supportedKinds, and conditions as (status, reason)."""
    return {"attachedRoutes": attached, "kinds": sorted(kinds), "conditions": conditions}


GOOD = {"Accepted": (True, ANY), "ResolvedRefs": (True, ANY)}
BAD_CERTIFICATE = {"ResolvedRefs": (False, "InvalidCertificateRef")}
NOT_PERMITTED = {"ResolvedRefs": (False, "RefNotPermitted")}
BAD_KINDS = {"ResolvedRefs": (False, "InvalidRouteKinds")}
UNSUPPORTED = {"Accepted": (False, "UnsupportedProtocol")}
NO_PARENT = (False, "NoMatchingParent")
NO_HOST = (False, "NoMatchingListenerHostname")
NOT_ALLOWED = (False, "NotAllowedByListeners")
NOT_GRANTED = (False, "RefNotPermitted")

EXPECTED = dict([
    ("gateway-invalid-listeners-unsupported-protocol", [
        gateway("gateway-only-unsupported-protocols", {"Accepted": (False, "ListenersNotValid")},
                invalid=listener(0, (), **UNSUPPORTED)),
        gateway("gateway-supported-and-unsupported-protocols", {"Accepted": (True, "ListenersNotValid")},
                http=listener(0, Accepted=(True, "Accepted")), invalid=listener(0, (), **UNSUPPORTED))]),
    ("gateway-invalid-route-kind", [
        gateway("gateway-only-invalid-route-kind", http=listener(0, (), **BAD_KINDS)),
        gateway("gateway-supported-and-invalid-route-kind", http=listener(0, **BAD_KINDS))]),
    ("gateway-invalid-tls-configuration", [
        gateway(f"gateway-certificate-{name}", https=listener(0, **BAD_CERTIFICATE))
        for name in ("nonexistent-secret", "unsupported-group", "unsupported-kind", "malformed-secret")]),
    ("gateway-invalid-parameters-ref", [
        gateway("gateway-invalid-parameters-ref", {"Accepted": (False, "InvalidParameters")})]),
    ("gateway-modify-listeners", [
        gateway("gateway-add-listener", https=listener(1, **GOOD)),
        gateway("gateway-remove-listener", https=listener(1, **GOOD), http=listener(1, **GOOD))]),
    ("gateway-secret-invalid-reference-grant", [
        gateway("gateway-secret-invalid-reference-grant", https=listener(0, **NOT_PERMITTED))]),
    ("gateway-secret-missing-reference-grant", [
        gateway("gateway-secret-missing-reference-grant", https=listener(0, **NOT_PERMITTED),
                https_nonexistent_secret=listener(0, **NOT_PERMITTED))]),
    ("gateway-secret-reference-grant-all-in-namespace", [
        gateway("gateway-secret-reference-grant-all-in-namespace", https=listener(0, ResolvedRefs=(True, ANY)))]),
    ("gateway-secret-reference-grant-specific", [
        gateway("gateway-secret-reference-grant-specific", https=listener(0, ResolvedRefs=(True, ANY)))]),
    ("gateway-with-attached-routes", [
        gateway("gateway-with-one-attached-route", http=listener(1, **GOOD)),
        gateway("gateway-with-two-attached-routes", http=listener(2, **GOOD)),
        route("http-route-not-accepted", NO_HOST),
        gateway("unresolved-gateway-with-one-attached-unresolved-route",
                tls=listener(1, ResolvedRefs=(False, ANY), Programmed=(False, ANY))),
        route("http-route-4", resolved=(False, ANY))]),
    ("gateway-with-attached-routes-with-port-8080", [
        gateway("gateway-with-two-listeners-and-one-attached-route", http_unattached=listener(0, **GOOD),
                http=listener(1, **GOOD))]),
    ("gateway-static-addresses", [
        gateway("gateway-static-addresses", {"Accepted": (False, "UnsupportedAddress")})]),
    ("httproute-disallowed-kind", [
        route("disallowed-kind", NOT_ALLOWED), gateway("tlsroutes-only", tls={"attachedRoutes": 0})]),
    ("httproute-hostname-intersection", [
        route("no-intersecting-hosts", NO_HOST),
        gateway("httproute-hostname-intersection", listener_1=listener(2, **GOOD), listener_2=listener(1, **GOOD),
                listener_3=listener(1, **GOOD))]),
    ("httproute-invalid-backendref-unknown-kind", [
        route("invalid-backend-ref-unknown-kind", resolved=(False, "InvalidKind"))]),
    ("httproute-invalid-cross-namespace-backend-ref", [
        route("invalid-cross-namespace-backend-ref", resolved=NOT_GRANTED)]),
    ("httproute-invalid-cross-namespace-parent-ref", [
        route("invalid-cross-namespace-parent-ref", NOT_ALLOWED, namespace=WEB),
        gateway("same-namespace", http=listener(0, **GOOD))]),
    ("httproute-invalid-nonexistent-backendref", [
        route("invalid-nonexistent-backend-ref", resolved=(False, "BackendNotFound"))]),
    ("httproute-invalid-parentref-not-matching-listener-port", [
        route("httproute-listener-not-matching-route-port", NO_PARENT),
        gateway("same-namespace", http=listener(0, **GOOD))]),
    ("httproute-invalid-parentref-not-matching-section-name", [
        route("httproute-listener-not-matching-section-name", NO_PARENT),
        gateway("same-namespace", http=listener(0, **GOOD))]),
    ("httproute-invalid-parentref-section-name-not-matching-port", [
        route("httproute-listener-section-name-not-matching-port", NO_PARENT),
        gateway("gateway-with-one-not-matching-port-and-section-name-route", http=listener(0, **GOOD))]),
    ("httproute-invalid-reference-grant", [route("reference-grant", resolved=NOT_GRANTED)]),
    ("httproute-partially-invalid-via-invalid-reference-grant", [
        route("invalid-reference-grant", resolved=NOT_GRANTED)]),
    ("httproute-rule-order", [route("rule-order-invalid-backend", resolved=(False, "BackendNotFound"))]),
])

# Files whose tests ask for what a later release brings; they are loaded all the same and must break nothing.
LATER = {
    "gateway-invalid-default-frontend-client-certificate-validation": "client certificates",
    "gateway-with-clientcertificate-validation": "client certificates",
    "gateway-with-clientcertificate-validation-insecure-fallback": "client certificates",
    "gateway-with-invalid-clientcertificate-validation": "client certificates",
    "gateway-invalid-tls-backend-configuration": "TLS to backends",
    "gateway-tls-backend-client-certificate": "TLS to backends",
}


class Statuses(Case):
    """One test for each file; made below."""

    limit_seconds = 60

    @classmethod
    def folder(cls):
        """The module's folder."""
        return modules.folder(*MODULE)

    @classmethod
    def files(cls):
        """Names of the files that are ours to judge, without ending."""
        names = os.listdir(os.path.join(cls.folder(), "tests"))
        return sorted(n.removesuffix(".yaml") for n in names
                      if n.endswith(".yaml") and n.startswith(("gateway-", "httproute-", "gatewayclass-")))

    @classmethod
    def documents(cls, path):
        """The documents of one file, with the suite's placeholders filled in."""
        with open(os.path.join(cls.folder(), path), encoding="utf-8") as file:
            text = file.read().replace("{GATEWAY_CLASS_NAME}", "hyperway")
        text = text.replace("{GATEWAY_CONTROLLER_NAME}", manifests.CONTROLLER)
        out = [d for d in yaml.safe_load_all(text) if d]
        for item in out:  # What an API server does.
            item["metadata"].setdefault("generation", 1)
            if item["kind"] == "Namespace":
                item["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = item["metadata"]["name"]
        return out

    def statuses(self, documents):
        """Statuses of these objects, by the program itself: {"Kind/namespace/name": status}."""
        base = self.documents("base/manifests.yaml") + [manifests.gateway_class()]
        base += [manifests.secret(name, *tls.self_signed(*names), namespace) for namespace, name, names in SECRETS]
        with tempfile.TemporaryDirectory(prefix="hw-statuses-") as folder:
            with open(os.path.join(folder, "all.yaml"), "w", encoding="utf-8") as file:
                # JSON is YAML, and much faster to write.
                file.write("\n---\n".join(json.dumps(document, default=str) for document in base + documents))
            # Gateways share ports, so each has an address of its own.
            config = os.path.join(folder, "hyperway.conf")
            with open(config, "w", encoding="utf-8") as file:
                yaml.safe_dump({"sources": [{"plugin": "file_source", "config": {"paths": [folder]}}],
                                "address_pool": [f"127.0.10.{n}" for n in range(1, 41)]}, file)
            done = subprocess.run([gw.binary(), "status", "--json", "--config", config],
                                  capture_output=True, text=True, check=False, timeout=50)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line for line in done.stderr.splitlines() if any(s in line for s in gw.SANITIZER)], [])
        return gw.config.read_statuses(done.stdout)

    def judge(self, name):
        """Loads one file of the suite and compares."""
        documents = self.documents(f"tests/{name}.yaml")
        got = self.statuses(documents)
        wanted = dict(EXPECTED.get(name, []))
        if name in LATER:
            self.assertIn(f"Gateway/{INFRA}/same-namespace", got)
            return
        for item in documents:
            key = f"{item['kind']}/{item['metadata'].get('namespace', 'default')}/{item['metadata']['name']}"
            if item["kind"] == "HTTPRoute":
                wanted.setdefault(*route(item["metadata"]["name"], namespace=item["metadata"]["namespace"]))
                self.judge_route(key, got, wanted[key], item)
        for key, want in wanted.items():
            if key.startswith("Gateway/"):
                self.judge_gateway(key, got, want)

    def judge_route(self, key, got, want, item):
        """Each parent has the conditions, for the generation that was looked at."""
        with self.subTest(key):
            parents = got[key]["parents"]
            ours = [ref for ref in item["spec"]["parentRefs"]
                    if f"Gateway/{ref.get('namespace', item['metadata']['namespace'])}/{ref['name']}" in got]
            self.assertEqual(len(parents), len(ours))
            for parent in parents:
                for kind, expected in want.items():
                    self.check(parent["conditions"], kind, expected)

    def judge_gateway(self, key, got, want):
        """Conditions of the Gateway and exactly the listeners that are named."""
        with self.subTest(key):
            status = got[key]
            for kind, expected in want["conditions"].items():
                self.check(status["conditions"], kind, expected)
            listeners = {entry["name"]: entry for entry in status.get("listeners", [])}
            if want["listeners"]:
                self.assertEqual(set(listeners), set(want["listeners"]))
            for name, expected in want["listeners"].items():
                entry = listeners[name]
                self.assertEqual(entry["attachedRoutes"], expected["attachedRoutes"], name)
                if "kinds" in expected:  # as the suite compares: these at least, and none where none is named
                    kinds = {k["kind"] for k in entry["supportedKinds"]}
                    self.assertEqual(set(expected["kinds"]) - kinds, set(), name)
                    self.assertEqual(bool(kinds), bool(expected["kinds"]), name)
                for kind, value in expected.get("conditions", {}).items():
                    self.check(entry["conditions"], kind, value)

    def check(self, conditions, kind, expected):
        """One condition."""
        found = [c for c in conditions if c["type"] == kind]
        self.assertEqual(len(found), 1, f"{kind} in {conditions}")
        self.assertEqual(found[0]["status"], "True" if expected[0] else "False", found[0])
        if expected[1] is not ANY:
            self.assertEqual(found[0]["reason"], expected[1], found[0])
        self.assertEqual(found[0]["observedGeneration"], 1, found[0])

    def test_the_base_manifests_are_accepted(self):
        got = self.statuses([])
        for name in ("same-namespace", "same-namespace-with-https-listener", "all-namespaces", "backend-namespaces"):
            status = got[f"Gateway/{INFRA}/{name}"]
            self.check(status["conditions"], "Accepted", (True, "Accepted"))
            for entry in status["listeners"]:
                for kind, expected in GOOD.items():
                    self.check(entry["conditions"], kind, expected)

    def test_every_file_is_a_test(self):
        have = {n for n in dir(self) if n.startswith("test_suite_")}
        self.assertEqual(have, {"test_suite_" + n.replace("-", "_") for n in self.files()})
        self.assertEqual(set(EXPECTED) - set(self.files()), set())
        self.assertGreaterEqual(len(have), 80)


def _make(name):
    def test(self):
        self.judge(name)
    return test


# Named here, so that the tests have names without a network; test_every_file_is_a_test compares.
NAMES = """
gateway-http-listener-isolation gateway-http-listener-isolation-with-hostname-intersection
gateway-infrastructure gateway-invalid-default-frontend-client-certificate-validation
gateway-invalid-listeners-unsupported-protocol gateway-invalid-parameters-ref
gateway-invalid-route-kind gateway-invalid-tls-backend-configuration
gateway-invalid-tls-configuration gateway-modify-listeners gateway-name-maximum-length
gateway-observed-generation-bump gateway-optional-address-value gateway-preserve-foreign-conditions
gateway-secret-invalid-reference-grant gateway-secret-missing-reference-grant
gateway-secret-reference-grant-all-in-namespace gateway-secret-reference-grant-specific
gateway-static-addresses gateway-tls-backend-client-certificate gateway-with-attached-routes
gateway-with-attached-routes-with-port-8080 gateway-with-clientcertificate-validation
gateway-with-clientcertificate-validation-insecure-fallback
gateway-with-invalid-clientcertificate-validation gatewayclass-observed-generation-bump
httproute-303-redirect httproute-307-redirect httproute-308-redirect httproute-backend-protocol-h2c
httproute-backend-protocol-websocket httproute-backend-url-rewrite httproute-cors
httproute-cross-namespace httproute-disallowed-kind httproute-exact-path-matching
httproute-header-matching httproute-hostname-intersection httproute-https-listener
httproute-https-listener-detect-misdirected-requests httproute-invalid-backendref-unknown-kind
httproute-invalid-cross-namespace-backend-ref httproute-invalid-cross-namespace-parent-ref
httproute-invalid-nonexistent-backendref httproute-invalid-parentref-not-matching-listener-port
httproute-invalid-parentref-not-matching-section-name
httproute-invalid-parentref-section-name-not-matching-port httproute-invalid-reference-grant
httproute-listener-hostname-matching httproute-listener-port-matching httproute-matching
httproute-matching-across-routes httproute-method-matching httproute-multiple-gateways
httproute-multiple-routes-attachment-same-hostname-intersection httproute-named-rule
httproute-observed-generation-bump httproute-omitted-backendrefs
httproute-partially-invalid-via-invalid-reference-grant httproute-path-match-order
httproute-preserve-foreign-status httproute-query-param-matching httproute-redirect-host-and-status
httproute-redirect-path httproute-redirect-port httproute-redirect-port-and-scheme
httproute-redirect-scheme httproute-reference-grant httproute-request-header-modifier
httproute-request-header-modifier-backend httproute-request-header-modifier-backend-weights
httproute-request-mirror httproute-request-multiple-mirrors httproute-request-percentage-mirror
httproute-response-header-modifier httproute-retry httproute-retry-connection-error
httproute-retry-with-timeouts httproute-rewrite-host httproute-rewrite-path httproute-rule-order
httproute-service-types httproute-simple-same-namespace httproute-timeout-backend-request
httproute-timeout-request httproute-weight
"""

for _name in NAMES.split():
    setattr(Statuses, "test_suite_" + _name.replace("-", "_"), _make(_name))


if __name__ == "__main__":
    unittest.main()
