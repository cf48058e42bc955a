#include "kernels/products/few_rows_product.h"

#include "absl/strings/match.h"
#include "kernels/onednn/onednn_info.h"

// This file uses plain intrinsics instead of Highway, because it needs one instruction set only and
// Highway 1.0 has no products of bfloat16.
#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "kernels/memory/panel_layout.h"

namespace attention {
namespace {

#define ATTENTION_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

// A unit is what one instruction multiplies in one lane: one float32 number or two bfloat16
// numbers. One unit of depth is one unit of each row of x, and 4 cache lines of a panel.
constexpr int64_t kUnitBytes = 4;
constexpr int64_t kLines = 4, kLineBytes = 64, kLanes = 16;
static_assert(kLines * kLanes == kPanelWidth);

// The rows whose sums fit into the 32 registers together with the lines of a unit.
constexpr int64_t kRowsOfPass = 6;
constexpr int64_t kMostPasses = (kFewRows + kRowsOfPass - 1) / kRowsOfPass;

// All passes process this number of units before any of them goes on, so that 16 KiB of a panel
// stay in the L1 cache meanwhile.
constexpr int64_t kUnitsOfBlock = 64;
// How far ahead lines are prefetched into the L2 cache. Twice as far is as good; a prefetch into
// the L1 cache is worse than none (README.md).
constexpr int64_t kBytesAhead = kUnitsOfBlock * kLines * kLineBytes;

struct Float32Product {
  ATTENTION_AVX512 static __m512 Add(__m512 x, __m512 b, __m512 sum) {
    return _mm512_fmadd_ps(x, b, sum);
  }
};

struct Bfloat16Product {
  ATTENTION_AVX512 static __m512 Add(__m512 x, __m512 b, __m512 sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(b), reinterpret_cast<__m512bh>(x));
  }
};

// Part of the work for a block of units: some rows, and some of the lines that are prefetched.
struct Pass {
  const char* x;
  int64_t x_stride;  // bytes from one row to the next
  const char* panel;
  int64_t units;
  int64_t line;  // the first line of a unit to be prefetched
  float* sums;
};
using PassFunction = void (*)(const Pass& pass);

template <class Product, int64_t kRows, int64_t kLinesAsked>
ATTENTION_AVX512 void RunPass(const Pass& pass) {
  __m512 sums[kRows][kLines];
#pragma GCC unroll 6
  for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < kLines; ++j) {
      sums[i][j] = _mm512_load_ps(pass.sums + i * kPanelWidth + j * kLanes);
    }
  }
  const char* x = pass.x;
  const char* panel = pass.panel;
  const char* ahead = panel + kBytesAhead + pass.line * kLineBytes;
  for (int64_t unit = 0; unit < pass.units; ++unit) {
    __m512 lines[kLines];
#pragma GCC unroll 4
    for (int64_t j = 0; j < kLines; ++j) lines[j] = _mm512_load_ps(panel + j * kLineBytes);
#pragma GCC unroll 4
    for (int64_t j = 0; j < kLinesAsked; ++j) _mm_prefetch(ahead + j * kLineBytes, _MM_HINT_T1);
#pragma GCC unroll 6
    for (int64_t i = 0; i < kRows; ++i) {
      float number;  // or two bfloat16 numbers
      std::memcpy(&number, x + i * pass.x_stride, kUnitBytes);
      const __m512 factor = _mm512_set1_ps(number);
#pragma GCC unroll 4
      for (int64_t j = 0; j < kLines; ++j) {
        sums[i][j] = Product::Add(factor, lines[j], sums[i][j]);
      }
    }
    x += kUnitBytes;
    panel += kLines * kLineBytes;
    ahead += kLines * kLineBytes;
  }
#pragma GCC unroll 6
  for (int64_t i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < kLines; ++j) {
      _mm512_store_ps(pass.sums + i * kPanelWidth + j * kLanes, sums[i][j]);
    }
  }
}

template <class Product, int64_t kLinesAsked>
PassFunction PassOf(int64_t rows) {
  constexpr PassFunction kByRows[] = {
      RunPass<Product, 1, kLinesAsked>, RunPass<Product, 2, kLinesAsked>,
      RunPass<Product, 3, kLinesAsked>, RunPass<Product, 4, kLinesAsked>,
      RunPass<Product, 5, kLinesAsked>, RunPass<Product, 6, kLinesAsked>};
  static_assert(std::size(kByRows) == kRowsOfPass);
  return kByRows[rows - 1];
}

// Cuts the rows into as few passes as can hold them, of nearly equal sizes. The passes also share
// the prefetches of a unit's lines.
template <class Product>
class Passes {
 public:
  explicit Passes(int64_t rows) : count_((rows + kRowsOfPass - 1) / kRowsOfPass) {
    for (int64_t p = 0; p < count_; ++p) {
      first_row_[p] = rows * p / count_;
      line_[p] = kLines * p / count_;
      const int64_t end_row = rows * (p + 1) / count_, end_line = kLines * (p + 1) / count_;
      const int64_t lines = end_line - line_[p], rows_of_pass = end_row - first_row_[p];
      run_[p] = lines == 1   ? PassOf<Product, 1>(rows_of_pass)
                : lines == 2 ? PassOf<Product, 2>(rows_of_pass)
                             : PassOf<Product, kLines>(rows_of_pass);
    }
  }

  // Adds the products of `units` units of depth to `sums`.
  void Run(const char* x, int64_t x_stride, const char* panel, int64_t units, float* sums) const {
    for (int64_t p = 0; p < count_; ++p) {
      run_[p]({.x = x + first_row_[p] * x_stride,
               .x_stride = x_stride,
               .panel = panel,
               .units = units,
               .line = line_[p],
               .sums = sums + first_row_[p] * kPanelWidth});
    }
  }

 private:
  int64_t count_;
  int64_t first_row_[kMostPasses] = {};
  int64_t line_[kMostPasses] = {};
  PassFunction run_[kMostPasses] = {};
};

// sums = the products of a run: x [rows, depth], its rows `stride` bytes apart.
template <class Product, int64_t kNumbersOfUnit>
void MultiplyRun(const Passes<Product>& passes, const char* x, int64_t stride, int64_t rows,
                 int64_t depth, const char* panel, float* sums) {
  std::fill_n(sums, rows * kPanelWidth, 0.0f);
  const int64_t units = depth / kNumbersOfUnit;
  for (int64_t unit = 0; unit < units; unit += kUnitsOfBlock) {
    passes.Run(x + unit * kUnitBytes, stride, panel + unit * kLines * kLineBytes,
               std::min(kUnitsOfBlock, units - unit), sums);
  }
  const int64_t rest = (depth - units * kNumbersOfUnit) * kUnitBytes / kNumbersOfUnit;
  if (rest == 0) return;
  char last[kFewRows * kUnitBytes] = {};  // half a unit of each row, filled up with 0
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(last + i * kUnitBytes, x + i * stride + units * kUnitBytes, rest);
  }
  passes.Run(last, kUnitBytes, panel + units * kLines * kLineBytes, 1, sums);
}

template <class Product, int64_t kNumbersOfUnit>
void Multiply(const char* x, int64_t rows, int64_t depth, int64_t run, const char* panel,
              float* sums) {
  constexpr int64_t kNumberBytes = kUnitBytes / kNumbersOfUnit;
  const Passes<Product> passes(rows);
  alignas(kLineBytes) float sums_of_run[kFewRows * kPanelWidth];
  for (int64_t k = 0; k < depth; k += run) {
    MultiplyRun<Product, kNumbersOfUnit>(
        passes, x + k * kNumberBytes, depth * kNumberBytes, rows, std::min(run, depth - k),
        panel + k * kPanelWidth * kNumberBytes, k == 0 ? sums : sums_of_run);
    if (k == 0) continue;
    for (int64_t i = 0; i < rows * kPanelWidth; ++i) sums[i] += sums_of_run[i];
  }
}

}  // namespace

bool HasFewRowsProduct() { return absl::StartsWith(OnednnIsa(), "avx512"); }

void MultiplyFewRows(const void* x, int64_t rows, int64_t depth, DataType operand, int64_t run,
                     const void* panel, float* sums) {
  const auto multiply =
      operand == DataType::kBfloat16 ? Multiply<Bfloat16Product, 2> : Multiply<Float32Product, 1>;
  multiply(static_cast<const char*>(x), rows, depth, run, static_cast<const char*>(panel), sums);
}

ATTENTION_AVX512 void RoundSumsToBfloat16(const float* x, int64_t count, uint16_t* to) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(x + i));
    std::memcpy(to + i, &rounded, sizeof(rounded));
  }
}

}  // namespace attention

#else

namespace attention {

bool HasFewRowsProduct() { return false; }
void MultiplyFewRows(const void*, int64_t, int64_t, DataType, int64_t, const void*, float*) {}
void RoundSumsToBfloat16(const float*, int64_t, uint16_t*) {}

}  // namespace attention

#endif
