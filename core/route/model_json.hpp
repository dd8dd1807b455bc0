// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json_pointer.hpp"
#include "route/model.hpp"

/// The route model as the `spec` of a RouteSnapshot, version v1alpha1 (CONTRACT.md names the
/// fields). Written beside them, all optional, because the contract has no place for them:
///
/// - listener: `protocol` (HTTP, HTTPS, TLS, TCP, UDP), `binds[]{address,port}`,
///   `tls.mode` (Passthrough), `tls.clientValidation{caCertificates[],mode?}`,
///   `backendCertificateRef{namespace,name}`, `filters[]` as rules have them; of a ListenerSet's
///   listener the `name` is "gatewayNamespace/gatewayName/setNamespace/setName/listener";
/// - lists beside httpRoutesV1, of entries of the same form, that readers without the kind pass
///   over: `grpcRoutes`, and `tlsRoutes`, `tcpRoutes`, `udpRoutes`, which have no matches, filters
///   or timeouts;
/// - rule: `routeCreated` (seconds since the epoch), `filters[]{type,owner,config,refused?,
///   backends[]{namespace,name,port,grpc?,…}?}` in list order, of which
///   `requestHeaderModifier`, `responseHeaderModifier`, `requestRedirect` and `urlRewrite` repeat
///   the first of each type for readers that know no better;
/// - backend: `protocol` (h2c, ws, wss), `balance` (leastRequest), `proxyProtocol` (v1, v2),
/// `unresolved`, `filters[]`,
///   `tls{hostname,caCertificates[]?,wellKnownCACertificates?,subjectAltNames[]?,refused?}`;
/// - spec: `parts[]{name,checksum}` where the routes are in objects of their own, and in those
///   `partOf` and `content`, the JSON text of an object with `httpRoutesV1` (docs/snapshots.md);
/// - mirror: `fraction{numerator,denominator}` where `fractionPercent` is not exact.
///
/// Never written: endpoints, certificates, keys. Mirrors whose backend did not resolve do nothing
/// and are left out.
namespace hyperway::route {

/// A protocol as the Gateway API writes it (ProtocolType), and so as snapshots have it.
[[nodiscard]] const char* protocolText(Protocol protocol) noexcept;

/// The member of a snapshot's spec that lists the routes of a kind: "httpRoutesV1", "tcpRoutes", …
[[nodiscard]] const char* listOf(RouteKind kind) noexcept;

/// The members of a snapshot's spec that are not routing.
struct SnapshotHeader {
  std::string controller_name;  ///< Which controller wrote it.
  std::string updated_at;       ///< RFC 3339, UTC.
  std::string checksum;  ///< Readers only compare it; empty: snapshotChecksum() of what is written.
  std::string part_of = {};     ///< Read only: name of the snapshot that this object is a part of.
  std::int64_t generation = 0;  ///< Read only: metadata.generation; 0 where there is none.
};

/// Finds an upstream by key, or null.
using UpstreamLookup = std::function<const Upstream*(const std::string& key)>;
/// Port of a listener by key, 0 if unknown.
using PortLookup = std::function<std::uint16_t(const std::string& key)>;

/// One element of `listeners`.
[[nodiscard]] std::string snapshotListener(const Listener& listener,
                                           const UpstreamLookup& upstreams);
/// The elements of listOf(kind) for one route, comma-separated: one for each rule and listener.
/// Depends on nothing but its arguments, so that equal routes give equal text. Empty for a route
/// that serves nowhere.
[[nodiscard]] std::string snapshotRoute(const Route& route, const UpstreamLookup& upstreams,
                                        const PortLookup& ports);
/// A text that differs when any of the parts differs.
[[nodiscard]] std::string snapshotChecksum(std::string_view listeners, std::string_view routes);
/// The whole spec of a model (its upserts; `full` is taken for granted), listeners and routes in
/// order of their keys.
[[nodiscard]] std::string snapshotSpec(const ModelBatch& model, const SnapshotHeader& header);

/// A snapshot as read.
struct SnapshotContent {
  SnapshotHeader header;  ///< As written; empty texts where absent.
  ModelBatch
      model;  ///< `full`; upstreams without endpoints, filters without binding, no certificates.
};

/// Reads a RouteSnapshot object, or its spec alone. Unknown members, certPem and keyPem are
/// ignored; snapshots of older writers, which have none of the optional fields, read as what they
/// meant. Every problem is reported with its JSON pointer, and the rule or listener that has one is
/// left out: apply the result only if !problems.failed(), or requests of a rule that is missing
/// fall to a less specific one. Nothing if the text is not JSON or not an object.
[[nodiscard]] std::optional<SnapshotContent> readSnapshot(std::string_view json,
                                                          Problems& problems);

}  // namespace hyperway::route
