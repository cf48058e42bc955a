#ifndef ATTENTION_KERNELS_ONEDNN_MATMUL_H_
#define ATTENTION_KERNELS_ONEDNN_MATMUL_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace attention {

// A dense float32 matrix product of one fixed shape, compiled by oneDNN once and then run from any
// number of threads, each product on one thread.
//
//   C[m, n] = A[m, k] B[k, n] + bias[n]        row-major, without gaps
//
// oneDNN is at its best when B lies in a blocked layout of its own choice ("packed"). All const
// methods are thread-safe, provided that concurrent calls write to different memory. They throw
// std::exception where oneDNN fails, which only a fault of ours or exhausted memory can bring
// about.
class OnednnMatmul {
 public:
  struct Config {
    int64_t m = 0;
    int64_t k = 0;
    int64_t n = 0;
    bool packed_b = false;    // B comes from PackB or PackTransposedB; else it is plain [k, n]
    bool has_bias = false;    // else no bias is added
    bool accumulate = false;  // C += A B instead of C = A B
  };

  // INVALID_ARGUMENT where a size is below 1 or oneDNN cannot express it; INTERNAL where oneDNN
  // fails. Compiling takes 0.3 to 4 ms the first time.
  static absl::StatusOr<OnednnMatmul> Create(const Config& config);

  const Config& config() const;
  // Floats that a packed B takes (oneDNN pads to its blocks).
  int64_t packed_b_size() const;
  // Floats of scratch memory that Run and the packing need, each concurrent call its own.
  int64_t scratch_size() const;

  // Packs b [k, n] into packed [packed_b_size()], which is aligned to 64 bytes; scratch as for Run.
  // Needs config.packed_b.
  void PackB(const float* b, float* packed, float* scratch) const;
  // The same for b_transposed [n, k].
  void PackTransposedB(const float* b_transposed, float* packed, float* scratch) const;

  // a [m, k]; b [k, n], or packed; c [m, n]; scratch [scratch_size()]; bias [n] with has_bias, else
  // unused.
  void Run(const float* a, const float* b, float* c, float* scratch,
           const float* bias = nullptr) const;

 private:
  struct Impl;
  explicit OnednnMatmul(std::shared_ptr<const Impl> impl);

  std::shared_ptr<const Impl> impl_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ONEDNN_MATMUL_H_
