# SPDX-License-Identifier: Apache-2.0
"""ExternalAuth filters, and the few messages of Envoy's ext_authz, as bytes."""
import struct

from .manifests import backend_ref


def auth(name="auth", protocol="HTTP", namespace=None, port=8080, body=None, **settings):
    """An ExternalAuth filter."""
    what = {"protocol": protocol, "backendRef": backend_ref(name, port, namespace=namespace)}
    if protocol in ("HTTP", "GRPC"):
        what[protocol.lower()] = settings
    if body is not None:
        what["forwardBody"] = {"maxSize": body}
    return {"type": "ExternalAuth", "externalAuth": what}


def varint(value):
    """A number as protobuf writes it."""
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def part(field, content):
    """A field: text, bytes or a number."""
    if isinstance(content, int):
        return varint(field << 3) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def header(name, value, append=None, action=None):
    """A HeaderValueOption."""
    out = part(1, part(1, name) + part(2, value))
    if append is not None:
        out += part(2, part(1, int(append)) if append else b"")
    return out + (part(3, action) if action else b"")


def fields_of(message):
    """[(field, value)] of a message."""
    out, at = [], 0

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(message):
        tag = number()
        value = number()
        if tag & 7 == 2:
            value, at = message[at:at + value], at + value
        out.append((tag >> 3, value))
    return out


def at(message, *path):
    """What lies at a path of field numbers, the first of each."""
    for field in path:
        message = dict(reversed(fields_of(message))).get(field)
        if message is None:
            return None
    return message


OK = part(1, b"")


def ok(body):
    """A CheckResponse that allows."""
    return OK + part(3, body)


def denied(body, code=7):
    """A CheckResponse that does not."""
    return part(1, part(1, code)) + part(2, body)


def framed(message):
    """A message as gRPC sends it."""
    return b"\0" + struct.pack(">I", len(message)) + message


def answer_call(http2, request, message):
    """Answers a call with this message."""
    http2.head(request.stream, 200, [("content-type", "application/grpc")])
    http2.body(request.stream, framed(message))
    http2.trailers(request.stream, ("grpc-status", "0"))
