#ifndef ATTENTION_SERVER_RPC_SHARED_UNARY_CALL_H_
#define ATTENTION_SERVER_RPC_SHARED_UNARY_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "server/rpc/shared/calls_in_flight.h"
#include "server/rpc/shared/compute_call.h"
#include "server/rpc/shared/grpc_status.h"
#include "server/rpc/shared/stall_guard.h"
#include "server/rpc/shared/trace_parent.h"

namespace attention::rpc {

// One unary call of the engine, as gRPC knows it. Deletes itself when gRPC is done with it. `Call`
// is a ComputeCall. The references must outlive it.
template <typename Call>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  template <typename Request, typename Response>
  UnaryCall(const char* method, const ComputeContext& context, CallsInFlight& calls,
            grpc::CallbackServerContext& rpc, const Request& request, Response& response)
      : method_(method),
        context_(context),
        calls_(calls),
        rpc_(rpc),
        call_(request, response),
        reading_(context.stalls, rpc) {
    const grpc::Status refused = Guarded([&] {
      const absl::Status status = Start();
      return status.ok() ? grpc::Status::OK : Answer(status);
    });
    // Once the engine has the call, it may be over already.
    if (!refused.ok()) Send(refused);
  }

 private:
  absl::Status Start() {
    entered_ = calls_.Enter();
    if (!entered_) return ShuttingDown();
    return call_.Start(context_, SteadyDeadline(rpc_), [this](const absl::Status& status) {
      Send(Guarded([&] { return Answer(status); }));
    });
  }

  grpc::Status Answer(const absl::Status& status) {
    call_.Report(context_, method_, status, rpc_);
    EchoTraceParent(rpc_);
    return AnswerWith(status, rpc_);
  }

  void Send(const grpc::Status& status) {
    reading_.BeginRead(call_.response_bytes());
    Finish(status);  // it may be gone when this returns
  }

  void OnCancel() override {
    if (call_.job() != nullptr) context_.engine.Cancel(call_.job());
  }

  // gRPC may call OnCancel and OnDone where it stands, rather than on another thread, whose wake-up
  // would cost as much as a small call: they are short and wait for nobody. (Not part of gRPC's
  // API; seen in 1.51.1, and nothing is lost where another version does not ask.)
  bool InternalInlineable() override { return true; }

  void OnDone() override {
    if (entered_) calls_.Leave();
    delete this;
  }

  const char* const method_;  // as in the .proto
  const ComputeContext& context_;
  CallsInFlight& calls_;
  grpc::CallbackServerContext& rpc_;
  bool entered_ = false;
  Call call_;
  StallGuard::Wait reading_;  // the answer, by the peer
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_UNARY_CALL_H_
