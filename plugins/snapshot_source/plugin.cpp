// SPDX-License-Identifier: Apache-2.0
#include "hyperway/sdk/plugin.hpp"

#include "snapshot_source.hpp"

HYPERWAY_PLUGIN("dev.arloor.hyperway.snapshot-source", "0.1.0",
                hyperway::sdk::Sources<hyperway::snapshot_source::SnapshotSource>);
