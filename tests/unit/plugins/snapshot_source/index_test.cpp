// SPDX-License-Identifier: Apache-2.0
#include "index.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>

#include "cluster_addresses.hpp"
#include "presence.hpp"

namespace hyperway::snapshot_source {
namespace {

k8s_client::ObjectText& read(const std::string& json) {
  static k8s_client::ObjectText object;
  REQUIRE(object.read(json));
  return object;
}

TEST_CASE("An index names its parts, the Secrets of its listeners, and where backends are") {
  const auto index = readIndex(read(
      R"({"metadata":{"name":"snap","namespace":"ns","generation":4},"spec":{"checksum":"c",)"
      R"("httpRoutesV1":[{"name":"not","namespace":"looked at"}],)"
      R"("listeners":[{"name":"a"},{"tls":{"certificateRefs":[{"namespace":"x","name":"one"},)"
      R"({"namespace":"y","name":"two"}]}},{"backendCertificateRef":{"namespace":"x","name":"three"}}],)"
      R"("parts":[{"name":"p","checksum":"1"},{"name":"q","checksum":"2"}],)"
      R"("backendNamespaces":["shop","web"]},"status":{"a":1}})"));
  REQUIRE(index);
  CHECK(index->checksum == "c");
  CHECK(index->generation == 4);
  CHECK(index->parts == std::map<std::string, std::string>{{"p", "1"}, {"q", "2"}});
  const auto by_text =
      readIndex(read(R"({"metadata":{"name":"snap","namespace":"ns"},"spec":{"checksum":"c",)"
                     R"("partNames":"snap-0-1a\nsnap-1f-2b"}})"));
  REQUIRE(by_text);
  CHECK(by_text->parts ==
        std::map<std::string, std::string>{{"snap-0-1a", "1a"}, {"snap-1f-2b", "2b"}});
  CHECK(index->secrets == std::set<std::string>{"x/one", "x/three", "y/two"});
  CHECK(index->namespaces == std::set<std::string>{"shop", "web"});
  CHECK(index->text.find("status") == std::string::npos);
  CHECK(index->text.find(R"("kind":"RouteSnapshot")") != std::string::npos);
}

TEST_CASE("A snapshot of the ancestor, with a number as checksum and no references, is an index") {
  const auto index = readIndex(read(
      R"({"metadata":{"name":"snap","namespace":"ns"},"spec":{"checksum":7,"httpRoutesV1":[]}})"));
  REQUIRE(index);
  CHECK(index->parts.empty());
  CHECK(index->secrets.empty());
  CHECK_FALSE(readIndex(read(R"({"metadata":{"name":"snap"}})")));
}

TEST_CASE("A part counts only if it is the one that was named, and nobody has edited it") {
  const auto part = [](int generation, const std::string& checksum) {
    return R"({"metadata":{"name":"p","namespace":"ns","generation":)" +
           std::to_string(generation) + R"(},"spec":{"checksum":")" + checksum +
           R"(","partOf":"snap","httpRoutesV1":[]}})";
  };
  std::string error;
  CHECK(readPart(read(part(1, "c")), "snap", "c", error));
  CHECK_FALSE(readPart(read(part(1, "d")), "snap", "c", error));
  CHECK(error == "it is not the part that was named");
  CHECK_FALSE(readPart(read(part(2, "c")), "snap", "c", error));
  CHECK(error.starts_with("it was edited by hand"));
  CHECK_FALSE(readPart(read(part(1, "c")), "other", "c", error));
}

TEST_CASE("Where EndpointSlices are forbidden a Service's cluster address stands for them") {
  const std::string address = clusterAddress(read(
      R"({"metadata":{"name":"web","namespace":"shop"},"spec":{"clusterIP":"10.0.0.9",)"
      R"("ports":[{"name":"http","port":80,"targetPort":8080},{"port":53,"protocol":"UDP"}]}})"));
  CHECK(address.size() < 40);
  CHECK(
      clusterAddressSlice("shop/web", address) ==
      R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"namespace":"shop",)"
      R"("name":"web cluster address","labels":{"kubernetes.io/service-name":"web"}},)"
      R"("addressType":"IPv4","ports":[{"port":80,"name":"http"},{"port":53,"protocol":"UDP"}],)"
      R"("endpoints":[{"addresses":["10.0.0.9"]}]})");
  for (const char* spec :
       {R"({"clusterIP":"None","ports":[{"port":80}]})", R"({"type":"ExternalName"})"})
    CHECK(clusterAddress(read(R"({"metadata":{"name":"web","namespace":"shop"},"spec":)" +
                              std::string(spec) + "}"))
              .empty());
}

TEST_CASE("A data plane is called by its Pod, or by its machine") {
  const auto in = [](std::map<std::string, std::string> values) {
    return identityFrom([values](const char* name) -> std::optional<std::string> {
      const auto found = values.find(name);
      if (found == values.end()) return std::nullopt;
      return found->second;
    });
  };
  const Identity pod = in({{"POD_NAME", "p-1"}, {"POD_NAMESPACE", "ns"}});
  CHECK(pod.name == "p-1");
  CHECK(pod.name_space == "ns");
  CHECK_FALSE(in({}).name.empty());
  CHECK(in({}).name_space.empty());
}

}  // namespace
}  // namespace hyperway::snapshot_source
