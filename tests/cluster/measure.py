# SPDX-License-Identifier: Apache-2.0
"""What tests that measure have in common: percentiles, processes and their memory, many calls at once."""
import json
import os
import threading
import time


def spread(times):
    """Percentiles of some durations, in words."""
    return ", ".join(f"p{which} {percentile(times, which) * 1000:.1f} ms" for which in (50, 90, 99, 100))


def percentile(times, which):
    """That one of the durations which so many percent do not exceed."""
    return sorted(times)[-(-len(times) * which // 100) - 1]


def processes(cluster, name):
    """{process number: command line} of the processes of that name in a cluster, as this process sees them."""
    with open(os.path.join(cluster.dir, "node.pid"), encoding="utf-8") as file:
        near, found = [int(file.read())], {}
    while near:
        pid = near.pop()
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                comm = file.read().strip()
            if comm == name[:15]:
                with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                    found[pid] = file.read().split("\0")
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="utf-8") as file:
                    near += [int(child) for child in file.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended meanwhile.
    return found


def memory(pid):
    """Bytes of a whole process (PSS)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


def call(cluster, calls, connections=4):
    """Makes (method, path, body) over some connections at once; returns when the last one returned."""
    failed = []

    def some(first):
        connection = cluster.connect()
        for method, path, body in calls[first::connections]:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status not in (200, 201):
                failed.append(text)
        connection.close()
    threads = [threading.Thread(target=some, args=(i,)) for i in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[:3]
    return time.monotonic()
