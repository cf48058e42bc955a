#ifndef ATTENTION_KERNELS_ATTENTION_ATTENTION_OP_H_
#define ATTENTION_KERNELS_ATTENTION_ATTENTION_OP_H_

#include <compare>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/attention/attention_products.h"
#include "kernels/attention/row_tiles.h"
#include "kernels/memory/data_type.h"
#include "kernels/memory/working_memory.h"
#include "kernels/threads/executor.h"

namespace attention {

// Scaled dot-product attention for one set of widths, any lengths:
//
//   S = scale * Q K^T,   P = normalise(bias(S)),   Y = P V
//
// Vaswani et al. 2017, eq. 1; masks, causality, windows and rows that see nothing (zeros) as in
// ONNX Attention-25 and operator.md. A sequence's results have the same bits in any batch, on any
// number of threads, and whichever others are asked for. Safe to run from many threads.
//
// Up to kMostStreamedRows query rows that share a key/value head read their keys and values in
// place, in float32 with kBfloat16 too; for more, each key/value head is packed once and read by
// all of them.
class AttentionOp {
 public:
  struct Config {
    int64_t head_dim = 0;
    int64_t v_head_dim = 0;
    ComputeType compute_type = ComputeType::kFloat32;  // kFloat32 for kSum and for Combine

    auto operator<=>(const Config&) const = default;
  };

  // Compiles the products. INVALID_ARGUMENT or INTERNAL as OnednnMatmul::Create.
  static absl::StatusOr<AttentionOp> Create(const Config& config);

  // Whether a run has other sequences beside those that are asked about.
  enum class Company : uint8_t { kNone, kMayHaveSome };

  // What Run takes for these sequences on `threads` threads, or adds to a run that has others too,
  // to be compared with a limit beforehand; Combine takes no more. Only the type of the results
  // counts of them, and which there are.
  WorkingMemory Memory(const AttentionSettings& settings,
                       absl::Span<const AttentionSequence> sequences, int threads,
                       Company company = Company::kNone) const;

  // The output is P V with the P that would be returned, at every magnitude of finite scores and
  // values (README.md, "Magnitudes").
  //
  // INVALID_ARGUMENT where a row of scores sums to no more than its rounding error under kSum,
  // naming the first such row and its sum. With b_j the bias of a key (float mask and ALiBi), and j
  // running over the keys that the row sees, that is where
  //
  //   |sum_j s_j| <= (head_dim + 2) * 2^-24 * sum_j (sum_i |scale * q_i * k_ji| + |b_j|)
  //
  // and, for numbers at the lower end of float32, (head_dim + 2) * 2^-150 * max(1, |scale|) more
  // for each of these keys. Otherwise fails as Executor::ParallelFor.
  absl::Status Run(const AttentionSettings& settings, absl::Span<const AttentionSequence> sequences,
                   Executor& executor) const;

  // Y = P V with the caller's P, used as it is, at every magnitude of both. Only the numbers of
  // heads in `settings` and average_weights count. Fails as Executor::ParallelFor.
  absl::Status Combine(const AttentionSettings& settings,
                       absl::Span<const WeightedSequence> sequences, Executor& executor) const;

 private:
  explicit AttentionOp(AttentionProducts products);

  AttentionProducts products_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ATTENTION_OP_H_
