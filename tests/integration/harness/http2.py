# SPDX-License-Identifier: Apache-2.0
"""The backend's side of HTTP/2, for scripts of backend.Backend: by the h2 module where the backend is
honest, by frames made by hand where it is not."""
import struct
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    """The bytes of a frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(*fields):
    """Literal fields that no table keeps (RFC 7541 6.2.2)."""
    def text(value):
        value = value.encode("latin-1") if isinstance(value, str) else value
        if len(value) < 127:
            return bytes([len(value)]) + value
        rest, size = len(value) - 127, b"\x7f"
        while rest >= 128:
            size += bytes([rest % 128 + 128])
            rest //= 128
        return size + bytes([rest]) + value
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


def headers(stream, *fields, end=False):
    """A HEADERS frame."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(*fields))


def data(stream, payload, end=False):
    """A DATA frame."""
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def reset(stream, code):
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last, code=0):
    """A GOAWAY frame."""
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code))


class Request:
    """What came on one stream."""

    def __init__(self, stream):
        self.stream = stream
        self.fields = []        # In order, pseudo fields among them.
        self.body = b""
        self.trailers = None
        self.ended = threading.Event()
        self.reset = None       # The code of the gateway's RST_STREAM.

    def get(self, name):
        """The value of a field, or None."""
        return dict(self.fields).get(name)


class Http2:
    """One connection. Windows are given back as bytes come, unless `reading` is False."""

    def __init__(self, connection, settings=None):
        self.connection = connection
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.requests = {}
        self.reading = True
        self.over = False
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        """Sends what the module has to say."""
        self.connection.send(self.h2.data_to_send())

    def read(self):
        """The events of the next bytes; [] once the gateway has closed."""
        try:
            came = self.connection.socket.recv(1 << 16)
        except OSError:
            came = b""
        if not came:
            self.over = True
            return []
        try:
            events = self.h2.receive_data(came)
        except h2.exceptions.ProtocolError:  # A test that lies past the module confuses it.
            self.over = True
            return []
        for event in events:
            self._note(event)
        self.flush()
        return events

    def _note(self, event):
        if isinstance(event, h2.events.RequestReceived):
            request = self.requests[event.stream_id] = Request(event.stream_id)
            request.fields = [(str(n), str(v)) for n, v in event.headers]
        request = self.requests.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.DataReceived):
            request.body += event.data
            if self.reading and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            request.trailers = [(str(n), str(v)) for n, v in event.headers]
        elif isinstance(event, h2.events.StreamReset):
            request.reset = event.error_code
            request.ended.set()
        elif isinstance(event, h2.events.StreamEnded):
            request.ended.set()

    def until(self, what):
        """Reads until what() is true; False if the gateway closes before."""
        while not what():
            if not self.read() and self.over:
                return False
        return True

    def request(self, number=0, ended=True):
        """The request on the stream of that number among those that came, complete or only its head."""
        def there():
            return len(self.requests) > number and (not ended or list(self.requests.values())[number].ended.is_set())
        if not self.until(there):
            raise OSError("the gateway closed")
        return list(self.requests.values())[number]

    def head(self, stream, status=200, fields=(), end=False):
        """Sends a response head."""
        self.h2.send_headers(stream, [(":status", str(status)), *fields], end_stream=end)
        self.flush()

    def body(self, stream, payload, end=False):
        """Sends body bytes, as the gateway's windows allow."""
        while payload or end:
            if not self.until(lambda: self.h2.local_flow_control_window(stream) > 0 or not payload):
                raise OSError("the gateway closed")
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            part, payload = payload[:room], payload[room:]
            self.h2.send_data(stream, part, end_stream=end and not payload)
            self.flush()
            if not payload:
                return

    def trailers(self, stream, *fields):
        """Sends trailers, which end the response."""
        self.h2.send_headers(stream, fields, end_stream=True)
        self.flush()

    def answer(self, stream, status=200, payload=b"", fields=(), trailers=()):
        """A whole response."""
        self.head(stream, status, [("content-length", str(len(payload))), *fields], end=not payload and not trailers)
        if payload:
            self.body(stream, payload, end=not trailers)
        if trailers:
            self.trailers(stream, *trailers)

    def send(self, raw):
        """Bytes past the module."""
        self.connection.send(raw)


def serving(handler, settings=None):
    """A script: every request, once complete, goes to handler(http2, request)."""
    def script(connection):
        http2 = Http2(connection, settings)
        done = set()
        while not http2.over:
            for stream, request in list(http2.requests.items()):
                if request.ended.is_set() and stream not in done:
                    done.add(stream)
                    if request.reset is None:
                        connection.requests.append(request)
                        handler(http2, request)
            http2.read()
    return script
