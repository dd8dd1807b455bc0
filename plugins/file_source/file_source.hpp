// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "hyperway/abi/manifest.h"
#include "hyperway/sdk/source.hpp"
#include "manifests.hpp"
#include "paths.hpp"
#include "settings.hpp"
#include "status_file.hpp"
#include "watcher.hpp"

namespace hyperway::file_source {

/// Files and directories of manifests as a source: what is in them is what is wanted. Reads once,
/// then follows inotify; a look at everything every `poll_seconds` finds what inotify missed. One
/// thread of its own reads and publishes; the calls below are on the control thread.
class FileSource {
 public:
  /// What the configuration file names.
  static constexpr const char* kId = "file_source";

  /// Reads the settings; touches no file.
  FileSource(sdk::Setup& setup, sdk::SourcePort port);
  /// stop()s.
  ~FileSource();
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  /// Begins to read on a thread of its own.
  void start();
  /// Ends that thread.
  void stop();
  /// Keeps statuses for the status file, if there is one.
  void reportStatus(std::uint64_t seq, std::string_view statuses);
  /// Answers with a note "file:line".
  hw_status locate(std::string_view key, std::string_view pointer, sdk::Problems& where);

 private:
  // What is watched in a directory, and why.
  struct Watched {
    bool manifests = false;     // every manifest in it counts
    bool certificates = false;  // it is one of `certificates`, or in one
    std::map<std::string, std::set<std::string>>
        names;  // an entry -> paths to look at when it changes
  };
  // Two files that make a Secret.
  struct Pair {
    std::string directory, name_space, name;
  };
  enum class Reason { Event, Poll };
  using Paths = std::unordered_set<std::string>;
  using Clock = std::chrono::steady_clock;

  void run();
  void scan(Reason reason);
  void scanRoot(const std::string& root, Reason reason, Paths& seen);
  void scanCertificates(const Settings::CertificateDirectory& from, Paths& seen);
  void loadPair(const std::string& directory, std::string_view name_space, const std::string& name,
                Paths& seen);
  void loadSelfSigned();
  void reload(const std::string& path);
  void keepBelow(const std::string& top, std::string why, Paths& seen);
  void forget(const std::string& path);
  [[nodiscard]] bool mayComeBack(const std::string& path);
  void removeGone();
  void visit(const std::string& path, Reason reason, bool again);
  template <class Content>  // std::string_view, or ConvertedFile of a file that is not known yet
  void take(const std::string& path, const Signature& signature, Content content);
  void watchPath(const std::string& path);
  void follow(const std::vector<WatchEvent>& events);
  [[nodiscard]] bool followOne(const WatchEvent& event);
  [[nodiscard]] bool followWrite(const WatchEvent& event);
  void visitChanged(const std::string& path);
  void publish(std::uint32_t flags);
  hw_status send(std::uint32_t flags, const Changes& changes);
  void reportHealth();
  [[nodiscard]] std::string lineOf(const Manifests::Origin& origin, std::string_view pointer) const;

  Settings settings_;
  sdk::SourcePort port_;
  sdk::Log log_;
  Watcher watcher_;
  std::map<std::string, Watched> watched_;
  std::unordered_map<std::string, Signature> signatures_;
  FileBuffer buffer_;  // what is being read
  std::map<std::string, Clock::time_point>
      being_written_;                              // path -> last write seen, not closed yet
  std::map<std::string, Clock::time_point> gone_;  // path -> since when; still in force
  std::map<std::string, Pair> pairs_;              // by the path of the certificate
  std::string self_signed_;                        // the Secret, as a manifest
  std::mutex mutex_;  // manifests_: locate() looks in from the control thread
  Manifests manifests_;
  StatusFile status_file_;
  std::string health_ = "not told yet";
  std::uint64_t sequence_ = 0;
  bool unsettled_ = false;  // a file was too fresh to be read; a poll soon does
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace hyperway::file_source
