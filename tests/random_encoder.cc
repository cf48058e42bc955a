#include "tests/random_encoder.h"

#include <cmath>
#include <random>

#include "kernels/onednn/onednn_matmul.h"

namespace attention {

RandomLayer::RandomLayer(const EncoderShape& shape, unsigned seed) : seed_(seed) {
  const int64_t d = shape.d_model;
  for (Linear* linear : {&layer_.q, &layer_.k, &layer_.v, &layer_.o}) {
    *linear = MakeLinear(d, d, /*transposed=*/true);
  }
  layer_.up = MakeLinear(d, shape.ffn_dim, /*transposed=*/false);
  layer_.down = MakeLinear(shape.ffn_dim, d, /*transposed=*/false);
  for (LayerNorm* norm : {&layer_.attention_norm, &layer_.ffn_norm}) {
    *norm = {.gamma = Numbers(d, 1.0f, 0.2f), .beta = Numbers(d, 0.0f, 0.2f), .epsilon = 1e-5f};
  }
}

const float* RandomLayer::Numbers(int64_t count, float middle, float spread) {
  std::minstd_rand generator(++seed_);
  std::uniform_real_distribution<float> distribution(middle - spread, middle + spread);
  std::vector<float>& numbers = memory_.emplace_back(count);
  for (float& x : numbers) x = distribution(generator);
  return numbers.data();
}

Linear RandomLayer::MakeLinear(int64_t in, int64_t out, bool transposed) {
  const float spread = std::sqrt(3.0f / static_cast<float>(in));  // variance 1 / in
  return {.weight = {.data = Numbers(in * out, 0.0f, spread),
                     .in = in,
                     .out = out,
                     .transposed = transposed},
          .bias = Numbers(out, 0.0f, 0.1f)};
}

PackedLayer::PackedLayer(const EncoderLayer& layer, ComputeType compute_type) : layer_(layer) {
  const OperandFormat format = OnednnMatmul::OperandsFor(compute_type);
  Linear* const linears[] = {&layer_.q, &layer_.k, &layer_.v, &layer_.o, &layer_.up, &layer_.down};
  int64_t bytes = 0;
  for (const Linear* l : linears) bytes += PackedBytes(l->weight.in, l->weight.out, format.operand);
  memory_.Grow(bytes / static_cast<int64_t>(sizeof(float)));
  auto* to = reinterpret_cast<char*>(memory_.data());
  for (Linear* l : linears) {
    l->packed = to;
    for (int64_t p = 0; p < PanelCount(l->weight.out); ++p) {
      PackWeightPanel(l->weight, p, format, to);
      to += PackedPanelBytes(l->weight.in, format.operand);
    }
  }
}

}  // namespace attention
