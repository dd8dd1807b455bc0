// SPDX-License-Identifier: Apache-2.0
#include "observe/access_log.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <system_error>

#include "base/assert.hpp"

namespace hyperway::observe {
namespace {

constexpr std::size_t kRingBytes = 1U << 20;
constexpr std::chrono::milliseconds kPollEvery{20};
constexpr int kWriteWaitMs = 200;

/// Appends `text` with quotes, backslashes and all that is not printable ASCII escaped as in JSON.
void appendEscaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(byte));
    } else {
      out += c;
    }
  }
}

void appendQuoted(std::string& out, std::string_view text) {
  out += '"';
  appendEscaped(out, text);
  out += '"';
}

void appendTime(std::string& out, std::int64_t wall_us) {
  const std::time_t seconds = wall_us / 1000000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                 parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                 parts.tm_sec, wall_us / 1000 % 1000);
}

void formatText(const AccessLogEntry& entry, std::string& out) {
  appendTime(out, entry.wall_us);
  out += ' ';
  out += entry.client;
  out += " \"";
  if (!entry.flow) {
    appendEscaped(out, entry.method);
    out += ' ';
    appendEscaped(out, entry.path);
    out += ' ';
  }
  out += entry.protocol;
  out += "\" ";
  if (entry.flow)
    out += '-';
  else
    fmt::format_to(std::back_inserter(out), "{}", entry.status);
  fmt::format_to(std::back_inserter(out), " {} {} {}.{:03}ms host=", entry.bytes_received,
                 entry.bytes_sent, entry.latency_us / 1000, entry.latency_us % 1000);
  const auto named = [&](std::string_view value) {
    if (value.empty())
      out += '-';
    else
      appendQuoted(out, value);
  };
  named(entry.host);
  out += " listener=";
  named(entry.listener);
  out += " rule=";
  named(entry.rule);
  out += " upstream=";
  named(entry.upstream);
  fmt::format_to(std::back_inserter(out), " attempts={} id=", entry.attempts);
  named(entry.request_id);
  out += " agent=";
  named(entry.user_agent);
  if (!entry.grpc_status.empty()) {
    out += " grpc=";
    named(entry.grpc_status);
  }
  out += " why=";
  named(entry.why);
  out += '\n';
}

void formatJson(const AccessLogEntry& entry, std::string& out) {
  out += "{\"time\":\"";
  appendTime(out, entry.wall_us);
  out += '"';
  const auto text = [&](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    fmt::format_to(std::back_inserter(out), ",\"{}\":", key);
    appendQuoted(out, value);
  };
  text("client", entry.client);
  text("method", entry.method);
  text("host", entry.host);
  text("path", entry.path);
  text("protocol", entry.protocol);
  if (!entry.flow) fmt::format_to(std::back_inserter(out), ",\"status\":{}", entry.status);
  fmt::format_to(std::back_inserter(out),
                 ",\"bytes_received\":{},\"bytes_sent\":{},\"latency_us\":{},\"attempts\":{}",
                 entry.bytes_received, entry.bytes_sent, entry.latency_us, entry.attempts);
  text("listener", entry.listener);
  text("route", entry.route);
  text("rule", entry.rule);
  text("upstream", entry.upstream);
  text("request_id", entry.request_id);
  text("user_agent", entry.user_agent);
  text("grpc_status", entry.grpc_status);
  text("why", entry.why);
  out += "}\n";
}

}  // namespace

AccessLogRing::AccessLogRing(std::size_t capacity)
    : bytes_(std::make_unique<char[]>(capacity)), mask_(capacity - 1) {
  HW_ASSERT(std::has_single_bit(capacity));
}

bool AccessLogRing::push(std::string_view line) noexcept {
  const std::size_t head = head_.load(std::memory_order_relaxed);
  const std::size_t used = head - tail_.load(std::memory_order_acquire);
  if (line.size() > mask_ + 1 - used) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  const std::size_t at = head & mask_;
  const std::size_t first = std::min(line.size(), mask_ + 1 - at);
  std::memcpy(bytes_.get() + at, line.data(), first);
  std::memcpy(bytes_.get(), line.data() + first, line.size() - first);
  head_.store(head + line.size(), std::memory_order_release);
  return true;
}

void AccessLogRing::drain(std::string& out) {
  const std::size_t tail = tail_.load(std::memory_order_relaxed);
  const std::size_t size = head_.load(std::memory_order_acquire) - tail;
  const std::size_t at = tail & mask_;
  const std::size_t first = std::min(size, mask_ + 1 - at);
  out.append(bytes_.get() + at, first);
  out.append(bytes_.get(), size - first);
  tail_.store(tail + size, std::memory_order_release);
}

void formatAccessLog(AccessLogFormat format, const AccessLogEntry& entry, std::string& out) {
  out.clear();
  if (format == AccessLogFormat::Json)
    formatJson(entry, out);
  else if (format == AccessLogFormat::Text)
    formatText(entry, out);
}

AccessLogWriter::AccessLogWriter(AccessLogFormat format, std::string path, std::size_t workers)
    : format_(format), path_(std::move(path)) {
  for (std::size_t i = 0; i < workers; ++i)
    rings_.push_back(std::make_unique<AccessLogRing>(kRingBytes));
  if (!open()) throw std::system_error(errno, std::generic_category(), "access log " + path_);
  if (format_ != AccessLogFormat::Off) {
    thread_ = std::thread([this] {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
      run();
    });
  }
}

AccessLogWriter::~AccessLogWriter() {
  stop_.store(true);
  if (thread_.joinable()) thread_.join();
  if (fd_ >= 0) ::close(fd_);
}

bool AccessLogWriter::open() {
  const int fd = path_.empty()
                     ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                     : ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return path_.empty();  // no standard output: everything is dropped and counted
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
  return true;
}

std::uint64_t AccessLogWriter::dropped() const noexcept {
  std::uint64_t sum = write_dropped_.load(std::memory_order_relaxed);
  for (const auto& ring : rings_) sum += ring->dropped();
  return sum;
}

void AccessLogWriter::run() {
  std::string batch;
  for (bool last = false; !last;) {
    last = stop_.load();
    if (reopen_.exchange(false)) (void)open();  // if that fails the old file goes on
    for (const auto& ring : rings_) {
      batch.clear();
      ring->drain(batch);
      if (!batch.empty()) write(batch);
    }
    if (!last) std::this_thread::sleep_for(kPollEvery);
  }
}

void AccessLogWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    // Wait for room rather than block for good: a reader that stopped must not keep us from
    // stopping.
    pollfd waiting{fd_, POLLOUT, 0};
    if (fd_ < 0 || ::poll(&waiting, 1, kWriteWaitMs) <= 0 || (waiting.revents & POLLOUT) == 0)
      break;
    // A pipe that polls writable takes at least PIPE_BUF without blocking.
    const ssize_t put = ::write(fd_, bytes.data(), std::min<std::size_t>(bytes.size(), 4096));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  if (!bytes.empty())
    write_dropped_.fetch_add(
        static_cast<std::uint64_t>(std::count(bytes.begin(), bytes.end(), '\n')),
        std::memory_order_relaxed);
}

}  // namespace hyperway::observe
