# SPDX-License-Identifier: Apache-2.0
"""`hyperway check` finds what is wrong with manifests and configuration, with file and line."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness.gateway import binary

BASE = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hyperway}
spec: {controllerName: hyperway.arloor.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: hyperway
  listeners: [{name: http, protocol: HTTP, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: default}
spec: {ports: [{port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: other}
spec: {ports: [{port: 8080}]}
---
apiVersion: v1
kind: Secret
metadata: {name: far, namespace: other}
type: kubernetes.io/tls
data: {tls.crt: eA==, tls.key: eA==}
"""


def raw(text):
    """A file as it is; the line with the fault ends in "#!"."""
    return text


def rule(text, head=""):
    """A route with one rule of these lines."""
    lines = "".join("    " + line + "\n" for line in text.strip("\n").splitlines())
    return ("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: NAME}\nspec:\n"
            "  parentRefs: [{name: gw}]\n" + head + "  rules:\n  -\n" + lines)


def filtered(text):
    """A route whose rule has a backend and these filters."""
    return rule("backendRefs: [{name: app, port: 8080}]\nfilters:\n" + text.strip("\n"))


def spec(text, kind="HTTPRoute"):
    """An object with these lines in its spec."""
    lines = "".join("  " + line + "\n" for line in text.strip("\n").splitlines())
    return f"apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: NAME}}\nspec:\n" + lines


def listener(text):
    """A Gateway with one listener of these lines."""
    lines = "".join("  " + line + "\n" for line in text.strip("\n").splitlines())
    return spec("gatewayClassName: hyperway\nlisteners:\n-\n" + lines, "Gateway")


def ours(text):
    """A Filter with these lines in its spec."""
    return spec(text, "Filter").replace("gateway.networking.k8s.io/v1", "hyperway.arloor.dev/v1alpha1")


# name: (manifest, what the problem says). The line that is wrong ends in "#!".
FAULTS = {
    # What is not a manifest.
    "open-bracket": (raw("apiVersion: v1\nkind: [ #!?\n"), "not valid YAML"),
    "tab": (raw("apiVersion: v1\n\tkind: Service #!\n"), "not valid YAML"),
    "duplicate-key": (raw("apiVersion: v1\nkind: Service\nkind: Secret #!\n"), 'key "kind" occurs twice'),
    "merge-key": (raw("apiVersion: v1\nkind: Service\n<<: {} #!\n"), "merge keys"),
    "unknown-alias": (raw("apiVersion: v1\nkind: *nobody #!\n"), "nobody|alias"),
    "custom-tag": (raw("apiVersion: v1\nkind: !mine Service #!\n"), "tag"),
    "infinite": (raw("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {a: .inf} #!\n"), "infinity"),
    "no-mapping": (raw("- 1 #!\n"), "must be a mapping"),
    "no-api-version": (raw("kind: Service #!\nmetadata: {name: x}\n"), "apiVersion is missing"),
    "no-kind": (raw("apiVersion: v1 #!\nmetadata: {name: x}\n"), "kind is missing"),
    "no-name": (raw("apiVersion: v1 #!\nkind: Service\nmetadata: {namespace: x}\n"), "metadata.name is missing"),
    "bad-name": (raw("apiVersion: v1 #!\nkind: Service\nmetadata: {name: A_B}\n"), "no DNS-1123 name"),
    "bad-namespace": (raw("apiVersion: v1 #!\nkind: Service\nmetadata: {name: x, namespace: a.b}\n"), "no DNS-1123 label"),
    "unknown-kind": (raw("apiVersion: gateway.networking.k8s.io/v1 #!\nkind: HTTPRout\nmetadata: {name: x}\n"),
                     "HTTPRout.*HTTPRoute"),
    "twice": (raw("apiVersion: v1\nkind: Service\nmetadata: {name: twice}\nspec: {ports: [{port: 1}]}\n---\n"
                  "apiVersion: v1 #!\nkind: Service\nmetadata: {name: twice}\n"), "defined already"),
    # Gateways.
    "no-class": (spec("gatewayClassName: nobody #!\nlisteners: [{name: a, protocol: HTTP, port: 81}]", "Gateway"), "no GatewayClass"),
    "unknown-protocol": (listener("name: a\nprotocol: GOPHER #!\nport: 82"), "GOPHER"),
    "tcp-hostname": (listener("name: a\nprotocol: TCP\nport: 83\nhostname: a.org #!"), "does not belong to protocol TCP"),
    "port-range": (listener("name: a\nprotocol: HTTP\nport: 70000 #!"), "1 to 65535"),
    "https-without-tls": (listener("name: a #!?\nprotocol: HTTPS\nport: 444"), "tls|certificate"),
    "secret-missing": (listener("name: a\nprotocol: HTTPS\nport: 445\ntls:\n  certificateRefs:\n  - name: nowhere #!"), "nowhere"),
    "secret-not-granted": (listener("name: a\nprotocol: HTTPS\nport: 446\ntls:\n  certificateRefs:\n  - {name: far, namespace: other} #!"),
                           "ReferenceGrant"),
    "secret-kind": (listener("name: a\nprotocol: HTTPS\nport: 447\ntls:\n  certificateRefs:\n  - {kind: ConfigMap, name: x} #!"), "ConfigMap"),
    "tls-mode": (listener("name: a\nprotocol: HTTPS\nport: 448\ntls:\n  mode: Passthrough #!"), "Passthrough"),
    "listener-hostname": (listener("name: a\nprotocol: HTTP\nport: 84\nhostname: not_a_host #!"), "not_a_host"),
    "route-kind": (listener("name: a\nprotocol: HTTP\nport: 85\nallowedRoutes:\n  kinds:\n  - kind: TCPRoute #!"), "TCPRoute"),
    # Routes: where they are attached.
    "no-gateway": (spec("parentRefs:\n- name: nobody #!"), "no Gateway default/nobody"),
    "no-section": (spec("parentRefs:\n- {name: gw, sectionName: nowhere} #!"), "no listener"),
    "no-port": (spec("parentRefs:\n- {name: gw, port: 99} #!"), "no listener"),
    "no-tcp": (spec("parentRefs:\n- name: gw #!\nrules: [{backendRefs: [{name: app, port: 8080}]}]", "TCPRoute"), "allows TCPRoutes"),
    "route-hostname": (rule("backendRefs: [{name: app, port: 8080}]", '  hostnames:\n  - "a b" #!\n'), "a b"),
    # Matches.
    "path-slash": (rule("backendRefs: [{name: app, port: 8080}]\nmatches:\n- path: {value: cart} #!"), "/"),
    "path-type": (rule("backendRefs: [{name: app, port: 8080}]\nmatches:\n- path:\n    type: Glob #!\n    value: /x"), "Glob"),
    "path-regex": (rule("backendRefs: [{name: app, port: 8080}]\nmatches:\n- path:\n    type: RegularExpression\n    value: /(x #!?"), r"\(|regular"),
    "header-regex": (rule('backendRefs: [{name: app, port: 8080}]\nmatches:\n- headers:\n  - {name: a, type: RegularExpression, value: "["} #!?'),
                     r"\[|regular"),
    "header-name": (rule('backendRefs: [{name: app, port: 8080}]\nmatches:\n- headers:\n  - {name: "a b", value: c} #!'), "a b"),
    "method": (rule("backendRefs: [{name: app, port: 8080}]\nmatches:\n- method: FETCH #!"), "FETCH"),
    # Backends.
    "weight-negative": (rule("backendRefs:\n- name: app\n  port: 8080\n  weight: -5 #!"), "-5"),
    "weight-large": (rule("backendRefs:\n- name: app\n  port: 8080\n  weight: 1000001 #!"), "1000001"),
    "weight-text": (rule("backendRefs:\n- name: app\n  port: 8080\n  weight: lots #!"), "number|integer"),
    "service-missing": (rule("backendRefs:\n- {name: nowhere, port: 8080} #!"), "nowhere"),
    "service-port": (rule("backendRefs:\n- {name: app, port: 9} #!"), "9"),
    "service-without-port": (rule("backendRefs:\n- {name: app} #!"), "port"),
    "backend-kind": (rule("backendRefs:\n- {kind: Bucket, name: app} #!"), "Bucket"),
    "backend-not-granted": (rule("backendRefs:\n- {name: far, namespace: other, port: 8080} #!"), "ReferenceGrant"),
    # Filters.
    "filter-type": (filtered("- type: Teleport #!"), "Teleport"),
    "redirect-and-rewrite": (rule("filters: #!?\n- {type: RequestRedirect, requestRedirect: {hostname: a.org}}\n"
                                  "- {type: URLRewrite, urlRewrite: {hostname: b.org}}"), "RequestRedirect|URLRewrite"),
    "redirect-status": (rule("filters:\n- type: RequestRedirect\n  requestRedirect:\n    statusCode: 200 #!"), "must be 301"),
    "prefix-without-prefix": (filtered("- type: URLRewrite #!?\n  urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}")
                              + "    matches: [{path: {type: Exact, value: /y}}]\n", "ReplacePrefixMatch|PathPrefix"),
    "mirror-percent": (filtered("- type: RequestMirror\n  requestMirror: #!\n    backendRef: {name: app, port: 8080}\n    percent: 101"), "share"),
    "extension-missing": (filtered("- type: ExtensionRef #!?\n  extensionRef: {group: hyperway.arloor.dev, kind: Filter, name: nowhere}"), "nowhere"),
    "extension-kind": (filtered("- type: ExtensionRef #!?\n  extensionRef: {group: other.org, kind: Thing, name: x}"), "Thing"),
    "filter-plugin": (ours("plugin: nobody #!"), "nobody"),
    "filter-without-plugin": (ours("config: {} #!?"), "plugin"),
    "filter-config": (ours("plugin: rate_limit\nconfig:\n  requests: -3 #!"), "-3|requests"),
    "filter-config-key": (ours("plugin: rate_limit\nconfig:\n  requests: 3\n  brust: 5 #!"), "brust|unknown"),
    # Times.
    "timeout": (rule("backendRefs: [{name: app, port: 8080}]\ntimeouts:\n  request: 5 minutes #!"), "5 minutes|duration"),
    "timeout-order": (rule("backendRefs: [{name: app, port: 8080}]\ntimeouts: #!?\n  request: 1s\n  backendRequest: 2s"), "backendRequest|request"),
    "retry-code": (rule("backendRefs: [{name: app, port: 8080}]\nretry:\n  codes:\n  - 200 #!"), "400 to 599"),
}

CONFIG_FAULTS = {
    "unknown-key": ("sources: []\nworkerz: 2 #!\n", "workers"),
    "unknown-source": ("sources:\n- plugin: nobody #!\n", "nobody"),
    "unknown-sink": ("sinks:\n- plugin: proxy\n- plugin: nobody #!\n", "nobody"),
    "sink-config": ("sinks:\n- plugin: proxy\n- plugin: gateway_deployer #!\n  config: {pods: x}\n", "unknown field"),
    "source-config": ("sources:\n- plugin: file_source #!\n  config: {path: x}\n", "unknown field"),
    "source-path": ("sources:\n- plugin: file_source\n  config: {paths: [/nonexistent/x]}\n", "does not exist"),
    "plugin-file": ("plugins:\n- {name: mine, path: /nonexistent.so}\n", "nonexistent"),
    "listen": ("listen:\n  80: here #!\n", "IP:port"),
}


# Each unknown field has its place and the nearest known one ("-": none) behind it.
UNKNOWN_FIELDS = """---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: unknown
  lables: {a: b}                 #? /metadata/lables labels
specs: {}                        #? /specs spec
spec:
  parentRefs:
  - name: gw
    sectonName: http             #? /spec/parentRefs/0/sectonName sectionName
  hostname: [a.example]          #? /spec/hostname hostnames
  rules:
  - matches:
    - path: {type: PathPrefix, value: /}
      header: []                 #? /spec/rules/0/matches/0/header headers
    backendRefs:
    - name: app
      port: 8080
      wieght: 2                  #? /spec/rules/0/backendRefs/0/wieght weight
    timeout: {request: 1s}       #? /spec/rules/0/timeout timeouts
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app-1, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{port: 80}]
endpoints:
- addresses: [192.0.2.1]
  conditions:
    redy: true                   #? /endpoints/0/conditions/redy ready
zzzzzzzzzzzzzzzzz: 1             #? /zzzzzzzzzzzzzzzzz -
"""


def numbered(text):
    """(text without marks, line of the mark, whether a neighbouring line will do)."""
    line, loose, out = None, False, []
    for number, one in enumerate(text.splitlines(), 1):
        if one.rstrip().endswith(("#!", "#!?")):
            line, loose = number, one.rstrip().endswith("?")
            one = re.sub(r"\s*#!\??\s*$", "", one)
        out.append(one)
    return "\n".join(out) + "\n", line, loose


def check(*arguments):
    """Exit code and lines of `hyperway check`."""
    done = subprocess.run([binary(), "check", *arguments], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


class Check(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hw-check-")
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_what_is_right_is_called_ok(self):
        code, lines = check(self.write("base.yaml", BASE.split("---\napiVersion: v1\nkind: Secret")[0]))
        self.assertEqual((code, lines), (0, ["ok"]))

    def test_fields_that_a_kind_does_not_have_are_warnings_or_errors_if_asked(self):
        """As `kubectl --validate=strict`: file, line, the field's place, and what was probably meant."""
        text = BASE.split("---\napiVersion: v1\nkind: Secret")[0] + UNKNOWN_FIELDS
        path = self.write("a.yaml", text)
        expected = []
        for number, line in enumerate(text.splitlines(), 1):
            if "#?" in line:
                place, near = line.split("#? ")[1].split()
                name = place.rsplit("/", 1)[1]
                hint = f'; did you mean "{near}"?' if near != "-" else ""
                expected.append(f'{path}:{number}: warning: KIND: unknown field "{name}"{hint} (at {place})')
        self.assertEqual(len(expected), 9)
        code, got = check(path)
        self.assertEqual(code, 0, got)
        self.assertEqual(got[-1], "ok, 9 warnings")
        self.assertEqual(sorted(re.sub(r"warning: \S+: ", "warning: KIND: ", x) for x in got[:-1]), sorted(expected))
        code, got = check("--strict", path)
        self.assertEqual((code, got[-1]), (78, "9 warnings"))

    def test_the_shipped_configurations_pass_with_their_manifests(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        for name in ("etc/local.yaml", "etc/demo/hyperway.yaml"):
            code, lines = check("--strict", "--config", os.path.join(root, name))
            self.assertEqual((code, lines), (0, ["ok"]), name)

    def test_each_of_many_faults_is_found_with_file_and_line(self):
        self.assertGreaterEqual(len(FAULTS), 40)
        self.write("base.yaml", BASE)
        marks = {}
        for name, (text, _) in FAULTS.items():
            text, line, loose = numbered(text.replace("NAME", name))
            marks[name] = (line, loose)
            self.write(name + ".yaml", text)
        code, lines = check(self.folder)
        self.assertEqual(code, 78, lines)
        output = "\n".join(lines)
        for name, (_, says) in FAULTS.items():
            with self.subTest(name):
                mine = [x for x in lines if x.startswith(os.path.join(self.folder, name + ".yaml") + ":")]
                self.assertTrue(mine, f"nothing about {name} in:\n{output}")
                line, loose = marks[name]
                allowed = range(line - 1, line + 4) if loose else (line,)
                fits = [x for x in mine if int(x.split(":")[1]) in allowed and re.search(says, x)]
                self.assertTrue(fits, f"line {line}, {says!r}: {mine}")

    def test_faults_of_the_configuration_are_found_with_file_and_line(self):
        for name, (text, says) in CONFIG_FAULTS.items():
            with self.subTest(name):
                text, line, _ = numbered(text)
                path = self.write(name + ".conf.yaml", text)
                code, lines = check("--config", path)
                self.assertEqual(code, 78, lines)
                where = f"{path}:{line}: " if line else ""
                self.assertTrue([x for x in lines if x.startswith(where) and re.search(says, x)], lines)

    def test_one_fault_does_not_hide_another_object(self):
        self.write("base.yaml", BASE)
        self.write("a.yaml", numbered(FAULTS["open-bracket"][0])[0])
        path = self.write("b.yaml", numbered(FAULTS["weight-negative"][0].replace("NAME", "b"))[0])
        _, lines = check(self.folder)
        self.assertTrue([x for x in lines if x.startswith(path + ":")], lines)


if __name__ == "__main__":
    unittest.main()
