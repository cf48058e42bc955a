#include "kernels/linear_op.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/task_runs.h"
#include "kernels/tiles.h"

namespace attention {
namespace {

// Rows that one product takes; a task's rows are cut into as many of the first as fit, then of the
// second, and so on. oneDNN is near its ceiling from 4 rows on. (Its AVX2 kernels add up in another
// order for 1, 2, 8 and 32 rows.)
constexpr int64_t kRowTiles[] = {64, 16, 4};

// Rows of a task at the most: with few, panels are read often; with many, rows are.
constexpr int64_t kMostRows = 512;

// The products' own memory: a tile of Y, the last rows of X, a panel's bias.
constexpr int64_t kTileSize = kRowTiles[0] * kPanelWidth;
constexpr int64_t kLeastTile = kRowTiles[2];

// How many rows a task takes, so that there are enough tasks for all threads.
int64_t RowsOfTask(absl::Span<const LinearOp::Layer> layers, int threads) {
  const auto tasks = [&](int64_t rows) {
    int64_t count = 0;
    for (const LinearOp::Layer& layer : layers) {
      count += PanelCount(layer.linear.weight.out) * CeilDiv(layer.rows, rows);
    }
    return count;
  };
  int64_t rows = kMostRows;
  while (rows > kRowTiles[0] && tasks(rows) < int64_t{8} * threads) rows /= 2;
  return rows;
}

void CopyRows(const void* from, int64_t from_stride, int64_t rows, int64_t bytes, void* to,
              int64_t to_stride) {
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(static_cast<char*>(to) + i * to_stride,
                static_cast<const char*>(from) + i * from_stride, bytes);
  }
}

}  // namespace

LinearOp::LinearOp(const Config& config, PackAs as, std::vector<OnednnMatmul> products)
    : config_(config), as_(as), products_(std::move(products)) {}

absl::StatusOr<LinearOp> LinearOp::Create(const Config& config) {
  const PackAs as = OnednnMatmul::OperandsFor(config.compute_type);
  std::vector<OnednnMatmul> products;
  for (const int64_t rows : kRowTiles) {
    absl::StatusOr<OnednnMatmul> product = OnednnMatmul::Create({.m = rows,
                                                                 .k = config.in,
                                                                 .n = kPanelWidth,
                                                                 .operand = as.operand,
                                                                 .result = config.y_type,
                                                                 .has_bias = true,
                                                                 .accumulate = config.accumulate,
                                                                 .activation = config.activation});
    if (!product.ok()) return product.status();
    products.push_back(*std::move(product));
  }
  return LinearOp(config, as, std::move(products));
}

// A panel, a tile of Y, a panel's bias and the last rows of X.
int64_t LinearOp::WorkspaceSize() const {
  const int64_t panel = PackedPanelBytes(config_.in, as_.operand) / sizeof(float);
  return panel + kTileSize + kPanelWidth + kLeastTile * config_.in;
}

double LinearOp::WorkingBytes(int threads) const {
  return static_cast<double>(threads) * sizeof(float) * static_cast<double>(WorkspaceSize());
}

absl::Status LinearOp::Run(absl::Span<const Layer> layers, Executor& executor) const {
  const int64_t rows_of_task = RowsOfTask(layers, executor.threads());
  const auto tasks_of = [&](const Layer& layer) {
    return PanelCount(layer.linear.weight.out) * CeilDiv(layer.rows, rows_of_task);
  };
  const TaskRuns tasks(layers, tasks_of, executor.buffers());
  return executor.ParallelFor(tasks.total(), [&](int64_t index, Workspace& workspace) {
    const auto [number, task] = tasks.Find(index);
    const Layer& layer = layers[number];
    const int64_t panels = PanelCount(layer.linear.weight.out);
    const int64_t first = task / panels * rows_of_task;
    workspace.Grow(WorkspaceSize());
    RunPanel(layer, task % panels, first, std::min(first + rows_of_task, layer.rows),
             workspace.data());
    return absl::OkStatus();
  });
}

void LinearOp::RunPanel(const Layer& layer, int64_t panel, int64_t first_row, int64_t end_row,
                        float* memory) const {
  const int64_t panel_bytes = PackedPanelBytes(config_.in, as_.operand);
  const void* packed = static_cast<const char*>(layer.linear.packed) + panel * panel_bytes;
  if (layer.linear.packed == nullptr) {
    PackWeightPanel(layer.linear.weight, panel, as_, memory);
    packed = memory;
  }
  float* const tile = memory + panel_bytes / static_cast<int64_t>(sizeof(float));
  float* const bias = tile + kTileSize;
  float* const last_rows = bias + kPanelWidth;

  const int64_t out = layer.linear.weight.out, column = panel * kPanelWidth;
  const int64_t width = std::min(kPanelWidth, out - column);
  std::fill_n(bias, kPanelWidth, 0.0f);
  if (layer.linear.bias != nullptr) std::copy_n(layer.linear.bias + column, width, bias);

  const int64_t y_size = ByteSize(config_.y_type), x_bytes = config_.in * ByteSize(as_.operand);
  int64_t row = first_row;
  for (const OnednnMatmul& product : products_) {
    const int64_t tile_rows = product.config().m;
    while (end_row - row >= tile_rows || (tile_rows == kLeastTile && row < end_row)) {
      const int64_t rows = std::min(tile_rows, end_row - row);
      const void* x = static_cast<const char*>(layer.x) + row * x_bytes;
      if (rows < tile_rows) {  // the last ones of all: zeros beside them
        std::memset(last_rows, 0, tile_rows * x_bytes);
        std::memcpy(last_rows, x, rows * x_bytes);
        x = last_rows;
      }
      // oneDNN is fast only where the rows of a result follow each other.
      char* const y = static_cast<char*>(layer.y) + (row * out + column) * y_size;
      const int64_t y_stride = out * y_size, tile_stride = kPanelWidth * y_size;
      if (config_.accumulate) CopyRows(y, y_stride, rows, width * y_size, tile, tile_stride);
      product.Run(x, packed, tile, bias);
      CopyRows(tile, tile_stride, rows, width * y_size, y, y_stride);
      row += rows;
    }
  }
}

}  // namespace attention
