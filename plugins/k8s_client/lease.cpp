// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/lease.hpp"

#include <openssl/evp.h>

#include <array>
#include <ctime>

#include "hyperway/sdk/json.hpp"
#include "k8s_client/json_text.hpp"

namespace hyperway::k8s_client {
namespace {

using sdk::json::Parser;
using sdk::json::Value;

constexpr std::chrono::minutes kTellAgain{1};

// metav1.MicroTime.
std::string microTime(std::chrono::system_clock::time_point time) {
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const auto seconds = static_cast<std::time_t>(micros / 1'000'000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[64];
  const auto size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::string fraction = std::to_string(1'000'000 + micros % 1'000'000);
  fraction.front() = '.';
  return std::string(text, size) + fraction + 'Z';
}

}  // namespace

std::string leaseName(std::string_view base, std::string_view controller_name) {
  std::string out(base);
  if (controller_name == kDefaultController) return out;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  if (EVP_Digest(controller_name.data(), controller_name.size(), digest.data(), nullptr,
                 EVP_sha256(), nullptr) != 1)
    return out;  // Out of memory; a name that is shared still has one writer.
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '-';
  for (std::size_t i = 0; i < 4; ++i) {
    out += kHex[digest[i] >> 4];
    out += kHex[digest[i] & 15];
  }
  return out;
}

struct Lease::State : std::enable_shared_from_this<Lease::State> {
  State(Api& to, Options settings, Changed on_change, Trouble on_trouble,
        std::shared_ptr<std::atomic<bool>> flag)
      : api(to),
        options(std::move(settings)),
        changed(std::move(on_change)),
        trouble(std::move(on_trouble)),
        held(std::move(flag)) {}

  Api& api;
  const Options options;
  const Changed changed;
  const Trouble trouble;
  const std::shared_ptr<std::atomic<bool>> held;

  // What the server had when we last looked.
  struct Seen {
    std::string resource_version, holder, renew_time, acquire_time;
    std::int64_t transitions = 0;
    std::chrono::milliseconds duration{0};
  };
  Seen seen;
  TimePoint seen_changed{};  // when `seen` last changed, by our clock
  TimePoint renewed{};       // when the last successful write of ours was begun
  bool running = false;
  bool writing = false;    // an answer to a write is awaited
  bool releasing = false;  // and release() waits for it
  std::function<void()> released;
  Api::Id timer = 0;
  Api::Id expiry = 0;
  std::string last_trouble;
  TimePoint told{};  // when that was

  [[nodiscard]] std::string collection() const {
    return path("coordination.k8s.io/v1", options.name_space, "leases");
  }
  [[nodiscard]] std::string itself() const { return collection() + '/' + escape(options.name); }

  // Everything that the loop calls holds us, since a Lease may end before its answers come.
  template <class Call>
  std::function<void(Reply)> then(Call call) {
    return [self = shared_from_this(), call](Reply reply) { call(*self, std::move(reply)); };
  }

  void set(bool now) {
    if (held->exchange(now, std::memory_order_acq_rel) == now) return;
    changed(now);
  }

  void again(Duration delay) {
    if (!running) return;
    if (options.random)
      delay -= std::chrono::duration_cast<Duration>(delay * 0.2 * options.random());
    timer = api.after(delay, [self = shared_from_this()] {
      if (self->running) self->look();
    });
  }

  // Nothing renews it in time: it is lost, whatever the server will say later.
  void watchExpiry() {
    if (expiry != 0) api.cancel(expiry);
    const TimePoint ends = renewed + options.renew_limit;
    const TimePoint now = api.now();
    expiry = api.after(ends > now ? ends - now : Duration{0}, [self = shared_from_this()] {
      self->expiry = 0;
      if (self->api.now() >= self->renewed + self->options.renew_limit) self->set(false);
    });
  }

  void complain(const Error& error) {
    std::string text = error.text();
    if (text == last_trouble) return;
    // A server that is away fails in ever new ways.
    const TimePoint now = api.now();
    if (told != TimePoint{} && now < told + kTellAgain) return;
    last_trouble = std::move(text);
    told = now;
    if (trouble) trouble(error);
  }

  Request limited(Request request) const {
    request.timeout =
        std::min<std::chrono::milliseconds>(options.renew_limit / 2, std::chrono::seconds(5));
    return request;
  }

  void look() {
    // The holder knows what is there; whoever is not has to look.
    if (held->load(std::memory_order_acquire)) return write();
    Request request;
    request.path = itself();
    api.call(limited(std::move(request)),
             then([](State& self, Reply reply) { self.onLooked(std::move(reply)); }));
  }

  void onLooked(Reply reply) {
    if (!running) return;
    if (reply.error.notFound()) {
      seen = {};
      return write();
    }
    if (!reply.ok()) {
      complain(reply.error);
      return again(options.retry);
    }
    if (!read(reply.body)) {
      complain({Error::Kind::Invalid, 0, "", "the Lease cannot be read", {}, std::nullopt});
      return again(options.retry);
    }
    const bool over = seen.holder.empty() || seen.holder == options.identity ||
                      api.now() - seen_changed >= seen.duration;
    if (over) return write();
    again(options.retry);
  }

  bool read(const std::string& body) {
    const auto parsed = Parser::parse(body);
    const auto* root = std::get_if<Value>(&parsed);
    if (root == nullptr) return false;
    const auto text = [](const Value* object, std::string_view name) {
      const Value* found = object != nullptr ? object->find(name) : nullptr;
      return found != nullptr ? found->text() : std::string();
    };
    const auto number = [](const Value* object, std::string_view name) {
      const Value* found = object != nullptr ? object->find(name) : nullptr;
      return found != nullptr ? found->integer() : 0;
    };
    const Value* metadata = root->find("metadata");
    const Value* spec = root->find("spec");
    Seen now;
    now.resource_version = text(metadata, "resourceVersion");
    now.holder = text(spec, "holderIdentity");
    now.renew_time = text(spec, "renewTime");
    now.acquire_time = text(spec, "acquireTime");
    now.transitions = number(spec, "leaseTransitions");
    now.duration = std::chrono::seconds(number(spec, "leaseDurationSeconds"));
    if (now.resource_version.empty()) return false;
    if (now.resource_version != seen.resource_version) seen_changed = api.now();
    seen = std::move(now);
    return true;
  }

  [[nodiscard]] std::string document(bool give_up) const {
    const bool ours = seen.holder == options.identity;
    const std::string time = microTime(options.wall());
    std::string out =
        R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":)";
    appendText(out, options.name);
    out += R"(,"namespace":)";
    appendText(out, options.name_space);
    if (!seen.resource_version.empty()) {
      out += R"(,"resourceVersion":)";
      appendText(out, seen.resource_version);
    }
    out += R"(},"spec":{"holderIdentity":)";
    appendText(out, give_up ? std::string() : options.identity);
    // Whoever comes next need not wait for a lease that was given up.
    const auto seconds =
        give_up ? 1 : std::chrono::duration_cast<std::chrono::seconds>(options.duration).count();
    out += R"(,"leaseDurationSeconds":)" + std::to_string(seconds);
    out += R"(,"renewTime":)";
    appendText(out, time);
    out += R"(,"acquireTime":)";
    appendText(out, ours && !seen.acquire_time.empty() ? seen.acquire_time : time);
    const bool first = seen.resource_version.empty();
    out += R"(,"leaseTransitions":)" + std::to_string(seen.transitions + (ours || first ? 0 : 1));
    out += "}}";
    return out;
  }

  void write() {
    writing = true;
    const TimePoint began = api.now();
    Request request = seen.resource_version.empty() ? createRequest(collection(), document(false))
                                                    : putRequest(itself(), document(false));
    api.call(limited(std::move(request)),
             then([began](State& self, Reply reply) { self.onWritten(began, std::move(reply)); }));
  }

  void onWritten(TimePoint began, Reply reply) {
    writing = false;
    if (releasing) {
      // The answer that release() waited for.
      if (reply.ok()) (void)read(reply.body);
      return giveUp();
    }
    if (!running) return;
    if (reply.ok() && read(reply.body)) {
      last_trouble.clear();
      renewed = began;
      set(true);
      watchExpiry();
      return again(options.retry);
    }
    if (reply.error.conflict() || reply.error.notFound()) {
      // Somebody else wrote it: whose it is now is seen by looking.
      set(false);
      seen.resource_version.clear();
      return again(options.retry);
    }
    complain(reply.error);
    if (api.now() >= renewed + options.renew_limit) set(false);
    again(options.retry);
  }

  void release(std::function<void()> done) {
    released = std::move(done);
    const bool was_held = held->load(std::memory_order_acquire);
    running = false;
    if (timer != 0) api.cancel(timer);
    if (expiry != 0) api.cancel(expiry);
    set(false);
    releasing = writing;
    if (releasing) return;
    if (!was_held) return tellReleased();
    giveUp();
  }

  void giveUp() {
    releasing = false;
    api.call(limited(putRequest(itself(), document(true))),
             then([](State& self, Reply) { self.tellReleased(); }));
  }

  void tellReleased() {
    if (auto done = std::exchange(released, nullptr)) done();
  }
};

Lease::Lease(Api& api, Options options, Changed changed, Trouble trouble)
    : held_(std::make_shared<std::atomic<bool>>(false)) {
  state_ = std::make_shared<State>(api, std::move(options), std::move(changed), std::move(trouble),
                                   held_);
}

Lease::~Lease() {
  state_->running = false;
  if (state_->timer != 0) state_->api.cancel(state_->timer);
  if (state_->expiry != 0) state_->api.cancel(state_->expiry);
}

void Lease::start() {
  if (std::exchange(state_->running, true)) return;
  state_->look();
}

void Lease::release(std::function<void()> done) { state_->release(std::move(done)); }

}  // namespace hyperway::k8s_client
