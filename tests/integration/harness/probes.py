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


def asked_after(sock):
    """True if the peer of this IPv4 socket, on this machine, has TCP keep-alive on and waits for its timer."""
    here, there = (f"{end[1]:04X}" for end in (sock.getsockname(), sock.getpeername()))
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return any(row[1].endswith(":" + there) and row[2].endswith(":" + here) and row[5].startswith("02:")
               for row in rows)


def threads(pid):
    """How many threads there are."""
    return len(os.listdir(f"/proc/{pid}/task"))
