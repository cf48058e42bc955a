#include "kernels/reference/reference_encoder.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/reference_attention.h"

namespace attention {
namespace {

double Activate(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kGelu:
      return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::kGeluTanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  return x;
}

std::vector<double> Apply(const Linear& linear, const std::vector<double>& x) {
  const int64_t in = linear.weight.in;
  return ReferenceLinear(
      {x.data(), DataType::kFloat64, in, static_cast<int64_t>(x.size()) / in, in}, linear.weight,
      linear.bias);
}

std::vector<float> Narrow(const std::vector<double>& numbers) {
  return {numbers.begin(), numbers.end()};
}

std::vector<double> Rows(const std::vector<double>& x, int64_t width,
                         absl::Span<const int64_t> rows) {
  std::vector<double> picked;
  for (const int64_t row : rows) {
    picked.insert(picked.end(), x.begin() + row * width, x.begin() + (row + 1) * width);
  }
  return picked;
}

void Add(const std::vector<double>& from, std::vector<double>& to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

// Returns the heads side by side, [rows.size(), d_model], for the queries `rows` over all tokens of
// `x`.
std::vector<double> Heads(const EncoderShape& shape, const EncoderLayer& layer,
                          AttentionSettings settings, const MaskView& mask,
                          const std::vector<double>& x, absl::Span<const int64_t> rows) {
  const std::vector<float> q = Narrow(Apply(layer.q, Rows(x, shape.d_model, rows)));
  const std::vector<float> k = Narrow(Apply(layer.k, x)), v = Narrow(Apply(layer.v, x));
  const auto view = [&](const std::vector<float>& numbers) {
    return TokenMajorView(reinterpret_cast<const std::byte*>(numbers.data()), DataType::kFloat32,
                          shape.num_heads, shape.head_dim());
  };
  const int64_t dim = shape.head_dim(), count = static_cast<int64_t>(rows.size());
  AttentionSequence sequence;
  sequence.q_len = count;
  sequence.kv_len = sequence.visible_len = static_cast<int64_t>(x.size()) / shape.d_model;
  sequence.query = view(q);
  sequence.key.current = view(k);
  sequence.value.current = view(v);
  sequence.mask = mask;
  sequence.query_positions = rows;
  settings.num_heads = settings.num_kv_heads = shape.num_heads;
  settings.scale = 1.0f / std::sqrt(static_cast<float>(dim));
  const std::vector<double> by_head = ReferenceAttention(settings, sequence, dim, dim).output;
  std::vector<double> heads(by_head.size());
  for (int64_t h = 0; h < shape.num_heads; ++h) {
    for (int64_t i = 0; i < count; ++i) {
      std::copy_n(by_head.begin() + (h * count + i) * dim, dim,
                  heads.begin() + i * shape.d_model + h * dim);
    }
  }
  return heads;
}

}  // namespace

std::vector<double> ReferenceLayerNorm(absl::Span<const double> x, int64_t width,
                                       const LayerNorm& norm) {
  std::vector<double> y;
  for (size_t first = 0; first < x.size(); first += width) {
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < width; ++j) mean += x[first + j] / static_cast<double>(width);
    for (int64_t j = 0; j < width; ++j) {
      variance += (x[first + j] - mean) * (x[first + j] - mean) / static_cast<double>(width);
    }
    for (int64_t j = 0; j < width; ++j) {
      y.push_back((x[first + j] - mean) / std::sqrt(variance + norm.epsilon) * norm.gamma[j] +
                  norm.beta[j]);
    }
  }
  return y;
}

std::vector<double> ReferenceEncoderLayer(const EncoderShape& shape, const EncoderLayer& layer,
                                          const AttentionSettings& settings, const MaskView& mask,
                                          absl::Span<const float> x,
                                          absl::Span<const int64_t> rows) {
  const auto norm = [&](const LayerNorm& of, const std::vector<double>& numbers) {
    return ReferenceLayerNorm(numbers, shape.d_model, of);
  };
  const bool norm_first = shape.NormalizesFirst();
  const std::vector<double> all(x.begin(), x.end());
  const std::vector<double> input = norm_first ? norm(layer.attention_norm, all) : all;
  std::vector<double> y = Rows(all, shape.d_model, rows);
  Add(Apply(layer.o, Heads(shape, layer, settings, mask, input, rows)), y);
  if (!norm_first) y = norm(layer.attention_norm, y);
  std::vector<double> wide = Apply(layer.up, norm_first ? norm(layer.ffn_norm, y) : y);
  for (double& number : wide) number = Activate(shape.block.activation, number);
  Add(Apply(layer.down, wide), y);
  return norm_first ? y : norm(layer.ffn_norm, y);
}

}  // namespace attention
