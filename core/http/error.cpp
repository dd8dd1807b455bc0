// SPDX-License-Identifier: Apache-2.0
#include "http/error.hpp"

namespace hyperway::http {

std::uint16_t statusOf(HttpError error) noexcept {
  switch (error) {
    case HttpError::UnsupportedVersion: return 505;
    case HttpError::UriTooLong: return 414;
    case HttpError::HeadTooLarge:
    case HttpError::TooManyFields: return 431;
    case HttpError::BodyTooLarge: return 413;
    case HttpError::BadExpect: return 417;
    case HttpError::UnsupportedTransferEncoding:
    case HttpError::MethodNotSupported: return 501;
    case HttpError::BadStatusLine:
    case HttpError::UnexpectedUpgrade: return 502;
    default: return 400;
  }
}

std::string_view nameOf(HttpError error) noexcept {
  switch (error) {
    case HttpError::None: return "none";
    case HttpError::BadRequestLine: return "bad_request_line";
    case HttpError::BadMethod: return "bad_method";
    case HttpError::BadVersion: return "bad_version";
    case HttpError::UnsupportedVersion: return "unsupported_version";
    case HttpError::BadTarget: return "bad_target";
    case HttpError::BadPath: return "bad_path";
    case HttpError::UriTooLong: return "uri_too_long";
    case HttpError::HeadTooLarge: return "head_too_large";
    case HttpError::TooManyFields: return "too_many_fields";
    case HttpError::BadFieldName: return "bad_field_name";
    case HttpError::BadFieldValue: return "bad_field_value";
    case HttpError::BadLineEnd: return "bad_line_end";
    case HttpError::ObsoleteFold: return "obsolete_fold";
    case HttpError::SpaceBeforeColon: return "space_before_colon";
    case HttpError::MissingHost: return "missing_host";
    case HttpError::DuplicateHost: return "duplicate_host";
    case HttpError::BadHost: return "bad_host";
    case HttpError::HostMismatch: return "host_mismatch";
    case HttpError::BadContentLength: return "bad_content_length";
    case HttpError::ConflictingLength: return "conflicting_length";
    case HttpError::BadTransferEncoding: return "bad_transfer_encoding";
    case HttpError::UnsupportedTransferEncoding: return "unsupported_transfer_encoding";
    case HttpError::BadChunk: return "bad_chunk";
    case HttpError::BadTrailer: return "bad_trailer";
    case HttpError::BodyTooLarge: return "body_too_large";
    case HttpError::BadUpgrade: return "bad_upgrade";
    case HttpError::BadExpect: return "bad_expect";
    case HttpError::BadConnection: return "bad_connection";
    case HttpError::MethodNotSupported: return "method_not_supported";
    case HttpError::BadStatusLine: return "bad_status_line";
    case HttpError::UnexpectedUpgrade: return "unexpected_upgrade";
    case HttpError::Truncated: return "truncated";
    case HttpError::BadFrame: return "bad_frame";
  }
  return "unknown";
}

std::string_view reasonPhrase(std::uint16_t status) noexcept {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 102: return "Processing";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    case 508: return "Loop Detected";
    case 511: return "Network Authentication Required";
    default: return {};
  }
}

}  // namespace hyperway::http
