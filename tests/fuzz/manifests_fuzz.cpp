// SPDX-License-Identifier: Apache-2.0
// LINK: plugin_file_source_static hyperway::abi PkgConfig::yaml OpenSSL::Crypto Threads::Threads
// Whatever is in a file: splitting covers it in order; every object that comes out is JSON whose
// identity is what was said; reading the same text again changes nothing; and after any text a good
// one is taken in full.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../../plugins/file_source/documents.hpp"
#include "../../plugins/file_source/locate.hpp"
#include "../../plugins/file_source/manifests.hpp"
#include "hyperway/sdk/json.hpp"

using namespace hyperway::file_source;
namespace json = hyperway::sdk::json;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr std::string_view kGood =
    "apiVersion: v1\nkind: Service\nmetadata: {name: good, namespace: fuzz-only}\nspec: {a: [1, "
    "x]}\n";

bool isWhole(const std::string& object) {
  const auto parsed = json::Parser::parse(object);
  const auto* value = std::get_if<json::Value>(&parsed);
  // The strict reader has bounds of its own on depth and numbers; it may not accept, but then says
  // so.
  if (value == nullptr) return std::get<json::ParseError>(parsed).message != "";
  const auto* metadata = value->find("metadata");
  return metadata != nullptr && metadata->find("name") != nullptr && value->find("kind") != nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t end = 0;
  for (const Document& document : splitDocuments(text)) {
    require(document.offset >= end && document.size > 0 && document.first_line > 0);
    end = document.offset + document.size;
    require(end <= size);
    require(locateLine(text.substr(document.offset, document.size), "/spec/rules/0/matches/1") > 0);
  }
  Manifests manifests;
  manifests.load("a.yaml", text);
  const Changes first = manifests.takeChanges();
  require(first.removals.empty());
  for (const std::string& object : first.upserts) require(isWhole(object));
  const std::size_t problems = manifests.problems().size();
  manifests.load("a.yaml", text);
  require(manifests.takeChanges().empty());
  require(manifests.problems().size() == problems);
  manifests.load("a.yaml", kGood);
  const Changes last = manifests.takeChanges();
  require(manifests.size() == 1 && manifests.problems().empty());
  require(last.upserts.size() <= 1 && last.removals.size() <= first.upserts.size());
  return 0;
}
