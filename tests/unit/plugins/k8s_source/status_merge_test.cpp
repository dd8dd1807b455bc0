// SPDX-License-Identifier: Apache-2.0
#include "status_merge.hpp"

#include <doctest/doctest.h>

#include "k8s_client/json_text.hpp"

using namespace hyperway::k8s_source;
using hyperway::k8s_client::toText;

namespace {

constexpr const char* kUs = "us/here";
constexpr const char* kNow = "2026-01-02T03:04:05Z";

std::string merged(std::string_view current, std::string_view desired) {
  return toText(mergedStatus(parseJson(current), desiredStatus(desired, kUs), kUs, kNow));
}

bool same(std::string_view current, std::string_view desired) {
  return fingerprint(parseJson(current), kUs) == fingerprint(desiredStatus(desired, kUs), kUs);
}

}  // namespace

TEST_CASE("Conditions of others survive, and ours that are said no more go") {
  CHECK(merged(R"({"conditions":[{"type":"example.com/Theirs","status":"True","reason":"R",
                   "message":"","lastTransitionTime":"then"},
                  {"type":"ResolvedRefs","status":"True","lastTransitionTime":"then"},
                  {"type":"DefaultGateway","status":"True","lastTransitionTime":"then"}]})",
               R"({"conditions":[{"type":"Accepted","status":"True","reason":"Accepted"}]})") ==
        R"({"conditions":[{"type":"example.com/Theirs","status":"True","reason":"R","message":"",)"
        R"("lastTransitionTime":"then"},{"type":"Accepted","status":"True","reason":"Accepted",)"
        R"("lastTransitionTime":"2026-01-02T03:04:05Z"}]})");
}

TEST_CASE("lastTransitionTime moves with status only") {
  const char* current =
      R"({"conditions":[{"type":"Accepted","status":"True","reason":"A","lastTransitionTime":"then"}]})";
  CHECK(
      merged(current, R"({"conditions":[{"type":"Accepted","status":"True","reason":"B"}]})") ==
      R"({"conditions":[{"type":"Accepted","status":"True","reason":"B","lastTransitionTime":"then"}]})");
  CHECK(merged(current, R"({"conditions":[{"type":"Accepted","status":"False","reason":"B"}]})")
            .find(kNow) != std::string::npos);
}

TEST_CASE("Of parents only entries of our controller are replaced, each keeping its times") {
  const char* current = R"({"parents":[
    {"controllerName":"them/there","parentRef":{"name":"g"},"conditions":[{"type":"Accepted"}]},
    {"controllerName":"us/here","parentRef":{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g"},
     "conditions":[{"type":"Accepted","status":"True","lastTransitionTime":"then"}]},
    {"controllerName":"us/here","parentRef":{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"old"},
     "conditions":[]}]})";
  const std::string after = merged(
      current,
      R"({"parents":[{"parentRef":{"name":"new"},"conditions":[{"type":"Accepted","status":"True"}]},
                     {"parentRef":{"name":"g"},"conditions":[{"type":"Accepted","status":"True"}]}]})");
  CHECK(after ==
        R"({"parents":[{"controllerName":"them/there","parentRef":{"name":"g"},)"
        R"("conditions":[{"type":"Accepted"}]},)"
        R"({"parentRef":{"name":"g","group":"gateway.networking.k8s.io","kind":"Gateway"},)"
        R"("conditions":[{"type":"Accepted","status":"True","lastTransitionTime":"then"}],)"
        R"("controllerName":"us/here"},)"
        R"({"parentRef":{"name":"new","group":"gateway.networking.k8s.io","kind":"Gateway"},)"
        R"("conditions":[{"type":"Accepted","status":"True",)"
        R"("lastTransitionTime":"2026-01-02T03:04:05Z"}],"controllerName":"us/here"}]})");
  // Taken back: what others wrote stays.
  CHECK(merged(current, R"({"parents":[]})") ==
        R"({"parents":[{"controllerName":"them/there","parentRef":{"name":"g"},)"
        R"("conditions":[{"type":"Accepted"}]}]})");
}

TEST_CASE("Listeners are ours as a whole, but for conditions of others in them") {
  CHECK(merged(R"({"listeners":[{"name":"gone"},{"name":"a","attachedRoutes":3,"conditions":[
                 {"type":"example.com/Theirs","status":"True"}]}]})",
               R"({"listeners":[{"name":"a","attachedRoutes":0,"conditions":[]}]})") ==
        R"({"listeners":[{"name":"a","attachedRoutes":0,"conditions":[)"
        R"({"type":"example.com/Theirs","status":"True"}]}]})");
}

TEST_CASE("The number of attached ListenerSets goes when there are none, and is not said before") {
  const char* none = R"({"listeners":[]})";
  const char* two = R"({"listeners":[],"attachedListenerSets":2})";
  CHECK(merged(two, none) == R"({"listeners":[],"attachedListenerSets":null})");
  CHECK(merged("{}", none) == none);
  CHECK(merged(none, two) == two);
  CHECK(same(two, two));
  CHECK(same("{}", none));
  CHECK_FALSE(same(two, none));
  CHECK_FALSE(same(R"({"attachedListenerSets":1})", two));
}

TEST_CASE("What says the same is the same: order, times, defaults and foreign parts do not count") {
  const char* wanted =
      R"({"conditions":[{"type":"Accepted","status":"True"},{"type":"Programmed","status":"True"}],
          "addresses":[],"listeners":[{"name":"a","conditions":[]}]})";
  CHECK(same(R"({"listeners":[{"conditions":[{"type":"x/Y"}],"name":"a"}],"other":1,"conditions":[
      {"status":"True","type":"Programmed","lastTransitionTime":"t"},{"type":"x/Y","status":"True"},
      {"type":"Accepted","status":"True","lastTransitionTime":"t"}]})",
             wanted));
  CHECK_FALSE(same(R"({"conditions":[{"type":"Accepted","status":"True"}]})", wanted));
  CHECK(same(R"({"parents":[{"controllerName":"them/there"},
      {"controllerName":"us/here","parentRef":{"kind":"Gateway","name":"g","group":"gateway.networking.k8s.io"}}]})",
             R"({"parents":[{"parentRef":{"name":"g"}}]})"));
  CHECK(same("", R"({"parents":[]})"));
  CHECK_FALSE(same("", R"({"parents":[{"parentRef":{"name":"g"}}]})"));
}

TEST_CASE("Policies have ancestors, which are treated as parents are") {
  CHECK(merged(R"({"ancestors":[{"controllerName":"them/there"}]})",
               R"({"ancestors":[{"ancestorRef":{"name":"g"},"conditions":[]}]})") ==
        R"({"ancestors":[{"controllerName":"them/there"},{"ancestorRef":{"name":"g",)"
        R"("group":"gateway.networking.k8s.io","kind":"Gateway"},"conditions":[],)"
        R"("controllerName":"us/here"}]})");
}
