#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Latency at a fixed rate (scenario S1r), ours beside the peers, in slices one after another.

  fixed_rate.py                                     all peers, with the limit
  fixed_rate.py hyperway nginx-new --cycles 30

All proxies run at once and only the one under load works; a cycle is one slice of each, in turns forwards
and backwards. Every slice has its own p99, and the median of a proxy's slices counts: what stops the
whole machine for some milliseconds spoils the slice that it hits and not the comparison.
Exit status 1: the limit does not hold, or an answer was wrong.
"""
import argparse
import os
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
import measure  # noqa: E402
import scenarios  # noqa: E402
from drivers import DEFAULT, DRIVERS  # noqa: E402
from paths import BACKEND_PORT, BASE_PORT, WORK  # noqa: E402
from run import build_tools  # noqa: E402

MOST = 1.0  # our p99, as a ratio to the peer with the lowest
OURS = "hyperway"
SCENARIO = scenarios.SCENARIOS["S1r"]
SLICE_REQUESTS = 12000  # three seconds, so that the 64 that open a connection are not its hundredth


class Side:
    """One running proxy, and the p99 of its slices in microseconds."""

    def __init__(self, name, index, certificate):
        self.name, self.peer, self.p99, self.p50 = name, DRIVERS[name].peer, [], []
        port = BASE_PORT + 40 + 2 * index
        routes = scenarios.routes_of(SCENARIO)
        spec = scenarios.Spec(port, port + 1, BACKEND_PORT, *certificate, 1, routes)
        self.proxy = measure.Proxy(DRIVERS[name], spec,
                                   os.path.join(WORK, "run", f"rate-{name}"), True)
        self.args = ["-p", str(port), *SCENARIO.args, "-R", str(SCENARIO.rate)]
        try:
            self.proxy.wait_ready(routes[-1], False, 30)
            measure.lg(self.args + ["-n", "4000"], True)
        except Exception:
            self.proxy.stop()
            raise

    def slice(self):
        result = measure.lg(self.args + ["-n", str(SLICE_REQUESTS)], True)
        if result["errors"] or result["non2xx"] or result["done"] != SLICE_REQUESTS:
            raise RuntimeError(f"{self.name}: wrong answers: {result}")
        self.p99.append(result["p99"])
        self.p50.append(result["p50"])


def report(sides):
    """Prints each side's figures; whether the limit holds."""
    for side in sides:
        values = sorted(side.p99)
        quarter = len(values) // 4
        print(f"S1r {side.name}: p99 {statistics.median(values):.0f} us (middle half "
              f"{values[quarter]:.0f} to {values[-1 - quarter]:.0f}), "
              f"p50 {statistics.median(side.p50):.0f} us")
    ours = next((side for side in sides if side.name == OURS), None)
    peers = [side for side in sides if side.peer]
    if not ours or not peers:
        return True
    best = min(peers, key=lambda side: statistics.median(side.p99))
    ratio = statistics.median(ours.p99) / statistics.median(best.p99)
    print(f"{'pass' if ratio <= MOST else 'FAIL'} S1r p99 {ratio:.2f} x {best.name}, limit {MOST:g}")
    return ratio <= MOST


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proxies", nargs="*", help="default: " + " ".join(DEFAULT))
    parser.add_argument("--cycles", type=int, default=20)
    options = parser.parse_args(argv)
    unknown = [name for name in options.proxies if name not in DRIVERS]
    if unknown:
        parser.error(f"there is no proxy {unknown[0]}; there are {', '.join(DRIVERS)}")
    certificate = build_tools()
    backend = subprocess.Popen(
        measure.pinned([os.path.join(WORK, "bin", "backend"), str(BACKEND_PORT)], True))
    sides = []
    try:
        for index, name in enumerate(options.proxies or DEFAULT):
            sides.append(Side(name, index, certificate))
        for cycle in range(options.cycles):
            for side in sides if cycle % 2 == 0 else sides[::-1]:
                side.slice()
        return 0 if report(sides) else 1
    finally:
        for side in sides:
            side.proxy.stop()
        backend.terminate()
        backend.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
