// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.hpp"

#include <doctest/doctest.h>

using namespace hyperway;

TEST_CASE("toLower changes ASCII capitals and no other byte") {
  for (int c = 0; c < 256; ++c) {
    CAPTURE(c);
    const char byte = static_cast<char>(c);
    const bool capital = c >= 'A' && c <= 'Z';
    CHECK(toLower(byte) == static_cast<char>(capital ? c + 32 : c));
  }
}

TEST_CASE("Text is compared without regard to ASCII case only") {
  struct Row {
    std::string_view a, b;
    bool equal;
  };
  for (const Row& row : {Row{"", "", true}, Row{"Host", "hOST", true}, Row{"Host", "Hos", false},
                         Row{"@", "`", false}, Row{"[", "{", false}, Row{"a\r", "A-", false},
                         Row{"\xc4", "\xe4", false}}) {
    CAPTURE(row.a);
    CAPTURE(row.b);
    CHECK(equalsIgnoreCase(row.a, row.b) == row.equal);
  }
}

TEST_CASE("lowered copies text in ASCII lower case") {
  CHECK(lowered("X-Ab\xc4[9") == "x-ab\xc4[9");
}

TEST_CASE("trimOws takes spaces and tabs off both ends and nothing else") {
  struct Row {
    std::string_view text, trimmed;
  };
  for (const Row& row :
       {Row{"", ""}, Row{" \t ", ""}, Row{" a b\t", "a b"}, Row{"\ra\n", "\ra\n"}, Row{"a", "a"}}) {
    CAPTURE(row.text);
    CHECK(trimOws(row.text) == row.trimmed);
  }
}

TEST_CASE("fnv1a gives the published test values") {
  CHECK(fnv1a("") == 0xcbf29ce484222325ULL);
  CHECK(fnv1a("a") == 0xaf63dc4c8601ec8cULL);
  CHECK(fnv1a("foobar") == 0x85944171f73967e8ULL);
}
