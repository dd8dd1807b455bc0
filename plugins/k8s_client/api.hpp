// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Requests to an API server and their answers, without saying how they travel. Code that talks to
/// the API takes an Api, and its tests a scripted one.
namespace hyperway::k8s_client {

/// Time as this library counts it; a test brings a clock of its own.
using TimePoint = std::chrono::steady_clock::time_point;
/// Lengths of time.
using Duration = std::chrono::steady_clock::duration;

/// Why a request did not succeed.
struct Error {
  /// What went wrong.
  enum class Kind : std::uint8_t {
    None,      ///< Nothing.
    Setup,     ///< Our side: a file that cannot be read, a name that does not resolve.
    Connect,   ///< No connection: refused, unreachable, TLS failed.
    Broken,    ///< The connection ended before the answer did.
    Timeout,   ///< No answer in time.
    TooLarge,  ///< The answer is larger than allowed.
    Status,    ///< An answer with a status of 400 or more.
    Invalid,   ///< The answer is not what the API promises.
    Stopped,   ///< The client was stopped.
  };
  /// One field of a Status with reason Invalid.
  struct Cause {
    std::string field;    ///< "spec.rules[0].name"
    std::string message;  ///< In the server's words.
  };
  Kind kind = Kind::None;     ///< None: there is no error.
  int status = 0;             ///< HTTP status, for Kind::Status.
  std::string reason;         ///< metav1.Status reason: "Conflict", "NotFound" …
  std::string message;        ///< A sentence.
  std::vector<Cause> causes;  ///< Fields that were refused (422).
  std::optional<std::chrono::seconds> retry_after;  ///< Retry-After, or details.retryAfterSeconds.

  /// True if there is one.
  explicit operator bool() const noexcept { return kind != Kind::None; }
  /// "409 Conflict: message", with the fields, for logs.
  [[nodiscard]] std::string text() const;
  /// 404: the object or the resource is not there.
  [[nodiscard]] bool notFound() const noexcept { return status == 404; }
  /// 409: somebody else was first, or it exists already.
  [[nodiscard]] bool conflict() const noexcept { return status == 409; }
  /// A write of a field that the resource's schema does not have: a 500 of server-side apply, a 400
  /// of a write with strict().
  [[nodiscard]] bool fieldUnknown() const noexcept;
  /// True if the same request may succeed later: no connection, time-outs, 429, 5xx but for
  /// fieldUnknown().
  [[nodiscard]] bool transient() const noexcept;
};

/// Request::accept of who wants an object's metadata alone, which spares the server and us what may
/// be large. A server that cannot do that sends it whole.
inline constexpr std::string_view kMetadata =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
/// The same for a list.
inline constexpr std::string_view kMetadataList =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// A request. Paths are absolute and already escaped; see path() and escape().
struct Request {
  std::string method = "GET";                      ///< HTTP method.
  std::string path;                                ///< "/api/v1/…", query included.
  std::string body;                                ///< Empty: none.
  std::string content_type = "application/json";   ///< Of the body.
  std::string accept = "application/json";         ///< What the answer may be, by preference.
  std::chrono::milliseconds timeout{30000};        ///< Total, from call() to the last byte.
  std::size_t most_bytes = std::size_t{64} << 20;  ///< Bound of the answer's body.
};

/// An answer. Good if `error` is none; its `status` is then 200 to 299.
struct Reply {
  int status = 0;    ///< HTTP status; 0: none came.
  std::string body;  ///< As sent.
  Error error;       ///< Read from the body where it is a metav1.Status.

  /// True if there is no error.
  [[nodiscard]] bool ok() const noexcept { return !error; }
};

/// Takes an answer that has no end of its own, as it comes. All calls on the loop's thread.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  /// The server has begun to answer, with 200.
  virtual void onOpen() {}
  /// Bytes of a 200 answer, cut anywhere.
  virtual void onData(std::string_view bytes) = 0;
  /// It is over: by the server (no error), by an answer other than 200, or by what went wrong. Not
  /// called after cancel().
  virtual void onEnd(Error error) = 0;
};

/// The API server and the loop on which its answers arrive. One thread unless said otherwise.
class Api {
 public:
  /// Takes an answer, on the loop's thread.
  using Done = std::function<void(Reply)>;
  /// Names a stream or a timer; 0 names none.
  using Id = std::uint64_t;

  virtual ~Api() = default;
  /// Sends a request. `done` is called once, never from within this call.
  virtual void call(Request request, Done done) = 0;
  /// Begins a stream, such as a watch; its time-out bounds the wait for the head only. `handler`
  /// lives until onEnd() or cancel().
  [[nodiscard]] virtual Id stream(Request request, StreamHandler& handler) = 0;
  /// Ends a stream, or forgets a timer; its handler is called no more.
  virtual void cancel(Id id) = 0;
  /// Runs `task` after some time, on the loop's thread.
  virtual Id after(Duration delay, std::function<void()> task) = 0;
  /// The time, as timers count it.
  [[nodiscard]] virtual TimePoint now() const = 0;
};

/// Escapes a part of a path or a query value: all but letters, digits, and "-._~".
[[nodiscard]] std::string escape(std::string_view text);

/// "/api/v1/namespaces/NS/services/NAME": `group_version` is "v1" or "apps/v1", `name_space` may be
/// empty (cluster-scoped, or all namespaces), and so may `name` (the collection).
[[nodiscard]] std::string path(std::string_view group_version, std::string_view name_space,
                               std::string_view resource, std::string_view name = {},
                               std::string_view subresource = {});

/// `path` with "?name=value&…", values escaped.
[[nodiscard]] std::string withQuery(
    std::string path, const std::vector<std::pair<std::string_view, std::string_view>>& query);

/// Who writes, as managedFields and server-side apply know it.
inline constexpr std::string_view kFieldManager = "hyperway";

/// POST of a new object.
[[nodiscard]] Request createRequest(std::string path, std::string json);
/// PUT; the object's metadata.resourceVersion is the precondition.
[[nodiscard]] Request putRequest(std::string path, std::string json);
/// PATCH by RFC 7396.
[[nodiscard]] Request mergePatchRequest(std::string path, std::string json);
/// Server-side apply as kFieldManager. `force` takes over fields that others manage.
[[nodiscard]] Request applyRequest(std::string path, std::string json, bool force);
/// The same write, but a field that the resource's schema does not have is an error; else a server
/// leaves it out and only warns.
[[nodiscard]] Request strict(Request request);
/// DELETE. `uid` and `resource_version`, if not empty, are preconditions.
[[nodiscard]] Request removeRequest(std::string path, std::string_view uid = {},
                                    std::string_view resource_version = {});

/// Makes an Error of an answer's status, Retry-After value and body.
[[nodiscard]] Error errorOf(int status, std::string_view retry_after, std::string_view body);

/// The back-off before attempt `failures` + 1: doubles from `first` up to `most`, and `random`
/// (0..1) takes away up to half of it, so that many clients do not come back at once.
[[nodiscard]] std::chrono::milliseconds backOff(unsigned failures, std::chrono::milliseconds first,
                                                std::chrono::milliseconds most, double random);

}  // namespace hyperway::k8s_client
