# SPDX-License-Identifier: Apache-2.0
"""Backends in processes of their own: as strict as Backend, and as fast as many requests need."""
import collections
import multiprocessing
import os

from .backend import Backend, answer
from . import upgrade


def counting(connection, seen):
    """A script that answers every request with its target and the size of its body, and keeps counts only."""
    while (request := connection.read_request()) is not None:
        seen[f"method {request.method}"] += 1
        seen[f"edit {request.get('x-edit')}"] += 1
        connection.requests.clear()
        connection.reader.raw.clear()
        connection.send(answer(200, f"{request.target} {len(request.body)}"))


def tunnels(connection, seen):
    """A script that accepts upgrades and returns every byte."""
    seen["tunnels"] += 1
    upgrade.echo_tunnel(connection)


class BackendProcess:
    """A backend in a child process; start it before threads. `seen` and `ambiguous` are there after close()."""

    def __init__(self, name, script=counting):
        self.name, self.seen, self.ambiguous = name, collections.Counter(), []
        self._pipe, child = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=self._run, args=(name, script, child), daemon=True)
        self._process.start()
        child.close()
        self.host, self.port = self._pipe.recv()

    @staticmethod
    def _run(name, script, pipe):
        seen = collections.Counter()
        backend = Backend(name, script=lambda connection: script(connection, seen))
        pipe.send((backend.host, backend.port))
        test = os.getppid()
        while not pipe.poll(1):
            if os.getppid() != test:
                return  # The test has gone.
        pipe.send((seen, [repr(x) for x in backend.ambiguous]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the process and takes what it saw. Idempotent."""
        if not self._process.is_alive():
            return
        self._pipe.send("end")
        if self._pipe.poll(10):
            self.seen, self.ambiguous = self._pipe.recv()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
