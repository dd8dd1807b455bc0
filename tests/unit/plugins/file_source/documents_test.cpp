// SPDX-License-Identifier: Apache-2.0
#include "documents.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace hyperway::file_source;

namespace {
std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> out;
  for (const Document& document : splitDocuments(text))
    out.push_back(std::to_string(document.first_line) + "|" +
                  std::string(text.substr(document.offset, document.size)));
  return out;
}
}  // namespace

TEST_CASE("A stream is cut at its document marks and nowhere else") {
  using V = std::vector<std::string>;
  CHECK(pieces("") == V{});
  CHECK(pieces("# only a comment\n---\n\n---\n# more\n") == V{});
  CHECK(pieces("a: 1\n") == V{"1|a: 1\n"});
  CHECK(pieces("a: 1") == V{"1|a: 1"});
  CHECK(pieces("---\na: 1\n---\nb: 2\n") == V{"1|---\na: 1\n", "3|---\nb: 2\n"});
  CHECK(pieces("# c\n---\r\na: 1\r\n--- # x\nb: 2") == V{"2|---\r\na: 1\r\n", "4|--- # x\nb: 2"});
  CHECK(pieces("a: |\n  ---\n  x\n") == V{"1|a: |\n  ---\n  x\n"});
  CHECK(pieces("a: ---x\n---x: 1\n") == V{"1|a: ---x\n---x: 1\n"});
  CHECK(pieces("a: 1\n...\n%YAML 1.2\n---\nb: 2\n") == V{"1|a: 1\n", "4|---\nb: 2\n"});
  CHECK(pieces("--- {a: 1}\n--- {b: 2}\n") == V{"1|--- {a: 1}\n", "2|--- {b: 2}\n"});
  CHECK(pieces("\xEF\xBB\xBFk: 1\n") == V{"1|k: 1\n"});
}

TEST_CASE("The hash of a document depends on every byte of it") {
  std::string text(131, 'x');
  const std::uint64_t before = hashText(text);
  CHECK(hashText(text) == before);
  for (std::size_t i = 0; i < text.size(); ++i) {
    CAPTURE(i);
    text[i] = 'y';
    CHECK(hashText(text) != before);
    text[i] = 'x';
  }
  CHECK(hashText(text.substr(1)) != before);
  CHECK(hashText("") != hashText(std::string_view("\0", 1)));
}
