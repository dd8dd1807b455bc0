# SPDX-License-Identifier: Apache-2.0
"""The image: the same from the same files, complete, accounted for, and it serves. Needs root, for chroot."""
import http.client
import importlib.util
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BUILD = os.environ.get("HYPERWAY_BUILD_DIR", "build/release")
SOURCE = os.environ.get("HYPERWAY_SOURCE_DIR", os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))
spec = importlib.util.spec_from_file_location("image", os.path.join(SOURCE, "packaging/image.py"))
image = importlib.util.module_from_spec(spec)
spec.loader.exec_module(image)

MANIFESTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: hyperway}}
spec: {{controllerName: hyperway.arloor.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: hyperway
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
---
apiVersion: v1
kind: Service
metadata: {{name: app}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec:
  parentRefs: [{{name: web}}]
  rules:
  - filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: x-by, value: filter}}]}}}}]
    backendRefs: [{{name: app, port: 80}}]
"""
CONFIGURATION = """
sources: [{{plugin: file_source, config: {{paths: [/tmp/manifests.yaml]}}}}]
default_endpoints: {{"default/app:80": "127.0.0.1:{backend}"}}
addresses: [127.0.0.1]
admin: {{address: "127.0.0.1:{admin}"}}
"""


class Echo(BaseHTTPRequestHandler):
    """Says what it got from whom."""

    def do_GET(self):
        """Path and a header that a filter sets."""
        text = f"{self.path} {self.headers['x-by']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def free_ports(count):
    """Ports that nobody had a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Image(unittest.TestCase):
    """Two images of one build; the first is unpacked."""

    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix="hyperway-image-")
        cls.addClassCleanup(shutil.rmtree, cls.work)
        os.chmod(cls.work, 0o755)
        cls.out = os.path.join(cls.work, "out")
        cls.digest = image.build(BUILD, cls.out)
        cls.root = os.path.join(cls.work, "root")
        cls.config = image.unpack(os.path.join(cls.out, "hyperway"), cls.root)["config"]

    def files(self):
        """(name, path, lstat) of all files and folders of the image."""
        for place, folders, files in os.walk(self.root):
            for name in folders + files:
                path = os.path.join(place, name)
                yield os.path.relpath(path, self.root), path, os.lstat(path)

    def packages(self):
        """{name: version} of its bill of materials."""
        with open(os.path.join(self.out, "sbom.spdx.json"), encoding="utf-8") as file:
            return {package["name"]: package["versionInfo"] for package in json.load(file)["packages"]}

    def inside(self, *command, output=subprocess.PIPE):
        """A process in the image as a runtime starts it: as its user, with /proc, and with nothing of the machine's."""
        script = 'mount -t proc proc "$0/proc" && user=$1 && shift && exec chroot --userspec="$user" "$0" "$@"'
        environment = dict(pair.split("=", 1) for pair in self.config["Env"])
        return subprocess.Popen(["unshare", "--mount", "--", "/bin/sh", "-c", script, self.root, self.config["User"], *command],
                                env=environment, text=True, stdout=output, stderr=subprocess.STDOUT)

    def test_the_same_files_give_the_same_digest(self):
        again = os.path.join(self.work, "again")
        self.assertEqual(image.build(BUILD, again), self.digest)
        for name in ("sbom.spdx.json", "hyperway.tar"):
            with open(os.path.join(self.out, name), "rb") as one, open(os.path.join(again, name), "rb") as two:
                self.assertEqual(one.read(), two.read(), name)

    def test_it_runs_as_nobody_in_particular_and_starts_the_gateway(self):
        self.assertEqual((self.config["User"], self.config["Entrypoint"]), ("65532:65532", ["/hyperway"]))
        with open(os.path.join(SOURCE, "Dockerfile"), encoding="utf-8") as file:
            dockerfile = file.read()
        self.assertIn("USER " + self.config["User"], dockerfile)
        self.assertIn('ENTRYPOINT ["/hyperway"]', dockerfile)
        for variable in self.config["Env"]:
            self.assertIn(variable, dockerfile)

    def test_the_dockerfile_installs_what_the_build_needs(self):
        with open(os.path.join(SOURCE, "dev"), encoding="utf-8") as file:
            needed = set(re.search(r'^build_packages="([^"]*)"', file.read(), re.M).group(1).split())
        with open(os.path.join(SOURCE, "Dockerfile"), encoding="utf-8") as file:
            installed = set(file.read().split())
        for_tests = {"ccache", "python3-yaml", "doctest-dev", "nlohmann-json3-dev"}
        self.assertEqual(needed - for_tests - installed, set())

    def test_both_programs_are_where_the_contract_says(self):
        for name in ("hyperway", "hyperway_controller"):
            for path in (f"/{name}", f"/usr/bin/{name}"):
                with self.subTest(path), self.inside(path, "--version") as process:
                    said = process.communicate(timeout=30)[0]
                    self.assertEqual((process.returncode, image.version() in said), (0, True), said)

    def test_a_request_goes_through_it(self):
        backend = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        self.addCleanup(backend.server_close)
        self.addCleanup(backend.shutdown)
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        port, admin = free_ports(2)
        for name, text in (("manifests.yaml", MANIFESTS.format(port=port)),
                           ("hyperway.yaml", CONFIGURATION.format(backend=backend.server_port, admin=admin))):
            with open(os.path.join(self.root, "tmp", name), "w", encoding="utf-8") as file:
                file.write(text)
            self.addCleanup(os.remove, os.path.join(self.root, "tmp", name))
        log = self.enterContext(tempfile.TemporaryFile("w+", encoding="utf-8"))
        process = self.inside("/hyperway", "run", "--config", "/tmp/hyperway.yaml", output=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def said():
            log.seek(0)
            return log.read()
        deadline = time.monotonic() + 60
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            self.addCleanup(connection.close)
            try:
                connection.request("GET", "/hello")
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    self.fail(f"{error}\n{said()}")
                time.sleep(0.05)
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b"/hello filter"))
        process.terminate()
        self.assertEqual(process.wait(timeout=60), 0, said())

    def test_nothing_in_it_can_be_written_by_others_or_gives_rights(self):
        for name, _, status in self.files():
            if stat.S_ISLNK(status.st_mode):
                continue
            with self.subTest(name):
                if name != "tmp":
                    self.assertEqual(stat.S_IMODE(status.st_mode) & 0o7022, 0)
                expected = 65532 if name in ("run/hyperway", "var/lib/hyperway") else 0
                self.assertEqual((status.st_uid, status.st_gid), (expected, expected))

    def test_it_has_no_shell_and_nothing_that_is_not_needed(self):
        programs = [name for name, path, status in self.files()
                    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o111 and ".so" not in name]
        self.assertEqual(programs, ["usr/bin/hyperway"])
        loaded = set()
        for _, path, _ in self.files():
            if image.is_elf(path) and (path.endswith("bin/hyperway") or "/plugins/" in path):
                loaded |= {os.path.basename(library) for library in image.libraries(path)}
        folder = f"usr/lib/{os.uname().machine}-linux-gnu"
        leads = {os.path.basename(os.path.realpath(f"/{folder}/{name}")) for name in loaded}
        self.assertEqual(set(os.listdir(os.path.join(self.root, folder))), loaded | leads)
        self.assertLess(sum(s.st_size for _, _, s in self.files() if stat.S_ISREG(s.st_mode)), 64 << 20)

    def test_every_file_is_accounted_for_by_a_package_with_its_version(self):
        packages = self.packages()
        self.assertEqual(packages.pop("hyperway"), image.version())
        seen = set()
        for name, path, status in self.files():
            if "lib/" in name and ".so" in name and "hyperway" not in name:
                owner = image.owner("/" + name).partition(":")[0]
                self.assertIn(owner, packages, name)
                seen.add(owner)
        self.assertEqual(seen | {"ca-certificates"}, set(packages))
        for name, number in packages.items():
            with self.subTest(name):
                self.assertEqual(image.run("dpkg-query", "--show", "--showformat=${Version}", name).split("\n")[0], number)
                with open(os.path.join(self.root, "var/lib/dpkg/status.d", name), encoding="utf-8") as file:
                    self.assertIn(f"Version: {number}\n", file.read())
                self.assertTrue(os.path.getsize(os.path.join(self.root, "usr/share/doc", name, "copyright")))
        with open(os.path.join(self.root, "usr/share/doc/hyperway/sbom.spdx.json"), "rb") as one, \
                open(os.path.join(self.out, "sbom.spdx.json"), "rb") as two:
            self.assertEqual(one.read(), two.read())

    def test_a_layout_that_was_tampered_with_is_refused(self):
        broken = os.path.join(self.work, "broken")
        shutil.copytree(os.path.join(self.out, "hyperway"), broken)
        self.addCleanup(shutil.rmtree, broken)
        largest = max((os.path.join(broken, "blobs/sha256", name) for name in os.listdir(os.path.join(broken, "blobs/sha256"))),
                      key=os.path.getsize)
        with open(largest, "r+b") as file:
            file.seek(1000)
            byte = file.read(1)
            file.seek(1000)
            file.write(bytes([byte[0] ^ 1]))
        with self.assertRaisesRegex(SystemExit, "is something else"):
            image.unpack(broken, os.path.join(self.work, "nowhere"))

    def test_the_archive_is_what_engines_load(self):
        names = subprocess.run(["tar", "-tf", os.path.join(self.out, "hyperway.tar")], check=True, capture_output=True,
                               text=True).stdout.split()
        with open(os.path.join(self.out, "hyperway/manifest.json"), encoding="utf-8") as file:
            entry, = json.load(file)
        self.assertEqual(entry["RepoTags"], ["hyperway:" + image.version()])
        for name in ("oci-layout", "index.json", "manifest.json", entry["Config"], *entry["Layers"]):
            self.assertIn(name, names)
        self.assertRegex(self.digest, re.compile("^sha256:[0-9a-f]{64}$"))


if __name__ == "__main__":
    unittest.main()
