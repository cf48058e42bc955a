#ifndef ATTENTION_SERVER_RPC_SHARED_CALL_REPORT_H_
#define ATTENTION_SERVER_RPC_SHARED_CALL_REPORT_H_

#include <grpcpp/server_context.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/engine/job.h"

namespace attention::rpc {

// What became of one call, or of one message of a stream; for metrics and logs. What comes from the
// client is not escaped. Valid while OnCall runs.
struct CallReport {
  absl::string_view method;  // as in the .proto, "ComputeAttention"
  const absl::Status& status;
  const grpc::ServerContextBase& rpc;
  absl::string_view request_id;
  absl::Duration total;                        // from the message to its answer
  absl::Duration decode;                       // of it, until the engine was asked to take it
  const engine::CallTiming* timing = nullptr;  // null: the engine did not run it
  // What it computes, in a few words; to be called where somebody wants to read that.
  std::function<std::string()> describe;
};

// Called when a call is answered, on any thread. Must not throw.
using OnCall = std::function<void(const CallReport&)>;

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_CALL_REPORT_H_
