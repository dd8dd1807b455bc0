#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reduces the rows of a bench run to what the README shows: docs/bench/results.json.

usage: bench_summary.py RESULTS.jsonl --date DATE --commit COMMIT --machine TEXT
"""
import argparse
import json
import os
import statistics
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))
# pylint: disable=wrong-import-position
import report  # noqa: E402
from scenarios import LIMITS, SCENARIOS  # noqa: E402


def row(rows, limit, workers):
    """Our figure against the best peer, round by round, or None if it was not measured."""
    ours = report.figures(rows, limit.scenario, workers, report.OURS, limit.figure)
    others = report.rivals(rows, limit, workers) if limit.against else {}
    if not ours or not others:
        return None
    best = min(others, key=lambda name: statistics.median(others[name].values()))
    ratios = [ours[n] / others[best][n] for n in ours if others[best].get(n)]
    return {"scenario": limit.scenario, "what": SCENARIOS[limit.scenario].what, "figure": limit.figure, "workers": workers,
            "against": best, "ours": round(statistics.median(ours.values()), 3),
            "ratio": [round(f(ratios), 3) for f in (statistics.median, min, max)], "rounds": len(ratios)}


def main():
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results")
    for name in ("date", "commit", "machine"):
        parser.add_argument("--" + name, required=True)
    chosen = parser.parse_args()
    with open(chosen.results, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    found = [row(rows, limit, workers) for workers in (1, 2) for limit in LIMITS]
    out = {"date": chosen.date, "commit": chosen.commit, "machine": chosen.machine,
           "source": "./dev bench; tests/bench/README.md says how", "rows": [one for one in found if one]}
    with open(os.path.join(ROOT, "docs", "bench", "results.json"), "w", encoding="utf-8") as file:
        json.dump(out, file, indent=1, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()
