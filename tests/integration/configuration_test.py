# SPDX-License-Identifier: Apache-2.0
"""The configuration file while the process runs, the flags beside it, and what exit codes tell."""
import os
import signal
import time
import unittest

from harness import gateway as gw
from harness.backend import Backend
from harness.case import Case, until
from harness.client import ask
from harness.manifests import app, gateway, gateway_class, listener, route
from harness.ports import free_port

USAGE, CONFIG, UNAVAILABLE = 64, 78, 69


class Running(Case):
    def start(self, **settings):
        """A gateway whose Gateway has a listener on 80, and a second, free port."""
        self.app = self.use(Backend("app"))
        self.gateway = self.use(gw.simple(self.app, settings=settings))
        return self.gateway.port()

    def test_a_changed_file_is_applied_without_a_signal(self):
        old, new = self.start(), free_port()
        self.gateway.listen[80] = new
        self.gateway.write_config()
        until(lambda: ask(new).status == 200, 5, "bound where the file now says")
        with self.assertRaises(ConnectionRefusedError):
            ask(old)

    def test_a_signal_applies_it_at_once(self):
        self.start()
        new = free_port()
        self.gateway.listen[80] = new
        self.gateway.write_config()
        self.gateway.process.send_signal(signal.SIGHUP)
        until(lambda: ask(new).status == 200, 2)

    def test_keys_that_need_a_restart_are_named_and_change_nothing(self):
        port = self.start(timeouts={"header": "10s"})
        self.gateway.settings = {"timeouts": {"header": "20s"}, "workers": 3}
        self.gateway.write_config()
        until(lambda: "restart" in self.gateway.logs() and "workers" in self.gateway.logs())
        self.assertIn("timeouts", self.gateway.logs())
        self.assertEqual(ask(port).status, 200)

    def test_a_broken_file_changes_nothing_and_is_told(self):
        port = self.start()
        with open(self.gateway.config_file, "w", encoding="utf-8") as file:
            file.write("listen: {80: nowhere}\nworkerz: 1\n")
        self.gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "workerz" in self.gateway.logs())
        self.assertEqual(ask(port).status, 200)
        self.gateway.write_config()
        time.sleep(1.2)
        self.assertEqual(ask(port).status, 200)

    def test_another_controller_name_takes_other_classes(self):
        self.app = self.use(Backend("app"))
        mine = gateway_class(controller="example.com/mine")
        with gw.Gateway(mine, gateway(), *app("app", self.app), route(),
                        settings={"controller_name": "example.com/mine"}) as process:
            self.assertEqual(ask(process.port()).status, 200)


class Flags(Case):
    def start(self, *flags, controller=None):
        """A gateway by flags alone, on a port that its manifests name."""
        self.app, self.port = self.use(Backend("app")), free_port()
        classes = gateway_class(controller=controller) if controller else gateway_class()
        self.gateway = self.use(gw.Gateway(
            classes, gateway([listener(port=self.port)]), *app("app", self.app), route(), ready=False,
            flags=["--gateway-api-config-file", "{manifests}", "--workers", "1", *flags]))
        until(lambda: ask(self.port).status == 200, 15)

    def test_the_log_goes_to_the_file_that_flags_name(self):
        self.start("--log-dir", "{folder}", "--log-file", "mine.log")

        def said():
            with open(os.path.join(self.gateway.folder, "mine.log"), encoding="utf-8") as file:
                return "hyperway" in file.read()
        until(said)

    def test_the_controller_name_of_a_flag_takes_its_classes(self):
        self.start("--gateway-api-k8s-controller-name", "example.com/mine", controller="example.com/mine")

    def test_several_files_and_folders_are_one_set(self):
        self.app, self.port = self.use(Backend("app")), free_port()
        process = gw.Gateway(gateway_class(), gateway([listener(port=self.port)]), start=False)
        extra = os.path.join(process.folder, "extra")
        os.mkdir(extra)
        for item in (*app("app", self.app), route()):
            os.rename(self._file(process, item), os.path.join(extra, process.file_name(item)))
        process.flags = ["--gateway-api-config-file", "{manifests}", "--gateway-api-config-file", "{folder}/extra"]
        self.use(process).start(ready=False)
        until(lambda: ask(self.port).status == 200, 15)

    @staticmethod
    def _file(process, item):
        process.apply(item)
        return os.path.join(process.manifests, process.file_name(item))


class ExitCodes(Case):
    def setUp(self):
        super().setUp()
        self.gateway = self.use(gw.Gateway(start=False))

    def test_kinds_of_failure_differ(self):
        config = self.gateway.config_file
        for code, text, arguments in (
                (USAGE, None, ["--no-such-flag"]), (USAGE, None, ["explain", "GET"]),
                (CONFIG, "workerz: 1\n", ["run", "--config", config]),
                (CONFIG, "workers: many\n", ["check", "--config", config]),
                (UNAVAILABLE, None, ["status", "--socket", os.path.join(self.gateway.folder, "none.sock")])):
            with self.subTest(arguments):
                if text:
                    with open(config, "w", encoding="utf-8") as file:
                        file.write(text)
                done = self.gateway.run(*arguments)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)

    def test_modes_of_a_cluster_need_one_and_exclude_each_other(self):
        for arguments, word in ((["--gateway-api-k8s-sync"], "this is no Pod"),
                                (["--gateway-api-snapshot-name", "x"], "this is no Pod"),
                                (["--gateway-api-k8s-sync", "--gateway-api-snapshot-name", "x"], "exclude"),
                                (["--gateway-api-k8s-poll-seconds", "0"], "poll")):
            with self.subTest(arguments):
                done = self.gateway.run(*arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(word, done.stderr + done.stdout)

    def test_nearest_flags_and_keys_are_named(self):
        done = self.gateway.run("--worker", "2")
        self.assertIn("--workers", done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main()
