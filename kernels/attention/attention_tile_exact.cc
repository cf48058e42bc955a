// The part of a tile for numbers that are very large, very small, or cancel: it recomputes the
// output in double precision, and bounds the rounding errors of sums.
//
// The products of a tile use weights that are not yet divided: from e^-87 to e^16 under softmax, of
// any magnitude under kSum. So Y may overflow or vanish although the output does neither. This is
// detected in the output while it is written; the other functions for the output run only for rows
// where it is detected.
#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/attention/attention_tile.h"
#include "kernels/attention/rows/term_sizes.h"
#include "kernels/simd/convert.h"
#include "kernels/simd/tile_rows.h"

namespace attention {
namespace {

// Magnitudes are compared by their bits, which have the same order, with infinity and then NaN
// above all numbers. The compiler turns loops of such comparisons into vector instructions.
constexpr uint32_t kInfinityBits = 0x7F800000;

uint32_t SizeBits(float x) { return std::bit_cast<uint32_t>(x) & 0x7FFFFFFF; }

}  // namespace

// Under softmax the weights before their division add up to at least e^-16, so that Y is at least
// 2^-94 if the output is ordinary. Terms below float32's normal numbers, which products of bfloat16
// take for 0, do not matter then.
void AttentionTile::SuspectRows(int64_t first, int64_t count) {
  constexpr uint32_t kLeast = std::bit_cast<uint32_t>(kLeastOrdinary);
  for (int64_t row = first; row < first + count; ++row) {
    const float factor = factors_[row];
    uint32_t suspect = 0;
    ForEachPanel(row, [&](const float* sums, int64_t width) {
      for (int64_t d = 0; d < width; ++d) {
        const uint32_t size = SizeBits(sums[d] * factor);
        suspect |=
            static_cast<uint32_t>(size < kLeast) | static_cast<uint32_t>(size >= kInfinityBits);
      }
    });
    if (suspect != 0) suspects_ |= uint64_t{1} << row;
  }
}

void AttentionTile::CorrectOutput() {
  int64_t wrong[kExactRows], count = 0;
  for (int64_t row = 0; row < rows(); ++row) {
    if ((suspects_ >> row & 1) == 0 || !MayBeWrong(row)) continue;
    wrong[count++] = row;
    if (count == kExactRows) {
      CombineExactly({wrong, kExactRows});
      count = 0;
    }
  }
  if (count > 0) CombineExactly({wrong, static_cast<size_t>(count)});
}

bool AttentionTile::MayBeWrong(int64_t row) {
  const double sum = given_ ? 1 : states_[row].Sum();
  // Then some scores are not finite, or the row sees no key.
  if (!std::isfinite(sum) || sum == 0) return false;
  FindLargestValues(row);
  // The test looks at Y after its division, but under kSum, where sums may have any magnitude,
  // before. There Y is already divided, so it is multiplied by the sum again, which restores it
  // except for rounding.
  const bool before = !given_ && settings_.normalization == Normalization::kSum;
  const float factor = before ? static_cast<float>(sum) : factors_[row];
  const uint32_t least = std::bit_cast<uint32_t>(before ? 2 * kLeastSafeSum : kLeastOrdinary);
  uint32_t may_be = 0;
  for (int64_t panel = 0; panel < products_.value_panels(); ++panel) {
    const float* const sums = SumsOf(row, panel);
    const uint32_t* const largest = largest_ + panel * kPanelWidth;
    const int64_t width = products_.PanelWidth(panel);
    for (int64_t d = 0; d < width; ++d) {
      const uint32_t size = SizeBits(sums[d] * factor);
      const auto vanished = static_cast<uint32_t>(size < least && largest[d] > 0);
      const auto overflowed = static_cast<uint32_t>(size >= kInfinityBits);
      const auto sees_numbers = static_cast<uint32_t>(largest[d] < kInfinityBits);
      may_be |= (vanished | overflowed) & sees_numbers;
    }
  }
  return may_be != 0;
}

void AttentionTile::FindLargestValues(int64_t row) {
  const int64_t width = products_.widths().v_head_dim;
  KeyRange keys = given_ ? range_ : visible_[row].range();
  keys.end = std::min(keys.end, sequence_.kv_len);
  const bool extends = sequence_.mask.empty() && keys.begin == largest_keys_.begin &&
                       keys.end >= largest_keys_.end && !largest_keys_.empty();
  if (!extends) std::fill_n(largest_, width, 0u);
  for (int64_t key = extends ? largest_keys_.end : keys.begin; key < keys.end; ++key) {
    if (!Sees(row, key)) continue;
    const float* const value = LoadValue(key);
    for (int64_t d = 0; d < width; ++d) {
      largest_[d] = std::max(largest_[d], std::bit_cast<uint32_t>(value[d]) & 0x7FFFFFFF);
    }
  }
  largest_keys_ = keys;
}

void AttentionTile::CombineExactly(absl::Span<const int64_t> rows) {
  const int64_t width = products_.widths().v_head_dim;
  const auto sums = [&](size_t i) { return exact_ + i * 2 * width; };
  std::fill_n(exact_, rows.size() * 2 * width, 0.0);
  for (int64_t first = range_.begin; first < range_.end;) {
    const KeyBlock block = NextBlock(first, range_.end);
    if (!given_) ScoreBlock(block);
    for (const int64_t row : rows) WeighExactly(row, block);
    for (int64_t j = 0; j < block.count; ++j) {
      const float* const value = LoadValue(block.first + j);
      for (size_t i = 0; i < rows.size(); ++i) {
        if (!Sees(rows[i], block.first + j)) continue;
        const double weight = scores_[rows[i] * block.stride + j];
        double* const sum = sums(i);
        double* const size = sum + width;
        for (int64_t d = 0; d < width; ++d) {
          const double term = weight * value[d];
          sum[d] += term;
          size[d] += std::abs(term);
        }
      }
    }
    first = block.first + block.count;
  }
  for (size_t i = 0; i < rows.size(); ++i) ReplaceWrongOutput(rows[i], sums(i), sums(i) + width);
}

void AttentionTile::WeighExactly(int64_t row, const KeyBlock& block) {
  if (given_) return LoadGivenWeights(row, block);
  const bool softmax = settings_.normalization == Normalization::kSoftmax;
  float* const s = scores_ + row * block.stride;
  BiasRow(row, block, softmax ? -std::numeric_limits<float>::infinity() : 0.0f);
  const double sum = states_[row].Sum(), shift = states_[row].shift;
  for (int64_t j = 0; j < block.count; ++j) {
    if (!softmax) {
      s[j] = static_cast<float>(s[j] / sum);
      continue;
    }
    const double x = s[j] * ScaleLeft() - shift;
    // Below this the weights that are returned are 0.
    s[j] = x < -87 ? 0.0f : static_cast<float>(std::exp(x) / sum);
  }
}

// A number that is within the rounding errors of the tile's own products stays as it is. So a
// number that is nearly 0 because its terms cancel keeps its bits.
void AttentionTile::ReplaceWrongOutput(int64_t row, const double* sums, const double* sizes) {
  const KeyRange seen = given_ ? range_ : visible_[row].range();
  // The bound for a sum of n float32 products and for their weights, but not more than the error
  // that operator.md allows for an output.
  const double sum_error = 0x1p-24 * static_cast<double>(seen.end - seen.begin + 8);
  const double error = layout_.rounds_to_bfloat16 ? 0x1p-7 : std::min(sum_error, 0x1p-17);
  const MutableHeadsView& output = sequence_.results.output;
  std::byte* const to = output.Row(tile_.Head(row), tile_.Query(row));
  for (int64_t panel = 0; panel < products_.value_panels(); ++panel) {
    const float* const tile_sums = SumsOf(row, panel);
    for (int64_t i = 0; i < products_.PanelWidth(panel); ++i) {
      const int64_t d = panel * kPanelWidth + i;
      const double y = tile_sums[i] * factors_[row];
      if (std::abs(y - sums[d]) <= error * sizes[d] || std::isnan(sums[d])) continue;
      const auto exact = static_cast<float>(sums[d]);
      FromFloat32(&exact, 1, output.type, to + d * ByteSize(output.type));
    }
  }
}

// A term is rounded at most head_dim + 2 times: in the sum of the score that it is part of (Higham
// 2002, section 3.1), with the scale and with the bias. Each rounding has an error of at most 2^-24
// of the terms added up so far, or of 2^-149 below float32's normal numbers. The sum of the scores
// is in double precision.
double AttentionTile::RoundingError(double terms, int64_t keys) const {
  const double roundings = static_cast<double>(products_.widths().head_dim) + 2;
  const double least = 0x1p-150 * std::max(1.0, std::abs(static_cast<double>(settings_.scale)));
  return roundings * (0x1p-24 * terms + least * static_cast<double>(keys));
}

double AttentionTile::MostRoundingError(int64_t row) const {
  const double products = std::abs(static_cast<double>(settings_.scale)) * term_sizes_[row];
  // A bias is at most as large as the score and the product together. The result is doubled because
  // the magnitudes are added up in float32.
  return 2 * RoundingError(2 * products + states_[row].sizes, range_.end - range_.begin);
}

double AttentionTile::ExactRoundingError(int64_t row) {
  const int64_t dim = products_.widths().head_dim;
  const VisibleKeys& visible = visible_[row];
  const double scale = settings_.scale;
  const double slope = settings_.alibi_slopes.empty() ? 0 : settings_.alibi_slopes[tile_.Head(row)];
  const HeadsView& query = sequence_.query;
  ToFloat32(query.Row(tile_.Head(row), tile_.Query(row)), query.type, dim, query_);
  double terms = 0;
  int64_t keys = 0;
  for (int64_t key = visible.range().begin; key < visible.range().end; ++key) {
    if (!visible.Sees(key)) continue;
    ++keys;
    ToFloat32(sequence_.key.Row(kv_head(), key), sequence_.key.Type(key), dim, row_);
    for (int64_t d = 0; d < dim; ++d) terms += std::abs(scale * query_[d] * row_[d]);
    terms += std::abs(slope * static_cast<double>(visible.position() - key));
    if (visible.bias() != nullptr) terms += std::abs(static_cast<double>(visible.bias()[key]));
  }
  return RoundingError(terms, keys);
}

absl::Status AttentionTile::CheckSum(int64_t row, double sum) {
  if (!std::isfinite(sum)) return absl::OkStatus();  // the scores are not finite either
  if (std::abs(sum) > MostRoundingError(row)) return absl::OkStatus();
  const double error = ExactRoundingError(row);
  if (std::abs(sum) > error) return absl::OkStatus();
  const std::string is_zero = "normalization SUM wants a sum other than 0, or use SOFTMAX";
  const std::string is_noise =
      absl::StrCat("which is not above its rounding error of ", error,
                   "; normalization SUM wants scores that do not cancel, or use SOFTMAX");
  return absl::InvalidArgumentError(absl::StrCat(
      "the attention scores of query ", sequence_.Position(tile_.Query(row)), " in head ",
      tile_.Head(row), " sum to ", sum, sum == 0 ? "; " : ", ", sum == 0 ? is_zero : is_noise));
}

}  // namespace attention
