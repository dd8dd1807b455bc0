// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_DRAFT_CALLOUT_H
#define HYPERWAY_ABI_DRAFT_CALLOUT_H

/// Service "hyperway.callout/draft-1": a filter asks the host to send a request of its own to a
/// backend, on the stream's worker, without blocking it. A draft: it may still change.
///
/// Which backends: those that the object with the filter's configuration names (a Filter's
/// `spec.backendRefs`, an HTTPRoute's `externalAuth.backendRef`), by their place in that list. The
/// host resolves them as it resolves backends of routes: endpoints, balance, TLS, PROXY header and
/// HTTP/1.1 or HTTP/2 are what the Service and its policies say. A filter whose backend does not
/// resolve is not run at all: its rule answers 500.
///
/// How: `begin` in any hook, then usually HW_FLOW_PAUSE. When the answer is complete, or will never
/// be, the host calls on_wake with the request's token, never before the hook that began it has
/// returned; `answer` then says what came of it, and hw_stream_api.resume ends the pause. What is
/// not ended by `end` ends with the stream, or with the attempt that a backend's filter belongs to:
/// the request is then cancelled.

#include "../filter.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_CALLOUT_SERVICE "hyperway.callout/draft-1"

/// A callout of one filter on one stream; 0 is never valid.
typedef uint32_t hw_callout;

/// What came of a callout. Only HW_CALLOUT_ANSWERED has a status, fields and a body. An unknown
/// value reads as HW_CALLOUT_BROKEN.
enum {
  HW_CALLOUT_ANSWERED = 0, /* a complete answer, whatever its status */
  HW_CALLOUT_PENDING = 1,  /* nothing yet */
  HW_CALLOUT_UNREACHABLE =
      2,                   /* no endpoint, no connection, or no TLS session that can be trusted */
  HW_CALLOUT_TIMEOUT = 3,  /* not complete in time */
  HW_CALLOUT_BROKEN = 4,   /* the answer broke off, or is no HTTP */
  HW_CALLOUT_TOO_LARGE = 5 /* its body has more bytes than were asked for */
};

/// Bits of hw_callout_request.flags; unknown ones are ignored.
enum {
  /// The backend may get the request twice: it is sent again if the connection broke without a
  /// word, whatever its method.
  HW_CALLOUT_REPEATABLE = 1u << 0
};

/// Which fields of an answer. An unknown value answers HW_UNSUPPORTED.
enum { HW_CALLOUT_FIELDS = 0, HW_CALLOUT_TRAILERS = 1 };

/// A request to send. The host copies everything.
typedef struct hw_callout_request {
  uint32_t struct_size;
  uint32_t flags;      /* HW_CALLOUT_REPEATABLE */
  uint32_t backend;    /* place in the list of backends, from 0 */
  uint32_t timeout_ms; /* from `begin` to the end of the answer, 1..300000 */
  uint32_t max_body;   /* most bytes of the answer's body; the host may allow fewer */
  uint32_t field_count;
  uint64_t token;         /* for on_wake */
  hw_bytes method;        /* a token; not CONNECT */
  hw_bytes authority;     /* host, or host:port; may be empty */
  hw_bytes path;          /* absolute, with its query */
  const hw_field *fields; /* the same rules as for hw_stream_api.field_add; framing is the host's */
  hw_bytes body;
} hw_callout_request;

/// What came of a callout. Filled in by the host as far as `struct_size`, which the plugin sets,
/// reaches.
typedef struct hw_callout_answer {
  uint32_t struct_size;
  int32_t outcome; /* HW_CALLOUT_ANSWERED, ... */
  int32_t status;  /* 200..599; 0 without an answer */
  uint32_t field_count;
  uint32_t trailer_count;
  uint32_t reserved;
  hw_bytes body; /* valid until `end` */
} hw_callout_answer;

/// What get_service gives for HW_CALLOUT_SERVICE; static, owned by the host.
typedef struct hw_callout_api {
  uint32_t struct_size;
  uint32_t reserved;
  /// Sends a request. HW_INVALID: something in it is malformed; HW_REFUSED: a field that is the
  /// host's; HW_NOT_FOUND: no such backend; HW_LIMIT: the filter's stream has too many callouts, or
  /// the request is too large. Failures of the backend come by on_wake, never from here. [worker]
  hw_status (*begin)(hw_stream *stream, const hw_callout_request *request, hw_callout *callout);
  /// What came of it so far. HW_NOT_FOUND: no callout of this filter. [worker]
  hw_status (*answer)(const hw_stream *stream, hw_callout callout, hw_callout_answer *answer);
  /// Field `index` of the answer (HW_CALLOUT_FIELDS or _TRAILERS), as sent; those that belong to
  /// one connection or frame the message are not listed. Valid until `end`. HW_INVALID: no such
  /// index. HW_NOT_FOUND. [worker]
  hw_status (*field_at)(const hw_stream *stream, hw_callout callout, int32_t which, uint32_t index,
                        hw_field *field);
  /// Ends it: one under way is cancelled, and no on_wake comes of it any more. HW_NOT_FOUND.
  /// [worker]
  hw_status (*end)(hw_stream *stream, hw_callout callout);
  /// Number of backends that the filter has. [worker]
  uint32_t (*backend_count)(const hw_stream *stream);
} hw_callout_api;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
