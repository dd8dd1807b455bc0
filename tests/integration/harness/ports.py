# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports that stay ours: below the ephemeral range, held by a lock until this process ends."""
import fcntl
import os
import random
import socket
import tempfile

_held = []


def free_port():
    """A port that nobody listens on and that no other test run will pick."""
    folder = os.path.join(tempfile.gettempdir(), "hyperway-test-ports")
    os.makedirs(folder, exist_ok=True)
    for _ in range(1000):
        port = random.randrange(11000, 31000)
        lock = open(os.path.join(folder, str(port)), "w", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                with socket.socket(family) as probe:
                    if family == socket.AF_INET6:
                        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    probe.bind((host, port))
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return port
    raise RuntimeError("no free port between 11000 and 31000")
