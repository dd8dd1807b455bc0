// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_SERVICE_STREAM_H
#define HYPERWAY_ABI_SERVICE_STREAM_H

/// Service "hyperway.stream/1": heads, trailers, answer, arena and identity of a stream.
///
/// Views. Bytes that these functions return stay valid until the next edit of the same map (or of
/// the same text) or the end of the hook, whichever comes first. What a filter keeps longer it
/// copies, e.g. into the stream's arena. Setters copy.
///
/// Headers. Names compare without case. Setters check: a name must be a token (RFC 9110 §5.6.2), a
/// value without control bytes other than tab (§5.5), else HW_INVALID; blanks around a value are
/// taken off. Fields that frame the message or belong to one connection (Connection,
/// Content-Length, Expect, HTTP2-Settings, Keep-Alive, Proxy-Connection, TE, Trailer,
/// Transfer-Encoding, Upgrade) are the host's: they are not listed, and edits answer HW_REFUSED.
/// "Host" in a request is the text HW_TEXT_AUTHORITY: not listed either; reading and setting it by
/// name acts on that text, adding and removing it answers HW_REFUSED.
///
/// Speed. A name that is known at configuration time is interned once (`intern`); the *_id
/// functions then take the handle, and neither check nor hash it again.

#include "../filter.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_STREAM_SERVICE "hyperway.stream/1"

/// Which header map. Maps that are not there at the time of the call (the response's, in a request
/// hook) are empty, and edits answer HW_WRONG_STATE. An unknown value answers HW_UNSUPPORTED.
enum {
  HW_MAP_REQUEST = 0,
  HW_MAP_RESPONSE = 1,
  HW_MAP_REQUEST_TRAILERS = 2,
  HW_MAP_RESPONSE_TRAILERS = 3
};

/// An interned header name; 0 is never valid. Good on every stream until the process ends.
typedef uint32_t hw_header_id;

/// Texts of a stream. (w): may be set, in the request head hook only.
/// An unknown value answers HW_UNSUPPORTED.
enum {
  HW_TEXT_METHOD = 0,           /* "GET" */
  HW_TEXT_SCHEME = 1,           /* as the client sees it: "http", "https" */
  HW_TEXT_AUTHORITY = 2,        /* (w) as it goes to the backend: host, or host:port */
  HW_TEXT_HOST = 3,             /* the client's, lower case, without port; never changes */
  HW_TEXT_PATH = 4,             /* (w) absolute, normalised, without query */
  HW_TEXT_QUERY = 5,            /* (w) without '?'; HW_NOT_FOUND if there is no '?'; setting it to
                                   nothing takes the '?' away */
  HW_TEXT_CLIENT_AUTHORITY = 6, /* as the client sent it, never changes */
  HW_TEXT_PROTOCOL = 7,         /* the client's: "HTTP/1.1", "HTTP/2" */
  HW_TEXT_PEER_ADDRESS = 8,     /* the client's, as text, trusted proxies taken off */
  HW_TEXT_REQUEST_ID = 9,       /* X-Request-Id as it goes out */
  HW_TEXT_LISTENER = 10,        /* "gateway-namespace/gateway/listener" */
  HW_TEXT_ROUTE = 11,           /* "namespace/name"; HW_NOT_FOUND before the match */
  HW_TEXT_RULE = 12             /* the rule's name, else its index as text */
};

/// Numbers of a stream. (w): may be set. An unknown value answers HW_UNSUPPORTED.
enum {
  HW_NUMBER_STATUS = 0,      /* (w) of the response, 200..599, in response head hooks */
  HW_NUMBER_CLIENT_PORT = 1, /* of the listener, as the client saw it */
  HW_NUMBER_PEER_PORT = 2,
  HW_NUMBER_PREFIX_SIZE = 3, /* bytes of the original path that the rule's PathPrefix matched;
                                HW_NOT_FOUND if the match was no prefix match */
  HW_NUMBER_STREAM_ID = 4,   /* unique in the process, for logs */
  HW_NUMBER_REQUEST_LENGTH =
      5, /* bytes the request body was announced with; HW_NOT_FOUND: unknown */
  HW_NUMBER_RESPONSE_LENGTH = 6 /* likewise, of the response */
};

/// What get_service gives for HW_STREAM_SERVICE; static, owned by the host.
typedef struct hw_stream_api {
  uint32_t struct_size;
  uint32_t reserved;

  /// Interns a header name; the same name gives the same handle. 0 if it is no token or the
  /// process has too many (65,536). Legal in `init` and `config_create`. [control]
  hw_header_id (*intern)(const hw_host *host, hw_bytes name);

  /// Number of fields in a map, for field_at. [worker]
  uint32_t (*field_count)(const hw_stream *stream, int32_t map);
  /// Field `index` in the order of the message. HW_INVALID: no such index. [worker]
  hw_status (*field_at)(const hw_stream *stream, int32_t map, uint32_t index, hw_field *field);
  /// First value of a name. HW_NOT_FOUND. [worker]
  hw_status (*field_get)(const hw_stream *stream, int32_t map, hw_bytes name, hw_bytes *value);
  hw_status (*field_get_id)(const hw_stream *stream, int32_t map, hw_header_id name,
                            hw_bytes *value);
  /// The next value of a name: `*cursor` is 0 at first, and is set to where to go on. HW_NOT_FOUND
  /// when there is none left. For names that may occur several times. [worker]
  hw_status (*field_next)(const hw_stream *stream, int32_t map, hw_bytes name, uint32_t *cursor,
                          hw_bytes *value);
  /// Makes `value` the only value of a name. [worker]
  hw_status (*field_set)(hw_stream *stream, int32_t map, hw_bytes name, hw_bytes value);
  hw_status (*field_set_id)(hw_stream *stream, int32_t map, hw_header_id name, hw_bytes value);
  /// Appends a field, beside those that are there. [worker]
  hw_status (*field_add)(hw_stream *stream, int32_t map, hw_bytes name, hw_bytes value);
  hw_status (*field_add_id)(hw_stream *stream, int32_t map, hw_header_id name, hw_bytes value);
  /// Removes all fields of a name; HW_NOT_FOUND if there was none. [worker]
  hw_status (*field_remove)(hw_stream *stream, int32_t map, hw_bytes name);
  hw_status (*field_remove_id)(hw_stream *stream, int32_t map, hw_header_id name);

  /// Reads a text (HW_TEXT_*). HW_NOT_FOUND, HW_UNSUPPORTED. [worker]
  hw_status (*text)(const hw_stream *stream, int32_t what, hw_bytes *value);
  /// Sets a text. HW_INVALID: not valid in its place (a path that does not begin with '/', a space
  /// or control byte, a malformed host); HW_REFUSED: not to be set; HW_WRONG_STATE: the request
  /// head is gone. A path is forwarded as set; matching is not repeated. [worker]
  hw_status (*set_text)(hw_stream *stream, int32_t what, hw_bytes value);
  /// Reads a number (HW_NUMBER_*). [worker]
  hw_status (*number)(const hw_stream *stream, int32_t what, int64_t *value);
  /// Sets a number. HW_INVALID, HW_REFUSED, HW_WRONG_STATE. [worker]
  hw_status (*set_number)(hw_stream *stream, int32_t what, int64_t value);

  /// Sets the answer of this filter, to be followed by the verdict HW_FLOW_RESPONDED from a request
  /// hook, or from the response head hook (the backend's answer is then dropped). `status` is
  /// 200..599. Framing is the host's; the same rules for fields as above. Everything is copied.
  /// HW_INVALID, HW_REFUSED, HW_LIMIT; HW_WRONG_STATE once a response head is out. [worker]
  hw_status (*respond)(hw_stream *stream, int32_t status, const hw_field *fields,
                       uint32_t field_count, hw_bytes body);

  /// Memory that ends with the stream; aligned to `alignment` (a power of two, at most 16). Null
  /// if the stream's budget is used up. Not initialised, never freed singly. [worker]
  void *(*alloc)(hw_stream *stream, size_t size, size_t alignment);

  /// Ends a pause of one hook (HW_HOOK_*), with the verdict that the hook would have given. Legal
  /// outside of that hook only, typically in on_wake. HW_WRONG_STATE if that hook is not paused.
  /// The message goes on after the calling hook returned. [worker]
  hw_status (*resume)(hw_stream *stream, uint32_t hook, hw_flow verdict);
  /// Drops hooks (bits) of this filter for the rest of this stream: a filter that is done with a
  /// body then costs nothing more. [worker]
  void (*ignore)(hw_stream *stream, uint32_t hooks);

  /// Number of workers, constant while the process runs; 1 in `hyperway check`. [any]
  uint32_t (*worker_count)(const hw_host *host);
  /// Index of the worker that owns the stream, 0..worker_count-1. [worker]
  uint32_t (*worker_index)(const hw_stream *stream);
} hw_stream_api;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
