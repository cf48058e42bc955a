#include "kernels/normalize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace attention {
namespace {

// exp(16) = 8.9e6: 10^31 of them fit in a float32 sum; exp(-16 - 69) = 1.2e-37 is still normal.
constexpr float kUnshiftedMax = 16.0f;
constexpr float kHidden = -std::numeric_limits<float>::infinity();

}  // namespace

float SoftmaxRow(absl::Span<float> row) {
  const float max = *std::max_element(row.begin(), row.end());
  const float shift = std::abs(max) <= kUnshiftedMax ? 0.0f : max;
  double sum = 0;  // float64, so that the error does not grow with the length of the row
  for (float& s : row) {
    s = std::exp(s - shift);
    sum += s;
  }
  const float divisor = static_cast<float>(sum);
  for (float& p : row) p /= divisor;
  return static_cast<float>(shift + std::log(sum));
}

bool SumRow(absl::Span<float> row) {
  double sum = 0;
  for (const float s : row) sum += s == kHidden ? 0.0 : s;
  const float divisor = static_cast<float>(sum);
  if (divisor == 0) return false;
  for (float& s : row) s = s == kHidden ? 0.0f : s / divisor;
  return true;
}

void TopKeys(absl::Span<const float> weights, absl::Span<int32_t> indices,
             absl::Span<float> values) {
  std::vector<int32_t> order(weights.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int32_t a, int32_t b) {
    const bool a_nan = std::isnan(weights[a]), b_nan = std::isnan(weights[b]);
    if (a_nan != b_nan) return a_nan;
    if (!a_nan && weights[a] != weights[b]) return weights[a] > weights[b];
    return a < b;
  };
  std::partial_sort(order.begin(), order.begin() + indices.size(), order.end(), before);
  for (size_t i = 0; i < indices.size(); ++i) {
    indices[i] = order[i];
    values[i] = weights[order[i]];
  }
}

}  // namespace attention
