#include "kernels/attention/attention_tile.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "absl/strings/str_cat.h"
#include "kernels/attention/rows/score_rows.h"
#include "kernels/attention/rows/term_sizes.h"
#include "kernels/attention/tile_results.h"
#include "kernels/simd/convert.h"
#include "kernels/simd/tile_rows.h"

namespace attention {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// Keys of one block where keys and values are read in place.
constexpr int64_t kStreamedKeys = 512;

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
      bfloat16_(head != nullptr && products.widths().format.operand == DataType::kBfloat16),
      only_key_ranges_(settings.softcap == 0 && sequence.mask.empty() &&
                       settings.alibi_slopes.empty() && settings.scale > 0 &&
                       settings.normalization == Normalization::kSoftmax) {
  LayOut(workspace);
}

int64_t AttentionTile::LayOut(float* workspace) {
  const PackedHead::Widths& widths = products_.widths();
  product_rows_ = head_ == nullptr ? rows() : AttentionProducts::RowsFor(rows());
  sum_stride_ = RoundUp(widths.v_head_dim, 16);
  const int64_t block_keys = head_ == nullptr ? kStreamedKeys : products_.most_keys();
  Cursor cursor(workspace);
  visible_ = cursor.TakeArray<VisibleKeys>(rows());
  states_ = cursor.TakeArray<RowState>(rows());
  factors_ = cursor.Take(rows());
  queries_ = cursor.Take(product_rows_ * RoundUp(widths.head_dim, 16));
  scores_ = cursor.Take(product_rows_ * block_keys);
  weights16_ = bfloat16_ ? cursor.TakeArray<uint16_t>(product_rows_ * block_keys) : nullptr;
  sums_ = cursor.Take(product_rows_ * RoundUp(widths.v_head_dim, kPanelWidth));
  row_ = cursor.Take(std::max({widths.head_dim, sum_stride_, block_keys}));
  saved_sums_ = head_ == nullptr ? cursor.Take(rows() * sum_stride_) : nullptr;
  values_ = head_ == nullptr ? cursor.Take(kPanelWidth * widths.v_head_dim) : nullptr;
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

KeyBlock AttentionTile::NextBlock(int64_t first, int64_t end) const {
  if (head_ != nullptr) return products_.Block(first, end, sequence_.kv_len);
  const int64_t count = std::min(kStreamedKeys, std::min(end, sequence_.kv_len) - first);
  return {.first = first, .keys = RoundUp(count, 32), .count = count, .stride = kStreamedKeys};
}

void AttentionTile::LoadQueries() {
  const PackedHead::Widths& widths = products_.widths();
  const int64_t dim = widths.head_dim, stride = head_ == nullptr ? RoundUp(dim, 16) : dim;
  const OperandFormat format = head_ == nullptr ? OperandFormat{} : widths.format;
  const int64_t row_bytes = stride * ByteSize(format.operand);
  const HeadsView& query = sequence_.query;
  char* to = static_cast<char*>(queries_);
  for (int64_t h = 0; h < tile_.heads; ++h, to += tile_.queries * row_bytes) {
    LoadRows(
        {query.Row(tile_.head + h, tile_.first), query.type, query.row_stride, tile_.queries, dim},
        format, stride, to);
  }
  std::fill_n(to, (product_rows_ - rows()) * row_bytes, char{0});
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
  // The first packed block replaces what Y holds.
  has_sums_ = false;
  if (head_ == nullptr || range_.empty()) ClearSums();
}

void AttentionTile::ClearSums() {
  std::fill_n(sums_, product_rows_ * RoundUp(products_.widths().v_head_dim, kPanelWidth), 0.0f);
  has_sums_ = true;
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
    // The mask is searched only where no key has left a trace in the sum.
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

// Divides a row by the sum of its weights, or makes it zeros where it sees no key. Y itself is
// divided on its way out, but for kSum, whose sums may have no inverse.
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
      // Before the division, whose quotient may be ordinary where its dividend was not.
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

// Y times factors_.
void AttentionTile::ReturnOutput() {
  const MutableHeadsView& output = sequence_.results.output;
  for (int64_t h = 0; h < tile_.heads; ++h) {
    std::byte* const to = output.Row(tile_.head + h, tile_.first);
    const int64_t row = h * tile_.queries;
    bool ordinary = true;
    for (int64_t panel = 0; panel < products_.value_panels(); ++panel) {
      const int64_t width = products_.PanelWidth(panel);
      ordinary &= StoreScaledRows(SumsOf(row, panel), head_ == nullptr ? sum_stride_ : width,
                                  factors_ + row,
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

float* AttentionTile::SumsOf(int64_t row, int64_t panel) const {
  if (head_ == nullptr) return sums_ + row * sum_stride_ + panel * kPanelWidth;
  return sums_ + panel * kPanelWidth * product_rows_ + row * products_.PanelWidth(panel);
}

}  // namespace attention
