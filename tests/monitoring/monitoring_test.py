# SPDX-License-Identifier: Apache-2.0
"""Dashboard and alerts ask for what hyperway really exports, and each alert has a runbook and fires when it should."""
import hashlib
import json
import os
import re
import subprocess
import sys
import unittest

import yaml

ROOT = os.environ.get("HYPERWAY_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
# pylint: disable=wrong-import-position
from harness import gateway as gw  # noqa: E402
from harness import ports, tls  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.case import Case, until  # noqa: E402
from harness.client import ask  # noqa: E402
from harness.kubernetes import Kubernetes  # noqa: E402
from harness.manifests import (app, backend_ref, extension, filter_object, gateway, gateway_class,  # noqa: E402
                               listener, path_match, route, rule, secret)

ALERTS = os.path.join(ROOT, "deploy", "grafana", "alerts.yaml")
DASHBOARD = os.path.join(ROOT, "deploy", "grafana", "hyperway.json")
# What Prometheus makes itself.
OF_PROMETHEUS = {"up": {"job", "instance"}}
ADDED_BY_PROMETHEUS = {"job", "instance"}
FUNCTIONS = {"sum", "rate", "increase", "max", "min", "histogram_quantile", "time", "topk", "count", "sort", "by", "and", "or", "clamp_min",
             "on", "label_values", "avg", "irate", "bool", "unless", "ignoring", "group_left", "round"}
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


def read(path):
    """A file as text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def alerts():
    """All alert rules."""
    return [one for group in yaml.safe_load(read(ALERTS))["groups"] for one in group["rules"]]


def panels(items):
    """All panels of a dashboard, those of rows too."""
    for item in items:
        yield item
        yield from panels(item.get("panels", []))


def dashboard_queries():
    """Every query of the dashboard, those of its variables too."""
    board = json.loads(read(DASHBOARD))
    for panel in panels(board["panels"]):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"] if isinstance(variable["query"], dict) else variable["query"]


def queries():
    """(where, query) of alerts and dashboard."""
    return [(one["alert"], one["expr"]) for one in alerts()] + list(dashboard_queries())


def selectors(query):
    """([(metric, [(label, operator, value)])], labels that are grouped by) of a query."""
    grouped = set()
    for names in re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", query):
        grouped.update(name.strip() for name in names.split(",") if name.strip())
    variable = re.match(r"label_values\((.*),\s*(\w+)\)$", query)
    if variable:
        query, grouped = variable.group(1), {variable.group(2)}
    query = re.sub(r"\b(?:by|on|ignoring)\s*\([^)]*\)", " ", query)
    query = re.sub(r"\[[^\]]*\]", " ", query)  # ranges
    found = []
    for name, labels in SELECTOR.findall(query):
        if name in FUNCTIONS or name in ("e", "Inf"):
            continue
        found.append((name, MATCHER.findall(labels or "")))
    return found, grouped


def exported(text):
    """{metric: {label: values}} of what /metrics says; histograms by the names of their series."""
    out = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, rest = line.rpartition(" ")[0].partition("{")
        labels = out.setdefault(name, {})
        for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', rest):
            labels.setdefault(label, set()).add(value)
    return out


class Extraction(unittest.TestCase):
    """The search for metrics finds what there is."""

    def test_metrics_labels_and_groups_of_a_query(self):
        found, grouped = selectors('sum by (route, le) (rate(a_total{code="5xx",x=~"$y"}[5m])) / on (z) b > 0 and time() - c < 14 * 86400')
        self.assertEqual(found, [("a_total", [("code", "=", "5xx"), ("x", "=~", "$y")]), ("b", []), ("c", [])])
        self.assertEqual(grouped, {"route", "le", "z"})
        self.assertEqual(selectors("label_values(a{b=\"c\"}, instance)"), ([("a", [("b", "=", "c")])], {"instance"}))

    def test_series_of_an_exposition(self):
        got = exported('# HELP a b\na{b="c",d="e"} 1\na{b="f"} 2\ng 3\n')
        self.assertEqual(got, {"a": {"b": {"c", "f"}, "d": {"e"}}, "g": {}})


class Modes(Case):
    """hyperway in each mode, after some traffic, beside what is asked for."""

    limit_seconds = 120
    CERT = tls.self_signed("a.example")

    def objects(self, port):
        """A configuration in which everything that is counted by label happens."""
        keys = {"keys": [{"name": "alice", "sha256": hashlib.sha256(b"key").hexdigest()}]}
        return [gateway_class(), gateway([listener(port=port), listener("https", 443, "HTTPS", None, ["cert"])]),
                secret("cert", *self.CERT), *app("app", self.use(Backend("app"))), filter_object("keys", "api_key", keys),
                route(rules=[rule(["app"]), rule(["app"], [path_match("/keys")], [extension("keys")]),
                             rule([backend_ref("nowhere")], [path_match("/broken")])])]

    def traffic(self, port):
        """One answer of each class."""
        for path in ("/", "/keys", "/broken"):
            until(lambda p=path: ask(port, "GET", p).status in (200, 401, 500))

    def files(self):
        """Plain files."""
        made = self.use(gw.Gateway(*self.objects(80), access_log={"format": "text"}))
        self.traffic(made.port(80))
        return [made]

    def direct(self):
        """A cluster, single process, with Services of its own."""
        cluster, port = self.use(Kubernetes()), ports.free_port()
        cluster.apply(*self.objects(port))
        config = {"kubeconfig": cluster.kubeconfig}
        made = self.use(gw.Gateway(listen={port: port, 443: ports.free_port()}, access_log={"format": "json"}, settings={
            "sources": [{"plugin": "k8s_source", "config": config}],
            "sinks": [{"plugin": "proxy"}, {"plugin": "gateway_deployer", "config": {"pods_service": "default/app", **config}}]},
            environment={"POD_NAME": "direct", "POD_NAMESPACE": "default"}))
        self.traffic(port)
        return [made]

    def snapshots(self):
        """A controller and a data plane."""
        cluster, port = self.use(Kubernetes()), ports.free_port()
        cluster.apply(*self.objects(port))
        config = {"kubeconfig": cluster.kubeconfig}
        controller = self.use(gw.Gateway(listen=False, program="hyperway_controller", settings={
            "sources": [{"plugin": "k8s_source", "config": config}],
            "sinks": [{"plugin": "snapshot_sink", "config": {"name": "snap", **config}}]}))
        plane = self.use(gw.Gateway(listen={port: port, 443: ports.free_port()}, access_log={"format": "text"}, settings={
            "sources": [{"plugin": "snapshot_source", "config": {"name": "snap", **config}}]},
            environment={"POD_NAME": "plane", "POD_NAMESPACE": "default"}))
        self.traffic(port)
        return [controller, plane]

    def metrics(self, made):
        """What a process exports, once it has counted all classes of answers where it serves."""
        if not made.settings.get("sinks") or any(sink["plugin"] != "snapshot_sink" for sink in made.settings["sinks"]):
            until(lambda: made.metric("hyperway_requests_total", code="5xx") >= 1)
        return exported(made.ask_admin("/metrics").body.decode())

    def test_every_query_asks_for_what_is_exported(self):
        by_mode = {"files": self.files, "direct": self.direct, "snapshots": self.snapshots}
        got = {mode: [self.metrics(made) for made in make()] for mode, make in by_mode.items()}
        everything = {}
        for sets in got.values():
            for one in sets:
                for name, labels in one.items():
                    mine = everything.setdefault(name, {})
                    for label, values in labels.items():
                        mine.setdefault(label, set()).update(values)
        for where, query in queries():
            found, grouped = selectors(query)
            self.assertTrue(found, (where, query))
            known = set(ADDED_BY_PROMETHEUS)
            for name, matchers in found:
                with self.subTest(where, metric=name):
                    if name in OF_PROMETHEUS:
                        known |= OF_PROMETHEUS[name]
                        self.assertLessEqual({label for label, _, _ in matchers}, OF_PROMETHEUS[name])
                        continue
                    self.assertIn(name, everything)
                    labels = everything[name]
                    known |= set(labels)
                    for label, operator, value in matchers:
                        self.assertIn(label, set(labels) | ADDED_BY_PROMETHEUS)
                        if operator in ("=", "=~") and "$" not in value and label in labels:
                            fits = (lambda v, p=value: re.fullmatch(p, v)) if operator == "=~" else (lambda v, p=value: v == p)
                            self.assertTrue(any(fits(v) for v in labels[label]), (label, value, labels[label]))
                    if not name.startswith("hyperway_plugin_"):
                        # What is not a plugin's is there in each mode that serves.
                        for mode, sets in got.items():
                            self.assertIn(name, sets[-1], mode)
            with self.subTest(where, groups=sorted(grouped)):
                self.assertLessEqual(grouped, known)


class Alerts(unittest.TestCase):
    def promtool(self, *arguments):
        """Runs promtool; what it says if it is not content."""
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_prometheus_takes_the_rules(self):
        self.promtool("check", "rules", ALERTS)

    def test_each_alert_fires_when_it_should_and_not_before(self):
        cases = os.path.join(ROOT, "tests", "monitoring", "alerts_test.yaml")
        self.promtool("test", "rules", cases)
        tried = yaml.safe_load(read(cases))["tests"]
        fired, quiet = set(), set()
        for case in tried:
            for one in case["alert_rule_test"]:
                (fired if one.get("exp_alerts") else quiet).add(one["alertname"])
        names = {one["alert"] for one in alerts()}
        self.assertEqual(fired, names)
        self.assertEqual(quiet, names)

    def test_each_alert_has_its_runbook(self):
        titles = re.findall(r"^## (\w+)$", read(os.path.join(ROOT, "docs", "runbooks.md")), re.M)
        self.assertEqual(titles, [one["alert"] for one in alerts()])
        for one in alerts():
            self.assertEqual(one["annotations"]["runbook"], "docs/runbooks.md#" + one["alert"].lower())
            self.assertIn(one["labels"]["severity"], ("warning", "critical"))

    def test_the_dashboard_is_what_its_script_makes(self):
        done = subprocess.run([sys.executable, os.path.join(ROOT, "deploy", "grafana", "make_dashboard.py"), "--print"],
                              capture_output=True, text=True, check=True, timeout=60)
        self.assertEqual(done.stdout, read(DASHBOARD))

    def test_panels_do_not_overlap_and_have_distinct_ids(self):
        board = json.loads(read(DASHBOARD))
        taken, ids = {}, []
        for panel in panels(board["panels"]):
            ids.append(panel["id"])
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, (panel["title"], taken.get((x, y))))
                    taken[x, y] = panel["title"]
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    unittest.main()
