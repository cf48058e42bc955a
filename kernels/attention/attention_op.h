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
// Vaswani et al. 2017, eq. 1; masks, causality and windows are as in ONNX Attention-25 and
// operator.md, and a row that sees no key gives zeros. The results of a sequence have the same bits
// in any batch, on any number of threads, and whichever other results are asked for. Safe to run
// from many threads.
//
// Where at most kMostStreamedRows query rows share a key/value head, they read its keys and values
// in place and compute in float32, even with kBfloat16. Where there are more, each key/value head
// is packed once and all of them read the packed copy.
class AttentionOp {
 public:
  struct Config {
    int64_t head_dim = 0;
    int64_t v_head_dim = 0;
    ComputeType compute_type = ComputeType::kFloat32;  // must be kFloat32 for kSum and Combine

    auto operator<=>(const Config&) const = default;
  };

  // Compiles the products. INVALID_ARGUMENT or INTERNAL as OnednnMatmul::Create.
  static absl::StatusOr<AttentionOp> Create(const Config& config);

  // Whether a run has other sequences beside those whose memory is asked for.
  enum class Company : uint8_t { kNone, kMayHaveSome };

  // The memory that Run needs for these sequences on `threads` threads, or what they add to a run
  // that has other sequences too, so that a caller can compare it with a limit beforehand. Combine
  // needs no more. Of the results only their type counts, and which of them are set.
  WorkingMemory Memory(const AttentionSettings& settings,
                       absl::Span<const AttentionSequence> sequences, int threads,
                       Company company = Company::kNone) const;

  // The output is P V with the P that would be returned, at every magnitude of finite scores and
  // values (README.md, "Magnitudes").
  //
  // INVALID_ARGUMENT if under kSum the sum of a row of scores is not larger than its rounding
  // error; the message names the first such row and its sum. With b_j the bias of a key (float mask
  // and ALiBi), and j running over the keys that the row sees, that is where
  //
  //   |sum_j s_j| <= (head_dim + 2) * 2^-24 * sum_j (sum_i |scale * q_i * k_ji| + |b_j|)
  //
  // and, for numbers at the lower end of float32, (head_dim + 2) * 2^-150 * max(1, |scale|) more
  // for each of these keys. Otherwise fails as Executor::ParallelFor.
  absl::Status Run(const AttentionSettings& settings, absl::Span<const AttentionSequence> sequences,
                   Executor& executor) const;

  // Y = P V with the caller's P, which is used without normalisation, at every magnitude of both.
  // Of `settings` only the numbers of heads and average_weights count. Fails as
  // Executor::ParallelFor.
  absl::Status Combine(const AttentionSettings& settings,
                       absl::Span<const WeightedSequence> sequences, Executor& executor) const;

 private:
  explicit AttentionOp(AttentionProducts products);

  AttentionProducts products_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ATTENTION_OP_H_
