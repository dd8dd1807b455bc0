# SPDX-License-Identifier: Apache-2.0
"""Rows into tables, and tables into verdicts."""
import statistics

from drivers import DRIVERS
from scenarios import LIMITS, SCENARIOS

OURS = "hyperway"
TIE = 0.08  # a difference below this may be chance in five rounds


def select(rows, scenario, workers, proxy):
    """{round: row} of one proxy in one scenario; rows with an error are left out."""
    return {r["round"]: r for r in rows
            if (r["scenario"], r["workers"], r["proxy"]) == (scenario, workers, proxy)
            and "error" not in r}


def figures(rows, scenario, workers, proxy, figure):
    """{round: value} of one figure."""
    chosen = select(rows, scenario, workers, proxy)
    return {n: r[figure] for n, r in chosen.items() if figure in r}


def spread(values, form):
    """Median and range as text."""
    if not values:
        return "–"
    low, high = min(values), max(values)
    return f"{form % statistics.median(values)} ({form % low}–{form % high})"


def rivals(rows, limit, workers):
    """{name: {round: value}} of what a limit compares us with."""
    if limit.against in SCENARIOS:
        mine = figures(rows, limit.against, workers, OURS, limit.figure)
        return {f"our own {limit.against}": mine} if mine else {}
    found = {}
    for name, driver in DRIVERS.items():
        wanted = (driver.peer if limit.against == "best" else
                  name.startswith(limit.against[:-1]) if limit.against.endswith("*") else
                  name == limit.against)
        values = figures(rows, limit.scenario, workers, name, limit.figure) if wanted else {}
        if values:
            found[name] = values
    return found


def compare(rows, limit, workers):
    """(name of the best rival, [ratio of each round]) of one limit; the name is None without a rival.

    The best rival is the one with the lowest median; the ratio is taken round by round, since the
    proxies of one round ran next to each other.
    """
    ours = figures(rows, limit.scenario, workers, OURS, limit.figure)
    others = rivals(rows, limit, workers)
    if not others:
        return None, []
    best = min(others, key=lambda name: statistics.median(others[name].values()))
    return best, [ours[n] / others[best][n] for n in ours if others[best].get(n)]


def is_near(ratios, limit):
    """True if their median is so near the limit, above or below, that more rounds may decide otherwise."""
    return bool(ratios) and abs(statistics.median(ratios) / limit.most - 1) < TIE


def undecided(rows):
    """[(workers, scenario)] whose ratio is so near its limit, above or below, that it needs more rounds."""
    found = []
    for limit in LIMITS:
        for workers in sorted({r["workers"] for r in rows if r["scenario"] == limit.scenario}):
            if limit.workers not in (0, workers):
                continue
            _, ratios = compare(rows, limit, workers)
            if SCENARIOS[limit.scenario].kind in ("lg", "h2") and is_near(ratios, limit):
                found.append((workers, limit.scenario))
    return found


def judge(rows, limit, workers):
    """(holds, text) of one limit, or None if nothing of it was measured. The median of the ratios counts."""
    if limit.workers not in (0, workers):
        return None
    ours = figures(rows, limit.scenario, workers, OURS, limit.figure)
    measured = any(r["scenario"] == limit.scenario and r["workers"] == workers and
                   r["proxy"] == OURS for r in rows)
    if not measured:
        return None
    line = f"{limit.scenario:<10} {limit.figure:<21} {workers} worker{'s' if workers > 1 else ' '}"
    mine = select(rows, limit.scenario, workers, OURS).values()
    wrong = sum(r.get("errors", 0) + r.get("non2xx", 0) for r in mine)
    faults = sorted({f for r in mine for f in r.get("faults", [])})
    if not ours or wrong or faults:
        reason = "no figure" if not ours else f"{wrong} wrong answers {' '.join(faults)}"
        return False, f"FAIL {line} {reason}"
    if not limit.against:
        value = statistics.median(ours.values())
        return value <= limit.most, (
            f"{'pass' if value <= limit.most else 'FAIL'} {line} {value:.2f} {limit.unit}, "
            f"limit {limit.most:g} {limit.unit}")
    best, ratios = compare(rows, limit, workers)
    if not best:
        return False, f"FAIL {line} nothing to compare with ({limit.against})"
    if not ratios:
        return False, f"FAIL {line} no round has both sides"
    ratio = statistics.median(ratios)
    holds = ratio <= limit.most
    return holds, (f"{'pass' if holds else 'FAIL'} {line} {spread(ratios, '%.2f')} × {best}, "
                   f"limit {limit.most:g}")


def verdicts(rows):
    """Prints one line for each limit that was measured; gives True if all hold."""
    lines = []
    for workers in sorted({r["workers"] for r in rows}):
        lines += [v for v in (judge(rows, limit, workers) for limit in LIMITS) if v]
    if lines:
        print("\n### Limits: median (min–max) of the ratios of all rounds\n")
        print("\n".join(text for _, text in lines))
    noisy = sum(1 for r in rows if r.get("others", 0) > 0.1)
    if noisy:
        print(f"\n{noisy} of {len(rows)} rows had more than 0.1 cores of other work beside them "
              "even when repeated: this machine was not quiet, do not quote these figures.")
    return all(holds for holds, _ in lines)


def memory_table(rows, name, workers):
    print("| proxy | idle MiB | at 1,000 MiB | at 10,000 MiB | bytes per connection |")
    print("|---|---|---|---|---|")
    for proxy in DRIVERS:
        mine = list(select(rows, name, workers, proxy).values())
        if mine:
            cells = [statistics.median(r[k] for r in mine)
                     for k in ("idle_mib", "mib_1000", "mib_10000", "bytes_per_connection")]
            print(f"| {proxy} | {cells[0]:.1f} | {cells[1]:.1f} | {cells[2]:.1f} | {cells[3]:.0f} |")


def load_table(rows, name, workers):
    scenario = SCENARIOS[name]
    bulk = scenario.kind == "bulk"
    figure, form = ("cpu_s_per_gib", "%.3f") if bulk else ("cpu_us", "%.2f")
    by = {p: list(select(rows, name, workers, p).values()) for p in DRIVERS}
    by = {p: v for p, v in by.items() if v}
    cost = {p: statistics.median(r[figure] for r in v) for p, v in by.items()}
    peers = [c for p, c in cost.items() if DRIVERS[p].peer]
    unit = "CPU s/GiB" if bulk else "CPU µs/request"
    extra = " ready s | MiB |" if scenario.routes else ""
    print(f"| proxy | {unit} | ÷ best peer | user share | req/s | p50 µs | p99 µs | wrong |{extra}")
    print("|---|---|---|---|---|---|---|---|" + ("---|---|" if extra else ""))
    for proxy in sorted(by, key=cost.get):
        mine = by[proxy]

        def median(key):
            values = [r[key] for r in mine if key in r]
            return statistics.median(values) if values else float("nan")
        wrong = str(sum(r["errors"] + r["non2xx"] for r in mine))
        wrong += "".join(" " + f for f in sorted({f for r in mine for f in r.get("faults", [])}))
        ratio = f"{cost[proxy] / min(peers):.2f}" if peers else "–"
        more = f" {median('ready_s'):.2f} | {median('mib_end'):.1f} |" if extra else ""
        print(f"| {proxy} | {spread([r[figure] for r in mine], form)} | {ratio} "
              f"| {median('user_share'):.0%} | {median('rps'):.0f} | {median('p50'):.0f} "
              f"| {median('p99'):.0f} | {wrong} |{more}")


def report(rows):
    """Prints a table for each scenario, then the verdicts; gives True if all limits hold."""
    for workers in sorted({r["workers"] for r in rows}):
        for name, scenario in SCENARIOS.items():
            mine = [r for r in rows if r["scenario"] == name and r["workers"] == workers
                    and "error" not in r]
            if not mine:
                continue
            others = [r["others"] for r in mine if "others" in r]
            quiet = (f"; other work beside it: median {statistics.median(others):.2f} cores, "
                     f"at most {max(others):.2f}" if others else "")
            rounds = len({r["round"] for r in mine})
            print(f"\n### {name}: {scenario.what} ({workers} worker"
                  f"{'s' if workers > 1 else ''}, {rounds} rounds{quiet})\n")
            (memory_table if scenario.kind == "mem" else load_table)(rows, name, workers)
    for row in rows:
        if "error" in row:
            print(f"\nerror: {row['scenario']} {row['proxy']} round {row['round']}: "
                  f"{row['error'][:300]}")
    return verdicts(rows)
