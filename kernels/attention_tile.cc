#include "kernels/attention_tile.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "absl/strings/str_cat.h"
#include "kernels/convert.h"
#include "kernels/stream_rows.h"
#include "kernels/tile_results.h"

namespace attention {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// Keys of one block where keys and values are read in place.
constexpr int64_t kStreamedKeys = 512;

constexpr int64_t RoundUp(int64_t n, int64_t unit) { return CeilDiv(n, unit) * unit; }

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

// The place of key `j` of a block among weights woven as RowPairs::kSixteenApart.
constexpr int64_t WovenPlace(int64_t j) { return j / 32 * 32 + j % 16 * 2 + j % 32 / 16; }

// Hands out parts of a workspace, or counts what they take.
class Cursor {
 public:
  explicit Cursor(float* base) : base_(base) {}

  float* Take(int64_t floats) {
    float* const part = base_ == nullptr ? nullptr : base_ + used_;
    used_ += RoundUp(floats, 16);
    return part;
  }
  template <typename T>
  T* TakeArray(int64_t count) {
    return reinterpret_cast<T*>(Take(CeilDiv(count * sizeof(T), sizeof(float))));
  }
  int64_t used() const { return used_; }

 private:
  float* base_;
  int64_t used_ = 0;
};

}  // namespace

AttentionTile::AttentionTile(const AttentionProducts& products, const AttentionSettings& settings,
                             const AttentionSequence& sequence, const RowTile& tile,
                             const PackedHead* head, float* workspace, float* mean_weights)
    : products_(products),
      settings_(settings),
      sequence_(sequence),
      tile_(tile),
      head_(head),
      mean_weights_(mean_weights),
      bfloat16_(head != nullptr && products.widths().as.operand == DataType::kBfloat16),
      plain_(settings.softcap == 0 && sequence.mask.empty() && settings.alibi_slopes.empty() &&
             settings.scale > 0 && settings.normalization == Normalization::kSoftmax) {
  LayOut(workspace);
}

int64_t AttentionTile::LayOut(float* workspace) {
  const PackedHead::Widths& widths = products_.widths();
  product_rows_ = head_ == nullptr ? rows() : AttentionProducts::RowsFor(rows());
  sum_stride_ = RoundUp(widths.v_head_dim, 16);
  Cursor cursor(workspace);
  visible_ = cursor.TakeArray<VisibleKeys>(rows());
  states_ = cursor.TakeArray<RowState>(rows());
  factors_ = cursor.Take(rows());
  queries_ = cursor.Take(product_rows_ * RoundUp(widths.head_dim, 16));
  scores_ = cursor.Take(product_rows_ * kStreamedKeys);
  weights16_ = bfloat16_ ? cursor.TakeArray<uint16_t>(product_rows_ * kStreamedKeys) : nullptr;
  sums_ = cursor.Take(product_rows_ * RoundUp(widths.v_head_dim, kPanelWidth));
  row_ = cursor.Take(std::max({widths.head_dim, sum_stride_, kStreamedKeys}));
  saved_sums_ = head_ == nullptr ? cursor.Take(rows() * sum_stride_) : nullptr;
  values_ = head_ == nullptr ? cursor.Take(kPanelWidth * widths.v_head_dim) : nullptr;
  const AttentionResults& results = sequence_.results;
  const bool in_results = results.attention_weights != nullptr && !settings_.average_weights &&
                          results.type == DataType::kFloat32;
  whole_rows_ =
      results.NeedWholeRows() && !in_results ? cursor.Take(rows() * sequence_.kv_len) : nullptr;
  return cursor.used();
}

int64_t AttentionTile::WorkspaceSize(const AttentionProducts& products,
                                     const AttentionSettings& settings,
                                     const AttentionSequence& sequence, bool in_place) {
  const RowTile largest = RowTiling(settings, sequence.q_len).Tile(0, 0, 0);
  // A packed head that is never read: it stands for "not in place".
  const PackedHead some_head(products.widths(), sequence.kv_len, nullptr);
  return AttentionTile(products, settings, sequence, largest, in_place ? nullptr : &some_head,
                       nullptr, nullptr)
      .LayOut(nullptr);
}

absl::Status AttentionTile::Run() {
  LoadQueries();
  ClearRows();
  const bool wants_scores = sequence_.results.attention_scores != nullptr;
  int64_t end = range_.begin;  // of the blocks that are through
  while (end < range_.end) {
    const KeyBlock block = NextBlock(end, range_.end);
    ScoreBlock(block);
    if (wants_scores) ReturnScores(block, block.first);
    end = block.first + block.count;
    if (!sequence_.results.NeedWeights()) continue;
    WeighBlock(block);
    KeepWholeRows(block);
    if (wants_output()) CombineBlock(block);
  }
  if (wants_scores) ReturnUnseenScores(end);
  return sequence_.results.NeedWeights() ? FinishRows() : absl::OkStatus();
}

void AttentionTile::Combine(const HeadsView& attention_weights) {
  given_ = normalized_ = true;
  ClearRows();
  range_ = {0, sequence_.kv_len};
  for (int64_t first = 0; first < sequence_.kv_len;) {
    const KeyBlock block = NextBlock(first, sequence_.kv_len);
    for (int64_t r = 0; r < rows(); ++r) {
      const std::byte* const from =
          attention_weights.Row(tile_.Head(r), sequence_.Position(tile_.Query(r))) +
          block.first * ByteSize(attention_weights.type);
      float* const to = scores_ + r * block.stride;
      ToFloat32(from, attention_weights.type, block.count, to);
      std::fill(to + block.count, to + block.keys, 0.0f);
    }
    KeepWholeRows(block);
    if (wants_output()) CombineBlock(block);
    first += block.keys;
  }
  for (int64_t r = 0; r < rows(); ++r) ReturnRow(r, 1.0f, false);
}

KeyBlock AttentionTile::NextBlock(int64_t first, int64_t end) const {
  if (head_ != nullptr) return products_.Block(first, end, sequence_.kv_len);
  const int64_t count = std::min(kStreamedKeys, std::min(end, sequence_.kv_len) - first);
  return {.first = first, .keys = RoundUp(count, 32), .count = count, .stride = kStreamedKeys};
}

void AttentionTile::LoadQueries() {
  const PackedHead::Widths& widths = products_.widths();
  const int64_t dim = widths.head_dim, stride = head_ == nullptr ? RoundUp(dim, 16) : dim;
  for (int64_t r = 0; r < product_rows_; ++r) {
    float* const to = static_cast<float*>(queries_) + r * stride;
    float* const loaded = bfloat16_ ? row_ : to;
    if (r < rows()) {
      const HeadsView& query = sequence_.query;
      ToFloat32(query.Row(tile_.Head(r), tile_.Query(r)), query.type, dim, loaded);
      std::fill(loaded + dim, loaded + stride, 0.0f);
    } else {
      std::fill_n(loaded, stride, 0.0f);
    }
    if (bfloat16_) RoundToBfloat16(row_, dim, static_cast<uint16_t*>(queries_) + r * dim);
    if (head_ != nullptr && widths.as.round_to_bfloat16) RoundToBfloat16(to, dim, to);
  }
}

void AttentionTile::ClearRows() {
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  range_ = {kLast, 0};
  all_see_ = {0, kLast};
  for (int64_t r = 0; r < rows(); ++r) {
    const auto* const visible =
        new (visible_ + r) VisibleKeys(settings_, sequence_, tile_.Head(r), tile_.Query(r));
    const KeyRange seen = visible->range();
    all_see_ = {std::max(all_see_.begin, seen.begin), std::min(all_see_.end, seen.end)};
    if (!seen.empty()) {
      range_ = {std::min(range_.begin, seen.begin), std::max(range_.end, seen.end)};
    }
    states_[r].Clear();
    if (!settings_.sinks.empty()) states_[r].AddSink(settings_.sinks[tile_.Head(r)]);
  }
  if (range_.empty()) range_ = {0, 0};
  range_.begin = range_.begin / kPanelWidth * kPanelWidth;
  std::fill_n(sums_, product_rows_ * RoundUp(products_.widths().v_head_dim, kPanelWidth), 0.0f);
}

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

void AttentionTile::ApplyStages(int64_t row, const KeyBlock& block, ScoreStage stage, float hidden,
                                float* s) const {
  if (settings_.scale != 1.0f) ScaleRow(s, block.count, settings_.scale);
  if (stage == ScoreStage::kRaw) return;
  if (settings_.softcap > 0) SoftcapRow(s, block.count, settings_.softcap);
  if (stage == ScoreStage::kSoftcapped) return;
  const VisibleKeys& visible = visible_[row];
  const int64_t begin = std::clamp<int64_t>(visible.range().begin - block.first, 0, block.keys);
  const int64_t end = std::clamp(visible.range().end - block.first, begin, block.keys);
  float* const seen = s + begin;
  const int64_t first = block.first + begin;
  if (!settings_.alibi_slopes.empty()) {
    const float slope = settings_.alibi_slopes[tile_.Head(row)];
    AddAlibiRow(seen, end - begin, slope, visible.position() - first);
  }
  if (visible.bias() != nullptr) AddBiasRow(seen, end - begin, visible.bias() + first, hidden);
  if (visible.visible() != nullptr) HideRow(seen, end - begin, visible.visible() + first, hidden);
  std::fill(s, seen, hidden);
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

// Raw scores are returned for all keys, also those that no row of the tile sees: before range_ and
// from `end` on.
void AttentionTile::ReturnUnseenScores(int64_t end) {
  const auto compute = [&](int64_t from, int64_t to) {
    for (int64_t first = from / kPanelWidth * kPanelWidth; first < to;) {
      const KeyBlock block = NextBlock(first, to);
      ScoreBlock(block);
      KeyBlock wanted = block;
      wanted.count = std::min(block.count, to - first);
      ReturnScores(wanted, std::max(from, first));
      first += block.keys;
    }
  };
  compute(0, range_.begin);
  compute(end, sequence_.kv_len);
}

// P = e^(S + bias - shift), and their sums.
void AttentionTile::WeighBlock(const KeyBlock& block) {
  const bool softmax = settings_.normalization == Normalization::kSoftmax;
  const bool all_seen = all_see_.begin <= block.first && block.first + block.keys <= all_see_.end;
  for (int64_t r = 0; r < rows(); ++r) {
    float* const s = scores_ + r * block.stride;
    if (!plain_) {
      ApplyStages(r, block, ScoreStage::kBiased, softmax ? kNothing : 0.0f, s);
    } else if (!all_seen) {
      const KeyRange seen = visible_[r].range();
      const int64_t begin = std::clamp<int64_t>(seen.begin - block.first, 0, block.keys);
      const int64_t end = std::clamp(seen.end - block.first, begin, block.keys);
      std::fill(s, s + begin, kNothing);
      std::fill(s + end, s + block.keys, kNothing);
    }
    if (!softmax) AddToSum(s, block.keys, states_[r]);
  }
  if (!softmax) return;
  if (block.keys <= kShortRow && block.first == range_.begin && !bfloat16_ &&
      settings_.sinks.empty()) {
    normalized_ = true;
    for (int64_t r = 0; r < rows(); ++r) {
      SoftmaxRow(scores_ + r * block.stride, block.keys, plain_ ? settings_.scale : 1.0f,
                 states_[r]);
    }
    return;
  }
  const bool rescaled = SoftmaxTile({.scores = scores_,
                                     .rows = rows(),
                                     .keys = block.keys,
                                     .stride = block.stride,
                                     .scale = plain_ ? settings_.scale : 1.0f,
                                     .bfloat16 = weights16_,
                                     .keep_float32 = sequence_.results.NeedWholeRows(),
                                     .states = states_,
                                     .factors = factors_});
  if (!rescaled) return;
  for (int64_t r = 0; r < rows(); ++r) {
    if (factors_[r] != 1.0f) Rescale(r, factors_[r], block.first);
  }
}

// What the row has gathered from keys before `end` was weighed with another shift.
void AttentionTile::Rescale(int64_t row, float factor, int64_t end) {
  for (int64_t panel = 0; panel < products_.value_panels(); ++panel) {
    ScaleRow(SumsOf(row, panel), products_.PanelWidth(panel), factor);
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
  if (products_.widths().as.round_to_bfloat16) {
    for (int64_t r = 0; r < rows(); ++r) {
      float* const p = scores_ + r * block.stride;
      RoundToBfloat16(p, block.keys, p);
    }
  }
  CombineNonFinite(block);
  const void* const weights = bfloat16_ ? static_cast<const void*>(weights16_) : scores_;
  products_.Combine(rows(), block, weights, *head_, sums_);
}

float AttentionTile::TakeWeight(int64_t row, const KeyBlock& block, int64_t j) {
  float weight = 0;
  if (bfloat16_) {
    uint16_t& taken = weights16_[row * block.stride + WovenPlace(j)];
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

absl::Status AttentionTile::FinishRows() {
  for (int64_t r = 0; r < rows(); ++r) {
    const double sum = states_[r].Sum();
    // Nothing but hidden keys makes a sum of exactly 0 usual; it may also be a sum of scores.
    const bool sees_none = sum == 0 && !visible_[r].SeesAny();
    if (sum == 0 && !sees_none && settings_.normalization == Normalization::kSum) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the attention scores of query ", sequence_.Position(tile_.Query(r)), " in head ",
          tile_.Head(r), " sum to 0; normalization SUM wants a sum other than 0, or use SOFTMAX"));
    }
    if (sequence_.results.log_sum_exp != nullptr) {
      sequence_.results.log_sum_exp[ResultRow(r)] =
          sees_none ? kNothing : static_cast<float>(states_[r].shift + std::log(sum));
    }
    ReturnRow(r, normalized_ && sum != 0 ? 1.0f : static_cast<float>(sum), sees_none);
  }
  return absl::OkStatus();
}

void AttentionTile::ReturnRow(int64_t row, float divisor, bool sees_none) {
  if (wants_output()) {
    for (int64_t panel = 0; panel < products_.value_panels(); ++panel) {
      std::copy_n(SumsOf(row, panel), products_.PanelWidth(panel), row_ + panel * kPanelWidth);
    }
    const int64_t width = products_.widths().v_head_dim;
    if (sees_none) std::fill_n(row_, width, 0.0f);
    if (!sees_none && divisor != 1.0f) DivideRow(row_, width, divisor);
    const MutableHeadsView& output = sequence_.results.output;
    FromFloat32(row_, width, output.type, output.Row(tile_.Head(row), tile_.Query(row)));
  }
  if (!sequence_.results.NeedWholeRows()) return;
  float* const weights = WholeRow(row);
  const int64_t end = std::min(range_.end, sequence_.kv_len);
  std::fill(weights, weights + range_.begin, 0.0f);
  std::fill(weights + end, weights + sequence_.kv_len, 0.0f);
  if (sees_none) std::fill(weights + range_.begin, weights + end, 0.0f);
  if (!sees_none && divisor != 1.0f) DivideRow(weights + range_.begin, end - range_.begin, divisor);
  ReturnWeights({.settings = settings_,
                 .sequence = sequence_,
                 .head = tile_.Head(row),
                 .query = tile_.Query(row),
                 .weights = weights,
                 .mean_weights = mean_weights_ == nullptr
                                     ? nullptr
                                     : mean_weights_ + (row % tile_.queries) * sequence_.kv_len,
                 .visible = given_ ? nullptr : &visible_[row],
                 .value_row = row_,
                 .v_head_dim = products_.widths().v_head_dim});
}

float* AttentionTile::WholeRow(int64_t row) const {
  if (whole_rows_ != nullptr) return whole_rows_ + row * sequence_.kv_len;
  return reinterpret_cast<float*>(sequence_.results.attention_weights) +
         ResultRow(row) * sequence_.kv_len;
}

float* AttentionTile::SumsOf(int64_t row, int64_t panel) const {
  if (head_ == nullptr) return sums_ + row * sum_stride_ + panel * kPanelWidth;
  return sums_ + panel * kPanelWidth * product_rows_ + row * products_.PanelWidth(panel);
}

}  // namespace attention
