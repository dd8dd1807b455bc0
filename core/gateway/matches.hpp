// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json_pointer.hpp"
#include "base/result.hpp"
#include "gateway/objects.hpp"
#include "route/model.hpp"

namespace hyperway::gateway {

/// Translates an HTTPRouteMatch: values checked as the API server would, paths normalised as
/// request paths are, header names in lower case, regular expressions tried. Where one name is
/// listed several times only the first counts. The error's pointer is relative to the match.
/// Source: Gateway API, HTTPRouteMatch.
[[nodiscard]] Result<route::Match, Problem> translateMatch(const MatchSpec& spec);

/// Translates a GRPCRouteMatch into the match of the HTTP request that a call is (gRPC over HTTP/2:
/// POST to /service/method). Source: Gateway API, GRPCRouteMatch.
[[nodiscard]] Result<route::Match, Problem> translateMatch(const MethodSpec& spec);

}  // namespace hyperway::gateway
