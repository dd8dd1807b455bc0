# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: nobody's request fails, and the process ends with 0 in bounded time (decision 19)."""
import threading
import time
import unittest

from harness import gateway as gw
from harness import upgrade
from harness.backend import Backend, answer
from harness.case import Case, patience, until
from harness.client import Client, ask


class Drain(Case):
    def start(self, delay="500ms", deadline="3s", handler=None, **kwargs):
        """A gateway with a drain of these times."""
        self.app = self.use(Backend("app", handler=handler))
        self.gateway = self.use(gw.simple(self.app, settings={"drain": {"delay": delay, "deadline": deadline}},
                                          **kwargs))
        return self.gateway.port()

    def wait_for_end(self):
        """Seconds until the process has ended; its code must be 0."""
        begin = time.monotonic()
        self.assertEqual(self.gateway.process.wait(20 * patience()), 0)
        return time.monotonic() - begin

    def test_readiness_goes_first_and_accepting_goes_on_for_the_delay(self):
        port = self.start(delay="1s")
        self.gateway.terminate()
        until(lambda: self.gateway.ask_admin("/readyz").status == 503, message="not ready any more")
        self.assertEqual(self.gateway.ask_admin("/healthz").status, 200)
        self.assertEqual(ask(port).status, 200)
        self.wait_for_end()

    def test_requests_in_flight_finish(self):
        started, release = threading.Event(), threading.Event()

        def handler(_):
            started.set()
            release.wait(10)
            return answer(200, "whole")
        port = self.start(handler=handler, delay="100ms", deadline="8s")
        with Client(port) as client:
            client.request("GET", "/")
            self.assertTrue(started.wait(5))
            self.gateway.terminate()
            time.sleep(0.5)
            release.set()
            got = client.response()
            self.assertEqual((got.body, got.get("connection").lower()), (b"whole", "close"))
        self.assertLess(self.wait_for_end(), 5 * patience())

    def test_answers_during_the_drain_say_close(self):
        port = self.start(delay="1s")
        with Client(port) as client:
            self.assertIsNone(client.ask("GET", "/").get("connection"))
            self.gateway.terminate()
            until(lambda: self.gateway.ask_admin("/readyz").status == 503)
            self.assertEqual(client.ask("GET", "/").get("connection").lower(), "close")
            client.closed_after(2)
        self.wait_for_end()

    def test_an_idle_connection_lives_until_its_next_request(self):
        port = self.start(delay="100ms", deadline="6s")
        with Client(port) as client:
            client.ask("GET", "/")
            self.gateway.terminate()
            until(lambda: self._refused(port), message="listener closed")
            self.assertTrue(client.is_silent(0.5))
            got = client.ask("GET", "/")
            self.assertEqual((got.status, got.get("connection").lower()), (200, "close"))
        self.assertLess(self.wait_for_end(), 4 * patience())

    def test_the_deadline_ends_what_does_not_end_by_itself(self):
        port = self.start(delay="0s", deadline="1s", handler=lambda r: time.sleep(30) if r.target == "/" else answer(200))
        with Client(port) as idle, Client(port) as stuck:
            idle.ask("OPTIONS", "*")
            stuck.request("GET", "/")
            until(lambda: any(r.target == "/" for r in self.app.requests))
            self.gateway.terminate()
            self.assertLess(self.wait_for_end(), 3 * patience())

    def test_tunnels_close_at_the_deadline(self):
        port = self.start(delay="0s", deadline="1s")
        self.app.script = upgrade.echo_tunnel
        with Client(port) as client:
            client.send(upgrade.WEBSOCKET)
            self.assertEqual(client.response().status, 101)
            self.gateway.terminate()
            time.sleep(0.4)
            client.send(b"still")
            self.assertEqual(client.reader.take(5), b"still")
            self.assertEqual(client.reader.rest(), b"")
        self.wait_for_end()

    def test_a_second_signal_ends_it_at_once(self):
        port = self.start(delay="10s", deadline="30s")
        with Client(port) as client:
            client.ask("GET", "/")
            self.gateway.terminate()
            time.sleep(0.3)
            self.gateway.terminate()
            begin = time.monotonic()
            self.gateway.process.wait(10 * patience())
            self.assertLess(time.monotonic() - begin, 2 * patience())
        self.gateway.expected_exit = self.gateway.process.returncode

    def test_an_idle_process_ends_as_soon_as_the_delay_is_over(self):
        self.start(delay="200ms", deadline="20s")
        self.gateway.terminate()
        self.assertLess(self.wait_for_end(), 2 * patience())

    def test_a_drain_under_load_fails_nobody(self):
        # Clients follow readiness, as a load balancer does: no new connections once it is off for a while.
        port = self.start(delay="1500ms", deadline="5s", workers=2)
        failures, done, leave = [], [], threading.Event()

        def load(fresh):
            client = None
            try:
                while client is not None or not leave.is_set():
                    if client is None:
                        client = Client(port, timeout=5)
                    got = client.ask("GET", "/")
                    done.append(1)
                    if got.status != 200:
                        failures.append(got)
                    if fresh or (got.get("connection") or "").lower() == "close":
                        client.close()
                        client = None
            except Exception as error:  # noqa: BLE001
                failures.append(error)
        threads = [threading.Thread(target=load, args=(n % 2 == 0,)) for n in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        self.gateway.terminate()
        until(lambda: self.gateway.ask_admin("/readyz").status == 503)
        leave.set()
        for thread in threads:
            thread.join(10)
        self.wait_for_end()
        self.assertEqual(failures, [])
        self.assertGreater(len(done), 100)

    @staticmethod
    def _refused(port):
        try:
            Client(port, timeout=1).close()
        except ConnectionRefusedError:
            return True
        return False


class Start(Case):
    def test_no_data_port_opens_before_the_first_list_is_complete(self):
        backend = self.use(Backend("app"))
        process = gw.simple(backend, start=False)
        self.use(process).start(ready=False)
        statuses = []

        def first():
            try:
                statuses.append(ask(process.port(), timeout=2).status)
            except ConnectionRefusedError:
                return False
            return True
        until(first, 20, every=0.002)
        self.assertEqual(statuses, [200])

    def test_exit_codes_mean_something(self):
        process = self.use(gw.Gateway(start=False))
        self.assertEqual(process.run("version").returncode, 0)
        for arguments in (["--no-such-flag"], ["run", "--config", "/nonexistent.yaml"],
                          ["--gateway-api-k8s-poll-seconds", "0", "--gateway-api-k8s-sync"],
                          ["--gateway-api-k8s-sync", "--gateway-api-snapshot-name", "x"]):
            with self.subTest(arguments):
                done = process.run(*arguments)
                self.assertNotIn(done.returncode, (0, -6, -11))
                self.assertTrue(done.stderr.strip() or done.stdout.strip())

    def test_an_unknown_key_of_the_configuration_names_the_nearest(self):
        backend = self.use(Backend("app"))
        process = gw.simple(backend, start=False, settings={"workerz": 2})
        process.write_config()
        done = self.use(process).run("run", "--config", process.config_file)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("workers", done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main()
