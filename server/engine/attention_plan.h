#ifndef ATTENTION_SERVER_ENGINE_ATTENTION_PLAN_H_
#define ATTENTION_SERVER_ENGINE_ATTENTION_PLAN_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/attention/attention_op.h"
#include "kernels/threads/executor.h"
#include "kernels/threads/plan.h"
#include "server/engine/attention_call.h"
#include "server/engine/operators.h"
#include "server/engine/steps/member.h"
#include "server/models/packed_layers.h"

namespace attention::engine {

// What attention takes, step by step (kernels/operator.md), for one call or for several that run as
// one batch:
//
//   gather -> project -> rotate -> return heads -> attend -> project output
//
// Each step is there where a call needs it: tokens that are projected are gathered where several
// calls bring them or query_indices picks among them; queries, keys and values that a call brings
// itself go to "attend" as they are; for weights that a call brings there is "combine", for partial
// results "merge".
//
// The tokens of all calls of a batch go through one product. Rows of a product do not depend on
// those beside them, so each call's numbers have the bits that it would get alone.
class AttentionPlan {
 public:
  // To be counted: what `call` takes on `threads` threads alone, where it always runs so, else its
  // share of whatever batch it may run in. Needs no outputs.
  AttentionPlan(const AttentionCall& call, Operators& operators, int threads);

  // To be run: one call, or several with one BatchKey. `packed` is their stored layer, or null
  // where they have none.
  AttentionPlan(absl::Span<const AttentionCall* const> calls, const PackedLayer* packed,
                Operators& operators, Executor& executor);

  AttentionPlan(const AttentionPlan&) = delete;
  AttentionPlan& operator=(const AttentionPlan&) = delete;

  // Writes the steps down, once. Makes the operators that are not there yet. Fails as
  // LinearOp::Create and AttentionOp::Create.
  absl::Status Write();

  // Whose Run fails as AttentionOp::Run and LinearOp::Run.
  Plan& plan() { return plan_; }

 private:
  void TakeGiven();
  void AddGather();
  absl::Status AddProjections();
  void AddReturnHeads();
  absl::Status AddAttend();
  absl::Status AddProjectOutput(const MutableBatchView& heads);
  absl::Status AddCombine();
  AttentionSequence SequenceFor(const Member& member, int64_t b,
                                const SequenceOffsets& offsets) const;
  absl::StatusOr<std::shared_ptr<const AttentionOp>> OpFor(Normalization normalization) const;
  bool ReadsTokensAsContext() const { return self_attention_ && any_.wanted.NeedQuery(); }

  const AttentionCall& any_;  // for what is the same in all
  Operators& operators_;
  const int threads_;
  const bool together_;                   // the rows of several calls
  const Projections* const projections_;  // null: queries, keys and values are given
  std::vector<Member> members_;
  Plan plan_;
  int64_t queries_ = 0, current_keys_ = 0;  // of all members
  bool self_attention_ = false;             // of all members
  NumbersView tokens_, context_;            // [queries_, d_model], [current_keys_, d_context]
  NumbersView heads_;                       // [queries_, num_heads * v_head_dim]
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ATTENTION_PLAN_H_
