#ifndef ATTENTION_KERNELS_LINEAR_OP_H_
#define ATTENTION_KERNELS_LINEAR_OP_H_

#include <compare>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/data_type.h"
#include "kernels/executor.h"
#include "kernels/onednn_matmul.h"
#include "kernels/packed_panels.h"

namespace attention {

// Rows that belong to one sequence.
struct RowRun {
  int64_t first = 0;
  int64_t count = 0;
};

// Y = X W + b, the projections of attention (operator.md, steps 1 and 9), for one pair of widths
// and any number of rows. Safe to run from many threads.
class LinearOp {
 public:
  struct Config {
    int64_t in = 0;
    int64_t out = 0;
    bool has_bias = false;
    int64_t row_tile = 0;  // from RowTile
    ComputeType compute_type = ComputeType::kFloat32;

    auto operator<=>(const Config&) const = default;
  };

  struct Inputs {
    const void* x = nullptr;  // [batch, rows, in]
    DataType x_type = DataType::kFloat32;
    int64_t batch = 1;
    int64_t rows = 1;
    absl::Span<const RowRun> runs =
        {};                        // where set, these rows of x and y in place of batch * rows
    const void* weight = nullptr;  // [in, out]
    DataType weight_type = DataType::kFloat32;
    const float* bias = nullptr;  // [out], where config.has_bias
  };

  // The rows that are computed as one product, by the length of one sequence alone: so a sequence
  // gives the same bits in any batch.
  static int64_t RowTile(int64_t rows);

  // Compiles the product. INVALID_ARGUMENT or INTERNAL as OnednnMatmul::Create.
  static absl::StatusOr<LinearOp> Create(const Config& config);

  // Bytes of working memory that Run takes on `threads` threads. A double, which does not overflow.
  double WorkingBytes(int threads) const;

  // y [batch, rows, out], or as many rows as x has. Fails as Executor::ParallelFor.
  absl::Status Run(const Inputs& inputs, float* y, Executor& executor) const;

 private:
  LinearOp(const Config& config, PackAs as, OnednnMatmul product);

  int64_t WorkspaceSize() const;
  absl::Status PackWeight(const Inputs& inputs, char* packed, Executor& executor) const;
  // Rows [first, first + count) of X as operands, zeros up to the tile, in `tile` or where they
  // are.
  const void* LoadTile(const Inputs& inputs, int64_t first, int64_t count, float* tile) const;

  Config config_;
  PackAs as_;
  OnednnMatmul product_;  // [row_tile, in] x [in, out]
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_LINEAR_OP_H_
