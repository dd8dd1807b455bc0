#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes hyperway.json, the Grafana dashboard, beside this file; with --print, shows it instead.

A dashboard is thousands of lines of which few say something; these do."""
import json
import os
import sys

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
PICKED = 'instance=~"$instance"'
ROUTE = PICKED + ',route=~"$route"'
RATE = "[$__rate_interval]"
LATENCY = "hyperway_request_duration_seconds_bucket"
GREEN, AMBER, RED = "green", "orange", "red"


def target(expr, legend="", instant=False, table=False):
    """One query."""
    out = {"datasource": SOURCE, "expr": expr, "legendFormat": legend or "__auto", "refId": "A"}
    if instant:
        out.update(instant=True, range=False)
    if table:
        out["format"] = "table"
    return out


def panel(kind, title, width, height, targets, unit="short", help_text="", **more):
    """A panel; its place is found by arrange()."""
    for number, one in enumerate(targets):
        one["refId"] = chr(ord("A") + number)
    defaults = {"unit": unit, **more.pop("defaults", {})}
    return {"type": kind, "title": title, "description": help_text, "datasource": SOURCE, "targets": targets,
            "gridPos": {"w": width, "h": height}, "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
            "options": more.pop("options", {}), **more}


def lines(title, targets, unit="short", width=8, help_text="", stack=False, zero=True):
    """A graph over time."""
    custom = {"fillOpacity": 8 if not stack else 25, "lineWidth": 1, "showPoints": "never",
              "stacking": {"mode": "normal" if stack else "none"}}
    return panel("timeseries", title, width, 8, targets, unit, help_text,
                 defaults={"custom": custom, **({"min": 0} if zero else {})},
                 options={"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}})


def figure(title, expr, unit="short", steps=(), width=4, help_text=""):
    """One number."""
    thresholds = {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in steps or [(None, GREEN)]]}
    return panel("stat", title, width, 4, [target(expr, instant=True)], unit, help_text,
                 defaults={"thresholds": thresholds},
                 options={"colorMode": "value", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}})


def table(title, targets, unit="short", width=12, help_text="", shown=(), value="Value"):
    """Rows of labels with one number."""
    return panel("table", title, width, 8, targets, unit, help_text,
                 transformations=[{"id": "organize", "options": {
                     "excludeByName": {"Time": True}, "renameByName": {"Value": value},
                     "indexByName": {name: at for at, name in enumerate([*shown, "Value"])}}}],
                 options={"sortBy": [{"displayName": value, "desc": value != "Left"}]})


def rows():
    """[(title of the row, panels)]."""
    requests = f"hyperway_requests_total{{{ROUTE}}}"
    return [
        ("At a glance", [
            figure("Requests", f"sum(rate({requests}{RATE}))", "reqps"),
            figure("Server errors", f'sum(rate(hyperway_requests_total{{{ROUTE},code="5xx"}}{RATE})) / sum(rate({requests}{RATE}))',
                   "percentunit", [(None, GREEN), (0.001, AMBER), (0.01, RED)], help_text="5xx, those of backends and our own"),
            figure("p99", f"histogram_quantile(0.99, sum by (le) (rate({LATENCY}{{{ROUTE}}}{RATE})))", "s",
                   [(None, GREEN), (0.5, AMBER), (2.5, RED)], help_text="From a request's first byte to the end of its answer"),
            figure("Ready", f"sum(hyperway_ready{{{PICKED}}})", "none", [(None, RED), (1, GREEN)], help_text="Processes that are"),
            figure("Objects failing", f'max(hyperway_objects{{{PICKED},state="failing"}})', "none", [(None, GREEN), (1, RED)],
                   help_text="The page and hyperway status have the reasons"),
            figure("First certificate ends", f"min(hyperway_certificate_expiry_timestamp_seconds{{{PICKED}}}) - time()", "s",
                   [(None, RED), (172800, AMBER), (1209600, GREEN)]),
        ]),
        ("Traffic", [
            lines("Requests by class", [target(f"sum by (code) (rate({requests}{RATE}))", "{{code}}")], "reqps", stack=True,
                  help_text="none: no answer went out, since the client left"),
            lines("Latency", [target(f"histogram_quantile({q}, sum by (le) (rate({LATENCY}{{{ROUTE}}}{RATE})))", f"p{int(q * 100)}")
                              for q in (0.5, 0.9, 0.99)], "s"),
            lines("In flight and connections", [target(f"sum(hyperway_requests_active{{{PICKED}}})", "requests in flight"),
                                                target(f"sum(hyperway_connections{{{PICKED}}})", "client connections"),
                                                target(f"sum(hyperway_upstream_connections{{{PICKED}}})", "connections to backends")]),
            lines("Sent to clients", [target(f"sum(rate(hyperway_response_body_bytes_total{{{ROUTE}}}{RATE}))", "bodies")], "Bps"),
            lines("Connections accepted and refused", [target(f"sum(rate(hyperway_connections_accepted_total{{{PICKED}}}{RATE}))", "accepted"),
                                                       target(f"sum(rate(hyperway_connections_refused_total{{{PICKED}}}{RATE}))", "refused"),
                                                       target(f"sum(rate(hyperway_tls_handshakes_total{{{PICKED}}}{RATE}))", "TLS handshakes"),
                                                       target(f"sum(rate(hyperway_tls_handshake_failures_total{{{PICKED}}}{RATE}))", "TLS failures")], "cps"),
            lines("Answered before a route", [target(f"sum(rate(hyperway_requests_unrouted_total{{{PICKED}}}{RATE}))", "no route: 404"),
                                              target(f"sum(rate(hyperway_requests_malformed_total{{{PICKED}}}{RATE}))", "malformed: 400")], "reqps"),
        ]),
        ("Routes", [
            table("Busiest rules", [target(f"topk(20, sum by (route, rule) (rate({requests}{RATE})))", instant=True, table=True)],
                  "reqps", shown=("route", "rule"), value="Requests"),
            table("Server errors by rule", [target(
                f'topk(20, sum by (route, rule) (rate(hyperway_requests_total{{{ROUTE},code="5xx"}}{RATE})) > 0)', instant=True, table=True)],
                "reqps", shown=("route", "rule"), value="5xx"),
            lines("p99 by route", [target(f"topk(10, histogram_quantile(0.99, sum by (route, le) (rate({LATENCY}{{{ROUTE}}}{RATE}))))",
                                          "{{route}}")], "s", 12),
            lines("Retries by route", [target(f"topk(10, sum by (route) (rate(hyperway_retries_total{{{ROUTE}}}{RATE})))", "{{route}}")], "reqps", 12),
        ]),
        ("Backends", [
            lines("Connects", [target(f"sum(rate(hyperway_upstream_connects_total{{{PICKED}}}{RATE}))", "begun"),
                               target(f"sum(rate(hyperway_upstream_connect_failures_total{{{PICKED}}}{RATE}))", "failed"),
                               target(f"sum(rate(hyperway_upstream_tls_failures_total{{{PICKED}}}{RATE}))", "TLS failed")], "cps"),
            lines("Broken exchanges and ejections", [target(f"sum(rate(hyperway_upstream_broken_total{{{PICKED}}}{RATE}))", "exchanges that broke off"),
                                                     target(f"sum(rate(hyperway_upstream_ejections_total{{{PICKED}}}{RATE}))", "ejections")]),
            lines("Services without a ready endpoint", [target(f"max(hyperway_backends_without_endpoints{{{PICKED}}})", "services")]),
        ]),
        ("Configuration", [
            lines("Objects by state", [target(f"max by (kind, state) (hyperway_objects{{{PICKED}}})", "{{kind}} {{state}}")], width=12),
            lines("Degraded and rejected", [target(f"max(hyperway_config_degraded{{{PICKED}}})", "sources and sinks that are not well"),
                                            target(f"max(hyperway_config_rejected_objects{{{PICKED}}})", "objects that do not read")], width=6),
            lines("Changes", [target(f"max(rate(hyperway_config_generation{{{PICKED}}}{RATE}))", "generations a second"),
                              target(f"time() - max(hyperway_config_last_change_timestamp_seconds{{{PICKED}}})", "seconds since the last change")], width=6),
            table("Certificates", [target(
                f"sort(min by (secret, subject, listener) (hyperway_certificate_expiry_timestamp_seconds{{{PICKED}}}) - time())",
                instant=True, table=True)], "s", 24, shown=("subject", "secret", "listener"), value="Left"),
        ]),
        ("Plugins", [
            lines("Calls of filters", [target(f"sum by (plugin) (rate(hyperway_plugin_calls_total{{{PICKED}}}{RATE}))", "{{plugin}}")], "cps"),
            lines("Time of a call", [target(f"sum by (plugin) (rate(hyperway_plugin_call_seconds_total{{{PICKED}}}{RATE}))"
                                            f" / sum by (plugin) (rate(hyperway_plugin_calls_total{{{PICKED}}}{RATE}))", "{{plugin}}")], "s"),
            lines("Faults and slow calls", [target(f"sum by (plugin) (rate(hyperway_plugin_faults_total{{{PICKED}}}{RATE}))", "{{plugin}} faults"),
                                            target(f"sum by (plugin) (rate(hyperway_plugin_slow_calls_total{{{PICKED}}}{RATE}))", "{{plugin}} over 10 ms")], "cps"),
        ]),
        ("Kubernetes", [
            lines("Who writes", [target(f"sum(hyperway_plugin_k8s_source_lease_held{{{PICKED}}})", "statuses"),
                                 target(f"sum(hyperway_plugin_gateway_deployer_leader{{{PICKED}}})", "Services of Gateways"),
                                 target(f"sum(hyperway_plugin_snapshot_sink_leader{{{PICKED}}})", "RouteSnapshot")],
                  help_text="One each, of all replicas"),
            lines("Writes", [target(f"sum by (result) (rate(hyperway_plugin_k8s_source_status_writes_total{{{PICKED}}}{RATE}))", "statuses {{result}}"),
                             target(f"sum by (result) (rate(hyperway_plugin_gateway_deployer_writes_total{{{PICKED}}}{RATE}))", "Services {{result}}"),
                             target(f"sum by (result) (rate(hyperway_plugin_snapshot_sink_writes_total{{{PICKED}}}{RATE}))", "snapshot {{result}}")], "wps"),
            lines("What cannot be followed or placed", [target(f"max(hyperway_plugin_k8s_source_troubled_kinds{{{PICKED}}})", "kinds"),
                                                        target(f"max(hyperway_plugin_snapshot_source_troubled{{{PICKED}}})", "snapshot"),
                                                        target(f"max(hyperway_plugin_gateway_deployer_gateways_without_place{{{PICKED}}})", "Gateways without a place")]),
        ]),
        ("Processes", [
            lines("Processor", [target(f"rate(process_cpu_seconds_total{{{PICKED}}}{RATE})", "{{instance}}")], "short", help_text="Cores in use"),
            lines("Memory", [target(f"process_resident_memory_bytes{{{PICKED}}}", "{{instance}}")], "bytes"),
            lines("Log lines lost", [target(f"sum(rate(hyperway_access_log_dropped_total{{{PICKED}}}{RATE}))", "access log"),
                                     target(f"sum(rate(hyperway_process_log_dropped_total{{{PICKED}}}{RATE}))", "process log")]),
        ]),
    ]


def arrange(groups):
    """Gives every panel its place and its id: from left to right, rows below each other."""
    out, y, number = [], 0, 1
    for title, panels in groups:
        out.append({"type": "row", "title": title, "id": number, "collapsed": False, "panels": [],
                    "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y, x, height, number = y + 1, 0, 0, number + 1
        for one in panels:
            place = one["gridPos"]
            if x + place["w"] > 24:
                x, y, height = 0, y + height, 0
            place.update(x=x, y=y)
            one["id"], number = number, number + 1
            x, height = x + place["w"], max(height, place["h"])
            out.append(one)
        y += height
    return out


def variable(name, query, label):
    """A choice of label values, all of them at first."""
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
            "definition": query, "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*", "sort": 1,
            "current": {"text": "All", "value": "$__all"}}


def dashboard():
    """The whole of it."""
    return {
        "title": "hyperway", "uid": "hyperway", "tags": ["hyperway", "gateway-api"], "schemaVersion": 38, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "",
        "description": "Made by deploy/grafana/make_dashboard.py; docs/runbooks.md belongs to its alerts.",
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
            variable("instance", "label_values(hyperway_build_info, instance)", "Instance"),
            variable("route", 'label_values(hyperway_requests_total{instance=~"$instance"}, route)', "Route")]},
        "annotations": {"list": []}, "links": [],
        "panels": arrange(rows()),
    }


def main():
    """Writes or shows it."""
    text = json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
    if "--print" in sys.argv[1:]:
        sys.stdout.write(text)
        return
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "hyperway.json"), "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
