// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "k8s_client/api.hpp"
#include "k8s_client/config.hpp"

namespace hyperway::snapshot_source {

/// Who a data plane is in `status.dataPlanes`.
struct Identity {
  std::string name;        ///< Of the Pod, or of the machine with a number behind it.
  std::string name_space;  ///< Of the Pod; empty: it is none, and nobody can tell when it is gone.
};

/// From POD_NAME and POD_NAMESPACE, else from the machine's name.
[[nodiscard]] Identity identityFrom(const k8s_client::Environment& environment);

/// Our entry in the status of the snapshot: what we serve, and what of it we cannot. Written by
/// server-side apply under a manager of our own, at most once a second, and only if it differs.
/// Each write goes to all who watch the snapshot. So the more data planes there are, the longer one
/// waits, by chance, for a fifth of a second each; and for a second each once another one has said
/// the same, which is all that `Programmed` needs. The loop's thread.
class Presence {
 public:
  /// Told why it cannot be written; empty: it can.
  using Trouble = std::function<void(const std::string& text)>;
  /// The time as metav1.Time has it.
  using Now = std::function<std::string()>;
  /// From 0 to 1, by chance.
  using Random = std::function<double()>;

  /// `api` outlives this; `path` is that of the snapshot.
  Presence(k8s_client::Api& api, Identity identity, std::string name_space, std::string name,
           Trouble trouble, Now now, Random random = {});
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;
  ~Presence();

  /// What the host says: {"checksum", "refused": [...]}, and the generation that was looked at.
  void serves(std::int64_t generation, std::string_view status);
  /// The status that the snapshot has, as JSON; empty: none.
  void observe(std::string_view status);
  /// The snapshot is gone, and our entry with it.
  void lost();

 private:
  void consider();
  void write();
  [[nodiscard]] k8s_client::Duration spread() const;

  k8s_client::Api& api_;
  const Identity identity_;
  const std::string name_space_, name_;
  const Trouble trouble_;
  const Now now_;
  const Random random_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::string wanted_;  // our entry without time: a JSON text in the form of seen_
  std::string seen_;    // as the server has it
  std::string checksum_, refused_;
  std::int64_t generation_ = 0;
  std::size_t others_ = 0;           // data planes
  std::set<std::string> announced_;  // what they say, without generation
  k8s_client::Duration chosen_{};    // the spread that timer_ was set by
  bool there_ = false;               // the snapshot
  bool flying_ = false;
  k8s_client::Api::Id timer_ = 0;
  k8s_client::TimePoint not_before_{};
  std::string last_trouble_;
};

}  // namespace hyperway::snapshot_source
