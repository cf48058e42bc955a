#include "kernels/encoder/encoder_op.h"

#include <utility>

#include "kernels/onednn/onednn_matmul.h"

namespace attention {

EncoderOp::EncoderOp(const Config& config, LayerOperators operators)
    : config_(config), operators_(std::move(operators)) {}

absl::StatusOr<EncoderOp> EncoderOp::Create(const Config& config) {
  const EncoderShape& shape = config.shape;
  const DataType operand = OnednnMatmul::OperandsFor(config.compute_type).operand;
  LinearOp::Config project = {
      .in = shape.d_model, .compute_type = config.compute_type, .y_type = operand};
  LinearOp::Config up = project, add = project;
  up.activation = shape.block.activation;
  add.y_type = DataType::kFloat32;
  add.accumulate = true;
  LinearOp::Config down = add;
  down.in = shape.ffn_dim;
  absl::StatusOr<LinearOp> ops[] = {LinearOp::Create(project), LinearOp::Create(add),
                                    LinearOp::Create(up), LinearOp::Create(down)};
  for (const absl::StatusOr<LinearOp>& op : ops) {
    if (!op.ok()) return op.status();
  }
  absl::StatusOr<AttentionOp> attention =
      AttentionOp::Create({.head_dim = shape.head_dim(),
                           .v_head_dim = shape.head_dim(),
                           .compute_type = config.compute_type});
  if (!attention.ok()) return attention.status();
  return EncoderOp(config, {*std::move(ops[0]), *std::move(ops[1]), *std::move(ops[2]),
                            *std::move(ops[3]), *std::move(attention)});
}

OperandFormat EncoderOp::format() const { return OnednnMatmul::OperandsFor(config_.compute_type); }

WorkingMemory EncoderOp::Memory(const EncoderBatch& batch, int threads,
                                AttentionOp::Company company) const {
  return LayerPlan(config_.shape, format(), operators_, batch).Memory(threads, company);
}

absl::Status EncoderOp::Run(absl::Span<const EncoderLayer> layers, const LayerNorm* final_norm,
                            const EncoderBatch& batch, Executor& executor) const {
  LayerPlan plan(config_.shape, format(), operators_, batch, executor);
  absl::Status status = plan.Begin();
  for (const EncoderLayer& layer : layers) {
    if (status.ok()) status = plan.Run(layer, &layer - layers.data());
  }
  if (!status.ok() || final_norm == nullptr) return status;
  return plan.NormalizeHiddenStates(*final_norm);
}

}  // namespace attention
