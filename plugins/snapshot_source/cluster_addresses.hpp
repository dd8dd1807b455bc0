// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "k8s_client/object_text.hpp"

namespace hyperway::snapshot_source {

/// An EndpointSlice that stands for the cluster address of a Service, for clusters in which
/// EndpointSlices are not for us (ARCHITECTURE decision 2): its ports lead to the Service's own
/// numbers. Empty for a Service without cluster address.
[[nodiscard]] std::string clusterAddressSlice(const k8s_client::ObjectText& service);

/// The name of that slice.
[[nodiscard]] std::string clusterAddressName(const std::string& service);

}  // namespace hyperway::snapshot_source
