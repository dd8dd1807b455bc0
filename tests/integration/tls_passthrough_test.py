# SPDX-License-Identifier: Apache-2.0
"""TLS listeners: passed through by the name of the ClientHello, ended for a TCP backend, or ended for HTTP, all on one
port."""
import contextlib
import socket
import ssl
import threading
import time
import unittest

from harness import gateway as gw
from harness import successor, tls
from harness.case import Case, GatewayCase, patience, until
from harness.client import ask
from harness.flows import Server, connect, echo, is_reset, named, read_exactly, read_line, tls_route
from harness.manifests import app, backend_ref, gateway, gateway_class, listener, route, secret

PASSED, ENDED, WEB = (tls.self_signed(name) for name in ("passed.example", "ended.example", "web.example"))


def passthrough(name="pass", port=8443, hostname=None):
    """A TLS listener that ends nothing."""
    return {**listener(name, port, "TLS", hostname), "tls": {"mode": "Passthrough"}}


def at(section):
    """parentRefs of a route on one listener."""
    return [{"name": "gw", "sectionName": section}]


def shaken(port, name, context=None):
    """A TLS connection to that name."""
    raw = connect(port)
    try:
        return (context or tls.client_context()).wrap_socket(raw, server_hostname=name)
    except BaseException:
        raw.close()
        raise


def failure(port, name, context=None):
    """Why a handshake fails; None if it does not."""
    try:
        with shaken(port, name, context):
            return None
    except ssl.SSLEOFError:
        return "closed"
    except ssl.SSLError as error:
        return error.reason or "closed"  # an end that OpenSSL has no word for
    except ConnectionResetError:
        return "reset"


def hello(name, alpn=None):
    """The first flight of a client of OpenSSL."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls.client_context(alpn=alpn).wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return session, incoming, outgoing


def with_extensions(record, *extra):
    """A ClientHello in one record with extensions (type, body) in front of its own."""
    body = bytearray(record[9:])
    at_session = 34
    at_suites = at_session + 1 + body[at_session]
    at_compressions = at_suites + 2 + int.from_bytes(body[at_suites:at_suites + 2], "big")
    at_extensions = at_compressions + 1 + body[at_compressions]
    old = body[at_extensions + 2:]
    new = b"".join(kind.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data for kind, data in extra) + old
    body[at_extensions:] = len(new).to_bytes(2, "big") + new
    message = b"\x01" + len(body).to_bytes(3, "big") + bytes(body)
    return records(message, 1 << 14)


def records(message, most):
    """A handshake message in records of so many bytes."""
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
                    for part in (message[n:n + most] for n in range(0, len(message), most)))


class OnePort(GatewayCase):
    """One port with all three kinds of listeners."""

    limit_seconds = 60

    @classmethod
    def make(cls):
        def keep(connection, server):
            server.heads.append(connection.recv(1 << 16))
        cls.passed = Server(named("passed"), tls=tls.server_context(PASSED))
        cls.ended = Server(named("ended"))
        cls.raw = Server(keep)
        cls.addClassCleanup(lambda: [server.close() for server in (cls.passed, cls.ended, cls.raw)])
        return gw.Gateway(
            gateway_class(),
            gateway([passthrough("pass", 8443, "passed.example"), passthrough("raw", 8443, "raw.example"),
                     listener("end", 8443, "TLS", "ended.example", ["ended"]),
                     listener("none", 8443, "TLS", "none.example", ["ended"]),
                     passthrough("nowhere", 8443, "*.nowhere.example"),
                     listener("https", 8443, "HTTPS", "web.example", ["web"])]),
            secret("ended", *ENDED), secret("web", *WEB), *app("passed", cls.passed), *app("ended", cls.ended),
            *app("raw", cls.raw), *app("app", cls.backend("app")),
            tls_route("pass", ["passed.example"], ["passed"], at("pass")),
            tls_route("raw", ["raw.example"], ["raw"], at("raw")),
            tls_route("end", ["ended.example"], ["ended"], at("end")),
            route("web", hostnames=["web.example"], parents=at("https")))

    def test_each_name_gets_what_its_listener_says(self):
        for name, pair, line in (("passed.example", PASSED, b"passed"), ("ended.example", ENDED, b"ended")):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = tls.client_context(minimum=version, maximum=version)
                with self.subTest(f"{name} {version}"), shaken(self.gateway.port(8443), name, context) as client:
                    self.assertEqual(client.getpeercert(True), tls.der(pair[0]))
                    self.assertEqual(read_line(client), line)
                    client.sendall(b"ping")
                    self.assertEqual(read_exactly(client, 4), b"ping")
        got = ask(self.gateway.port(8443), tls=tls.client_context(), sni="web.example", host="web.example")
        self.assertEqual((got.status, got.body), (200, b"app"))

    def test_any_protocol_may_be_spoken_inside(self):
        for alpn in (["mqtt"], ["h2"], ["http/1.1", "x"]):
            context = tls.client_context(alpn=alpn)
            with self.subTest(alpn), shaken(self.gateway.port(8443), "ended.example", context) as client:
                self.assertEqual((client.selected_alpn_protocol(), read_line(client)), (None, b"ended"))

    def test_names_are_compared_without_case(self):
        for name in ("PASSED.example", "Passed.EXAMPLE"):
            with shaken(self.gateway.port(8443), name) as client:
                self.assertEqual(read_line(client), b"passed")

    def test_a_name_that_nothing_serves_is_closed_without_an_alert(self):
        # Nobody here speaks TLS for it; the official suite takes an alert for an answer.
        for name in ("other.example", "a.nowhere.example"):
            with self.subTest(name):
                self.assertEqual(failure(self.gateway.port(8443), name), "closed")

    def test_a_name_of_ours_without_a_route_gets_an_alert(self):
        for name in ("none.example", None):  # without a name: the first listener by its key, which ends TLS
            with self.subTest(name):
                self.assertEqual(failure(self.gateway.port(8443), name), "TLSV1_UNRECOGNIZED_NAME")

    def test_a_client_hello_may_come_in_single_bytes_and_in_many_records(self):
        for cut in (None, 1, 7, 300):
            session, incoming, outgoing = hello("passed.example")
            sent = outgoing.read()
            if cut:
                sent = records(sent[5:], cut)
            with self.subTest(cut), connect(self.gateway.port(8443)) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for n in range(0, len(sent), 1 if cut is None else len(sent)):
                    client.sendall(sent[n:n + 1] if cut is None else sent)
                self.assertEqual(self.finish(client, session, incoming, outgoing), b"passed\n")

    def test_the_same_for_tls_that_we_end(self):
        session, incoming, outgoing = hello("ended.example")
        sent = records(outgoing.read()[5:], 5)
        with connect(self.gateway.port(8443)) as client:
            for n in range(0, len(sent), 3):
                client.sendall(sent[n:n + 3])
            self.assertEqual(self.finish(client, session, incoming, outgoing), b"ended\n")

    @staticmethod
    def finish(client, session, incoming, outgoing):
        """Ends a handshake over memory, and reads a line."""
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    client.sendall(outgoing.read())
                incoming.write(client.recv(1 << 16))
        client.sendall(outgoing.read())
        line = b""
        while not line.endswith(b"\n"):
            try:
                line += session.read(100)
            except ssl.SSLWantReadError:
                incoming.write(client.recv(1 << 16))
        return line

    def test_the_backend_gets_the_bytes_as_they_were_sent(self):
        _, _, outgoing = hello("raw.example", alpn=["h2", "acme-tls/1"])
        plain = outgoing.read()
        grease = with_extensions(plain, (0x1A1A, b""), (0xFE0D, b"e" * 200), (0xFAFA, b"x"))
        for sent in (plain, grease, records(plain[5:], 100), plain + b"\x17\x03\x03\x00\x05early"):
            with self.subTest(len(sent)), connect(self.gateway.port(8443)) as client:
                before = len(self.raw.heads)
                client.sendall(sent)
                until(lambda: len(self.raw.heads) > before)
                self.assertEqual(self.raw.heads[-1], sent)

    def test_what_is_no_client_hello_is_refused_and_reaches_nobody(self):
        _, _, outgoing = hello("raw.example")
        plain = outgoing.read()
        name = plain.index(b"raw.example")
        twice = with_extensions(plain, (0, b"\x00\x0e\x00\x00\x0braw.example"))
        taken = self.raw.taken
        for what, sent in (("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ("zeros", bytes(100)),
                           ("two names", twice), ("a NUL in its name", plain[:name] + b"\0" + plain[name + 1:]),
                           ("too long", b"\x16\x03\x01\x40\x00\x01\x01\x00\x00")):
            with self.subTest(what), connect(self.gateway.port(8443)) as client:
                client.sendall(sent)
                got = b""
                with contextlib.suppress(ConnectionResetError):
                    while part := client.recv(1000):
                        got += part
                self.assertLess(len(got), 20)
        self.assertEqual(self.raw.taken, taken)

    def test_half_ends_pass_through_tls_that_we_end(self):
        with shaken(self.gateway.port(8443), "ended.example") as client:
            self.assertEqual(read_line(client), b"ended")
            client.sendall(b"last")
            self.assertEqual(read_exactly(client, 4), b"last")
            raw = client.unwrap()  # close_notify both ways: the other one comes when the backend has ended
            raw.close()

    def test_an_end_without_close_notify_is_passed_on_as_an_end(self):
        server, ended = self.ended, threading.Event()

        def until_end(connection, _):
            if connection.recv(4) == b"last" and connection.recv(1) == b"":
                ended.set()
        kept, server.handler = server.handler, until_end
        try:
            with shaken(self.gateway.port(8443), "ended.example") as client:
                client.sendall(b"last")
                client.shutdown(socket.SHUT_WR)  # of the socket alone
                self.assertTrue(ended.wait(10))
        finally:
            server.handler = kept

    def test_large_transfers_both_ways_through_both_kinds(self):
        data = b"0123456789abcdef" * (1 << 18)  # 4 MiB
        for name, line in (("passed.example", b"passed"), ("ended.example", b"ended")):
            with self.subTest(name), shaken(self.gateway.port(8443), name) as client:
                self.assertEqual(read_line(client), line)
                sender = threading.Thread(target=client.sendall, args=(data,), daemon=True)
                sender.start()
                got = bytearray()
                while len(got) < len(data):
                    got += client.recv(1 << 16)
                self.assertTrue(bytes(got) == data)
                sender.join()


class Slow(Case):
    """Time limits and changes."""

    limit_seconds = 60

    def start(self, **kwargs):
        """A gateway with one listener that passes through."""
        self.server = self.use(Server(named("passed"), tls=tls.server_context(PASSED)))
        self.gateway = self.use(gw.Gateway(gateway_class(), gateway([passthrough()]), *app("app", self.server),
                                           tls_route(hostnames=["*.example"]), **kwargs))
        return self.gateway.port(8443)

    def test_a_client_hello_that_drips_is_cut_in_time(self):
        port = self.start(settings={"timeouts": {"handshake": "500ms"}})
        _, _, outgoing = hello("a.example")
        sent = outgoing.read()
        with connect(port) as client:
            begin = time.monotonic()
            client.settimeout(0.02)
            with contextlib.suppress(ConnectionError):
                for n in range(len(sent)):
                    client.sendall(sent[n:n + 1])
                    with contextlib.suppress(TimeoutError):
                        self.assertEqual(client.recv(1), b"")
                        break
            self.assertLess(time.monotonic() - begin, 3 * patience())
        self.assertEqual(self.server.taken, 0)

    def test_a_listener_that_changes_from_ending_to_passing_keeps_its_connections(self):
        ended = self.use(Server(named("ended")))
        self.server = self.use(Server(named("passed"), tls=tls.server_context(PASSED)))
        self.gateway = self.use(gw.Gateway(
            gateway_class(), gateway([listener("tls", 8443, "TLS", None, ["cert"])]), secret("cert", *ENDED),
            *app("ended", ended), *app("app", self.server), tls_route(hostnames=["*.example"], backends=["ended"])))
        port = self.gateway.port(8443)
        with shaken(port, "a.example") as client:
            self.assertEqual(read_line(client), b"ended")
            self.gateway.apply(gateway([passthrough("tls")]), tls_route(hostnames=["*.example"]))
            until(lambda: self.certificate(port) == tls.der(PASSED[0]))
            client.sendall(b"still")
            self.assertEqual(read_exactly(client, 5), b"still")

    @staticmethod
    def certificate(port):
        """What a new connection is shown."""
        with shaken(port, "a.example") as client:
            return client.getpeercert(True)

    def test_the_most_specific_name_wins_and_edits_fail_nobody(self):
        servers = {n: self.use(Server(named(n), tls=tls.server_context(PASSED))) for n in ("any", "exact")}
        self.gateway = self.use(gw.Gateway(
            gateway_class(), gateway([passthrough()]), *[app(n, server) for n, server in servers.items()],
            tls_route("any", ["*.example"], ["any"]), tls_route("exact", ["a.example"], ["exact"]), workers=2))
        port = self.gateway.port(8443)
        for name, line in (("a.example", b"exact"), ("b.example", b"any"), ("x.a.example", b"any")):
            with shaken(port, name) as client:
                self.assertEqual(read_line(client), line)
        failures, stop = [], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    with shaken(port, "b.example") as client:
                        if read_line(client) not in (b"any", b"exact"):
                            raise ConnectionError("somebody else")
                except OSError as error:
                    failures.append(repr(error))
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        for n in range(30):
            self.gateway.apply(tls_route("any", ["*.example"], ["exact" if n % 2 else "any"]))
            time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_weights_hold_for_names(self):
        servers = {n: self.use(Server(named(n), tls=tls.server_context(PASSED))) for n in ("a", "b")}
        self.gateway = self.use(gw.Gateway(
            gateway_class(), gateway([passthrough()]), *[app(n, server) for n, server in servers.items()],
            tls_route(backends=[backend_ref("a", weight=0), backend_ref("b", weight=1)])))
        for _ in range(10):
            with shaken(self.gateway.port(8443), "a.example") as client:
                self.assertEqual(read_line(client), b"b")

    def test_connections_live_through_an_upgrade_in_place(self):
        successor.adopt_orphans()
        port = self.start(settings={"drain": {"deadline": "20s"}})
        with shaken(port, "a.example") as client:
            self.assertEqual(read_line(client), b"passed")
            old = successor.upgrade(self.gateway)
            client.sendall(b"still")
            self.assertEqual(read_exactly(client, 5), b"still")
            with shaken(port, "b.example") as other:
                self.assertEqual(read_line(other), b"passed")
        self.assertEqual(old.wait(30 * patience()), 0)


if __name__ == "__main__":
    unittest.main()
