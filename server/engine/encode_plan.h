#ifndef ATTENTION_SERVER_ENGINE_ENCODE_PLAN_H_
#define ATTENTION_SERVER_ENGINE_ENCODE_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/encoder/encoder_op.h"
#include "kernels/threads/executor.h"
#include "kernels/threads/plan.h"
#include "server/engine/encode_call.h"
#include "server/engine/operators.h"
#include "server/models/packed_layers.h"

namespace attention::engine {

// What a stored encoder takes, step by step, for one call or for several that run as one batch:
//
//   embed -> encode -> write
//
// The steps within a layer are the plan of EncoderOp. All calls' tokens go through the layers
// together; each call's numbers have the bits that it would get alone.
class EncodePlan {
 public:
  // To be counted, as an AttentionPlan is.
  EncodePlan(const EncodeCall& call, Operators& operators, int threads);

  // To be run: one call, or several with one BatchKey, and their layer.
  EncodePlan(absl::Span<const EncodeCall* const> calls, const PackedLayer* packed,
             Operators& operators, Executor& executor);

  EncodePlan(const EncodePlan&) = delete;
  EncodePlan& operator=(const EncodePlan&) = delete;

  // Writes the steps down, once. Makes the operator if it is not there yet. Fails as
  // EncoderOp::Create.
  absl::Status Write();

  // Whose Run fails as EncoderOp::Run, Embed and Pool.
  Plan& plan() { return plan_; }

 private:
  void AddEmbed();
  absl::Status AddEncode();
  void AddWrite();
  EncoderBatch BatchOf() const;
  void WriteLists();

  const std::vector<const EncodeCall*> calls_;
  const EncodeCall& any_;  // for what is the same in all
  const EncoderModel& model_;
  Operators& operators_;
  const int threads_;
  const bool together_;  // the tokens of several calls
  Plan plan_;
  int64_t tokens_ = 0;                     // of all calls
  int64_t sequences_ = 0;                  // of all calls
  float* x_ = nullptr;                     // [tokens_, d_model]
  int64_t* lens_ = nullptr;                // [sequences_]
  MaskView* masks_ = nullptr;              // [sequences_]
  EncoderBatch::Probe* probes_ = nullptr;  // as many as the call has
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ENCODE_PLAN_H_
