#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the official Gateway API suite against hyperway, as `./dev conformance` does.

usage: conformance.py SHAPE [--suite VERSION] [--kubeconfig FILE] [--run REGEX] [FLAG OF THE SUITE...]

Starts a cluster (see README.md) with the experimental definitions of the suite's version, and installs the chart of deploy/
in the mode SHAPE by helm; or uses the cluster of FILE as it is. Tests of our own (docs/conformance/tests/) run behind the
suite, those whose features the GatewayClass claims. With --run only tests whose whole name the
expression matches are run, those of later.txt and for unclaimed features too; without, all but those. Writes into build/conformance/:
report-SHAPE.yaml, SHAPE.json (the log as `go test -json` writes it), SHAPE-list.json (what the
suite consists of) and, of our own cluster, state-SHAPE/ with the logs of everything. Ends well if the
suite ran to its end; judge.py says whether it passed.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys

import judge

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
NEWEST = "1.7.0"
# The modes of the chart that are tried.
SHAPES = ("direct", "snapshot-shared", "snapshot-deployed")
CHART = os.path.join(ROOT, "deploy/helm/hyperway")
NAMESPACE = "hyperway-system"
# What the report is about. Their core features are tested even if the GatewayClass claimed none.
PROFILES = "GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP"
# Addresses for GatewayStaticAddresses: of the cluster's load balancers, and of nobody's.
ADDRESSES = ["-usable-address=10.78.0.200", "-unusable-address=192.0.2.1"]


def large():
    """Routes beside those of the suite, more than go into one object of mode A, as a manifest."""
    api = "gateway.networking.k8s.io/v1"
    meta = lambda name: {"name": name, "namespace": "default"}  # noqa: E731
    documents = [{"apiVersion": api, "kind": "Gateway", "metadata": meta("beside-the-suite"), "spec": {
        "gatewayClassName": "hyperway", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}}]
    for name in ("one", "two"):
        matches = [{"path": {"type": "PathPrefix", "value": f"/{i}/{name}/".ljust(1000, "x")}} for i in range(60)]
        rule = {"matches": matches, "filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 302}}]}
        documents.append({"apiVersion": api, "kind": "HTTPRoute", "metadata": meta("large-" + name), "spec": {
            "parentRefs": [{"name": "beside-the-suite"}], "rules": [rule, {**rule, "matches": matches}]}})
    return "---\n".join(json.dumps(document) + "\n" for document in documents)


def version():
    """The version of this tree."""
    with open(os.path.join(ROOT, "VERSION"), encoding="utf-8") as file:
        return "v" + file.read().strip()


class Progress:
    """Prints a line for each test that ends, and knows whether the whole did: each of the `roots`."""

    def __init__(self, total, roots):
        self.total, self.done, self._running = total, 0, set(roots)

    @property
    def ended(self):
        """Whether all have ended."""
        return not self._running

    def take(self, line):
        """Reads one line of the log."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        action, parts = event.get("Action"), event.get("Test", "").split("/")
        if action not in ("pass", "fail", "skip"):
            return
        if len(parts) == 2:
            self.done += 1
            if action != "skip":
                print(f"{self.done}/{self.total} {action} {parts[1]} "
                      f"{event.get('Elapsed', 0):.1f}s", flush=True)
        else:
            self._running -= set(parts)


def left_out(tests, only):
    """Names of the tests that do not run: with an expression all that it does not match, else those left for later."""
    if only:
        return sorted(test["name"] for test in tests if not re.fullmatch(only, test["name"]))
    with open(os.path.join(HERE, "later.txt"), encoding="utf-8") as file:
        return sorted(judge.read_later(file.read()))


def roots_of(listing, only):
    """{test of Go: those in it}, of the suite's and ours: what has a test that is to run."""
    roots = {judge.ROOT_TEST: listing["tests"], judge.OWN_TEST: listing["own"]}
    return {root: tests for root, tests in roots.items() if any(re.fullmatch(only or ".*", test["name"]) for test in tests)}


def suite_command(suite, listing, arguments, report):
    """The suite with its flags. It tests what the GatewayClass claims: without -run-test, which would have it test less."""
    roots = roots_of(listing, arguments.run)
    command = [os.path.join(suite, "conformance.test"), "-test.v=test2json", "-test.timeout=80m",
               f"-test.run=^({'|'.join(roots)})$", "-gateway-class=hyperway",
               "-conformance-profiles=" + PROFILES, *ADDRESSES,
               "-organization=hyperway", "-project=hyperway",
               "-url=https://hyperway.arloor.dev", "-version=" + version(),
               "-contact=maintainers@hyperway.arloor.dev", "-report-output=" + report]
    skipped = left_out(listing["tests"] + listing["own"], arguments.run)
    if skipped:
        command.append("-skip-tests=" + ",".join(skipped))
    if arguments.run and judge.OWN_TEST in roots:
        features = {feature for test in listing["own"] if test["name"] not in skipped for feature in test["features"]}
        command.append("-own-features=" + ",".join(sorted(features)))
    command += arguments.flags
    # The suite reads the features before it waits for the GatewayClass. A wait also ends, as if time were up, when the API server
    # closes its watch: it does while it takes in a new definition.
    wait = ('cluster=$0; until_is() { for _ in 1 2 3 4; do "$cluster" kubectl-main wait --for=condition=$1 $2 --timeout=60s && return; done; '
            'return 1; }; until_is Accepted gatewayclass/hyperway && ')
    if arguments.shape == "snapshot-deployed" and not arguments.kubeconfig:
        # A Gateway with an autoscaler comes and goes: what hyperway may do with those is used in the run.
        wait = wait + ('until_is Programmed gateway/scaled && '
                       '"$cluster" kubectl-main delete gateway/scaled configmap/scaled && ')
    wait += 'exec "$@"'
    return ["sh", "-c", wait, os.path.join(arguments.build, "cluster"), *command]


def cluster_command(build, suite, state, shape, beside):
    """What starts our own cluster, installs the chart in it and then applies manifests, and runs what follows inside."""
    command = [os.path.join(build, "cluster"), "run", "--dir", state,
               "--images", os.path.join(HERE, "images.yaml"),
               "--apply", os.path.join(suite, "crds/experimental"), "--apply", os.path.join(HERE, "namespace.yaml")]
    install = ('cluster=$1 helm=$2 chart=$3 mode=$4; shift 4; '
               f'"$helm" install hyperway "$chart" --namespace {NAMESPACE} --set mode="$mode" --wait --timeout 3m >&2 || exit; '
               'while [ "$1" != -- ]; do "$cluster" kubectl-main apply --server-side -f "$1" >&2 || exit; shift; done; '
               'shift; exec "$@"')
    return command + ["--", "sh", "-c", install, "install", os.path.join(build, "cluster"), os.path.join(build, "helm"),
                      CHART, shape, *beside, "--"]


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--suite", default=NEWEST)
    parser.add_argument("--kubeconfig", help="use the cluster of this file, hyperway already in it")
    parser.add_argument("--run", help="run the tests alone whose whole name this expression matches")
    parser.add_argument("--build", default=os.path.join(ROOT, "build/cluster"))
    parser.add_argument("--hyperway", default=os.path.join(ROOT, "build/release"),
                        help="build tree of hyperway")
    parser.add_argument("--out", default=os.path.join(ROOT, "build/conformance"))
    arguments, arguments.flags = parser.parse_known_args(argv)
    suite = os.path.join(arguments.build, "suite-" + arguments.suite)
    os.makedirs(arguments.out, exist_ok=True)
    name = arguments.shape + ("" if arguments.suite == NEWEST else "-" + arguments.suite)
    path = lambda kind: os.path.join(arguments.out, kind.format(name))  # noqa: E731

    listing = subprocess.run([os.path.join(suite, "conformance.test"), "-list-tests"],
                             check=True, capture_output=True, text=True).stdout
    with open(path("{}-list.json"), "w", encoding="utf-8") as file:
        file.write(listing)
    report = path("report-{}.yaml")
    if os.path.exists(report):
        os.remove(report)

    listing = json.loads(listing)
    if not roots_of(listing, arguments.run):
        parser.error(f"--run {arguments.run}: there is no such test")
    command = suite_command(suite, listing, arguments, report)
    environment = dict(os.environ, SUITE=suite, HYPERWAY=arguments.hyperway, HERE=HERE)
    if arguments.kubeconfig:
        environment["KUBECONFIG"] = os.path.abspath(arguments.kubeconfig)
    else:
        beside = [os.path.join(HERE, "filter.yaml")]
        if arguments.shape == "snapshot-deployed":
            beside.append(os.path.join(HERE, "scaled.yaml"))
        if "snapshot" in arguments.shape:
            beside.append(os.path.abspath(path("beside-{}.yaml")))
            with open(beside[-1], "w", encoding="utf-8") as file:
                file.write(large())
        command = cluster_command(arguments.build, suite, path("state-{}"), arguments.shape, beside) + command
    roots = roots_of(listing, arguments.run)
    progress = Progress(sum(map(len, roots.values())), roots)
    with open(path("{}.json"), "w", encoding="utf-8") as log, \
            subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as run, \
            subprocess.Popen([os.path.join(suite, "test2json"), "-t", "-p", "conformance"],
                             stdin=run.stdout, stdout=subprocess.PIPE, text=True) as convert:
        run.stdout.close()
        for number in (signal.SIGINT, signal.SIGTERM):  # the cluster ends in order, then we do
            signal.signal(number, lambda *_: run.terminate())
        for line in convert.stdout:
            log.write(line)
            progress.take(line)
    if not progress.ended:
        print(f"the suite did not run to its end (status {run.returncode}), see {path('{}.json')}"
              + ("" if arguments.kubeconfig else f" and {path('state-{}')}/logs"))
    return 0 if progress.ended else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
