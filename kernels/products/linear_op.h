#ifndef ATTENTION_KERNELS_PRODUCTS_LINEAR_OP_H_
#define ATTENTION_KERNELS_PRODUCTS_LINEAR_OP_H_

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/memory/data_type.h"
#include "kernels/memory/working_memory.h"
#include "kernels/onednn/activation.h"
#include "kernels/onednn/onednn_activation.h"
#include "kernels/onednn/onednn_matmul.h"
#include "kernels/products/packed_weight.h"
#include "kernels/threads/executor.h"

namespace attention {

// Linear layers, Y = activation(X W + b), of one width of X and any numbers of rows and columns:
// the projections of attention (operator.md, "Project" and "Project the output") and the
// feed-forward layers of an encoder.
//
// A task computes the kPanelWidth columns of one panel for many rows, so that a weight is read from
// memory once. The bits of a row depend neither on the other rows nor on the threads, because all
// products that are used here, oneDNN's and our own for few rows, add up the terms of a row in the
// same order (a test checks this).
//
// Safe to run from many threads.
class LinearOp {
 public:
  struct Config {
    int64_t in = 0;
    ComputeType compute_type = ComputeType::kFloat32;
    DataType y_type = DataType::kFloat32;  // kBfloat16 only if operands are (operands.h)
    bool accumulate = false;               // Y += X W + b; without activation
    Activation activation = Activation::kNone;

    auto operator<=>(const Config&) const = default;
  };

  // One layer, and the rows that it is applied to.
  struct Layer {
    const void* x = nullptr;  // [rows, in], operands (operands.h)
    int64_t rows = 0;
    Linear linear;      // a weight that is not packed is packed during Run, panel by panel
    void* y = nullptr;  // [rows, out] of y_type
  };

  // The largest width of X. The widest model known has 81,920 (the second product of MT-NLG's
  // feed-forward network). Create tries out the products, which takes memory and time that grow
  // with the width: 100 MiB at this width.
  static constexpr int64_t kMostIn = 1 << 17;

  // INVALID_ARGUMENT if X is wider than kMostIn.
  static absl::Status CheckWidth(int64_t in);

  // Compiles the products. Fails as CheckWidth; INVALID_ARGUMENT or INTERNAL as
  // OnednnMatmul::Create.
  static absl::StatusOr<LinearOp> Create(const Config& config);

  // The memory that Run needs. For up to 127 layers these are workspaces alone.
  WorkingMemory Memory() const;

  // Computes the layers, whose results must not overlap. Fails as Executor::ParallelFor.
  absl::Status Run(absl::Span<const Layer> layers, Executor& executor) const;

 private:
  // One panel of a weight, and the memory that a task uses for it.
  struct Panel;
  class Trial;

  LinearOp(const Config& config, OperandFormat format, OnednnActivation activation);

  void KeepWhatAgrees();
  int64_t FindRunOfFewRows(Trial& trial, const std::string& want) const;
  int64_t WorkspaceSize() const;
  Panel PreparePanel(const Layer& layer, int64_t index, float* memory) const;
  void RunPanel(const Layer& layer, const Panel& panel, int64_t first_row, int64_t end_row) const;
  void RunTile(const OnednnMatmul& product, const Layer& layer, const Panel& panel, int64_t row,
               int64_t rows) const;
  void RunFewRows(const Layer& layer, const Panel& panel, int64_t row, int64_t rows,
                  int64_t run) const;

  Config config_;
  OperandFormat format_;
  int64_t few_rows_run_ = 0;  // for MultiplyFewRows; 0: oneDNN multiplies few rows as well
  OnednnActivation few_rows_activation_;
  std::vector<OnednnMatmul> products_;  // [rows of a tile, in] x [in, kPanelWidth], most rows first
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_PRODUCTS_LINEAR_OP_H_
