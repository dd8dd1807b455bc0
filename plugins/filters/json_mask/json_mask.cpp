// SPDX-License-Identifier: Apache-2.0
// Masks the values of named fields in JSON bodies, while they stream through.
//
// {"fields": ["password", "ssn"],   member names, at every depth
//  "replacement": "***",            a string; default "***"
//  "request": false,                mask request bodies
//  "response": true}                mask response bodies
#include <optional>
#include <string>
#include <string_view>

#include "../ascii.hpp"
#include "hyperway/sdk/plugin.hpp"
#include "masker.hpp"

namespace hyperway::json_mask {
namespace {

/// True for application/json and for types that end in +json (RFC 6839), with any parameters.
bool isJson(std::string_view content_type) {
  std::string type = filters::lowered(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.pop_back();
  return type == "application/json" || type == "text/json" || type == "application/x-ndjson" ||
         type == "application/jsonl" || type.ends_with("+json");
}

bool isEncoded(std::string_view content_encoding) {
  return !content_encoding.empty() && filters::lowered(content_encoding) != "identity";
}

std::string quoted(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  return out += '"';
}

}  // namespace

/// Nothing is held back: a value's mask is written when its first byte comes, and the rest of it is
/// dropped as it comes. Fails closed: what it cannot read (a compressed body, a range, a text
/// that is no JSON) does not pass.
class JsonMask {
 public:
  static constexpr const char* kId = "json_mask";
  static constexpr bool kResizesRequestBody = true;
  static constexpr bool kResizesResponseBody = true;

  struct Config {
    explicit Config(sdk::Setup& setup) {
      const sdk::ConfigNode root = setup.config();
      if (!root.isObject()) return;
      root.only({"fields", "replacement", "request", "response"});
      rules.fields = root["fields"].texts();
      if (rules.fields.empty())
        root["fields"].error("is required and must name at least one field");
      rules.replacement = quoted(root["replacement"].textOr("***"));
      request = root["request"].booleanOr(false);
      response = root["response"].booleanOr(true);
      if (!request && !response) root.error("masks neither requests nor responses");
    }
    MaskRules rules;
    bool request = false;
    bool response = true;
  };

  explicit JsonMask(const Config& config) : config_(config) {}

  sdk::Flow onRequestHead(sdk::Stream& stream, sdk::Flags flags) {
    if (config_.response) {
      // A compressed body or a part of one could not be read.
      stream.request().set("accept-encoding", "identity");
      stream.request().remove("range");
      stream.request().remove("if-range");
    } else {
      stream.ignore(HW_HOOK_RESPONSE_HEAD | HW_HOOK_RESPONSE_BODY);
    }
    const bool json = isJson(stream.requestHeader("content-type"));
    if (!config_.request || flags.endOfStream() || !json) {
      stream.ignore(HW_HOOK_REQUEST_BODY);
      return sdk::Flow::Continue;
    }
    if (isEncoded(stream.requestHeader("content-encoding")))
      return stream.respond(415, "this resource takes JSON without content coding\n");
    forgetDigests(stream.request());
    request_.emplace(config_.rules);
    return sdk::Flow::Continue;
  }

  sdk::Flow onRequestBody(sdk::Stream& stream, sdk::Body& body, sdk::Flags) {
    if (!request_) return sdk::Flow::Continue;
    if (pass(*request_, body)) return sdk::Flow::Continue;
    return stream.respond(400, "the body is not valid JSON\n");
  }

  sdk::Flow onResponseHead(sdk::Stream& stream, sdk::Flags flags) {
    if (flags.endOfStream() || !isJson(stream.responseHeader("content-type"))) {
      stream.ignore(HW_HOOK_RESPONSE_BODY);
      return sdk::Flow::Continue;
    }
    if (isEncoded(stream.responseHeader("content-encoding")) || stream.status() == 206) {
      stream.log(sdk::Level::Warning, "a JSON response that cannot be masked was refused",
                 {{"content-encoding", stream.responseHeader("content-encoding")}});
      return stream.respond(502, "the response cannot be masked\n");
    }
    forgetDigests(stream.response());
    response_.emplace(config_.rules);
    return sdk::Flow::Continue;
  }

  sdk::Flow onResponseBody(sdk::Stream& stream, sdk::Body& body, sdk::Flags) {
    if (!response_) return sdk::Flow::Continue;
    if (pass(*response_, body)) return sdk::Flow::Continue;
    stream.log(sdk::Level::Warning, "a response that is not valid JSON was cut");
    return sdk::Flow::Fault;
  }

 private:
  // They describe the bytes before masking (RFC 9530).
  static void forgetDigests(sdk::Headers headers) {
    for (const std::string_view name : {"digest", "content-digest", "repr-digest", "content-md5"})
      headers.remove(name);
  }

  [[nodiscard]] bool pass(Masker& masker, sdk::Body& body) {
    std::string out;
    out.reserve(body.size() + 64);
    if (!masker.feed(body.view(), out)) return false;
    return out == body.view() || body.replace(out) == HW_OK;
  }

  const Config& config_;
  std::optional<Masker> request_;
  std::optional<Masker> response_;
};

}  // namespace hyperway::json_mask

HYPERWAY_PLUGIN("dev.arloor.hyperway.json-mask", "1.0.0",
                hyperway::sdk::Filters<hyperway::json_mask::JsonMask>);
