# SPDX-License-Identifier: Apache-2.0
"""A thousand Secrets that are followed one by one, by name: every one is read, no change waits, and what they share
is shared out: the streams of a connection, and the polls of their kind."""
import re
import socket
import time
import unittest

from harness import gateway as gw
from harness import tls
from harness.backend import Backend
from harness.case import Case, until
from harness.client import ask
from harness.kubernetes import Kubernetes
from harness.manifests import app, gateway, gateway_class, listener, route, secret
from harness.ports import free_port

FIRST, SECOND = tls.self_signed("a.example.com"), tls.self_signed("b.example.com")
NAMES = 1000
STREAMS = 20


class ManyNames(Case):
    limit_seconds = 120

    def start(self, count, poll_seconds, streams=100):
        """A gateway with so many certificates, each of a listener of its own."""
        self.cluster = self.use(Kubernetes())
        self.cluster.streams = streams
        self.plain, self.secure = free_port(), free_port()
        listeners = [listener(port=self.plain)]
        for i in range(count):
            listeners.append(listener(f"s{i}", self.secure, "HTTPS", f"s{i}.example.com", [f"s{i}"]))
            self.cluster.apply(secret(f"s{i}", *FIRST))
        self.cluster.apply(gateway_class(), gateway(listeners), *app("app", self.use(Backend("app"))),
                           route(hostnames=["a.example.com"]))
        source = {"plugin": "k8s_source", "config": {"kubeconfig": self.cluster.kubeconfig,
                                                     "poll_seconds": poll_seconds}}
        ports = {port: port for port in (self.plain, self.secure)}
        self.process = self.use(gw.Gateway(listen=ports, settings={"sources": [source]}, ready=False))
        self.process.wait_ready(60)  # the server that a thousand names are asked of is Python

    def shows(self, i):
        """The certificate of listener `i`."""
        with socket.create_connection(("127.0.0.1", self.secure), timeout=5) as plain:
            with tls.client_context().wrap_socket(plain, server_hostname=f"s{i}.example.com") as secure:
                return secure.getpeercert(True)

    def asked(self, what):
        """How often each Secret was asked for: "limit" for lists, "watch" for watches."""
        with self.cluster.lock:
            return [path for method, path in self.cluster.requests
                    if re.search(r"/secrets\?fieldSelector=metadata.name%3Ds\d+&" + what, path)]

    def add(self, name, **how):
        """One more route, under NAME.example.com."""
        self.cluster.apply(route(name=name, hostnames=[f"{name}.example.com"]), **how)

    def test_a_thousand_secrets_find_room_where_a_connection_has_twenty_streams(self):
        self.start(NAMES, poll_seconds=3600, streams=STREAMS)
        for i in range(0, NAMES, 111):
            self.assertEqual(self.shows(i), tls.der(FIRST[0]))
        self.assertEqual(len(self.asked("limit")), NAMES)
        until(lambda: len(self.cluster.watches) >= NAMES, 5)
        with self.cluster.lock:
            self.assertGreaterEqual(len(self.cluster.connections), NAMES // STREAMS)
        # Nobody was told to wait, and asked once more.
        self.assertEqual(len(self.asked("watch")), NAMES)
        for i in (0, NAMES // 2, NAMES - 1):
            self.cluster.apply(secret(f"s{i}", *SECOND))
            until(lambda i=i: self.shows(i) == tls.der(SECOND[0]), 2)
        # Requests have their own connection: what is read and written beside the watches waits for none of them.
        self.add("more")
        until(lambda: ask(self.plain, host="more.example.com").body == b"app", 2)
        until(lambda: self.cluster.status("HTTPRoute", "more").get("parents"), 2)
        until(lambda: all(c["status"] == "True" for each in self.cluster.status("Gateway", "gw")["listeners"]
                          for c in each["conditions"] if c["type"] == "ResolvedRefs"), 5)

    def test_watches_that_were_cut_come_back_all_together(self):
        self.start(NAMES // 4, poll_seconds=3600, streams=STREAMS)
        until(lambda: len(self.cluster.watches) >= NAMES // 4, 5)
        self.cluster.cut()
        self.cluster.apply(secret("s7", *SECOND))
        until(lambda: self.shows(7) == tls.der(SECOND[0]), 5)
        self.assertEqual(len(self.asked("limit")), NAMES // 4)

    def test_polls_of_single_secrets_share_one_request_in_five_seconds(self):
        self.start(30, poll_seconds=1)
        self.assertEqual(self.shows(0), tls.der(FIRST[0]))
        # The watch misses all of these; the poll whose turn it is finds one.
        for i in range(30):
            self.cluster.apply(secret(f"s{i}", *SECOND), told=False)
        began, before = time.monotonic(), len(self.asked("limit"))
        until(lambda: len(self.asked("limit")) >= before + 3, 30)
        self.assertGreater(time.monotonic() - began, 9.5)
        until(lambda: any(self.shows(i) == tls.der(SECOND[0]) for i in range(30)))


if __name__ == "__main__":
    unittest.main()
