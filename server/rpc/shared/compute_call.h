#ifndef ATTENTION_SERVER_RPC_SHARED_COMPUTE_CALL_H_
#define ATTENTION_SERVER_RPC_SHARED_COMPUTE_CALL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/engine/engine.h"
#include "server/models/layer_store.h"
#include "server/rpc/messages/request_limits.h"
#include "server/rpc/shared/call_report.h"
#include "server/rpc/shared/stall_guard.h"

// What every call that the engine computes goes through, whatever door it came by: decode, hand
// over, answer, report.
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

// "layer NAME/VERSION, " for the log; empty where it is null.
std::string LayerText(const std::shared_ptr<const engine::StoredLayer>& layer);

// One message that the engine computes the answer to, whatever door it came through. Not
// thread-safe. `Decoded` is what DecodeRequest makes of a `Request`; it has a member `call`, which
// the engine runs. For each kind of call a door declares in this namespace, beside `Decoded`:
//
//   DecodeRequest(request, limits, layers)   a Decoded, or what is wrong with the request
//   ResponseBytes(decoded)                   the size of its results; a double
//   MakeRoom(decoded, response)              for the results, in the response
//   FinishResults(decoded, response)         once they are written
//   DescribeCall(decoded)                    in words, for the log
//   MainField(decoded)                       the field that most of the numbers come from
//
// and instantiates this class with compute_call-inl.h.
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

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_COMPUTE_CALL_H_
