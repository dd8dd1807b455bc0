// SPDX-License-Identifier: Apache-2.0
#include "app/options.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace hyperway::app;

namespace {
Options good(const std::vector<std::string>& arguments) {
  std::vector<ConfigProblem> problems;
  Options out = parseOptions(arguments, problems);
  for (const ConfigProblem& problem : problems) FAIL(problem.text());
  return out;
}
std::string bad(const std::vector<std::string>& arguments) {
  std::vector<ConfigProblem> problems;
  (void)parseOptions(arguments, problems);  // The problems are of interest.
  std::string out;
  for (const ConfigProblem& problem : problems) out += problem.text() + "\n";
  return out;
}
}  // namespace

TEST_CASE("Flags alone run a directory of manifests") {
  const Options options =
      good({"--gateway-api-config-file", "a", "--gateway-api-config-file=b", "--workers", "4"});
  CHECK(options.command == Command::Run);
  CHECK(options.manifests == std::vector<std::string>{"a", "b"});
  CHECK(options.workers == 4U);
}

TEST_CASE("Commands take their words") {
  CHECK(good({"check", "m", "--config", "c"}).manifests == std::vector<std::string>{"m"});
  const Options explain = good({"explain", "GET", "http://a/", "-H", "X-A: b c", "--socket", "/s"});
  CHECK(explain.method == "GET");
  CHECK(explain.url == "http://a/");
  REQUIRE(explain.headers.size() == 1);
  CHECK(explain.headers[0].first == "X-A");
  CHECK(explain.headers[0].second == "b c");
  CHECK(explain.socket == "/s");
  CHECK(good({"status", "--json"}).json);
  CHECK(good({"version"}).command == Command::Version);
  CHECK(good({"--help"}).command == Command::Help);
}

TEST_CASE("Wrong usage says what would be right") {
  struct Row {
    std::vector<std::string> arguments;
    std::string_view problem;
  };
  for (const Row& row : {
           Row{{"--worker", "2"}, "unknown flag --worker; did you mean --workers?"},
           {{"--gateway-api-config-fil", "x"}, "did you mean --gateway-api-config-file?"},
           {{"--workers"}, "--workers needs a value"},
           {{"--workers", "0"}, "\"0\" is no number of workers"},
           {{"--workers", "-1"}, "\"-1\" is no number of workers"},
           {{"--json=1"}, "--json takes no value"},
           {{"chek"}, "did you mean check?"},
           {{"run", "x"}, "is not understood"},
           {{"explain", "GET"}, "explain needs a method and a URL"},
           {{"explain", "GET", "http://a/", "-H", "nope"}, "is no header"},
           {{"--gateway-api-k8s-sync", "--gateway-api-snapshot-name", "x"}, "exclude each other"},
           {{"--gateway-api-k8s-poll-seconds", "0"}, "0 seconds would be a poll without pause"},
           {{"--gateway-api-snapshot-poll-seconds", "0"},
            "0 seconds would be a poll without pause"},
           {{"--gateway-api-snapshot-poll-seconds", "5x"}, "is no number of seconds"},
       }) {
    const std::string problems = bad(row.arguments);
    CAPTURE(problems);
    CHECK(problems.find(row.problem) != std::string::npos);
  }
}

TEST_CASE("Flags alone run a data plane, or a controller under its own name") {
  const Options reader =
      good({"--gateway-api-snapshot-name", "s", "--gateway-api-snapshot-namespace", "ns",
            "--gateway-api-snapshot-poll-seconds", "7"});
  CHECK(reader.program == Program::Gateway);
  CHECK(reader.snapshot_name == "s");
  CHECK(reader.snapshot_namespace == "ns");
  CHECK(reader.snapshot_poll_seconds == "7");
  std::vector<ConfigProblem> problems;
  const Options writer =
      parseOptions({"--gateway-api-snapshot-name", "s", "--gateway-api-k8s-namespace", "shop",
                    "--gateway-api-k8s-poll-seconds", "9"},
                   problems, Program::Controller);
  CHECK(problems.empty());
  CHECK(writer.program == Program::Controller);
  CHECK(writer.k8s_namespace == "shop");
  (void)parseOptions({}, problems, Program::Controller);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].text().find("needs --gateway-api-snapshot-name") != std::string::npos);
  CHECK(programOf("/usr/bin/hyperway_controller") == Program::Controller);
  CHECK(programOf("hyperway") == Program::Gateway);
  CHECK(usage(Program::Controller).find("--gateway-api-snapshot-name NAME") != std::string::npos);
}

TEST_CASE("Every flag of the contract is known") {
  const std::string text = usage();
  for (const char* flag :
       {"--gateway-api-k8s-sync", "--gateway-api-k8s-namespace", "--gateway-api-k8s-poll-seconds",
        "--gateway-api-k8s-controller-name", "--gateway-api-snapshot-name",
        "--gateway-api-snapshot-namespace", "--gateway-api-snapshot-poll-seconds",
        "--gateway-api-config-file", "--config", "--workers", "--log-dir", "--log-file"}) {
    CAPTURE(flag);
    CHECK(text.find(flag) != std::string::npos);
  }
  CHECK(good({"--gateway-api-k8s-namespace", "", "--log-dir", "/tmp", "--log-file", "x.log"})
            .log_file == "x.log");
}
