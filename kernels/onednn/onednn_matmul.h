#ifndef ATTENTION_KERNELS_ONEDNN_ONEDNN_MATMUL_H_
#define ATTENTION_KERNELS_ONEDNN_ONEDNN_MATMUL_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/memory/data_type.h"
#include "kernels/memory/panel_layout.h"
#include "kernels/onednn/activation.h"

namespace attention {

// A dense matrix product of one fixed shape, compiled by oneDNN once and then run from any number
// of threads, each product on one thread.
//
//   C[m, n] = activation(A[m, k] B[k, n] + bias[n])
//
// A and C are row-major without gaps, A float32 or bfloat16 as B is; bias is float32. B is packed
// (packed_panels.h). All const methods are thread-safe, provided that concurrent calls write to
// different memory. They throw std::exception where oneDNN fails, which only a fault of ours or
// exhausted memory can bring about. Once as many calls have run at the same time as ever will, Run
// allocates nothing of its own.
class OnednnMatmul {
 public:
  struct Config {
    int64_t m = 0;
    int64_t k = 0;
    int64_t n = 0;
    DataType operand = DataType::kFloat32;  // of A and B; see OperandsFor
    DataType result = DataType::kFloat32;   // of C; kBfloat16 only where operand is that too
    bool has_bias = false;                  // else no bias is added
    bool accumulate = false;                // C += ... instead of C = ...; without activation
    Activation activation = Activation::kNone;
  };

  // How operands lie for products of this precision: as bfloat16 where this CPU, and oneDNN on it,
  // multiplies such numbers natively, else as float32 of the same values.
  static OperandFormat OperandsFor(ComputeType compute_type);

  // INVALID_ARGUMENT where a size is below 1 or oneDNN cannot express it; INTERNAL where oneDNN
  // fails. Compiling takes 0.05 to 0.6 ms.
  static absl::StatusOr<OnednnMatmul> Create(const Config& config);

  const Config& config() const;
  // Whether one call of oneDNN reads every panel of B, as on AVX-512. Elsewhere oneDNN wants
  // another layout, and each panel of kPanelWidth columns is a product of its own, which is slower.
  bool reads_all_panels() const;
  // Bytes of scratch memory that each call which runs at the same time keeps for itself.
  int64_t scratch_bytes() const;

  // a [m, k]; packed_b aligned to 64 bytes; c [m, n]; bias [n] with has_bias, else unused.
  void Run(const void* a, const void* packed_b, void* c, const float* bias = nullptr) const;

 private:
  struct Impl;
  explicit OnednnMatmul(std::shared_ptr<const Impl> impl);

  std::shared_ptr<const Impl> impl_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ONEDNN_ONEDNN_MATMUL_H_
