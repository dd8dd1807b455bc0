// SPDX-License-Identifier: Apache-2.0
// LINK: hw_app
// Any text as the configuration file: it is refused with a problem that has a place, or it is read;
// what was read means the same when it is written as JSON, which is YAML, and read again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_keys.hpp"
#include "app/config_node.hpp"
#include "app/settings.hpp"

using namespace hyperway::app;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool hasError(const std::vector<ConfigProblem>& problems) {
  for (const ConfigProblem& problem : problems)
    if (!problem.warning) return true;
  return false;
}

/// YAML readers look for a key's colon within 1,024 characters only; JSON escapes take six of them.
bool hasLongKey(const ConfigNode& node) {
  for (const ConfigNode& item : node.items)
    if (hasLongKey(item)) return true;
  for (const ConfigNode::Member& member : node.members)
    if (member.name.size() > 160 || hasLongKey(member.value)) return true;
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto lines = static_cast<std::size_t>(1 + std::count(text.begin(), text.end(), '\n'));
  std::vector<ConfigProblem> problems;
  const ConfigNode document = parseConfigText(text, "f.yaml", "/etc/hyperway", problems);
  require(document.type == ConfigNode::Type::Map);
  if (!hasError(problems)) checkConfig(document, "f.yaml", problems);
  for (const ConfigProblem& problem : problems) {
    require(problem.file == "f.yaml" && !problem.message.empty() && problem.line <= lines + 1);
    (void)problem.text();
  }
  require(changedKeys(document, document).empty());
  if (hasError(problems)) return 0;
  Settings settings;
  readSettings(document, settings);
  if (hasLongKey(document)) return 0;
  std::vector<ConfigProblem> none;
  const std::string json = document.json();
  const ConfigNode again = parseConfigText(json, "f.json", "/etc/hyperway", none);
  require(!hasError(none));
  checkConfig(again, "f.json", none);
  require(!hasError(none));
  require(again.json() == json && changedKeys(document, again).empty());
  return 0;
}
