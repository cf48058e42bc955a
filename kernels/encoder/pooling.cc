#include "kernels/encoder/pooling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace attention {
namespace {

void NormalizeL2(float* vector, int64_t width) {
  double squares = 0;
  for (int64_t j = 0; j < width; ++j) squares += static_cast<double>(vector[j]) * vector[j];
  if (squares == 0) return;
  const double factor = 1 / std::sqrt(squares);
  for (int64_t j = 0; j < width; ++j) vector[j] = static_cast<float>(vector[j] * factor);
}

// `sums` has room for `width` numbers.
void PoolOne(Pooling pooling, const float* x, int64_t len, int64_t width, double* sums, float* to) {
  if (len == 0) {
    std::fill_n(to, width, 0.0f);
  } else if (pooling == Pooling::kFirstToken) {
    std::copy_n(x, width, to);
  } else {
    std::fill_n(sums, width, 0.0);
    for (int64_t i = 0; i < len; ++i) {
      for (int64_t j = 0; j < width; ++j) sums[j] += x[i * width + j];
    }
    for (int64_t j = 0; j < width; ++j) {
      to[j] = static_cast<float>(sums[j] / static_cast<double>(len));
    }
  }
}

}  // namespace

absl::Status Pool(const PoolingSettings& settings, const float* x, absl::Span<const int64_t> lens,
                  int64_t width, float* to, Executor& executor) {
  std::vector<int64_t> before(lens.size());
  std::exclusive_scan(lens.begin(), lens.end(), before.begin(), int64_t{0});
  const auto count = static_cast<int64_t>(lens.size());
  return executor.ParallelFor(count, [&](int64_t b, Workspace& workspace) {
    workspace.Grow(width * static_cast<int64_t>(sizeof(double) / sizeof(float)));
    auto* const sums = reinterpret_cast<double*>(workspace.data());
    PoolOne(settings.pooling, x + before[b] * width, lens[b], width, sums, to + b * width);
    if (settings.normalize) NormalizeL2(to + b * width, width);
    return absl::OkStatus();
  });
}

}  // namespace attention
