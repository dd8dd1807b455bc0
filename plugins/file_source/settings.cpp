// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

namespace hyperway::file_source {
namespace {

Settings::SelfSigned readSelfSigned(const sdk::ConfigNode& node) {
  Settings::SelfSigned out;
  node.only({"namespace", "name", "hosts", "directory", "days"});
  out.name_space = node["namespace"].textOr(out.name_space);
  out.name = node["name"].textOr(out.name);
  if (node["hosts"].present()) out.hosts = node["hosts"].texts();
  if (out.hosts.empty()) node["hosts"].error("must name at least one host");
  for (const std::string& host : out.hosts)
    if (host.empty() || host.find_first_of(" ,\t\n") != std::string::npos)
      node["hosts"].error("\"" + host + "\" is neither a DNS name nor an IP address");
  out.directory = node["directory"].textOr("");
  out.days = static_cast<int>(node["days"].integerOr(out.days, 1, 3650));
  return out;
}

}  // namespace

Settings readSettings(sdk::Setup& setup) {
  Settings out;
  const sdk::ConfigNode config = setup.config();
  config.only({"paths", "recursive", "certificates", "self_signed", "status_file", "poll_seconds"});
  out.paths = config["paths"].texts();
  for (std::string& path : out.paths) {
    if (path.empty()) config["paths"].error("a path must not be empty");
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  }
  out.recursive = config["recursive"].booleanOr(false);
  for (const sdk::ConfigNode& item : config["certificates"].items()) {
    item.only({"directory", "namespace", "name"});
    Settings::CertificateDirectory directory;
    directory.directory = item["directory"].text();
    while (directory.directory.size() > 1 && directory.directory.ends_with('/'))
      directory.directory.pop_back();
    directory.name_space = item["namespace"].textOr(directory.name_space);
    directory.name = item["name"].textOr("");
    out.certificates.push_back(std::move(directory));
  }
  out.has_self_signed = config["self_signed"].present();
  if (out.has_self_signed) out.self_signed = readSelfSigned(config["self_signed"]);
  out.status_file = config["status_file"].textOr("");
  out.poll = std::chrono::seconds(config["poll_seconds"].integerOr(30, 1, 86400));
  if (out.paths.empty() && !setup.problems().failed())
    config["paths"].error("is required: the manifests' files and directories");
  return out;
}

}  // namespace hyperway::file_source
