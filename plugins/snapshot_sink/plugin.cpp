// SPDX-License-Identifier: Apache-2.0
#include "hyperway/sdk/plugin.hpp"

#include "snapshot_sink.hpp"

HYPERWAY_PLUGIN("dev.arloor.hyperway.snapshot-sink", "0.1.0",
                hyperway::sdk::Sinks<hyperway::snapshot_sink::SnapshotSink>);
