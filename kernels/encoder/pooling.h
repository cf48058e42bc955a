#ifndef ATTENTION_KERNELS_ENCODER_POOLING_H_
#define ATTENTION_KERNELS_ENCODER_POOLING_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/threads/executor.h"

namespace attention {

// How the hidden states of a sequence become one vector.
enum class Pooling : uint8_t {
  kMean,        // of all its tokens
  kFirstToken,  // that of token 0: BERT's [CLS]
};

struct PoolingSettings {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;  // to an L2 norm of 1; a vector of zeros stays what it is
};

// to[b] = the vector of sequence b, [lens.size(), width], from x [sum of lens, width], sequence
// after sequence. One without tokens gives zeros. Sums in double precision. Fails as
// Executor::ParallelFor. Thread-safe.
absl::Status Pool(const PoolingSettings& settings, const float* x, absl::Span<const int64_t> lens,
                  int64_t width, float* to, Executor& executor);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_POOLING_H_
