// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/config.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

using namespace hyperway::k8s_client;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/k8s_config_XXXXXX";
    path = ::mkdtemp(name);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path + '/' + name) << text;
    return path + '/' + name;
  }
  std::string path;
};

Environment environmentOf(std::map<std::string, std::string> values) {
  return [values](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
}

std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return "current-context: here\n"
         "contexts:\n- name: here\n  context: {cluster: c, user: u, namespace: shop}\n"
         "clusters:\n- name: c\n  cluster:\n" +
         cluster + "users:\n- name: u\n  user:\n" + user;
}

}  // namespace

TEST_CASE(
    "A Pod finds its API server, also on IPv6, and its account; the token is read as it rotates") {
  const Folder folder;
  folder.write("token", "one");
  folder.write("ca.crt", "CA");
  folder.write("namespace", "hyperway-system\n");
  std::string error;
  for (const std::string host : {"fd00::1", "[fd00::1]"}) {
    const auto config = inCluster(
        environmentOf({{"KUBERNETES_SERVICE_HOST", host}, {"KUBERNETES_SERVICE_PORT", "443"}}),
        folder.path, error);
    REQUIRE(config.has_value());
    CHECK(config->host == "fd00::1");
    CHECK(config->url() == "https://[fd00::1]:443");
    CHECK(config->name_space == "hyperway-system");
    CHECK(config->token.read(error) == "one");
    folder.write("token", "two");
    CHECK(config->token.read(error) == "two");
    folder.write("token", "one");
  }
}

TEST_CASE("Outside of a Pod and without kubeconfig it says what is missing") {
  std::string error;
  CHECK_FALSE(loadConfig("", "", environmentOf({}), error).has_value());
  CHECK(error.find("this is no Pod") != std::string::npos);
  CHECK_FALSE(inCluster(environmentOf({{"KUBERNETES_SERVICE_HOST", "10.0.0.1"},
                                       {"KUBERNETES_SERVICE_PORT", "443"}}),
                        "/nonexistent", error)
                  .has_value());
  CHECK(error.find("/nonexistent/token cannot be read") != std::string::npos);
}

TEST_CASE("A kubeconfig gives server, authorities and who we are, in place or by file") {
  const Folder folder;
  const std::string path = folder.write(
      "config", kubeconfig("    server: https://api.example.com/k8s/\n"
                           "    certificate-authority-data: Q0E=\n    tls-server-name: inner\n",
                           "    client-certificate: cert.pem\n    client-key: /abs/key.pem\n"
                           "    token: t\n"));
  std::string error;
  const auto config = loadConfig("", "", environmentOf({{"KUBECONFIG", path}}), error);
  REQUIRE_MESSAGE(config.has_value(), error);
  CHECK(config->host == "api.example.com");
  CHECK(config->port == 443);
  CHECK(config->prefix == "/k8s");
  CHECK(config->server_name == "inner");
  CHECK(config->ca.pem == "CA");
  CHECK_FALSE(config->insecure);
  CHECK(config->certificate.file == folder.path + "/cert.pem");
  CHECK(config->key.file == "/abs/key.pem");
  CHECK(config->token.pem == "t");
  CHECK(config->name_space == "shop");
}

TEST_CASE("A kubeconfig that cannot be used safely or at all is refused, and says why") {
  const Folder folder;
  const std::string fine = "    server: https://a:6443\n";
  struct Row {
    std::string text, context, problem;
  };
  for (const Row& row :
       {Row{kubeconfig("    server: http://a\n", "    token: t\n"), "", "https://"},
        Row{kubeconfig("    server: https://a:0\n", "    token: t\n"), "", "https://host:port"},
        Row{kubeconfig(fine, "    exec: {command: x}\n"), "", "exec in a user is not supported"},
        Row{kubeconfig(fine, "    username: x\n"), "", "username in a user is not supported"},
        Row{kubeconfig(fine, "    client-certificate: x\n"), "", "both client-certificate"},
        Row{kubeconfig(fine + "    certificate-authority-data: '%%%'\n", "    token: t\n"), "",
            "is not base64"},
        Row{kubeconfig(fine + "    proxy-url: http://p\n", "    token: t\n"), "", "proxy-url"},
        Row{kubeconfig(fine, "    token: t\n"), "other", "has no context \"other\""},
        Row{"[1,", "", "kubeconfig"}, Row{"a: 1\n", "", "no current-context"}}) {
    CAPTURE(row.text);
    std::string error;
    CHECK_FALSE(fromKubeconfig(folder.write("config", row.text), row.context, error).has_value());
    CAPTURE(error);
    CHECK(error.find(row.problem) != std::string::npos);
  }
}
