#include "client/attention_stream.h"

#include "client/channel.h"

namespace attention::client {

bool AttentionStream::Write(const v1::ComputeAttentionRequest& request) {
  return call_ != nullptr && !writes_done_ && call_->Write(request);
}

void AttentionStream::WritesDone() {
  if (call_ == nullptr || std::exchange(writes_done_, true)) return;
  call_->WritesDone();
}

std::optional<v1::ComputeAttentionResponse> AttentionStream::Read() {
  v1::ComputeAttentionResponse response;
  if (call_ == nullptr || !call_->Read(&response)) return std::nullopt;
  return response;
}

absl::Status AttentionStream::Finish() {
  if (call_ == nullptr) return absl::FailedPreconditionError("the stream was finished before");
  WritesDone();
  while (Read().has_value()) {  // gRPC holds the status back behind them
  }
  const std::unique_ptr<Call> call = std::move(call_);
  return ExplainFailure(call->Finish(), *(*place_)->channel, target_);
}

AttentionStream::~AttentionStream() {
  if (call_ == nullptr) return;
  Cancel();
  call_->Finish();
}

}  // namespace attention::client
