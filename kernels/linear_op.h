#ifndef ATTENTION_KERNELS_LINEAR_OP_H_
#define ATTENTION_KERNELS_LINEAR_OP_H_

#include <compare>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "kernels/onednn_matmul.h"

namespace attention {

// Y = X W + b, the projections of attention (operator.md, steps 1 and 9), for one pair of widths
// and any number of rows. Safe to run from many threads.
class LinearOp {
 public:
  struct Config {
    int64_t in = 0;
    int64_t out = 0;
    bool has_bias = false;
    int64_t row_tile = 0;  // from RowTile

    auto operator<=>(const Config&) const = default;
  };

  struct Inputs {
    const float* x = nullptr;  // [batch, rows, in]
    int64_t batch = 1;
    int64_t rows = 1;
    const float* weight = nullptr;  // [in, out]
    const float* bias = nullptr;    // [out], where config.has_bias
  };

  // The rows that are computed as one product, by the length of one sequence alone: so a sequence
  // gives the same bits in any batch.
  static int64_t RowTile(int64_t rows);

  // Compiles the product. INVALID_ARGUMENT or INTERNAL as OnednnMatmul::Create.
  static absl::StatusOr<LinearOp> Create(const Config& config);

  // y [batch, rows, out]. Fails as Executor::ParallelFor.
  absl::Status Run(const Inputs& inputs, float* y, Executor& executor) const;

 private:
  LinearOp(const Config& config, OnednnMatmul product);

  Config config_;
  OnednnMatmul product_;  // [row_tile, in] x [in, out]
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_LINEAR_OP_H_
