# SPDX-License-Identifier: Apache-2.0
"""The configuration file while the process runs: live keys apply at once, others are named, errors change nothing."""
import os
import signal
import socket
import unittest

from harness import gateway as gw
from harness.backend import Backend
from harness.case import Case, until
from harness.client import ask
from harness.manifests import gateway, gateway_class, route, service
from harness.ports import free_port


class Reload(Case):
    def start(self, **kwargs):
        """A gateway with one route to one backend."""
        self.app = self.use(Backend("app"))
        self.gateway = self.use(gw.simple(self.app, **kwargs))
        return self.gateway.port()

    def test_a_new_listen_map_is_followed_and_the_old_port_closes(self):
        old = self.start()
        new = free_port()
        self.gateway.listen[80] = new
        self.gateway.write_config()  # no signal: the change of the file is seen
        until(lambda: ask(new).status == 200)

        def closed():
            try:
                ask(old, timeout=1)
            except OSError:
                return True
            return False
        until(closed)

    def test_default_endpoints_are_followed_on_sighup(self):
        one, two = self.use(Backend("one")), self.use(Backend("two"))
        process = gw.Gateway(gateway_class(), gateway(), service(), route(), start=False)
        process.default_endpoints = {"default/app:8080": [f"{one.host}:{one.port}"]}
        self.use(process).start()
        self.assertEqual(ask(process.port()).body, b"one")
        process.default_endpoints = {"default/app:8080": [f"{two.host}:{two.port}"]}
        process.write_config()
        process.process.send_signal(signal.SIGHUP)
        until(lambda: ask(process.port()).body == b"two")

    def test_keys_that_need_a_restart_are_named(self):
        port = self.start()
        self.gateway.settings["limits"] = {"fields": 20}
        self.gateway.settings["drain"] = {"delay": "1ms"}
        self.gateway.write_config()
        until(lambda: "a restart is needed for limits.fields" in self.gateway.logs())
        until(lambda: "applied drain.delay" in self.gateway.logs())
        self.assertEqual(ask(port).status, 200)

    def test_a_wrong_file_changes_nothing_and_the_log_says_why(self):
        port = self.start()
        self.gateway.settings["drian"] = {"delay": "1ms"}
        self.gateway.write_config()
        until(lambda: 'did you mean "drain"' in self.gateway.logs())
        self.assertIn("the last good one stays in force", self.gateway.logs())
        self.assertEqual(ask(port).status, 200)
        del self.gateway.settings["drian"]
        self.gateway.settings["log"] = {"level": "debug"}
        self.gateway.write_config()
        until(lambda: "applied log.level" in self.gateway.logs())

    def test_the_log_level_can_be_asked_and_set_on_the_socket(self):
        self.start()

        def talk(method, body=""):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(self.gateway.socket)
                connection.sendall(f"{method} /loglevel HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                                   .encode())
                answer = b""
                while data := connection.recv(4096):
                    answer += data
            return answer.split(b"\r\n\r\n", 1)
        self.assertEqual(talk("GET")[1], b"info\n")
        self.assertEqual(talk("PUT", "error")[1], b"error\n")
        self.assertEqual(talk("GET")[1], b"error\n")
        self.assertIn(b" 400 ", talk("PUT", "loud")[0])

    def test_a_busy_admin_port_stops_the_start_with_its_number(self):
        self.start()
        other = gw.Gateway(start=False)
        other.admin = self.gateway.admin
        other.write_config()
        done = self.use(other).run("run", "--config", other.config_file)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn(str(self.gateway.admin), done.stderr)

    def test_a_log_file_in_place_of_standard_error(self):
        process = gw.Gateway(gateway_class(), gateway(), start=False)
        process.settings["log"] = {"path": os.path.join(process.folder, "process.log")}
        self.use(process).start()
        path = os.path.join(process.folder, "process.log")

        def logged():
            with open(path, encoding="utf-8") as file:
                return "ready" in file.read()
        until(logged, message="the log of another thread")


if __name__ == "__main__":
    unittest.main()
