#include "kernels/products/linear_op.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/memory/aligned_buffer.h"
#include "kernels/memory/tiles.h"
#include "kernels/products/few_rows_product.h"
#include "kernels/products/trial_operands.h"
#include "kernels/threads/task_runs.h"

namespace attention {
namespace {

// The numbers of rows that one product of oneDNN takes. The rows of a task are cut into as many
// tiles of the first size as fit, then of the second, and so on. Where MultiplyFewRows can be used,
// only the first size is: MultiplyFewRows runs near the ceiling for any number of rows, while
// oneDNN reaches 0.6 of it at 16 rows. Otherwise those sizes are used that add up in the same order
// as the first. oneDNN's AVX2 kernels do not for 1, 2, 8 and 32 rows; with AMX it does not for
// fewer than 16 rows, which it computes with other instructions.
constexpr int64_t kRowTiles[] = {64, 16, 4};

// The most rows of a task. With fewer rows panels would be read more often, with more rows the rows
// would.
constexpr int64_t kMostRows = 512;

constexpr int64_t kTileSize = kRowTiles[0] * kPanelWidth;
static_assert(2 * kFewRows <= kRowTiles[0], "sums and their rounded copy take a tile's memory");

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

struct LinearOp::Panel {
  const void* packed = nullptr;
  int64_t column = 0, width = 0;
  float* bias = nullptr;       // [kPanelWidth]
  float* tile = nullptr;       // [kTileSize]: Y
  float* last_rows = nullptr;  // [rows of the last product, in]: X
};

LinearOp::LinearOp(const Config& config, OperandFormat format, OnednnActivation activation)
    : config_(config), format_(format), few_rows_activation_(std::move(activation)) {}

absl::Status LinearOp::CheckWidth(int64_t in) {
  if (in <= kMostIn) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a matrix of weights has ", in, " rows; want at most ", kMostIn));
}

absl::StatusOr<LinearOp> LinearOp::Create(const Config& config) {
  if (absl::Status status = CheckWidth(config.in); !status.ok()) return status;
  const OperandFormat format = OnednnMatmul::OperandsFor(config.compute_type);
  absl::StatusOr<OnednnActivation> activation =
      OnednnActivation::Create(config.activation, kFewRows * kPanelWidth);
  if (!activation.ok()) return activation.status();
  LinearOp op(config, format, *std::move(activation));
  for (const int64_t rows : kRowTiles) {
    absl::StatusOr<OnednnMatmul> product = OnednnMatmul::Create({.m = rows,
                                                                 .k = config.in,
                                                                 .n = kPanelWidth,
                                                                 .operand = format.operand,
                                                                 .result = config.y_type,
                                                                 .has_bias = true,
                                                                 .accumulate = config.accumulate,
                                                                 .activation = config.activation});
    if (!product.ok()) return product.status();
    op.products_.push_back(*std::move(product));
  }
  op.KeepWhatAgrees();
  return op;
}

// A layer of one tile, on which each way of multiplying is tried.
class LinearOp::Trial {
 public:
  explicit Trial(const LinearOp& op)
      : y_row_bytes_(kPanelWidth * ByteSize(op.config_.y_type)),
        operands_(kRowTiles[0], op.config_.in, kPanelWidth, op.format_.operand),
        memory_(op.WorkspaceSize()),
        y_(kTileSize),
        layer_{
            .x = operands_.x(), .rows = kRowTiles[0], .linear = operands_.linear(), .y = y_.data()},
        panel_(op.PreparePanel(layer_, 0, memory_.data())) {}

  // The bytes of the first `rows` rows of Y that `multiply(layer, panel)` computes.
  template <typename Multiply>
  std::string Bytes(int64_t rows, Multiply multiply) {
    std::fill_n(y_.data(), y_.size(), 0.0f);
    multiply(layer_, panel_);
    return {reinterpret_cast<const char*>(y_.data()), static_cast<size_t>(rows * y_row_bytes_)};
  }

 private:
  const int64_t y_row_bytes_;
  const TrialOperands operands_;
  AlignedBuffer memory_, y_;
  const Layer layer_;
  const Panel panel_;
};

// The order in which oneDNN adds up is not specified, and may change with its version, the CPU and
// the number of rows. So all ways of multiplying are tried, and those that give other bits than the
// first are not used.
void LinearOp::KeepWhatAgrees() {
  Trial trial(*this);
  const auto bytes_of = [&](const OnednnMatmul& product, int64_t rows) {
    return trial.Bytes(rows, [&](const Layer& layer, const Panel& panel) {
      RunTile(product, layer, panel, 0, product.config().m);
    });
  };
  few_rows_run_ = FindRunOfFewRows(trial, bytes_of(products_[0], kFewRows));
  const auto differs = [&](const OnednnMatmul& product) {
    const int64_t rows = product.config().m;
    return few_rows_run_ > 0 || bytes_of(product, rows) != bytes_of(products_[0], rows);
  };
  products_.erase(std::remove_if(products_.begin() + 1, products_.end(), differs), products_.end());
}

// Returns the run length with which MultiplyFewRows gives the bytes `want` for kFewRows rows; 0 if
// there is none.
int64_t LinearOp::FindRunOfFewRows(Trial& trial, const std::string& want) const {
  // RunFewRows cannot add to a Y of bfloat16.
  if (config_.accumulate && config_.y_type == DataType::kBfloat16) return 0;
  if (!HasFewRowsProduct()) return 0;
  for (const int64_t run :
       {int64_t{512}, int64_t{1024}, int64_t{256}, int64_t{2048}, RoundUp(config_.in, 2)}) {
    const std::string got = trial.Bytes(kFewRows, [&](const Layer& layer, const Panel& panel) {
      RunFewRows(layer, panel, 0, kFewRows, run);
    });
    if (got == want) return run;
  }
  return 0;
}

// The workspace holds a panel, a tile of Y, a panel's bias and the last rows of X.
int64_t LinearOp::WorkspaceSize() const {
  const int64_t panel = PackedPanelBytes(config_.in, format_.operand) / sizeof(float);
  return panel + kTileSize + kPanelWidth + products_.back().config().m * config_.in;
}

WorkingMemory LinearOp::Memory() const {
  return {.shared = 0, .workspace = sizeof(float) * static_cast<double>(WorkspaceSize())};
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
    RunPanel(layer, PreparePanel(layer, task % panels, workspace.data()), first,
             std::min(first + rows_of_task, layer.rows));
    return absl::OkStatus();
  });
}

LinearOp::Panel LinearOp::PreparePanel(const Layer& layer, int64_t index, float* memory) const {
  const int64_t panel_bytes = PackedPanelBytes(config_.in, format_.operand);
  Panel panel;
  panel.packed = static_cast<const char*>(layer.linear.packed) + index * panel_bytes;
  if (layer.linear.packed == nullptr) {
    PackWeightPanel(layer.linear.weight, index, format_, memory);
    panel.packed = memory;
  }
  panel.column = index * kPanelWidth;
  panel.width = std::min(kPanelWidth, layer.linear.weight.out - panel.column);
  panel.tile = memory + panel_bytes / static_cast<int64_t>(sizeof(float));
  panel.bias = panel.tile + kTileSize;
  panel.last_rows = panel.bias + kPanelWidth;
  std::fill_n(panel.bias, kPanelWidth, 0.0f);
  if (layer.linear.bias != nullptr) {
    std::copy_n(layer.linear.bias + panel.column, panel.width, panel.bias);
  }
  return panel;
}

void LinearOp::RunPanel(const Layer& layer, const Panel& panel, int64_t first_row,
                        int64_t end_row) const {
  int64_t row = first_row;
  for (const OnednnMatmul& product : products_) {
    const int64_t tile_rows = product.config().m;
    for (; end_row - row >= tile_rows; row += tile_rows) {
      RunTile(product, layer, panel, row, tile_rows);
    }
  }
  if (row < end_row && few_rows_run_ == 0) {
    RunTile(products_.back(), layer, panel, row, end_row - row);
    return;
  }
  for (; row < end_row; row += kFewRows) {
    RunFewRows(layer, panel, row, std::min(kFewRows, end_row - row), few_rows_run_);
  }
}

// Takes as many rows as the product has, or fewer, in which case rows of zeros fill it up.
void LinearOp::RunTile(const OnednnMatmul& product, const Layer& layer, const Panel& panel,
                       int64_t row, int64_t rows) const {
  const int64_t out = layer.linear.weight.out;
  const int64_t y_size = ByteSize(config_.y_type), x_bytes = config_.in * ByteSize(format_.operand);
  const void* x = static_cast<const char*>(layer.x) + row * x_bytes;
  if (rows < product.config().m) {
    std::memset(panel.last_rows, 0, product.config().m * x_bytes);
    std::memcpy(panel.last_rows, x, rows * x_bytes);
    x = panel.last_rows;
  }
  // oneDNN is fast only if the rows of a result follow each other without gaps.
  char* const y = static_cast<char*>(layer.y) + (row * out + panel.column) * y_size;
  const int64_t y_stride = out * y_size, tile_stride = kPanelWidth * y_size;
  if (config_.accumulate) {
    CopyRows(y, y_stride, rows, panel.width * y_size, panel.tile, tile_stride);
  }
  product.Run(x, panel.packed, panel.tile, panel.bias);
  CopyRows(panel.tile, tile_stride, rows, panel.width * y_size, y, y_stride);
}

void LinearOp::RunFewRows(const Layer& layer, const Panel& panel, int64_t row, int64_t rows,
                          int64_t run) const {
  const int64_t out = layer.linear.weight.out;
  const int64_t y_size = ByteSize(config_.y_type), x_bytes = config_.in * ByteSize(format_.operand);
  MultiplyFewRows(static_cast<const char*>(layer.x) + row * x_bytes, rows, config_.in,
                  format_.operand, run, panel.packed, panel.tile);
  char* const y = static_cast<char*>(layer.y) + (row * out + panel.column) * y_size;
  for (int64_t i = 0; i < rows; ++i) {
    float* const sums = panel.tile + i * kPanelWidth;
    for (int64_t j = 0; j < kPanelWidth; ++j) sums[j] += panel.bias[j];
    if (!config_.accumulate) continue;
    const float* const before = reinterpret_cast<const float*>(y + i * out * y_size);
    for (int64_t j = 0; j < panel.width; ++j) sums[j] += before[j];
  }
  if (config_.activation != Activation::kNone) {
    std::fill(panel.tile + rows * kPanelWidth, panel.tile + kFewRows * kPanelWidth, 0.0f);
    few_rows_activation_.Run(panel.tile);
  }
  const void* tile = panel.tile;
  if (config_.y_type == DataType::kBfloat16) {
    auto* const rounded = reinterpret_cast<uint16_t*>(panel.tile + kFewRows * kPanelWidth);
    RoundSumsToBfloat16(panel.tile, rows * kPanelWidth, rounded);
    tile = rounded;
  }
  CopyRows(tile, kPanelWidth * y_size, rows, panel.width * y_size, y, out * y_size);
}

}  // namespace attention
