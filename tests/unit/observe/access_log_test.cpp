// SPDX-License-Identifier: Apache-2.0
#include "observe/access_log.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hyperway::observe;

TEST_CASE("A flow's line has what went through it, and no status, method or path") {
  AccessLogEntry entry;
  entry.flow = true;
  entry.latency_us = 1234567;
  entry.bytes_received = 10;
  entry.bytes_sent = 20;
  entry.attempts = 1;
  entry.client = "192.0.2.1";
  entry.host = "a.test";
  entry.protocol = "TLS";
  entry.listener = "ns/gw/tls";
  entry.route = "ns/r";
  entry.rule = "ns/r/0";
  entry.upstream = "10.0.0.1:443";
  entry.why = "client_reset";
  std::string line;
  formatAccessLog(AccessLogFormat::Text, entry, line);
  CHECK(line ==
        "1970-01-01T00:00:00.000Z 192.0.2.1 \"TLS\" - 10 20 1234.567ms host=\"a.test\" "
        "listener=\"ns/gw/tls\" rule=\"ns/r/0\" upstream=\"10.0.0.1:443\" attempts=1 id=- agent=- "
        "why=\"client_reset\"\n");
  formatAccessLog(AccessLogFormat::Json, entry, line);
  CHECK(line ==
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"client\":\"192.0.2.1\",\"host\":\"a.test\","
        "\"protocol\":\"TLS\",\"bytes_received\":10,\"bytes_sent\":20,\"latency_us\":1234567,"
        "\"attempts\":1,\"listener\":\"ns/gw/tls\",\"route\":\"ns/r\",\"rule\":\"ns/r/0\","
        "\"upstream\":\"10.0.0.1:443\",\"why\":\"client_reset\"}\n");
}

TEST_CASE("A request's line has its status, even where there was none") {
  AccessLogEntry entry;
  entry.method = "GET";
  entry.path = "/";
  entry.protocol = "HTTP/1.1";
  std::string line;
  formatAccessLog(AccessLogFormat::Text, entry, line);
  CHECK(line.find("\"GET / HTTP/1.1\" 0 0 0 0.000ms") != std::string::npos);
  formatAccessLog(AccessLogFormat::Json, entry, line);
  CHECK(line.find("\"status\":0,") != std::string::npos);
}
