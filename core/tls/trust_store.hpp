// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace hyperway::tls {

/// Trust anchors: whose signature makes a peer's certificate good. Each certificate among them is
/// an anchor by itself, also an intermediate or a leaf. Immutable; shared by contexts and threads.
class TrustStore {
 public:
  /// Out of PEM texts, each with one certificate at least. Error: which text and why, in the user's
  /// words.
  [[nodiscard]] static Result<std::shared_ptr<const TrustStore>, std::string> create(
      std::span<const std::string_view> bundles);
  /// What the machine trusts now: the file that SSL_CERT_FILE names, else that of ca-certificates,
  /// else OpenSSL's defaults. Error: it cannot be read.
  [[nodiscard]] static Result<std::shared_ptr<const TrustStore>, std::string> system();
  /// Tells one state of the file that system() reads from another, by what the file system knows of
  /// it; cheap. Empty: there is none.
  [[nodiscard]] static std::string systemState();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;
  ~TrustStore();

  /// OpenSSL's X509_STORE, for this layer only.
  [[nodiscard]] void* native() const noexcept { return native_; }

 private:
  TrustStore() = default;
  void* native_ = nullptr;
};

/// Empty if the text can serve as trust anchors; else why not. For translation and `hyperway
/// check`.
[[nodiscard]] std::string checkAuthorities(std::string_view bundle);

}  // namespace hyperway::tls
