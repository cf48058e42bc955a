#include "server/rpc/messages/decode_layer.h"

#include <string>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {

v1::LayerKind KindOf(const engine::StoredLayer& layer) {
  return std::holds_alternative<engine::AttentionModel>(layer.model()) ? v1::LAYER_KIND_ATTENTION
                                                                       : v1::LAYER_KIND_ENCODER;
}

absl::Status CheckLayerName(const std::string& name, absl::string_view field) {
  if (engine::IsLayerName(name)) return absl::OkStatus();
  return FieldError(field, absl::StrCat("is \"", absl::CEscape(name.substr(0, 100)), "\"; want ",
                                        engine::kLayerNameRule));
}

absl::Status CheckLayerRef(const v1::LayerRef& ref, absl::string_view field) {
  absl::Status status = CheckLayerName(ref.name(), absl::StrCat(field, ".name"));
  if (!status.ok() || ref.version() >= 0) return status;
  return FieldError(absl::StrCat(field, ".version"),
                    absl::StrCat("is ", ref.version(), "; want at least 1, or 0"));
}

absl::StatusOr<std::shared_ptr<const engine::StoredLayer>> DecodeLayer(const v1::LayerRef& ref,
                                                                       v1::LayerKind want,
                                                                       absl::string_view field,
                                                                       engine::LayerStore& layers) {
  if (absl::Status status = CheckLayerRef(ref, field); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<const engine::StoredLayer>> layer =
      layers.Get(ref.name(), ref.version());
  if (!layer.ok() || KindOf(**layer) == want) return layer;
  return FieldError(
      field, absl::StrCat("names ", ref.name(), ", of kind ", v1::LayerKind_Name(KindOf(**layer)),
                          "; want one of kind ", v1::LayerKind_Name(want), ", or ",
                          want == v1::LAYER_KIND_ATTENTION ? "Encode" : "ComputeAttention"));
}

}  // namespace attention::rpc
