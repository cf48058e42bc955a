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
  LinearOp project;  // q, k and v, to operands
  LinearOp add;      // o, added to x
  LinearOp up;       // with activation, to operands
  LinearOp down;     // added to x
  AttentionOp attention;
};

// What a layer takes, step by step (encoder.h), for the sequences of one batch; all layers go
// through the same steps and buffers, one after the other:
//
//   project -> rotate -> attend -> probe -> project output -> normalize -> feed forward ->
//   normalize
//
// where normalisation comes first it stands before "project" and before "feed forward". A batch
// without positions by rotation has no "rotate", one without probes no "probe".
//
// For one thread. What is referred to must outlive this.
class LayerPlan {
 public:
  // To be counted.
  LayerPlan(const EncoderShape& shape, OperandFormat format, const LayerOperators& operators,
            const EncoderBatch& batch);
  // To be run.
  LayerPlan(const EncoderShape& shape, OperandFormat format, const LayerOperators& operators,
            const EncoderBatch& batch, Executor& executor);

  LayerPlan(const LayerPlan&) = delete;
  LayerPlan& operator=(const LayerPlan&) = delete;

  // What a plan that is counted takes on `threads` threads.
  WorkingMemory Memory(int threads, AttentionOp::Company company);

  // What comes before the first layer, which then reads batch.x. Fails, as those below, as
  // Executor::ParallelFor.
  absl::Status Begin();

  // Puts batch.x through `layer`, of this number among the layers.
  absl::Status Run(const EncoderLayer& layer, int64_t number);

  // After the last layer: normalises batch.x.
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
  std::byte* input_ = nullptr;              // [tokens, d_model], operands: of the next products
  std::byte* scratch_ = nullptr;            // see ScratchBytes
  AttentionSequence* sequences_ = nullptr;  // [sequence_count]
  const EncoderLayer* layer_ = nullptr;     // that is computed
  int64_t number_ = 0;                      // of it
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_LAYER_PLAN_H_
