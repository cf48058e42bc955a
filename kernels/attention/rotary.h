#ifndef ATTENTION_KERNELS_ATTENTION_ROTARY_H_
#define ATTENTION_KERNELS_ATTENTION_ROTARY_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/memory/heads_view.h"
#include "kernels/memory/working_memory.h"
#include "kernels/threads/executor.h"

// Rotary position embedding of queries and keys.
namespace attention {

// Which numbers of a head are rotated together (Su et al. 2021, eq. 34 and its two layouts).
enum class RotaryPairing : uint8_t {
  kSplitHalf,    // i and i + rotary_dim / 2
  kInterleaved,  // 2i and 2i + 1
};

struct RotarySettings {
  RotaryPairing pairing = RotaryPairing::kSplitHalf;
  int64_t rotary_dim = 2;  // even, at least 2, at most the width of a head; the other numbers stay
                           // as they are
  double base = 10000;     // finite, at least 1
};

// The queries or the keys of one sequence.
struct RotarySequence {
  int64_t len = 1;
  HeadsView from;       // [heads, len, head_dim]
  MutableHeadsView to;  // the same shape; may be the same memory as `from` if types and strides are
                        // equal
  // The position of token i is positions[i], or first_position + i if `positions` is empty.
  absl::Span<const int64_t> positions;
  int64_t first_position = 0;

  int64_t Position(int64_t i) const {
    return positions.empty() ? first_position + i : positions[i];
  }
};

// The memory that ApplyRotary needs for this number of sequences.
WorkingMemory RotaryMemory(const RotarySettings& settings, int64_t head_dim, size_t sequences);

// Rotary embedding: pair i of a token at position p, (a, b), becomes
//
//   (a cos t - b sin t, b cos t + a sin t),   t = p * base^(-2i / rotary_dim)
//
// Angles are computed in double precision, products in float32. The results have the same bits in
// any batch. Positions are at most 2^31 in magnitude. Fails as Executor::ParallelFor. Thread-safe.
absl::Status ApplyRotary(const RotarySettings& settings, int64_t heads, int64_t head_dim,
                         absl::Span<const RotarySequence> sequences, Executor& executor);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ROTARY_H_
