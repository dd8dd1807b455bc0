# SPDX-License-Identifier: Apache-2.0
"""A WebSocket upgrade, as far as a gateway sees it."""
import base64
import hashlib

WEBSOCKET = ("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")


def accept(key):
    """What answers a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


def switch(key):
    """A backend's 101 to a request with that key."""
    return ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Accept: {accept(key)}\r\n\r\n").encode()


ACCEPT = accept("dGhlIHNhbXBsZSBub25jZQ==")
SWITCH = switch("dGhlIHNhbXBsZSBub25jZQ==")


def echo_tunnel(connection):
    """A backend's script: accepts an upgrade, then returns every byte."""
    request = connection.read_request()
    if request is None:
        return
    connection.send(switch(request.get("sec-websocket-key") or ""))
    while connection.reader.buffer or connection.reader.fill():
        data = bytes(connection.reader.buffer)
        connection.reader.buffer.clear()
        connection.send(data)
    connection.close()
