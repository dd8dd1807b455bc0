// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace hyperway::app {

/// core/app/page.html, as it was when the program was built.
[[nodiscard]] std::string_view pageHtml() noexcept;

}  // namespace hyperway::app
