# SPDX-License-Identifier: Apache-2.0
"""The fields that `hyperway check` knows are those of the Gateway API's own CRDs."""
import copy
import functools
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml
from harness import modules
from harness.gateway import binary

KINDS = {"GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "ReferenceGrant",
         "BackendTLSPolicy", "ListenerSet"}


def sample(schema, places, at=""):
    """A value with every property that a schema has; `places` gets {pointer: names} of each object."""
    kind = schema.get("type")
    if kind == "array":
        return [sample(schema["items"], places, at + "/0")]
    if kind == "object" and "properties" in schema:
        places[at] = set(schema["properties"])
        return {name: sample(part, places, f"{at}/{name}") for name, part in schema["properties"].items()}
    return {"object": {"any": "thing"}, "integer": 1, "boolean": True}.get(kind, "a")


@functools.lru_cache(maxsize=None)
def objects():
    """{(kind, channel, version): (object with all of its fields, {pointer: names} of each object in it)}."""
    made = {}
    folder = os.path.join(modules.folder("sigs.k8s.io/gateway-api", "v1.7.0"), "config", "crd")
    for path in sorted(glob.glob(os.path.join(folder, "*", "gateway.networking.k8s.io_*.yaml"))):
        with open(path, encoding="utf-8") as file:
            crd = next(yaml.safe_load_all(file))
        if crd["kind"] != "CustomResourceDefinition":
            continue
        kind = crd["spec"]["names"]["kind"]
        for version in crd["spec"]["versions"]:
            schema, places = version["schema"]["openAPIV3Schema"], {}
            item = {name: sample(part, places, f"/{name}") for name, part in schema["properties"].items()
                    if name not in ("apiVersion", "kind", "metadata", "status")}
            channel = os.path.basename(os.path.dirname(path))
            made[kind, channel, version["name"]] = (
                {"apiVersion": f"gateway.networking.k8s.io/{version['name']}", "kind": kind,
                 "metadata": {"name": kind.lower(), "namespace": "default"}, **item}, places)
    return made


class KnownFields(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hw-fields-")
        self.addCleanup(shutil.rmtree, self.folder)

    def check(self, item):
        """({pointer of a field that check does not know}, {pointer of whatever it complains about})."""
        path = os.path.join(self.folder, "one.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(item, file)
        done = subprocess.run([binary(), "check", path], capture_output=True, text=True, timeout=240, check=False)
        return (set(re.findall(r"unknown field .* \(at (\S+)\)", done.stdout)),
                set(re.findall(r" \(at (\S+)\)", done.stdout)))

    def test_every_field_of_the_crds_is_known(self):
        found = {key[0] for key in objects()}
        self.assertEqual(KINDS - found, set())
        for (kind, channel, version), (item, _) in objects().items():
            if kind in KINDS:
                with self.subTest(kind, channel=channel, version=version):
                    self.assertEqual(self.check(item)[0], set())

    def test_every_other_name_is_found_at_every_place(self):
        """Names that the kind has elsewhere, where it does not have them."""
        for (kind, channel, version), (item, places) in objects().items():
            if channel != "experimental" or version != "v1" or kind not in KINDS:
                continue
            item = copy.deepcopy(item)
            names = {name for known in places.values() for name in known} | {"zzzzzzzz"}
            expected = set()
            for place, known in places.items():
                value = item
                for part in place.split("/")[1:]:
                    value = value[int(part)] if part.isdigit() else value[part]
                value.update({name: 1 for name in names - known})
                expected |= {f"{place}/{name}" for name in names - known}
            with self.subTest(kind, version=version):
                self.assertGreater(len(expected), 5)
                unknown, told = self.check(item)
                self.assertEqual(sorted(expected - told), [])
                self.assertEqual(sorted(unknown - expected), [])


if __name__ == "__main__":
    unittest.main()
