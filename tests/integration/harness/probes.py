# SPDX-License-Identifier: Apache-2.0
"""What /proc says about a process."""
import os
import time


def memory(pid):
    """{"rss": bytes, "pss": bytes, "private": bytes} from smaps_rollup."""
    out = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if rest.strip().endswith("kB"):
                out[name] = int(rest.split()[0]) * 1024
    return {"rss": out["Rss"], "pss": out["Pss"],
            "private": out["Private_Clean"] + out["Private_Dirty"]}


def cpu_seconds(pid):
    """CPU time of all threads so far."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def cpu_share(pid, seconds):
    """Cores used over the next `seconds`."""
    before, begin = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - begin)


def descriptors(pid):
    """How many file descriptors are open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    """How many threads there are."""
    return len(os.listdir(f"/proc/{pid}/task"))
