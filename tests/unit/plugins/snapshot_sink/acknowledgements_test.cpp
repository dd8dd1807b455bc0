// SPDX-License-Identifier: Apache-2.0
#include "acknowledgements.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace hyperway::snapshot_sink {
namespace {

Batch listener(const std::string& key) {
  Batch batch;
  batch.listeners.push_back({key, ""});
  return batch;
}

DataPlane plane(const std::string& name, const std::string& checksum,
                std::vector<DataPlane::Refusal> refused = {}) {
  DataPlane out;
  out.name = name;
  out.checksum = checksum;
  out.refused = std::move(refused);
  return out;
}

std::string show(const std::vector<Acknowledgements::Report>& reports) {
  std::string out;
  for (const auto& report : reports)
    out += report.listener + (report.programmed ? " yes " : " no: " + report.reason + ' ');
  return out;
}

TEST_CASE("A listener is programmed once one data plane has it and none refuses it") {
  Acknowledgements book;
  book.applied(1, listener("a"), "one");
  CHECK(book.judge({}).empty());
  CHECK(book.judge({plane("p", "unheard of")}).empty());
  CHECK(show(book.judge({plane("p", "one")})) == "a yes ");
  CHECK(book.judge({plane("p", "one")}).empty());
  CHECK(show(book.judge({plane("p", "one"), plane("q", "one", {{"a", "busy"}})})) ==
        "a no: data plane q: busy ");
  CHECK(show(book.judge({plane("p", "one")})) == "a yes ");
}

TEST_CASE("Of more refusals than a report names any listener may be one") {
  Acknowledgements book;
  Batch two = listener("a");
  two.listeners.push_back({"b", ""});
  book.applied(1, two, "one");
  CHECK(show(book.judge({plane("p", "one", {{"a", "busy"}, {"*", "and 7 more"}})})) ==
        "a no: data plane p: busy ");
  CHECK(show(book.judge({plane("p", "one", {{"a", "busy"}, {"+", "and 7 more"}})})) == "b yes ");
}

TEST_CASE("Who serves an older snapshot has what did not change since") {
  Acknowledgements book;
  book.applied(1, listener("a"), "one");
  book.applied(2, listener("b"), "two");
  CHECK(show(book.judge({plane("p", "one")})) == "a yes ");
  CHECK(show(book.judge({plane("p", "two")})) == "b yes ");
  // Changed, it waits again.
  book.applied(3, listener("a"), "three");
  CHECK(book.judge({plane("p", "two")}).empty());
  CHECK(show(book.judge({plane("p", "three")})) == "a yes ");
  // Back to what it was.
  book.applied(4, listener("a"), "two");
  CHECK(show(book.judge({plane("p", "two")})) == "a yes ");
}

TEST_CASE("What is gone is reported no more, and a whole batch begins anew") {
  Acknowledgements book;
  book.applied(1, listener("a"), "one");
  Batch removal;
  removal.removed_listeners = {"a"};
  book.applied(2, removal, "two");
  CHECK(book.judge({plane("p", "two")}).empty());
  Batch whole = listener("b");
  whole.full = true;
  book.applied(3, whole, "three");
  CHECK(show(book.judge({plane("p", "three")})) == "b yes ");
}

TEST_CASE("Thousands of changes are not remembered for ever") {
  Acknowledgements book;
  book.applied(1, listener("a"), "first");
  for (std::uint64_t i = 2; i < 3000; ++i) book.applied(i, {}, std::to_string(i));
  CHECK(book.judge({plane("p", "first")}).empty());
  CHECK(show(book.judge({plane("p", "2900")})) == "a yes ");
}

}  // namespace
}  // namespace hyperway::snapshot_sink
