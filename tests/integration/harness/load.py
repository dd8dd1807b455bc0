# SPDX-License-Identifier: Apache-2.0
"""Clients in processes of their own, who never retry: what they do not get has failed."""
import collections
import itertools
import multiprocessing
import os
import time

from . import tls
from .client import Client


class LoadClient:
    """One client process: `kind` is keep, fresh or tls. Four GETs, then a POST of 1 KiB, and so on; `pause` seconds
    after each answer. With `begin`, an event, it waits for that: processes are started before threads."""

    def __init__(self, number, kind, ports, stop, draining, pause=0.0, begin=None):
        self.number, self.kind, self.ports, self.stop, self.draining = number, kind, ports, stop, draining
        self.pause, self.begin = pause, begin
        self.answered = multiprocessing.Value("L", 0)
        self.results = multiprocessing.Queue()
        self.process = multiprocessing.Process(target=self._run, daemon=True)
        self.process.start()

    def _run(self):
        seen, failures, client = collections.Counter(), [], None
        context, body, test = tls.client_context(), b"x" * 1024, os.getppid()
        while self.begin and not self.begin.wait(1) and os.getppid() == test:
            pass
        for n in itertools.count():
            if self.stop.is_set() or len(failures) >= 10 or os.getppid() != test:
                break
            method, data = ("POST", body) if n % 5 == 4 else ("GET", None)
            target = f"/{n % 7}/{self.number}/{n}"
            try:
                if client is None:
                    client = self._connect(context, seen)
                began_before_the_drain = not self.draining.is_set()
                client.request(method, target, host="a.example", body=data)
                got = client.response(method)
                seen[method] += 1
                last = (got.get("connection") or "").lower() == "close"
                if (got.status, got.body) != (200, f"{target} {len(data or b'')}".encode()):
                    failures.append(f"{self.kind} {method} {target}: {got}")
                elif last and not self.draining.is_set() and began_before_the_drain:
                    failures.append(f"{self.kind}: told to close before the drain: {got}")
                self.answered.value = n + 1
                time.sleep(self.pause)
            except Exception as error:  # noqa: BLE001 (whatever it is, this request has failed)
                failures.append(f"{self.kind} {method} {target}: {error!r}")
                last = True
            if client is not None and (last or self.kind == "fresh" or (self.kind == "tls" and n % 50 == 49)):
                client.close()
                client = None
        if client is not None:
            client.close()
        self.results.put((seen, failures))

    def _connect(self, context, seen):
        seen["connections before the drain"] += not self.draining.is_set()
        if self.kind != "tls":
            return Client(self.ports[0], timeout=10)
        client = Client(self.ports[1], timeout=10, tls=context, sni="a.example")
        seen["certificate " + client.socket.getpeercert(True).hex()] += 1
        return client

    def finish(self):
        """(what it saw, failures); a client that died or hangs is a failure, too."""
        try:
            seen, failures = self.results.get(timeout=30)
        except Exception as error:  # noqa: BLE001 (nothing came)
            seen, failures = collections.Counter(), [f"{self.kind}: no result: {error!r}"]
        self.process.join(5)
        if self.process.exitcode != 0:
            failures.append(f"{self.kind}: exit code {self.process.exitcode}")
            self.process.kill()
        return seen, failures
