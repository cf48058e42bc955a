#include "server/engine/operators.h"

#include <variant>

namespace attention::engine {

absl::Status Operators::MakeFor(const LayerModel& model, ComputeType compute_type) {
  if (const auto* const encoder_model = std::get_if<EncoderModel>(&model)) {
    return encoder.Get({.shape = encoder_model->shape, .compute_type = compute_type}).status();
  }
  const auto& m = std::get<AttentionModel>(model);
  absl::Status status;
  ForEachLinear(model, [&](const Linear& projection) {
    if (!status.ok()) return;
    status = linear.Get({.in = projection.weight.in, .compute_type = compute_type}).status();
  });
  if (!status.ok()) return status;
  return attention
      .Get({.head_dim = m.head_dim, .v_head_dim = m.v_head_dim, .compute_type = compute_type})
      .status();
}

}  // namespace attention::engine
