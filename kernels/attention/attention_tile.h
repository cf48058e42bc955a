#ifndef ATTENTION_KERNELS_ATTENTION_ATTENTION_TILE_H_
#define ATTENTION_KERNELS_ATTENTION_ATTENTION_TILE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/attention/attention_products.h"
#include "kernels/attention/row_tiles.h"
#include "kernels/attention/rows/softmax_rows.h"
#include "kernels/attention/visible_keys.h"
#include "kernels/memory/panel_layout.h"

namespace attention {

// Attention for the query rows of one tile, over all keys that any of them sees:
//
//   for each block of keys:  S = scale * Q K^T;  P = e^(S + bias - shift);  Y += P V;  sums += P
//   Y /= sums
//
// (online softmax; Milakov and Gimelshein 2018, Dao et al. 2022). If Y before its division may have
// overflowed or vanished in float32, the row is combined once more in double precision, with
// weights that are divided first (CorrectOutput). The blocks depend only on the tile's own rows and
// on the lengths of its sequence, not on which results are asked for, so that results always have
// the same bits.
//
// This class computes what lies between the two products. The two subclasses, PackedTile and
// InPlaceTile, decide where the keys and values come from and how the products read them. An object
// lives for one tile, on one thread.
class AttentionTile {
 public:
  // What a tile works on; all must outlive it.
  struct Task {
    const AttentionProducts& products;
    const AttentionSettings& settings;
    const AttentionSequence& sequence;
    RowTile rows;
    // [queries, kv_len], to which the weights are added with average_weights; otherwise null.
    float* mean_weights = nullptr;
  };

  AttentionTile(const AttentionTile&) = delete;
  AttentionTile& operator=(const AttentionTile&) = delete;
  virtual ~AttentionTile() = default;

  // INVALID_ARGUMENT if under kSum the sum of a row that sees keys is not larger than its rounding
  // error (AttentionOp::Run); the message names the first such row.
  absl::Status Run();

  // Y = P V with weights that are given, [num_heads, number of rows, kv_len].
  void Combine(const HeadsView& attention_weights);

 protected:
  // How the operands of the products lie in memory.
  struct Layout {
    int64_t product_rows = 0;  // rows that a product computes, with padding
    OperandFormat format;      // of queries and weights
    int64_t query_stride = 0;  // numbers from one query to the next
    int64_t block_keys = 0;    // keys of the largest block
    // Numbers from one row of a panel of Y to the next; 0: the panel's width.
    int64_t sum_stride = 0;
    int64_t panel_stride = 0;         // numbers from one panel of Y to the next
    bool adds_from_zero = false;      // the first block is added to Y too, which must be 0 before
    bool rounds_to_bfloat16 = false;  // weights and values are rounded, whatever type holds them
  };

  AttentionTile(const Task& task, const Layout& layout);

  // The functions below depend on the source of the keys.

  // The block that begins at `first`, a multiple of 64, where keys up to `end` are wanted.
  virtual KeyBlock NextBlock(int64_t first, int64_t end) const = 0;
  // S = Q K^T, to scores_.
  virtual void ScoreBlock(const KeyBlock& block) = 0;
  // Adds sum_j |K[j, d]| of the block to key_sizes_.
  virtual void AddKeySizes(const KeyBlock& block) = 0;
  // Y += P V. An infinity or a NaN among the values reaches the rows that see it, and no others.
  virtual void CombineBlock(const KeyBlock& block) = 0;

  int64_t rows() const { return tile_.rows(); }
  int64_t kv_head() const { return settings_.KvHead(tile_.head); }

  // Points the members below into `workspace`, or sets them to null if it is null. Returns the size
  // of the workspace in floats.
  int64_t LayOut(float* workspace);
  // Y = 0.
  void ClearSums();
  // Returns the weight of key `j` of the block, and sets it to 0.
  float TakeWeight(int64_t row, const KeyBlock& block, int64_t j);
  bool Sees(int64_t row, int64_t key) const { return given_ || visible_[row].Sees(key); }
  // Value `key` as float32; valid until the next use of row_.
  const float* LoadValue(int64_t key);
  void AddValue(int64_t row, float weight, const float* value);

  const AttentionProducts& products_;
  const AttentionSettings& settings_;
  const AttentionSequence& sequence_;
  const RowTile tile_;
  const Layout layout_;
  bool has_sums_ = false;  // Y holds the sums of the blocks so far

  // In the workspace.
  void* queries_ = nullptr;        // [product_rows, query_stride], in operand form
  float* scores_ = nullptr;        // [product_rows, block.stride]: S, later P
  uint16_t* weights16_ = nullptr;  // the same: P as bfloat16, interleaved
  float* sums_ = nullptr;          // Y, see SumsOf
  float* key_sizes_ = nullptr;     // [head_dim]: sum_j |K[j, d]|, for kSum

 private:
  // Rows that CombineExactly takes at a time. For each 8 rows all scores of the tile are computed
  // again, which takes less time than the sums of 8 rows in double precision.
  static constexpr int64_t kExactRows = 8;

  bool wants_output() const { return sequence_.results.output.data != nullptr; }

  void LoadQueries();
  void ClearRows();
  // "Score", "Cap" and "Bias" up to `stage` for one row of raw scores of a block; a hidden key gets
  // `hidden`.
  void ApplyStages(int64_t row, const KeyBlock& block, ScoreStage stage, float hidden,
                   float* s) const;
  // Writes the scores of a block, from key `from` on, to the results.
  void ReturnScores(const KeyBlock& block, int64_t from);
  // Writes the scores of the keys that no row of the tile sees to the results: those before range_
  // and those from `end` on.
  void ReturnUnseenScores(int64_t end);
  void WeighBlock(const KeyBlock& block);
  void BiasRow(int64_t row, const KeyBlock& block, float hidden);
  // The factor with which the scores must still be multiplied after BiasRow.
  float ScaleLeft() const { return only_key_ranges_ ? settings_.scale : 1.0f; }
  void Rescale(int64_t row, float factor, int64_t end);
  void KeepWholeRows(const KeyBlock& block);

  // Marks those of `count` rows as suspect whose output has a number that is not ordinary
  // (kLeastOrdinary).
  void SuspectRows(int64_t first, int64_t count);
  // Combines those suspect rows whose output may be wrong once more in double precision, and
  // replaces wrong numbers.
  void CorrectOutput();
  // Returns whether a column of the row's output is not finite although the values that the row
  // sees there are, or nearly 0 although one of these values is not 0.
  bool MayBeWrong(int64_t row);
  // largest_[d] = the bits of the largest |value[d]| among the keys that the row sees, where NaN
  // counts as larger than infinity. If this row sees all keys of the row before, the search begins
  // with the result of that row.
  void FindLargestValues(int64_t row);
  // Computes the output of these rows, at most kExactRows, by its definition: the weights are
  // divided first, then multiplied with the values and added up.
  void CombineExactly(absl::Span<const int64_t> rows);
  // Turns the scores of a block into the weights that the row returns.
  void WeighExactly(int64_t row, const KeyBlock& block);
  void ReplaceWrongOutput(int64_t row, const double* sums, const double* sizes);

  // kSum: computes term_sizes_ from key_sizes_.
  void FindTermSizes();
  // kSum: fails if the row's sum is not larger than its rounding error.
  absl::Status CheckSum(int64_t row, double sum);
  // A bound on the rounding error of a sum of `keys` scores whose terms have magnitudes that add up
  // to `terms`.
  double RoundingError(double terms, int64_t keys) const;
  // The same for a row. The first is quick to compute and never less than the second, which goes
  // through the keys that the row sees.
  double MostRoundingError(int64_t row) const;
  double ExactRoundingError(int64_t row);

  absl::Status FinishRows();
  // The sum of a row that has seen nothing but its sink; 0 if there are no sinks.
  double SumOfSink(int64_t row) const;
  void Normalize(int64_t row, double sum, bool sees_none);
  void LoadGivenWeights(int64_t row, const KeyBlock& block);
  void ReturnWholeRow(int64_t row);
  void ReturnOutput();

  // All weights of row `row`, [kv_len].
  float* WholeRow(int64_t row) const;
  int64_t SumsSize() const;
  int64_t SumStride(int64_t panel) const;
  // The columns of panel `panel` in row `row` of Y.
  float* SumsOf(int64_t row, int64_t panel) const;
  // Calls f(columns of row `row` of Y, how many) for each panel.
  template <typename F>
  void ForEachPanel(int64_t row, F f) const {
    for (int64_t panel = 0; panel < products_.value_panels(); ++panel) {
      f(SumsOf(row, panel), products_.PanelWidth(panel));
    }
  }
  // The index of the row in a result [num_heads, q_len, ...].
  int64_t ResultRow(int64_t row) const {
    return tile_.Head(row) * sequence_.q_len + tile_.Query(row);
  }

  float* const mean_weights_;
  const bool bfloat16_;         // products of bfloat16
  const bool only_key_ranges_;  // between the products only the scale and ranges of keys are
                                // applied
  // The weights need no division at the end: the caller gave them, or all keys fit in one short
  // block.
  bool normalized_ = false;
  bool given_ = false;       // the caller gave the weights
  HeadsView given_weights_;  // the weights that the caller gave
  uint64_t suspects_ = 0;    // bit r: row r's output may be wrong (CorrectOutput)
  KeyRange largest_keys_;    // the keys of which largest_ is
  KeyRange range_;           // all keys that any row sees; begins at a multiple of 64
  KeyRange all_see_;         // the keys that every row sees, if masks are ignored

  // In the workspace.
  VisibleKeys* visible_ = nullptr;  // [rows]
  RowState* states_ = nullptr;      // [rows]
  float* factors_ = nullptr;        // [rows]
  float* row_ = nullptr;            // one row of scores, of values, or of the output
  float* whole_rows_ = nullptr;     // [rows, kv_len], if they are not kept in the results
  float* query_ = nullptr;          // [head_dim], for kSum
  float* term_sizes_ = nullptr;     // [rows]: sum_j sum_d |Q[r, d] K[j, d]| over range_, for kSum
  uint32_t* largest_ = nullptr;     // [v_head_dim], for CorrectOutput
  double* exact_ = nullptr;         // [kExactRows, 2, v_head_dim]: sums, and sums of the terms'
                                    // magnitudes
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ATTENTION_TILE_H_
