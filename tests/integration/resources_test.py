# SPDX-License-Identifier: Apache-2.0
"""Memory, descriptors and CPU under load that means ill: the figures of RELIABILITY.md."""
import contextlib
import os
import threading
import time
import unittest

from harness import gateway as gw
from harness import probes, tls, upgrade, wire
from harness.backend import answer
from harness.case import MIB, Case, GatewayCase, memory_factor, patience, until
from harness.client import Client, ask
from harness.manifests import app, gateway, gateway_class, listener, path_match, route, rule, secret
from harness.processes import BackendProcess, tunnels


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

    def settle(self, before):
        """After a flood memory is back within 10 % + 8 MiB."""
        until(lambda: self.rss() <= before * 1.1 + 8 * MIB * self.factor, 10, "memory given back", 0.1)

    def growth_within(self, mib):
        """As of GatewayCase, beside a request that may be refused."""
        def bystander():
            with contextlib.suppress(OSError, wire.Truncated):
                ask(self.port, "GET", "/bystander", timeout=10)
        ask(self.port, "GET", "/bystander")
        return super().growth_within(mib, bystander)


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
        self.app.script, before = script, self.rss()
        with self.growth_within(24):
            clients = [self.use(Client(self.port, receive_buffer=16384)) for _ in range(20)]
            for client in clients:
                client.request("GET", "/")
            time.sleep(2)
        for client in clients[2:]:
            client.close()
        for client in clients[:2]:
            client.socket.settimeout(20)
            self.assertEqual(client.head().status, 200)
            left = size - len(client.reader.buffer)
            while left > 0:
                part = client.socket.recv(MIB)
                self.assertTrue(part)
                left -= len(part)
        self.settle(before)

    def test_what_one_stuck_connection_holds_is_bounded(self):
        # Chunked, so that nothing is spliced: what waits is in memory of the process.
        def script(connection):
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            block = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
            for _ in range(1024):
                connection.send(block)
        self.app.script, count = script, 100
        with gw.simple(self.app) as process:
            clients = [self.use(Client(process.port(), receive_buffer=16384)) for _ in range(count)]
            before = probes.memory(process.pid)["rss"]
            for client in clients:
                client.request("GET", "/")
            time.sleep(2)
            each = (probes.memory(process.pid)["rss"] - before) / count / 1024
            for client in clients:
                client.close()
        print(f"an unread answer: {each:.1f} KiB", flush=True)
        # The buffer of one direction, the block of the stream with its arena, and two connections.
        self.assertLessEqual(each, (64 + 16) * self.factor, f"{each:.1f} KiB for each")

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
        return cls.make_process(cls.backend("app"))

    @classmethod
    def make_process(cls, backend):
        """A gateway with a plain and a TLS listener."""
        return gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", *cls.CERT), *app("app", backend), route(),
            settings={"timeouts": {"header": "3s", "idle": "60s", "handshake": "3s"}})

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
        # Processes of their own: memory that a flood has left behind would hide the cost.
        for port, kib, context in ((80, 16, None), (443, 48, tls.client_context())):
            with self.subTest(port=port), self.make_process(self.app) as process, contextlib.ExitStack() as clients:
                def connect(count, process=process, clients=clients, port=port, context=context):
                    for _ in range(count):
                        client = clients.enter_context(Client(process.port(port), tls=context, sni="a.example"))
                        self.assertEqual(client.ask("GET", "/", host="a.example").status, 200)
                connect(20)
                before = probes.memory(process.pid)["rss"]
                connect(500)
                each = (probes.memory(process.pid)["rss"] - before) / 500 / 1024
                print(f"an idle connection to port {port}: {each:.1f} KiB", flush=True)
                self.assertLessEqual(each, kib * self.factor, f"{each:.1f} KiB a connection")

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

    def test_unfinished_handshakes(self):
        before = self.rss()
        hello = bytes.fromhex("1603010200010001fc0303") + b"h" * 300
        with self.growth_within(24):
            clients = [Client(self.gateway.port(443)) for _ in range(300)]
            for n, client in enumerate(clients):
                client.send(hello[:20 + n])
            time.sleep(1)
            for client in clients:
                client.close()
        self.settle(before)

    def test_handshakes_that_fail(self):
        before = self.rss()
        with self.growth_within(24):
            for n in range(300):
                with Client(self.gateway.port(443), timeout=5) as client, contextlib.suppress(OSError):
                    client.send(bytes.fromhex("16030100400100003c") + bytes([n % 256]) * 60)
                    client.read_some()
        self.settle(before)

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
            # Most of a sanitized process is the sanitizer's shadow, however little runs in it.
            limit = 20 if self.factor == 1 else 30 * self.factor
            self.assertLessEqual(probes.memory(process.pid)["pss"] / MIB, limit)


class LongTunnels(Case):
    """A tunnel outlives many tables and keeps none of them. HYPERWAY_FULL=1: 1,000 tunnels, 3,000 edits."""

    limit_seconds = 240
    FULL = bool(os.environ.get("HYPERWAY_FULL"))
    TUNNELS, EDITS = (1000, 3000) if FULL else (300, 600)

    @staticmethod
    def _large(n):
        """A route that makes its table larger by more than 100 KiB."""
        return route("large", hostnames=["large.example"], rules=[
            rule(["app"], [path_match(f"/{n}/{k}/{m}/" + "x" * 500) for m in range(8)]) for k in range(16)])

    def test_tunnels_held_open_over_many_edits_keep_no_old_table(self):
        backend = self.use(BackendProcess("app", tunnels))
        process = self.use(gw.simple(backend, *[route(f"r{n}", hostnames=[f"h{n}.example"]) for n in range(100)],
                                     self._large(0), settings={"limits": {"connections": 5000}}))
        edits, clients, factor = 0, [], memory_factor()

        def edit():
            nonlocal edits
            edits += 1
            process.apply(self._large(edits) if edits % 3 == 0 else
                          route(f"r{edits % 100}", hostnames=[f"v{edits}.example"]))

        def private():
            # A pin on a table lasts a second at most.
            time.sleep(1.5 * patience())
            return probes.memory(process.pid)["private"]

        def open_tunnels(count, edited):
            for n in range(count):
                if edited:
                    process.apply(self._large(-n))
                    time.sleep(0.05)
                client = self.use(Client(process.port(), timeout=20))
                client.send(upgrade.WEBSOCKET)
                self.assertEqual(client.response().status, 101)
                clients.append(client)
        for _ in range(30):
            edit()
        half = self.TUNNELS // 2
        before = private()
        open_tunnels(half, edited=False)
        quiet = private()
        open_tunnels(self.TUNNELS - half, edited=True)  # Each begins on a table of its own.
        full = private()
        # They cost what the first half did, and what the tables of two seconds were, not a table each.
        self.assertLessEqual(full - quiet, (quiet - before) + 8 * MIB * factor)
        sizes = []
        for last in (self.EDITS // 2, self.EDITS):
            while edits < last:
                edit()
                time.sleep(0.004)
            sizes.append(private())
        descriptors = probes.descriptors(process.pid)
        print(f"{len(clients)} tunnels, {edits} edits: private {before / MIB:.1f} MiB, {(quiet - before) / half / 1024:.1f} "
              f"KiB a tunnel, with all {full / MIB:.1f}, then {', '.join(f'{s / MIB:.1f}' for s in sizes)} MiB", flush=True)
        self.assertLessEqual(max(sizes) - full, 4 * MIB * factor, "memory grew with edits")
        # A step of the heap more or less; a table kept by each third edit would be 10 MiB and more.
        self.assertLessEqual(sizes[1] - sizes[0], 4 * MIB * factor, "memory grew with edits")
        for n, client in enumerate(clients):
            client.send(b"%08d" % n)
        for n, client in enumerate(clients):
            self.assertEqual(client.reader.take(8), b"%08d" % n)
        self.assertLessEqual(descriptors, 2 * len(clients) + 60)


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
        until(lambda: ask(self.port, timeout=1).status == 200, 1.0, "accepting again")


if __name__ == "__main__":
    unittest.main()
