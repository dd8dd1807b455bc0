// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_BASE_H
#define HYPERWAY_ABI_BASE_H

/// hyperway plugin ABI: the types that every other header of this folder uses.
///
/// These headers are C11 (and valid C++), need nothing but <stddef.h> and <stdint.h>, and are the
/// reference: prose elsewhere explains, they decide. A plugin may be written in any language that
/// can follow them; `hyperway/sdk` is a C++20 layer on top, compiled into the plugin.
///
/// Compatibility policy
/// 1. What a release contained never changes: name, signature, layout, numbering, ownership,
///    threading.
/// 2. What no release contained may change freely. Headers under `draft/` count as not contained.
/// 3. To change something, its successor is added beside it.
/// 4. New values are added only to enumerations that flow from the side that may be older towards
///    one that knows them; every enumeration states how an unknown value is read, and that reading
///    is the safe one.
/// 5. Removal needs a new major version, and a host serves the previous major for at least a year.
///
/// Negotiation
/// - Every struct that crosses the boundary starts with `uint32_t struct_size`, set by the side
///   that owns the struct to what its own headers say. Fields are only appended. A reader takes a
///   field only if HW_HAS says that it is there; absent means the documented default.
/// - Three structs are frozen for good and carry no size, because they are passed by value or in
///   arrays: hw_bytes, hw_field, hw_waker.
///
/// Thread tags: every function has exactly one.
/// - [control]  the control thread; never two at a time in the process
/// - [worker]   the worker that owns the stream, for the stream's whole life; never two at a time
///              for one stream, many at a time for one configuration; must not block
/// - [any]      every thread, concurrently
///
/// Memory
/// - Who allocates frees. No pointer is freed on the other side.
/// - Bytes that go in are borrowed for the call; the callee copies what it keeps.
/// - Text is UTF-8 with a length; only static ids (`const char *`) are NUL-terminated.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Version of these headers. A wrong major is refused at load; see hw_plugin_manifest.
#define HW_ABI_MAJOR 1
#define HW_ABI_MINOR 0

/// True if the struct behind `ptr` (written by the other side) is large enough to hold `field`.
#ifdef __cplusplus
#define HW_HAS(type, ptr, field) \
  ((ptr)->struct_size >= offsetof(type, field) + sizeof(static_cast<type *>(nullptr)->field))
#else
#define HW_HAS(type, ptr, field) \
  ((ptr)->struct_size >= offsetof(type, field) + sizeof(((type *)0)->field))
#endif

/// Result of a call: 0 is success, negative an error of the list below. Never a C enum type, whose
/// width is the compiler's choice. An unknown negative value reads as HW_FAILED, an unknown
/// positive one likewise.
typedef int32_t hw_status;
enum {
  HW_OK = 0,
  HW_FAILED = -1,      /* the general failure */
  HW_INVALID = -2,     /* an argument is malformed (a header name that is no token, a bad index) */
  HW_NOT_FOUND = -3,   /* there is no such thing on this stream */
  HW_REFUSED = -4,     /* the host's rules forbid it, e.g. editing Content-Length */
  HW_LIMIT = -5,       /* a bound of the host would be exceeded */
  HW_UNSUPPORTED = -6, /* this side does not know the value; always a legal answer */
  HW_WRONG_STATE = -7, /* legal at another time only, or on another thread */
  HW_NEED_FULL = -8    /* from a sink: it lost its place and needs the whole model */
};

/// Borrowed bytes; `data` may be null if `size` is 0. Never owned, not NUL-terminated. Frozen.
typedef struct hw_bytes {
  const uint8_t *data;
  size_t size;
} hw_bytes;

/// A name and a value, both borrowed: a header field, or a key/value pair. Frozen.
typedef struct hw_field {
  hw_bytes name;
  hw_bytes value;
} hw_field;

/// Severity of a reported problem. An unknown value reads as HW_SEVERITY_ERROR.
enum { HW_SEVERITY_ERROR = 0, HW_SEVERITY_WARNING = 1, HW_SEVERITY_NOTE = 2 };

/// Collects problems; owned by whoever calls the function that takes it, valid for that call.
typedef struct hw_diag {
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  /// Reports one problem; may be called any number of times.
  /// `json_pointer` (RFC 6901) names the offending value in the document that was passed in, empty
  /// for the whole; `message` is one sentence in the user's words. Both are copied.
  /// [same thread as the call that received the hw_diag]
  void (*report)(void *ctx, int32_t severity, hw_bytes json_pointer, hw_bytes message);
} hw_diag;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
