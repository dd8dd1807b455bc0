# SPDX-License-Identifier: Apache-2.0
"""The raw-byte corpora, through the real binary, judged by what exactly reached the other side.

corpus/requests.json: bytes of a client, and what a backend without leniency has to receive, or the
status of the refusal. corpus/responses.json: bytes of a backend, and what a client has to get.
"""
import json
import os
import unittest

from harness import gateway as gw
from harness import wire
from harness.backend import answer
from harness.case import GatewayCase
from harness.client import Client, ask

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def load(name):
    """The cases of one corpus."""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return json.load(file)


def raw(case):
    """The bytes of a case: each character of its text is one byte; parts may repeat."""
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    parts = case["bytes"] if isinstance(case["bytes"], list) else [case["bytes"]]
    return b"".join(p.encode("latin-1") if isinstance(p, str) else p["repeat"].encode("latin-1") * p["times"]
                    for p in parts)


class Requests(GatewayCase):
    limit_seconds = 300

    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app", handler=lambda r: answer(200, "ok", [("X-Backend", "yes")])),
                         settings={"timeouts": {"header": "5s", "idle": "5s", "body": "5s"}})

    def test_no_request_reaches_the_backend_in_two_readings(self):
        cases = load("requests.json")
        self.assertGreaterEqual(len(cases), 150)
        for case in cases:
            with self.subTest(case["name"], rule=case["rule"]):
                self.run_case(case)
        # Pooled connections are kept from case to case, so that poison would show.
        self.assertEqual(self.app.ambiguous, [])
        self.assertEqual(ask(self.port, "GET", "/after").body, b"ok")

    def complete(self):
        """Complete requests at the backend so far."""
        return [r for r in self.app.requests if r.complete]

    def run_case(self, case):
        """Sends the bytes and judges both ends."""
        expect, before = case["expect"], {id(r) for r in self.complete()}
        with Client(self.port, timeout=8) as client:
            try:
                client.send(raw(case))
                client.finish_sending()
            except OSError:
                pass  # Refused before all was sent.
            answers = self.answers(client)
        arrived = [r for r in self.complete() if id(r) not in before]
        statuses = [a.status for a in answers]
        wanted = expect.get("forward", [])
        self.assertEqual(len(arrived), expect["backend_messages"], f"at the backend: {arrived}, answers {statuses}")
        self.assertLessEqual(len(wanted), len(arrived))
        for want, got in zip(wanted, arrived):
            self.assertEqual(f"{got.method} {got.target} {got.version}", want["start"])
            self.assertEqual(got.body, want["body"].encode("latin-1"))
            for name, value in want["present"].items():
                self.assertEqual(got.all(name), [value], name)
            for name in want["absent"]:
                self.assertEqual(got.all(name), [], name)
        passed = [a for a in answers if a.has("x-backend")]
        refused = [a.status for a in answers if not a.has("x-backend")]
        self.assertEqual(len(passed), len(wanted), f"answers {statuses}")
        if "status" in expect:
            self.assertEqual(len(refused), 1, f"answers {statuses}")
            self.assertIn(refused[0], expect["status"])
        elif expect.get("incomplete"):
            self.assertTrue(all(s in (400, 408) for s in refused), refused)
        else:
            self.assertEqual(refused, [])

    def answers(self, client):
        """All answers of a connection, read strictly until the gateway closes."""
        out = []
        client.socket.settimeout(8)
        while True:
            while not client.reader.buffer:
                if not client.reader.fill():
                    return out
            out.append(wire.read_response(client.reader, "GET"))


class Responses(GatewayCase):
    limit_seconds = 300

    @classmethod
    def make(cls):
        return gw.simple(cls.backend("app", script=cls.serve),
                         settings={"timeouts": {"response": "5s"}})

    case = None

    @classmethod
    def serve(cls, connection):
        """/case gets the bytes of the case, everything else an ordinary answer."""
        while (request := connection.read_request()) is not None:
            if request.path != "/case":
                connection.send(answer(200, "probe"))
                continue
            connection.send(raw(cls.case))
            if cls.case["close"]:
                connection.close()
                return

    def test_no_answer_reaches_the_client_in_two_readings(self):
        cases = load("responses.json")
        self.assertGreaterEqual(len(cases), 40)
        for case in cases:
            with self.subTest(case["name"], rule=case["rule"]):
                self.run_case(case)

    def run_case(self, case):
        """Asks for the case, then probes whether that backend connection is used again."""
        type(self).case, expect = case, case["expect"]
        method, upgrade = case["request"]["method"], case["request"].get("upgrade")
        fields = [("Connection", "Upgrade"), ("Upgrade", upgrade), ("Sec-WebSocket-Key", "x"),
                  ("Sec-WebSocket-Version", "13")] if upgrade else []
        with Client(self.port, timeout=8) as client:
            client.request(method, "/case", fields=fields)
            try:
                got = client.response(method)
                body, whole = got.body, True
                if got.framing == "tunnel" and "forward" in expect:
                    body = client.reader.take(len(expect["forward"]["body"]))
            except wire.Truncated:
                got, whole = None, False
                body = bytes(client.reader.raw)
        self.judge(case, expect, got, body, whole)
        served = [c for c in self.app.connections if c.requests and c.requests[-1].path == "/case"]
        self.assertGreaterEqual(len(served), 1)
        before = [len(c.requests) for c in served]
        self.assertEqual(ask(self.port, "GET", "/probe").body, b"probe", "the next user got something else")
        reused = [len(c.requests) for c in served] != before
        self.assertEqual(reused, expect["reusable"])

    def judge(self, case, expect, got, body, whole):
        """Compares what the client got with what the case allows."""
        if "status" in expect:
            self.assertTrue(whole)
            self.assertIn(got.status, expect["status"])
            return
        want = expect["forward"]
        if not expect["complete"]:
            # Either refused as a whole, or visibly cut; never complete.
            if whole:
                self.assertEqual(got.status, 502)
            else:
                self.assertTrue(body == b"" or body.startswith(b"HTTP/1.1 200"), body)
            return
        self.assertTrue(whole, f"cut: {body!r}")
        self.assertEqual((got.status, body), (want["status"], want["body"].encode("latin-1")))
        for name, value in want["present"].items():
            self.assertEqual(got.all(name), [value], name)
        for name in want["absent"]:
            self.assertEqual(got.all(name), [], name)
        if "interim" in expect and got.interim:
            self.assertEqual([i.status for i in got.interim], expect["interim"])


if __name__ == "__main__":
    unittest.main()
