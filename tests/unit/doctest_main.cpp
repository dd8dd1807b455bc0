// SPDX-License-Identifier: Apache-2.0
// main() of every unit test, and a listener that records which cases ran and passed.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace {

// Writes "PASS <case>" or "FAIL <case>" lines to
// $HYPERWAY_TEST_RESULTS/$HYPERWAY_TEST_NAME.results, from which the check of docs/coverage.md
// learns what this run has shown.
class ResultsListener : public doctest::IReporter {
 public:
  explicit ResultsListener(const doctest::ContextOptions& /*options*/) {
    const char* folder = std::getenv("HYPERWAY_TEST_RESULTS");
    const char* name = std::getenv("HYPERWAY_TEST_NAME");
    if (folder != nullptr && name != nullptr) {
      out_.open(std::string(folder) + "/" + name + ".results");
    }
  }

  void report_query(const doctest::QueryData& /*query*/) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& /*stats*/) override { out_.flush(); }
  void test_case_start(const doctest::TestCaseData& test) override { title_ = test.m_name; }
  void test_case_reenter(const doctest::TestCaseData& /*test*/) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    out_ << (stats.failure_flags == 0 ? "PASS " : "FAIL ") << title_ << '\n';
  }
  void test_case_exception(const doctest::TestCaseException& /*error*/) override {}
  void subcase_start(const doctest::SubcaseSignature& /*subcase*/) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& /*assertion*/) override {}
  void log_message(const doctest::MessageData& /*message*/) override {}
  void test_case_skipped(const doctest::TestCaseData& /*test*/) override {}

 private:
  std::ofstream out_;
  std::string title_;
};

REGISTER_LISTENER("results", 1, ResultsListener);

}  // namespace
