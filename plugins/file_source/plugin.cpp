// SPDX-License-Identifier: Apache-2.0
#include "hyperway/sdk/plugin.hpp"

#include "file_source.hpp"

HYPERWAY_PLUGIN("dev.arloor.hyperway.file-source", "0.1.0",
                hyperway::sdk::Sources<hyperway::file_source::FileSource>);
