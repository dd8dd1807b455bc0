// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hyperway::observe {

/// Levels of the process log, least first.
enum class LogLevel : std::uint8_t { Debug, Info, Warning, Error, Off };

/// The level of that name ("debug", "info", "warning", "error", "off"); Info for any other.
[[nodiscard]] LogLevel logLevel(std::string_view name) noexcept;

/// The process log: one line each, to standard error or a file, written by a thread of its own.
/// Never blocks a caller: when its queue is full the oldest lines go, and what a full disk or a
/// stuck pipe does not take is dropped; both are counted. Control characters are escaped, so that a
/// line stays one line.
class ProcessLog {
 public:
  /// `path` empty: standard error. Throws std::system_error if the file cannot be opened.
  ProcessLog(LogLevel level, const std::string& path);
  ProcessLog(const ProcessLog&) = delete;
  ProcessLog& operator=(const ProcessLog&) = delete;
  /// Writes what is left (bounded) and stops.
  ~ProcessLog();

  /// Writes a line. [any]
  void write(LogLevel level, std::string_view message) noexcept;
  /// True if a line of that level would be written. [any]
  [[nodiscard]] bool enabled(LogLevel level) const noexcept;
  /// Changes the least level. [any]
  void setLevel(LogLevel level) noexcept;
  /// Opens the file anew, after a rotation. [any]
  void reopen() noexcept;
  /// Lines lost so far. [any]
  [[nodiscard]] std::uint64_t dropped() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hyperway::observe
