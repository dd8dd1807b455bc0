// SPDX-License-Identifier: Apache-2.0
#include "follower.hpp"

#include <utility>

#include "hyperway/sdk/json.hpp"
#include "json_text.hpp"

namespace hyperway::gateway_deployer {
namespace {

using k8s_client::Error;
using k8s_client::Reply;
using k8s_client::Request;
using sdk::json::Parser;
using sdk::json::Value;

constexpr std::chrono::milliseconds kFirstDelay{500}, kMostDelay{30000};

bool gone(const Error& error) { return error.status == 410; }

}  // namespace

Follower::Follower(k8s_client::Api& api, std::string what, std::string path,
                   std::string label_selector, Objects& objects, Changed changed, Trouble trouble)
    : api_(api),
      what_(std::move(what)),
      path_(std::move(path)),
      selector_(std::move(label_selector)),
      objects_(objects),
      changed_(std::move(changed)),
      trouble_(std::move(trouble)),
      self_(std::make_shared<Follower*>(this)) {}

Follower::~Follower() {
  *self_ = nullptr;
  endWatch();
}

void Follower::start() { list(); }

void Follower::learn(Actual actual) {
  const std::string key = actual.key();
  const auto found = objects_.find(key);
  if (found != objects_.end() && found->second.version > actual.version) return;
  objects_.insert_or_assign(key, std::move(actual));
}

void Follower::forget(const std::string& key) { objects_.erase(key); }

void Follower::retry(std::function<void()> what, std::chrono::milliseconds delay) {
  api_.after(delay, [self = self_, what = std::move(what)] {
    if (*self != nullptr) what();
  });
}

// The library's back-off; half a second at first, half a minute at most.
std::chrono::milliseconds Follower::nextDelay() {
  return k8s_client::backOff(failures_++, kFirstDelay, kMostDelay, 0.5);
}

void Follower::fail(const std::string& text) {
  if (text == last_trouble_) return;
  last_trouble_ = text;
  trouble_(text);
}

void Follower::listAgain() {
  const auto next = list_began_ + kLeastBetweenLists;
  const auto now = api_.now();
  auto delay = nextDelay();
  if (next > now)
    delay = std::max(delay, std::chrono::duration_cast<std::chrono::milliseconds>(next - now));
  retry([this] { list(); }, delay);
}

void Follower::list() {
  list_began_ = api_.now();
  listing_.clear();
  listPage({});
}

void Follower::listPage(const std::string& after) {
  std::vector<std::pair<std::string_view, std::string_view>> query{{"limit", "500"}};
  if (!selector_.empty()) query.emplace_back("labelSelector", selector_);
  if (!after.empty()) query.emplace_back("continue", after);
  Request request;
  request.path = k8s_client::withQuery(path_, query);
  api_.call(std::move(request), [self = self_](Reply reply) {
    if (*self != nullptr) (*self)->onPage(std::move(reply));
  });
}

void Follower::onPage(Reply reply) {
  const auto parsed =
      reply.ok() ? Parser::parse(reply.body) : std::variant<Value, sdk::json::ParseError>();
  const auto* root = std::get_if<Value>(&parsed);
  if (!reply.ok() || root == nullptr) {
    fail("cannot list " + what_ + ": " +
         (reply.ok() ? std::string("the answer is no JSON") : reply.error.text()));
    return listAgain();
  }
  if (const Value* items = root->find("items"))
    for (const Value& item : items->items())
      if (auto actual = readActual(item)) listing_.insert_or_assign(actual->key(), *actual);
  if (const std::string next = textAt(*root, {"metadata", "continue"}); !next.empty())
    return listPage(next);
  version_ = textAt(*root, {"metadata", "resourceVersion"});
  objects_ = std::exchange(listing_, {});
  synced_ = true;
  fail({});
  watch();
  changed_();
}

void Follower::watch() {
  line_.clear();
  std::vector<std::pair<std::string_view, std::string_view>> query{
      {"watch", "true"}, {"allowWatchBookmarks", "true"}, {"resourceVersion", version_}};
  if (!selector_.empty()) query.emplace_back("labelSelector", selector_);
  Request request;
  request.path = k8s_client::withQuery(path_, query);
  stream_ = api_.stream(std::move(request), *this);
  heard();
}

void Follower::heard() {
  if (silence_ != 0) api_.cancel(silence_);
  silence_ = api_.after(kSilence, [self = self_] {
    if (*self == nullptr) return;
    Follower& me = **self;
    me.silence_ = 0;
    me.endWatch();
    me.watch();
  });
}

void Follower::endWatch() {
  if (stream_ != 0) api_.cancel(std::exchange(stream_, 0));
  if (silence_ != 0) api_.cancel(std::exchange(silence_, 0));
}

void Follower::onData(std::string_view bytes) {
  heard();
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, end));
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    const std::string line = std::exchange(line_, {});
    if (!line.empty()) onLine(line);
    if (stream_ == 0) return;  // The line ended it.
  }
  if (line_.size() <= kMostLine) return;
  endWatch();
  fail("a line of the watch of " + what_ + " does not end");
  listAgain();
}

void Follower::onLine(std::string_view line) {
  const auto parsed = Parser::parse(line);
  const auto* event = std::get_if<Value>(&parsed);
  const Value* content = event != nullptr ? event->find("object") : nullptr;
  const std::string type = event != nullptr ? textAt(*event, {"type"}) : std::string();
  if (content == nullptr || type == "ERROR") {
    endWatch();
    // Expired (410) or anything else: what was missed is found by a list.
    return listAgain();
  }
  if (std::string version = textAt(*content, {"metadata", "resourceVersion"}); !version.empty())
    version_ = std::move(version);
  if (type == "BOOKMARK") return;
  failures_ = 0;
  auto actual = readActual(*content);
  if (!actual) return;
  const std::string key = actual->key();
  if (type == "DELETED") {
    const auto found = objects_.find(key);
    if (found == objects_.end() || found->second.version > actual->version) return;
    objects_.erase(found);
  } else {
    const auto found = objects_.find(key);
    // An answer to a write of ours may have come before its event.
    if (found != objects_.end() && found->second.version >= actual->version) return;
    objects_.insert_or_assign(key, std::move(*actual));
  }
  changed_();
}

void Follower::onEnd(Error error) {
  stream_ = 0;
  if (silence_ != 0) api_.cancel(std::exchange(silence_, 0));
  if (gone(error)) return listAgain();
  if (error && error.kind == Error::Kind::Status) {
    fail("cannot watch " + what_ + ": " + error.text());
    return listAgain();
  }
  // The server ends watches after some minutes, and connections break: it goes on from where it
  // was.
  if (!error) failures_ = 0;
  retry([this] { watch(); }, nextDelay());
}

}  // namespace hyperway::gateway_deployer
