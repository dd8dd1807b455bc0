# SPDX-License-Identifier: Apache-2.0
"""What is measured, and what has to come out.

Kinds: lg is a closed loop, rate an open one, bulk moves 100 MiB bodies, h2 uses h2load, mem holds
idle connections.
"""
from dataclasses import dataclass, field


@dataclass
class Route:
    """One route of a proxy's table; all lead to the same backend."""

    host: str = None  # None: any host
    prefix: str = "/"
    header: tuple = None  # (name, exact value) that must match
    rewrite: str = None  # replacement of the prefix, with its trailing slash
    add: dict = field(default_factory=dict)  # request headers set
    remove: list = field(default_factory=list)  # request headers removed
    radd: dict = field(default_factory=dict)  # response headers set


@dataclass
class Spec:
    """What a proxy is configured for."""

    port: int
    tls_port: int
    backend: int
    cert: str
    key: str
    workers: int = 1
    routes: list = field(default_factory=lambda: [Route()])
    flow: str = ""  # "tcp": port leads to backend without HTTP; "pass": tls_port to tls_backend, by the ClientHello's name
    tls_backend: int = 0


@dataclass
class Scenario:
    """One line of the tables."""

    what: str
    kind: str
    args: list = field(default_factory=list)  # of lg
    routes: int = 0  # 0: one route for everything
    filters: bool = False  # the route of S8
    tls: bool = False
    rate: int = 0
    cap: int = 400000  # requests at most
    namespace: bool = False  # in a network namespace of its own, under reno
    h2: tuple = ()  # connections, streams
    flow: str = ""  # as in Spec


S8_HEADERS = [
    "x-tenant: blue", "x-rm1: aaaa", "x-rm2: bbbb",
    "cookie: session=0123456789abcdef0123456789abcdef", "accept-language: en-US,en;q=0.9",
    "x-forwarded-for: 203.0.113.9", "referer: https://www.example.test/a/b"]
S8_ROUTE = Route(
    prefix="/api/", header=("x-tenant", "blue"), rewrite="/v1/",
    add={"x-add1": "one", "x-add2": "two"}, remove=["x-rm1", "x-rm2"], radd={"x-resp": "yes"})
S8_ARGS = ["-c", "64", "-b", "/api/x/"] + [word for h in S8_HEADERS for word in ("-a", h)]

SCENARIOS = {
    "S1": Scenario("HTTP/1.1 keep-alive, 64 connections, 1 KiB", "lg", ["-c", "64"]),
    "S1r": Scenario("the same at a fixed 4,000 requests a second", "rate", ["-c", "64"], rate=4000),
    "S2": Scenario("TLS 1.3 keep-alive (ECDSA P-256, AES-128-GCM), 64 connections, 1 KiB", "lg",
                   ["-c", "64", "-t"], tls=True),
    "S3": Scenario("HTTP/2 over TLS to HTTP/1.1, h2load -c 8 -m 32, 1 KiB", "h2", tls=True,
                   h2=(8, 32)),
    "S4": Scenario("a new TCP connection per request, 32 at once", "lg", ["-c", "32", "-x"],
                   cap=40000),
    "S5": Scenario("a new TLS handshake per request (no resumption), 16 at once", "lg",
                   ["-c", "16", "-x", "-t"], tls=True, cap=6000),
    "S6d": Scenario("100 MiB downloads, 4 at once, reno", "bulk", ["-c", "4", "-P", "100m"],
                    namespace=True),
    "S6u": Scenario("100 MiB uploads, 4 at once, reno", "bulk",
                    ["-c", "4", "-P", "0", "-u", str(100 << 20)], namespace=True),
    "TCPd": Scenario("TCP relay: 100 MiB downloads, 4 at once, reno", "bulk", ["-c", "4", "-P", "100m"],
                     namespace=True, flow="tcp"),
    "TCPu": Scenario("TCP relay: 100 MiB uploads, 4 at once, reno", "bulk",
                     ["-c", "4", "-P", "0", "-u", str(100 << 20)], namespace=True, flow="tcp"),
    "TLSd": Scenario("TLS passthrough by SNI: 100 MiB downloads, 4 at once, reno", "bulk",
                     ["-c", "4", "-t", "-P", "100m"], tls=True, namespace=True, flow="pass"),
    "TLSu": Scenario("TLS passthrough by SNI: 100 MiB uploads, 4 at once, reno", "bulk",
                     ["-c", "4", "-t", "-P", "0", "-u", str(100 << 20)], tls=True, namespace=True, flow="pass"),
    "S7-10": Scenario("10 routes (host + prefix each), 64 connections over them", "lg",
                      ["-c", "64", "-r", "10"], routes=10),
    "S7-1000": Scenario("1,000 routes, 64 of them asked for", "lg", ["-c", "64", "-r", "1000"],
                        routes=1000),
    "S7-10000": Scenario("10,000 routes, 64 of them asked for", "lg", ["-c", "64", "-r", "10000"],
                         routes=10000),
    "S7w-10": Scenario("10 routes, each connection goes round all", "lg",
                       ["-c", "64", "-r", "10", "-w"], routes=10),
    "S7w-10000": Scenario("10,000 routes, each connection goes round all", "lg",
                          ["-c", "64", "-r", "10000", "-w"], routes=10000),
    "S8": Scenario("header match + 2 request headers set, 2 removed, 1 response header set, "
                   "prefix rewritten", "lg", S8_ARGS, filters=True),
    "SM": Scenario("memory: PSS idle and with idle keep-alive connections, each after one request",
                   "mem"),
    "SMt": Scenario("memory, TLS connections", "mem", tls=True),
}
# S7 is compared with ourselves: paired.py.
DEFAULT = ["S1", "S2", "S3", "S4", "S5", "S8", "S6d", "S6u", "TCPd", "TCPu", "TLSd", "TLSu", "SM", "SMt"]
DEFAULT_TWO = ["S1", "S2", "S4", "S8"]  # with two workers


@dataclass
class Limit:
    """A line that has to hold: figure of ours, divided by that of another, is at most `most`."""

    scenario: str
    figure: str  # a key of a measured row
    most: float
    against: str = "best"  # best peer; one driver's name, or how it begins and "*"; another scenario; "" absolute
    unit: str = ""
    workers: int = 0  # 0: any number


LIMITS = [
    Limit("S1", "cpu_us", 0.85, workers=1), Limit("S2", "cpu_us", 0.90, workers=1), Limit("S3", "cpu_us", 0.95),
    Limit("S5", "cpu_us", 1.0), Limit("S8", "cpu_us", 0.85, workers=1),
    Limit("S1", "cpu_us", 0.95, workers=2), Limit("S2", "cpu_us", 0.95, workers=2), Limit("S8", "cpu_us", 0.95, workers=2),
    Limit("S4", "cpu_us", 1.0, workers=1),  # with two: paired.py
    Limit("S6d", "cpu_s_per_gib", 0.65, "nginx-new"),
    Limit("S6u", "cpu_s_per_gib", 0.65, "nginx-new"),
    Limit("TCPd", "cpu_s_per_gib", 1.0, "haproxy*"), Limit("TCPu", "cpu_s_per_gib", 1.0, "haproxy*"),
    Limit("TLSd", "cpu_s_per_gib", 1.0, "haproxy*"), Limit("TLSu", "cpu_s_per_gib", 1.0, "haproxy*"),
    Limit("SM", "bytes_per_connection", 1.0, "nginx*"),
    Limit("SMt", "bytes_per_connection", 1.0, "nginx*"),
    Limit("SM", "idle_mib", 20, "", "MiB"),
]


def table(count):
    """`count` routes, each with a host and a prefix of its own."""
    return [Route(host=f"h{i}.bench.test", prefix=f"/p{i}/") for i in range(count)]


def routes_of(scenario):
    """The route table that a scenario wants."""
    if scenario.filters:
        return [S8_ROUTE]
    return table(scenario.routes) if scenario.routes else [Route()]
