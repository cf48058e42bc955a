#include "kernels/attention/rotary.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/memory/tiles.h"
#include "kernels/simd/convert.h"
#include "kernels/threads/task_runs.h"

namespace attention {
namespace {

constexpr int64_t kTaskRows = 32;

// base^(-2i / rotary_dim) of each pair i.
std::vector<double> Frequencies(const RotarySettings& settings) {
  std::vector<double> frequencies(settings.rotary_dim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(
        settings.base, -2.0 * static_cast<double>(i) / static_cast<double>(settings.rotary_dim));
  }
  return frequencies;
}

// Rotates the pairs (x[i * step], x[i * step + apart]).
void RotatePairs(const float* cosines, const float* sines, int64_t pairs, int64_t step,
                 int64_t apart, float* x) {
  for (int64_t i = 0; i < pairs; ++i) {
    float& a = x[i * step];
    float& b = x[i * step + apart];
    const float rotated_a = a * cosines[i] - b * sines[i];
    b = b * cosines[i] + a * sines[i];
    a = rotated_a;
  }
}

}  // namespace

WorkingMemory RotaryMemory(const RotarySettings& settings, int64_t head_dim, size_t sequences) {
  const auto dim = static_cast<double>(settings.rotary_dim);
  return {.shared = sizeof(double) * dim / 2 + TaskRuns::BorrowedBytes(sequences),
          .workspace = sizeof(float) * (dim + static_cast<double>(head_dim))};
}

absl::Status ApplyRotary(const RotarySettings& settings, int64_t heads, int64_t head_dim,
                         absl::Span<const RotarySequence> sequences, Executor& executor) {
  const std::vector<double> frequencies = Frequencies(settings);
  const auto pairs = static_cast<int64_t>(frequencies.size());
  const bool split = settings.pairing == RotaryPairing::kSplitHalf;
  const TaskRuns runs(
      sequences, [](const RotarySequence& s) { return CeilDiv(s.len, kTaskRows); },
      executor.buffers());
  return executor.ParallelFor(runs.total(), [&](int64_t index, Workspace& workspace) {
    const auto [sequence, task] = runs.Find(index);
    const RotarySequence& s = sequences[sequence];
    workspace.Grow(2 * pairs + head_dim);
    float* const cosines = workspace.data();
    float* const sines = cosines + pairs;
    float* const row = sines + pairs;
    const int64_t end = std::min(s.len, (task + 1) * kTaskRows);
    for (int64_t token = task * kTaskRows; token < end; ++token) {
      const auto position = static_cast<double>(s.Position(token));
      for (int64_t i = 0; i < pairs; ++i) {
        cosines[i] = static_cast<float>(std::cos(position * frequencies[i]));
        sines[i] = static_cast<float>(std::sin(position * frequencies[i]));
      }
      for (int64_t head = 0; head < heads; ++head) {
        ToFloat32(s.from.Row(head, token), s.from.type, head_dim, row);
        RotatePairs(cosines, sines, pairs, split ? 1 : 2, split ? pairs : 1, row);
        FromFloat32(row, head_dim, s.to.type, s.to.Row(head, token));
      }
    }
    return absl::OkStatus();
  });
}

}  // namespace attention
