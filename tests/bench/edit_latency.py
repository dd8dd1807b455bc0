#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long an edit takes: one HTTPRoute among 10,000 changes, and the new answer is waited for.

  edit_latency.py                                  all forms, the release build
  edit_latency.py --forms one-file-hosts --edits 50
  edit_latency.py --binary build/dev/bin/hyperway --starts 1

Four forms: all routes in one file or one file for each, with 10,000 hosts or one host with 10,000 paths.
An edit is a new file renamed over the old one; time counts from the rename to the end of the new answer,
which a kept connection asks for all the time. Each edit changes another route, and one in ten changes its
length. Exit status 1: a limit does not hold, or an answer was wrong.
"""
import argparse
import http.client
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from manifests import CONTROLLER, GATEWAY_API, meta, yaml  # noqa: E402
from paths import BASE_PORT, ROOT, WORK  # noqa: E402

READY_LIMIT_S, EDIT_LIMIT_MS = 0.5, 10.0
POLL_S = 0.0002  # between two requests: the resolution of a measurement
WAIT_S = 5.0  # an edit that takes longer has failed
PORT, ADMIN_PORT = BASE_PORT + 950, BASE_PORT + 951


class Form:
    """Where routes are kept, and what tells them apart."""

    def __init__(self, name, one_file, hosts):
        self.name, self.one_file, self.hosts = name, one_file, hosts

    def host(self, index):
        return f"h{index}.bench.test" if self.hosts else "bench.test"

    def path(self, index):
        return "/shop" if self.hosts else f"/shop/{index}/items"


FORMS = [Form("one-file-hosts", True, True), Form("one-file-paths", True, False),
         Form("file-each-hosts", False, True), Form("file-each-paths", False, False)]


def fixed_objects():
    """Everything but the routes."""
    return [
        {"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": "hyperway"},
         "spec": {"controllerName": CONTROLLER}},
        {"apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": meta("gw"),
         "spec": {"gatewayClassName": "hyperway",
                  "listeners": [{"name": "http", "port": PORT, "protocol": "HTTP"}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta("backend"),
         "spec": {"clusterIP": "10.96.0.10", "ports": [{"name": "http", "port": 80}]}}]


def route_text(form, index, answer=None):
    """A route to the backend; with `answer`, one that redirects there, which needs no backend."""
    match = {"path": {"type": "PathPrefix", "value": form.path(index)}}
    rule = {"matches": [match]}
    if answer:
        rule["filters"] = [{"type": "RequestRedirect", "requestRedirect": {"hostname": answer}}]
    else:
        rule["backendRefs"] = [{"name": "backend", "port": 80}]
    return yaml({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": meta(f"r{index}"),
                 "spec": {"parentRefs": [{"name": "gw"}], "hostnames": [form.host(index)],
                          "rules": [rule]}})


class Manifests:
    """The files of one form, and edits of them."""

    def __init__(self, form, folder, routes):
        self.form, self.folder, self.durable = form, folder, False
        self.routes = [route_text(form, index) for index in range(routes)]
        self.put("fixed.yaml", "---\n".join(yaml(item) for item in fixed_objects()))
        if form.one_file:
            self.put("routes.yaml", "---\n".join(self.routes))
        else:
            for index, text in enumerate(self.routes):
                self.put(f"r{index}.yaml", text)
        self.durable = True

    def put(self, name, text):
        """Writes a file and renames it into its place; gives the time just before the rename.

        The content is on the disk by then, as with any careful writer: else the rename would wait for it.
        """
        path = os.path.join(self.folder, name)
        part = os.path.join(self.folder, "." + name + ".part")
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            if self.durable:
                file.flush()
                os.fdatasync(file.fileno())
        now = time.perf_counter()
        os.rename(part, path)
        return now

    def edit(self, index, answer):
        """Makes a route redirect to `answer`; gives the time of the rename."""
        self.routes[index] = route_text(self.form, index, answer)
        if self.form.one_file:
            return self.put("routes.yaml", "---\n".join(self.routes))
        return self.put(f"r{index}.yaml", self.routes[index])


class Gateway:
    """The process under test, with one worker."""

    def __init__(self, binary, folder):
        self.manifests = os.path.join(folder, "manifests")
        config = os.path.join(folder, "hyperway.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"workers": 1, "addresses": ["127.0.0.1"],
                       "sources": [{"plugin": "file_source", "config": {"paths": [self.manifests]}}],
                       "sinks": [{"plugin": "proxy"}],
                       "admin": {"address": f"127.0.0.1:{ADMIN_PORT}"}}, file)
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        self.began = time.perf_counter()
        self.process = subprocess.Popen([binary, "run", "--config", config],
                                        stdout=self.log, stderr=subprocess.STDOUT)

    def wait_ready(self):
        """(wall, CPU) seconds from the start to the first 200 of /readyz."""
        while self.process.poll() is None and time.perf_counter() < self.began + 60:
            probe = http.client.HTTPConnection("127.0.0.1", ADMIN_PORT, timeout=5)
            try:
                probe.request("GET", "/readyz")
                if probe.getresponse().status == 200:
                    return time.perf_counter() - self.began, self.cpu()
            except (OSError, http.client.HTTPException):
                pass
            finally:
                probe.close()
            time.sleep(0.005)
        self.log.seek(0)
        raise SystemExit("hyperway does not become ready: " + self.log.read()[-2000:])

    def cpu(self):
        """Seconds of CPU so far, in steps of a tick."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pss(self):
        """Proportional set size, MiB."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="utf-8") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Poller:
    """A kept connection that asks for one route until its answer is the wanted one."""

    def __init__(self):
        self.connection = socket.create_connection(("127.0.0.1", PORT), timeout=WAIT_S)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request):
        """The head of the answer; bodies are skipped by their Content-Length."""
        self.connection.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.connection.recv(65536)
            if not more:
                raise SystemExit("hyperway closed the connection")
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        left = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                left = int(line.split(b":")[1]) - len(body)
        while left > 0:
            left -= len(self.connection.recv(65536))
        return head

    def wait_for(self, host, path, answer):
        """The time at which the answer first redirected to `answer`; None: it did not come."""
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        wanted = f"http://{answer}".encode()
        limit = time.perf_counter() + WAIT_S
        while time.perf_counter() < limit:
            head = self.ask(request)
            if wanted in head and b" 302 " in head:
                return time.perf_counter()
            time.sleep(POLL_S)
        return None


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure(form, options):
    """Figures of one form."""
    folder = tempfile.mkdtemp(prefix="hyperway-edits-", dir=options.folder)
    try:
        os.mkdir(os.path.join(folder, "manifests"))
        manifests = Manifests(form, os.path.join(folder, "manifests"), options.routes)
        os.sync()  # what was written now is not to be flushed in the middle of a measurement
        walls, cpus = [], []
        for turn in range(options.starts):
            gateway = Gateway(options.binary, folder)
            try:
                wall, cpu = gateway.wait_ready()
                walls.append(wall)
                cpus.append(cpu)
                if turn + 1 < options.starts:
                    continue
                time.sleep(1)  # start-up's last work
                before = gateway.pss()
                times = edits(form, manifests, options)
                after = gateway.pss()
            finally:
                gateway.stop()
        return {"wall": statistics.median(walls), "cpu": statistics.median(cpus), "times": times,
                "pss": before, "pss_after": after}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def edits(form, manifests, options):
    """Milliseconds of each edit."""
    choice = random.Random(1)
    poller, times = Poller(), []
    for number in range(options.edits):
        index = choice.randrange(options.routes)
        answer = f"v{number:06}{'x' * (number % 10 == 0)}.bench.test"
        renamed = manifests.edit(index, answer)
        seen = poller.wait_for(form.host(index), form.path(index), answer)
        if seen is None:
            raise SystemExit(f"{form.name}: edit {number} had no effect within {WAIT_S} s")
        times.append((seen - renamed) * 1000)
        time.sleep(options.pause + choice.random() / 100)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/bin/hyperway"))
    parser.add_argument("--forms", help="names, with commas", default="")
    parser.add_argument("--routes", type=int, default=10000)
    parser.add_argument("--edits", type=int, default=300, help="for each form")
    parser.add_argument("--starts", type=int, default=5, help="for each form; the median counts")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between edits, at least")
    parser.add_argument("--folder", default=WORK, help="where the manifests go for the time")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    names = options.forms.split(",") if options.forms else [form.name for form in FORMS]
    verdicts = []
    print("| form | ready s | CPU s | median ms | p99 ms | max ms | PSS MiB | after edits |")
    print("|---|---|---|---|---|---|---|---|")
    for form in (form for form in FORMS if form.name in names):
        got = measure(form, options)
        times = got["times"]
        p99 = percentile(times, 0.99)
        print(f"| {form.name} | {got['wall']:.2f} | {got['cpu']:.2f} | {statistics.median(times):.2f} "
              f"| {p99:.2f} | {max(times):.2f} | {got['pss']:.1f} | {got['pss_after']:.1f} |",
              flush=True)
        verdicts += [(form.name, "ready", got["wall"], READY_LIMIT_S, "s"),
                     (form.name, "edit p99", p99, EDIT_LIMIT_MS, "ms")]
    print()
    for name, what, value, limit, unit in verdicts:
        word = "pass" if value <= limit else "FAIL"
        print(f"{word}  {name}: {what} {value:.2f} {unit}, limit {limit:g}")
    return 0 if all(value <= limit for _, _, value, limit, _ in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
