# SPDX-License-Identifier: Apache-2.0
"""Jumps of the wall clock change no timeout: only the monotonic clock measures time."""
import os
import subprocess
import tempfile
import time
import unittest

from harness import gateway as gw
from harness.backend import answer
from harness.case import GatewayCase, patience, until
from harness.client import Client, ask

SHIM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness", "wall_clock.c")


class WallClock(GatewayCase):
    @classmethod
    def make(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="hw-clock-")
        library = os.path.join(cls.folder.name, "wall_clock.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SHIM], check=True)
        cls.offset = os.path.join(cls.folder.name, "offset")
        return gw.simple(cls.backend("app"), settings={
            "timeouts": {"header": "1s", "idle": "2s", "response": "2s"}},
            environment={"LD_PRELOAD": library, "WALL_CLOCK_FILE": cls.offset,
                         "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"})

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def jump(self, seconds):
        """Moves the gateway's wall clock."""
        with open(self.offset + ".part", "w", encoding="ascii") as file:
            file.write(str(seconds))
        os.rename(self.offset + ".part", self.offset)

    def test_the_jump_is_seen_at_all(self):
        for hours in (1, -1, 0):
            self.jump(hours * 3600)

            def date_of_an_answer_of_ours(hours=hours):
                text = ask(self.port, "GET", "/", fields=[("Expect", "x")]).get("date")
                then = time.mktime(time.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
                return abs(then - time.time() - hours * 3600) < 60
            until(date_of_an_answer_of_ours, message=f"a Date {hours} h away")

    def test_requests_and_idle_connections_live_through_jumps(self):
        def slow(_):
            time.sleep(0.8)
            return answer(200, "whole")
        for hours in (1, -1):
            with self.subTest(hours=hours), Client(self.port) as idle, Client(self.port) as busy:
                self.jump(0)
                self.app.handler = lambda r: answer(200, "quick")
                idle.ask("GET", "/")
                self.app.handler = slow
                busy.request("GET", "/")
                self.jump(hours * 3600)
                self.assertEqual(busy.response().body, b"whole")
                self.assertEqual(idle.ask("GET", "/").body, b"whole")

    def test_timeouts_still_come_in_time_after_jumps(self):
        for hours in (1, -1):
            with self.subTest(hours=hours), Client(self.port) as client:
                client.send("GET / HTTP/1.1\r\nHost")
                begin = time.monotonic()
                self.jump(hours * 3600)
                client.reader.rest()
                self.assertLess(abs(time.monotonic() - begin - 1.0), 0.5 * patience())


if __name__ == "__main__":
    unittest.main()
