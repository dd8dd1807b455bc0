# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand: frames of exact bytes out, frames in, for tests that a proper client cannot make.

Needs the distribution's `hpack`. Nothing here checks what it sends.
"""
import struct
import time

import hpack

from . import client

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9

END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT = 0, 1, 2, 3, 4
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = 5, 6, 7, 8, 9
CONNECT_ERROR, ENHANCE_YOUR_CALM = 10, 11


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """One frame; `length` lies about the payload's size."""
    size = len(payload) if length is None else length
    return struct.pack("!I", size)[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def settings(*pairs, ack=False):
    """A SETTINGS frame of (id, value) pairs."""
    return frame(SETTINGS, ACK if ack else 0, 0, b"".join(struct.pack("!HI", *pair) for pair in pairs))


def window(stream, by):
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack("!I", by))


def reset(stream, code=CANCEL):
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, struct.pack("!I", code))


def ping(data=b"12345678", ack=False):
    """A PING frame."""
    return frame(PING, ACK if ack else 0, 0, data)


def literal(name, value):
    """One field line in HPACK, without indexing and Huffman, so that any byte can stand in it."""
    def text(data):
        data = data.encode("latin-1") if isinstance(data, str) else data
        return integer(len(data), 7, 0) + data
    return b"\x00" + text(name) + text(value)


def integer(value, bits, first):
    """An HPACK integer (RFC 7541 §5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    out.append(value)
    return bytes(out)


def block(*lines):
    """A header block of (name, value) lines, nothing indexed."""
    return b"".join(literal(name, value) for name, value in lines)


def request_lines(method="GET", path="/", authority="example.com", scheme="http", more=()):
    """The lines of a usual request."""
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


def headers(stream, lines=None, end=True, flags=END_HEADERS, **kwargs):
    """A HEADERS frame; `lines` or the arguments of request_lines()."""
    lines = request_lines(**kwargs) if lines is None else lines
    return frame(HEADERS, flags | (END_STREAM if end else 0), stream, block(*lines))


def data(stream, body=b"", end=False, pad=None):
    """A DATA frame."""
    flags = END_STREAM if end else 0
    if pad is not None:
        return frame(DATA, flags | PADDED, stream, bytes([pad]) + body + bytes(pad))
    return frame(DATA, flags, stream, body)


class Frame:
    """One frame that came; `lines` are those of a header block, `code` that of RST_STREAM and GOAWAY."""

    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload
        self.lines, self.code, self.last = None, None, None
        if kind == RST_STREAM:
            self.code = struct.unpack("!I", payload)[0]
        if kind == GOAWAY:
            self.last, self.code = struct.unpack("!II", payload[:8])

    @property
    def end(self):
        """END_STREAM."""
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    def __repr__(self):
        names = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
                 "WINDOW_UPDATE", "CONTINUATION"]
        name = names[self.kind] if self.kind < len(names) else str(self.kind)
        what = self.lines or self.code if self.code is not None or self.lines else len(self.payload)
        return f"{name}({self.stream}, {self.flags:#x}, {what})"


class Answer:
    """What came on one stream."""

    def __init__(self):
        self.heads, self.body, self.trailers = [], bytearray(), None
        self.ended, self.reset = False, None

    @property
    def status(self):
        """Status of the final head, or None."""
        final = [dict(head)[":status"] for head in self.heads if dict(head)[":status"][0] != "1"]
        return int(final[0]) if final else None

    @property
    def interim(self):
        """Statuses of the interim heads."""
        return [int(dict(h)[":status"]) for h in self.heads if dict(h)[":status"][0] == "1"]

    def get(self, name):
        """A field of the final head, or None."""
        return dict(self.heads[-1]).get(name) if self.heads else None

    @property
    def over(self):
        """True if nothing more comes."""
        return self.ended or self.reset is not None


class FrameClient:
    """A connection that has said the preface. Reads until something is there; acknowledges SETTINGS.

    `grow` gives windows back at once; `window` is the first one of each stream.
    """

    def __init__(self, port, tls=None, sni=None, preface=True, first=(), grow=True, receive_buffer=None,
                 timeout=10.0):
        self.socket = client.Client(port, tls=tls, sni=sni, timeout=timeout,
                                    receive_buffer=receive_buffer).socket
        self.decoder = hpack.Decoder()
        self.decoder.max_allowed_table_size = 1 << 16
        self.buffer, self.frames, self.answers = bytearray(), [], {}
        self.grow, self.closed, self.theirs = grow, False, {}
        self.next_stream = 1
        self.timeout = timeout
        if preface:
            self.send(PREFACE + settings(*first))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes."""
        self.socket.close()

    def send(self, *pieces):
        """Sends bytes."""
        self.socket.sendall(b"".join(pieces))
        return self

    def try_send(self, *pieces):
        """Sends bytes; False if the peer does not want them any more."""
        try:
            self.send(*pieces)
            return True
        except OSError:
            return False

    def _take(self):
        if len(self.buffer) < 9:
            return None
        size = int.from_bytes(self.buffer[:3], "big")
        if len(self.buffer) < 9 + size:
            return None
        kind, flags = self.buffer[3], self.buffer[4]
        stream = struct.unpack("!I", self.buffer[5:9])[0] & 0x7fffffff
        one = Frame(kind, flags, stream, bytes(self.buffer[9:9 + size]))
        del self.buffer[:9 + size]
        return one

    def _note(self, one):
        self.frames.append(one)
        answer = self.answers.setdefault(one.stream, Answer()) if one.stream else None
        if one.kind == HEADERS:
            self._block = one
            self._payload = one.payload
        if one.kind == CONTINUATION:
            self._payload += one.payload
        if one.kind in (HEADERS, CONTINUATION) and one.flags & END_HEADERS:
            lines = [(n, v) for n, v in self.decoder.decode(self._payload)]
            self._block.lines = lines
            if any(name == ":status" for name, _ in lines):
                answer.heads.append(lines)
            else:
                answer.trailers = lines
            answer.ended = answer.ended or self._block.end
        if one.kind == DATA:
            answer.body += one.payload
            answer.ended = answer.ended or one.end
            if self.grow and one.payload:
                self.try_send(window(0, len(one.payload)),
                              b"" if one.end else window(one.stream, len(one.payload)))
        if one.kind == RST_STREAM:
            answer.reset = one.code
        if one.kind == SETTINGS and not one.flags & ACK:
            for at in range(0, len(one.payload), 6):
                name, value = struct.unpack("!HI", one.payload[at:at + 6])
                self.theirs[name] = value
            self.try_send(settings(ack=True))
        if one.kind == PING and not one.flags & ACK:
            self.try_send(ping(one.payload, ack=True))

    def read(self, timeout=None):
        """The next frame; None once the peer has closed. TimeoutError if nothing comes."""
        self.socket.settimeout(self.timeout if timeout is None else timeout)
        while True:
            one = self._take()
            if one is not None:
                self._note(one)
                return one
            try:
                got = self.socket.recv(1 << 16)
            except TimeoutError:
                raise
            except OSError:
                got = b""
            if not got:
                self.closed = True
                return None
            self.buffer += got

    def until(self, what, timeout=None):
        """Reads frames until what(self) is true; False if the peer closed before."""
        end = time.monotonic() + (timeout or self.timeout)
        while not what(self):
            if self.closed:
                return False
            try:
                self.read(max(0.01, end - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"nothing came that was waited for: {self.frames}") from None
        return True

    def answer(self, stream, timeout=None):
        """What came on a stream, once it is over or the connection is."""
        self.until(lambda c: stream in c.answers and c.answers[stream].over or c.goaway is not None and c.closed,
                   timeout)
        return self.answers.setdefault(stream, Answer())

    def request(self, method="GET", path="/", body=None, more=(), **kwargs):
        """Sends a request with indexed-free HPACK; returns its stream."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.send(headers(stream, method=method, path=path, more=more, end=body is None, **kwargs))
        if body is not None:
            while len(body) > 16384:
                self.send(data(stream, body[:16384]))
                body = body[16384:]
            self.send(data(stream, body, end=True))
        return stream

    def ask(self, method="GET", path="/", body=None, more=(), timeout=None, **kwargs):
        """request() and its answer."""
        return self.answer(self.request(method, path, body, more, **kwargs), timeout)

    @property
    def goaway(self):
        """The latest GOAWAY, or None."""
        found = [one for one in self.frames if one.kind == GOAWAY]
        return found[-1] if found else None

    def end(self, timeout=None):
        """Reads to the end of the connection; the GOAWAY's code, or None."""
        self.until(lambda c: c.closed, timeout)
        return self.goaway.code if self.goaway else None

    def alive(self):
        """True if a PING is answered."""
        mark = struct.pack("!d", time.monotonic())
        if not self.try_send(ping(mark)):
            return False
        return self.until(lambda c: any(f.kind == PING and f.flags & ACK and f.payload == mark
                                        for f in c.frames))
