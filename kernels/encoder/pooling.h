#ifndef ATTENTION_KERNELS_ENCODER_POOLING_H_
#define ATTENTION_KERNELS_ENCODER_POOLING_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/threads/executor.h"

namespace attention {

// How the hidden states of a sequence become one vector.
enum class Pooling : uint8_t {
  kMean,        // the mean over all its tokens
  kFirstToken,  // the hidden state of token 0: BERT's [CLS]
};

struct PoolingSettings {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;  // to an L2 norm of 1; a vector of zeros stays zero
};

// to[b] = the vector of sequence b. `to` is [lens.size(), width]; `x` is [sum of lens, width],
// sequence after sequence. A sequence without tokens gives zeros. Sums are in double precision.
// Fails as Executor::ParallelFor. Thread-safe.
absl::Status Pool(const PoolingSettings& settings, const float* x, absl::Span<const int64_t> lens,
                  int64_t width, float* to, Executor& executor);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_POOLING_H_
