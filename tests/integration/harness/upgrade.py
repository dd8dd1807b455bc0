# SPDX-License-Identifier: Apache-2.0
"""A WebSocket upgrade, as far as a gateway sees it."""

WEBSOCKET = ("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SWITCH = ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n").encode()


def echo_tunnel(connection):
    """A backend's script: accepts an upgrade, then returns every byte."""
    if connection.read_request() is None:
        return
    connection.send(SWITCH)
    while connection.reader.buffer or connection.reader.fill():
        data = bytes(connection.reader.buffer)
        connection.reader.buffer.clear()
        connection.send(data)
    connection.close()
