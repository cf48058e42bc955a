#ifndef ATTENTION_SERVER_RPC_LAYERS_DECODE_CREATE_LAYER_H_
#define ATTENTION_SERVER_RPC_LAYERS_DECODE_CREATE_LAYER_H_

#include "absl/status/statusor.h"
#include "attention/v1/layer_service.pb.h"
#include "server/models/random_layer.h"

namespace attention::rpc {

// Decodes and checks all of `request`. FieldError names the first field that is wrong. A file of
// more than `most_bytes` is refused.
absl::StatusOr<engine::RandomLayerSpec> DecodeCreateLayer(const v1::CreateLayerRequest& request,
                                                          int64_t most_bytes);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_LAYERS_DECODE_CREATE_LAYER_H_
