# SPDX-License-Identifier: Apache-2.0
"""Certificates made by the openssl program, and TLS clients that decide on SNI and ALPN themselves."""
import functools
import os
import ssl
import subprocess
import tempfile


@functools.lru_cache(maxsize=None)
def self_signed(*names, kind="ec", days=30, serial=1):
    """A self-signed certificate for DNS names: (certificate PEM, key PEM). Another `serial` makes
    another certificate."""
    key = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
           "rsa": ["-newkey", "rsa:2048"]}[kind]
    with tempfile.TemporaryDirectory() as folder:
        crt, pem = os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key")
        alt = ",".join(f"DNS:{name}" for name in names)
        subprocess.run(
            ["openssl", "req", "-x509", *key, "-nodes", "-keyout", pem, "-out", crt,
             "-days", str(days), "-set_serial", str(serial), "-subj", f"/CN={names[0]}",
             "-addext", f"subjectAltName={alt}"], check=True, capture_output=True)
        with open(crt, "rb") as c, open(pem, "rb") as k:
            return c.read(), k.read()


def client_context(alpn=None, minimum=None, maximum=None, ciphers=None, signature=None):
    """A context that trusts everyone: tests look at the certificate themselves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def der(pem):
    """The DER form of a certificate, as ssl.SSLSocket.getpeercert(True) gives it."""
    return ssl.PEM_cert_to_DER_cert(pem.decode())
