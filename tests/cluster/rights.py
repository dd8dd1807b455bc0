#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the rights that a manifest grants with those that were used, by the API server's audit log.

usage: rights.py AUDIT_LOG MANIFEST ACCOUNT

ACCOUNT is NAMESPACE/NAME of a ServiceAccount, MANIFEST has its roles and their bindings. One line for each request that was
refused (once for each kind and verb), and one for each verb of a rule that no request needed; any of
them fails.
"""
import collections
import json
import sys

import yaml

GIVEN = "hyperway.arloor.dev/gives"  # names of resources, in an annotation of a Role


def bound_to(documents, account):
    """(kind, name) of the roles that a ServiceAccount, NAMESPACE/NAME, is bound to."""
    return {(document["roleRef"]["kind"], document["roleRef"]["name"])
            for document in documents if document["kind"] in ("RoleBinding", "ClusterRoleBinding")
            for subject in document.get("subjects") or []
            if f"{subject.get('namespace')}/{subject['name']}" == account}


def granted(documents, account=None):
    """{(group, resource, verb): where} of all rules of Roles and ClusterRoles, or of an account's. Without resources that an
    annotation says are given on to others: nobody can give a right that he has not got, and no request shows it."""
    rights = {}
    documents = [document for document in documents if document]
    bound = bound_to(documents, account) if account else None
    for document in documents:
        if document["kind"] in ("Role", "ClusterRole") and (
                bound is None or (document["kind"], document["metadata"]["name"]) in bound):
            given = (document["metadata"].get("annotations") or {}).get(GIVEN, "").split()
            for rule in document.get("rules") or []:
                for group in rule.get("apiGroups", []):
                    for resource in set(rule.get("resources", [])) - set(given):
                        for verb in rule["verbs"]:
                            rights[group, resource, verb] = (
                                f"{document['kind']} {document['metadata']['name']}")
    return rights


def request_of(event):
    """(group, resource, verb) of an audit event, or None if it is about no resource."""
    about = event.get("objectRef")
    if not about or "resource" not in about:
        return None
    resource = about["resource"]
    if "subresource" in about:
        resource += "/" + about["subresource"]
    return about.get("apiGroup", ""), resource, event["verb"]


def is_denied(event):
    """Whether RBAC has refused the request."""
    return event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"


def used(events):
    """The rights that requests needed: a patch that made its object also needed "create", and who writes a status reads
    the object whenever somebody else was first, which no run can be sure to show."""
    rights = set()
    for event in events:
        right = request_of(event)
        if right is None or is_denied(event):
            continue
        rights.add(right)
        if right[2] == "patch" and event.get("responseStatus", {}).get("code") == 201:
            rights.add((*right[:2], "create"))
        if right[2] == "patch" and right[1].endswith("/status"):
            rights.add((right[0], right[1].removesuffix("/status"), "get"))
    return rights


def findings(rights, events):
    """Lines on what is refused and what is granted for nothing."""
    name = lambda right: f"{right[2]} {right[1]}" + (f" ({right[0]})" if right[0] else "")  # noqa: E731
    refused = collections.Counter(filter(None, (request_of(e) for e in events if is_denied(e))))
    lines = [f"DENIED  {name(right)}, {count} times" for right, count in sorted(refused.items())]
    return lines + [f"UNUSED  {name(right)}, in {where}"
                    for right, where in sorted(rights.items()) if right not in used(events)]


def read_audit(path, account):
    """The events of a ServiceAccount, NAMESPACE/NAME."""
    user = "system:serviceaccount:" + account.replace("/", ":")
    with open(path, encoding="utf-8") as log:
        events = [json.loads(line) for line in log if line.endswith("\n")]
    return [event for event in events if event["user"].get("username") == user]


def main(argv):
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    events = read_audit(argv[0], argv[2])
    with open(argv[1], encoding="utf-8") as file:
        lines = findings(granted(yaml.safe_load_all(file), argv[2]), events)
    if not events:
        lines.insert(0, f"no request of {argv[2]} is in the log")
    for line in lines:
        print(line)
    print(f"{argv[2]}: {len(events)} requests, {len(used(events))} rights used")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
