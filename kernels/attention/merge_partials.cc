#include "kernels/attention/merge_partials.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/simd/convert.h"

namespace attention {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

// log(sum_i exp(l_i)); NaN if one of them is NaN.
double LogSumExp(absl::Span<const double> logs) {
  double max = kNothing;
  for (const double l : logs) {
    if (std::isnan(l)) return l;
    max = std::max(max, l);
  }
  if (std::isinf(max)) return max;
  double sum = 0;
  for (const double l : logs) sum += std::exp(l - max);
  return max + std::log(sum);
}

}  // namespace

double MergePartialsBytes(size_t parts, int64_t dim) {
  return sizeof(double) * static_cast<double>(parts) +
         (sizeof(double) + sizeof(float)) * static_cast<double>(dim);
}

void MergePartials(absl::Span<const PartialAttention> parts, int64_t heads, int64_t len,
                   int64_t dim, const MutableHeadsView& output, float* log_sum_exp) {
  std::vector<double> logs(parts.size()), sums(dim);
  std::vector<float> row(dim);
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < len; ++i) {
      for (size_t p = 0; p < parts.size(); ++p) logs[p] = parts[p].log_sum_exp[head * len + i];
      const double all = LogSumExp(logs);
      if (log_sum_exp != nullptr) log_sum_exp[head * len + i] = static_cast<float>(all);
      if (output.data == nullptr) continue;
      std::fill(sums.begin(), sums.end(), 0.0);
      for (size_t p = 0; p < parts.size(); ++p) {
        if (logs[p] == kNothing) continue;
        const double share = std::exp(logs[p] - all);
        ToFloat32(parts[p].output.Row(head, i), parts[p].output.type, dim, row.data());
        for (int64_t d = 0; d < dim; ++d) sums[d] += share * row[d];
      }
      row.assign(sums.begin(), sums.end());
      FromFloat32(row.data(), dim, output.type, output.Row(head, i));
    }
  }
}

}  // namespace attention
