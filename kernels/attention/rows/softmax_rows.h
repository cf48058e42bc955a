#ifndef ATTENTION_KERNELS_ATTENTION_ROWS_SOFTMAX_ROWS_H_
#define ATTENTION_KERNELS_ATTENTION_ROWS_SOFTMAX_ROWS_H_

#include <cstdint>
#include <limits>

// Scores into weights (operator.md, "Normalise"). Thread-safe for different memory.
namespace attention {

// One query row on its way through its keys, tile by tile. A weight is e^(s - shift) until all keys
// are through and it is divided by the sum (online softmax, Milakov and Gimelshein 2018).
//
// exp(s - c) / sum exp(s - c) is the same for every c. The usual c is the largest score so far,
// which no finite score can make overflow; but each subtraction rounds, and each new maximum means
// to rescale. So c is 0 while |maximum| is at most kUnshiftedMax, where exp neither overflows nor
// loses a weight above 1e-30 of the largest; beyond, c is the maximum, and stays until a score
// exceeds it by more than kUnshiftedMax. e^16 = 8.9e6 leaves a float32 room for 10^31 of them.
struct alignas(64) RowState {
  static constexpr float kUnshiftedMax = 16.0f;

  double sum[8];  // of the weights so far, spread over vector lanes; float64 so that its error
                  // does not grow with the number of keys
  float shift;    // c
  float limit;    // a score above it asks for a new shift; -inf before the first score
  double sizes;   // AddToSum: the sum of the scores' sizes

  void Clear() {
    for (double& lane : sum) lane = 0;
    shift = 0;
    limit = -std::numeric_limits<float>::infinity();
    sizes = 0;
  }
  // Takes up a logit that receives no value (a sink) as the first.
  void AddSink(float logit);
  double Sum() const;
};

// Rows that SoftmaxTile takes at a time: so few that 512 scores of each stay in the L1 cache, so
// many that the maxima of one row, which take long to come together, do so while the others' are
// read.
constexpr int64_t kSoftmaxRows = 8;

struct SoftmaxTileArgs {
  float* scores = nullptr;  // [rows, stride], aligned to 64 bytes; hidden keys are -inf
  int64_t rows = 0;         // at best kSoftmaxRows
  int64_t keys = 0;         // a multiple of 32, at most stride
  int64_t stride = 0;       // a multiple of 32
  float scale = 1;          // > 0; what the scores are still to be multiplied with
  // Null: the weights replace the scores, each e^x within 1 unit in the last place. Else they go
  // here, [rows, stride], rounded to bfloat16 and interleaved as RowPairs::kSixteenApart, from an
  // e^x within 3e-6.
  uint16_t* bfloat16 = nullptr;
  bool keep_float32 = false;   // with `bfloat16`: the unrounded weights replace the scores as well
  RowState* states = nullptr;  // [rows]
  // [rows]: what the row's results so far must be multiplied with, where SoftmaxTile returns true.
  float* factors = nullptr;
  // [rows]: `keys` numbers each that will be read next, null: none, or null. The caches are asked
  // for them one cache line every few instructions, which costs nothing; a burst would take as long
  // as the reads that it spares.
  const float* const* ahead = nullptr;
};

// Turns one tile of scores into weights and adds these to the rows' sums. Returns whether any row
// got a new shift after its first score.
bool SoftmaxTile(const SoftmaxTileArgs& args);

// Keys of a row up to which SoftmaxRow is worth its while.
constexpr int64_t kShortRow = 32;

// For a short row whose keys are all here: s[j] = e^(scale * s[j] - shift) / sum, each exponential,
// the sum and the quotient correctly rounded to float32: the digits that the tutorials print.
// `count` is a multiple of 16, at most kShortRow; s is aligned to 64 bytes; hidden keys are -inf.
// Sets `state` such that shift + log(Sum()) is the log-sum-exp.
void SoftmaxRow(float* s, int64_t count, float scale, RowState& state);

// Adds the row's scores to the state's sum as they are, and their sizes to its `sizes`
// (Normalization::kSum). At most 1024 at a time, whose sizes are added up in float32.
void AddToSum(const float* s, int64_t count, RowState& state);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ROWS_SOFTMAX_ROWS_H_
