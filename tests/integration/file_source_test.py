# SPDX-License-Identifier: Apache-2.0
"""Manifests from files: how they may be written, changed and broken."""
import json
import os
import time
import unittest

import yaml

from harness import gateway as gw
from harness import tls
from harness.backend import Backend
from harness.case import Case, until
from harness.client import Client, ask
from harness.manifests import (app, gateway, gateway_class, listener, path_match, route, rule, secret, service,
                               slices)
from harness.ports import free_port


def documents(*objects):
    """One YAML file of several documents."""
    return "---\n".join(yaml.safe_dump(o, sort_keys=False) for o in objects)


class Files(Case):
    def start(self, *objects, **kwargs):
        """A gateway with class, Gateway and Service; the rest is up to the test."""
        self.app = self.use(Backend("app"))
        self.gateway = self.use(gw.Gateway(gateway_class(), gateway(), *app("app", self.app), *objects, **kwargs))
        return self.gateway.port() if self.gateway.process else None

    def at(self, name, host):
        """A route that serves a host of its own."""
        return route(name, hostnames=[host])

    def status(self, host):
        """What a host answers now."""
        return ask(self.gateway.port(), host=host).status

    def test_several_documents_in_one_file(self):
        self.start()
        self.gateway.write("all.yaml", "# comment\n---\n" + documents(self.at("a", "a.org"), self.at("b", "b.org"))
                           + "---\n---\n# nothing here\n")
        until(lambda: self.status("a.org") == self.status("b.org") == 200)
        self.gateway.write("all.yaml", documents(self.at("b", "b.org")))
        until(lambda: self.status("a.org") == 404)
        self.assertEqual(self.status("b.org"), 200)

    def test_a_list_is_taken_apart(self):
        self.start()
        self.gateway.write("list.yaml", json.dumps({"apiVersion": "v1", "kind": "List", "items": [
            self.at("a", "a.org"), self.at("b", "b.org")]}))
        until(lambda: self.status("a.org") == self.status("b.org") == 200)

    def test_json_and_yml_are_read_and_other_files_are_not(self):
        self.start()
        self.gateway.write("a.json", json.dumps(self.at("a", "a.org")))
        self.gateway.write("b.yml", yaml.safe_dump(self.at("b", "b.org")))
        self.gateway.write("c.txt", yaml.safe_dump(self.at("c", "c.org")))
        self.gateway.write(".d.yaml", yaml.safe_dump(self.at("d", "d.org")))
        until(lambda: self.status("a.org") == self.status("b.org") == 200)
        self.assertEqual((self.status("c.org"), self.status("d.org")), (404, 404))

    def test_a_half_written_file_changes_nothing_and_others_still_count(self):
        self.start(self.at("keep", "keep.org"))
        self.gateway.write("x.yaml", documents(self.at("x", "x.org")))
        until(lambda: self.status("x.org") == 200)
        # Not by rename: the file is seen while it is being written.
        path = os.path.join(self.gateway.manifests, "x.yaml")
        text = documents(self.at("x", "y.org"))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text[:len(text) // 2] + "\n  : [broken")
            file.flush()
            self.gateway.apply(self.at("other", "other.org"))
            until(lambda: self.status("other.org") == 200, message="another file's change")
            self.assertEqual((self.status("x.org"), self.status("keep.org")), (200, 200))
        # Closed as it is: now it counts as broken, which is told, and its last good content goes on.
        until(lambda: b"x.yaml" in self.gateway.ask_admin("/readyz?verbose").body, message="told in /readyz")
        self.assertEqual((self.status("x.org"), self.status("keep.org")), (200, 200))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        until(lambda: self.status("y.org") == 200)
        self.assertEqual(self.status("x.org"), 404)
        until(lambda: b"x.yaml" not in self.gateway.ask_admin("/readyz?verbose").body, message="told that it is over")

    def test_an_empty_moment_of_a_file_is_not_its_content(self):
        # What `cp` and editors do: truncate, then write.
        self.start()
        self.gateway.write("x.yaml", documents(self.at("x", "x.org")))
        until(lambda: self.status("x.org") == 200)
        path = os.path.join(self.gateway.manifests, "x.yaml")
        text = documents(self.at("x", "x.org"), self.at("y", "y.org"))
        with Client(self.gateway.port()) as client:
            for _ in range(20):
                with open(path, "w", encoding="utf-8") as file:
                    file.flush()
                    self.assertEqual(client.ask("GET", "/", host="x.org").status, 200)
                    file.write(text)
                self.assertEqual(client.ask("GET", "/", host="x.org").status, 200)

    def test_a_configmap_style_swap_of_symlinks(self):
        self.app = self.use(Backend("app"))
        self.gateway = gw.Gateway(gateway_class(), gateway(), *app("app", self.app), start=False)
        mount = os.path.join(self.gateway.folder, "mount")

        def put(version, host):
            folder = os.path.join(mount, f"..{version}")
            os.makedirs(folder)
            with open(os.path.join(folder, "route.yaml"), "w", encoding="utf-8") as file:
                file.write(documents(self.at("swap", host)))
            link = os.path.join(mount, "..data_tmp")
            os.symlink(f"..{version}", link)
            os.rename(link, os.path.join(mount, "..data"))
        put("v1", "one.org")
        os.symlink("..data/route.yaml", os.path.join(mount, "route.yaml"))
        self.gateway.manifest_paths = [self.gateway.manifests, mount]
        self.use(self.gateway).start()
        until(lambda: self.status("one.org") == 200)
        for n in range(5):
            put(f"w{n}", f"w{n}.org")
            until(lambda n=n: self.status(f"w{n}.org") == 200)
            self.assertEqual(self.status("one.org"), 404)

    def test_a_folder_that_is_moved_away_keeps_the_last_good_state(self):
        self.start(start=False)
        self.gateway.source["poll_seconds"] = 1  # What is moved away cannot be watched.
        self.gateway.apply(self.at("x", "x.org")).start()
        port = self.gateway.port()
        os.rename(self.gateway.manifests, self.gateway.manifests + ".away")
        time.sleep(0.3)
        self.assertEqual(ask(port, host="x.org").status, 200)
        os.rename(self.gateway.manifests + ".away", self.gateway.manifests)
        self.gateway.apply(self.at("y", "y.org"))
        until(lambda: ask(port, host="y.org").status == 200, 10)

    def test_tls_files_beside_the_manifests(self):
        pair = tls.self_signed("files.example")
        backend = self.use(Backend("app"))
        process = gw.Gateway(gateway_class(), gateway([listener("https", 443, "HTTPS", certificates=["files"])]),
                             *app("app", backend), route(), start=False)
        folder = os.path.join(process.folder, "cert")
        os.mkdir(folder)
        for name, data in (("tls.crt", pair[0]), ("tls.key", pair[1])):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        process.source["certificates"] = [{"directory": folder, "namespace": "default", "name": "files"}]
        self.use(process).start()

        def leaf():
            with Client(process.port(443), tls=tls.client_context(), sni="files.example") as client:
                return client.socket.getpeercert(True)
        self.assertEqual(until(leaf), tls.der(pair[0]))
        other = tls.self_signed("files.example", serial=9)
        for name, data in (("tls.crt", other[0]), ("tls.key", other[1])):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        until(lambda: leaf() == tls.der(other[0]), message="renewed files")

    def test_a_certificate_is_made_on_first_run(self):
        backend = self.use(Backend("app"))
        process = gw.Gateway(gateway_class(), gateway([listener("https", 443, "HTTPS", certificates=["made"])]),
                             *app("app", backend), route(), start=False)
        process.source["self_signed"] = {"namespace": "default", "name": "made", "hosts": ["made.example"]}
        self.use(process).start()
        got = until(lambda: ask(process.port(443), tls=tls.client_context(), sni="made.example", host="made.example"))
        self.assertEqual(got.status, 200)

    def test_default_endpoints_stand_in_for_slices(self):
        backend = self.use(Backend("stand-in"))
        process = gw.Gateway(gateway_class(), gateway(), service(), route(), start=False)
        process.default_endpoints = {"default/app:8080": [f"{backend.host}:{backend.port}"]}
        self.use(process).start()
        self.assertEqual(ask(process.port()).body, b"stand-in")

    def test_statuses_are_written_to_a_file_if_asked(self):
        backend = self.use(Backend("app"))
        process = gw.simple(backend, start=False)
        process.source["status_file"] = process.status_file
        self.use(process).start()

        def accepted():
            with open(process.status_file, encoding="utf-8") as file:
                return '"Accepted"' in file.read()
        until(accepted)

    def test_many_files_at_once(self):
        port = self.start(*[self.at(f"r{n}", f"h{n}.org") for n in range(300)])
        for n in (0, 150, 299):
            self.assertEqual(ask(port, host=f"h{n}.org").status, 200)
        for n in range(300):
            self.gateway.delete(self.at(f"r{n}", ""))
        until(lambda: ask(port, host="h299.org").status == 404)

    def test_one_object_in_two_files_is_reported_and_does_no_harm(self):
        port = self.start(self.at("x", "x.org"))
        self.gateway.write("again.yaml", documents(self.at("x", "x2.org"), self.at("z", "z.org")))
        until(lambda: ask(port, host="z.org").status == 200)
        self.assertEqual(sorted([self.status("x.org"), self.status("x2.org")]), [200, 404])


class Alone(Case):
    """`hyperway --gateway-api-config-file DIR --workers N` and nothing else."""

    def start(self, *objects, flags=("--gateway-api-config-file", "{manifests}", "--workers", "2"), ready=True):
        """A gateway by flags alone. The admin port is then the usual 9180, or a higher one if busy."""
        self.app = self.use(Backend("app"))
        self.listener = free_port()
        process = self.use(gw.Gateway(gateway_class(), gateway([listener(port=self.listener)]),
                                      *app("app", self.app), route(), *objects, flags=list(flags), ready=False))
        return process

    def test_a_folder_of_manifests_is_served(self):
        self.start()
        self.assertEqual(until(lambda: ask(self.listener).body, 15), b"app")

    def test_healthz_and_metrics_answer_on_data_ports_where_no_route_matches(self):
        process = self.start()
        until(lambda: ask(self.listener).status == 200, 15)
        process.apply(route(rules=[rule(["app"], [path_match("/mine")])]))
        until(lambda: ask(self.listener).status == 404)
        self.assertEqual(ask(self.listener, "GET", "/healthz").status, 200)
        self.assertIn(b"hyperway_", ask(self.listener, "GET", "/metrics").body)
        process.apply(route(rules=[rule(["app"], [path_match("/healthz")])]))
        until(lambda: ask(self.listener, "GET", "/healthz").body == b"app", message="the user's route wins")

    def test_edits_are_seen(self):
        process = self.start()
        until(lambda: ask(self.listener).status == 200, 15)
        two = self.use(Backend("two"))
        process.apply(*slices("app", [two])).delete(*slices("app", [self.app]))
        until(lambda: ask(self.listener).body == b"two")


if __name__ == "__main__":
    unittest.main()
