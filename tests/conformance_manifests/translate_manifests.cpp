// SPDX-License-Identifier: Apache-2.0
// The translator as a filter, for manifests_test.py. Reads lines from standard input:
//   put <tab> group <tab> kind <tab> namespace <tab> name <tab> JSON    (empty JSON: remove)
//   show
// and answers each "show" with one line of JSON: an object from "Kind namespace/name" to status.
// Each Gateway gets an address of its own out of 127.1.0.0/24, as the suite needs it. All filters
// of the Gateway API are taken to be well configured: that is for their plugins' tests.
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/translate.hpp"

namespace {

using hyperway::gateway::ObjectChange;
using hyperway::gateway::Translator;

class TrustingParser : public hyperway::gateway::FilterConfigParser {
 public:
  [[nodiscard]] bool knows(std::string_view) const override { return true; }
  [[nodiscard]] hyperway::route::FilterBindingPtr parse(std::string_view, std::string_view,
                                                        std::string_view,
                                                        hyperway::Problems&) override {
    return std::make_shared<Binding>();
  }

 private:
  class Binding : public hyperway::route::FilterBinding {};
};

std::string takeField(std::string_view& line) {
  const std::size_t tab = line.find('\t');
  std::string field(line.substr(0, tab));
  line.remove_prefix(tab == std::string_view::npos ? line.size() : tab + 1);
  return field;
}

void show(const Translator& translator, const std::string& controller) {
  std::string out = "{";
  for (const auto& status : translator.statuses()) {
    if (out.size() > 1) out += ',';
    out += '"' + status.kind + ' ' + status.name_space + '/' + status.name +
           "\":" + toJson(status, controller);
  }
  std::cout << out << "}" << std::endl;
}

}  // namespace

int main() {
  hyperway::gateway::TranslateOptions options;
  for (int i = 1; i < 255; ++i) options.address_pool.push_back("127.1.0." + std::to_string(i));
  const std::string controller = options.controller_name;
  TrustingParser parser;
  Translator translator(std::move(options), parser);
  for (std::string text; std::getline(std::cin, text);) {
    std::string_view line = text;
    const std::string command = takeField(line);
    if (command == "show") {
      show(translator, controller);
      continue;
    }
    ObjectChange change;
    change.group = takeField(line);
    change.kind = takeField(line);
    change.name_space = takeField(line);
    change.name = takeField(line);
    change.json = std::string(line);
    for (const std::string& problem : translator.apply({change}).rejected)
      std::cerr << problem << '\n';
  }
  return 0;
}
