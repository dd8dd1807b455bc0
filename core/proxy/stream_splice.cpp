// SPDX-License-Identifier: Apache-2.0
// Stream: large plain bodies that no filter looks at go from socket to socket by splice, never
// through our memory.
#include "proxy/stream.hpp"
#include "proxy/stream_guard.hpp"
#include "proxy/worker.hpp"

namespace hyperway::proxy {
namespace {

constexpr std::uint64_t kLeastBytes = 256 * 1024;  // below that a pipe costs more than copying

}  // namespace

void Stream::trySpliceResponse() noexcept {
  if (finished_ || client_gone_ || tunnel_ || local_ || response_pauses_ != 0) return;
  if (up_->spliceableResponse() < kLeastBytes || !down_->canSpliceResponse()) return;
  std::uint32_t interest = 0;
  if (rule_chain_) interest |= rule_chain_->interest();
  if (backend_chain_) interest |= backend_chain_->interest();
  if ((interest & (kResponseBody | kResponseTrailers)) != 0) return;
  response_pipe_ = worker_.pipes().take();
  if (!response_pipe_) return;
  up_->beginSpliceResponse();
  pumpResponse();
}

void Stream::onResponseRaw() noexcept {
  const Guard guard(*this);
  pumpResponse();
}

void Stream::pumpResponse() noexcept {
  while (!finished_ && response_pipe_) {
    SplicePipe& pipe = *response_pipe_;
    if (pipe.bytes == 0) {
      if (up_ == nullptr) return;
      const codec::SpliceResult moved = up_->spliceResponse(pipe.write.get(), pipe.size);
      if (moved.bytes == 0 || finished_) return;
      pipe.bytes = moved.bytes;
      pipe.end = moved.end;
      if (moved.end) {
        up_ = nullptr;
        attempt_timer_.cancel();  // the backend is done; what is left is the client's pace
      }
    }
    const std::size_t sent = down_->spliceResponse(pipe.read.get(), pipe.bytes, pipe.end);
    if (finished_) return;
    pipe.bytes -= sent;
    response_bytes_ += sent;
    if (pipe.bytes != 0) return;  // onClientDrained() goes on
    if (pipe.end) return responseEnded();
  }
}

void Stream::trySpliceRequest() noexcept {
  if (request_pipe_ || finished_ || tunnel_ || local_ || response_begun_ || up_ == nullptr ||
      request_pauses_ != 0 || keep_replay_)
    return;
  if (mirrors_ != nullptr || worker_.settings().body_bytes != 0 ||
      attempt_head_->framing.kind != http::BodyKind::Length)
    return;
  if (down_->spliceableRequest() < kLeastBytes || !up_->canSpliceRequest()) return;
  std::uint32_t interest = 0;
  if (rule_chain_) interest |= rule_chain_->interest();
  if (backend_chain_) interest |= backend_chain_->interest();
  if ((interest & (kRequestBody | kRequestTrailers)) != 0) return;
  request_pipe_ = worker_.pipes().take();
  if (!request_pipe_) return;
  down_->setReading(true);
  down_->beginSpliceRequest();
  pumpRequest();
}

void Stream::onRequestRaw() noexcept {
  const Guard guard(*this);
  pumpRequest();
}

void Stream::pumpRequest() noexcept {
  while (!finished_ && request_pipe_) {
    SplicePipe& pipe = *request_pipe_;
    if (pipe.bytes == 0) {
      if (request_ended_) return;
      const codec::SpliceResult moved = down_->spliceRequest(pipe.write.get(), pipe.size);
      if (moved.bytes == 0 || finished_) return;
      request_bytes_ += moved.bytes;
      pipe.bytes = moved.bytes;
      pipe.end = moved.end;
      if (moved.end) request_ended_ = request_through_ = true;
    }
    if (up_ == nullptr) return;  // answered early: the rest has nowhere to go
    const std::size_t sent = up_->spliceRequest(pipe.read.get(), pipe.bytes, pipe.end);
    if (finished_) return;
    pipe.bytes -= sent;
    if (pipe.bytes != 0) return;  // onUpstreamDrained() goes on
    if (pipe.end) return worker_.pipes().give(std::move(request_pipe_));
  }
}

}  // namespace hyperway::proxy
