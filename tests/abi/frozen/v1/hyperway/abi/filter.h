// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_ABI_FILTER_H
#define HYPERWAY_ABI_FILTER_H

/// Filters: plugins that see and change requests and responses. Factory "hyperway.filter/1".
///
/// A *class* is static; a *configuration* is made from JSON on the control thread and used by all
/// workers at once; a *filter* is one stream's instance. The head hooks see the message as the
/// filters before left it. Everything is done through the services `stream/1`, `body/1` and
/// `waker/1`; a hook's answer is its verdict.

#include "base.h"
#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_FILTER_FACTORY "hyperway.filter/1"

/// One filter's handle on one stream: a request with its response. Belongs to the host, ends with
/// `stream_destroy`, and knows which filter it was given to: never hand it to another filter.
typedef struct hw_stream hw_stream;

/// A view of one body chunk, valid for the hook's call. Belongs to the host.
typedef struct hw_body hw_body;

/// Verdict of a hook. Anything that is not in the list reads as HW_FLOW_FAULT: fail closed.
typedef int32_t hw_flow;
enum {
  /// Pass on what I was given, as I edited it.
  HW_FLOW_CONTINUE = 0,
  /// From a body hook: keep the chunk, and call me again with it and more, or at the end. From a
  /// head hook: keep the head, still editable, and run my body hooks until one continues. The host
  /// buffers up to the route's limit, then answers 413 (request) or 502 (response).
  HW_FLOW_HOLD = 1,
  /// Stop reading from that peer; nothing comes until hw_stream_api.resume, which my waker allows.
  /// Costs no memory; the stream's timeouts go on, and it still ends if the client leaves.
  HW_FLOW_PAUSE = 2,
  /// I have set an answer by hw_stream_api.respond. Without one, this reads as a fault.
  HW_FLOW_RESPONDED = 3,
  /// This filter is broken: 500 if the response head is not yet out, else a reset. Counted.
  HW_FLOW_FAULT = -1
};

/// Bits of the `flags` of head and body hooks. Unknown bits are to be ignored.
enum {
  HW_END_OF_STREAM = 1u << 0 /* head: no body follows; body: this is the last chunk */
};

/// Bits that name hooks: in hw_filter_class.interest, hw_stream_api.ignore and resume, and in
/// on_wake's `paused_hooks`.
enum {
  HW_HOOK_REQUEST_HEAD = 1u << 0,
  HW_HOOK_REQUEST_BODY = 1u << 1,
  HW_HOOK_REQUEST_TRAILERS = 1u << 2,
  HW_HOOK_RESPONSE_HEAD = 1u << 3,
  HW_HOOK_RESPONSE_BODY = 1u << 4,
  HW_HOOK_RESPONSE_TRAILERS = 1u << 5
};

/// Further bits of hw_filter_class.interest. Bits that the host does not know make it refuse the
/// class, since it could not keep what they ask for.
enum {
  /// My body hook may change the number of bytes: the host then reframes the message.
  HW_INTEREST_REQUEST_RESIZE = 1u << 16,
  HW_INTEREST_RESPONSE_RESIZE = 1u << 17,
  /// Call my request head hook for a CORS preflight that only matches with the method it asks for.
  /// Filters without this bit are not run on such a request, which never reaches a backend.
  HW_INTEREST_PREFLIGHT = 1u << 18
};

/// Why a stream ended; argument of stream_destroy. An unknown value reads as HW_END_ABORTED.
enum {
  HW_END_COMPLETE = 0,      /* the whole response was handed to the client's connection */
  HW_END_ABORTED = 1,       /* the gateway cut it: fault, limit, drain */
  HW_END_CLIENT_GONE = 2,   /* the client closed or reset */
  HW_END_UPSTREAM_LOST = 3, /* the backend closed or reset within the response */
  HW_END_TIMEOUT = 4
};

/// A class of filters. Static; owned by the plugin; lives as long as the process.
///
/// A hook is called only if its bit is in `interest` and its pointer is not null. If
/// `stream_create` is null, the class needs no memory per stream: the hooks then get the
/// configuration as `filter` (shared by all workers, so to be treated as const), and
/// `stream_destroy` is not called.
typedef struct hw_filter_class {
  uint32_t struct_size;
  uint32_t interest; /* HW_HOOK_* | HW_INTEREST_*; no bit, no cost */
  const char *id;    /* what an ExtensionRef's Filter names; [A-Za-z0-9._-], at most 63 */

  /// Parses and checks a configuration. Answers the same for the same bytes, contacts nothing,
  /// starts no thread: `hyperway check` and the controller run it too. The result is constant in
  /// meaning and may hold synchronised state of its own. Problems go to `diag` with a JSON pointer;
  /// a warning alone does not refuse. On HW_OK `*config` may be null. On an error `*config` is not
  /// looked at. [control]
  hw_status (*config_create)(const hw_host *host, hw_bytes json, const hw_diag *diag,
                             void **config);
  /// Frees it, after the last stream that used it. May be null. [control]
  void (*config_destroy)(void *config);
  /// Makes a filter for a stream; an error answers 500. On an error nothing is kept. May be null,
  /// see above. [worker]
  hw_status (*stream_create)(const void *config, hw_stream *stream, void **filter);

  /// The request head is complete. Called before any body hook. [worker]
  hw_flow (*on_request_head)(void *filter, hw_stream *stream, uint32_t flags);
  /// A chunk of the request body; with HW_END_OF_STREAM it may be empty. [worker]
  hw_flow (*on_request_body)(void *filter, hw_stream *stream, hw_body *chunk, uint32_t flags);
  /// The request's trailers, after the last chunk, if there are any. [worker]
  hw_flow (*on_request_trailers)(void *filter, hw_stream *stream);
  /// The final response head (never 1xx), from the backend or from a filter. [worker]
  hw_flow (*on_response_head)(void *filter, hw_stream *stream, uint32_t flags);
  /// A chunk of the response body. [worker]
  hw_flow (*on_response_body)(void *filter, hw_stream *stream, hw_body *chunk, uint32_t flags);
  /// The response's trailers. [worker]
  hw_flow (*on_response_trailers)(void *filter, hw_stream *stream);
  /// My waker fired. `paused_hooks` has the bit of each hook that I paused in; end the pause by
  /// hw_stream_api.resume, here or later. Several wakes with one token may be merged. Never called
  /// while another hook of the stream runs. May be null if no waker is taken. [worker]
  void (*on_wake)(void *filter, hw_stream *stream, uint32_t paused_hooks, uint64_t token);
  /// The stream is over; called exactly once for each stream_create that answered HW_OK. The
  /// stream's arena is still there, its messages are not. `reason` is HW_END_*. [worker]
  void (*stream_destroy)(void *filter, int32_t reason);
} hw_filter_class;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
