#ifndef ATTENTION_SERVER_RPC_SHARED_TRACE_PARENT_H_
#define ATTENTION_SERVER_RPC_SHARED_TRACE_PARENT_H_

#include <grpcpp/server_context.h>

#include <string>

namespace attention::rpc {

// The metadata `traceparent` of a call (W3C Trace Context, version 00), or empty where there is
// none or it is not of that form: 2, 32, 16 and 2 digits of lower-case hexadecimal between hyphens.
std::string TraceParent(const grpc::ServerContextBase& rpc);

// Sends it back with the answer, so that the caller's logs and ours can be put together.
void EchoTraceParent(grpc::ServerContextBase& rpc);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_TRACE_PARENT_H_
