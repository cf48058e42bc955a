#ifndef ATTENTION_SERVER_RPC_SHARED_GRPC_STATUS_H_
#define ATTENTION_SERVER_RPC_SHARED_GRPC_STATUS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <exception>
#include <new>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"

namespace attention::rpc {

// The code, message and details of `status`: its payloads, a google.rpc.ErrorInfo whose reason is
// the code's name (domain "attention.v1"), and a google.rpc.RetryInfo where it has a RetryAfter.
google::rpc::Status ToRpcStatus(const absl::Status& status);

// The status as gRPC sends it: the same code and message, and ToRpcStatus in the trailer
// `grpc-status-details-bin`.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The same for the answer to `rpc`. One that is refused for want of room carries a
// google.rpc.RetryInfo and, for gRPC's own retries, the trailer `grpc-retry-pushback-ms`.
grpc::Status AnswerWith(const absl::Status& status, grpc::ServerContextBase& rpc);

// When `rpc` has to be answered, by the steady clock.
std::chrono::steady_clock::time_point SteadyDeadline(const grpc::ServerContextBase& rpc);

// The answer that `step` gives. What it throws becomes one, with a message so short that it takes
// no memory.
template <typename Step>
grpc::Status Guarded(Step step) noexcept {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "out of memory");
  } catch (const std::exception&) {
    return grpc::Status(grpc::StatusCode::INTERNAL, "internal error");
  }
}

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_GRPC_STATUS_H_
