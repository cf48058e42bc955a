#ifndef ATTENTION_SERVER_ENGINE_LEARNED_BATCH_H_
#define ATTENTION_SERVER_ENGINE_LEARNED_BATCH_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/threads/executor.h"
#include "server/engine/attention_call.h"
#include "server/engine/call_buffers.h"
#include "server/engine/call_sequences.h"
#include "server/engine/projector.h"

namespace attention::engine {

// The learned projections of calls that run together: the tokens of all go through one product.
// Rows of a product do not depend on those beside them, so each call's numbers have the bits that
// it would get alone. For one thread; the three steps in this order, each once.
class LearnedBatch {
 public:
  // `calls`, at least one, have a TokensSource each, with the widths of `projections`, and agree in
  // what SharesBatch compares. All arguments must outlive this.
  LearnedBatch(absl::Span<const AttentionCall* const> calls, const Projections& projections,
               Projector& projector, Executor& executor);

  // What all three steps take for `call`: alone where it always runs so, else its share of whatever
  // batch it may run in. Fails as Projector::Memory.
  static absl::StatusOr<WorkingMemory> Memory(const AttentionCall& call, Projector& projector);

  // Projects the tokens to queries, keys and values and turns those. Fails as Projector::Run and
  // Executor::ParallelFor.
  absl::Status Project();

  // The sequences of all calls, for the operator; queries, keys and values that are wanted are
  // returned now. Valid as long as this lives.
  std::vector<AttentionSequence> Sequences();

  // Projects what the operator put out, and returns it. Nothing to do without an output projection.
  // Fails as Projector::Run.
  absl::Status Return();

 private:
  // A call, its own rows, and where they begin among those of all.
  struct Member {
    const AttentionCall& call;
    NumbersView tokens, context;
    SequenceOffsets totals;
    int64_t query_row, key_row;
  };

  NumbersView Together(NumbersView Member::*of, int64_t SequenceOffsets::*rows, int64_t all_rows,
                       int64_t width);
  bool ProjectsOutput() const { return projections_.o.has_value() && any_.wanted.output; }

  const AttentionCall& any_;  // for what is the same in all
  const Projections& projections_;
  Projector& projector_;
  Executor& executor_;
  CallBuffers buffers_;
  std::vector<Member> members_;
  SequenceOffsets all_;
  bool self_attention_ = true;
  // [tokens of all calls, heads * width]; `heads_` is what Return projects.
  MutableBatchView query_, key_, value_, heads_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_LEARNED_BATCH_H_
