# SPDX-License-Identifier: Apache-2.0
"""A right that is missing is found, and one that nobody needs."""
import contextlib
import io
import json
import os
import tempfile
import unittest

import rights

ROLES = """
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [""], resources: [services], verbs: [list, create]}
- {apiGroups: [gateway.networking.k8s.io], resources: [gateways/status], verbs: [patch]}
---
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, namespace: ns, name: me}]
---
kind: Role
metadata: {name: of-somebody-else}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
---
kind: RoleBinding
metadata: {name: of-somebody-else}
roleRef: {kind: Role, name: of-somebody-else}
subjects: [{kind: ServiceAccount, namespace: ns, name: them}]
"""


def event(verb, resource, group="", code=200, decision="allow", user="system:serviceaccount:ns:me"):
    """An audit event."""
    name, _, subresource = resource.partition("/")
    about = {"resource": name, "apiGroup": group}
    if subresource:
        about["subresource"] = subresource
    return {"verb": verb, "user": {"username": user}, "objectRef": about,
            "responseStatus": {"code": code},
            "annotations": {"authorization.k8s.io/decision": decision}}


ALL = [event("list", "services"), event("create", "services", code=201),
       event("patch", "gateways/status", "gateway.networking.k8s.io")]


class Rights(unittest.TestCase):
    """What the program says about a log and a manifest."""

    def judge(self, events):
        """Status and lines of the program."""
        with tempfile.TemporaryDirectory() as folder:
            log, manifest = os.path.join(folder, "log"), os.path.join(folder, "roles.yaml")
            with open(log, "w", encoding="utf-8") as file:
                file.write("".join(json.dumps(e) + "\n" for e in events))
            with open(manifest, "w", encoding="utf-8") as file:
                file.write(ROLES)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                return rights.main([log, manifest, "ns/me"]), out.getvalue().splitlines()

    def test_rights_that_are_all_used_and_enough_pass(self):
        self.assertEqual(self.judge(ALL), (0, ["ns/me: 3 requests, 4 rights used"]))

    def test_a_verb_that_nobody_needed_fails(self):
        self.assertEqual(self.judge(ALL[1:]), (1, ["UNUSED  list services, in ClusterRole reader",
                                                   "ns/me: 2 requests, 3 rights used"]))

    def test_a_refused_request_fails_and_is_no_use_of_a_right(self):
        status, lines = self.judge(ALL[1:] + 2 * [event("list", "services", code=403, decision="forbid")])
        self.assertEqual((status, lines[:2]), (1, ["DENIED  list services, 2 times",
                                                   "UNUSED  list services, in ClusterRole reader"]))

    def test_an_apply_that_makes_its_object_needs_create_too(self):
        status, lines = self.judge([ALL[0], ALL[2], event("patch", "services", code=201)])
        self.assertEqual((status, lines), (0, ["ns/me: 3 requests, 5 rights used"]))

    def test_who_writes_a_status_may_read_the_object(self):
        self.assertIn(("gateway.networking.k8s.io", "gateways", "get"), rights.used(ALL))
        self.assertNotIn(("", "services", "get"), rights.used(ALL))

    def test_a_right_that_is_given_on_need_not_be_used(self):
        role = {"kind": "Role", "metadata": {"name": "a", "annotations": {rights.GIVEN: "services"}},
                "rules": [{"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["get"]}]}
        self.assertEqual(set(rights.granted([role])), {("", "pods", "get")})

    def test_requests_of_others_do_not_count(self):
        other = [dict(e, user={"username": "admin"}) for e in ALL]
        status, lines = self.judge(other)
        self.assertEqual(status, 1)
        self.assertEqual(lines[0], "no request of ns/me is in the log")
        self.assertEqual(len([line for line in lines if line.startswith("UNUSED")]), 3)


if __name__ == "__main__":
    unittest.main()
