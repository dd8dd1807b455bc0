# SPDX-License-Identifier: Apache-2.0
"""The cases of the Autobahn test suite for WebSocket pass through the gateway: framing, fragmentation, control frames,
UTF-8, closing, messages up to 16 MiB and compression, between clients and servers of others.

HTTP/2 (RFC 8441) is spoken by Go's net/http, which ws_bridge puts between HTTP/1 and it; it copies bytes only.
"""
import asyncio
import os
import unittest

import tools
from harness import gateway as gw
from harness import tls
from harness.case import Case
from harness.manifests import app, gateway, gateway_class, listener, route, rule, secret

import kosoku  # the cases and who runs them; on the path by tools

HTTP2 = {"GODEBUG": "http2xconnect=1"}  # Go speaks RFC 8441 only if asked
# All cases but most of those for compression: of the 18 sizes of each of its 12 settings the first, unless all are wanted.
# What the gateway has to do with it is over after the handshake.
SETTINGS = [f"12.{i}.1" for i in range(1, 6)] + [f"13.{i}.1" for i in range(1, 8)]
PLAIN = [f"{group}.*" for group in (*range(1, 8), 9, 10)]
CASES = None if os.environ.get("HYPERWAY_FULL") else PLAIN + SETTINGS
COUNT, PLAIN_COUNT = 313 if CASES else 517, 301
# coder/websocket has another close code for a reason that is not UTF-8, without a gateway too.
OF_THE_CLIENT = {"7.5.1"}


def h2c(objects):
    """The objects of an app whose Service says that it speaks HTTP/2."""
    objects[0]["spec"]["ports"][0]["appProtocol"] = "kubernetes.io/h2c"
    return objects


class WebSocket(Case):
    limit_seconds = 1800 if os.environ.get("HYPERWAY_FULL") else 300

    @classmethod
    def setUpClass(cls):
        cls.echo = cls.enterClassContext(tools.Server("ws_server", "-addr=127.0.0.1:PORT"))
        to_echo = f"-to=http://127.0.0.1:{cls.echo.port}"
        cls.http2_echo = cls.enterClassContext(tools.Server("ws_bridge", "-from-h2", to_echo, environment=HTTP2))
        cls.fuzzing_port = tools.ports.free_port()
        fuzzing = type("Fuzzing", (), {"host": "127.0.0.1", "port": cls.fuzzing_port})
        cls.gateway = cls.enterClassContext(gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", *tls.self_signed("a.example")), *app("echo", cls.echo), *h2c(app("http2", cls.http2_echo)),
            *app("fuzzing", fuzzing),
            route("echo", [rule(["echo"])]), route("http2", [rule(["http2"])], ["h2.example"]),
            route("fuzzing", [rule(["fuzzing"])], ["fuzzing.example"])))

    def judge(self, results, count=COUNT, but=()):
        """All cases were run, and passed but for some."""
        bad = [f"{r.case_id}: {r.behavior.value}, {r.behavior_close.value}: {r.result} {r.result_close}"
               for r in results if not r.passed and r.case_id not in but]
        self.assertEqual(bad, [])
        self.assertEqual(len(results), count)

    def fuzz(self, port):
        """Results of the cases that are run against the echo server behind a port."""
        async def run():
            try:
                return await kosoku.run_fuzzingclient(f"ws://127.0.0.1:{port}/m", cases=CASES)
            except kosoku.FailureError as failure:
                return failure.results
        return asyncio.run(run())

    def test_all_cases_pass_to_a_server_over_http_1(self):
        self.judge(self.fuzz(self.gateway.port(80)))

    def test_all_cases_pass_from_a_client_over_http_1(self):
        # Without those for compression, which kosoku 0.1 cannot serve.
        async def serve():
            try:
                async with kosoku.run_fuzzingserver(cases=PLAIN, port=self.fuzzing_port) as server:
                    client = await asyncio.to_thread(
                        tools.run, "ws_client", f"-url=ws://127.0.0.1:{self.gateway.port(80)}", "-host=fuzzing.example",
                        seconds=300)
                    self.assertEqual(client[0], 0, client[1][-4000:])
                    return await server.get_result()
            except kosoku.FailureError as failure:
                return failure.results
        self.judge(asyncio.run(serve()), PLAIN_COUNT, OF_THE_CLIENT)

    def bridged(self, url, *options):
        """The port of a bridge to the gateway over HTTP/2."""
        return self.use(tools.Server("ws_bridge", "-to=" + url, *options, environment=HTTP2)).port

    def test_all_cases_pass_over_http_2_in_plain_text(self):
        port = self.bridged(f"http://127.0.0.1:{self.gateway.port(80)}")
        self.judge(self.fuzz(port))

    def test_all_cases_pass_over_http_2_and_tls(self):
        port = self.bridged(f"https://127.0.0.1:{self.gateway.port(443)}", "-host=a.example")
        self.judge(self.fuzz(port))

    def test_all_cases_pass_to_a_backend_over_http_2(self):
        front = self.bridged(f"http://127.0.0.1:{self.gateway.port(80)}", "-host=h2.example")
        self.judge(self.fuzz(front))


if __name__ == "__main__":
    unittest.main()
