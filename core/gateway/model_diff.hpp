// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "gateway/listeners.hpp"
#include "gateway/tls.hpp"
#include "route/model.hpp"
#include "route/text_hash.hpp"

namespace hyperway::gateway {

/// Remembers which listeners, certificates and upstreams are in the model, and puts what differs
/// into a batch. [control]
class ModelDiff {
 public:
  /// Brings the listeners of a Gateway up to date. Those that are new or different start to wait
  /// for the data plane, unless `programmed_at_once`. Null: the Gateway `key` is gone.
  void putGateway(const std::string& key, GatewayState* gateway, bool programmed_at_once,
                  route::ModelBatch& batch);
  /// Brings the listeners of a snapshot up to date; `key` is told from Gateways by its first word.
  void putListeners(const std::string& key, std::map<std::string, route::Listener> now,
                    route::ModelBatch& batch);
  /// Brings what sinks are told of a Gateway as a whole up to date. Null: there is nothing to tell,
  /// or it is gone.
  void describeGateway(const std::string& key, const GatewayState* gateway,
                       route::ModelBatch& batch);
  /// Brings the certificates up to date with the listeners. To be called after the last
  /// putGateway() of a batch.
  void putCertificates(const ObjectStore& store, CertificateStore& certificates,
                       const CertificateCheck& check, route::ModelBatch& batch);
  /// Puts an upstream that is new or different.
  void putUpstream(route::Upstream upstream, route::ModelBatch& batch);
  /// Removes an upstream that nobody refers to.
  void removeUpstream(const std::string& key, route::ModelBatch& batch);
  /// All that is in the model but for routes and upstreams, as a full batch.
  [[nodiscard]] route::ModelBatch whole() const;

 private:
  std::unordered_map<std::string, std::map<std::string, route::Listener>> listeners_;  // by Gateway
  std::map<std::string, route::Gateway> gateways_;
  std::map<std::string, route::Certificate> certificates_;
  std::unordered_map<std::string, route::Fingerprint> upstreams_;
};

}  // namespace hyperway::gateway
