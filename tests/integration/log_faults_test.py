# SPDX-License-Identifier: Apache-2.0
"""The process log meets a full disk, a closed pipe and a pipe that nobody reads: nobody waits, nobody ends."""
import os
import tempfile
import time
import unittest

from harness import gateway as gw
from harness.backend import Backend
from harness.case import Case, patience, until
from harness.client import Client, ask
from harness.manifests import route


class ProcessLog(Case):
    def start(self, path=None, error=None):
        """A gateway whose process log goes to a file or to a descriptor, and that has much to say."""
        self.app = self.use(Backend("app"))
        process = gw.simple(self.app, start=False, settings={"log": {"level": "debug", **({"path": path} if path else {})}})
        if error is not None:
            process.log_file = error
        self.gateway = self.use(process).start()
        return self.gateway.port()

    def pipe(self):
        """A named pipe, and the descriptor that reads it."""
        folder = self.use(tempfile.TemporaryDirectory(prefix="hw-log-"))
        fifo = os.path.join(folder, "fifo")
        os.mkfifo(fifo)
        return fifo, os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def chatter(self, count):
        """Each broken manifest is told in the log; requests go on meanwhile."""
        slowest = 0
        with Client(self.gateway.port()) as client:
            for n in range(count):
                self.gateway.write(f"broken-{n % 20}.yaml", f"kind: [{'x' * 4000}{n}\n")
                begin = time.monotonic()
                self.assertEqual(client.ask("GET", "/").status, 200)
                slowest = max(slowest, time.monotonic() - begin)
        self.assertLess(slowest, 0.5 * patience())

    def serves_changes(self):
        """It still does its work."""
        self.gateway.apply(route("late", hostnames=["late.example"]))
        until(lambda: ask(self.gateway.port(), host="late.example").status == 200)
        self.assertEqual(self.gateway.ask_admin("/healthz").status, 200)

    def test_a_full_disk_loses_lines_and_nothing_else(self):
        self.start(path="/dev/full")
        self.chatter(50)
        self.serves_changes()
        until(lambda: self.gateway.metric("hyperway_process_log_dropped_total") > 0, message="losses are counted")

    def test_a_closed_pipe_harms_nobody(self):
        fifo, reader = self.pipe()
        self.start(error=fifo)
        os.close(reader)
        self.chatter(50)
        self.serves_changes()
        self.gateway.log_file = os.devnull

    def test_a_pipe_that_nobody_reads_blocks_nobody(self):
        fifo, reader = self.pipe()
        self.addCleanup(os.close, reader)
        self.start(error=fifo)
        self.chatter(200)
        self.serves_changes()
        self.gateway.log_file = os.devnull


if __name__ == "__main__":
    unittest.main()
