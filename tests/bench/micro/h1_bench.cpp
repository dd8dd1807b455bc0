// SPDX-License-Identifier: Apache-2.0
// What HTTP/1 heads cost: prints nanoseconds per operation, the best of several rounds, because
// everything else on the machine only makes a round slower.

// LINK: hw_http hw_base

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.hpp"
#include "http/body_decoder.hpp"
#include "http/h1.hpp"
#include "http/uri.hpp"

namespace {

using namespace hyperway;
using namespace hyperway::http;

// Rounds are shorter than a scheduler's slice, so that some run undisturbed on a busy machine too.
constexpr int kRounds = 1000;
constexpr int kRepeats = 1024;

constexpr std::string_view kRequest =
    "GET /static/js/app.bundle.min.js?v=20240611&lang=en HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0\r\n"
    "Accept: */*\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Referer: https://www.example.com/\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef\r\n"
    "X-Requested-With: XMLHttpRequest\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: no-cache\r\n"
    "\r\n";

constexpr std::string_view kSmallRequest =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: h2load nghttp2/1.52.0\r\n\r\n";

constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Server: nginx/1.28.0\r\n"
    "Date: Mon, 10 Jun 2024 10:00:00 GMT\r\n"
    "Content-Type: application/json\r\n"
    "Content-Length: 1024\r\n"
    "Connection: keep-alive\r\n"
    "ETag: \"66669f2a-400\"\r\n"
    "Cache-Control: max-age=60\r\n"
    "\r\n";

// Keeps the compiler from dropping work whose result nobody reads.
void use(const void* result) { asm volatile("" : : "r"(result) : "memory"); }

template <class Work>
void measure(const char* name, Work work) {
  double best = std::numeric_limits<double>::max();
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRepeats; ++i) work();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / kRepeats);
  }
  std::printf("%-34s %8.1f ns/op\n", name, best);
}

void measureRequest(const char* name, std::string_view text) {
  alignas(16) static std::array<std::byte, 8192> memory;
  static std::array<char, 4096> out;
  const H1Limits limits;
  Arena arena(memory);
  std::printf("%s: %zu bytes\n", name, text.size());
  measure("  parse request head", [&] {
    arena.reset();
    RequestHead head(arena);
    std::size_t scanned = 0;
    const H1Parse parse = parseRequestHead(text, limits, scanned, head);
    use(&parse);
    use(&head);
  });
  arena.reset();
  RequestHead head(arena);
  std::size_t scanned = 0;
  if (parseRequestHead(text, limits, scanned, head).state != H1Parse::State::Done) {
    std::printf("the benchmark's request was refused\n");
    return;
  }
  measure("  write request head with bound", [&] {
    H1RequestOut options;
    options.authority = head.authority;
    if (requestHeadBound(head, options) <= out.size())
      use(writeRequestHead(head, options, out.data()));
  });
}

// Heads of different shape in turn: a branch predictor that has learnt one head by heart says
// little about a proxy with many clients.
void measureMixedRequests() {
  alignas(16) static std::array<std::byte, 8192> memory;
  constexpr std::array<std::string_view, 8> kNames = {
      "X-Trace", "Authorization", "If-None-Match",  "X-Requested-With",
      "Origin",  "DNT",           "Sec-Fetch-Mode", "X-Api-Key"};
  std::vector<std::string> heads;
  unsigned seed = 1;
  const auto next = [&seed](unsigned below) {
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 16) % below;
  };
  std::size_t bytes = 0;
  for (int i = 0; i < 256; ++i) {
    std::string head = "GET /" + std::string(1 + next(60), 'p') +
                       " HTTP/1.1\r\nHost: " + std::string(3 + next(20), 'h') +
                       ".example\r\nAccept: */*\r\n";
    for (int line = 0; line < 7; ++line) {
      head += kNames[next(kNames.size())];
      head += ": " + std::string(1 + next(60), 'v') + "\r\n";
    }
    heads.push_back(head + "Connection: keep-alive\r\n\r\n");
    bytes += heads.back().size();
  }
  const H1Limits limits;
  Arena arena(memory);
  std::size_t turn = 0;
  std::printf("256 requests of 10 fields in turn: %zu bytes on average\n", bytes / heads.size());
  measure("  parse request head", [&] {
    arena.reset();
    RequestHead head(arena);
    std::size_t scanned = 0;
    const H1Parse parse = parseRequestHead(heads[turn++ % heads.size()], limits, scanned, head);
    use(&parse);
    use(&head);
  });
}

void measureResponse() {
  alignas(16) static std::array<std::byte, 8192> memory;
  static std::array<char, 4096> out;
  const H1Limits limits;
  Arena arena(memory);
  std::printf("response: %zu bytes\n", kResponse.size());
  measure("  parse response head", [&] {
    arena.reset();
    ResponseHead head(arena);
    std::size_t scanned = 0;
    const H1Parse parse = parseResponseHead(kResponse, limits, Method::Get, {}, scanned, head);
    use(&parse);
    use(&head);
  });
  ResponseHead head(arena);
  std::size_t scanned = 0;
  if (parseResponseHead(kResponse, limits, Method::Get, {}, scanned, head).state !=
      H1Parse::State::Done) {
    std::printf("the benchmark's response was refused\n");
    return;
  }
  measure("  write response head with bound", [&] {
    if (responseHeadBound(head) <= out.size())
      use(writeResponseHead(head, H1ResponseOut{}, out.data()));
  });
}

void measureParts() {
  alignas(16) static std::array<std::byte, 8192> memory;
  Arena arena(memory);
  constexpr std::string_view kChunks = "400\r\n";
  std::array<char, 1100> body;
  body.fill('x');
  std::copy(kChunks.begin(), kChunks.end(), body.begin());
  constexpr std::string_view kEnd = "\r\n0\r\n\r\n";
  std::copy(kEnd.begin(), kEnd.end(), body.begin() + kChunks.size() + 1024);
  const std::string_view chunked(body.data(), kChunks.size() + 1024 + kEnd.size());
  std::printf("parts\n");
  measure("  chunked body of one 1 KiB chunk", [&] {
    HeaderMap trailers(arena);
    BodyDecoder decoder;
    decoder.begin({BodyKind::Chunked, 0});
    std::string_view rest = chunked;
    while (!decoder.done()) {
      const auto step = decoder.next(rest, trailers);
      use(&step);
      rest.remove_prefix(step.consumed);
    }
  });
  measure("  normalise a plain path", [&] {
    arena.reset();
    const auto path = normalisePath("/static/js/app.bundle.min.js", arena);
    use(&path);
  });
  measure("  normalise /a/./b/%7Ec/../d", [&] {
    arena.reset();
    const auto path = normalisePath("/a/./b/%7Ec/../d", arena);
    use(&path);
  });
  measure("  parse a Host value", [&] {
    arena.reset();
    const auto host = parseAuthority("www.example.com:8080", arena);
    use(&host);
  });
  measure("  fieldId x 4", [&] {
    FieldId ids[] = {fieldId("Content-Length"), fieldId("Accept-Encoding"), fieldId("User-Agent"),
                     fieldId("X-Forwarded-For")};
    use(ids);
  });
}

}  // namespace

int main() {
  measureRequest("request", kRequest);
  measureRequest("small request", kSmallRequest);
  measureMixedRequests();
  measureResponse();
  measureParts();
}
