// SPDX-License-Identifier: Apache-2.0
// LINK: k8s_client hyperway::abi
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "k8s_client/line_splitter.hpp"
#include "k8s_client/list_page.hpp"
#include "k8s_client/object_text.hpp"
#include "k8s_client/watch_event.hpp"

using namespace hyperway::k8s_client;

namespace {

// What a watch stream says, as text; cut into chunks of `size`.
std::string readStream(std::string_view stream, std::size_t size) {
  LineSplitter lines(4096);
  WatchEventReader reader;
  ObjectText object;
  std::string said;
  const auto take = [&](std::string_view line) {
    const WatchEvent event = reader.read(line);
    said += static_cast<char>('0' + static_cast<int>(event.type));
    said += event.bookmark + std::to_string(event.code) + event.message;
    if (event.type > WatchEvent::Type::Deleted || !object.read(event.object)) return;
    said += object.key() + object.resourceVersion();
    // Views into the object must hold for as long as it is used.
    object.appendSlim(said, "v1", "Service", true);
  };
  for (std::size_t at = 0; at < stream.size(); at += size)
    if (!lines.feed(stream.substr(at, size), take)) return said + "too long";
  return said + (lines.atLineStart() ? "" : "cut");
}

}  // namespace

/// Lines of a watch, and pages of a list: nothing crashes, and how a stream is cut changes nothing.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string whole = readStream(input, std::max<std::size_t>(size, 1));
  for (const std::size_t part : {std::size_t{1}, std::size_t{7}, std::size_t{64}})
    if (readStream(input, part) != whole) std::abort();
  ListPageReader pages;
  ListPage page;
  ObjectText object;
  (void)pages.read(input, page, [&](std::string_view item) { (void)object.read(item); });
  return 0;
}
