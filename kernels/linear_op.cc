#include "kernels/linear_op.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "kernels/tiles.h"

namespace attention {
namespace {

// From 64 rows on oneDNN runs at its ceiling; smaller tiles spare short sequences the padding.
constexpr std::initializer_list<int64_t> kRowTiles = {1, 4, 16, 64};

}  // namespace

LinearOp::LinearOp(const Config& config, OnednnMatmul product)
    : config_(config), product_(std::move(product)) {}

int64_t LinearOp::RowTile(int64_t rows) { return ChooseTile(rows, kRowTiles); }

absl::StatusOr<LinearOp> LinearOp::Create(const Config& config) {
  absl::StatusOr<OnednnMatmul> product = OnednnMatmul::Create(
      {.m = config.row_tile, .k = config.in, .n = config.out, .has_bias = config.has_bias});
  if (!product.ok()) return product.status();
  return LinearOp(config, *std::move(product));
}

absl::Status LinearOp::Run(const Inputs& inputs, float* y, Executor& executor) const {
  const int64_t tile_rows = config_.row_tile;
  const int64_t tiles = CeilDiv(inputs.rows, tile_rows);  // of one sequence
  return executor.ParallelFor(inputs.batch * tiles, [&](int64_t index, Workspace& workspace) {
    const int64_t first = index % tiles * tile_rows;
    const int64_t rows = std::min(tile_rows, inputs.rows - first);
    const int64_t row = index / tiles * inputs.rows + first;
    const float* x = inputs.x + row * config_.in;
    float* const y_tile = y + row * config_.out;

    const int64_t x_size = tile_rows * config_.in, y_size = tile_rows * config_.out;
    workspace.Grow(product_.scratch_size() + x_size + y_size);
    float* const scratch = workspace.data();
    if (rows == tile_rows) {
      product_.Run(x, inputs.weight, y_tile, scratch, inputs.bias);
      return absl::OkStatus();
    }
    // The last rows of a sequence fill a tile only in part: compute a whole one beside it.
    float* const x_padded = scratch + product_.scratch_size();
    float* const y_padded = x_padded + x_size;
    std::fill(std::copy_n(x, rows * config_.in, x_padded), x_padded + x_size, 0.0f);
    product_.Run(x_padded, inputs.weight, y_padded, scratch, inputs.bias);
    std::copy_n(y_padded, rows * config_.out, y_tile);
    return absl::OkStatus();
  });
}

}  // namespace attention
