// The steps of a tile for one block of keys.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/attention/attention_tile.h"
#include "kernels/attention/rows/score_rows.h"
#include "kernels/attention/rows/stream_rows.h"
#include "kernels/attention/rows/term_sizes.h"
#include "kernels/simd/convert.h"

namespace attention {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// Calls f(rows, offset) for the pieces of memory in which tokens [first, first + count) lie.
template <typename F>
void ForEachPiece(const CachedHeadsView& heads, int64_t kv_head, int64_t first, int64_t count,
                  int64_t width, F f) {
  const int64_t in_past = std::clamp<int64_t>(heads.past_len - first, 0, count);
  const auto piece = [&](const HeadsView& view, int64_t offset, int64_t rows) {
    if (rows == 0) return;
    f(RowsView{heads.Row(kv_head, first + offset), view.type, view.row_stride, rows, width},
      offset);
  };
  piece(heads.past, 0, in_past);
  piece(heads.current, in_past, count - in_past);
}

// The place of key `j` of a block among weights interleaved as RowPairs::kSixteenApart.
constexpr int64_t InterleavedPlace(int64_t j) { return j / 32 * 32 + j % 16 * 2 + j % 32 / 16; }

}  // namespace

// S = Q K^T.
void AttentionTile::ScoreBlock(const KeyBlock& block) {
  if (head_ != nullptr) {
    products_.Scores(rows(), block, queries_, *head_, scores_);
    return;
  }
  const int64_t dim = products_.widths().head_dim;
  ForEachPiece(sequence_.key, kv_head(), block.first, block.count, dim,
               [&](const RowsView& keys, int64_t offset) {
                 DotRows(static_cast<const float*>(queries_), rows(), RoundUp(dim, 16), keys,
                         scores_ + offset, block.stride);
               });
}

// From the packed keys, which the products have just brought into the cache: 1 to 2 % of a tile's
// time, where the caller's rows take 6.
void AttentionTile::AddKeySizes(const KeyBlock& block) {
  const int64_t dim = products_.widths().head_dim;
  if (head_ == nullptr) {
    ForEachPiece(sequence_.key, kv_head(), block.first, block.count, dim,
                 [&](const RowsView& keys, int64_t) { AddColumnSizes(keys, key_sizes_); });
    return;
  }
  float ones[kPanelWidth];
  std::fill_n(ones, kPanelWidth, 1.0f);
  for (int64_t key = block.first; key < block.first + block.count; key += kPanelWidth) {
    AddRowSizes({head_->Keys(key), DataType::kFloat32, kPanelWidth, dim, kPanelWidth}, ones,
                key_sizes_);
  }
}

void AttentionTile::FindTermSizes() {
  const int64_t dim = products_.widths().head_dim;
  std::fill_n(term_sizes_, rows(), 0.0f);
  AddRowSizes(
      {queries_, DataType::kFloat32, head_ == nullptr ? RoundUp(dim, 16) : dim, rows(), dim},
      key_sizes_, term_sizes_);
}

void AttentionTile::ApplyStages(int64_t row, const KeyBlock& block, ScoreStage stage, float hidden,
                                float* s) const {
  ScoreStages stages = {.scale = settings_.scale, .approximate = bfloat16_, .hidden = hidden};
  if (stage != ScoreStage::kRaw) stages.softcap = settings_.softcap;
  if (stage != ScoreStage::kBiased) return attention::ApplyStages(s, block.count, stages);
  const VisibleKeys& visible = visible_[row];
  const int64_t begin = std::clamp<int64_t>(visible.range().begin - block.first, 0, block.keys);
  const int64_t end = std::clamp(visible.range().end - block.first, begin, block.keys);
  const int64_t first = block.first + begin;
  if (!settings_.alibi_slopes.empty()) stages.slope = settings_.alibi_slopes[tile_.Head(row)];
  stages.distance = visible.position() - first;
  if (visible.bias() != nullptr) stages.bias = visible.bias() + first;
  if (visible.visible() != nullptr) stages.visible = visible.visible() + first;
  attention::ApplyStages(s + begin, end - begin, stages);
  std::fill(s, s + begin, hidden);
  std::fill(s + end, s + block.keys, hidden);
}

void AttentionTile::ReturnScores(const KeyBlock& block, int64_t from) {
  const AttentionResults& results = sequence_.results;
  const int64_t skipped = from - block.first;
  for (int64_t r = 0; r < rows(); ++r) {
    std::copy_n(scores_ + r * block.stride, block.keys, row_);
    ApplyStages(r, block, settings_.score_stage, kNothing, row_);
    const int64_t at = ResultRow(r) * sequence_.kv_len + from;
    FromFloat32(row_ + skipped, block.count - skipped, results.type,
                results.attention_scores + at * ByteSize(results.type));
  }
}

// Before the bias they are wanted all the same; with it they are -inf, and nothing is computed.
void AttentionTile::ReturnUnseenScores(int64_t end) {
  const bool compute = settings_.score_stage != ScoreStage::kBiased;
  const auto give_back = [&](int64_t from, int64_t to) {
    for (int64_t first = from / kPanelWidth * kPanelWidth; first < to;) {
      const KeyBlock block = NextBlock(first, to);
      if (compute) ScoreBlock(block);
      KeyBlock wanted = block;
      wanted.count = std::min(block.count, to - first);
      ReturnScores(wanted, std::max(from, first));
      first += block.keys;
    }
  };
  give_back(0, range_.begin);
  give_back(end, sequence_.kv_len);
}

// P = e^(S + bias - shift), and their sums; a few rows at a time, whose scores stay in the L1
// cache.
void AttentionTile::WeighBlock(const KeyBlock& block) {
  const bool softmax = settings_.normalization == Normalization::kSoftmax;
  // All keys stand in one short block.
  normalized_ = softmax && block.keys <= kShortRow && block.first == range_.begin && !bfloat16_ &&
                settings_.sinks.empty();
  bool rescaled = false;
  for (int64_t first = 0; first < rows(); first += kSoftmaxRows) {
    const int64_t end = std::min(first + kSoftmaxRows, rows());
    const float* mask_ahead[kSoftmaxRows] = {};
    if (sequence_.mask.bias != nullptr) {
      for (int64_t r = end; r < std::min(end + kSoftmaxRows, rows()); ++r) {
        mask_ahead[r - end] = visible_[r].bias() + block.first;
      }
    }
    for (int64_t r = first; r < end; ++r) BiasRow(r, block, softmax ? kNothing : 0.0f);
    if (!softmax) {
      for (int64_t r = first; r < end; ++r) {
        AddToSum(scores_ + r * block.stride, block.keys, states_[r]);
      }
    } else if (normalized_) {
      for (int64_t r = first; r < end; ++r) {
        SoftmaxRow(scores_ + r * block.stride, block.keys, ScaleLeft(), states_[r]);
      }
    } else {
      rescaled |= SoftmaxTile({.scores = scores_ + first * block.stride,
                               .rows = end - first,
                               .keys = block.keys,
                               .stride = block.stride,
                               .scale = ScaleLeft(),
                               .bfloat16 = bfloat16_ ? weights16_ + first * block.stride : nullptr,
                               .keep_float32 = sequence_.results.NeedWholeRows(),
                               .states = states_ + first,
                               .factors = factors_ + first,
                               .ahead = mask_ahead});
    }
  }
  if (!rescaled) return;
  for (int64_t r = 0; r < rows(); ++r) {
    if (factors_[r] != 1.0f) Rescale(r, factors_[r], block.first);
  }
}

// "Score", "Cap" and "Bias" for one row, but for the scale where nothing else needs it.
void AttentionTile::BiasRow(int64_t row, const KeyBlock& block, float hidden) {
  float* const s = scores_ + row * block.stride;
  if (!only_key_ranges_) return ApplyStages(row, block, ScoreStage::kBiased, hidden, s);
  const bool all_seen = all_see_.begin <= block.first && block.first + block.keys <= all_see_.end;
  if (all_seen) return;
  const KeyRange seen = visible_[row].range();
  const int64_t begin = std::clamp<int64_t>(seen.begin - block.first, 0, block.keys);
  const int64_t end = std::clamp(seen.end - block.first, begin, block.keys);
  std::fill(s, s + begin, hidden);
  std::fill(s + end, s + block.keys, hidden);
}

// What the row has gathered from keys before `end` was weighed with another shift.
void AttentionTile::Rescale(int64_t row, float factor, int64_t end) {
  if (has_sums_) {
    ForEachPanel(row, [&](float* sums, int64_t width) { ScaleRow(sums, width, factor); });
  }
  if (sequence_.results.NeedWholeRows()) {
    ScaleRow(WholeRow(row) + range_.begin, end - range_.begin, factor);
  }
}

void AttentionTile::KeepWholeRows(const KeyBlock& block) {
  if (!sequence_.results.NeedWholeRows()) return;
  for (int64_t r = 0; r < rows(); ++r) {
    ToFloat32(scores_ + r * block.stride, DataType::kFloat32, block.count,
              WholeRow(r) + block.first);
  }
}

// Y += P V.
void AttentionTile::CombineBlock(const KeyBlock& block) {
  if (head_ == nullptr) return CombineInPlace(block);
  if (products_.widths().format.round_to_bfloat16) {
    for (int64_t r = 0; r < rows(); ++r) {
      float* const p = scores_ + r * block.stride;
      RoundToBfloat16(p, block.keys, p);
    }
  }
  CombineNonFinite(block);
  const void* const weights = bfloat16_ ? static_cast<const void*>(weights16_) : scores_;
  products_.Combine(rows(), block, weights, *head_, has_sums_, sums_);
  has_sums_ = true;
}

float AttentionTile::TakeWeight(int64_t row, const KeyBlock& block, int64_t j) {
  float weight = 0;
  if (bfloat16_) {
    uint16_t& taken = weights16_[row * block.stride + InterleavedPlace(j)];
    ToFloat32(&taken, DataType::kBfloat16, 1, &weight);
    taken = 0;
  } else {
    std::swap(weight, scores_[row * block.stride + j]);
  }
  return weight;
}

void AttentionTile::CombineNonFinite(const KeyBlock& block) {
  for (int64_t unit = 0; unit < block.count; unit += kPanelWidth) {
    const uint64_t non_finite = head_->NonFinite(block.first + unit);
    if (non_finite == 0) continue;
    for (int64_t j = unit; j < std::min(unit + kPanelWidth, block.count); ++j) {
      if ((non_finite >> (j - unit) & 1) == 0) continue;
      if (!has_sums_) ClearSums();
      const float* const value = LoadValue(block.first + j);
      for (int64_t r = 0; r < rows(); ++r) {
        const float weight = TakeWeight(r, block, j);
        if (Sees(r, block.first + j)) AddValue(r, weight, value);
      }
    }
  }
}

void AttentionTile::CombineInPlace(const KeyBlock& block) {
  const int64_t width = products_.widths().v_head_dim, size = rows() * sum_stride_;
  std::copy_n(sums_, size, saved_sums_);
  ForEachPiece(sequence_.value, kv_head(), block.first, block.count, width,
               [&](const RowsView& values, int64_t offset) {
                 AddWeightedRows(scores_ + offset, rows(), block.stride, values, sums_,
                                 sum_stride_);
               });
  if (std::all_of(sums_, sums_ + size, [](float x) { return std::isfinite(x); })) return;
  // An infinity or a NaN among the values has reached every row, because 0 * NaN is NaN. Once more
  // without those values, which are then added to the rows that see them.
  std::copy_n(saved_sums_, size, sums_);
  for (int64_t first = 0; first < block.count; first += kPanelWidth) {
    const int64_t count = std::min(kPanelWidth, block.count - first);
    for (int64_t j = 0; j < count; ++j) {
      const int64_t key = block.first + first + j;
      float* const value = values_ + j * width;
      ToFloat32(sequence_.value.Row(kv_head(), key), sequence_.value.Type(key), width, value);
      if (std::all_of(value, value + width, [](float x) { return std::isfinite(x); })) continue;
      for (int64_t r = 0; r < rows(); ++r) {
        const float weight = TakeWeight(r, block, first + j);
        if (Sees(r, key)) AddValue(r, weight, value);
      }
      std::fill_n(value, width, 0.0f);
    }
    AddWeightedRows(scores_ + first, rows(), block.stride,
                    {values_, DataType::kFloat32, width, count, width}, sums_, sum_stride_);
  }
}

const float* AttentionTile::LoadValue(int64_t key) {
  ToFloat32(sequence_.value.Row(kv_head(), key), sequence_.value.Type(key),
            products_.widths().v_head_dim, row_);
  return row_;
}

void AttentionTile::AddValue(int64_t row, float weight, const float* value) {
  for (int64_t panel = 0; panel < products_.value_panels(); ++panel) {
    float* const sums = SumsOf(row, panel);
    for (int64_t d = 0; d < products_.PanelWidth(panel); ++d) {
      sums[d] += weight * value[panel * kPanelWidth + d];
    }
  }
}

}  // namespace attention
