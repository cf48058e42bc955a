#ifndef ATTENTION_SERVER_RPC_ATTENTION_WRITE_RESPONSE_H_
#define ATTENTION_SERVER_RPC_ATTENTION_WRITE_RESPONSE_H_

#include "attention/v1/attention_service.pb.h"
#include "server/engine/engine.h"
#include "server/rpc/attention/decode_request.h"

// The response of ComputeAttention: how large it is, room for its results, and what is left to do
// when they are written.
namespace attention::rpc {

// The size of the results that MakeRoom would make room for, in bytes. A double, which does not
// overflow.
double ResponseBytes(const DecodedRequest& decoded);

// Makes a tensor in `response` for each result that was asked for, of its final size, and points
// decoded.call.outputs at their bytes, so that results are written where protobuf sends them from.
// `response` must outlive the call.
void MakeRoom(DecodedRequest& decoded, v1::ComputeAttentionResponse& response);

// Once the results are written: makes numbers of those that were written as integers, where the
// response is to hold numbers. Allocates nothing.
void FinishResults(const DecodedRequest& decoded, v1::ComputeAttentionResponse& response);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_WRITE_RESPONSE_H_
