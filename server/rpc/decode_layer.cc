#include "server/rpc/decode_layer.h"

#include <string>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/rpc/field_error.h"

namespace attention::rpc {

v1::LayerKind KindOf(const engine::StoredLayer& layer) {
  return std::holds_alternative<engine::AttentionModel>(layer.model()) ? v1::LAYER_KIND_ATTENTION
                                                                       : v1::LAYER_KIND_ENCODER;
}

absl::Status CheckLayerRef(const v1::LayerRef& ref, absl::string_view field) {
  if (!engine::IsLayerName(ref.name())) {
    return FieldError(
        absl::StrCat(field, ".name"),
        absl::StrCat("is \"", absl::CEscape(ref.name().substr(0, 100)),
                     "\"; want 1 to 63 letters, digits, '.', '_' and '-', the first a letter or "
                     "a digit"));
  }
  if (ref.version() >= 0) return absl::OkStatus();
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
                          "; want one of kind ", v1::LayerKind_Name(want)));
}

}  // namespace attention::rpc
