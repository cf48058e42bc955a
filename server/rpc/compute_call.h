#ifndef ATTENTION_SERVER_RPC_COMPUTE_CALL_H_
#define ATTENTION_SERVER_RPC_COMPUTE_CALL_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/engine/engine.h"
#include "server/models/layer_store.h"
#include "server/rpc/call_report.h"
#include "server/rpc/decode_encode.h"
#include "server/rpc/decode_request.h"
#include "server/rpc/encode_response.h"
#include "server/rpc/stall_guard.h"

namespace attention::rpc {

// What the calls of a server share. The references must outlive them.
struct ComputeContext {
  engine::Engine& engine;
  engine::LayerStore& layers;
  const RequestLimits limits;
  // What the messages of one stream may take before it is read no further.
  const int64_t max_stream_bytes;
  const OnCall on_call;
  StallGuard& stalls;
};

// One message that the engine computes the answer to, whatever door it came through. Not
// thread-safe. `Decoded` is what DecodeRequest makes of a `Request`.
template <typename Request, typename Response, typename Decoded>
class ComputeCall {
 public:
  using Done = absl::AnyInvocable<void(const absl::Status& status)>;

  // Both messages must outlive the call.
  ComputeCall(const Request& request, Response& response)
      : request_(request), response_(response) {}

  // Decodes the request and hands it over to the engine, whose threads call `done` once the
  // response is complete, or there is none. Where this fails, `done` is not called.
  absl::Status Start(const ComputeContext& context, engine::SteadyClock::time_point deadline,
                     Done done);

  // What the engine knows the call by, once Start has succeeded; for Engine::Cancel.
  const std::shared_ptr<engine::Job>& job() const { return job_; }
  // What the messages take; once Start has returned.
  int64_t message_bytes() const { return job_ == nullptr ? 0 : job_->message_bytes; }

  // What the answer takes.
  int64_t response_bytes() const { return static_cast<int64_t>(response_.ByteSizeLong()); }

  // Tells context.on_call that the call, of `method`, is answered with `status`.
  void Report(const ComputeContext& context, absl::string_view method, const absl::Status& status,
              const grpc::ServerContextBase& rpc) const;

 private:
  absl::Status Answer(const absl::Status& status, const engine::CallTiming& spent);

  const Request& request_;
  Response& response_;
  Decoded decoded_;
  std::shared_ptr<engine::Job> job_;  // null: not the engine's
  engine::SteadyClock::time_point started_ = engine::SteadyClock::now();
  absl::Duration decode_;
  engine::CallTiming timing_;  // batch_calls is 0 where the engine did not run it
};

using ComputeAttentionCall =
    ComputeCall<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse, DecodedRequest>;
using ComputeEncodeCall = ComputeCall<v1::EncodeRequest, v1::EncodeResponse, DecodedEncode>;

extern template class ComputeCall<v1::ComputeAttentionRequest, v1::ComputeAttentionResponse,
                                  DecodedRequest>;
extern template class ComputeCall<v1::EncodeRequest, v1::EncodeResponse, DecodedEncode>;

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_COMPUTE_CALL_H_
