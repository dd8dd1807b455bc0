#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small differences on a machine whose speed drifts: loads in short slices, one after another.

  paired.py                                   what has a limit: 10,000 routes against 10, and a connection
                                              for each request beside the peers, two workers each
  paired.py S7-10 S7w-10000                   our own figures, as ratios to the first
  paired.py S7-10 S7w-10000@OTHER_BINARY      the same, of another build
  paired.py S3@nghttpx S3                     ours beside a peer
  paired.py --workers 2 S4@nginx S4           the same with two workers each

Loads of one namespace only (S6 and the flows are apart). All processes run at once and only the one under
load works; a cycle is one slice of each, so what drifts within seconds hits all of them alike. Prints the
median of the cycles' ratios.
Exit status 1: a limit does not hold.
"""
import argparse
import os
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
import drivers  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402
from paths import BACKEND_PORT, BASE_PORT, TLS_BACKEND_PORT, WORK  # noqa: E402
from run import build_tools, enter_namespace  # noqa: E402

ROUTES = ["S7-10", "S7-10000", "S7w-10000"]  # with one worker; 64 of them are asked for, or all
# Two workers take connections as the kernel deals them: from round to round of run.py that alone is worth a quarter.
CONNECTIONS = ["S4", "S4@nginx", "S4@nginx-new", "S4@haproxy", "S4@haproxy-new"]
LIMITS = [
    *(scenarios.Limit(name, "cpu_us", 1.05, ROUTES[0], workers=1) for name in ROUTES[1:]),
    *(scenarios.Limit(name, "ready_s", 0.5, "", "s", workers=1) for name in ROUTES),
    scenarios.Limit("S4", "cpu_us", 1.0, workers=2),
]


def parts(text):
    """(scenario's name, binary or proxy or "") of SCENARIO, SCENARIO@BINARY or SCENARIO@PROXY."""
    name, _, other = text.partition("@")
    return name, other


def scenario_of(text):
    """What it is loaded with."""
    return scenarios.SCENARIOS[parts(text)[0]]


def driver_of(text):
    """Who is loaded in it."""
    _, other = parts(text)
    if other in drivers.DRIVERS:
        return drivers.DRIVERS[other]
    driver = drivers.Hyperway()
    if other:
        driver.template = lambda: driver.DEFAULT.replace("{root}/build/release/bin/hyperway", other)
    return driver


class Side:
    """One process with its load."""

    def __init__(self, text, index, certificate, workers):
        self.text, self.pin = text, workers == 1
        self.user = self.system = 0
        self.scenario = scenario_of(text)
        routes = scenarios.routes_of(self.scenario)
        port = BASE_PORT + 40 + 2 * index
        spec = scenarios.Spec(port, port + 1, BACKEND_PORT, *certificate, workers, routes,
                              self.scenario.flow, TLS_BACKEND_PORT)
        self.proxy = measure.Proxy(driver_of(text), spec,
                                   os.path.join(WORK, "run", f"paired{index}"), self.pin)
        try:
            self.ready_s = self.proxy.wait_ready(routes[-1], self.scenario.tls, 60)
            # A wide load has to have seen every route once before it is measured.
            first = 4 if self.scenario.kind == "bulk" else max(8000, 2 * self.scenario.routes)
            measure.load(self.scenario, spec, first, self.pin)
        except Exception:
            self.proxy.stop()
            raise

    def usual(self):
        """Requests of a slice, if nothing else is asked for: some tenths of a second."""
        if self.scenario.kind == "bulk":
            return 8
        return 2000 if "-x" in self.scenario.args else 20000

    def slice(self, count):
        """CPU microseconds per request over `count` requests."""
        pids = self.proxy.pids()
        before = measure.cpu(pids)
        result = measure.load(self.scenario, self.proxy.spec, count, self.pin)
        if result["errors"] or result["non2xx"]:
            raise RuntimeError(f"{self.text}: wrong answers: {result}")
        after = measure.cpu(pids)
        self.user, self.system = (self.user + after[1] - before[1],
                                  self.system + after[2] - before[2])
        return (after[0] - before[0]) / result["done"]


def in_turns(names, workers, cycles, requests=None):
    """Rows as report.py takes them, a round for each cycle; CPU in microseconds per request."""
    certificate = build_tools()
    backends = [subprocess.Popen(
        measure.pinned([os.path.join(WORK, "bin", "backend"), str(BACKEND_PORT)], workers == 1))]
    if any(scenario_of(name).flow == "pass" for name in names):
        backends.append(subprocess.Popen(measure.pinned(
            [os.path.join(WORK, "bin", "floor"), str(TLS_BACKEND_PORT), str(BACKEND_PORT),
             *certificate], workers == 1)))
    sides, rows = [], []
    try:
        for index, text in enumerate(names):
            sides.append(Side(text, index, certificate, workers))
        for cycle in range(cycles):
            order = sides if cycle % 2 == 0 else sides[::-1]
            cost = {side: side.slice(requests or side.usual()) for side in order}
            rows.append([cost[side] for side in sides])
    finally:
        for side in sides:
            side.proxy.stop()
        for backend in backends:
            backend.terminate()
            backend.wait()
    for i, side in enumerate(sides):
        ratios = sorted(row[i] / row[0] for row in rows)
        print(f"{side.text}: {statistics.median(row[i] for row in rows):.2f} us, "
              f"{statistics.median(ratios):.3f} x {sides[0].text} "
              f"(middle half {ratios[len(ratios) // 4]:.3f} to "
              f"{ratios[len(ratios) * 3 // 4]:.3f}), "
              f"user share {side.user / max(1, side.user + side.system):.3f}, "
              f"ready in {side.ready_s:.2f} s", flush=True)
    return [{"scenario": name, "proxy": other or report.OURS, "workers": workers, "round": cycle,
             "cpu_us": row[i], "ready_s": side.ready_s}
            for i, side in enumerate(sides) for name, other in [parts(side.text)]
            for cycle, row in enumerate(rows)]


def limits(cycles):
    """True if all hold."""
    rows = in_turns(ROUTES, 1, cycles) + in_turns(CONNECTIONS, 2, cycles)
    lines = [report.judge(rows, limit, limit.workers) for limit in LIMITS]
    print("\n".join(text for _, text in lines), flush=True)
    return all(holds for holds, _ in lines)


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", nargs="*", help="SCENARIO, SCENARIO@BINARY or SCENARIO@PROXY")
    parser.add_argument("--cycles", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1, help="of each process; from 2 on nothing is pinned")
    parser.add_argument("--requests", type=int,
                        help="of a slice; default 20000, 2000 with a connection each, 8 of 100 MiB")
    options = parser.parse_args(argv)
    if not options.sides:
        return 0 if limits(options.cycles) else 1
    if all(scenario_of(name).namespace for name in options.sides):
        enter_namespace()
    in_turns(options.sides, options.workers, options.cycles, options.requests)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
