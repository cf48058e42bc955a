#include "kernels/attention/attention_tile.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/attention/rows/score_rows.h"
#include "kernels/attention/rows/term_sizes.h"
#include "kernels/attention/tile_results.h"
#include "kernels/simd/convert.h"
#include "kernels/simd/tile_rows.h"

namespace attention {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// The place of key `j` of a block among weights interleaved as RowPairs::kSixteenApart.
constexpr int64_t InterleavedPlace(int64_t j) { return j / 32 * 32 + j % 16 * 2 + j % 32 / 16; }

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

AttentionTile::AttentionTile(const Task& task, const Layout& layout)
    : products_(task.products),
      settings_(task.settings),
      sequence_(task.sequence),
      tile_(task.rows),
      layout_(layout),
      mean_weights_(task.mean_weights),
      bfloat16_(layout.format.operand == DataType::kBfloat16),
      only_key_ranges_(settings_.softcap == 0 && sequence_.mask.empty() &&
                       settings_.alibi_slopes.empty() && settings_.scale > 0 &&
                       settings_.normalization == Normalization::kSoftmax) {}

int64_t AttentionTile::LayOut(float* workspace) {
  const PackedHead::Widths& widths = products_.widths();
  const int64_t product_rows = layout_.product_rows;
  Cursor cursor(workspace);
  visible_ = cursor.TakeArray<VisibleKeys>(rows());
  states_ = cursor.TakeArray<RowState>(rows());
  factors_ = cursor.Take(rows());
  queries_ = cursor.Take(product_rows * RoundUp(widths.head_dim, 16));
  scores_ = cursor.Take(product_rows * layout_.block_keys);
  weights16_ = bfloat16_ ? cursor.TakeArray<uint16_t>(product_rows * layout_.block_keys) : nullptr;
  sums_ = cursor.Take(SumsSize());
  row_ =
      cursor.Take(std::max({widths.head_dim, RoundUp(widths.v_head_dim, 16), layout_.block_keys}));
  const AttentionResults& results = sequence_.results;
  const bool aligned = reinterpret_cast<uintptr_t>(results.attention_weights) % alignof(float) == 0;
  const bool in_results = results.attention_weights != nullptr && !settings_.average_weights &&
                          results.type == DataType::kFloat32 && aligned;
  whole_rows_ =
      results.NeedWholeRows() && !in_results ? cursor.Take(rows() * sequence_.kv_len) : nullptr;
  if (settings_.normalization == Normalization::kSum) {
    query_ = cursor.Take(widths.head_dim);
    key_sizes_ = cursor.Take(widths.head_dim);
    term_sizes_ = cursor.Take(rows());
  }
  if (wants_output()) {
    largest_ = cursor.TakeArray<uint32_t>(widths.v_head_dim);
    exact_ = cursor.TakeArray<double>(kExactRows * 2 * widths.v_head_dim);
  }
  return cursor.used();
}

absl::Status AttentionTile::Run() {
  LoadQueries();
  ClearRows();
  const bool wants_scores = sequence_.results.attention_scores != nullptr;
  int64_t end = range_.begin;  // the end of the blocks that are done
  while (end < range_.end) {
    const KeyBlock block = NextBlock(end, range_.end);
    ScoreBlock(block);
    if (wants_scores) ReturnScores(block, block.first);
    end = block.first + block.count;
    if (!sequence_.results.NeedWeights()) continue;
    if (key_sizes_ != nullptr) AddKeySizes(block);
    WeighBlock(block);
    KeepWholeRows(block);
    if (wants_output()) CombineBlock(block);
  }
  if (wants_scores) ReturnUnseenScores(end);
  return sequence_.results.NeedWeights() ? FinishRows() : absl::OkStatus();
}

void AttentionTile::Combine(const HeadsView& attention_weights) {
  given_ = normalized_ = true;
  given_weights_ = attention_weights;
  ClearRows();
  range_ = {0, sequence_.kv_len};
  if (range_.empty()) ClearSums();
  for (int64_t first = 0; first < sequence_.kv_len;) {
    const KeyBlock block = NextBlock(first, sequence_.kv_len);
    for (int64_t r = 0; r < rows(); ++r) LoadGivenWeights(r, block);
    KeepWholeRows(block);
    if (wants_output()) CombineBlock(block);
    first += block.keys;
  }
  for (int64_t r = 0; r < rows(); ++r) {
    factors_[r] = 1.0f;
    ReturnWholeRow(r);
  }
  if (wants_output()) ReturnOutput();
}

void AttentionTile::LoadGivenWeights(int64_t row, const KeyBlock& block) {
  const std::byte* const from =
      given_weights_.Row(tile_.Head(row), sequence_.Position(tile_.Query(row))) +
      block.first * ByteSize(given_weights_.type);
  float* const to = scores_ + row * block.stride;
  ToFloat32(from, given_weights_.type, block.count, to);
  std::fill(to + block.count, to + block.keys, 0.0f);
}

void AttentionTile::LoadQueries() {
  const int64_t dim = products_.widths().head_dim, stride = layout_.query_stride;
  const int64_t row_bytes = stride * ByteSize(layout_.format.operand);
  const HeadsView& query = sequence_.query;
  char* to = static_cast<char*>(queries_);
  for (int64_t h = 0; h < tile_.heads; ++h, to += tile_.queries * row_bytes) {
    LoadRows(
        {query.Row(tile_.head + h, tile_.first), query.type, query.row_stride, tile_.queries, dim},
        layout_.format, stride, to);
  }
  std::fill_n(to, (layout_.product_rows - rows()) * row_bytes, char{0});
}

void AttentionTile::ClearRows() {
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  range_ = {kLast, 0};
  all_see_ = {0, kLast};
  const bool all_alike = !settings_.causal && settings_.left_window < 0 &&
                         settings_.right_window < 0 && settings_.alibi_slopes.empty() &&
                         sequence_.mask.empty();
  for (int64_t r = 0; r < rows(); ++r) {
    if (all_alike && r > 0) {
      new (visible_ + r) VisibleKeys(visible_[0]);
    } else {
      new (visible_ + r) VisibleKeys(settings_, sequence_, tile_.Head(r), tile_.Query(r));
    }
    const KeyRange seen = visible_[r].range();
    all_see_ = {std::max(all_see_.begin, seen.begin), std::min(all_see_.end, seen.end)};
    if (!seen.empty()) {
      range_ = {std::min(range_.begin, seen.begin), std::max(range_.end, seen.end)};
    }
    states_[r].Clear();
    if (!settings_.sinks.empty()) states_[r].AddSink(settings_.sinks[tile_.Head(r)]);
  }
  if (range_.empty()) range_ = {0, 0};
  range_.begin = range_.begin / kPanelWidth * kPanelWidth;
  if (key_sizes_ != nullptr) std::fill_n(key_sizes_, products_.widths().head_dim, 0.0f);
  has_sums_ = false;
  if (layout_.adds_from_zero || range_.empty()) ClearSums();
}

void AttentionTile::ClearSums() {
  std::fill_n(sums_, SumsSize(), 0.0f);
  has_sums_ = true;
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

// Scores before the bias are wanted for unseen keys too. With the bias they are -inf, and nothing
// is computed.
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

// Computes P = e^(S + bias - shift) and the sums of P, for a few rows at a time, so that their
// scores stay in the L1 cache.
void AttentionTile::WeighBlock(const KeyBlock& block) {
  const bool softmax = settings_.normalization == Normalization::kSoftmax;
  // All keys lie in one short block.
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

// "Score", "Cap" and "Bias" for one row. The scale is left out if only_key_ranges_ (ScaleLeft).
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

// The sums and weights of the row from keys before `end` were computed with another shift.
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

void AttentionTile::FindTermSizes() {
  const int64_t dim = products_.widths().head_dim;
  std::fill_n(term_sizes_, rows(), 0.0f);
  AddRowSizes({queries_, DataType::kFloat32, layout_.query_stride, rows(), dim}, key_sizes_,
              term_sizes_);
}

double AttentionTile::SumOfSink(int64_t row) const {
  if (settings_.sinks.empty()) return 0;
  RowState state;
  state.Clear();
  state.AddSink(settings_.sinks[tile_.Head(row)]);
  return state.Sum();
}

absl::Status AttentionTile::FinishRows() {
  if (key_sizes_ != nullptr) FindTermSizes();
  for (int64_t r = 0; r < rows(); ++r) {
    const double sum = states_[r].Sum();
    // The mask is searched only if no key has changed the sum.
    const bool sees_none = sum == SumOfSink(r) && !visible_[r].SeesAny();
    if (!sees_none && settings_.normalization == Normalization::kSum) {
      if (absl::Status status = CheckSum(r, sum); !status.ok()) return status;
    }
    if (sequence_.results.log_sum_exp != nullptr) {
      sequence_.results.log_sum_exp[ResultRow(r)] =
          sees_none ? kNothing : static_cast<float>(states_[r].shift + std::log(sum));
    }
    Normalize(r, normalized_ && sum != 0 ? 1.0 : sum, sees_none);
  }
  if (wants_output()) ReturnOutput();
  return absl::OkStatus();
}

// Divides the weights of a row by their sum, or sets them to 0 if the row sees no key. Y itself is
// divided when it is written, except under kSum, where the inverse of a sum may overflow.
void AttentionTile::Normalize(int64_t row, double sum, bool sees_none) {
  const auto divisor = static_cast<float>(sum);
  const bool beyond_float32 = std::isinf(divisor) && std::isfinite(sum);
  const auto divide = [&](float* numbers, int64_t count) {
    if (!beyond_float32) return DivideRow(numbers, count, divisor);
    for (float* x = numbers; x < numbers + count; ++x) *x = static_cast<float>(*x / sum);
  };
  factors_[row] = 1.0f;
  if (wants_output() && sees_none) {
    ForEachPanel(row, [](float* sums, int64_t width) { std::fill_n(sums, width, 0.0f); });
  } else if (settings_.normalization == Normalization::kSoftmax) {
    factors_[row] = static_cast<float>(1.0 / sum);
  } else if (wants_output()) {
    ForEachPanel(row, [&](float* sums, int64_t width) {
      // This check must come before the division, because a quotient may be ordinary although its
      // dividend was not.
      if (!AreSafeSums(sums, width)) suspects_ |= uint64_t{1} << row;
      divide(sums, width);
    });
  }
  if (!sequence_.results.NeedWholeRows()) return;
  float* const weights = WholeRow(row);
  const int64_t end = std::min(range_.end, sequence_.kv_len);
  std::fill(weights, weights + range_.begin, 0.0f);
  std::fill(weights + end, weights + sequence_.kv_len, 0.0f);
  if (sees_none) std::fill(weights + range_.begin, weights + end, 0.0f);
  if (!sees_none && divisor != 1.0f) divide(weights + range_.begin, end - range_.begin);
  ReturnWholeRow(row);
}

void AttentionTile::ReturnWholeRow(int64_t row) {
  if (!sequence_.results.NeedWholeRows()) return;
  ReturnWeights({.settings = settings_,
                 .sequence = sequence_,
                 .head = tile_.Head(row),
                 .query = tile_.Query(row),
                 .weights = WholeRow(row),
                 .mean_weights = mean_weights_ == nullptr
                                     ? nullptr
                                     : mean_weights_ + (row % tile_.queries) * sequence_.kv_len,
                 .visible = given_ ? nullptr : &visible_[row],
                 .value_row = row_,
                 .v_head_dim = products_.widths().v_head_dim});
}

// Writes Y, times factors_.
void AttentionTile::ReturnOutput() {
  const MutableHeadsView& output = sequence_.results.output;
  for (int64_t h = 0; h < tile_.heads; ++h) {
    std::byte* const to = output.Row(tile_.head + h, tile_.first);
    const int64_t row = h * tile_.queries;
    bool ordinary = true;
    for (int64_t panel = 0; panel < products_.value_panels(); ++panel) {
      const int64_t width = products_.PanelWidth(panel);
      ordinary &= StoreScaledRows(SumsOf(row, panel), SumStride(panel), factors_ + row,
                                  {to + panel * kPanelWidth * ByteSize(output.type), output.type,
                                   output.row_stride, tile_.queries, width});
    }
    if (!ordinary) SuspectRows(row, tile_.queries);
  }
  if (suspects_ != 0) CorrectOutput();
}

float* AttentionTile::WholeRow(int64_t row) const {
  if (whole_rows_ != nullptr) return whole_rows_ + row * sequence_.kv_len;
  return reinterpret_cast<float*>(sequence_.results.attention_weights) +
         ResultRow(row) * sequence_.kv_len;
}

int64_t AttentionTile::SumsSize() const {
  return layout_.product_rows * RoundUp(products_.widths().v_head_dim, kPanelWidth);
}

int64_t AttentionTile::SumStride(int64_t panel) const {
  return layout_.sum_stride != 0 ? layout_.sum_stride : products_.PanelWidth(panel);
}

float* AttentionTile::SumsOf(int64_t row, int64_t panel) const {
  return sums_ + panel * layout_.panel_stride + row * SumStride(panel);
}

}  // namespace attention
