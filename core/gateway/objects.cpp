// SPDX-License-Identifier: Apache-2.0
#include "gateway/objects.hpp"

#include <charconv>
#include <cstring>

#include "gateway/objects_impl.hpp"

namespace hyperway::gateway {
namespace {

// RFC 3339 as Kubernetes writes it, "2026-01-02T03:04:05Z"; 0 for anything else: the age of an
// object only breaks ties.
std::int64_t parseTime(std::string_view text) {
  const auto number = [&](std::size_t at, std::size_t size) {
    std::int64_t value = -1;
    std::from_chars(text.data() + at, text.data() + at + size, value);
    return value;
  };
  if (text.size() < 20 || text[4] != '-' || text[10] != 'T') return 0;
  const std::int64_t month = number(5, 2), day = number(8, 2);
  std::int64_t year = number(0, 4);
  if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31) return 0;
  // Days since the epoch for years that begin in March, so that the leap day comes last.
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = year / 400, year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  const std::int64_t days = era * 146097 + day_of_era - 719468;
  return days * 86400 + number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2);
}

void readGrantPeer(JsonNode& node, std::string& group, std::string& kind, std::string_view third,
                   std::string& value) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "group") member.read(group);
    if (key == "kind") member.read(kind);
    if (key == third) member.read(value);
  });
}

}  // namespace

std::optional<Kind> kindOf(std::string_view group, std::string_view kind) noexcept {
  struct Row {
    std::string_view group, name;
    Kind kind;
  };
  static constexpr Row kRows[] = {
      {kGatewayGroup, "HTTPRoute", Kind::Route},
      {kGatewayGroup, "Gateway", Kind::Gateway},
      {kGatewayGroup, "GatewayClass", Kind::GatewayClass},
      {kGatewayGroup, "GRPCRoute", Kind::Route},
      {kGatewayGroup, "TLSRoute", Kind::Route},
      {kGatewayGroup, "TCPRoute", Kind::Route},
      {kGatewayGroup, "UDPRoute", Kind::Route},
      {kGatewayGroup, "ListenerSet", Kind::ListenerSet},
      {kGatewayGroup, "BackendTLSPolicy", Kind::BackendTlsPolicy},
      {kGatewayGroup, "ReferenceGrant", Kind::ReferenceGrant},
      {"", "Service", Kind::Service},
      {"", "Secret", Kind::Secret},
      {"", "ConfigMap", Kind::ConfigMap},
      {kCertificatesGroup, "ClusterTrustBundle", Kind::ClusterTrustBundle},
      {"", "Namespace", Kind::Namespace},
      {"discovery.k8s.io", "EndpointSlice", Kind::EndpointSlice},
      {kHyperwayGroup, "Filter", Kind::Filter},
      {kHyperwayGroup, "RouteSnapshot", Kind::RouteSnapshot},
  };
  for (const Row& row : kRows)
    if (row.name == kind && row.group == group) return row.kind;
  return std::nullopt;
}

std::string objectKey(std::string_view name_space, std::string_view name) {
  std::string key;
  key.reserve(name_space.size() + 1 + name.size());
  key.append(name_space) += '/';
  key.append(name);
  return key;
}

bool operator==(const ListenerSpec& a, const ListenerSpec& b) {
  return a.name == b.name && a.hostname == b.hostname && a.port == b.port &&
         a.protocol == b.protocol && a.tls == b.tls && a.allowed == b.allowed &&
         a.filters == b.filters && a.problems == b.problems;
}

bool operator==(const BackendSpec& a, const BackendSpec& b) {
  return a.group == b.group && a.kind == b.kind && a.name_space == b.name_space &&
         a.name == b.name && a.port == b.port && a.weight == b.weight && a.filters == b.filters;
}

std::string JsonPlace::text() const {
  std::string out = parent != nullptr ? parent->text() : std::string();
  if (parent == nullptr) return out;
  JsonPointer here(std::move(out));
  return (key.empty() ? here / index : here / key).text();
}

bool JsonNode::expect(simdjson::error_code error, std::string_view message) {
  switch (error) {
    case simdjson::SUCCESS: return true;
    case simdjson::INCORRECT_TYPE:
    case simdjson::NUMBER_ERROR:
    case simdjson::NUMBER_OUT_OF_RANGE: problem(message); return false;
    default:
      trouble_->malformed = true;
      trouble_->whole->push_back(place_.text() +
                                 ": is not well-formed JSON: " + simdjson::error_message(error));
      return false;
  }
}

bool ObjectDecoder::Impl::open(std::string_view json, simdjson::ondemand::value& root,
                               std::vector<std::string>& lines) {
  if (buffer_.size() < json.size() + simdjson::SIMDJSON_PADDING)
    buffer_.resize(json.size() + simdjson::SIMDJSON_PADDING);
  std::memcpy(buffer_.data(), json.data(), json.size());
  std::memset(buffer_.data() + json.size(), 0, simdjson::SIMDJSON_PADDING);
  auto error = parser_.iterate(buffer_.data(), json.size(), buffer_.size()).get(document_);
  if (error == simdjson::SUCCESS) error = document_.get_value().get(root);
  if (error == simdjson::SUCCESS) return true;
  lines.push_back(std::string(": is not well-formed JSON: ") + simdjson::error_message(error));
  return false;
}

bool ObjectDecoder::Impl::report(const std::vector<std::string>& lines, Problems& problems) {
  for (const std::string& line : lines) {
    const std::size_t at = line.find(": ");
    problems.add(JsonPointer(line.substr(0, at)), line.substr(at + 2));
  }
  return lines.empty();
}

void ObjectDecoder::Impl::readMeta(JsonNode& node, Meta& meta, const Extras& extras) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "generation") member.read(meta.generation);
    if (key == "creationTimestamp") {
      std::string text;
      member.read(text);
      meta.created = parseTime(text);
    }
    if (key == "labels" && extras.labels != nullptr) readLabels(member, *extras.labels);
    if (key == "annotations" && extras.annotations != nullptr)
      readLabels(member, *extras.annotations);
    if (key == "uid" && extras.uid != nullptr) member.read(*extras.uid);
  });
}

void readParameters(JsonNode& node, ParametersRef& parameters) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "group") member.read(parameters.group);
    if (key == "kind") member.read(parameters.kind);
    if (key == "namespace") member.read(parameters.name_space);
    if (key == "name") member.read(parameters.name);
  });
}

void readLabels(JsonNode& node, Labels& labels) {
  node.fields([&](std::string_view key, JsonNode& member) {
    auto& [name, value] = labels.emplace_back();
    name = key;
    member.read(value);
  });
}

void readParent(JsonNode& node, ParentRef& parent) {
  node.fields([&](std::string_view key, JsonNode& member) {
    if (key == "group") member.read(parent.group.emplace());
    if (key == "kind") member.read(parent.kind);
    if (key == "namespace") member.read(parent.name_space);
    if (key == "name") member.read(parent.name);
    if (key == "sectionName") member.read(parent.section_name);
    if (key == "port") {
      std::int64_t port = 0;
      member.read(port);
      if (port < 1 || port > 65535) return member.problem("must be 1 to 65535");
      parent.port = static_cast<std::int32_t>(port);
    }
  });
  if (parent.name.empty()) node.problem("needs a name");
}

ObjectDecoder::ObjectDecoder() : impl_(std::make_unique<Impl>()) {}
ObjectDecoder::~ObjectDecoder() = default;

bool ObjectDecoder::decode(std::string_view json, GatewayClass& object, Problems& problems) {
  const bool fine =
      impl_->read(json, object.meta, nullptr, problems, [&](std::string_view part, JsonNode& spec) {
        if (part != "spec") return;
        spec.fields([&](std::string_view key, JsonNode& member) {
          if (key == "controllerName") member.read(object.controller_name);
          if (key == "parametersRef") readParameters(member, object.parameters.emplace());
        });
      });
  if (fine && object.controller_name.empty())
    problems.add(JsonPointer("/spec"), "needs a controllerName");
  return !problems.failed();
}

bool ObjectDecoder::decode(std::string_view json, ReferenceGrant& object, Problems& problems) {
  return impl_->read(
      json, object.meta, nullptr, problems, [&](std::string_view part, JsonNode& spec) {
        if (part != "spec") return;
        spec.fields([&](std::string_view key, JsonNode& member) {
          if (key == "from")
            member.items([&](JsonNode& item) {
              auto& from = object.from.emplace_back();
              readGrantPeer(item, from.group, from.kind, "namespace", from.name_space);
            });
          if (key == "to")
            member.items([&](JsonNode& item) {
              auto& to = object.to.emplace_back();
              readGrantPeer(item, to.group, to.kind, "name", to.name);
            });
        });
      });
}

bool ObjectDecoder::decode(std::string_view json, Namespace& object, Problems& problems) {
  return impl_->read(json, object.meta, &object.labels, problems,
                     [](std::string_view, JsonNode&) {});
}

bool ObjectDecoder::decode(std::string_view json, FilterObject& object, Problems& problems) {
  object.config = "{}";
  const bool fine =
      impl_->read(json, object.meta, nullptr, problems, [&](std::string_view part, JsonNode& spec) {
        if (part != "spec") return;
        spec.fields([&](std::string_view key, JsonNode& member) {
          if (key == "plugin") member.read(object.plugin);
          if (key == "config")
            member.fieldsAndText(object.config, [](std::string_view, JsonNode&) {});
          if (key == "backendRefs")
            member.items(
                [&](JsonNode& item) { readCallout(item, object.backends.emplace_back()); });
        });
      });
  if (fine && object.plugin.empty()) problems.add(JsonPointer("/spec"), "needs a plugin");
  return !problems.failed();
}

}  // namespace hyperway::gateway
