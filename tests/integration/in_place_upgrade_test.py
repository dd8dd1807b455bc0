# SPDX-License-Identifier: Apache-2.0
"""In-place upgrade: a new process takes over every socket, nothing fails, and if it cannot, the old one goes on."""
import multiprocessing
import os
import re
import shutil
import signal
import socket
import threading
import time
import unittest

import yaml

from harness import config, gateway as gw
from harness import plugin_source, probes, successor, tls, upgrade
from harness.backend import Backend, answer
from harness.case import Case, patience, until
from harness.client import Client, ask
from harness.kubernetes import Kubernetes
from harness.load import LoadClient
from harness.manifests import (app, extension, filter_object, gateway, gateway_class, listener, path_match, route, rule,
                               secret)
from harness.ports import free_port
from harness.processes import BackendProcess

FULL = bool(os.environ.get("HYPERWAY_FULL"))
WANTED = int(os.environ.get("HYPERWAY_UPGRADE_REQUESTS") or (100000 if FULL else 0))
UPGRADES = 10 if FULL else 5


class UpgradeCase(Case):
    limit_seconds = 60

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        successor.adopt_orphans()

    def start(self, handler=None, **kwargs):
        """A gateway with one route to one backend."""
        self.app = self.use(Backend("app", handler=handler))
        self.gateway = self.use(gw.simple(self.app, **kwargs))
        return self.gateway.port()

    def upgrade(self):
        """Upgrades; the old process must end with 0, sooner or later."""
        old = successor.upgrade(self.gateway)
        self.addCleanup(self.ends_well, old)
        return old

    def ends_well(self, process):
        """A process that has been upgraded ends with 0."""
        self.assertEqual(process.wait(30 * patience()), 0, self.gateway.logs()[-4000:])

    def refused(self):
        """Asks for an upgrade that must fail; what was said why."""
        done = self.gateway.run("upgrade", "--socket", self.gateway.socket, timeout=60)
        self.assertEqual(done.returncode, 70, done.stdout + done.stderr)
        return done.stderr

    def start_by_link(self, deadline="20s", settings=None, **kwargs):
        """A gateway whose program is a link, as an installation with several versions has."""
        self.app = self.use(Backend("app"))
        self.gateway = self.use(gw.simple(self.app, start=False, settings={
            "upgrade": {"deadline": deadline}, **(settings or {})}, **kwargs))
        self.program = os.path.join(self.gateway.folder, "hyperway")
        os.symlink(gw.binary(), self.program)
        self.gateway.binary = lambda: self.program
        self.gateway.start()
        return self.gateway.port()

    def replace(self, script):
        """The program is a shell script from now on."""
        part = self.program + ".part"
        with open(part, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + script + "\n")
        os.chmod(part, 0o755)
        os.rename(part, self.program)

    def replace_configuration(self):
        """The program is a script that starts the real one with the configuration as it would be written now; the
        old process sees nothing of it."""
        document = config.build(self.gateway)
        path = os.path.join(self.gateway.folder, "next.yaml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(document, file)
        self.replace(f"exec {gw.binary()} run --config {path}")

    def restore(self):
        """The program is what it was."""
        os.unlink(self.program)
        os.symlink(gw.binary(), self.program)

    def goes_on(self, port, pid):
        """The process is the same and serves, here and on its admin faces."""
        self.assertEqual((self.gateway.pid, self.gateway.process.poll()), (pid, None))
        self.assertEqual(ask(port).status, 200)
        self.assertEqual(self.gateway.ask_admin("/readyz").status, 200)
        self.assertEqual(self.gateway.run("plugins", "--socket", self.gateway.socket).returncode, 0)


class UnderLoad(UpgradeCase):
    limit_seconds = 600 if WANTED else 120

    def test_nothing_fails_while_the_process_is_upgraded_again_and_again(self):
        backends = [self.use(BackendProcess(f"b{n}")) for n in range(2)]
        self.gateway = self.use(gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", "a.example", ["cert"])]),
            secret("cert", *tls.self_signed("a.example")), *app("app", *backends), self.edit(0), workers=2,
            settings={"drain": {"deadline": "20s"}}))
        stop, may_be_closed = multiprocessing.Event(), multiprocessing.Event()
        may_be_closed.set()
        self.addCleanup(stop.set)
        clients = [LoadClient(n, kind, (self.gateway.port(80), self.gateway.port(443)), stop, may_be_closed)
                   for n, kind in enumerate(["keep", "keep", "fresh", "fresh", "tls", "tls"])]

        def answered():
            return sum(client.answered.value for client in clients)
        begin, done, edits, refused = time.monotonic(), 0, 0, []
        scraped = self.scrape(stop, refused)
        while done < UPGRADES or answered() < WANTED:
            before, turn = answered(), time.monotonic()
            old = self.upgrade()
            done += 1
            # The old process drains while routes change, and serves what it has accepted by them. Ten changes at
            # least, however long the upgrade itself took.
            enough = edits + 10
            while edits < enough or time.monotonic() < turn + 1 or answered() < before + 200:
                edits += 1
                self.gateway.apply(self.edit(edits))
                time.sleep(0.02)
            self.ends_well(old)
        took = time.monotonic() - begin
        stop.set()
        scrapes = scraped()
        counts, failures = {"GET": 0, "POST": 0}, list(refused)
        for client in clients:
            seen, failed = client.finish()
            failures += failed
            for method in counts:
                counts[method] += seen[method]
        count = sum(counts.values())
        self.assertEqual(failures[:10], [], f"{len(failures)} of {count} requests failed")
        print(f"in-place upgrade: {done} under load in {took:.1f} s: {count} requests ({counts['POST']} POST), {edits} "
              f"edits, {scrapes} scrapes, 0 failed", flush=True)
        self.assertGreaterEqual(count, max(WANTED, 1000 / patience()))
        for backend in backends:
            backend.close()
            self.assertEqual(backend.ambiguous, [])
            self.assertGreater(len([key for key in backend.seen if key.startswith("edit ")]), done)

    @staticmethod
    def edit(n):
        """The route, in its nth form."""
        return route("main", [rule(["app"], [path_match("/")], [{
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {"set": [{"name": "X-Edit", "value": str(n)}]}}])], ["a.example"])

    def scrape(self, stop, refused):
        """Asks for metrics and readiness all the time, as Prometheus and a balancer do; returns how often, at its end."""
        count = [0]

        def run():
            while not stop.is_set():
                for path in ("/readyz", "/metrics"):
                    try:
                        status = self.gateway.ask_admin(path).status
                        if status != 200:
                            refused.append(f"{path}: {status}")
                    except Exception as error:  # noqa: BLE001 (whatever it is, it was not answered)
                        refused.append(f"{path}: {error!r}")
                count[0] += 1
        thread = threading.Thread(target=run)
        thread.start()

        def join():
            thread.join()
            return count[0]
        return join


class Upgrades(UpgradeCase):
    def test_what_has_begun_ends_where_it_began_and_what_is_new_goes_to_the_new_process(self):
        started, release = threading.Event(), threading.Event()

        def handler(request):
            if request.target == "/slow":
                started.set()
                release.wait(20)
            return answer(200, "whole")
        port = self.start(handler=handler, settings={"drain": {"deadline": "20s"}})
        self.app.script = upgrade.echo_tunnel
        with Client(port) as slow, Client(port) as idle, Client(port) as tunnel:
            tunnel.send(upgrade.WEBSOCKET)
            self.assertEqual(tunnel.response().status, 101)
            self.app.script = None
            idle.ask("GET", "/")
            slow.request("GET", "/slow")
            self.assertTrue(started.wait(5))
            old = self.upgrade()
            # New connections are the new process's, which asks nobody to leave.
            with Client(port) as fresh:
                self.assertIsNone(fresh.ask("GET", "/").get("connection"))
            tunnel.send(b"still")
            self.assertEqual(tunnel.reader.take(5), b"still")
            got = idle.ask("GET", "/")
            self.assertEqual((got.status, got.get("connection").lower()), (200, "close"))
            self.assertIsNone(old.poll(), "it had connections")
            release.set()
            got = slow.response()
            self.assertEqual((got.body, got.get("connection").lower()), (b"whole", "close"))
            tunnel.close()
        self.ends_well(old)
        self.assertEqual(ask(port).status, 200)

    def test_tunnels_of_the_old_process_end_at_the_deadline(self):
        port = self.start(settings={"drain": {"deadline": "1s"}})
        self.app.script = upgrade.echo_tunnel
        with Client(port) as tunnel:
            tunnel.send(upgrade.WEBSOCKET)
            self.assertEqual(tunnel.response().status, 101)
            old = self.upgrade()
            tunnel.send(b"still")
            self.assertEqual(tunnel.reader.take(5), b"still")
            self.assertEqual(tunnel.reader.rest(), b"")
        self.ends_well(old)

    def test_edits_while_the_old_process_drains_are_followed_by_both(self):
        port = self.start(settings={"drain": {"deadline": "20s"}})
        kept = [self.use(Client(port)) for _ in range(50)]
        for client in kept:
            client.ask("GET", "/")
        old = self.upgrade()
        self.gateway.apply(route(rules=[rule(["app"], [path_match("/new")])]))
        until(lambda: ask(port, "GET", "/").status == 404)
        self.assertEqual(ask(port, "GET", "/new").status, 200)
        # Each connection of the old process has one answer left.
        until(lambda: kept.pop().ask("GET", "/new").status == 200, every=0.05)
        self.assertIsNone(old.poll())
        for client in kept:
            client.close()
        self.ends_well(old)

    def test_a_chain_of_ten_leaves_nothing_behind(self):
        port = self.start(workers=2)
        held = []
        for _ in range(10):
            self.ends_well(self.upgrade())
            self.assertEqual(ask(port).status, 200)
            held.append(probes.descriptors(self.gateway.pid))
        self.assertLessEqual(max(held) - min(held), 2, held)  # an admin request that is under way
        self.assertEqual(self.gateway.logs().count("upgraded: process"), 10)

    def test_the_signal_does_what_the_command_does(self):
        port = self.start()
        self.gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "upgraded: process" in self.gateway.logs(), 20)
        pid = int(re.search(r"upgraded: process (\d+) ", self.gateway.logs()).group(1))
        old = successor.follow(self.gateway, pid)
        self.ends_well(old)
        self.assertEqual(ask(port).status, 200)
        self.assertEqual(self.gateway.run("plugins", "--socket", self.gateway.socket).returncode, 0)

    def test_more_and_fewer_workers_take_all_sockets_over(self):
        port = self.start(workers=1)
        for workers in (3, 1, 4, 2):
            self.gateway.workers = workers
            self.gateway.write_config()
            failures, stop = [], threading.Event()
            threads = [threading.Thread(target=self._fresh, args=(port, stop, failures)) for _ in range(4)]
            for thread in threads:
                thread.start()
            self.ends_well(self.upgrade())
            self.assertEqual(len([n for n in os.listdir(f"/proc/{self.gateway.pid}/task")
                                  if self._name(n).startswith("hw-worker")]), workers)
            # By then each socket has had connections, whichever worker it belongs to.
            for _ in range(50):
                self.assertEqual(ask(port).status, 200)
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])

    def _name(self, task):
        with open(f"/proc/{self.gateway.pid}/task/{task}/comm", encoding="ascii") as file:
            return file.read()

    @staticmethod
    def _fresh(port, stop, failures):
        while not stop.is_set():
            try:
                if ask(port).status != 200:
                    failures.append("status")
            except Exception as error:  # noqa: BLE001
                failures.append(repr(error))

    def test_the_new_configuration_is_in_force_with_keys_that_need_a_restart(self):
        port = self.start()
        fields = [(f"X-{n}", "1") for n in range(30)]
        self.gateway.settings["limits"] = {"fields": 20}
        self.gateway.write_config()
        with Client(port) as client:
            client.request("GET", "/", fields=fields)
            self.assertEqual(client.response().status, 200)
        self.ends_well(self.upgrade())
        with Client(port) as client:
            client.request("GET", "/", fields=fields)
            self.assertEqual(client.response().status, 431)

    def test_an_address_that_the_new_configuration_lacks_is_closed_and_one_that_it_adds_is_open(self):
        port, extra = self.start_by_link(settings={"drain": {"deadline": "20s"}}), free_port()
        with Client(port) as kept:
            kept.ask("GET", "/")
            self.gateway.listen[80] = extra
            self.replace_configuration()
            old = self.upgrade()
            self.assertEqual(ask(extra).status, 200)

            def refused():
                try:
                    Client(port, timeout=1).close()
                except ConnectionRefusedError:
                    return True
                return False
            until(refused, message="the old address is closed")
            self.assertEqual(kept.ask("GET", "/").status, 200)
        self.ends_well(old)

    def start_waiting(self):
        """An upgrade to a process that has all sockets, and waits for a cluster that does not answer yet; what lets it go on."""
        cluster = self.use(Kubernetes())

        def away(method, path):
            return (503, {"kind": "Status", "code": 503, "message": "not now"}) if method else None
        cluster.faults.append(away)
        self.gateway.settings["sources"] = [
            {"plugin": "file_source", "config": {"paths": [self.gateway.manifests]}},
            {"plugin": "k8s_source", "config": {"kubeconfig": cluster.kubeconfig}}]
        self.replace_configuration()
        del self.gateway.settings["sources"]
        self.gateway.process.send_signal(signal.SIGUSR2)
        # It asks the cluster, so it has its sockets.
        until(lambda: cluster.asked("GET"), 20)
        return lambda: cluster.faults.remove(away)

    def test_a_listener_that_is_added_while_the_new_process_gets_ready_loses_no_connection(self):
        port, extra = self.start_by_link(settings={"drain": {"deadline": "20s"}}, workers=2), free_port()
        go_on = self.start_waiting()
        # Both bind what comes as it is named.
        self.gateway.apply(gateway([listener(), listener("more", extra)]))
        until(lambda: ask(extra).status == 200)
        failures, stop = [], threading.Event()
        threads = [threading.Thread(target=self._fresh, args=(to, stop, failures)) for to in (extra, extra, extra, port)]
        for thread in threads:
            thread.start()
        go_on()
        until(lambda: "upgraded: process" in self.gateway.logs(), 20)
        pid = int(re.search(r"upgraded: process (\d+) ", self.gateway.logs()).group(1))
        old = successor.follow(self.gateway, pid)
        self.ends_well(old)
        for _ in range(50):
            self.assertEqual(ask(extra).status, 200)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertNotIn("in use", self.gateway.logs())

    def test_listeners_that_are_added_all_the_time_lose_no_connection(self):
        self.start(settings={"drain": {"deadline": "20s"}}, workers=2)
        ports, failures, stop = [], [], threading.Event()

        def add():
            while not stop.is_set() and len(ports) < 60:
                ports.append(free_port())
                self.gateway.apply(gateway([listener(), *[listener(f"n{n}", port) for n, port in enumerate(ports)]]))
                until(lambda: ask(ports[-1]).status == 200, 10)
                served.append(ports[-1])
                stop.wait(0.05)

        def ask_all():
            while not stop.is_set():
                for port in served[-10:]:
                    try:
                        if ask(port).status != 200:
                            failures.append("status")
                    except Exception as error:  # noqa: BLE001
                        failures.append(repr(error))
        served = []
        threads = [threading.Thread(target=work) for work in (add, ask_all, ask_all)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            until(lambda had=len(served): len(served) > had + 3, 20)
            self.ends_well(self.upgrade())
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(len(served), 12)

    def test_a_listener_that_is_added_while_a_new_process_fails_is_served(self):
        self.start_by_link(deadline="2s")
        pid, extra = self.gateway.pid, free_port()
        self.start_waiting()
        self.gateway.apply(gateway([listener(), listener("more", extra)]))
        until(lambda: ask(extra).status == 200)
        until(lambda: "upgrade failed" in self.gateway.logs(), 20)
        self.goes_on(extra, pid)

    def test_an_address_that_the_old_process_was_in_the_way_of_is_bound_when_it_has_gone(self):
        port = free_port()
        self.start_by_link(listen={80: port}, settings={"listen": {80: f"0.0.0.0:{port}"}})
        self.gateway.settings["listen"] = {80: f"127.0.0.1:{port}"}
        self.replace_configuration()
        self.ends_well(self.upgrade())
        until(lambda: ask(port).status == 200, 2, "bound long before the next look at busy ports")

    def test_admin_faces_that_move_are_opened_and_the_old_ones_closed(self):
        self.start()
        old_port, old_socket = self.gateway.admin, self.gateway.socket
        self.gateway.admin, loopback = free_port(), free_port()
        self.gateway.settings["admin"] = {"socket": old_socket + "2", "loopback": f"127.0.0.1:{loopback}"}
        self.gateway.write_config()
        self.ends_well(self.upgrade())
        self.gateway.socket = old_socket + "2"
        self.assertFalse(os.path.exists(old_socket))
        self.assertEqual(self.gateway.ask_admin("/readyz").status, 200)
        with self.assertRaises(ConnectionRefusedError):
            self.gateway.ask_admin("/readyz", port=old_port)
        # And on, with all of them.
        self.ends_well(self.upgrade())
        self.assertEqual(self.gateway.ask_admin("/readyz").status, 200)
        self.assertEqual(self.gateway.ask_admin("/readyz", port=loopback).status, 200)
        self.assertEqual(os.stat(self.gateway.socket).st_mode & 0o777, 0o600)

    def test_an_upgrade_cannot_be_asked_for_on_loopback(self):
        loopback = free_port()
        self.start(settings={"admin": {"loopback": f"127.0.0.1:{loopback}"}})
        self.assertEqual(self.gateway.ask_admin("/upgrade", "POST", port=loopback).status, 404)
        self.assertEqual(self.gateway.ask_admin("/upgrade", "POST").status, 404)

    def test_the_new_process_loads_its_own_plugins(self):
        self.app = self.use(Backend("app"))
        self.gateway = gw.Gateway(
            gateway_class(), gateway(), *app("app", self.app), filter_object("mark", "marker", {}),
            route(rules=[rule(["app"], [path_match("/")], [extension("mark")])]), start=False)
        self.use(self.gateway)
        library = os.path.join(self.gateway.folder, "marker.so")
        one = plugin_source.build(self.gateway.folder, "one", "1.0.0", "")
        two = plugin_source.build(self.gateway.folder, "two", "2.0.0", "")
        shutil.copy(one, library)
        self.gateway.settings["plugins"] = [{"name": "marker", "path": library}]
        self.gateway.settings["drain"] = {"deadline": "20s"}
        self.gateway.start()
        port = self.gateway.port()
        with Client(port) as kept:
            kept.ask("GET", "/")
            os.rename(two, library)
            old = self.upgrade()
            self.assertEqual(ask(port, "GET", "/new").status, 200)
            self.assertEqual(kept.ask("GET", "/old").status, 200)
        self.ends_well(old)
        marks = {request.target: request.get("x-marker") for request in self.app.requests}
        self.assertEqual((marks["/new"], marks["/old"]), ("2.0.0", "1.0.0"))

    def test_the_service_manager_hears_who_the_main_process_is(self):
        self.app = self.use(Backend("app"))
        self.gateway = self.use(gw.simple(self.app, start=False))
        manager = self.use(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.settimeout(20)
        manager.bind(os.path.join(self.gateway.folder, "notify"))
        self.gateway.environment["NOTIFY_SOCKET"] = manager.getsockname()
        self.gateway.start()
        self.assertEqual(manager.recv(4096), b"READY=1")
        old = self.upgrade()
        self.assertIn("RELOADING=1", manager.recv(4096).decode().split("\n"))
        end = manager.recv(4096).decode().split("\n")
        self.assertEqual(end[:2], ["READY=1", f"MAINPID={self.gateway.pid}"])
        self.ends_well(old)
        # The new one speaks for the service from then on.
        self.gateway.terminate()
        self.assertEqual(manager.recv(4096), b"STOPPING=1")

    def test_sigterm_to_all_processes_of_a_service_lets_the_draining_one_drain(self):
        release = threading.Event()
        port = self.start(handler=lambda r: release.wait(20) and answer(200, "whole"),
                          settings={"drain": {"deadline": "20s"}})
        with Client(port) as slow:
            slow.request("GET", "/")
            until(lambda: self.app.requests)
            old = self.upgrade()
            old.send_signal(signal.SIGTERM)
            self.gateway.terminate()
            # A child of the old one, which is not asked how it ended.
            until(lambda: successor.state(self.gateway.pid) == "Z", 10)
            self.assertIsNone(old.poll())
            release.set()
            self.assertEqual(slow.response().body, b"whole")
        self.ends_well(old)

    def test_upgrading_a_process_that_has_been_upgraded_changes_nothing(self):
        port = self.start(settings={"drain": {"deadline": "20s"}})
        with Client(port) as kept:
            kept.ask("GET", "/")
            old = self.upgrade()
            old.send_signal(signal.SIGUSR2)
            until(lambda: "has taken over from this one" in self.gateway.logs())
            self.assertEqual(kept.ask("GET", "/").status, 200)
        self.ends_well(old)
        self.assertEqual(ask(port).status, 200)


    def test_a_new_process_that_crashes_while_the_old_one_drains_keeps_no_service_manager_waiting(self):
        port = self.start(settings={"drain": {"deadline": "60s"}})
        with Client(port) as kept:
            kept.ask("GET", "/")
            old = self.upgrade()
            self.gateway.process.kill()
            self.assertEqual(old.wait(5 * patience()), 0)
        self.assertEqual(self.gateway.process.wait(5), -signal.SIGKILL)
        self.gateway.expected_exit = -signal.SIGKILL


class Failures(UpgradeCase):
    """The new process cannot do it: the old one goes on as if nothing had been, and says why."""

    def test_a_wrong_configuration(self):
        port, pid = self.start(), self.gateway.pid
        with Client(port) as kept:
            kept.ask("GET", "/")
            self.gateway.settings["drian"] = {"delay": "1ms"}
            self.gateway.write_config()
            said = self.refused()
            self.assertIn('did you mean "drain"', said)
            self.assertIn(f"process {pid}", said)
            self.goes_on(port, pid)
            self.assertIsNone(kept.ask("GET", "/").get("connection"), "nobody is asked to leave")
            held = probes.descriptors(pid)
            self.refused()
            self.goes_on(port, pid)
            until(lambda: probes.descriptors(pid) <= held, message="nothing is left behind")
        del self.gateway.settings["drian"]
        self.gateway.write_config()
        self.ends_well(self.upgrade())
        self.assertEqual(ask(port).status, 200)

    def test_an_admin_port_that_is_taken(self):
        port, pid = self.start(), self.gateway.pid
        taken = self.use(socket.create_server(("127.0.0.1", 0)))
        own, self.gateway.admin = self.gateway.admin, taken.getsockname()[1]
        self.gateway.write_config()
        self.assertIn(str(self.gateway.admin), self.refused())
        self.gateway.admin = own
        self.goes_on(port, pid)

    def test_a_program_that_is_gone_or_ends_or_crashes(self):
        port = self.start_by_link()
        pid = self.gateway.pid
        os.unlink(self.program)
        self.assertIn(f"cannot run {self.program}: No such file", self.refused())
        for script, reason in (("exit 3", "code 3"), ("kill -SEGV $$", "signal 11"),
                               ("printf 'failed by design' >&3; exec sleep 60", "by design"),
                               ("printf 'hello 2 1 9.9' >&3; exec sleep 60", "a restart is needed")):
            with self.subTest(script):
                self.replace(script)
                self.assertIn(reason, self.refused())
                self.goes_on(port, pid)
        self.restore()
        self.ends_well(self.upgrade())
        self.assertEqual(ask(port).status, 200)

    def test_a_program_that_is_not_ready_in_time(self):
        port = self.start_by_link(deadline="500ms")
        pid = self.gateway.pid
        self.replace("trap '' TERM; exec sleep 60")
        self.assertIn("said nothing within 500 ms", self.refused())
        self.goes_on(port, pid)

    def test_a_second_upgrade_while_the_first_is_under_way(self):
        port = self.start_by_link()
        pid = self.gateway.pid
        self.replace("exec sleep 60")
        self.gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "upgrade: starting" in self.gateway.logs())
        self.gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "upgrade refused: an upgrade is under way already" in self.gateway.logs())
        self.goes_on(port, pid)
        # And the end of the old process meanwhile is an end as always.
        child = int(re.search(r"under way already, to process (\d+)", self.gateway.logs()).group(1))
        self.gateway.terminate()
        self.assertEqual(self.gateway.process.wait(20), 0)
        self.assertFalse(os.path.exists(f"/proc/{child}"))

    def test_the_end_of_the_new_process_before_it_serves(self):
        # It reads what it would take over, and gets no further: the real one, stopped in time.
        port = self.start_by_link()
        pid = self.gateway.pid
        self.replace(f'kill -STOP $$; exec {gw.binary()} "$@"')
        self.gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "upgrade: starting" in self.gateway.logs())
        child = until(lambda: self._stopped_child(pid))
        self.goes_on(port, pid)
        os.kill(child, signal.SIGTERM)
        os.kill(child, signal.SIGCONT)
        until(lambda: "upgrade failed: the new process was ended by signal 15" in self.gateway.logs())
        self.goes_on(port, pid)

    def test_the_end_of_the_old_process_before_the_new_one_serves(self):
        self.start_by_link()
        pid = self.gateway.pid
        self.replace(f'kill -STOP $$; exec {gw.binary()} "$@"')
        self.gateway.process.send_signal(signal.SIGUSR2)
        child = successor.Process(until(lambda: self._stopped_child(pid)))
        self.gateway.process.kill()
        self.gateway.process.wait(10)
        child.send_signal(signal.SIGCONT)
        self.assertNotEqual(child.wait(20), 0)
        self.gateway.expected_exit = -signal.SIGKILL

    @staticmethod
    def _stopped_child(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
        for child in children:
            if successor.state(child) == "T":
                return int(child)
        return None

    def test_a_process_that_is_not_ready_is_not_upgraded(self):
        process = self.use(gw.Gateway(start=False))
        self.gateway = process
        authority, _ = tls.self_signed("localhost")
        with open(os.path.join(process.folder, "ca.pem"), "wb") as file:
            file.write(authority)
        kubeconfig = os.path.join(process.folder, "kubeconfig")
        with open(kubeconfig, "w", encoding="utf-8") as file:
            yaml.safe_dump({
                "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "users": [{"name": "u", "user": {"token": "t"}}], "clusters": [{"name": "k", "cluster": {
                    "server": f"https://127.0.0.1:{free_port()}",
                    "certificate-authority": os.path.join(process.folder, "ca.pem")}}]}, file)
        process.settings["sources"] = [{"plugin": "k8s_source", "config": {"kubeconfig": kubeconfig}}]
        process.start(ready=False)
        until(lambda: process.ask_admin("/readyz").status == 503)
        self.assertIn("not ready yet", self.refused())

    def test_without_an_admin_socket_the_command_says_what_to_do(self):
        done = self.use(gw.Gateway(start=False)).run("upgrade")
        self.assertEqual(done.returncode, 64)
        self.assertIn("SIGUSR2", done.stderr)


if __name__ == "__main__":
    unittest.main()
