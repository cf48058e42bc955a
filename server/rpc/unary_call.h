#ifndef ATTENTION_SERVER_RPC_UNARY_CALL_H_
#define ATTENTION_SERVER_RPC_UNARY_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "server/rpc/calls_in_flight.h"
#include "server/rpc/compute_call.h"
#include "server/rpc/grpc_status.h"

namespace attention::rpc {

// One unary call of the engine, as gRPC knows it. Deletes itself when gRPC is done with it. `Call`
// is a ComputeCall.
template <typename Call>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  template <typename Request, typename Response>
  UnaryCall(const ComputeContext& context, CallsInFlight& calls, grpc::CallbackServerContext& rpc,
            const Request& request, Response& response)
      : engine_(context.engine), calls_(calls), rpc_(rpc), call_(request, response) {
    const grpc::Status refused = Guarded([&] { return Answer(Start(context)); });
    // Once the engine has the call, it may be over already.
    if (!refused.ok()) Finish(refused);
  }

 private:
  absl::Status Start(const ComputeContext& context) {
    entered_ = calls_.Enter();
    if (!entered_) return ShuttingDown();
    return call_.Start(context, SteadyDeadline(rpc_), [this](const absl::Status& status) {
      Finish(Guarded([&] { return Answer(status); }));
    });
  }

  grpc::Status Answer(const absl::Status& status) { return AnswerWith(status, rpc_); }

  void OnCancel() override {
    if (call_.job() != nullptr) engine_.Cancel(call_.job());
  }

  void OnDone() override {
    if (entered_) calls_.Leave();
    delete this;
  }

  engine::Engine& engine_;
  CallsInFlight& calls_;
  grpc::CallbackServerContext& rpc_;
  bool entered_ = false;
  Call call_;
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_UNARY_CALL_H_
