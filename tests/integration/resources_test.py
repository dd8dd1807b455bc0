# SPDX-License-Identifier: Apache-2.0
"""Memory, descriptors and CPU under load that means ill: the figures of RELIABILITY.md."""
import contextlib
import threading
import time
import unittest

from harness import gateway as gw
from harness import probes, tls, wire
from harness.backend import answer
from harness.case import GatewayCase, patience, until
from harness.client import Client, ask
from harness.manifests import app, gateway, gateway_class, listener, route, rule, secret

MIB = 1 << 20
# AddressSanitizer keeps freed memory for a while and adds redzones; the exact figure is for the
# release build, the test itself runs in both.
FACTOR = {"": 1.0, "address": 4.0, "thread": 6.0}


def drain(connection, total):
    """Reads and drops a body; returns its size."""
    count = len(connection.reader.buffer)
    connection.reader.buffer.clear()
    while count < total:
        data = connection.socket.recv(1 << 20)
        if not data:
            break
        count += len(data)
    return count


class ResourceCase(GatewayCase):
    limit_seconds = 90

    @property
    def factor(self):
        """How much more memory this build may take."""
        return FACTOR[gw.sanitized()]

    def rss(self):
        """Resident bytes of the gateway."""
        return probes.memory(self.gateway.pid)["rss"]

    @contextlib.contextmanager
    def growth_within(self, mib):
        """Watches memory and another client's wait while something goes on."""
        ask(self.port, "GET", "/bystander")
        before, peak, waits, over = self.rss(), [0], [], threading.Event()

        def watch():
            while not over.wait(0.05):
                peak[0] = max(peak[0], self.rss())
                begin = time.monotonic()
                with contextlib.suppress(OSError, wire.Truncated):
                    ask(self.port, "GET", "/bystander", timeout=10)
                waits.append(time.monotonic() - begin)
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        grown = (max(peak[0], self.rss()) - before) / MIB
        self.assertLessEqual(grown, mib * self.factor, f"RSS grew by {grown:.1f} MiB")
        self.assertLessEqual(max(waits, default=0), 0.5 * patience(), "another client waited")


class BackPressure(ResourceCase):
    @classmethod
    def make(cls):
        return gw.Gateway(gateway_class(), gateway(), *app("app", cls.backend("app")),
                          *app("side", cls.backend("side")),
                          route(rules=[rule(["side"], [{"path": {"type": "PathPrefix", "value": "/bystander"}}]),
                                       rule(["app"])]))

    def test_downloads_that_nobody_reads_fill_no_memory(self):
        size = 64 * MIB

        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            block = b"x" * MIB
            for _ in range(64):
                connection.send(block)
        self.app.script = script
        with self.growth_within(24):
            clients = [self.use(Client(self.port, receive_buffer=16384)) for _ in range(20)]
            for client in clients:
                client.request("GET", "/")
            time.sleep(2)
        for client in clients[:2]:
            client.socket.settimeout(20)
            self.assertEqual(client.head().status, 200)
            left = size - len(client.reader.buffer)
            while left > 0:
                part = client.socket.recv(MIB)
                self.assertTrue(part)
                left -= len(part)

    def test_chunked_downloads_that_nobody_reads_fill_no_memory(self):
        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            block = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
            for _ in range(4096):
                connection.send(block)
            connection.send(b"0\r\n\r\n")
        self.app.script = script
        with self.growth_within(24):
            clients = [self.use(Client(self.port, receive_buffer=16384)) for _ in range(20)]
            for client in clients:
                client.request("GET", "/")
            time.sleep(2)

    def test_uploads_that_a_backend_does_not_read_fill_no_memory(self):
        release = threading.Event()

        def script(connection):
            if connection.read_head() is None:
                return
            release.wait(20)
            count = drain(connection, 16 * MIB)
            connection.send(answer(200, str(count)))
        self.app.script = script
        results = []

        def upload():
            with Client(self.port, timeout=60) as client:
                client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {16 * MIB}\r\n\r\n")
                block = b"x" * MIB
                for _ in range(16):
                    client.send(block)
                results.append(client.response().body)
        with self.growth_within(24):
            threads = [threading.Thread(target=upload) for _ in range(10)]
            for thread in threads:
                thread.start()
            time.sleep(2)
        release.set()
        for thread in threads:
            thread.join(70)
        self.assertEqual(results, [str(16 * MIB).encode()] * 10)

    def test_a_large_upload_costs_buffers_not_its_size(self):
        def script(connection):
            request = connection.read_head()
            if request is not None:
                connection.send(answer(200, str(drain(connection, request.length))))
        self.app.script = script
        size = 300 * MIB
        with self.growth_within(8):
            with Client(self.port, timeout=60) as client:
                client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
                block = b"x" * MIB
                for _ in range(300):
                    client.send(block)
                self.assertEqual(client.response().body, str(size).encode())

    def test_pipelining_without_reading_answers_is_bounded(self):
        self.app.handler = lambda r: answer(200, b"y" * 10000)
        with self.growth_within(8):
            clients = []
            for _ in range(10):
                client = self.use(Client(self.port, receive_buffer=4096, timeout=1))
                clients.append(client)
                with contextlib.suppress(OSError):
                    for _ in range(40):
                        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 500)
            time.sleep(1)


class Floods(ResourceCase):
    CERT = tls.self_signed("a.example")

    @classmethod
    def make(cls):
        return gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", *cls.CERT), *app("app", cls.backend("app")), route(),
            settings={"timeouts": {"header": "3s", "idle": "60s", "handshake": "3s"}})

    def settle(self, before):
        """After a flood memory is back within 10 % + 8 MiB."""
        until(lambda: self.rss() <= before * 1.1 + 8 * MIB * self.factor, 10, "memory given back", 0.1)

    def test_unfinished_heads(self):
        before = self.rss()
        with self.growth_within(24):
            clients = []
            for _ in range(300):
                client = Client(self.port)
                clients.append(client)
                client.send("GET / HTTP/1.1\r\nHost: a\r\nX: " + "y" * 10000)
            time.sleep(1)
            for client in clients:
                client.close()
        self.settle(before)

    def test_idle_connections_are_small(self):
        for port, kib, context in ((self.port, 16, None), (self.gateway.port(443), 48, tls.client_context())):
            with self.subTest(port=port):
                ask(port, tls=context, host="a.example") if context else ask(port)
                before, clients = self.rss(), []
                count = 300
                for _ in range(count):
                    client = Client(port, tls=context)
                    clients.append(client)
                    self.assertEqual(client.ask("GET", "/").status, 200)
                each = (self.rss() - before) / count / 1024
                for client in clients:
                    client.close()
                self.assertLessEqual(each, kib * self.factor, f"{each:.1f} KiB a connection")
                time.sleep(0.3)

    def test_connections_that_come_and_go_leave_nothing_behind(self):
        for _ in range(200):
            ask(self.port)
        before, fds = self.rss(), probes.descriptors(self.gateway.pid)
        for _ in range(2000):
            with Client(self.port) as client:
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                if _ % 2:
                    client.response()
                else:
                    client.reset()
        self.settle(before)
        until(lambda: probes.descriptors(self.gateway.pid) <= fds + 5, 5, "descriptors closed")

    def test_garbage_by_the_megabyte(self):
        before = self.rss()
        with self.growth_within(24):
            for data in (b"\0" * MIB, b"\r\n" * (MIB // 2), b"A" * MIB, b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 200000,
                         b"\x16\x03\x01\xff\xff" + b"\xff" * MIB, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * MIB):
                for port in (self.port, self.gateway.port(443)):
                    with Client(port, timeout=5) as client:
                        with contextlib.suppress(OSError):
                            client.send(data)
                            client.read_some()
        self.settle(before)
        self.assertEqual(self.app.ambiguous, [])

    def test_tiny_chunks_are_not_amplified(self):
        with self.growth_within(8):
            with Client(self.port) as client:
                client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(100):
                    client.send(b"1\r\nx\r\n" * 2000)
                client.send("0\r\n\r\n")
                self.assertEqual(client.response(timeout=20).status, 200)
        self.assertEqual([len(r.body) for r in self.app.requests if r.method == "POST"], [200000])

    def test_an_idle_process_uses_no_cpu(self):
        time.sleep(0.5)
        self.assertLess(probes.cpu_share(self.gateway.pid, 2), 0.02)

    def test_an_idle_process_is_small(self):
        # The process of its own: floods leave arenas behind.
        with gw.simple(self.app) as process:
            time.sleep(0.5)
            self.assertLessEqual(probes.memory(process.pid)["pss"] / MIB, 20 * self.factor)


class Descriptors(GatewayCase):
    limit_seconds = 60

    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), descriptors=100)

    def test_used_up_descriptors_pause_accepting_cheaply_and_it_recovers(self):
        held = []
        try:
            for _ in range(150):
                held.append(Client(self.port, timeout=5))
            served = [c for c in held[:20] if c.ask("GET", "/").status == 200]
            self.assertGreater(len(served), 0)
            time.sleep(0.5)
            self.assertLess(probes.cpu_share(self.gateway.pid, 2), 0.10 * patience())
            # Those who are in are served as before.
            for client in served:
                self.assertIn(client.ask("GET", "/").status, (200, 503))
        finally:
            for client in held:
                client.close()
        begin = time.monotonic()
        until(lambda: ask(self.port, timeout=2).status == 200, 5, "accepting again")
        self.assertLess(time.monotonic() - begin, 1.0 * patience() + 0.2)


if __name__ == "__main__":
    unittest.main()
