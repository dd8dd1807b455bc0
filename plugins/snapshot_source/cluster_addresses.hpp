// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "k8s_client/object_text.hpp"

namespace hyperway::snapshot_source {

/// What is kept of a Service for the case that its cluster address is needed: some tens of bytes.
/// Empty for a Service without cluster address.
[[nodiscard]] std::string clusterAddress(const k8s_client::ObjectText& service);

/// An EndpointSlice that stands for the cluster address of the Service "namespace/name", for
/// clusters in which EndpointSlices are not for us (ARCHITECTURE decision 2): its ports lead to the
/// Service's own numbers. `address` is what clusterAddress() said of it, not empty.
[[nodiscard]] std::string clusterAddressSlice(std::string_view service, std::string_view address);

/// The name of that slice.
[[nodiscard]] std::string clusterAddressName(const std::string& service);

}  // namespace hyperway::snapshot_source
