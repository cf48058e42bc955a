#include "kernels/attention/attention_op.h"

#include <utility>

#include "absl/container/inlined_vector.h"
#include "kernels/attention/attention_run.h"
#include "kernels/memory/buffer_pool.h"

namespace attention {
namespace {

// Makes a sequence of weights that the caller gave, in which every key is seen.
AttentionSequence AsSequence(const WeightedSequence& weighted) {
  return {.q_len = weighted.q_len,
          .kv_len = weighted.kv_len,
          .query = {},
          .key = {},
          .value = weighted.value,
          .visible_len = weighted.kv_len,
          .mask = {},
          .query_positions = weighted.query_positions,
          .results = weighted.results};
}

}  // namespace

AttentionOp::AttentionOp(AttentionProducts products) : products_(std::move(products)) {}

absl::StatusOr<AttentionOp> AttentionOp::Create(const Config& config) {
  absl::StatusOr<AttentionProducts> products =
      AttentionProducts::Create({.head_dim = config.head_dim,
                                 .v_head_dim = config.v_head_dim,
                                 .format = OnednnMatmul::OperandsFor(config.compute_type)});
  if (!products.ok()) return products.status();
  return AttentionOp(*std::move(products));
}

WorkingMemory AttentionOp::Memory(const AttentionSettings& settings,
                                  absl::Span<const AttentionSequence> sequences, int threads,
                                  Company company) const {
  BufferPool pool;
  Buffers buffers(pool);
  return AttentionRun(products_, settings, sequences, {}, nullptr, buffers)
      .Memory(threads, company);
}

absl::Status AttentionOp::Run(const AttentionSettings& settings,
                              absl::Span<const AttentionSequence> sequences,
                              Executor& executor) const {
  return AttentionRun(products_, settings, sequences, {}, &executor, executor.buffers()).Run();
}

absl::Status AttentionOp::Combine(const AttentionSettings& settings,
                                  absl::Span<const WeightedSequence> weighted,
                                  Executor& executor) const {
  absl::InlinedVector<AttentionSequence, 16> sequences;
  sequences.reserve(weighted.size());
  for (const WeightedSequence& w : weighted) sequences.push_back(AsSequence(w));
  return AttentionRun(products_, settings, sequences, weighted, &executor, executor.buffers())
      .Run();
}

}  // namespace attention
