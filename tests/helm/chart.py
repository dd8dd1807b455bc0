#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The chart deploy/helm/hyperway for tests, and what is made from it.

usage: chart.py renew

Renews the golden files of tests/helm/golden, the definitions within the chart and the table in docs/helm.md.
"""
import json
import os
import subprocess
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CHART = os.path.join(ROOT, "deploy/helm/hyperway")
HELM = os.path.join(ROOT, "build/cluster/helm")
NAMESPACE = "hyperway-system"
MODES = ("direct", "merged", "snapshot-shared", "snapshot-deployed", "sidecar")
# Golden file -> values. `everything` has what the defaults leave out.
GOLDEN = {**{mode: {"mode": mode} for mode in MODES}, "everything": os.path.join(HERE, "everything.yaml"),
          "everything-merged": os.path.join(HERE, "everything-merged.yaml")}
# File in the chart -> the plain file that it is a copy of.
DEFINITIONS = {"files/filters-crd.yaml": "deploy/filters-crd.yaml",
               "files/routesnapshots-crd.yaml": "deploy/gateway-api-snapshot-crd.yaml"}
# The plain files that have the rights of a mode.
RIGHTS = {"direct": "deploy/gateway-api-direct-rbac.yaml", "merged": "deploy/gateway-api-merged-rbac.yaml",
          "snapshot-shared": "deploy/gateway-api-snapshot-shared-rbac.yaml",
          "snapshot-deployed": "deploy/gateway-api-snapshot-deployed-rbac.yaml"}
HEAD = "# SPDX-License-Identifier: Apache-2.0\n"  # of golden files
BEGIN, END = "<!-- values: made from values.schema.json -->\n", "<!-- end of values -->\n"


def helm(*arguments, text_in=None):
    """The finished process of a helm that needs no cluster."""
    return subprocess.run([HELM, *arguments], input=text_in, capture_output=True, text=True, check=False)


def template(values=None, *flags, release="hyperway"):
    """The finished process of `helm template`: `values` are a dictionary, or a file."""
    given = ["--values", values if isinstance(values, str) else "-"]
    return helm("template", release, CHART, "--namespace", NAMESPACE, "--kube-version", "1.37.0", *given, *flags,
                text_in=None if isinstance(values, str) else json.dumps(values or {}))


def render(values=None, *flags, **more):
    """The objects that `helm template` makes."""
    done = template(values, *flags, **more)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def golden(name):
    """The path of a golden file."""
    return os.path.join(HERE, "golden", name + ".yaml")


def read(path):
    """A file of the tree."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def schema():
    """The schema of the values."""
    return json.loads(read("deploy/helm/hyperway/values.schema.json"))


def default_values():
    """The values of the chart."""
    return yaml.safe_load(read("deploy/helm/hyperway/values.yaml"))


def _kind(entry):
    if "enum" in entry:
        return ", ".join(f"`{value}`" if value else "none" for value in entry["enum"])
    kinds = entry["type"] if isinstance(entry["type"], list) else [entry["type"]]
    return " or ".join({"integer": "number", "object": "mapping", "array": "list", "string": "text",
                        "boolean": "true, false"}[kind] for kind in kinds)


def table(entry=None, defaults=None, path=""):
    """The rows of the table of values, one for each that can be set."""
    entry, defaults = entry or schema(), default_values() if defaults is None else defaults
    rows = []
    for key, inner in entry["properties"].items():
        name = f"{path}{key}"
        if name == "global":
            continue
        default = defaults.get(key)
        if "properties" in inner:
            rows += table(inner, default, name + ".")
            continue
        shown = "" if default in ("", {}, []) else "`" + json.dumps(default).strip('"') + "`"
        rows.append(f"| `{name}` | {_kind(inner)} | {shown} | {inner['description']} |\n")
    return rows


def documented():
    """docs/helm.md with the table as it should be."""
    text = read("docs/helm.md")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    head = "| Value | Takes | Default | What it is |\n|---|---|---|---|\n"
    return before + BEGIN + head + "".join(table()) + END + after


def renew():
    """Writes all that is made."""
    for copy, plain in DEFINITIONS.items():
        with open(os.path.join(CHART, copy), "w", encoding="utf-8") as file:
            file.write(read(plain))
    with open(os.path.join(ROOT, "docs/helm.md"), "r+", encoding="utf-8") as file:
        text = documented()
        file.seek(0)
        file.write(text)
        file.truncate()
    for name, values in GOLDEN.items():
        done = template(values)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}")
        with open(golden(name), "w", encoding="utf-8") as file:
            file.write(HEAD + done.stdout)


if __name__ == "__main__":
    if sys.argv[1:] != ["renew"]:
        sys.exit(__doc__)
    renew()
