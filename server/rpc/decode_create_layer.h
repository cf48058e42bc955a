#ifndef ATTENTION_SERVER_RPC_DECODE_CREATE_LAYER_H_
#define ATTENTION_SERVER_RPC_DECODE_CREATE_LAYER_H_

#include "absl/status/statusor.h"
#include "attention/v1/layer_service.pb.h"
#include "server/engine/layers/random_layer.h"

namespace attention::rpc {

// Decodes and checks all of `request`. FieldError names the first field that is wrong; sizes are
// bounded so that the file has at most 16 GiB.
absl::StatusOr<engine::RandomLayerSpec> DecodeCreateLayer(const v1::CreateLayerRequest& request);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_DECODE_CREATE_LAYER_H_
