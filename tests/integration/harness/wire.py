# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 read without any leniency: what could be read two ways is an error, not a guess.

Used on both ends: a backend reads requests with it, a client reads responses. Names and values are
kept as received, in order.
"""
import re

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
TARGET = re.compile(rb"[\x21-\x7e]+\Z")
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}\Z")
LENGTH = re.compile(rb"[0-9]{1,19}\Z")
STATUS = re.compile(rb"[1-9][0-9][0-9]\Z")


class Ambiguous(Exception):
    """Bytes that two readers could understand differently."""


class Truncated(Exception):
    """The peer closed inside a message."""


class Reader:
    """Bytes of one connection. `receive` gives the next ones, b"" at the end."""

    def __init__(self, receive):
        self._receive = receive
        self.buffer = bytearray()
        self.raw = bytearray()  # Everything ever received.
        self.ended = False

    def fill(self):
        """Waits for more bytes; False at the end of the stream."""
        if self.ended:
            return False
        data = self._receive()
        if not data:
            self.ended = True
            return False
        self.buffer += data
        self.raw += data
        return True

    def take(self, count):
        """Exactly `count` bytes."""
        while len(self.buffer) < count:
            if not self.fill():
                raise Truncated(f"closed after {len(self.buffer)} of {count} bytes")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def rest(self):
        """Everything until the peer closes."""
        while self.fill():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def line(self, limit=1 << 20):
        """One line without its CRLF. A bare CR or LF is an error."""
        begin = 0
        while True:
            end = self.buffer.find(b"\n", begin)
            if end >= 0:
                break
            begin = len(self.buffer)
            if begin > limit:
                raise Ambiguous("line without end")
            if not self.fill():
                raise Truncated(f"closed inside a line: {bytes(self.buffer[-80:])!r}")
        text = bytes(self.buffer[:end + 1])
        del self.buffer[:end + 1]
        if not text.endswith(b"\r\n"):
            raise Ambiguous(f"bare LF in {text!r}")
        if b"\r" in text[:-2]:
            raise Ambiguous(f"bare CR in {text!r}")
        return text[:-2]


class Message:
    """A head and its body. `fields` holds (name, value) pairs of text, as received."""

    def __init__(self):
        self.fields = []
        self.body = b""
        self.trailers = []
        self.framing = "none"  # none, length, chunked, close, tunnel
        self.length = None     # The Content-Length, if there was one.
        self.chunks = []       # Sizes of the chunks as received.

    def all(self, name):
        """All values of a field."""
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name, default=None):
        """The value of a field that may be there once at most."""
        values = self.all(name)
        if len(values) > 1:
            raise Ambiguous(f"{name} {len(values)} times: {values}")
        return values[0] if values else default

    def has(self, name):
        """True if there is such a field."""
        return bool(self.all(name))


class Request(Message):
    """A request; `target` as received, `path` its part before '?'."""

    def __init__(self):
        super().__init__()
        self.method = self.target = self.version = ""
        self.complete = False  # The body has arrived, too.

    @property
    def path(self):
        """The target without its query."""
        return self.target.split("?", 1)[0]

    def __repr__(self):
        return f"<{self.method} {self.target} {self.fields} {len(self.body)} bytes>"


class Response(Message):
    """A response; `interim` holds the 1xx answers before it."""

    def __init__(self):
        super().__init__()
        self.status = 0
        self.reason = self.version = ""
        self.interim = []

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.fields} {self.body[:200]!r}>"


def read_fields(reader):
    """Field lines up to and with the empty line."""
    fields = []
    while True:
        line = reader.line()
        if not line:
            return fields
        if line[:1] in b" \t":
            raise Ambiguous(f"folded line {line!r}")
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name):
            raise Ambiguous(f"bad field name in {line!r}")
        value = value.strip(b" \t")
        if not VALUE.match(value):
            raise Ambiguous(f"bad field value in {line!r}")
        fields.append((name.decode(), value.decode("latin-1")))
        if len(fields) > 1000:
            raise Ambiguous("more than 1000 fields")


def decide_framing(message):
    """Length or chunked, from the fields alone; None if neither is named."""
    codings, lengths = message.all("transfer-encoding"), message.all("content-length")
    if codings and lengths:
        raise Ambiguous(f"Transfer-Encoding {codings} with Content-Length {lengths}")
    if len(codings) > 1 or (codings and codings[0].lower() != "chunked"):
        raise Ambiguous(f"Transfer-Encoding {codings}")
    if len(lengths) > 1:
        raise Ambiguous(f"Content-Length {lengths}")
    if codings:
        if message.version != "HTTP/1.1":
            raise Ambiguous(f"Transfer-Encoding in {message.version}")
        return "chunked"
    if lengths:
        if not LENGTH.match(lengths[0].encode("latin-1")):
            raise Ambiguous(f"Content-Length {lengths[0]!r}")
        message.length = int(lengths[0])
        return "length"
    return None


def read_chunked(reader, message):
    """A chunked body with its trailers; no extensions, because a gateway must not pass them on."""
    parts = []
    while True:
        size_text = reader.line()
        if not CHUNK_SIZE.match(size_text):
            raise Ambiguous(f"chunk size {size_text!r}")
        size = int(size_text, 16)
        if size == 0:
            break
        parts.append(reader.take(size))
        message.chunks.append(size)
        if reader.take(2) != b"\r\n":
            raise Ambiguous("chunk data is not followed by CRLF")
    message.trailers = read_fields(reader)
    message.body = b"".join(parts)


def read_body(reader, message):
    """The body that `message.framing` says. Marks a request as complete."""
    if message.framing == "length":
        message.body = reader.take(message.length)
    elif message.framing == "chunked":
        read_chunked(reader, message)
    elif message.framing == "close":
        message.body = reader.rest()
    message.complete = True


def read_request_head(reader):
    """A request head, or None where the peer closed between requests."""
    while not reader.buffer:
        if not reader.fill():
            return None
    request = Request()
    parts = reader.line().split(b" ")
    if len(parts) != 3:
        raise Ambiguous(f"request line of {len(parts)} parts: {parts}")
    method, target, version = parts
    if not TOKEN.match(method) or not TARGET.match(target):
        raise Ambiguous(f"request line {parts}")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Ambiguous(f"version {version!r}")
    if not (target.startswith(b"/") or target == b"*"):
        raise Ambiguous(f"target {target!r} is not in origin form")
    if b"#" in target:
        raise Ambiguous(f"fragment in target {target!r}")
    request.method, request.target = method.decode(), target.decode()
    request.version = version.decode()
    request.fields = read_fields(reader)
    if len(request.all("host")) != 1:
        raise Ambiguous(f"Host {len(request.all('host'))} times")
    request.framing = decide_framing(request) or "none"
    return request


def read_request(reader):
    """A whole request, or None where the peer closed between requests."""
    request = read_request_head(reader)
    if request is not None:
        read_body(reader, request)
    return request


def read_response_head(reader, method="GET"):
    """One response head, interim or final, with its framing decided."""
    response = Response()
    line = reader.line()
    version, _, rest = line.partition(b" ")
    status, _, reason = rest.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not STATUS.match(status):
        raise Ambiguous(f"status line {line!r}")
    if not VALUE.match(reason):
        raise Ambiguous(f"reason {reason!r}")
    response.version, response.status = version.decode(), int(status)
    response.reason = reason.decode("latin-1")
    response.fields = read_fields(reader)
    named = decide_framing(response)
    if response.status == 101:
        response.framing = "tunnel"
        if named:
            raise Ambiguous(f"101 with framing fields {response.fields}")
    elif response.status < 200 or response.status == 204:
        if named:
            raise Ambiguous(f"{response.status} with framing fields {response.fields}")
    elif method == "HEAD" or response.status == 304:
        pass
    else:
        response.framing = named or "close"
    return response


def read_response(reader, method="GET"):
    """A final response with its body; interim answers are kept in `interim`."""
    interim = []
    while True:
        response = read_response_head(reader, method)
        if response.status >= 200 or response.status == 101:
            break
        interim.append(response)
    response.interim = interim
    read_body(reader, response)
    return response
