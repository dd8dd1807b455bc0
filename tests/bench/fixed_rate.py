#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Latency at a fixed rate (scenario S1r), ours beside the peers, in slices one after another.

  fixed_rate.py                                     all peers, with the limit
  fixed_rate.py hyperway nginx-new --cycles 60

All proxies run at once and only the one under load works; a cycle is one slice of each, in turns forwards
and backwards. A slice's p99 is the median of those of its quarters of a second: a virtual machine is stopped
for one to nine milliseconds three to ten times a second, which is about one request of a hundred, and p99 of
a longer time counts these stops and not the proxies. The first quarter, which opens the connections, is left
out. Some cycles of all choose the two best peers; new cycles of these and ours decide. The best of many that
are equal is the one that had luck, and has it once.
Exit status 1: the limit does not hold, or an answer was wrong.
"""
import argparse
import os
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
import measure  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402
from drivers import DEFAULT, DRIVERS  # noqa: E402
from paths import BACKEND_PORT, BASE_PORT, WORK  # noqa: E402
from run import build_tools  # noqa: E402

LIMIT = scenarios.Limit("S1r", "p99", 1.0)
CHOICE_CYCLES = 6
MOST_TIMES = 3  # so often the cycles that decide, while their ratio is as near its limit as chance may be
FINALISTS = 2  # peers that the choice leaves
SCENARIO = scenarios.SCENARIOS["S1r"]
SLICE_REQUESTS = 12000  # three seconds
WINDOW_REQUESTS = 1000


class Side:
    """One running proxy."""

    def __init__(self, name, index, certificate):
        self.name, self.peer = name, DRIVERS[name].peer
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

    def slice(self, cycle):
        """A row as report.py takes it; times in microseconds. p99 is of windows, long99 of it all."""
        result = measure.lg(self.args + ["-n", str(SLICE_REQUESTS), "-W", str(WINDOW_REQUESTS)], True)
        if result["errors"] or result["non2xx"] or result["done"] != SLICE_REQUESTS:
            raise RuntimeError(f"{self.name}: wrong answers: {result}")
        return {"scenario": LIMIT.scenario, "workers": 1, "proxy": self.name, "round": cycle,
                "p50": result["p50"], "p99": result["window99"], "long99": result["p99"]}


def in_turns(sides, cycles):
    """Rows of one slice of each in each of these cycles."""
    return [side.slice(cycle) for cycle in cycles
            for side in (sides if cycle % 2 == 0 else sides[::-1])]


def median(rows, side, figure):
    """That of a side's slices."""
    return statistics.median(report.figures(rows, LIMIT.scenario, 1, side.name, figure).values())


def finalists(sides, rows):
    """The peers with the lowest p99, and what is no peer."""
    peers = sorted((side for side in sides if side.peer), key=lambda side: median(rows, side, "p99"))
    return [side for side in sides if not side.peer or side in peers[:FINALISTS]]


def show(sides, rows):
    """Prints each side's figures."""
    for side in sides:
        values = sorted(report.figures(rows, LIMIT.scenario, 1, side.name, "p99").values())
        quarter = len(values) // 4
        print(f"S1r {side.name}: p99 {statistics.median(values):.0f} us (middle half "
              f"{values[quarter]:.0f} to {values[-1 - quarter]:.0f}), "
              f"p50 {median(rows, side, 'p50'):.0f} us, {len(values)} slices; "
              f"p99 of whole slices {median(rows, side, 'long99'):.0f} us", flush=True)


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proxies", nargs="*", help="default: " + " ".join(DEFAULT))
    parser.add_argument("--cycles", type=int, default=30,
                        help=f"that decide; up to {MOST_TIMES} times as many if it is near")
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
        last = sides
        if sum(side.peer for side in sides) > FINALISTS:
            rows = in_turns(sides, range(CHOICE_CYCLES))
            show(sides, rows)
            last = finalists(sides, rows)
            print("the best peers again, and ours:")
        rows = []
        for time in range(MOST_TIMES):
            rows += in_turns(last, range(time * options.cycles, (time + 1) * options.cycles))
            _, ratios = report.compare(rows, LIMIT, 1)
            if not report.is_near(ratios, LIMIT):
                break
        show(last, rows)
        holds, text = report.judge(rows, LIMIT, 1) or (True, f"no {report.OURS}, nothing to judge")
        print(text)
        return 0 if holds else 1
    finally:
        for side in sides:
            side.proxy.stop()
        backend.terminate()
        backend.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
