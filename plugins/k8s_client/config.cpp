// SPDX-License-Identifier: Apache-2.0
#include "k8s_client/config.hpp"

#include <openssl/evp.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace hyperway::k8s_client {
namespace {

std::optional<std::string> readFile(const std::string& path, std::string& error) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  if (in) content << in.rdbuf();
  if (!in || content.fail()) {
    error = path + " cannot be read: " + std::strerror(errno);
    return std::nullopt;
  }
  return content.str();
}

std::optional<std::string> decodeBase64(const std::string& text) {
  std::string packed;
  for (const char c : text)
    if (c != '\n' && c != '\r' && c != ' ') packed += c;
  if (packed.empty() || packed.size() % 4 != 0) return std::nullopt;
  std::string out(packed.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(packed.data()),
                                   static_cast<int>(packed.size()));
  if (size < 0) return std::nullopt;
  out.resize(static_cast<std::size_t>(size));
  while (packed.ends_with('=') && !out.empty()) {
    packed.pop_back();
    out.pop_back();
  }
  return out;
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::strchr(" \t\r\n", text.back()) != nullptr) text.pop_back();
  const auto begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string::npos ? std::string() : text.substr(begin);
}

bool parsePort(std::string_view text, std::uint16_t& port) {
  unsigned number = 0;
  const char* end = text.data() + text.size();
  if (text.empty() || std::from_chars(text.data(), end, number).ptr != end || number == 0 ||
      number > 65535)
    return false;
  port = static_cast<std::uint16_t>(number);
  return true;
}

// "https://host:port/prefix"; IPv6 in brackets.
bool parseServer(std::string_view url, ClusterConfig& out, std::string& error) {
  const std::string quoted = '"' + std::string(url) + '"';
  if (!url.starts_with("https://")) {
    error = "server " + quoted + " does not begin with https://";
    return false;
  }
  url.remove_prefix(8);
  std::string_view authority = url.substr(0, url.find('/'));
  std::string_view prefix = url.substr(authority.size());
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  out.prefix = prefix;
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    if (close == std::string_view::npos) return error = "server " + quoted + " has no host", false;
    out.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
  } else {
    out.host = authority.substr(0, authority.find(':'));
    port = authority.substr(out.host.size());
  }
  const bool good_port =
      port.empty() || (port.front() == ':' && parsePort(port.substr(1), out.port));
  if (!out.host.empty() && good_port && authority.find('@') == std::string_view::npos) return true;
  error = "server " + quoted + " is no https://host:port";
  return false;
}

class Kubeconfig {
 public:
  Kubeconfig(const std::string& path, std::string& error) : error_(error) {
    const auto slash = path.rfind('/');
    directory_ = slash == std::string::npos ? "." : path.substr(0, slash);
  }

  bool read(const YAML::Node& document, std::string context, ClusterConfig& out) {
    if (context.empty()) context = text(document, "current-context");
    if (context.empty()) return fail("has no current-context, and none was named");
    YAML::Node chosen, cluster, user;
    if (!find(document, "contexts", "context", context, chosen)) return false;
    if (!find(document, "clusters", "cluster", text(chosen, "cluster"), cluster)) return false;
    out.name_space = text(chosen, "namespace");
    if (!readCluster(cluster, out)) return false;
    if (text(chosen, "user").empty()) return true;
    return find(document, "users", "user", text(chosen, "user"), user) && readUser(user, out);
  }

 private:
  bool fail(std::string message) {
    error_ = std::move(message);
    return false;
  }

  static std::string text(const YAML::Node& map, const char* name) {
    if (!map.IsMap()) return {};
    const YAML::Node found = map[name];
    return found && found.IsScalar() ? found.Scalar() : std::string();
  }

  bool find(const YAML::Node& document, const char* list, const char* member,
            const std::string& name, YAML::Node& out) {
    if (document.IsMap() && document[list] && document[list].IsSequence())
      for (const YAML::Node& item : document[list])
        if (text(item, "name") == name && item[member] && item[member].IsMap()) {
          out.reset(item[member]);
          return true;
        }
    return fail("has no " + std::string(member) + " \"" + name + '"');
  }

  // NAME-data in base64 wins over the file NAME, as kubectl has it.
  bool material(const YAML::Node& map, const char* name, const char* data_name, Material& out) {
    if (const std::string data = text(map, data_name); !data.empty()) {
      const auto decoded = decodeBase64(data);
      if (!decoded) return fail(std::string(data_name) + " is not base64");
      out.pem = *decoded;
    } else if (const std::string file = text(map, name); !file.empty()) {
      out.file = file.front() == '/' ? file : directory_ + '/' + file;
    }
    return true;
  }

  bool readCluster(const YAML::Node& cluster, ClusterConfig& out) {
    if (!parseServer(text(cluster, "server"), out, error_)) return false;
    if (!text(cluster, "proxy-url").empty()) return fail("proxy-url is not supported");
    out.server_name = text(cluster, "tls-server-name");
    out.insecure = text(cluster, "insecure-skip-tls-verify") == "true";
    return material(cluster, "certificate-authority", "certificate-authority-data", out.ca);
  }

  bool readUser(const YAML::Node& user, ClusterConfig& out) {
    for (const char* refused : {"exec", "auth-provider", "username", "as"})
      if (user[refused])
        return fail(std::string(refused) + " in a user is not supported: use a client " +
                    "certificate, token or tokenFile");
    if (!material(user, "client-certificate", "client-certificate-data", out.certificate) ||
        !material(user, "client-key", "client-key-data", out.key))
      return false;
    if (out.certificate.absent() != out.key.absent())
      return fail("a user needs both client-certificate and client-key, or none");
    out.token.pem = text(user, "token");
    if (const std::string file = text(user, "tokenFile"); !file.empty()) {
      out.token.file = file.front() == '/' ? file : directory_ + '/' + file;
      out.token.pem.clear();  // The file wins, as kubectl has it.
    }
    return true;
  }

  std::string& error_;
  std::string directory_;
};

}  // namespace

std::optional<std::string> Material::read(std::string& error) const {
  if (!pem.empty() || file.empty()) return pem;
  return readFile(file, error);
}

std::string ClusterConfig::url() const { return "https://" + authority() + prefix; }

std::string ClusterConfig::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

Environment processEnvironment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it.
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

std::optional<ClusterConfig> inCluster(const Environment& environment, const std::string& directory,
                                       std::string& error) {
  ClusterConfig out;
  const auto host = environment("KUBERNETES_SERVICE_HOST");
  const auto port = environment("KUBERNETES_SERVICE_PORT");
  if (!host || host->empty() || !port) {
    error =
        "this is no Pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set), and no "
        "kubeconfig is named";
    return std::nullopt;
  }
  out.host = *host;
  if (out.host.starts_with('[') && out.host.ends_with(']'))
    out.host = out.host.substr(1, out.host.size() - 2);
  if (!parsePort(*port, out.port)) {
    error = "KUBERNETES_SERVICE_PORT=\"" + *port + "\" is no port";
    return std::nullopt;
  }
  out.token.file = directory + "/token";
  out.ca.file = directory + "/ca.crt";
  if (!out.token.read(error) || !out.ca.read(error)) return std::nullopt;
  std::string ignored;  // The namespace file is a convenience; settings may name another.
  if (auto name_space = readFile(directory + "/namespace", ignored))
    out.name_space = trimmed(*name_space);
  return out;
}

std::optional<ClusterConfig> fromKubeconfig(const std::string& path, const std::string& context,
                                            std::string& error) {
  const auto content = readFile(path, error);
  if (!content) return std::nullopt;
  ClusterConfig out;
  std::string wrong;
  try {
    if (Kubeconfig(path, wrong).read(YAML::Load(*content), context, out)) return out;
  } catch (const YAML::Exception& problem) {
    wrong = problem.what();
  }
  error = "kubeconfig " + path + ": " + wrong;
  return std::nullopt;
}

std::optional<ClusterConfig> loadConfig(const std::string& kubeconfig, const std::string& context,
                                        const Environment& environment, std::string& error) {
  if (!kubeconfig.empty()) return fromKubeconfig(kubeconfig, context, error);
  if (const auto named = environment("KUBECONFIG"); named && !named->empty())
    return fromKubeconfig(*named, context, error);
  return inCluster(environment, std::string(kServiceAccountDirectory), error);
}

}  // namespace hyperway::k8s_client
