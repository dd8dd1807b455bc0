// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/upstream/upstream_set.hpp"
#include "route/model.hpp"
#include "route/slots.hpp"
#include "tls/client_context.hpp"

namespace hyperway::proxy {

/// Makes the contexts that connections to backends need: one for each set of authorities that an
/// upstream trusts and each certificate that a listener shows. What stays the same keeps its
/// context, and with it its connections. [control]
class BackendContexts {
 public:
  /// Certificates that listeners show to backends, by CompiledListener::identity(); null for none.
  using Identities = std::vector<std::shared_ptr<const route::Certificate>>;
  /// Rows to be handed to the workers, by number of the upstream.
  using Rows = std::vector<std::pair<std::uint32_t, std::shared_ptr<const ContextRow>>>;

  /// `log` gets what cannot be made; may be empty.
  explicit BackendContexts(std::function<void(std::string_view)> log) : log_(std::move(log)) {}

  /// What a certificate that backends get to see says about itself, by route::Certificate::key.
  using Shown = std::map<std::string, tls::CertificateInfo>;

  /// Takes what listeners show from now on. Returns the rows of upstreams that have others than
  /// before.
  [[nodiscard]] Rows setIdentities(Identities identities);
  /// What is shown under that number, or null if it is another certificate than that of `key`.
  [[nodiscard]] std::shared_ptr<const route::Certificate> identity(std::size_t number,
                                                                   std::string_view key) const {
    const bool is_it =
        number < identities_.size() && identities_[number] && identities_[number]->key == key;
    return is_it ? identities_[number] : nullptr;
  }
  /// The row of an upstream that is new or has changed; null if it is reached in plain text, or is
  /// gone, or must not be reached.
  [[nodiscard]] std::shared_ptr<const ContextRow> rowOf(const route::SlotMap::SlotPtr& slot,
                                                        const route::Upstream* upstream);
  /// Reads the machine's authorities again if their file is another one than before. Returns the
  /// rows that have changed. What cannot be read is told once, and the last good state stays.
  [[nodiscard]] Rows rereadSystem();
  /// Certificates in use that are good.
  [[nodiscard]] const Shown& shown() const noexcept { return shown_; }

 private:
  // A set of authorities with the contexts that trust it.
  struct Trust {
    std::shared_ptr<const tls::TrustStore> store;  // null: it could not be made
    std::shared_ptr<const ContextRow> row;
  };
  struct User {
    std::weak_ptr<const route::SlotMap::Slot> slot;  // numbers are given out again
    std::shared_ptr<Trust> trust;
  };

  [[nodiscard]] std::shared_ptr<Trust> trustOf(const route::UpstreamTls& tls);
  [[nodiscard]] std::shared_ptr<const ContextRow> makeRow(const Trust& trust,
                                                          const Identities& before) const;
  // The rows of upstreams whose authorities have been given new ones.
  [[nodiscard]] Rows rowsOf(const std::set<const Trust*>& renewed) const;
  void forgetGone();
  void warn(const std::string& message) const;

  std::function<void(std::string_view)> log_;
  Identities identities_{nullptr};
  Shown shown_;
  std::string system_state_;                            // of the file, before it was read
  std::map<std::string, std::weak_ptr<Trust>> trusts_;  // by their PEM, or kSystem
  std::map<std::uint32_t, User> users_;
};

}  // namespace hyperway::proxy
