# SPDX-License-Identifier: Apache-2.0
"""Counts what the gateway's workers ask of the allocator and of the kernel (see count_calls.c)."""
import mmap
import os
import struct
import subprocess

SLOTS = ("allocate", "receive", "send", "epoll_ctl", "option", "epoll_wait", "splice", "lock")


class Counter:
    """Builds the library; `environment` loads it into a gateway; close() when done."""

    def __init__(self, folder):
        library, counts = os.path.join(folder, "count_calls.so"), os.path.join(folder, "counts")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "count_calls.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        with open(counts, "wb") as file:
            file.write(b"\0" * 4096)
        self._file = open(counts, "rb")
        self._map = mmap.mmap(self._file.fileno(), 4096, prot=mmap.PROT_READ)
        self.environment = {"LD_PRELOAD": library, "COUNT_CALLS_FILE": counts}

    def read(self):
        """{slot: calls so far}."""
        return dict(zip(SLOTS, struct.unpack(f"{len(SLOTS)}Q", self._map[:8 * len(SLOTS)])))

    def during(self, work):
        """{slot: calls while work() ran}."""
        before = self.read()
        work()
        after = self.read()
        return {slot: after[slot] - before[slot] for slot in SLOTS}

    def close(self):
        """Lets go of the file."""
        self._map.close()
        self._file.close()
