// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hyperway::observe {

/// Form of the access log.
enum class AccessLogFormat : std::uint8_t { Off, Text, Json };

/// One finished request or flow. Views are needed during the call only.
struct AccessLogEntry {
  bool flow = false;                 ///< A connection or session as a whole: no status, no method,
                                     ///< no path; bytes are all that went through.
  std::int64_t wall_us = 0;          ///< Wall clock at the end, microseconds since the epoch.
  std::uint64_t latency_us = 0;      ///< First byte of the request to the end of the response.
  std::uint64_t bytes_received = 0;  ///< Request body.
  std::uint64_t bytes_sent = 0;      ///< Response body.
  std::uint16_t status = 0;          ///< 0: no response went out.
  std::uint16_t attempts = 0;        ///< Exchanges with backends.
  std::string_view client;           ///< Address.
  std::string_view method;           ///< As received.
  std::string_view host;             ///< As received; of a flow, the name of its TLS handshake.
  std::string_view path;             ///< As the client sent it, normalised, with query.
  std::string_view protocol;         ///< "HTTP/1.1", "TCP", "TLS", "UDP".
  std::string_view listener;         ///< Listener key.
  std::string_view route;            ///< "namespace/name"; empty: none.
  std::string_view rule;             ///< Rule id.
  std::string_view upstream;         ///< Endpoint "ip:port"; empty: none.
  std::string_view request_id;       ///< X-Request-Id.
  std::string_view user_agent;       ///< As received.
  std::string_view grpc_status;      ///< grpc-status of an answer of gRPC; empty: none.
  std::string_view why;  ///< Reason of an answer of our own, or of a break; empty: none.
};

/// A ring of bytes from one worker to the log thread. Full means drop and count: a slow disk never
/// stops a request.
class AccessLogRing {
 public:
  /// `capacity` is a power of two.
  explicit AccessLogRing(std::size_t capacity);
  /// Copies one line in; false and counted if there is no room. Worker only.
  bool push(std::string_view line) noexcept;
  /// Appends all that is there to `out`. Log thread only.
  void drain(std::string& out);
  /// Lines dropped so far. [any]
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_.load(std::memory_order_relaxed);
  }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t mask_;
  std::atomic<std::size_t> head_{0};  // written by the worker
  std::atomic<std::size_t> tail_{0};  // written by the log thread
  std::atomic<std::uint64_t> dropped_{0};
};

/// Formats a line with its newline into `out` (cleared first). Bytes that are not printable ASCII
/// are escaped, so that a line is always one line and valid JSON where asked.
void formatAccessLog(AccessLogFormat format, const AccessLogEntry& entry, std::string& out);

/// Writes what workers logged, on a thread of its own: to standard output or a file that reopen()
/// opens anew. Never blocks a worker; what a full disk or a closed pipe refuses is dropped and
/// counted.
class AccessLogWriter {
 public:
  /// `path` empty: standard output. Throws std::system_error if the file cannot be opened.
  AccessLogWriter(AccessLogFormat format, std::string path, std::size_t workers);
  AccessLogWriter(const AccessLogWriter&) = delete;
  AccessLogWriter& operator=(const AccessLogWriter&) = delete;
  /// Writes what is left (bounded) and stops.
  ~AccessLogWriter();

  /// The ring of one worker; lives as long as the writer.
  [[nodiscard]] AccessLogRing& ring(std::size_t worker) { return *rings_.at(worker); }
  /// The form.
  [[nodiscard]] AccessLogFormat format() const noexcept { return format_; }
  /// Opens the file anew, after a rotation. [any]
  void reopen() noexcept { reopen_.store(true); }
  /// Lines and bytes lost, because rings were full or the disk was. [any]
  [[nodiscard]] std::uint64_t dropped() const noexcept;

 private:
  void run();
  bool open();
  void write(std::string_view bytes);

  AccessLogFormat format_;
  std::string path_;
  std::vector<std::unique_ptr<AccessLogRing>> rings_;
  int fd_ = -1;
  std::atomic<bool> reopen_{false};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> write_dropped_{0};
  std::thread thread_;
};

}  // namespace hyperway::observe
