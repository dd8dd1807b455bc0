# SPDX-License-Identifier: Apache-2.0
"""The interoperability cases of gRPC pass between its own client and server with the gateway in the middle."""
import os
import tempfile
import unittest

import tools
from harness import gateway as gw
from harness import tls
from harness.case import Case
from harness.manifests import API, app, gateway, gateway_class, listener, secret

PATIENT = ("-soak_overall_timeout_seconds=45", "-soak_per_iteration_max_acceptable_latency_ms=20000")
# The cases of google.golang.org/grpc/interop/client that a proxy can pass: all but those of NEEDS_CREDENTIALS and
# NEEDS_ANOTHER_SERVER.
CASES = {
    "empty_unary": (), "large_unary": (), "client_streaming": (), "server_streaming": (), "ping_pong": (),
    "empty_stream": (), "timeout_on_sleeping_server": (), "cancel_after_begin": (), "cancel_after_first_response": (),
    "status_code_and_message": (), "special_status_message": (), "custom_metadata": (), "unimplemented_method": (),
    "unimplemented_service": (),
    # They are about many calls here, not about how fast a busy machine answers each.
    "rpc_soak": ("-soak_iterations=100", "-soak_num_threads=4", *PATIENT),
    "channel_soak": ("-soak_iterations=20", *PATIENT),
    "orca_per_rpc": ('-service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}',),
    "orca_oob": ('-service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}',),
}
# Why the others are left out: they are about who the client is to Google's servers, and ask those for it.
NEEDS_CREDENTIALS = ("compute_engine_creds", "service_account_creds", "jwt_token_creds", "per_rpc_creds",
                     "oauth2_auth_token", "google_default_credentials", "compute_engine_channel_credentials")
# It asks for the server's id, which the server of the same module does not tell, without a gateway neither.
NEEDS_ANOTHER_SERVER = ("pick_first_unary",)
NAME = "grpc.example"


def grpc_route(name, section, services=()):
    """A GRPCRoute from a listener to the server, for all services or for those named."""
    rule = {"backendRefs": [{"name": "app", "port": 8080}]}
    if services:
        rule["matches"] = [{"method": {"service": service}} for service in services]
    return {"apiVersion": API, "kind": "GRPCRoute", "metadata": {"name": name, "namespace": "default"},
            "spec": {"parentRefs": [{"name": "gw", "sectionName": section}], "rules": [rule]}}


class Interop(Case):
    limit_seconds = 120

    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        certificate, key = tls.self_signed(NAME)
        cls.authority = os.path.join(cls.folder, "ca.pem")
        with open(cls.authority, "wb") as file:
            file.write(certificate)
        cls.server = cls.enterClassContext(tools.Server("grpc_server", "-port=PORT"))
        # What a client asks of a service that no route knows is answered by the gateway on one listener, and by the
        # server on the other.
        cls.gateway = cls.enterClassContext(gw.Gateway(
            gateway_class(), gateway([listener(), listener("https", 443, "HTTPS", None, ["cert"])]),
            secret("cert", certificate, key), *app("app", cls.server), grpc_route("plain", "http"),
            grpc_route("secure", "https", ("grpc.testing.TestService", "xds.service.orca.v3.OpenRcaService"))))

    def check(self, port, *options):
        """Runs each case against a port."""
        for case, more in CASES.items():
            with self.subTest(case):
                status, output = tools.run("grpc_client", "-server_host=127.0.0.1", f"-server_port={port}",
                                           f"-test_case={case}", *options, *more, seconds=50)
                self.assertEqual(status, 0, output[-4000:])

    def test_every_case_passes_in_plain_text(self):
        self.check(self.gateway.port(80))

    def test_every_case_passes_over_tls(self):
        self.check(self.gateway.port(443), "-use_tls", "-use_test_ca", "-ca_file=" + self.authority, "-server_host_override=" + NAME)

    def test_the_client_has_no_other_cases_but_those_that_need_credentials(self):
        _, said = tools.run("grpc_client", "-help")
        for case in CASES:
            if "soak" not in case:  # which its usage does not name
                self.assertIn(f"{case}", said)
        known = set(CASES) | set(NEEDS_CREDENTIALS) | set(NEEDS_ANOTHER_SERVER)
        named = {line.split(":")[0].strip() for line in said.partition("Valid options are:")[2].splitlines()
                 if line.startswith("    \t        ") and ":" in line}
        self.assertTrue(named, said[:2000])
        self.assertEqual({name for name in named if "_" in name} - known, set())


if __name__ == "__main__":
    unittest.main()
