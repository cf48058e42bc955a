#ifndef ATTENTION_SERVER_RPC_MESSAGES_DECODE_LAYER_H_
#define ATTENTION_SERVER_RPC_MESSAGES_DECODE_LAYER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attention/v1/layer.pb.h"
#include "server/models/layer_store.h"

namespace attention::rpc {

// What a stored layer computes, as the API names it.
v1::LayerKind KindOf(const engine::StoredLayer& layer);

// The stored layer that a call names in `field`, of the kind that the call can use. FieldError, or
// as LayerStore::Get.
absl::StatusOr<std::shared_ptr<const engine::StoredLayer>> DecodeLayer(const v1::LayerRef& ref,
                                                                       v1::LayerKind want,
                                                                       absl::string_view field,
                                                                       engine::LayerStore& layers);

// That `name`, the field `field`, can name a layer: FieldError.
absl::Status CheckLayerName(const std::string& name, absl::string_view field);

// That `ref` can name a layer: FieldError.
absl::Status CheckLayerRef(const v1::LayerRef& ref, absl::string_view field);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MESSAGES_DECODE_LAYER_H_
