#ifndef ATTENTION_KERNELS_ATTENTION_ATTENTION_RUN_H_
#define ATTENTION_KERNELS_ATTENTION_ATTENTION_RUN_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/attention/attention_op.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/attention/attention_products.h"
#include "kernels/attention/attention_tile.h"
#include "kernels/attention/packed_heads.h"
#include "kernels/attention/row_tiles.h"
#include "kernels/memory/buffer_pool.h"
#include "kernels/memory/working_memory.h"
#include "kernels/threads/executor.h"
#include "kernels/threads/task_runs.h"

namespace attention {

// One run of the operator, which cuts its sequences into tasks. If heads are small and there are
// enough of them, a task packs one head and computes all of its tiles while the head is still in
// the L2 cache. Otherwise all heads are packed first, and then each task computes one tile.
//
// Used by one thread; the tasks run on the threads of the executor. The arguments of the
// constructor must outlive this.
class AttentionRun {
 public:
  // `weighted` has as many elements as `sequences`, or none, in which case the weights are
  // computed. `executor` is null if only the memory of the run is counted.
  AttentionRun(const AttentionProducts& products, const AttentionSettings& settings,
               absl::Span<const AttentionSequence> sequences,
               absl::Span<const WeightedSequence> weighted, Executor* executor, Buffers& buffers);

  // Fails as AttentionOp::Run.
  absl::Status Run();

  // As AttentionOp::Memory.
  WorkingMemory Memory(int threads, AttentionOp::Company company) const;

 private:
  bool InPlace(const AttentionSequence& s) const;
  int64_t HeadBytes(const AttentionSequence& s) const;
  int64_t HeadFloats(const AttentionSequence& s) const;
  int64_t PackedBytes(const AttentionSequence& s) const;
  int64_t WorkspaceSize(const AttentionSequence& s) const;
  PackedHead Head(int64_t sequence, int64_t kv_head) const;
  bool HeadByHead(int threads) const;
  absl::Status RunHeads() const;
  absl::Status RunHead(int64_t sequence, int64_t kv_head, const PackedHead& head,
                       float* memory) const;
  absl::Status PackAll() const;
  void Pack(const AttentionSequence& s, const PackedHead& head, int64_t kv_head, int64_t unit,
            float* scratch) const;
  absl::Status RunTiles() const;
  absl::Status RunAveraged(int64_t sequence, int64_t query_tile, float* memory) const;
  absl::Status RunTile(int64_t sequence, const RowTile& tile, const PackedHead& head, float* memory,
                       float* mean) const;
  absl::Status RunTile(int64_t sequence, AttentionTile& work) const;

  const AttentionProducts& products_;
  const AttentionSettings& settings_;
  const absl::Span<const AttentionSequence> sequences_;
  const absl::Span<const WeightedSequence> weighted_;
  Executor* const executor_;
  const TaskRuns packed_bytes_;
  char* packed_ = nullptr;  // the heads of all sequences, if they are packed first
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ATTENTION_RUN_H_
