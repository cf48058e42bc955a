#include "kernels/reference_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attention {
namespace {

constexpr double kHidden = -std::numeric_limits<double>::infinity();

// The mask's and causality's sum for one query and one key.
double Bias(const AttentionInputs& in, int64_t b, int64_t head, int64_t position, int64_t key) {
  if (in.causal && key > position) return kHidden;
  if (in.mask.empty()) return 0;
  if (key >= in.mask.key_count) return kHidden;
  const int64_t at =
      b * in.mask.batch_stride + head * in.mask.head_stride + position * in.mask.row_stride + key;
  if (in.mask.bias != nullptr) return in.mask.bias[at];
  return in.mask.visible[at] != 0 ? 0 : kHidden;
}

double Dot(const float* a, const float* b, int64_t dim) {
  double sum = 0;
  for (int64_t d = 0; d < dim; ++d) sum += static_cast<double>(a[d]) * b[d];
  return sum;
}

// One row of scores to one row of weights, over the keys whose bias does not hide them.
std::vector<double> Normalize(const std::vector<double>& scores, const std::vector<double>& bias,
                              Normalization normalization, double& log_sum_exp) {
  double max = kHidden, sum = 0;
  for (size_t j = 0; j < scores.size(); ++j) {
    if (bias[j] != kHidden) max = std::max(max, scores[j] + bias[j]);
  }
  std::vector<double> weights(scores.size(), 0);
  for (size_t j = 0; j < scores.size(); ++j) {
    if (bias[j] == kHidden) continue;
    const double score = scores[j] + bias[j];
    weights[j] = normalization == Normalization::kSoftmax ? std::exp(score - max) : score;
    sum += weights[j];
  }
  log_sum_exp = max == kHidden ? kHidden : max + std::log(sum);
  const bool sees_any =
      std::any_of(bias.begin(), bias.end(), [](double x) { return x != kHidden; });
  if (sees_any) {
    for (double& p : weights) p /= sum;
  }
  return weights;
}

}  // namespace

ReferenceResult ReferenceAttention(const AttentionInputs& in) {
  const AttentionShape& s = in.shape;
  const int64_t heads = s.batch * s.num_heads;
  ReferenceResult result;
  result.weighted_values.resize(heads * s.kv_len * s.q_len * s.v_head_dim);
  for (int64_t index = 0; index < heads * s.q_len; ++index) {
    const int64_t i = index % s.q_len;
    const int64_t head = index / s.q_len % s.num_heads, b = index / s.q_len / s.num_heads;
    std::vector<double> scores(s.kv_len), bias(s.kv_len);
    for (int64_t j = 0; j < s.kv_len; ++j) {
      const float* const k = in.key.Row(b, s.KvHead(head), j);
      scores[j] = in.scale * Dot(in.query.Row(b, head, i), k, s.head_dim);
      bias[j] = Bias(in, b, head, in.Position(i), j);
    }
    double log_sum_exp = 0;
    const std::vector<double> weights = Normalize(scores, bias, in.normalization, log_sum_exp);
    for (int64_t d = 0; d < s.v_head_dim; ++d) {
      double output = 0;
      for (int64_t j = 0; j < s.kv_len; ++j) {
        if (bias[j] == kHidden) continue;
        const double weighted = weights[j] * in.value.Row(b, s.KvHead(head), j)[d];
        result.weighted_values[(((b * s.num_heads + head) * s.kv_len + j) * s.q_len + i) *
                                   s.v_head_dim +
                               d] = weighted;
        output += weighted;
      }
      result.output.push_back(output);
    }
    const auto append = [](std::vector<double>& to, const std::vector<double>& row) {
      to.insert(to.end(), row.begin(), row.end());
    };
    append(result.attention_scores, scores);
    append(result.attention_weights, weights);
    result.log_sum_exp.push_back(log_sum_exp);
  }
  return result;
}

std::vector<double> ReferenceLinear(const LinearOp::Inputs& inputs, int64_t in, int64_t out) {
  std::vector<double> y;
  for (int64_t row = 0; row < inputs.batch * inputs.rows; ++row) {
    for (int64_t o = 0; o < out; ++o) {
      double sum = inputs.bias != nullptr ? inputs.bias[o] : 0;
      for (int64_t i = 0; i < in; ++i) {
        sum += static_cast<double>(inputs.x[row * in + i]) * inputs.weight[i * out + o];
      }
      y.push_back(sum);
    }
  }
  return y;
}

}  // namespace attention
