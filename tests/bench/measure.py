# SPDX-License-Identifier: Apache-2.0
"""One measurement: a fresh proxy, a load, and what the proxy paid for it."""
import glob
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import time

from drivers import DRIVERS
from paths import BACKEND_PORT, BASE_PORT, TLS_BACKEND_PORT, WORK
from scenarios import S8_HEADERS, Spec, routes_of

TICK = os.sysconf("SC_CLK_TCK")


# ---- processes and their cost ----

def tree(pid):
    """The process and all below it."""
    children = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        children.setdefault(int(text[text.rindex(")") + 2:].split()[1]), []).append(
            int(text.split()[0]))
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        if os.path.exists(f"/proc/{pid}"):
            found.append(pid)
            todo += children.get(pid, [])
    return found


def cpu(pids):
    """(microseconds by schedstat, user ticks, system ticks) of these processes."""
    nanoseconds = user = system = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                text = file.read()
            fields = text[text.rindex(")") + 2:].split()
            user, system = user + int(fields[11]), system + int(fields[12])
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with open(path, encoding="ascii") as file:
                    nanoseconds += int(file.read().split()[0])
        except OSError:
            pass
    return nanoseconds / 1e3, user, system


def pss_kib(pids):
    """Memory of these processes, shared pages divided among their users."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as file:
                total += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M).group(1))
        except (OSError, AttributeError):
            pass
    return total


def busy_seconds():
    """Seconds that all cores together have worked since boot."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(x) for x in file.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


def child_seconds():
    """CPU seconds of the client processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def pinned(argv, pin, core="1"):
    """The command on one core, if pinning is asked for."""
    return ["taskset", "-c", core, *argv] if pin else argv


def tail(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()[-400:]


# ---- the proxy under test ----

class Proxy:
    """A running proxy, in a process group of its own."""

    def __init__(self, driver, spec, folder, pin):
        os.makedirs(folder, exist_ok=True)
        argv, environment = driver.command(spec, folder)
        self.log_path = os.path.join(folder, "log")
        self.started = time.time()
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                pinned(argv, pin, "0"), env={**os.environ, **environment}, stdout=log, stderr=log,
                start_new_session=True, cwd=folder)
        self.name, self.spec = driver.name, spec

    def pids(self):
        return tree(self.process.pid)

    def wait_ready(self, route, tls, limit):
        """Until the last route of the table answers 200; gives the seconds since the start."""
        extra = S8_HEADERS if route.header else []
        head = [f"GET {route.prefix}1k HTTP/1.1", f"Host: {route.host or 'h0.bench.test'}", *extra,
                "Connection: close", "", ""]
        last = ""
        while time.time() - self.started < limit:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} exited with {self.process.returncode}: "
                                   + tail(self.log_path))
            try:
                last = self.ask("\r\n".join(head), tls, "\r\n").split("\r\n")[0]
                if " 200" in last[:16]:
                    return time.time() - self.started
            except OSError as error:
                last = str(error)
            time.sleep(0.005)
        raise RuntimeError(f"{self.name} not ready in {limit} s ({last}): " + tail(self.log_path))

    def ask(self, request, tls=False, until=None):
        """Sends one request; gives the answer up to `until`, or to the end of the connection."""
        port = self.spec.tls_port if tls else self.spec.port
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(2)
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection = context.wrap_socket(connection, server_hostname="h0.bench.test")
            with connection:
                connection.sendall(request.encode())
                answer = b""
                while not (until and until.encode() in answer):
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    answer += piece
        return answer.decode(errors="replace")

    def stop(self):
        for sign, wait in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(wait)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass


def s8_faults(proxy):
    """What of S8's filters does not do what it should: a fast wrong answer is no result."""
    head = ["GET /api/x/echo HTTP/1.1", "Host: h0.bench.test", *S8_HEADERS, "Connection: close",
            "", ""]
    answer, _, seen = proxy.ask("\r\n".join(head)).lower().partition("\r\n\r\n")
    faults = [what for what, ok in (
        ("rewrite", "get /v1/x/echo" in seen), ("add1", "x-add1: one" in seen),
        ("add2", "x-add2: two" in seen), ("rm1", "x-rm1" not in seen), ("rm2", "x-rm2" not in seen),
        ("resp", "x-resp: yes" in answer)) if not ok]
    without = "GET /api/x/1k HTTP/1.1\r\nHost: h0.bench.test\r\nConnection: close\r\n\r\n"
    if " 404" not in proxy.ask(without)[:16]:
        faults.append("match")
    return faults


# ---- loads ----

def lg(args, pin, limit=60):
    run = subprocess.run(
        pinned([os.path.join(WORK, "bin", "lg"), *args, "-D", str(limit)], pin),
        capture_output=True, text=True, timeout=limit + 30, check=False)
    return json.loads(run.stdout)


def h2load(port, count, shape, pin):
    run = subprocess.run(
        pinned(["timeout", "90", "h2load", "-n", str(count), "-c", str(shape[0]), "-m",
                str(shape[1]), "--npn-list", "h2", "--tls13-ciphers", "TLS_AES_128_GCM_SHA256",
                "--connect-to", f"127.0.0.1:{port}", "-H", "user-agent: lg/1.0 (bench)",
                "-H", "accept: */*", "-H", "accept-encoding: identity",
                "https://h0.bench.test/p0/1k"], pin),
        capture_output=True, text=True, check=False)
    speed = re.search(r"finished in [\d.]+(?:us|ms|s|m)\b.*?([\d.]+) req/s", run.stdout)
    if not speed or "Application protocol: h2" not in run.stdout:
        return {"done": 0, "errors": count, "non2xx": count, "rps": 0,
                "note": (run.stdout + run.stderr)[-300:]}
    good, failed, errored = map(int, re.search(
        r"(\d+) succeeded, (\d+) failed, (\d+) errored", run.stdout).groups())
    ok = int(re.search(r"(\d+) 2xx", run.stdout).group(1))
    return {"done": good, "errors": failed + errored, "non2xx": count - ok,
            "rps": float(speed.group(1))}


def load(scenario, spec, count, pin):
    """Runs so many requests of a scenario's load; gives what the client counted."""
    if scenario.kind == "h2":
        return h2load(spec.tls_port, count, scenario.h2, pin)
    port = spec.tls_port if scenario.tls else spec.port
    rate = ["-R", str(scenario.rate)] if scenario.rate else []
    return lg(["-p", str(port), *scenario.args, "-n", str(count), *rate], pin)


def prepare(scenario, spec, pin, seconds):
    """Warms the proxy up; gives a function that runs the load to be measured."""
    if scenario.kind == "bulk":
        count = 20
        load(scenario, spec, 4, pin)
    elif scenario.kind == "rate":
        count = int(scenario.rate * max(seconds, 3))
        load(scenario, spec, 3000, pin)
    else:
        # A wide load has to have seen every route once before it is measured.
        warm = load(scenario, spec, 500 if "-x" in scenario.args else max(4000, 2 * scenario.routes),
                    pin)
        count = int(max(2000, min(scenario.cap, warm["rps"] * seconds)))
    return lambda: load(scenario, spec, count, pin)


def measure_memory(scenario, proxy, pin):
    """Memory idle, and with connections that did one request and stay open."""
    port = ["-p", str(proxy.spec.tls_port if scenario.tls else proxy.spec.port)]
    tls = ["-t"] if scenario.tls else []
    lg(port + ["-c", "64", "-n", "2000"] + tls, pin)
    time.sleep(1)
    row = {"idle_mib": pss_kib(proxy.pids()) / 1024}
    for count in (1000, 10000):
        client = subprocess.Popen(
            pinned([os.path.join(WORK, "bin", "lg"), *port, "-c", str(count), "-i", "60", "-D",
                    "60", *tls], pin), stdout=subprocess.PIPE, text=True)
        result = json.loads(client.stdout.readline() or "{}")
        time.sleep(1)
        row[f"mib_{count}"], row[f"held_{count}"] = (
            pss_kib(proxy.pids()) / 1024, result.get("done", 0))
        client.terminate()
        client.wait()
        client.stdout.close()
        time.sleep(1)
    row["bytes_per_connection"] = (row["mib_10000"] - row["idle_mib"]) * (1 << 20) / 10000
    if row["held_10000"] < 10000:
        raise RuntimeError(f"only {row['held_10000']} of 10,000 connections were held")
    return row


def measure_load(scenario, proxy, backends, pin, seconds):
    """CPU per request of the proxy under one load."""
    run = prepare(scenario, proxy.spec, pin, seconds)
    pids = proxy.pids()
    busy, mine, theirs, client = busy_seconds(), cpu(pids), cpu(backends)[0], child_seconds()
    start = time.time()
    result = run()
    after, wall = cpu(pids), time.time() - start
    client, busy = child_seconds() - client, busy_seconds() - busy
    theirs = cpu(backends)[0] - theirs
    done = max(1, result["done"])
    schedstat = after[0] - mine[0]
    user, system = after[1] - mine[1], after[2] - mine[2]
    ticks = (user + system) * 1e6 / TICK
    # schedstat is finer, but loses threads that have gone.
    used = ticks if schedstat < ticks - 40000 else schedstat
    row = {
        **result, "cpu_us": used / done, "user_share": user / max(1, user + system),
        "backend_us": theirs / done, "client_us": client * 1e6 / done, "wall": wall,
        # Cores used by anything else; a little below zero is tick rounding.
        "others": (busy - client - (schedstat + theirs) / 1e6) / wall,
        "gone": len(set(pids) - set(proxy.pids())), "mib_end": pss_kib(proxy.pids()) / 1024,
    }
    if scenario.kind == "bulk":
        row["cpu_s_per_gib"] = used / 1e6 / (done * 100 / 1024)
    return row


def measure(name, scenario, driver, options, certificate, backends):
    """One row: starts the proxy, measures, stops it. `backends` are the process ids of what is behind it."""
    pin = options.workers == 1
    index = list(DRIVERS).index(driver.name)
    routes = routes_of(scenario)
    spec = Spec(BASE_PORT + 20 * index, BASE_PORT + 20 * index + 1, BACKEND_PORT, *certificate,
                options.workers, routes, scenario.flow, TLS_BACKEND_PORT)
    row = {"scenario": name, "proxy": driver.name, "workers": options.workers}
    proxy = Proxy(driver, spec, os.path.join(WORK, "run", driver.name), pin)
    try:
        row["ready_s"] = proxy.wait_ready(routes[-1], scenario.tls, 300 if scenario.routes else 30)
        if scenario.filters:
            row["faults"] = s8_faults(proxy)
        if scenario.kind == "mem":
            row.update(measure_memory(scenario, proxy, pin))
        else:
            row.update(measure_load(scenario, proxy, backends, pin, options.seconds))
        return row
    finally:
        proxy.stop()
