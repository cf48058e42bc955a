#ifndef ATTENTION_KERNELS_ATTENTION_ATTENTION_PRODUCTS_H_
#define ATTENTION_KERNELS_ATTENTION_ATTENTION_PRODUCTS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/attention/packed_heads.h"
#include "kernels/onednn/onednn_matmul.h"

namespace attention {

// A block of consecutive keys that one product takes. `first` is a multiple of 64.
struct KeyBlock {
  int64_t first = 0;
  int64_t keys = 0;    // one of AttentionProducts::kKeyTiles, or where keys are read in place a
                       // multiple of 32
  int64_t count = 0;   // how many of `keys` exist; the others are padding
  int64_t stride = 0;  // of the scores: numbers from one query row to the next
};

// The compiled products of attention for one pair of widths:
//
//   scores   S [rows, keys] = Q [rows, head_dim] K^T
//   combine  Y [rows, 64] = P [rows, keys] V or Y += P V, a panel of value columns at a time
//
// They are compiled for a few numbers of rows and of keys, so that the same small set covers all
// lengths. Thread-safe.
class AttentionProducts {
 public:
  // Rows that a product computes, including rows of padding.
  static constexpr std::array<int64_t, 2> kRowTiles = {16, 64};
  // Keys that a product takes. The larger tiles run at oneDNN's ceiling. The smaller ones save
  // padding in short rests and on the diagonal of causal attention. The largest covers whole rows
  // of 1024 keys, so that their sums are written once.
  static constexpr std::array<int64_t, 10> kKeyTiles = {32,  64,  128, 192, 256,
                                                        320, 384, 448, 512, 1024};

  // INVALID_ARGUMENT or INTERNAL as OnednnMatmul::Create.
  static absl::StatusOr<AttentionProducts> Create(const PackedHead::Widths& widths);

  const PackedHead::Widths& widths() const { return widths_; }
  int64_t value_panels() const { return value_panels_; }
  // Columns of value panel `panel`.
  int64_t PanelWidth(int64_t panel) const;
  // The most keys that one block takes, such that its packed keys and values stay in the L2 cache.
  int64_t most_keys() const { return most_keys_; }

  // The rows of the product that computes `rows` rows, 1 to 64.
  static int64_t RowsFor(int64_t rows) {
    return rows <= kRowTiles[0] ? kRowTiles[0] : kRowTiles[1];
  }

  // The block that begins at key `first`, where keys up to `end` are wanted and kv_len keys exist.
  KeyBlock Block(int64_t first, int64_t end, int64_t kv_len) const;

  // q [RowsFor(rows), head_dim] in operand form; scores [RowsFor(rows), block.keys].
  void Scores(int64_t rows, const KeyBlock& block, const void* q, const PackedHead& head,
              float* scores) const;
  // weights [RowsFor(rows), block.keys] in operand form; sums: for each panel [RowsFor(rows),
  // PanelWidth(panel)], the panels 64 * RowsFor(rows) floats apart. The sums are replaced, or added
  // to if `accumulate`.
  void Combine(int64_t rows, const KeyBlock& block, const void* weights, const PackedHead& head,
               bool accumulate, float* sums) const;

 private:
  explicit AttentionProducts(const PackedHead::Widths& widths);
  absl::Status Compile();

  PackedHead::Widths widths_;
  int64_t value_panels_;
  int64_t most_keys_;
  // Indexed by row tile, then key tile; the products that combine are indexed by `accumulate`
  // first.
  std::vector<OnednnMatmul> scores_;
  std::array<std::vector<OnednnMatmul>, 2> combine_;       // panels of 64 columns, if there are any
  std::array<std::vector<OnednnMatmul>, 2> combine_last_;  // the last panel, if it is narrower
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ATTENTION_PRODUCTS_H_
