# SPDX-License-Identifier: Apache-2.0
"""TCP listeners and TCPRoutes: bytes go both ways as they are, ends and resets too, and changes touch no connection."""
import collections
import contextlib
import hashlib
import json
import os
import signal
import socket
import threading
import time
import unittest

from harness import gateway as gw
from harness import successor, tls
from harness.case import Case, GatewayCase, patience, until
from harness.flows import (Server, connect, digest_of, echo, is_reset, named, read_exactly, read_line, reset,
                           resets, send_pattern, tcp_route)
from harness.manifests import (anchors, app, backend_ref, gateway, gateway_class, listener, service, tls_policy)

AUTHORITY = tls.Authority()
CERTIFICATE = AUTHORITY.issue("app.example")


def tcp(name="tcp", port=9000):
    """A TCP listener."""
    return listener(name, port, "TCP")


def at(section):
    """parentRefs of a route on one listener."""
    return [{"name": "gw", "sectionName": section}]


class TcpCase(Case):
    """A gateway for each test."""

    limit_seconds = 60

    def start(self, *objects, listeners=None, **kwargs):
        """A gateway with these objects; the port of its first listener."""
        listeners = listeners or [tcp()]
        self.gateway = self.use(gw.Gateway(gateway_class(), gateway(listeners), *objects, **kwargs))
        return self.gateway.port(listeners[0]["port"])

    def served(self, handler=echo, **kwargs):
        """A gateway whose one TCPRoute leads to a server with this handler."""
        self.server = self.use(Server(handler))
        return self.start(*app("app", self.server), tcp_route(), **kwargs)


class Bytes(GatewayCase):
    """What goes through."""

    limit_seconds = 60

    @classmethod
    def make(cls):
        def first_bytes_late(connection, server):
            server.gate.wait(20)
            send_pattern(connection, 64 << 20)
            connection.shutdown(socket.SHUT_WR)

        def swallow(connection, server):
            server.heads.append(digest_of(connection))
            connection.shutdown(socket.SHUT_WR)

        def resets(connection, _):
            read_exactly(connection, 1)
            reset(connection)

        def never_reads(connection, server):
            server.gate.wait(20)
            server.heads.append(digest_of(connection))
        cls.servers = {"echo": Server(echo), "first": Server(named("app")), "source": Server(first_bytes_late),
                       "sink": Server(swallow), "resets": Server(resets), "stuck": Server(never_reads)}
        for server in cls.servers.values():
            server.gate = threading.Event()
        cls.addClassCleanup(lambda: [server.close() for server in cls.servers.values()])
        names = {name: 9000 + n for n, name in enumerate(cls.servers)}
        cls.numbers = names
        return gw.Gateway(gateway_class(), gateway([tcp(name, port) for name, port in names.items()]),
                          *[app(name, server) for name, server in cls.servers.items()],
                          *[tcp_route(name, [name], at(name)) for name in names])

    def at(self, name):
        """Where the listener of that name is."""
        return self.gateway.port(self.numbers[name])

    def test_what_is_sent_comes_back(self):
        with connect(self.at("echo")) as client:
            for size in (1, 10, 1000, 100000):
                client.sendall(b"x" * size)
                self.assertEqual(read_exactly(client, size), b"x" * size)

    def test_a_backend_may_speak_first(self):
        with connect(self.at("first")) as client:
            self.assertEqual(read_line(client), b"app")
            client.sendall(b"ping")
            self.assertEqual(read_exactly(client, 4), b"ping")

    def test_the_clients_end_is_passed_on_and_the_answer_still_comes(self):
        with connect(self.at("sink")) as client:
            client.sendall(b"all there is")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        until(lambda: (12, sha256(b"all there is")) in self.servers["sink"].heads)

    def test_the_backends_end_is_passed_on_and_the_client_may_go_on(self):
        seen = threading.Event()

        def half(connection, server):
            connection.sendall(b"bye\n")
            connection.shutdown(socket.SHUT_WR)
            server.heads.append(read_line(connection))
            seen.set()
        server = self.servers["first"]
        kept, server.handler = server.handler, half
        try:
            with connect(self.at("first")) as client:
                self.assertEqual(client.recv(10), b"bye\n")
                self.assertEqual(client.recv(10), b"")
                client.sendall(b"still here\n")
                self.assertTrue(seen.wait(10))
                self.assertEqual(server.heads[-1], b"still here")
        finally:
            server.handler = kept

    def test_64_mib_arrive_as_they_were_sent_each_way(self):
        size = 64 << 20
        with connect(self.at("sink")) as client:
            sent = send_pattern(client, size)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        self.assertIn((size, sent), self.servers["sink"].heads)
        self.servers["source"].gate.set()
        with connect(self.at("source")) as client:
            self.assertEqual(digest_of(client), (size, sent))

    def test_a_reset_is_passed_on_from_the_client(self):
        server = self.servers["stuck"]
        broke = threading.Event()

        def waits(connection, _):
            connection.sendall(b"up\n")
            try:
                connection.recv(1)
            except ConnectionResetError:
                broke.set()
        kept, server.handler = server.handler, waits
        try:
            client = connect(self.at("stuck"))
            self.assertEqual(read_line(client), b"up")
            reset(client)
            self.assertTrue(broke.wait(10))
        finally:
            server.handler = kept

    def test_a_reset_is_passed_on_from_the_backend(self):
        with connect(self.at("resets")) as client:
            client.sendall(b"x")
            self.assertTrue(is_reset(client))

    def test_a_reader_that_is_slow_holds_up_the_sender_and_costs_little_memory(self):
        server = self.servers["stuck"]
        before = resident(self.gateway.pid)
        clients = [connect(self.at("stuck")) for _ in range(8)]
        try:
            for client in clients:
                client.setblocking(False)
            block, full, total = b"x" * (1 << 20), 0, 0
            end = time.monotonic() + 20
            while full < 10 and time.monotonic() < end:
                moved = 0
                for client in clients:
                    with contextlib.suppress(BlockingIOError):
                        moved += client.send(block)
                total += moved
                full = 0 if moved else full + 1
                time.sleep(0.02)
            self.assertEqual(full, 10, f"{total} bytes were taken and nobody reads")
            self.assertLess(resident(self.gateway.pid) - before, (20 if not gw.sanitized() else 200) << 20)
        finally:
            server.gate.set()
            for client in clients:
                client.close()

    def test_many_connections_at_once(self):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(self.at("echo"))) for _ in range(300)]
            for n, client in enumerate(clients):
                client.sendall(b"%06d" % n)
            for n, client in enumerate(clients):
                self.assertEqual(read_exactly(client, 6), b"%06d" % n)
            self.assertGreaterEqual(self.gateway.metric("hyperway_flows"), 300)
        until(lambda: self.gateway.metric("hyperway_flows") == 0)


def sha256(data):
    """The SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def resident(pid):
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Choice(TcpCase):
    """Which backend, and what if there is none."""

    def test_weights_hold_for_connections(self):
        servers = {name: self.use(Server(named(name))) for name in ("a", "b", "c")}
        port = self.start(*[app(name, server) for name, server in servers.items()],
                          tcp_route(backends=[backend_ref("a", weight=8), backend_ref("b", weight=2),
                                              backend_ref("c", weight=0)]))
        counts = collections.Counter()
        for _ in range(400):
            with connect(port) as client:
                counts[read_line(client)] += 1
        self.assertEqual(counts[b"c"], 0)
        self.assertGreater(counts[b"a"], 260)
        self.assertGreater(counts[b"b"], 40)

    def test_what_has_no_backend_is_reset_at_once(self):
        server = self.use(Server(echo))
        lacks = {"weight": [backend_ref("app", weight=0)], "gone": ["gone"], "empty": ["empty"], "none": None}
        port = self.start(
            *app("app", server), service("empty"),
            *[tcp_route(name, refs, at(name)) for name, refs in lacks.items() if refs],
            listeners=[tcp(name, 9000 + n) for n, name in enumerate(lacks)], ready=True)
        self.assertTrue(port)
        for n, name in enumerate(lacks):
            with self.subTest(name):
                self.assertTrue(resets(self.gateway.port(9000 + n)))
        self.assertEqual(server.taken, 0)

    def test_an_endpoint_that_is_gone_is_passed_over(self):
        servers = [self.use(Server(named(f"s{n}"))) for n in range(2)]
        port = self.start(*app("app", *servers), tcp_route())
        servers[1].close()
        for _ in range(20):
            with connect(port) as client:
                self.assertEqual(read_line(client), b"s0")
        self.assertGreaterEqual(self.gateway.metric("hyperway_upstream_ejections_total"), 1)

    def test_a_backend_with_a_tls_policy_is_reached_by_tls(self):
        context = tls.server_context(CERTIFICATE, alpn=["h2", "http/1.1"])
        offered = []

        def secure(connection, server):
            offered.append(connection.selected_alpn_protocol())
            named("secure")(connection, server)
        server = self.use(Server(secure, tls=context))
        port = self.start(*app("app", server), anchors("ca", AUTHORITY.certificate), tls_policy(), tcp_route())
        with connect(port) as client:
            self.assertEqual(read_line(client), b"secure")
            send = b"y" * 300000
            threading.Thread(target=client.sendall, args=(send,), daemon=True).start()
            self.assertEqual(read_exactly(client, len(send)), send)
        self.assertEqual((set(context.names), set(offered)), ({"app.example"}, {None}))

    def test_what_a_turn_leaves_inside_of_tls_follows(self):
        # A turn moves 4 MiB of what waits in the kernel, and all of the rest fits into the session's buffer.
        sizes = [(4 << 20) + rest for rest in (1, 4096, 8192, 16384, 30000)]
        gate = threading.Semaphore(0)

        def burst(connection, _):
            connection.sendall(b"w" * (32 << 20))  # The kernel makes its buffers large.
            for size in sizes:
                gate.acquire(timeout=20)
                connection.sendall(b"x" * size)
            connection.recv(1)

        def take(client, size):
            while size > 0:
                got = len(client.recv(min(size, 1 << 20)))
                self.assertTrue(got, f"ended {size} bytes early")
                size -= got
        server = self.use(Server(burst, tls=tls.server_context(CERTIFICATE)))
        port = self.start(*app("app", server), anchors("ca", AUTHORITY.certificate), tls_policy(), tcp_route())
        with connect(port, timeout=5 * patience()) as client:
            take(client, 32 << 20)
            for size in sizes:
                with self.subTest(size=size):
                    os.kill(self.gateway.pid, signal.SIGSTOP)
                    gate.release()
                    time.sleep(0.5)
                    os.kill(self.gateway.pid, signal.SIGCONT)
                    take(client, size)

    def test_a_backend_whose_certificate_is_not_good_is_not_used(self):
        server = self.use(Server(named("secure"), tls=tls.server_context(tls.self_signed("app.example"))))
        port = self.start(*app("app", server), anchors("ca", AUTHORITY.certificate), tls_policy(), tcp_route())
        self.assertTrue(resets(port))
        self.assertGreaterEqual(self.gateway.metric("hyperway_upstream_tls_failures_total"), 1)


class Life(TcpCase):
    """Changes, time, the drain, the upgrade."""

    def test_connections_live_on_when_their_route_and_listener_go(self):
        port = self.served()
        with connect(port) as client:
            client.sendall(b"before")
            self.assertEqual(read_exactly(client, 6), b"before")
            self.gateway.delete(tcp_route())
            until(lambda: resets(port, 0.2), message="new connections are reset")
            client.sendall(b"after")
            self.assertEqual(read_exactly(client, 5), b"after")
            self.gateway.apply(gateway([tcp("other", 9001)]))
            until(lambda: refused(port), message="the listener is gone")
            client.sendall(b"last")
            self.assertEqual(read_exactly(client, 4), b"last")

    def test_edits_under_load_fail_nobody(self):
        servers = {name: self.use(Server(named(name))) for name in ("a", "b")}
        port = self.start(*[app(name, server) for name, server in servers.items()], tcp_route(backends=["a"]),
                          workers=2)
        stop, failures, done = threading.Event(), [], collections.Counter()

        def load():
            while not stop.is_set():
                try:
                    with connect(port) as client:
                        name = read_line(client)
                        client.sendall(b"ping")
                        if read_exactly(client, 4) != b"ping":
                            raise ConnectionError("not the same")
                        done[name] += 1
                except OSError as error:
                    failures.append(repr(error))
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for n in range(40):
            self.gateway.apply(tcp_route(backends=["a" if n % 2 else "b"]))
            time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(min(done[b"a"], done[b"b"]), 0)

    def test_a_silent_connection_ends_with_its_time(self):
        port = self.served(settings={"timeouts": {"flow": "500ms"}},
                           access_log={"format": "json"})
        with connect(port) as client:
            client.sendall(b"x")
            self.assertEqual(client.recv(1), b"x")
            begin = time.monotonic()
            self.assertTrue(is_reset(client))
            self.assertGreater(time.monotonic() - begin, 0.4)
        self.assertEqual(self.log_entry()["why"], "idle")

    def log_entry(self):
        """The last line of the access log."""
        def last():
            lines = [line for line in self.gateway.logs().splitlines() if line.startswith("{\"time\"")]
            return json.loads(lines[-1]) if lines else None
        return until(last)

    def test_a_flow_has_one_line_in_the_log_and_counts_for_its_rule(self):
        port = self.served(access_log={"format": "json"})
        with connect(port) as client:
            client.sendall(b"12345")
            self.assertEqual(read_exactly(client, 5), b"12345")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        entry = self.log_entry()
        for key, value in {"protocol": "TCP", "listener": "default/gw/tcp", "route": "default/tcp",
                           "rule": "TCPRoute/default/tcp/0", "upstream": f"127.0.0.1:{self.server.port}",
                           "client": "127.0.0.1", "bytes_received": 5, "bytes_sent": 5, "attempts": 1}.items():
            self.assertEqual(entry[key], value, entry)
        self.assertNotIn("status", entry)
        self.assertNotIn("why", entry)
        self.assertEqual(self.gateway.metric("hyperway_requests_total", route="TCPRoute/default/tcp", code="2xx"), 1)

    def test_a_connection_lives_through_the_drain_and_ends_with_its_deadline(self):
        port = self.served(settings={"drain": {"delay": "0s", "deadline": "2s"}})
        with connect(port) as client:
            client.sendall(b"a")
            self.assertEqual(client.recv(1), b"a")
            begin = time.monotonic()
            self.gateway.terminate()
            time.sleep(1)
            client.sendall(b"b")
            self.assertEqual(client.recv(1), b"b")
            self.assertTrue(is_reset(client))
            self.assertGreater(time.monotonic() - begin, 1.8)
        self.assertEqual(self.gateway.process.wait(20 * patience()), 0)

    def test_connections_live_through_an_upgrade_in_place(self):
        successor.adopt_orphans()
        port = self.served(settings={"drain": {"deadline": "20s"}})
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(port)) for _ in range(20)]
            for client in clients:
                client.sendall(b"before")
                self.assertEqual(read_exactly(client, 6), b"before")
            old = successor.upgrade(self.gateway)
            for client in clients:
                client.sendall(b"after")
                self.assertEqual(read_exactly(client, 5), b"after")
            with connect(port) as client:
                client.sendall(b"new")
                self.assertEqual(read_exactly(client, 3), b"new")
        self.assertEqual(old.wait(30 * patience()), 0)

    def test_the_limit_on_connections_counts_flows(self):
        port = self.served(settings={"limits": {"connections": 10}})
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                client = stack.enter_context(connect(port))
                client.sendall(b"x")
                self.assertEqual(client.recv(1), b"x")
            late = stack.enter_context(connect(port, timeout=0.5))
            late.sendall(b"y")
            with self.assertRaises(socket.timeout):
                late.recv(1)
            stack.pop_all().close()
        with connect(port) as client:
            client.sendall(b"z")
            self.assertEqual(client.recv(1), b"z")


def refused(port):
    """True if nobody listens."""
    try:
        connect(port).close()
        return False
    except ConnectionRefusedError:
        return True


if __name__ == "__main__":
    unittest.main()
