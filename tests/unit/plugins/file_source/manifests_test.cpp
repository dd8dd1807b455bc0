// SPDX-License-Identifier: Apache-2.0
#include "manifests.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace hyperway::file_source;

namespace {
std::string service(std::string_view name, std::string_view more = "") {
  return "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: " + std::string(name) + "\n" +
         std::string(more);
}

// "+name@generation" and "-name" of all changes.
std::string told(Manifests& manifests) {
  std::string out;
  const Changes changes = manifests.takeChanges();
  const auto between = [](const std::string& text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from) + from.size();
    return text.substr(at, text.find(to, at) - at);
  };
  for (const std::string& json : changes.upserts)
    out += "+" + between(json, "\"name\":\"", "\"") + "@" + between(json, "\"generation\":", ",") +
           " ";
  for (const ObjectId& id : changes.removals) out += "-" + id.name + " ";
  return out;
}

std::string problems(const Manifests& manifests) {
  std::string out;
  for (const FileProblem& problem : manifests.problems())
    out += problem.path + ":" + std::to_string(problem.line) + ": " + problem.message + "\n";
  return out;
}
}  // namespace

TEST_CASE("An object gets what an API server would have set") {
  Manifests manifests;
  manifests.load("a.yaml", service("x"));
  const Changes changes = manifests.takeChanges();
  REQUIRE(changes.upserts.size() == 1);
  CHECK(changes.upserts[0] ==
        R"({"apiVersion":"v1","kind":"Service","metadata":{"namespace":"default","generation":1,)"
        R"("creationTimestamp":"1970-01-01T00:00:00Z","name":"x"}})");
}

TEST_CASE("Only what changed is told, and a change of content raises the generation") {
  Manifests manifests;
  manifests.load("a.yaml", service("x") + service("y") + service("z"));
  CHECK(told(manifests) == "+x@1 +y@1 +z@1 ");
  manifests.load("a.yaml", service("x") + service("y") + service("z"));
  CHECK(told(manifests) == "");
  manifests.load("a.yaml",
                 "# moved down\n" + service("x") + service("y", "spec: {a: 1}\n") + service("z"));
  CHECK(told(manifests) == "+y@2 ");
  manifests.load("a.yaml", service("z") + service("new") + service("x", "# a comment\n"));
  CHECK(told(manifests) == "+new@1 -y ");
  manifests.remove("a.yaml");
  CHECK(told(manifests) == "-new -x -z ");
}

TEST_CASE("Two changes before they are taken are told as one") {
  Manifests manifests;
  manifests.load("a.yaml", service("x"));
  manifests.load("a.yaml", service("x", "# comment\n"));
  CHECK(told(manifests) == "+x@1 ");
  manifests.load("a.yaml", service("y"));
  manifests.load("a.yaml", service("x", "# comment\n"));
  CHECK(told(manifests) == "");
}

TEST_CASE("A file that moves keeps its objects") {
  Manifests manifests;
  manifests.load("a.yaml", service("x"));
  CHECK(told(manifests) == "+x@1 ");
  manifests.remove("a.yaml");
  manifests.load("b.yaml", service("x"));
  CHECK(told(manifests) == "");
}

TEST_CASE("A broken document removes nothing, and its neighbours go on") {
  Manifests manifests;
  manifests.load("a.yaml", service("x") + service("y") + service("z"));
  CHECK(told(manifests) == "+x@1 +y@1 +z@1 ");
  manifests.load("a.yaml", service("x", "spec: {a: 1}\n") + service("y", "spec: {a: [\n"));
  CHECK(told(manifests) == "+x@2 ");
  CHECK(problems(manifests).starts_with("a.yaml:1"));
  CHECK(problems(manifests).find("not valid YAML") != std::string::npos);
  manifests.load("a.yaml", service("x", "spec: {a: 1}\n") + service("y", "spec: {a: 2}\n"));
  CHECK(told(manifests) == "+y@2 -z ");
  CHECK(problems(manifests) == "");
}

TEST_CASE("A file that was converted elsewhere is the same as its text") {
  std::string text = service("x") + service("y", "spec: {a: [\n");
  for (int i = 0; i < 200; ++i) text += service("many-" + std::to_string(i));
  Manifests by_text, converted;
  by_text.load("a.yaml", text);
  converted.load("a.yaml", convertFile(text));
  CHECK(problems(by_text).starts_with("a.yaml:"));
  CHECK(problems(converted) == problems(by_text));
  CHECK(converted.takeChanges().upserts == by_text.takeChanges().upserts);
  text += service("last");
  for (Manifests* manifests : {&by_text, &converted}) {
    manifests->load("a.yaml", text);
    CHECK(told(*manifests) == "+last@1 ");
  }
}

TEST_CASE("A file that cannot be read keeps what it gave") {
  Manifests manifests;
  manifests.load("a.yaml", service("x"));
  (void)told(manifests);  // not of interest
  manifests.fail("a.yaml", "cannot be read: Permission denied");
  CHECK(told(manifests) == "");
  CHECK(problems(manifests) == "a.yaml:0: cannot be read: Permission denied\n");
  manifests.load("a.yaml", service("x"));
  CHECK(problems(manifests) == "");
}

TEST_CASE(
    "Of an object defined twice the first in path order counts, whatever the order of events") {
  for (const bool early_first : {true, false}) {
    CAPTURE(early_first);
    Manifests manifests;
    const auto load = [&](const std::string& path) {
      manifests.load(path, service("x", "spec: {from: " + path.substr(0, 1) + "}\n"));
    };
    load(early_first ? "a.yaml" : "b.yaml");
    load(early_first ? "b.yaml" : "a.yaml");
    for (const std::string& path : manifests.takeReloads()) load(path);
    const Changes changes = manifests.takeChanges();
    REQUIRE(changes.upserts.size() == 1);
    CHECK(changes.upserts[0].find("\"from\":\"a\"") != std::string::npos);
    CHECK(problems(manifests) ==
          "b.yaml:2: Service default/x is defined already in a.yaml; this one is not used\n");

    manifests.remove("a.yaml");
    const auto reloads = manifests.takeReloads();
    REQUIRE(reloads == std::vector<std::string>{"b.yaml"});
    load("b.yaml");
    const Changes after = manifests.takeChanges();
    REQUIRE(after.upserts.size() == 1);
    CHECK(after.upserts[0].find("\"from\":\"b\"") != std::string::npos);
    CHECK(after.removals.empty());
    CHECK(problems(manifests) == "");
  }
}

TEST_CASE("A second definition in the same file is told and does not take the first away") {
  Manifests manifests;
  manifests.load("a.yaml", service("x", "spec: {a: 1}\n") + service("x", "spec: {a: 2}\n"));
  CHECK(told(manifests) == "+x@1 ");
  CHECK(problems(manifests).starts_with("a.yaml:8: Service default/x is defined already"));
  manifests.load("a.yaml", service("x", "spec: {a: 1}\n") + service("x", "spec: {a: 3}\n"));
  CHECK(told(manifests) == "");
  manifests.load("a.yaml", service("x", "spec: {a: 1}\n"));
  CHECK(told(manifests) == "");
  CHECK(problems(manifests) == "");
}

TEST_CASE("Of two definitions in a file the first counts, also if it comes later") {
  Manifests manifests;
  manifests.load("a.yaml", service("x") + service("y"));
  CHECK(told(manifests) == "+x@1 +y@1 ");
  const std::string text = service("x", "spec: {a: 1}\n") + service("x") + service("y");
  manifests.load("a.yaml", text);
  CHECK(manifests.takeReloads() == std::vector<std::string>{"a.yaml"});
  manifests.load("a.yaml", text);
  CHECK(manifests.takeReloads().empty());
  CHECK(told(manifests) == "+x@2 ");
  CHECK(problems(manifests) ==
        "a.yaml:8: Service default/x is defined already in a.yaml; this one "
        "is not used\n");
}

TEST_CASE("However a file was edited, it gives what a first look at it would give") {
  // What a document may look like: marks inside of literals, other line ends, anchors, flow form.
  const auto document = [](int form, int number) {
    const std::string name = "n" + std::to_string(number % 7);
    const std::string value = std::to_string(number);
    switch (form) {
      case 0: return service(name, "spec: {a: " + value + "}\n");
      case 1:
        return service(name, "spec:\n  text: |\n    ---\n    ... " + value + "\n   # no mark\n");
      case 2:
        return "--- # " + value +
               "\r\napiVersion: v1\r\nkind: Service\r\nmetadata: {name: " + name + "}\r\n";
      case 3: return service(name, "spec:\n  a: &x [" + value + "]\n  b: *x\n...\n");
      case 4: return "--- {apiVersion: v1, kind: Service, metadata: {name: " + name + "}}\n";
      case 5: return std::string("---\n# nothing but a comment\n---\n");
      default: return service(name + "-" + value);
    }
  };
  using Objects = std::map<std::string, std::string>;
  const auto follow = [](Manifests& manifests, const std::string& text, Objects& objects) {
    manifests.load("a.yaml", text);
    for (const std::string& path : manifests.takeReloads()) manifests.load(path, text);
    CHECK(manifests.takeReloads().empty());
    const Changes changes = manifests.takeChanges();
    for (std::string json : changes.upserts) {
      const std::size_t at = json.find("\"generation\":");
      json.erase(at, json.find(',', at) - at);
      const std::size_t name = json.find("\"name\":\"") + 8;
      objects[json.substr(name, json.find('"', name) - name)] = json;
    }
    for (const ObjectId& id : changes.removals) CHECK(objects.erase(id.name) == 1);
  };
  std::mt19937 random(1);
  const auto below = [&](std::size_t end) { return random() % end; };
  const auto some = [&] {
    return document(static_cast<int>(below(7)), static_cast<int>(below(1000)));
  };
  Manifests manifests;
  Objects objects;
  std::vector<std::string> documents;
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(round);
    const auto at = [&] {
      const std::size_t end = documents.size();
      const std::size_t places[] = {0, end, below(end + 1)};
      return documents.begin() + static_cast<std::ptrdiff_t>(places[below(3)]);
    };
    const std::size_t what = below(6);
    if (what <= 1 || documents.empty()) documents.insert(at(), some());
    if (what == 2) documents[below(documents.size())] = some();
    if (what == 3) documents.erase(documents.begin(), at());
    if (what == 4) std::swap(documents.front(), documents.back());
    if (what == 5) documents.insert(at(), 3, documents[below(documents.size())]);
    if (documents.size() > 12) documents.resize(5);
    std::string text = round % 5 == 0 ? "\xEF\xBB\xBF" : "";
    for (const std::string& one : documents) text += one;
    follow(manifests, text, objects);
    Manifests other;
    Objects expected;
    follow(other, text, expected);
    CHECK(objects == expected);
    CHECK(problems(manifests) == problems(other));
  }
}

TEST_CASE("Kinds of other APIs are none of our business") {
  Manifests manifests;
  manifests.load("a.yaml",
                 "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n" + service("x"));
  CHECK(told(manifests) == "+x@1 ");
}

TEST_CASE("A kind that an API of ours does not have is told") {
  Manifests manifests;
  manifests.load(
      "a.yaml",
      "\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRout\nmetadata: {name: x}\n");
  CHECK(problems(manifests).starts_with(
      "a.yaml:2: HTTPRout is no kind of gateway.networking.k8s.io; known are "));
}

TEST_CASE("An object knows its file, document and line") {
  Manifests manifests;
  manifests.load("a.yaml", service("x") + "---\napiVersion: v1\nkind: List\nitems:\n" +
                               "- {apiVersion: v1, kind: Service, metadata: {name: y}}\n");
  const Manifests::Origin origin = manifests.origin("Service/default/y");
  CHECK(origin.path == "a.yaml");
  CHECK(origin.document == 1);
  CHECK(origin.item == 0);
  CHECK(origin.in_list);
  CHECK(origin.line == 10);
  CHECK(manifests.origin("Service/default/none").path.empty());
}

TEST_CASE("An edit of one among 10,000 documents in a file is found in milliseconds") {
  const auto file = [](int changed) {
    std::string text;
    for (int i = 0; i < 10000; ++i) {
      text +=
          "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: "
          "route-" +
          std::to_string(i) +
          "\n  namespace: default\nspec:\n  parentRefs:\n  - name: gateway\n  hostnames:\n  - "
          "host-" +
          std::to_string(i) +
          ".example.com\n  rules:\n  - matches:\n    - path:\n        type: PathPrefix\n" +
          "        value: /" + (i == changed ? "changed" : "path") +
          "\n    backendRefs:\n    - name: backend\n      port: 8080\n";
    }
    return text;
  };
  Manifests manifests;
  manifests.load("a.yaml", file(-1));
  CHECK(manifests.takeChanges().upserts.size() == 10000);
  double best_ms = 1e9;
  for (int round = 0; round < 5; ++round) {
    const std::string text = file(round);
    const auto begin = std::chrono::steady_clock::now();
    manifests.load("a.yaml", text);
    const Changes changes = manifests.takeChanges();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    CHECK(changes.upserts.size() == (round == 0 ? 1 : 2));
    best_ms = std::min(best_ms, took.count());
  }
  MESSAGE("split, hash and parse one of 10,000: " << best_ms << " ms");
#ifndef HYPERWAY_SANITIZED
  CHECK(best_ms < 10);
#endif
}
