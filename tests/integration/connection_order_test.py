# SPDX-License-Identifier: Apache-2.0
"""What one client does to its connection harms neither the order of its own requests nor the process."""
import time
import unittest

from harness import gateway as gw
from harness import manifests
from harness.backend import answer
from harness.case import GatewayCase, patience
from harness.client import Client, ask


class Order(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"), settings={"timeouts": {"header": "1s", "write": "30s"}})

    def setUp(self):
        super().setUp()
        self.app.handler = lambda r: answer(200, r.target)

    def test_a_head_that_comes_too_late_on_a_used_connection_is_408(self):
        with Client(self.port) as client:
            self.assertEqual(client.ask("GET", "/first").body, b"/first")
            client.send("GET /late")
            late = client.response(timeout=10 * patience())
            self.assertEqual(late.status, 408)
            self.assertNotEqual(late.body, b"")
        self.assertEqual(ask(self.port).status, 200)

    def test_pipelined_requests_beyond_one_buffer_keep_their_order(self):
        paths = [f"/{number}/" + "x" * 90 for number in range(120)]  # about 16 KiB of heads
        with Client(self.port) as client:
            first = "POST /first HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc"
            client.send(first + "".join(f"GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n" for path in paths))
            self.assertEqual(client.response(timeout=20 * patience()).body, b"/first")
            for path in paths:
                self.assertEqual(client.response().body.decode(), path)

    def test_a_large_head_before_small_pipelined_ones_keeps_the_order(self):
        large = "GET /large HTTP/1.1\r\nHost: example.com\r\nX-Pad: " + "p" * 5000 + "\r\n\r\n"
        paths = [f"/{number}/" + "y" * 90 for number in range(60)]
        with Client(self.port) as client:
            client.send(large + "".join(f"GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n" for path in paths))
            self.assertEqual(client.response(timeout=20 * patience()).body, b"/large")
            for path in paths:
                self.assertEqual(client.response().body.decode(), path)

    def test_a_body_behind_an_early_answer_to_a_client_that_reads_nothing(self):
        self.app.handler = lambda r: answer(200, "z" * 4_000_000)
        with Client(self.port, receive_buffer=4096) as client:
            client.request("GET", "/big")
            time.sleep(0.3)
            client.request("POST", "/", host="unknown host", body=b"refused as a whole")
            client.request("GET", "/big")
            time.sleep(0.3)
        self.app.handler = lambda r: answer(200, "alive")
        self.assertEqual(ask(self.port).body, b"alive")

    def test_answers_that_nobody_reads_do_not_pile_up(self):
        self.app.handler = lambda r: answer(200, "z" * 60_000)
        with Client(self.port, receive_buffer=4096) as client:
            client.send("GET /n HTTP/1.1\r\nHost: example.com\r\n\r\n" * 2000)
            time.sleep(1)
            # What the kernel's buffers take, and then no more: 2,000 answers are 120 MB.
            self.assertLess(len([r for r in self.app.requests if r.target == "/n"]), 400)
        self.assertEqual(ask(self.port).status, 200)


class Surplus(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"))

    def test_bytes_behind_an_answer_never_answer_the_next_request(self):
        evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        # Answers that end where a read of ours may end: the head's buffer, the read buffer, a spliced body.
        for size in (4096, 4096 + 65536, 1_000_000):
            with self.subTest(size=size):
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {size:09d}\r\n\r\n".encode()
                body = b"x" * (size - len(head))
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body):09d}\r\n\r\n".encode()
                self.app.handler = lambda r, whole=head + body + evil: whole
                self.assertEqual(len(ask(self.port).body), len(body))
                self.app.handler = lambda r: answer(200, "good")
                for _ in range(3):
                    self.assertEqual(ask(self.port).body, b"good")


class Protocol(GatewayCase):
    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app"))

    def test_nothing_is_served_in_plain_text_behind_a_bad_change(self):
        self.assertEqual(ask(self.port).status, 200)
        changed = manifests.gateway()
        changed["spec"]["listeners"][0]["protocol"] = "HTTPS"
        changed["spec"]["listeners"][0]["tls"] = {"certificateRefs": [{"name": "absent"}]}
        self.gateway.apply(changed)
        deadline = time.monotonic() + 5 * patience()
        while time.monotonic() < deadline:
            try:
                if ask(self.port).status != 200:
                    return
            except (OSError, AssertionError, ValueError):
                return
            time.sleep(0.05)
        self.fail("still served in plain text")


if __name__ == "__main__":
    unittest.main()
