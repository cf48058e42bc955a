#ifndef ATTENTION_SERVER_RPC_ENCODER_WRITE_ENCODE_RESPONSE_H_
#define ATTENTION_SERVER_RPC_ENCODER_WRITE_ENCODE_RESPONSE_H_

#include "attention/v1/encoder_service.pb.h"
#include "server/rpc/encoder/decode_encode.h"

// The response of Encode: how large it is, and room for its results.
namespace attention::rpc {

// The size of the results that MakeRoom would make room for, in bytes. A double, which does not
// overflow.
double ResponseBytes(const DecodedEncode& decoded);

// Makes a tensor in `response` for each result that was asked for, of its final size, and points
// decoded.call's outputs at their bytes, so that results are written where protobuf sends them
// from. `response` must outlive the call.
void MakeRoom(DecodedEncode& decoded, v1::EncodeResponse& response);

// Once the results are written. There is nothing left to do: an encoder has no indices among its
// results, which would have to become numbers.
inline void FinishResults(const DecodedEncode& /*decoded*/, v1::EncodeResponse& /*response*/) {}

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ENCODER_WRITE_ENCODE_RESPONSE_H_
