# SPDX-License-Identifier: Apache-2.0
"""Answers DNS queries on port 53 with the queried name and no records, in place of CoreDNS.

The official suite up to 1.6 has a Deployment of CoreDNS which must be ready before any test begins.
"""
import socket


def answer(query):
    """The reply to a query: its id and question, with the bits of an authoritative answer."""
    flags = bytes([0x84 | (query[2] & 0x01), 0x00])
    return query[:2] + flags + query[4:6] + b"\0\0\0\0\0\0" + query[12:]


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", 53))
        while True:
            query, client = listener.recvfrom(4096)
            if len(query) > 12:
                listener.sendto(answer(query), client)


if __name__ == "__main__":
    main()
