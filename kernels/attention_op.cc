#include "kernels/attention_op.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/tiles.h"

namespace attention {
namespace {

// 64 queries x 512 keys in float32 is 128 KiB: with the packed keys of a head of 64 it stays in a
// 1 MiB L2 cache. The smaller tiles spare short sequences the padding.
constexpr std::initializer_list<int64_t> kQueryTiles = {1, 4, 16, 64};
constexpr std::initializer_list<int64_t> kKeyTiles = {16, 64, 512};

// weighted[j, i] = P[i, j] V[j] for one row i, and 0 where the row does not see key j.
template <typename Sees>
void WeighValues(const float* weights, const HeadsView<const float>& value, int64_t b,
                 int64_t kv_head, const AttentionShape& shape, Sees sees, float* weighted) {
  for (int64_t j = 0; j < shape.kv_len; ++j) {
    float* const out = weighted + j * shape.q_len * shape.v_head_dim;
    const float* const v = value.Row(b, kv_head, j);
    const bool visible = sees(j);
    for (int64_t d = 0; d < shape.v_head_dim; ++d) out[d] = visible ? weights[j] * v[d] : 0.0f;
  }
}

}  // namespace

struct AttentionOp::TileMemory {
  float* scratch;  // for oneDNN
  float* query;    // [query tile, head_dim]
  float* product;  // [query tile, key tile]: one tile of S or of P
  float* output;   // [query tile, v_head_dim]
  float* rows;     // [query tile, padded kv_len]: S, then P
  int64_t row_stride;

  absl::Span<float> Row(int64_t i, int64_t kv_len) const {
    return absl::MakeSpan(rows + i * row_stride, kv_len);
  }
};

AttentionOp::AttentionOp(const Config& config, OnednnMatmul score, OnednnMatmul combine)
    : config_(config), score_(std::move(score)), combine_(std::move(combine)) {}

AttentionTiles AttentionOp::Tiles(int64_t q_len, int64_t kv_len) {
  return {ChooseTile(q_len, kQueryTiles), ChooseTile(kv_len, kKeyTiles)};
}

absl::StatusOr<AttentionOp> AttentionOp::Create(const Config& config) {
  const auto [query_tile, key_tile] = config.tiles;
  absl::StatusOr<OnednnMatmul> score = OnednnMatmul::Create(
      {.m = query_tile, .k = config.head_dim, .n = key_tile, .packed_b = true});
  if (!score.ok()) return score.status();
  absl::StatusOr<OnednnMatmul> combine = OnednnMatmul::Create({.m = query_tile,
                                                               .k = key_tile,
                                                               .n = config.v_head_dim,
                                                               .packed_b = true,
                                                               .accumulate = true});
  if (!combine.ok()) return combine.status();
  return AttentionOp(config, *std::move(score), *std::move(combine));
}

int64_t AttentionOp::PaddedKeys(int64_t kv_len) const {
  return CeilDiv(kv_len, config_.tiles.key) * config_.tiles.key;
}

int64_t AttentionOp::WorkspaceSize(int64_t kv_len) const {
  return std::max(score_.scratch_size(), combine_.scratch_size()) +
         config_.tiles.query *
             (config_.head_dim + config_.tiles.key + config_.v_head_dim + PaddedKeys(kv_len));
}

double AttentionOp::WorkingBytes(const AttentionShape& shape, int threads) const {
  return sizeof(float) * (PackedHeads::Size(shape, config_.tiles.key, score_) +
                          PackedHeads::Size(shape, config_.tiles.key, combine_) +
                          static_cast<double>(threads) * WorkspaceSize(shape.kv_len));
}

template <typename Compute>
absl::Status AttentionOp::ForEachTile(const AttentionShape& shape, Executor& executor,
                                      Compute compute) const {
  const int64_t tiles = CeilDiv(shape.q_len, config_.tiles.query);  // of one head
  const int64_t heads = shape.batch * shape.num_heads;
  return executor.ParallelFor(heads * tiles, [&](int64_t index, Workspace& workspace) {
    const int64_t head = index / tiles, first = index % tiles * config_.tiles.query;
    const Tile tile = {.b = head / shape.num_heads,
                       .head = head % shape.num_heads,
                       .first = first,
                       .rows = std::min(config_.tiles.query, shape.q_len - first)};
    workspace.Grow(WorkspaceSize(shape.kv_len));
    TileMemory memory;
    memory.scratch = workspace.data();
    memory.query = memory.scratch + std::max(score_.scratch_size(), combine_.scratch_size());
    memory.product = memory.query + config_.tiles.query * config_.head_dim;
    memory.output = memory.product + config_.tiles.query * config_.tiles.key;
    memory.rows = memory.output + config_.tiles.query * config_.v_head_dim;
    memory.row_stride = PaddedKeys(shape.kv_len);
    return compute(tile, memory);
  });
}

// S = scale * Q K^T for one query tile, into memory.rows.
void AttentionOp::ScoreTile(const AttentionInputs& inputs, const PackedHeads& keys,
                            const Tile& tile, const TileMemory& memory) const {
  const int64_t dim = config_.head_dim, key_tile = config_.tiles.key;
  for (int64_t i = 0; i < tile.rows; ++i) {
    std::copy_n(inputs.query.Row(tile.b, tile.head, tile.first + i), dim, memory.query + i * dim);
  }
  std::fill(memory.query + tile.rows * dim, memory.query + config_.tiles.query * dim, 0.0f);

  const int64_t kv_head = inputs.shape.KvHead(tile.head);
  for (int64_t t = 0; t * key_tile < inputs.shape.kv_len; ++t) {
    score_.Run(memory.query, keys.Tile(tile.b, kv_head, t), memory.product, memory.scratch);
    for (int64_t i = 0; i < tile.rows; ++i) {
      const float* const from = memory.product + i * key_tile;
      float* const to = memory.rows + i * memory.row_stride + t * key_tile;
      for (int64_t j = 0; j < key_tile; ++j) to[j] = inputs.scale * from[j];
    }
  }
}

// Y = P V for one query tile, P being in memory.rows, into memory.output. `sees(i, j)` tells
// whether row i of the tile sees key j.
template <typename Sees>
void AttentionOp::CombineTile(const AttentionShape& shape, const HeadsView<const float>& value,
                              const PackedHeads& values, const Tile& tile, Sees sees,
                              const TileMemory& memory) const {
  const int64_t dim = config_.v_head_dim, key_tile = config_.tiles.key;
  const int64_t kv_head = shape.KvHead(tile.head);
  std::fill_n(memory.output, config_.tiles.query * dim, 0.0f);
  std::fill_n(memory.product, config_.tiles.query * key_tile, 0.0f);
  for (int64_t t = 0; t * key_tile < shape.kv_len; ++t) {
    const int64_t keys = std::min(key_tile, shape.kv_len - t * key_tile);
    for (int64_t i = 0; i < tile.rows; ++i) {
      float* const to = memory.product + i * key_tile;
      std::copy_n(memory.rows + i * memory.row_stride + t * key_tile, keys, to);
      std::fill(to + keys, to + key_tile, 0.0f);
    }
    combine_.Run(memory.product, values.Tile(tile.b, kv_head, t), memory.output, memory.scratch);
  }
  for (const int64_t j : values.NonFinite(tile.b, kv_head)) {
    const float* const v = value.Row(tile.b, kv_head, j);
    for (int64_t i = 0; i < tile.rows; ++i) {
      if (!sees(i, j)) continue;
      const float p = memory.rows[i * memory.row_stride + j];
      for (int64_t d = 0; d < dim; ++d) memory.output[i * dim + d] += p * v[d];
    }
  }
}

// P = normalise(S + bias) for one query tile, in memory.rows.
absl::Status AttentionOp::NormalizeTile(const AttentionInputs& inputs, const Tile& tile,
                                        const TileMemory& memory, float* log_sum_exp) const {
  const int64_t kv_len = inputs.shape.kv_len;
  for (int64_t i = 0; i < tile.rows; ++i) {
    const int64_t position = inputs.Position(tile.first + i);
    const RowBias bias(inputs.mask, inputs.causal, tile.b, tile.head, position, kv_len);
    const absl::Span<float> row = memory.Row(i, kv_len);
    float row_log_sum_exp = -std::numeric_limits<float>::infinity();
    if (bias.AddTo(row) == 0) {
      std::fill(row.begin(), row.end(), 0.0f);
    } else if (inputs.normalization == Normalization::kSoftmax) {
      row_log_sum_exp = SoftmaxRow(row);
    } else if (!SumRow(row)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the attention scores of query ", position, " in head ", tile.head, " of sequence ",
          tile.b, " sum to 0; normalization SUM wants a sum other than 0, or use SOFTMAX"));
    }
    if (log_sum_exp != nullptr) {
      log_sum_exp[tile.ResultRow(inputs.shape, i)] = row_log_sum_exp;
    }
  }
  return absl::OkStatus();
}

// Sends out what was asked for of one query tile whose P is in memory.rows.
template <typename Sees>
void AttentionOp::DeliverTile(const AttentionShape& shape, const HeadsView<const float>& value,
                              const PackedHeads* values, const Tile& tile, Sees sees,
                              const TileMemory& memory, const AttentionOutputs& outputs) const {
  const int64_t kv_len = shape.kv_len, dim = shape.v_head_dim;
  for (int64_t i = 0; i < tile.rows; ++i) {
    const absl::Span<const float> row = memory.Row(i, kv_len);
    const int64_t result_row = tile.ResultRow(shape, i);
    if (outputs.attention_weights != nullptr) {
      std::copy(row.begin(), row.end(), outputs.attention_weights + result_row * kv_len);
    }
    if (outputs.top_indices != nullptr) {
      const int64_t first = result_row * outputs.top_k;
      TopKeys(row, absl::MakeSpan(outputs.top_indices + first, outputs.top_k),
              absl::MakeSpan(outputs.top_weights + first, outputs.top_k));
    }
    if (outputs.weighted_values != nullptr) {
      const int64_t head = tile.b * shape.num_heads + tile.head;
      const int64_t first = (head * kv_len * shape.q_len + tile.first + i) * dim;
      WeighValues(
          row.data(), value, tile.b, shape.KvHead(tile.head), shape,
          [&](int64_t j) { return sees(i, j); }, outputs.weighted_values + first);
    }
  }
  if (outputs.output.data == nullptr) return;
  CombineTile(shape, value, *values, tile, sees, memory);
  for (int64_t i = 0; i < tile.rows; ++i) {
    std::copy_n(memory.output + i * dim, dim,
                outputs.output.Row(tile.b, tile.head, tile.first + i));
  }
}

absl::Status AttentionOp::Run(const AttentionInputs& inputs, const AttentionOutputs& outputs,
                              Executor& executor) const {
  const AttentionShape& shape = inputs.shape;
  const absl::StatusOr<PackedHeads> keys = PackedHeads::Keys(inputs.key, shape, score_, executor);
  if (!keys.ok()) return keys.status();
  std::optional<PackedHeads> values;
  if (outputs.output.data != nullptr) {
    absl::StatusOr<PackedHeads> packed =
        PackedHeads::Values(inputs.value, shape, combine_, executor);
    if (!packed.ok()) return packed.status();
    values = *std::move(packed);
  }
  return ForEachTile(shape, executor, [&](const Tile& tile, const TileMemory& memory) {
    ScoreTile(inputs, *keys, tile, memory);
    if (outputs.attention_scores != nullptr) {
      for (int64_t i = 0; i < tile.rows; ++i) {
        const absl::Span<const float> row = memory.Row(i, shape.kv_len);
        std::copy(row.begin(), row.end(),
                  outputs.attention_scores + tile.ResultRow(shape, i) * shape.kv_len);
      }
    }
    if (!outputs.NeedWeights()) return absl::OkStatus();
    absl::Status normalized = NormalizeTile(inputs, tile, memory, outputs.log_sum_exp);
    if (!normalized.ok()) return normalized;
    const auto sees = [&](int64_t i, int64_t j) {
      return RowBias(inputs.mask, inputs.causal, tile.b, tile.head, inputs.Position(tile.first + i),
                     shape.kv_len)
          .Sees(j);
    };
    DeliverTile(shape, inputs.value, values ? &*values : nullptr, tile, sees, memory, outputs);
    return absl::OkStatus();
  });
}

absl::Status AttentionOp::Combine(const CombineInputs& inputs, const AttentionOutputs& outputs,
                                  Executor& executor) const {
  const AttentionShape& shape = inputs.shape;
  const absl::StatusOr<PackedHeads> values =
      PackedHeads::Values(inputs.value, shape, combine_, executor);
  if (!values.ok()) return values.status();
  return ForEachTile(shape, executor, [&](const Tile& tile, const TileMemory& memory) {
    for (int64_t i = 0; i < tile.rows; ++i) {
      std::copy_n(inputs.attention_weights.Row(tile.b, tile.head, inputs.Position(tile.first + i)),
                  shape.kv_len, memory.Row(i, shape.kv_len).data());
    }
    const auto sees_all = [](int64_t, int64_t) { return true; };
    DeliverTile(shape, inputs.value, &*values, tile, sees_all, memory, outputs);
    return absl::OkStatus();
  });
}

}  // namespace attention
