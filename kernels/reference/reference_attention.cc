#include "kernels/reference/reference_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/simd/convert.h"

namespace attention {
namespace {

constexpr double kHidden = -std::numeric_limits<double>::infinity();

// Returns number `i` of an array of any type.
double Number(const void* data, DataType type, int64_t i) {
  const auto* const at = static_cast<const char*>(data) + i * ByteSize(type);
  if (type == DataType::kFloat64) {
    double wide = 0;
    std::memcpy(&wide, at, sizeof(wide));
    return wide;
  }
  float number = 0;
  ToFloat32(at, type, 1, &number);
  return number;
}

std::vector<double> Numbers(const void* data, DataType type, int64_t count) {
  std::vector<double> numbers(count);
  for (int64_t i = 0; i < count; ++i) numbers[i] = Number(data, type, i);
  return numbers;
}

// "Bias": the sum of all terms that are added to the score of one query and one key.
double Bias(const AttentionSettings& settings, const AttentionSequence& sequence, int64_t head,
            int64_t query, int64_t key) {
  const int64_t p = sequence.Position(query) + sequence.causal_offset;
  if (key >= sequence.visible_len) return kHidden;
  if (settings.causal && key > p) return kHidden;
  if (settings.left_window >= 0 && key < p - settings.left_window) return kHidden;
  if (settings.right_window >= 0 && key > p + settings.right_window) return kHidden;
  double bias = 0;
  if (!settings.alibi_slopes.empty()) {
    bias = -settings.alibi_slopes[head] * std::abs(static_cast<double>(p - key));
  }
  const MaskView& mask = sequence.mask;
  if (mask.empty()) return bias;
  if (key >= mask.key_count) return kHidden;
  const int64_t at = head * mask.head_stride + sequence.Position(query) * mask.row_stride + key;
  if (mask.bias != nullptr) return bias + mask.bias[at];
  return mask.visible[at] != 0 ? bias : kHidden;
}

// "Normalise": one row of scores to one row of weights, over the keys whose bias does not hide
// them.
std::vector<double> Normalize(const AttentionSettings& settings, int64_t head,
                              const std::vector<double>& scores, const std::vector<double>& bias,
                              double& log_sum_exp) {
  const bool softmax = settings.normalization == Normalization::kSoftmax;
  const bool sink = softmax && !settings.sinks.empty() && settings.sinks[head] != kHidden;
  double max = sink ? settings.sinks[head] : kHidden;
  for (size_t j = 0; j < scores.size(); ++j) {
    if (bias[j] != kHidden) max = std::max(max, scores[j]);
  }
  std::vector<double> weights(scores.size(), 0);
  double sum = sink ? std::exp(settings.sinks[head] - max) : 0;
  bool sees_any = false;
  for (size_t j = 0; j < scores.size(); ++j) {
    if (bias[j] == kHidden) continue;
    weights[j] = softmax ? std::exp(scores[j] - max) : scores[j];
    sum += weights[j];
    sees_any = true;
  }
  log_sum_exp = !sees_any || max == kHidden ? kHidden : max + std::log(sum);
  if (sees_any) {
    for (double& p : weights) p /= sum;
  }
  return weights;
}

void Append(std::vector<double>& to, const std::vector<double>& row) {
  to.insert(to.end(), row.begin(), row.end());
}

}  // namespace

ReferenceResult ReferenceAttention(const AttentionSettings& settings, const AttentionSequence& s,
                                   int64_t head_dim, int64_t v_head_dim) {
  ReferenceResult result;
  result.weighted_values.resize(settings.num_heads * s.kv_len * s.q_len * v_head_dim);
  result.mean_weights.resize(s.q_len * s.kv_len);
  for (int64_t head = 0; head < settings.num_heads; ++head) {
    const int64_t kv_head = head / (settings.num_heads / settings.num_kv_heads);
    std::vector<std::vector<double>> keys, values;  // [kv_len, head_dim], [kv_len, v_head_dim]
    for (int64_t j = 0; j < s.kv_len; ++j) {
      keys.push_back(Numbers(s.key.Row(kv_head, j), s.key.Type(j), head_dim));
      values.push_back(Numbers(s.value.Row(kv_head, j), s.value.Type(j), v_head_dim));
    }
    for (int64_t i = 0; i < s.q_len; ++i) {
      const std::vector<double> q = Numbers(s.query.Row(head, i), s.query.type, head_dim);
      std::vector<double> raw(s.kv_len), softcapped(s.kv_len), biased(s.kv_len), bias(s.kv_len);
      for (int64_t j = 0; j < s.kv_len; ++j) {
        double dot = 0, size = 0;
        for (int64_t d = 0; d < head_dim; ++d) {
          dot += q[d] * keys[j][d];
          size += std::abs(q[d] * keys[j][d]);
        }
        result.score_sizes.push_back(std::abs(settings.scale) * size);
        const double cap = settings.softcap;
        raw[j] = settings.scale * dot;
        softcapped[j] = cap > 0 ? cap * std::tanh(raw[j] / cap) : raw[j];
        bias[j] = Bias(settings, s, head, i, j);
        biased[j] = bias[j] == kHidden ? kHidden : softcapped[j] + bias[j];
      }
      double log_sum_exp = 0;
      const std::vector<double> weights = Normalize(settings, head, biased, bias, log_sum_exp);
      std::vector<double> output(v_head_dim, 0), output_sizes(v_head_dim, 0);
      for (int64_t j = 0; j < s.kv_len; ++j) {
        result.mean_weights[i * s.kv_len + j] +=
            weights[j] / static_cast<double>(settings.num_heads);
        if (bias[j] == kHidden) continue;
        const int64_t at = ((head * s.kv_len + j) * s.q_len + i) * v_head_dim;
        for (int64_t d = 0; d < v_head_dim; ++d) {
          output[d] += result.weighted_values[at + d] = weights[j] * values[j][d];
          output_sizes[d] += std::abs(weights[j] * values[j][d]);
        }
      }
      Append(result.raw_scores, raw);
      Append(result.softcapped_scores, softcapped);
      Append(result.biased_scores, biased);
      Append(result.attention_weights, weights);
      Append(result.output, output);
      Append(result.output_sizes, output_sizes);
      result.log_sum_exp.push_back(log_sum_exp);
    }
  }
  return result;
}

std::vector<double> ReferenceLinear(const RowsView& x, const WeightView& weight,
                                    const float* bias) {
  std::vector<double> y;
  for (int64_t row = 0; row < x.count; ++row) {
    for (int64_t o = 0; o < weight.out; ++o) {
      double sum = bias != nullptr ? bias[o] : 0;
      for (int64_t i = 0; i < weight.in; ++i) {
        const int64_t at = weight.transposed ? o * weight.in + i : i * weight.out + o;
        sum += Number(x.data, x.type, row * x.stride + i) * Number(weight.data, weight.type, at);
      }
      y.push_back(sum);
    }
  }
  return y;
}

}  // namespace attention
