#ifndef ATTENTION_SERVER_RPC_GRPC_STATUS_H_
#define ATTENTION_SERVER_RPC_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace attention::rpc {

// The status as gRPC sends it: the same code and message, with a google.rpc.Status in the trailer
// `grpc-status-details-bin` that holds the payloads of `status` and a google.rpc.ErrorInfo whose
// reason is the code's name (domain "attention.v1").
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_GRPC_STATUS_H_
