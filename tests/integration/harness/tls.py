# SPDX-License-Identifier: Apache-2.0
"""Certificates made by the openssl program, and TLS clients that decide on SNI and ALPN themselves."""
import functools
import os
import ssl
import subprocess
import tempfile

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


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


class Authority:
    """A certification authority; `certificate` is its PEM."""

    def __init__(self, name="authority"):
        with tempfile.TemporaryDirectory() as folder:
            _openssl(folder, "req", "-x509", *NEW_KEY, "-keyout", "key", "-out", "crt", "-days", "30", "-subj",
                     f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                     "keyUsage=critical,keyCertSign")
            self.certificate, self._key = _read(folder, "crt"), _read(folder, "key")
        self._serial = 1

    def issue(self, *names, uris=(), usage="serverAuth", days=30, subject="leaf"):
        """(certificate PEM, key PEM) for DNS names and URIs, signed by this authority. It has ended
        already if `days` is negative."""
        self._serial += 1
        alt = ",".join([f"DNS:{name}" for name in names] + [f"URI:{uri}" for uri in uris])
        extensions = f"extendedKeyUsage={usage}\n" + (f"subjectAltName={alt}\n" if alt else "")
        with tempfile.TemporaryDirectory() as folder:
            for file, data in (("ca.crt", self.certificate), ("ca.key", self._key), ("ext", extensions.encode())):
                with open(os.path.join(folder, file), "wb") as out:
                    out.write(data)
            _openssl(folder, "req", "-new", *NEW_KEY, "-keyout", "key", "-out", "csr", "-subj", f"/CN={subject}")
            _openssl(folder, "x509", "-req", "-in", "csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial",
                     str(self._serial), "-days", str(days), "-extfile", "ext", "-out", "crt")
            return _read(folder, "crt"), _read(folder, "key")


def _openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)


def _read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def _with_pair(context, pair):
    """Loads (certificate PEM, key PEM) into a context."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair[0] + b"\n" + pair[1])
        file.flush()
        context.load_cert_chain(file.name)


def server_context(pair, clients=None, required=True, maximum=None, alpn=None):
    """What a backend serves with: (certificate PEM, key PEM), and the PEM of who signs its clients.
    `context.names` collects the names that clients ask for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _with_pair(context, pair)
    context.names = []
    context.sni_callback = lambda sock, name, ctx: context.names.append(name)
    if clients:
        context.load_verify_locations(cadata=clients.decode())
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    if maximum:
        context.maximum_version = maximum
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def client_context(alpn=None, minimum=None, maximum=None, ciphers=None, signature=None, pair=None):
    """A context that trusts everyone: tests look at the certificate themselves. `pair` is the client's
    own (certificate PEM, key PEM)."""
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
    if pair:
        _with_pair(context, pair)
    return context


def der(pem):
    """The DER form of a certificate, as ssl.SSLSocket.getpeercert(True) gives it."""
    return ssl.PEM_cert_to_DER_cert(pem.decode())
