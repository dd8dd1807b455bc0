# SPDX-License-Identifier: Apache-2.0
"""A real backend (Debian's nginx) and a real client (curl) on either side of the gateway."""
import hashlib
import os
import subprocess
import threading
import unittest

from harness import gateway as gw
from harness import tls
from harness.case import Case
from harness.client import Client
from harness.manifests import app, gateway, gateway_class, listener, route, secret
from harness.nginx import Nginx

BLOB = os.urandom(1 << 20) * 20


class NginxAndCurl(Case):
    limit_seconds = 60

    @classmethod
    def setUpClass(cls):
        cls.nginx = Nginx(keepalive_requests=50)
        cls.nginx.put("index.html", b"<p>hello</p>\n")
        cls.nginx.put("big.bin", BLOB)
        cls.nginx.put("limited/slow.bin", BLOB[:100000])
        cls.nginx.put("gzip/text.txt", b"all work and no play " * 5000)
        cls.gateway = gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", *tls.self_signed("a.example")), *app("app", cls.nginx), route())

    @classmethod
    def tearDownClass(cls):
        try:
            cls.gateway.stop()
        finally:
            cls.nginx.__exit__()

    def curl(self, path, *arguments, scheme="http", data=None, fails=False):
        """Runs curl; returns its standard output."""
        url = f"{scheme}://127.0.0.1:{self.gateway.port(443 if scheme == 'https' else 80)}{path}"
        done = subprocess.run(["curl", "-sS", "-k", "--max-time", "30", *arguments, url], input=data,
                              capture_output=True, check=False)
        if not fails:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_page(self):
        for options in ((), ("--http1.0",), ("--http1.1",), ("-H", "Connection: close")):
            with self.subTest(options):
                self.assertEqual(self.curl("/index.html", *options), b"<p>hello</p>\n")
        self.assertEqual(self.curl("/index.html", scheme="https"), b"<p>hello</p>\n")

    def test_head_conditional_range_and_redirect(self):
        head = self.curl("/big.bin", "-I").decode()
        self.assertIn(f"Content-Length: {len(BLOB)}", head)
        tag = [x.split(": ", 1)[1] for x in head.splitlines() if x.lower().startswith("etag")][0]
        self.assertIn("304", self.curl("/big.bin", "-H", f"If-None-Match: {tag}", "-w", "%{http_code}").decode())
        self.assertEqual(self.curl("/big.bin", "-r", "1000-1999"), BLOB[1000:2000])
        self.assertEqual(self.curl("/moved", "-o", "/dev/null", "-w", "%{http_code}"), b"301")
        self.assertEqual(self.curl("/none", "-w", "%{http_code}"), b"204")

    def test_a_large_download_plain_and_encrypted(self):
        want = hashlib.sha256(BLOB).digest()
        for scheme in ("http", "https"):
            for options in ((), ("--http1.0",)):
                with self.subTest(scheme=scheme, options=options):
                    self.assertEqual(hashlib.sha256(self.curl("/big.bin", *options, scheme=scheme)).digest(), want)

    def test_a_slow_backend(self):
        self.assertEqual(self.curl("/limited/slow.bin"), BLOB[:100000])

    def test_a_slow_client(self):
        self.assertEqual(self.curl("/big.bin", "--limit-rate", "10M"), BLOB)

    def test_uploads_with_expect_and_without(self):
        for scheme in ("http", "https"):
            for name, options in (("length", ("-T", "-", "-H", "Transfer-Encoding:", "-H",
                                              f"Content-Length: {len(BLOB)}")),
                                  ("chunked", ("-T", "-")), ("expect", ("-T", "-", "-H", "Expect: 100-continue"))):
                with self.subTest(scheme=scheme, name=name):
                    where = f"/put/{scheme}-{name}.bin"
                    self.assertEqual(self.curl(where, *options, "-w", "%{http_code}", data=BLOB, scheme=scheme)[-3:],
                                     b"201")
                    with open(self.nginx.www + where, "rb") as file:
                        self.assertEqual(hashlib.sha256(file.read()).digest(), hashlib.sha256(BLOB).digest())

    def test_compressed_answers_pass_untouched(self):
        packed = self.curl("/gzip/text.txt", "-H", "Accept-Encoding: gzip")
        self.assertEqual(packed[:2], b"\x1f\x8b")
        self.assertEqual(self.curl("/gzip/text.txt", "--compressed"), b"all work and no play " * 5000)

    def test_a_backend_that_ends_connections_after_so_many_requests_fails_nobody(self):
        # nginx says Connection: close at the 50th request of a connection.
        with Client(self.gateway.port(80)) as client:
            for _ in range(500):
                self.assertEqual(client.ask("GET", "/index.html").status, 200)

    def test_many_clients_at_once(self):
        bad = []

        def load():
            for _ in range(5):
                try:
                    if self.curl("/index.html") != b"<p>hello</p>\n":
                        bad.append("body")
                except AssertionError as error:
                    bad.append(error)
        threads = [threading.Thread(target=load) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(bad, [])

    def test_several_requests_on_one_connection_by_curl(self):
        base = f"http://127.0.0.1:{self.gateway.port(80)}"
        done = subprocess.run(["curl", "-sS", "-w", "%{num_connects}\n", *[f"{base}/none"] * 5], capture_output=True,
                              check=True, text=True)
        self.assertEqual(done.stdout.split(), ["1", "0", "0", "0", "0"])

    def test_what_nginx_sees(self):
        seen = self.curl("/echo?x=1", "-H", "Host: shop.example").decode().split(" ")
        self.assertEqual(seen[:4], ["GET", "/echo?x=1", "shop.example", "127.0.0.1"])


if __name__ == "__main__":
    unittest.main()
