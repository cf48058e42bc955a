#ifndef ATTENTION_KERNELS_ENCODER_LAYER_PLAN_H_
#define ATTENTION_KERNELS_ENCODER_LAYER_PLAN_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/attention/attention_op.h"
#include "kernels/encoder/encoder.h"
#include "kernels/encoder/encoder_batch.h"
#include "kernels/memory/panel_layout.h"
#include "kernels/products/linear_op.h"
#include "kernels/threads/executor.h"
#include "kernels/threads/plan.h"

namespace attention {

// The operators that the layers of an encoder share.
struct LayerOperators {
  LinearOp project;  // q, k and v; results are operands
  LinearOp add;      // o, added to x
  LinearOp up;       // with activation; results are operands
  LinearOp down;     // added to x
  AttentionOp attention;
};

// The steps and buffers of a layer (encoder.h) for the sequences of one batch. All layers run
// through the same steps and buffers, one after another:
//
//   project -> rotate -> attend -> probe -> project output -> normalize -> feed forward ->
//   normalize
//
// With NormPosition::kBefore the two "normalize" stand before "project" and before "feed forward"
// instead. A batch without rotary positions has no "rotate"; a batch without probes has no "probe".
//
// Used by one thread. The arguments of the constructors must outlive this.
class LayerPlan {
 public:
  // Makes a plan that is only counted.
  LayerPlan(const EncoderShape& shape, OperandFormat format, const LayerOperators& operators,
            const EncoderBatch& batch);
  // Makes a plan that is run.
  LayerPlan(const EncoderShape& shape, OperandFormat format, const LayerOperators& operators,
            const EncoderBatch& batch, Executor& executor);

  LayerPlan(const LayerPlan&) = delete;
  LayerPlan& operator=(const LayerPlan&) = delete;

  // The memory that a run needs on `threads` threads. Only for a plan that is counted.
  WorkingMemory Memory(int threads, AttentionOp::Company company);

  // Prepares batch.x for the first layer. This function and those below fail as
  // Executor::ParallelFor.
  absl::Status Begin();

  // Puts batch.x through `layer`, which has index `number` among the layers.
  absl::Status Run(const EncoderLayer& layer, int64_t number);

  // Normalises batch.x after the last layer.
  absl::Status NormalizeHiddenStates(const LayerNorm& norm);

 private:
  LayerPlan(const EncoderShape& shape, OperandFormat format, const LayerOperators& operators,
            const EncoderBatch& batch, Executor* executor, Plan plan);

  // The steps.
  void Write();
  void AddAttention();
  absl::Status Project();
  absl::Status Rotate(RotarySequence* sequences);
  absl::Status Attend();
  absl::Status ComputeProbes(AttentionSequence* of_probe);
  absl::Status ProjectOutput();
  absl::Status Normalize(const LayerNorm& norm);
  absl::Status FeedForward();
  absl::Status ReturnHiddenStates();

  bool InputIsX() const;
  int64_t RowBytes(int64_t width) const;
  int64_t ScratchBytes() const;
  absl::Status Normalize(const LayerNorm& norm, float* y, std::byte* operands);
  absl::Status Round(std::byte* numbers, int64_t count);
  AttentionSettings SettingsOf(const EncoderBatch::Probe& probe) const;
  std::byte* Part(int64_t part) const;
  MutableHeadsView Heads(int64_t part, int64_t first) const;
  void SetLengths(absl::Span<AttentionSequence> sequences) const;
  void SetHeads(absl::Span<AttentionSequence> sequences) const;

  const EncoderShape& shape_;
  const OperandFormat format_;
  const LayerOperators& op_;
  const EncoderBatch& batch_;
  Executor* const executor_;  // null: the plan is counted
  const int64_t sequence_count_;
  const int64_t tokens_;
  AttentionSettings settings_;
  Plan plan_;
  std::byte* input_ = nullptr;              // [tokens, d_model], operands of the next products
  std::byte* scratch_ = nullptr;            // see ScratchBytes
  AttentionSequence* sequences_ = nullptr;  // [sequence_count]
  const EncoderLayer* layer_ = nullptr;     // the layer that is computed now
  int64_t number_ = 0;                      // its index
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_LAYER_PLAN_H_
