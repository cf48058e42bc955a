#include "kernels/linear_op.h"

#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "kernels/convert.h"
#include "kernels/task_runs.h"
#include "kernels/tiles.h"

namespace attention {
namespace {

// From 64 rows on oneDNN runs at its ceiling; smaller tiles spare short sequences the padding.
constexpr std::initializer_list<int64_t> kRowTiles = {1, 4, 16, 64};

constexpr int64_t kPackedRows = 64;  // rows of W that one task packs

}  // namespace

LinearOp::LinearOp(const Config& config, PackAs as, OnednnMatmul product)
    : config_(config), as_(as), product_(std::move(product)) {}

int64_t LinearOp::RowTile(int64_t rows) { return ChooseTile(rows, kRowTiles); }

absl::StatusOr<LinearOp> LinearOp::Create(const Config& config) {
  const PackAs as = OnednnMatmul::OperandsFor(config.compute_type);
  absl::StatusOr<OnednnMatmul> product = OnednnMatmul::Create({.m = config.row_tile,
                                                               .k = config.in,
                                                               .n = config.out,
                                                               .operand = as.operand,
                                                               .has_bias = config.has_bias});
  if (!product.ok()) return product.status();
  return LinearOp(config, as, *std::move(product));
}

int64_t LinearOp::WorkspaceSize() const {
  return config_.row_tile * (config_.in + config_.out) + config_.in;
}

double LinearOp::WorkingBytes(int threads) const {
  return static_cast<double>(PackedBytes(config_.in, config_.out, as_.operand)) +
         static_cast<double>(threads) * sizeof(float) * static_cast<double>(WorkspaceSize());
}

absl::Status LinearOp::PackWeight(const Inputs& inputs, char* packed, Executor& executor) const {
  const int64_t panel_bytes = PackedPanelBytes(config_.in, as_.operand);
  const int64_t depth = PaddedDepth(config_.in, as_.operand);
  const int64_t row_bytes = config_.out * ByteSize(inputs.weight_type);
  return executor.ParallelFor(CeilDiv(depth, kPackedRows), [&](int64_t task, Workspace&) {
    const int64_t first = task * kPackedRows;
    const RowsView rows = {static_cast<const char*>(inputs.weight) + first * row_bytes,
                           inputs.weight_type, config_.out,
                           std::clamp<int64_t>(config_.in - first, 0, kPackedRows), config_.out};
    PackRows(rows, as_, RowPairs::kNeighbours, first, std::min(kPackedRows, depth - first),
             panel_bytes, packed);
    return absl::OkStatus();
  });
}

const void* LinearOp::LoadTile(const Inputs& inputs, int64_t first, int64_t count,
                               float* tile) const {
  const int64_t in = config_.in;
  const auto* const x = static_cast<const char*>(inputs.x) + first * in * ByteSize(inputs.x_type);
  const bool in_place = inputs.x_type == DataType::kFloat32 && as_.operand == DataType::kFloat32 &&
                        !as_.round_to_bfloat16 && count == config_.row_tile;
  if (in_place) return x;
  float* const row = tile + config_.row_tile * in;  // scratch
  for (int64_t i = 0; i < config_.row_tile; ++i) {
    if (i < count) {
      ToFloat32(x + i * in * ByteSize(inputs.x_type), inputs.x_type, in, row);
    } else {
      std::fill_n(row, in, 0.0f);
    }
    if (as_.operand == DataType::kBfloat16) {
      RoundToBfloat16(row, in, reinterpret_cast<uint16_t*>(tile) + i * in);
    } else if (as_.round_to_bfloat16) {
      RoundToBfloat16(row, in, tile + i * in);
    } else {
      std::copy_n(row, in, tile + i * in);
    }
  }
  return tile;
}

absl::Status LinearOp::Run(const Inputs& inputs, float* y, Executor& executor) const {
  BufferPool::Loan packed = executor.buffers().Borrow(
      CeilDiv(PackedBytes(config_.in, config_.out, as_.operand), sizeof(float)));
  auto* const weight = reinterpret_cast<char*>(packed.data());
  if (absl::Status s = PackWeight(inputs, weight, executor); !s.ok()) return s;
  const int64_t tile_rows = config_.row_tile;
  std::vector<RowRun> equal_runs;
  if (inputs.runs.empty()) {
    for (int64_t b = 0; b < inputs.batch; ++b) {
      equal_runs.push_back({b * inputs.rows, inputs.rows});
    }
  }
  const absl::Span<const RowRun> runs = inputs.runs.empty() ? equal_runs : inputs.runs;
  const TaskRuns tiles(runs, [&](const RowRun& run) { return CeilDiv(run.count, tile_rows); });
  return executor.ParallelFor(tiles.total(), [&](int64_t index, Workspace& workspace) {
    const auto [sequence, tile] = tiles.Find(index);
    const RowRun& run = runs[sequence];
    const int64_t rows = std::min(tile_rows, run.count - tile * tile_rows);
    const int64_t row = run.first + tile * tile_rows;
    workspace.Grow(WorkspaceSize());
    const void* const x = LoadTile(inputs, row, rows, workspace.data());
    float* const y_rows = y + row * config_.out;
    // The last rows of a sequence fill a tile only in part: compute a whole one beside it.
    float* const y_tile =
        rows == tile_rows ? y_rows : workspace.data() + tile_rows * config_.in + config_.in;
    product_.Run(x, weight, y_tile, inputs.bias);
    if (y_tile != y_rows) std::copy_n(y_tile, rows * config_.out, y_rows);
    return absl::OkStatus();
  });
}

}  // namespace attention
