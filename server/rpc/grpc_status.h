#ifndef ATTENTION_SERVER_RPC_GRPC_STATUS_H_
#define ATTENTION_SERVER_RPC_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <exception>
#include <new>

#include "absl/status/status.h"

namespace attention::rpc {

// The status as gRPC sends it: the same code and message, with a google.rpc.Status in the trailer
// `grpc-status-details-bin` that holds the payloads of `status` and a google.rpc.ErrorInfo whose
// reason is the code's name (domain "attention.v1").
grpc::Status ToGrpcStatus(const absl::Status& status);

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

#endif  // ATTENTION_SERVER_RPC_GRPC_STATUS_H_
