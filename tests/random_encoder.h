#ifndef ATTENTION_TESTS_RANDOM_ENCODER_H_
#define ATTENTION_TESTS_RANDOM_ENCODER_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "kernels/encoder/encoder.h"
#include "kernels/memory/aligned_buffer.h"

namespace attention {

// The weights of one encoder layer, drawn so that numbers keep their size from layer to layer.
class RandomLayer {
 public:
  RandomLayer(const EncoderShape& shape, unsigned seed);
  RandomLayer(const RandomLayer&) = delete;
  RandomLayer& operator=(const RandomLayer&) = delete;

  // float32, [out, in] for the products of attention and [in, out] for the others.
  const EncoderLayer& layer() const { return layer_; }

 private:
  const float* Numbers(int64_t count, float middle, float spread);
  Linear MakeLinear(int64_t in, int64_t out, bool transposed);

  unsigned seed_;
  std::deque<std::vector<float>> memory_;
  EncoderLayer layer_;
};

// A copy of a layer with its weights packed.
class PackedLayer {
 public:
  PackedLayer(const EncoderLayer& layer, ComputeType compute_type);

  const EncoderLayer& layer() const { return layer_; }
  int64_t bytes() const { return memory_.size() * static_cast<int64_t>(sizeof(float)); }

 private:
  AlignedBuffer memory_;
  EncoderLayer layer_;
};

}  // namespace attention

#endif  // ATTENTION_TESTS_RANDOM_ENCODER_H_
