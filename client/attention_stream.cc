#include "client/attention_stream.h"

#include "client/channel.h"

namespace attention::client {

bool AttentionStream::Write(const v1::ComputeAttentionRequest& request) {
  return call_->Write(request);
}

void AttentionStream::WritesDone() { call_->WritesDone(); }

std::optional<v1::ComputeAttentionResponse> AttentionStream::Read() {
  v1::ComputeAttentionResponse response;
  if (!call_->Read(&response)) return std::nullopt;
  return response;
}

absl::Status AttentionStream::Finish() {
  const std::unique_ptr<Call> call = std::move(call_);
  return ExplainFailure(call->Finish(), *channel_, target_);
}

AttentionStream::~AttentionStream() {
  if (call_ == nullptr) return;
  context_->TryCancel();
  call_->Finish();
}

}  // namespace attention::client
