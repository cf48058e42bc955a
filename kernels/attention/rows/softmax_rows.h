#ifndef ATTENTION_KERNELS_ATTENTION_ROWS_SOFTMAX_ROWS_H_
#define ATTENTION_KERNELS_ATTENTION_ROWS_SOFTMAX_ROWS_H_

#include <cstdint>
#include <limits>

// Turns scores into weights (operator.md, "Normalise"). Thread-safe for different memory.
namespace attention {

// The state of one query row while its keys are processed, tile by tile. Until the last key is
// processed a weight is e^(s - shift); then it is divided by the sum (online softmax, Milakov and
// Gimelshein 2018).
//
// exp(s - c) / sum exp(s - c) is the same for every c. The usual c is the largest score so far,
// with which no finite score overflows; but each subtraction rounds, and each new maximum makes it
// necessary to rescale. So c is 0 while |maximum| is at most kUnshiftedMax, where exp neither
// overflows nor loses a weight above 1e-30 of the largest. Otherwise c is the maximum, and stays
// until a score exceeds it by more than kUnshiftedMax. A weight is then at most e^16 = 8.9e6, and
// float32 has room for the sum of 10^31 of them.
struct alignas(64) RowState {
  static constexpr float kUnshiftedMax = 16.0f;

  double sum[8];  // of the weights so far, by vector lane; float64 so that its error does not grow
                  // with the number of keys
  float shift;    // c
  float limit;    // a score above it needs a new shift; -inf before the first score
  double sizes;   // AddToSum: the sum of the scores' magnitudes

  void Clear() {
    for (double& lane : sum) lane = 0;
    shift = 0;
    limit = -std::numeric_limits<float>::infinity();
    sizes = 0;
  }
  // Adds a sink, a logit that has no value. Must be called before the first score.
  void AddSink(float logit);
  double Sum() const;
};

// Rows that SoftmaxTile takes at a time. They are few enough that 512 scores of each stay in the L1
// cache, and many enough that the maximum of one row, which has a long latency, is computed while
// the scores of the others are read.
constexpr int64_t kSoftmaxRows = 8;

struct SoftmaxTileArgs {
  float* scores = nullptr;  // [rows, stride], aligned to 64 bytes; hidden keys are -inf
  int64_t rows = 0;         // fastest with kSoftmaxRows
  int64_t keys = 0;         // a multiple of 32, at most stride
  int64_t stride = 0;       // a multiple of 32
  float scale = 1;          // > 0; the scores are first multiplied with it
  // If null, the weights replace the scores, with an e^x within 1 unit in the last place. Otherwise
  // they are written here, [rows, stride], with an e^x within 3e-6, rounded to bfloat16 and
  // interleaved as RowPairs::kSixteenApart.
  uint16_t* bfloat16 = nullptr;
  bool keep_float32 = false;   // with `bfloat16`: the unrounded weights replace the scores as well
  RowState* states = nullptr;  // [rows]
  // [rows]: if SoftmaxTile returns true, each row's results so far must be multiplied with its
  // factor.
  float* factors = nullptr;
  // Null, or [rows] pointers to `keys` numbers each that will be read next; a pointer may be null.
  // They are prefetched, one cache line every few instructions, which costs nothing; a burst of
  // prefetches would take as long as the reads that it saves.
  const float* const* ahead = nullptr;
};

// Turns one tile of scores into weights and adds these to the rows' sums. Returns whether any row
// got a new shift after its first score.
bool SoftmaxTile(const SoftmaxTileArgs& args);

// The most keys of a row for which SoftmaxRow is used.
constexpr int64_t kShortRow = 32;

// Normalises a short row that is complete: s[j] = e^(scale * s[j] - shift) / sum. Each exponential,
// the sum and the quotient are correctly rounded to float32, so that the results have the digits
// that the tutorials print. `count` is a multiple of 16, at most kShortRow; s is aligned to 64
// bytes; hidden keys are -inf. Sets `state` such that shift + log(Sum()) is the log-sum-exp.
void SoftmaxRow(float* s, int64_t count, float scale, RowState& state);

// Adds the row's scores to the state's sum without exponentials, and their magnitudes to its
// `sizes` (Normalization::kSum). `count` is at most 1024, because the magnitudes are added up in
// float32.
void AddToSum(const float* s, int64_t count, RowState& state);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ROWS_SOFTMAX_ROWS_H_
