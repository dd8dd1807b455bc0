# SPDX-License-Identifier: Apache-2.0
"""The access log: what it says, and that it never holds up a request."""
import json
import os
import signal
import time
import unittest

from harness import gateway as gw
from harness.backend import Backend, answer
from harness.case import Case, patience, until
from harness.client import Client, ask


class AccessLog(Case):
    def start(self, **log):
        """A gateway with such an access log; {folder} in a path is its own."""
        self.app = self.use(Backend("app"))
        process = gw.simple(self.app, start=False)
        self.path = os.path.join(process.folder, "access.log")
        if log.pop("file", False):
            log["path"] = self.path
        process.access_log = log
        self.gateway = self.use(process).start()
        return self.gateway.port()

    def lines(self):
        """Lines of the log file so far."""
        with open(self.path, encoding="utf-8") as file:
            return file.read().splitlines()

    def test_json_lines_have_what_an_operator_asks_for(self):
        port = self.start(format="json", file=True)
        self.app.handler = lambda r: answer(404, "gone")
        ask(port, "POST", "/a?b=c", body=b"12345", fields=[("User-Agent", 'me "and" you\\')])
        entry = json.loads(until(self.lines)[0])
        for value in ("POST", "/a?b=c", 404, "127.0.0.1", "example.com", 5, 4, f"127.0.0.1:{self.app.port}",
                      'me "and" you\\', "default/route"):
            self.assertIn(value, list(entry.values()), f"{value!r} is not in {entry}")

    def test_text_lines_are_one_line_each_whatever_the_client_sends(self):
        port = self.start(format="text", file=True)
        ask(port, "GET", "/x", fields=[("User-Agent", "evil\xff\xfe \"quoted\"")], host="h")
        line = until(self.lines)
        self.assertEqual(len(line), 1)
        self.assertIn("/x", line[0])
        self.assertTrue(line[0].isascii())

    def test_every_answer_of_our_own_is_there_with_its_reason(self):
        port = self.start(format="json", file=True)
        with Client(port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            client.response()
        entry = json.loads(until(self.lines)[0])
        self.assertIn(400, entry.values())

    def test_standard_output_is_the_default(self):
        port = self.start(format="json")
        ask(port, "GET", "/on-stdout")
        until(lambda: "/on-stdout" in self.gateway.logs())

    def test_reopen_after_a_rotation(self):
        port = self.start(format="text", file=True)
        ask(port, "GET", "/before")
        until(self.lines)
        os.rename(self.path, self.path + ".1")
        self.gateway.process.send_signal(signal.SIGUSR1)
        until(lambda: os.path.exists(self.path))
        ask(port, "GET", "/after")
        until(lambda: any("/after" in line for line in self.lines()))
        with open(self.path + ".1", encoding="utf-8") as file:
            self.assertNotIn("/after", file.read())

    def test_a_full_pipe_never_blocks_a_request_and_losses_are_counted(self):
        self.app = self.use(Backend("app"))
        process = gw.simple(self.app, start=False)
        process.access_log = {"format": "json"}
        fifo = os.path.join(process.folder, "fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        process.out_file = fifo
        self.gateway = self.use(process).start()
        self.addCleanup(setattr, process, "out_file", os.devnull)  # nobody reads the pipe to its end
        with Client(self.gateway.port()) as client:
            slowest = 0
            for n in range(8000):
                begin = time.monotonic()
                client.request("GET", "/" + "x" * 500)
                self.assertEqual(client.response().status, 200)
                slowest = max(slowest, time.monotonic() - begin)
        self.assertLess(slowest, 0.5 * patience())
        self.assertGreater(until(lambda: self._dropped(), 5), 0)

    def _dropped(self):
        return sum(v for k, v in self.gateway.metrics().items() if "log" in k and "drop" in k)

    def test_a_closed_pipe_and_a_full_disk_harm_nobody(self):
        for path in ("/dev/full", "closed"):
            with self.subTest(path):
                backend = self.use(Backend("app"))
                process = gw.simple(backend, start=False)
                process.access_log = {"format": "json"}
                if path == "closed":
                    fifo = os.path.join(process.folder, "fifo")
                    os.mkfifo(fifo)
                    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
                    process.out_file = fifo
                else:
                    process.access_log["path"] = path
                process.start()
                try:
                    self.assertEqual(ask(process.port()).status, 200)
                    if path == "closed":
                        os.close(reader)
                    for _ in range(50):
                        self.assertEqual(ask(process.port()).status, 200)
                    process.out_file = os.devnull
                finally:
                    process.stop()

    def test_off_means_off(self):
        port = self.start(format="off", file=True)
        ask(port, "GET", "/nothing-of-this")
        time.sleep(0.3)
        self.assertFalse(os.path.exists(self.path) and self.lines())
        self.assertNotIn("/nothing-of-this", self.gateway.logs())


if __name__ == "__main__":
    unittest.main()
