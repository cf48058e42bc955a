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
// A and C are row-major without gaps, A and B have the same type, float32 or bfloat16; bias is
// float32. B is packed (panel_layout.h). All const methods are thread-safe, provided that
// concurrent calls write to different memory. They throw std::exception if oneDNN fails, which
// happens only by a bug here or when memory is exhausted. Run keeps its scratch memory for later
// calls, so it allocates memory itself only when more calls run at the same time than ever before.
class OnednnMatmul {
 public:
  struct Config {
    int64_t m = 0;
    int64_t k = 0;
    int64_t n = 0;
    DataType operand = DataType::kFloat32;  // of A and B; see OperandsFor
    DataType result = DataType::kFloat32;   // of C; kBfloat16 only if `operand` is kBfloat16
    bool has_bias = false;                  // else no bias is added
    bool accumulate = false;                // C += ... instead of C = ...; without activation
    Activation activation = Activation::kNone;
  };

  // The form of the operands of products of this precision: bfloat16 if this CPU, and oneDNN on it,
  // multiplies such numbers natively; otherwise float32 with the same values.
  static OperandFormat OperandsFor(ComputeType compute_type);

  // INVALID_ARGUMENT if a size is below 1 or oneDNN cannot express it; INTERNAL if oneDNN fails
  // otherwise. Compiling takes 0.05 to 0.6 ms.
  static absl::StatusOr<OnednnMatmul> Create(const Config& config);

  const Config& config() const;
  // Whether one call of oneDNN reads every panel of B, as on AVX-512. Elsewhere oneDNN wants
  // another layout, and each panel of kPanelWidth columns is a product of its own, which is slower.
  bool reads_all_panels() const;
  // The bytes of scratch memory that Run keeps for each call that runs at the same time.
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
