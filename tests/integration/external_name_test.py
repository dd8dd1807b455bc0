# SPDX-License-Identifier: Apache-2.0
"""ExternalName Services that the configuration allows. They never reach loopback addresses, so this
process moves into a network namespace of its own, where it may give itself another address."""
import ctypes
import fcntl
import os
import socket
import struct
import unittest

from harness import gateway as gw
from harness.backend import Backend
from harness.case import Case
from harness.client import ask
from harness.manifests import backend_ref, gateway, gateway_class, path_match, route, rule, service
from harness.ports import free_port

OUTSIDE = "198.51.100.7"
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8913, 0x8914, 0x8916, 1


def enter_namespace():
    """A network namespace with loopback and OUTSIDE in it. Before the first thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"no network namespace: {os.strerror(error)}; it needs root or user namespaces")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        def up(name):
            flags = struct.unpack("16xH", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sH14x", name, 0))[:18])[0]
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name, flags | IFF_UP))
        up(b"lo")
        address = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(OUTSIDE))
        fcntl.ioctl(control, SIOCSIFADDR, address)
        up(b"lo:1")


class Served(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        enter_namespace()

    @staticmethod
    def outside(name, port, namespace="default"):
        """An ExternalName Service of OUTSIDE."""
        made = service(name, namespace)
        made["spec"] = {"type": "ExternalName", "externalName": OUTSIDE, "ports": [{"port": port}]}
        return made

    def test_an_address_is_served_where_the_namespace_is_opted_in(self):
        backend = self.use(Backend("out", host=OUTSIDE))
        process = self.use(gw.Gateway(
            gateway_class(), gateway(), self.outside("out", backend.port),
            route(rules=[rule([backend_ref("out", port=backend.port)])]),
            settings={"external_name_namespaces": ["default"]}))
        got = ask(process.port())
        self.assertEqual((got.status, got.body), (200, b"out"))
        self.assertEqual(process.condition("HTTPRoute/default/route", "ResolvedRefs")["status"], "True")

    def test_ports_of_the_gateway_itself_are_refused(self):
        """It would send requests to itself, or to its admin face."""
        bound, admin = free_port(), free_port()
        process = self.use(gw.Gateway(
            gateway_class(), gateway(), self.outside("self", bound), self.outside("admin", admin),
            route(rules=[rule([backend_ref("self", port=bound)], [path_match("/self")]),
                         rule([backend_ref("admin", port=admin)], [path_match("/admin")])]),
            listen={80: bound}, admin=admin, settings={
                "external_name_namespaces": ["*"], "listen": {80: f"0.0.0.0:{bound}"},
                "admin": {"address": f"0.0.0.0:{admin}"}}))
        for path in ("/self", "/admin"):
            self.assertEqual(ask(process.port(), "GET", path).status, 500)
        self.assertIn("port of the gateway",
                      process.condition("HTTPRoute/default/route", "ResolvedRefs")["message"])


if __name__ == "__main__":
    unittest.main()
