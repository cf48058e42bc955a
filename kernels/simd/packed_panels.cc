#include "kernels/simd/packed_panels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/packed_panels.cc"
#include <hwy/foreach_target.h>
// Highway wants this order: its other headers must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/simd/typed_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attention {
namespace HWY_NAMESPACE {

HWY_INLINE FloatVec Rounded(FloatVec x, bool round) {
  if (!round) return x;
  const UintTag du;
  return hn::BitCast(FloatTag(), hn::And(Bfloat16InUpperHalf(x), hn::Set(du, 0xFFFF0000u)));
}

// Two bfloat16 numbers in each lane: `first` in the lower half, `second` in the upper. Both were
// loaded from T.
template <typename T>
HWY_INLINE UintVec Pair(FloatVec first, FloatVec second) {
  const UintTag du;
  return hn::OrAnd(hn::ShiftRight<16>(AsBfloat16InUpperHalf<T>(first)),
                   AsBfloat16InUpperHalf<T>(second), hn::Set(du, 0xFFFF0000u));
}

// Rows are staged in 32-bit words, each a float32 or two neighbouring bfloat16 numbers.
constexpr int64_t kStageWords = 64;

// words[i][w] = word first + w of row i, for kStageWords words. Rows that do not exist, and numbers
// beyond the width, become 0.
template <typename T>
void StageRows(const T* data, const RowsView& rows, OperandFormat format, int64_t first,
               uint32_t* words) {
  const UintTag du;
  const int64_t lanes = hn::Lanes(du);
  const int64_t present = std::min(rows.count, kPanelWidth);
  for (int64_t i = 0; i < present; ++i, words += kStageWords) {
    const T* const row = data + i * rows.stride;
    if (format.operand == DataType::kFloat32) {
      for (int64_t w = 0; w < kStageWords; w += lanes) {
        const FloatVec x = LoadColumns(row, first + w, rows.width);
        hn::Store(hn::BitCast(du, Rounded(x, format.round_to_bfloat16)), du, words + w);
      }
      continue;
    }
    auto* const halves = reinterpret_cast<uint16_t*>(words);
    for (int64_t h = 0; h < 2 * kStageWords; h += lanes) {
      const UintVec upper = AsBfloat16InUpperHalf<T>(LoadColumns(row, 2 * first + h, rows.width));
      hn::StoreU(hn::TruncateTo(HalfwordTag(), hn::ShiftRight<16>(upper)), HalfwordTag(),
                 halves + h);
    }
  }
  std::fill(words, words + (kPanelWidth - present) * kStageWords, 0u);
}

// Block b of the result holds 4 words of row 4b + j. The rows begin at `words`, are `stride` bytes
// apart and may be unaligned.
template <class D>
HWY_INLINE hn::Vec<D> LoadEveryFourthRow(D d, const char* words, int64_t stride, int64_t j) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, reinterpret_cast<const uint32_t*>(words + j * stride));
  } else {
    const hn::Half<D> half;
    const char* const upper = words + hn::Lanes(half) * stride;
    return hn::Combine(d, LoadEveryFourthRow(half, upper, stride, j),
                       LoadEveryFourthRow(half, words, stride, j));
  }
}

// panel[w][i] = word w of row i for `count` words, a multiple of 4, of 64 rows, `stride` bytes
// apart.
void TransposeWords(const char* rows, int64_t stride, int64_t count, uint32_t* panel) {
  const UintTag du;
  const hn::Repartition<uint64_t, UintTag> du64;
  const int64_t lanes = hn::Lanes(du);
  const auto as64 = [&](UintVec v) { return hn::BitCast(du64, v); };
  // One vector of rows at a time, so that their cache lines are used up before others evict them.
  for (int64_t i = 0; i < kPanelWidth; i += lanes) {
    for (int64_t w = 0; w < count; w += 4) {
      const char* const from = rows + i * stride + w * 4;
      const auto load = [&](int64_t j) HWY_ATTR { return LoadEveryFourthRow(du, from, stride, j); };
      const UintVec a = load(0), b = load(1), c = load(2), e = load(3);
      const auto ab01 = as64(hn::InterleaveLower(du, a, b));
      const auto ab23 = as64(hn::InterleaveUpper(du, a, b));
      const auto ce01 = as64(hn::InterleaveLower(du, c, e));
      const auto ce23 = as64(hn::InterleaveUpper(du, c, e));
      uint32_t* const to = panel + w * kPanelWidth + i;
      const auto store = [&](auto v, int64_t row) {
        hn::Store(hn::BitCast(du, v), du, to + row * kPanelWidth);
      };
      store(hn::InterleaveLower(du64, ab01, ce01), 0);
      store(hn::InterleaveUpper(du64, ab01, ce01), 1);
      store(hn::InterleaveLower(du64, ab23, ce23), 2);
      store(hn::InterleaveUpper(du64, ab23, ce23), 3);
    }
  }
}

// Whether the rows fill a panel and their numbers are operands without conversion.
bool AreOperands(const RowsView& rows, OperandFormat format) {
  const int64_t unit = format.operand == DataType::kBfloat16 ? 32 : 16;
  return rows.type == format.operand && !format.round_to_bfloat16 && rows.count == kPanelWidth &&
         rows.width % unit == 0;
}

void PackTransposedPanel(const RowsView& rows, OperandFormat format, void* panel) {
  const int64_t all = PackedPanelBytes(rows.width, format.operand) / (kPanelWidth * 4);
  if (AreOperands(rows, format)) {
    TransposeWords(static_cast<const char*>(rows.data), rows.stride * ByteSize(rows.type), all,
                   static_cast<uint32_t*>(panel));
    return;
  }
  HWY_ALIGN uint32_t words[kPanelWidth * kStageWords];  // 16 KiB, which stay in the L1 cache
  for (int64_t first = 0; first < all; first += kStageWords) {
    WithType(rows, [&](const auto* data) { StageRows(data, rows, format, first, words); });
    TransposeWords(reinterpret_cast<const char*>(words), kStageWords * 4,
                   std::min(kStageWords, all - first),
                   static_cast<uint32_t*>(panel) + first * kPanelWidth);
  }
}

// Keeps, by lane, the bits of the largest magnitude seen. By their bits, infinities and NaNs are
// larger than all numbers.
class LargestMagnitude {
 public:
  HWY_INLINE LargestMagnitude() : largest_(hn::Zero(UintTag())) {}
  HWY_INLINE FloatVec See(FloatVec x) {
    largest_ = hn::Max(largest_, hn::BitCast(UintTag(), hn::Abs(x)));
    return x;
  }
  // Whether any was an infinity or a NaN, or becomes one when it is rounded to bfloat16.
  bool NonFinite(bool round_to_bfloat16) const {
    const IntTag di;
    const auto most = hn::Set(di, round_to_bfloat16 ? 0x7F7F7FFF : 0x7F7FFFFF);
    return !hn::AllFalse(di, hn::Gt(hn::BitCast(di, largest_), most));
  }

 private:
  UintVec largest_;
};

// These two functions return whether all numbers are finite after they are rounded as `format`
// says.
template <typename T>
bool PackFloatRows(const T* data, const RowsView& rows, OperandFormat format, int64_t padded_count,
                   float* to, int64_t panel_floats) {
  const FloatTag d;
  LargestMagnitude largest;
  const int64_t lanes = hn::Lanes(d);
  for (int64_t i = 0; i < padded_count; ++i, to += kPanelWidth) {
    const bool present = i < rows.count;
    const T* const row = present ? data + i * rows.stride : data;
    float* panel = to;
    for (int64_t column = 0; column < rows.width; panel += panel_floats) {
      for (int64_t c = 0; c < kPanelWidth; c += lanes, column += lanes) {
        const FloatVec x = present ? LoadColumns(row, column, rows.width) : hn::Zero(d);
        hn::Store(Rounded(largest.See(x), format.round_to_bfloat16), d, panel + c);
      }
    }
  }
  return !largest.NonFinite(format.round_to_bfloat16);
}

template <typename T>
bool PackBfloat16Rows(const T* data, const RowsView& rows, RowPairs pairs, int64_t padded_count,
                      uint32_t* to, int64_t panel_words) {
  const UintTag du;
  LargestMagnitude largest;
  const int64_t lanes = hn::Lanes(du);
  const auto load = [&](int64_t i, int64_t column) HWY_ATTR {
    if (i >= rows.count) return hn::Zero(FloatTag());
    return LoadColumns(data + i * rows.stride, column, rows.width);
  };
  for (int64_t block = 0; block < padded_count; block += 32) {
    for (int64_t i = 0; i < 16; ++i, to += kPanelWidth) {
      const bool neighbours = pairs == RowPairs::kNeighbours;
      const int64_t first = block + (neighbours ? 2 * i : i);
      const int64_t second = first + (neighbours ? 1 : 16);
      uint32_t* panel = to;
      for (int64_t column = 0; column < rows.width; panel += panel_words) {
        for (int64_t c = 0; c < kPanelWidth; c += lanes, column += lanes) {
          const FloatVec upper = largest.See(load(first, column));
          const FloatVec lower = largest.See(load(second, column));
          hn::Store(Pair<T>(upper, lower), du, panel + c);
        }
      }
    }
  }
  return !largest.NonFinite(true);
}

bool PackRows(const RowsView& rows, OperandFormat format, RowPairs pairs, int64_t first_row,
              int64_t padded_count, int64_t panel_bytes, void* panels) {
  char* const to = static_cast<char*>(panels) + first_row * kPanelWidth * ByteSize(format.operand);
  bool finite = true;
  WithType(rows, [&](const auto* data) {
    finite = format.operand == DataType::kFloat32
                 ? PackFloatRows(data, rows, format, padded_count, reinterpret_cast<float*>(to),
                                 panel_bytes / 4)
                 : PackBfloat16Rows(data, rows, pairs, padded_count,
                                    reinterpret_cast<uint32_t*>(to), panel_bytes / 4);
  });
  return finite;
}

uint64_t NonFiniteRows(const RowsView& rows, OperandFormat format) {
  const bool rounds = format.operand == DataType::kBfloat16 || format.round_to_bfloat16;
  uint64_t found = 0;
  WithType(rows, [&](const auto* data) {
    for (int64_t i = 0; i < rows.count; ++i) {
      LargestMagnitude largest;
      const auto* const row = data + i * rows.stride;
      for (int64_t column = 0; column < rows.width;
           column += static_cast<int64_t>(hn::Lanes(FloatTag()))) {
        largest.See(LoadColumns(row, column, rows.width));
      }
      if (largest.NonFinite(rounds)) found |= uint64_t{1} << i;
    }
  });
  return found;
}

}  // namespace HWY_NAMESPACE
}  // namespace attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attention {

HWY_EXPORT(PackTransposedPanel);
HWY_EXPORT(PackRows);
HWY_EXPORT(NonFiniteRows);

void PackTransposedPanel(const RowsView& b_transposed, OperandFormat format, void* panel) {
  HWY_DYNAMIC_DISPATCH(PackTransposedPanel)(b_transposed, format, panel);
}

bool PackRows(const RowsView& b, OperandFormat format, RowPairs pairs, int64_t first_row,
              int64_t padded_count, int64_t panel_bytes, void* panels) {
  return HWY_DYNAMIC_DISPATCH(PackRows)(b, format, pairs, first_row, padded_count, panel_bytes,
                                        panels);
}

uint64_t NonFiniteRows(const RowsView& rows, OperandFormat format) {
  return HWY_DYNAMIC_DISPATCH(NonFiniteRows)(rows, format);
}

}  // namespace attention
#endif
