// SPDX-License-Identifier: Apache-2.0
#include "presence.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "hyperway/sdk/json.hpp"
#include "index.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::snapshot_source {
namespace {

using k8s_client::appendText;
using k8s_client::Reply;
using k8s_client::textOf;
using k8s_client::valueOf;
using sdk::json::Value;
using namespace std::chrono_literals;

constexpr auto kGap = 1s;
constexpr k8s_client::Duration kOthers = 200ms, kOthersWhoSay = 1s;  // for each
constexpr auto kRefusedAgain = 30s;
constexpr std::size_t kMostManager = 128;  // as the API server has it

// The refusals of an entry in one form, whatever the order of members.
std::string refusedOf(const Value& entry) {
  std::string out = "[";
  if (const Value* refused = entry.find("refused"))
    for (const Value& one : refused->items()) {
      out += out.back() == '[' ? R"({"name":)" : R"(,{"name":)";
      appendText(out, textOf(one, "name"));
      out += R"(,"reason":)";
      appendText(out, textOf(one, "reason"));
      out += '}';
    }
  return out + ']';
}

std::string printOf(const std::string& checksum, std::int64_t generation,
                    const std::string& refused) {
  return checksum + ' ' + std::to_string(generation) + ' ' + refused;
}

}  // namespace

Identity identityFrom(const k8s_client::Environment& environment) {
  const auto name = environment("POD_NAME"), name_space = environment("POD_NAMESPACE");
  if (name && name_space && !name->empty()) return {*name, *name_space};
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') return {"hyperway", ""};
  return {host, ""};
}

Presence::Presence(k8s_client::Api& api, Identity identity, std::string name_space,
                   std::string name, Trouble trouble, Now now, Random random)
    : api_(api),
      identity_(std::move(identity)),
      name_space_(std::move(name_space)),
      name_(std::move(name)),
      trouble_(std::move(trouble)),
      now_(std::move(now)),
      random_(std::move(random)) {}

Presence::~Presence() {
  *alive_ = false;
  if (timer_ != 0) api_.cancel(timer_);
}

void Presence::serves(std::int64_t generation, std::string_view status) {
  const Value value = valueOf(status);
  checksum_ = textOf(value, "checksum");
  refused_ = refusedOf(value);
  generation_ = generation;
  wanted_ = printOf(checksum_, generation_, refused_);
  consider();
}

void Presence::observe(std::string_view status) {
  there_ = true;
  seen_.clear();
  others_ = 0;
  announced_.clear();
  const Value value = valueOf(status);
  if (const Value* planes = value.find("dataPlanes"))
    for (const Value& plane : planes->items()) {
      if (textOf(plane, "name") != identity_.name) {
        ++others_;
        announced_.insert(textOf(plane, "checksum") + refusedOf(plane));
        continue;
      }
      const Value* generation = plane.find("observedGeneration");
      seen_ = printOf(textOf(plane, "checksum"), generation != nullptr ? generation->integer() : 0,
                      refusedOf(plane));
    }
  consider();
}

void Presence::lost() {
  there_ = false;
  seen_.clear();
}

k8s_client::Duration Presence::spread() const {
  const bool known = announced_.contains(checksum_ + refused_);
  return (known ? kOthersWhoSay : kOthers) * static_cast<int>(others_);
}

void Presence::consider() {
  const bool due = there_ && !wanted_.empty() && wanted_ != seen_ && !flying_;
  // Whether others have said it decides how long we wait.
  if (timer_ != 0 && (!due || spread() != chosen_)) api_.cancel(std::exchange(timer_, 0));
  if (!due || timer_ != 0) return;
  chosen_ = spread();
  const double chance = random_ ? random_() : 0.5;
  const auto wait = std::chrono::duration_cast<k8s_client::Duration>(chosen_ * chance);
  const auto now = api_.now();
  const auto at = std::max(not_before_, now + wait);
  if (at <= now) return write();
  timer_ = api_.after(at - now, [this] {
    timer_ = 0;
    write();
  });
}

void Presence::write() {
  std::string body = R"({"apiVersion":)";
  appendText(body, kGroupVersion);
  body += R"(,"kind":"RouteSnapshot","metadata":{"namespace":)";
  appendText(body, name_space_);
  body += R"(,"name":)";
  appendText(body, name_);
  body += R"(},"status":{"dataPlanes":[{"name":)";
  appendText(body, identity_.name);
  if (!identity_.name_space.empty()) {
    body += R"(,"namespace":)";
    appendText(body, identity_.name_space);
  }
  body += R"(,"checksum":)";
  appendText(body, checksum_);
  body += R"(,"observedGeneration":)" + std::to_string(generation_) + R"(,"updatedAt":)";
  appendText(body, now_());
  body += R"(,"refused":)" + refused_ + "}]}}";

  // A manager of our own: what one manager applies is all that it has in the list.
  const std::string manager =
      (std::string(k8s_client::kFieldManager) + '-' + identity_.name).substr(0, kMostManager);
  k8s_client::Request request;
  request.method = "PATCH";
  request.content_type = "application/apply-patch+yaml";
  request.path = k8s_client::withQuery(
      k8s_client::path(kGroupVersion, name_space_, kResource, name_, "status"),
      {{"fieldManager", manager}, {"force", "true"}});
  request.body = std::move(body);
  flying_ = true;
  not_before_ = api_.now() + kGap;
  api_.call(std::move(request), [this, alive = alive_, print = wanted_](Reply reply) {
    if (!*alive) return;
    flying_ = false;
    if (reply.ok())
      seen_ = print;
    else if (reply.error.notFound())
      lost();  // Its event says when there is one again.
    else if (!reply.error.transient())
      not_before_ = api_.now() + kRefusedAgain;
    std::string trouble =
        reply.ok() || reply.error.notFound()
            ? std::string()
            : "the status of the snapshot cannot be written: " + reply.error.text() +
                  (reply.error.fieldUnknown() ? ": is the RouteSnapshot CRD an older one?" : "");
    if (trouble != last_trouble_) {
      last_trouble_ = std::move(trouble);
      trouble_(last_trouble_);
    }
    consider();
  });
}

}  // namespace hyperway::snapshot_source
