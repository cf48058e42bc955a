#include "kernels/attention/tile_results.h"

#include <algorithm>
#include <cmath>

#include "kernels/simd/convert.h"

namespace attention {
namespace {

// weighted_values[key, query] = weights[key] * value[key], or 0 if the row does not see the key.
void ReturnWeightedValues(const WeightsRow& row) {
  const AttentionSequence& sequence = row.sequence;
  const AttentionResults& results = sequence.results;
  const int64_t kv_head = row.settings.KvHead(row.head);
  for (int64_t key = 0; key < sequence.kv_len; ++key) {
    if (row.visible == nullptr || row.visible->Sees(key)) {
      ToFloat32(sequence.value.Row(kv_head, key), sequence.value.Type(key), row.v_head_dim,
                row.value_row);
      for (int64_t d = 0; d < row.v_head_dim; ++d) row.value_row[d] *= row.weights[key];
    } else {
      std::fill_n(row.value_row, row.v_head_dim, 0.0f);
    }
    const int64_t at = (row.head * sequence.kv_len + key) * sequence.q_len + row.query;
    FromFloat32(row.value_row, row.v_head_dim, results.type,
                results.weighted_values + at * row.v_head_dim * ByteSize(results.type));
  }
}

}  // namespace

void ReturnWeights(const WeightsRow& row) {
  const AttentionSequence& sequence = row.sequence;
  const AttentionResults& results = sequence.results;
  const int64_t result_row = row.head * sequence.q_len + row.query;
  if (row.mean_weights != nullptr) {
    for (int64_t j = 0; j < sequence.kv_len; ++j) row.mean_weights[j] += row.weights[j];
  } else if (results.attention_weights != nullptr) {
    std::byte* const to =
        results.attention_weights + result_row * sequence.kv_len * ByteSize(results.type);
    if (to != reinterpret_cast<const std::byte*>(row.weights)) {
      FromFloat32(row.weights, sequence.kv_len, results.type, to);
    }
  }
  if (results.top_indices != nullptr) {
    TopKeys({row.weights, static_cast<size_t>(sequence.kv_len)},
            absl::MakeSpan(results.top_indices + result_row * results.top_k, results.top_k),
            absl::MakeSpan(results.top_weights + result_row * results.top_k, results.top_k));
  }
  if (results.weighted_values != nullptr) ReturnWeightedValues(row);
}

void TopKeys(absl::Span<const float> weights, absl::Span<int32_t> indices,
             absl::Span<float> values) {
  const auto before = [&](int32_t a, int32_t b) {
    const bool a_nan = std::isnan(weights[a]), b_nan = std::isnan(weights[b]);
    if (a_nan != b_nan) return a_nan;
    if (!a_nan && weights[a] != weights[b]) return weights[a] > weights[b];
    return a < b;
  };
  // The indices are a heap of the best keys so far, with the worst of them on top.
  const auto begin = indices.begin();
  auto end = begin;
  for (int32_t j = 0; j < static_cast<int32_t>(weights.size()); ++j) {
    if (end != indices.end()) {
      *end++ = j;
      std::push_heap(begin, end, before);
    } else if (before(j, *begin)) {
      std::pop_heap(begin, end, before);
      *(end - 1) = j;
      std::push_heap(begin, end, before);
    }
  }
  std::sort_heap(begin, end, before);
  for (size_t i = 0; i < indices.size(); ++i) values[i] = weights[indices[i]];
}

}  // namespace attention
