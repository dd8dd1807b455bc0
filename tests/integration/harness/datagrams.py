# SPDX-License-Identifier: Apache-2.0
"""UDP on both sides of the gateway: backends that answer datagrams, and clients that send them."""
import collections
import select
import socket
import threading


class UdpBackend:
    """Answers each datagram with "NAME:" in front of it, on a thread of its own; keeps what came.

    answer   bytes -> list of bytes; given instead of the usual answer.
    """

    def __init__(self, name="app", host="127.0.0.1", port=0, answer=None):
        self.name, self.host, self.answer = name, host, answer
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((host, port))
        self.port = self.socket.getsockname()[1]
        self.came, self.peers = [], collections.Counter()
        self.wake, self.end = socket.socketpair()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            ready, _, _ = select.select([self.socket, self.end], [], [])
            if self.end in ready:
                return
            data, peer = self.socket.recvfrom(65536)
            self.came.append(data)
            self.peers[peer] += 1
            for out in self.answer(data) if self.answer else [self.name.encode() + b":" + data]:
                self.socket.sendto(out, peer)

    def send(self, data, peer):
        """Sends something that nobody asked for."""
        self.socket.sendto(data, peer)

    def close(self):
        """Ends it: what comes from now on is refused by the kernel."""
        if self.thread.is_alive():
            self.wake.send(b"x")
            self.thread.join()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class UdpClient:
    """A client with an address of its own."""

    def __init__(self, port, host="127.0.0.1", timeout=5.0, connect=True):
        self.to = (host, port)
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(timeout)
        if connect:  # Answers from another address than the one that was asked are not heard then.
            self.socket.connect(self.to)
        else:
            self.socket.bind(("", 0))

    def send(self, data):
        """Sends one datagram."""
        if isinstance(data, str):
            data = data.encode()
        try:
            self.socket.send(data)
        except ConnectionRefusedError:  # of one before
            self.socket.send(data)

    def receive(self, timeout=None):
        """The next datagram; None if none came in time."""
        if timeout is not None:
            self.socket.settimeout(timeout)
        while True:
            try:
                return self.socket.recv(65536)
            except ConnectionRefusedError:
                continue
            except TimeoutError:
                return None

    def ask(self, data, timeout=None):
        """Sends one and returns the answer."""
        self.send(data)
        return self.receive(timeout)

    def close(self):
        """Ends it."""
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
