#include "server/rpc/shared/compute_call.h"

#include "absl/strings/str_cat.h"

namespace attention::rpc {

std::string LayerText(const std::shared_ptr<const engine::StoredLayer>& layer) {
  return layer == nullptr ? "" : absl::StrCat("layer ", layer->name(), "/", layer->version(), ", ");
}

}  // namespace attention::rpc
