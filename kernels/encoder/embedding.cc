#include "kernels/encoder/embedding.h"

#include <algorithm>
#include <cmath>

#include "kernels/memory/tiles.h"
#include "kernels/simd/convert.h"

namespace attention {
namespace {

constexpr int64_t kRows = 16;  // tokens of a task

// x += vector i of the table.
void Add(const VectorTable& table, int64_t i, float* vector, float* x) {
  table.Read(i, vector);
  for (int64_t j = 0; j < table.width; ++j) x[j] += vector[j];
}

}  // namespace

void VectorTable::Read(int64_t i, float* to) const {
  const auto* const row = static_cast<const char*>(data) + i * width * ByteSize(type);
  ToFloat32(row, type, width, to);
}

absl::Status Embed(const Embedding& embedding, const EmbeddingInput& input, float* x,
                   Executor& executor) {
  const int64_t d_model = embedding.tokens.width;
  const auto count = static_cast<int64_t>(input.ids.size());
  return executor.ParallelFor(CeilDiv(count, kRows), [&](int64_t task, Workspace& workspace) {
    workspace.Grow(d_model);
    const int64_t first = task * kRows, end = std::min(first + kRows, count);
    for (int64_t i = first; i < end; ++i) {
      float* const row = x + i * d_model;
      embedding.tokens.Read(input.ids[i], row);
      if (!input.positions.empty()) {
        Add(embedding.positions, input.positions[i], workspace.data(), row);
      }
      if (embedding.types.data != nullptr) {
        Add(embedding.types, input.types.empty() ? 0 : input.types[i], workspace.data(), row);
      }
    }
    if (embedding.norm.has_value()) {
      float* const rows = x + first * d_model;
      NormalizeRows(rows, end - first, d_model, *embedding.norm, rows, OperandFormat(), nullptr);
    }
    return absl::OkStatus();
  });
}

void SinusoidalPositions(int64_t count, int64_t width, float* to) {
  for (int64_t j = 0; j < width; ++j) {
    const auto pair = static_cast<double>(j - j % 2);
    const double wavelength = std::pow(10000.0, pair / static_cast<double>(width));
    for (int64_t p = 0; p < count; ++p) {
      const double angle = static_cast<double>(p) / wavelength;
      to[p * width + j] = static_cast<float>(j % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  }
}

}  // namespace attention
