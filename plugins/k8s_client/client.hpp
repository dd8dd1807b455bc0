// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "k8s_client/api.hpp"
#include "k8s_client/config.hpp"
#include "k8s_client/name_lookup.hpp"

namespace hyperway::k8s_client {

/// The API server over HTTP/2 and TLS: one thread, one connection for requests, and others for
/// streams. Connections are made when they are needed, tested by PING, and made again with
/// back-off. The token is read again as its file changes and after a 401, certificates with each
/// connection.
class Client final : public Api {
 public:
  /// Contacts nothing yet. `user_agent` is what the server's log shows. `resolve` looks the
  /// server's name up, on a thread of its own.
  Client(ClusterConfig config, std::string user_agent, Resolve resolve = systemResolve);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  /// stop()s.
  ~Client() override;

  /// Starts the thread.
  void start();
  /// Ends the thread; requests under way end with Kind::Stopped, streams without a word. What is
  /// posted or called afterwards is not run. Not from the loop's thread. Idempotent.
  void stop();
  /// Runs `task` on the loop's thread, soon. Any thread.
  void post(std::function<void()> task);
  /// `task` runs after each turn of the loop in which something arrived. Before start().
  void afterTurn(std::function<void()> task);

  /// See Api; any thread.
  void call(Request request, Done done) override;
  /// See Api; the loop's thread.
  [[nodiscard]] Id stream(Request request, StreamHandler& handler) override;
  /// See Api; the loop's thread.
  void cancel(Id id) override;
  /// See Api; the loop's thread.
  Id after(Duration delay, std::function<void()> task) override;
  /// See Api; any thread.
  [[nodiscard]] TimePoint now() const override;

  /// Sends a request and waits for the answer. Any thread but the loop's.
  [[nodiscard]] Reply wait(Request request);
  /// GET.
  [[nodiscard]] Reply get(std::string path);
  /// POST; see createRequest().
  [[nodiscard]] Reply create(std::string path, std::string json);
  /// PUT; see putRequest().
  [[nodiscard]] Reply put(std::string path, std::string json);
  /// PATCH; see mergePatchRequest().
  [[nodiscard]] Reply mergePatch(std::string path, std::string json);
  /// PATCH; see applyRequest().
  [[nodiscard]] Reply apply(std::string path, std::string json, bool force);
  /// DELETE; see removeRequest().
  [[nodiscard]] Reply remove(std::string path);
  /// Lists by pages of 500 and gives each object's JSON text, without apiVersion and kind where the
  /// server leaves them out. `path` may have a query (labelSelector=…). The reply's body is empty;
  /// after an error what was given so far is not the whole.
  [[nodiscard]] Reply list(const std::string& path,
                           const std::function<void(std::string_view object)>& each);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hyperway::k8s_client
