#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A backend that drains: at SIGTERM it goes on serving for some seconds, answers what it has, and ends.

usage: draining_backend.py PORT SECONDS

Each answer has the Pod's name (the host's) and, of a request with a body, how long that was; under /slow it
comes after 0.2 s. Connections are kept until the end; then an idle one is closed, and another gets its answer
first, with `Connection: close`.
"""
import asyncio
import signal
import socket
import sys

NAME = socket.gethostname()


class Backend:
    """Serves until it is told to end."""

    def __init__(self):
        self.ending = False
        self.idle = set()
        self.busy = 0
        self.nobody_busy = asyncio.Event()

    async def serve(self, reader, writer):
        """One connection, request by request."""
        try:
            while not self.ending:
                self.idle.add(writer)
                head = await reader.readuntil(b"\r\n\r\n")
                self.idle.discard(writer)
                self.busy += 1
                try:
                    await self.answer(head, reader, writer)
                finally:
                    self.busy -= 1
                    if self.busy == 0:
                        self.nobody_busy.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.idle.discard(writer)
            writer.close()

    async def answer(self, head, reader, writer):
        """Answers the request of a head."""
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        body = await reader.readexactly(int(fields.get(b"content-length", 0)))
        if b" /slow" in head.partition(b"\r\n")[0]:
            await asyncio.sleep(0.2)
        text = f"{NAME} {len(body)}".encode()
        close = b"Connection: close\r\n" if self.ending else b""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(text), close, text))
        await writer.drain()

    async def run(self, port, seconds):
        """From the start to the end of the process."""
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        server = await asyncio.start_server(self.serve, "0.0.0.0", port)
        await told.wait()
        await asyncio.sleep(seconds)
        self.ending = True
        server.close()
        for writer in self.idle:
            writer.close()
        self.nobody_busy.clear()
        while self.busy:
            await self.nobody_busy.wait()
            self.nobody_busy.clear()


if __name__ == "__main__":
    asyncio.run(Backend().run(int(sys.argv[1]), float(sys.argv[2])))
