#ifndef ATTENTION_KERNELS_ENCODER_EMBEDDING_H_
#define ATTENTION_KERNELS_ENCODER_EMBEDDING_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/encoder/layer_norm.h"
#include "kernels/memory/data_type.h"
#include "kernels/threads/executor.h"

// The step before the first layer of an encoder: it turns token ids into vectors that carry their
// positions and types.
namespace attention {

// A dense table of vectors, which are found by their index, in the caller's memory, which may be
// unaligned.
struct VectorTable {
  const void* data = nullptr;  // [count, width]; null: there is no table
  DataType type = DataType::kFloat32;
  int64_t count = 0;
  int64_t width = 0;

  // Writes vector i, as float32, to `to`.
  void Read(int64_t i, float* to) const;
};

// The learned parameters of an embedding module.
struct Embedding {
  VectorTable tokens;
  VectorTable positions;          // or none
  VectorTable types;              // or none
  std::optional<LayerNorm> norm;  // of the sum; may be missing
};

// The tokens of a batch, one after another.
struct EmbeddingInput {
  absl::Span<const int64_t> ids;        // below tokens.count
  absl::Span<const int64_t> positions;  // below positions.count; empty: none are added
  absl::Span<const int64_t> types;      // below types.count; empty: all 0
};

// x[i] = norm(tokens[ids[i]] + positions[positions[i]] + types[types[i]])     (Devlin et al. 2018)
//
// for each token, x [ids.size(), width of the table]. Fails as Executor::ParallelFor. Thread-safe.
absl::Status Embed(const Embedding& embedding, const EmbeddingInput& input, float* x,
                   Executor& executor);

// The sine and cosine positions of Vaswani et al. 2017, section 3.5, to [count, width]:
//
//   to[p, 2i] = sin(p / 10000^(2i / width)),   to[p, 2i + 1] = cos(the same)
void SinusoidalPositions(int64_t count, int64_t width, float* to);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ENCODER_EMBEDDING_H_
