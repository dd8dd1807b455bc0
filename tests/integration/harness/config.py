# SPDX-License-Identifier: Apache-2.0
"""The configuration file that tests give to the gateway, and the form in which status comes back.

The only place of the harness that knows their keys.
"""
import json


def _lay_over(base, extra):
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _lay_over(base[key], value)
        else:
            base[key] = value
    return base


def build(gateway):
    """The configuration document for a harness Gateway, with its `settings` laid over it."""
    source = {"paths": gateway.manifest_paths, **gateway.source}
    document = {
        "workers": gateway.workers,
        "sources": [{"plugin": "file_source", "config": source}],
        "listen": {port: f"127.0.0.1:{bound}" for port, bound in gateway.listen.items()},
        "admin": {"address": f"127.0.0.1:{gateway.admin}", "socket": gateway.socket},
        "drain": {"delay": "0s", "deadline": "5s"},
    }
    if gateway.default_endpoints:
        document["default_endpoints"] = gateway.default_endpoints
    if gateway.access_log:
        document["access_log"] = gateway.access_log
    return _lay_over(document, gateway.settings)


def read_statuses(text):
    """{"Kind/namespace/name": status} out of what `hyperway status --json` prints."""
    out = {}
    for item in json.loads(text):
        meta = item["metadata"]
        out[f"{item['kind']}/{meta.get('namespace', '')}/{meta['name']}"] = item["status"]
    return out


def statuses(gateway):
    """The statuses of a running gateway."""
    return read_statuses(gateway.run("status", "--socket", gateway.socket, "--json", check=True).stdout)
