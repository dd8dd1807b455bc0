# SPDX-License-Identifier: Apache-2.0
"""The harness itself: its reader refuses what it has to, or no other test here would mean anything."""
import os
import shutil
import tempfile
import unittest
from unittest import mock

from harness import wire
from harness.backend import Backend, answer, chunked
from harness.case import Case
from harness.client import Client
from harness.gateway import Gateway


def reader(data):
    parts = [data]
    return wire.Reader(lambda: parts.pop() if parts else b"")


class StrictReader(Case):
    def test_whole_messages_are_read(self):
        request = wire.read_request(reader(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"))
        self.assertEqual((request.method, request.target, request.body), ("POST", "/a", b"hi"))
        response = wire.read_response(reader(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunked([b"ab", b"c"], [("X-T", "1")])))
        self.assertEqual((response.body, response.trailers, len(response.interim)),
                         (b"abc", [("X-T", "1")], 1))

    def test_what_two_readers_could_understand_differently_is_an_error(self):
        head = b"POST / HTTP/1.1\r\nHost: x\r\n"
        for name, data in {
            "both framings": head + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "two lengths": head + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "length list": head + b"Content-Length: 1, 1\r\n\r\nx",
            "signed length": head + b"Content-Length: +1\r\n\r\nx",
            "other coding": head + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "coding list": head + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "bare LF": b"GET / HTTP/1.1\nHost: x\r\n\r\n",
            "bare CR": b"GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n",
            "fold": b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
            "space before colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "NUL": b"GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
            "no Host": b"GET / HTTP/1.1\r\n\r\n",
            "two Hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "absolute form": b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "two spaces": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
            "chunk extension": head + b"Transfer-Encoding: chunked\r\n\r\n0;a=b\r\n\r\n",
            "chunk size with 0x": head + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
            "junk after chunk": head + b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
            "LF in chunk": head + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        }.items():
            with self.subTest(name), self.assertRaises(wire.Ambiguous):
                wire.read_request(reader(data))

    def test_a_cut_message_is_truncated_not_complete(self):
        for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                     b"HTTP/1.1 200 OK\r\nX: y\r\n"):
            with self.subTest(data), self.assertRaises(wire.Truncated):
                wire.read_response(reader(data))


class ScriptedBackend(Case):
    def test_it_records_ambiguous_bytes(self):
        backend = self.use(Backend())
        with Client(backend.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
            self.assertEqual(client.read_some(), b"")
        self.assertEqual(len(backend.ambiguous), 1)

    def test_it_answers_and_keeps_the_connection(self):
        backend = self.use(Backend(handler=lambda request: answer(200, request.target)))
        with Client(backend.port) as client:
            self.assertEqual(client.ask("GET", "/1").body, b"/1")
            self.assertEqual(client.ask("GET", "/2").body, b"/2")
        self.assertEqual(len(backend.connections), 1)


class FailingProcess(Case):
    """What a process says or how it ends must not go unseen."""

    def run_fake(self, script):
        """A Gateway around a program that serves nothing; stop() has to object."""
        folder = tempfile.mkdtemp(prefix="hw-fake-")
        self.addCleanup(shutil.rmtree, folder)
        program = os.path.join(folder, "fake")
        with open(program, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(program, 0o755)
        with mock.patch.dict(os.environ, {"HYPERWAY_BIN": program}):
            gateway = Gateway(ready=False)
            gateway.process.wait(10)
            gateway.stop()

    def test_a_report_of_a_sanitizer_fails_the_test(self):
        for report in ("==1==ERROR: AddressSanitizer: heap-use-after-free", "a.cpp:1:2: runtime error: overflow",
                       "WARNING: ThreadSanitizer: data race", "==1==ERROR: LeakSanitizer: detected memory leaks"):
            with self.subTest(report), self.assertRaisesRegex(AssertionError, "reports"):
                self.run_fake(f"echo '{report}' >&2; exit 0\n")

    def test_an_exit_code_fails_the_test(self):
        with self.assertRaisesRegex(AssertionError, "exit code 3"):
            self.run_fake("exit 3\n")

    def test_a_clean_end_passes(self):
        self.run_fake("exit 0\n")


if __name__ == "__main__":
    unittest.main()
