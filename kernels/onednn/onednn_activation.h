#ifndef ATTENTION_KERNELS_ONEDNN_ONEDNN_ACTIVATION_H_
#define ATTENTION_KERNELS_ONEDNN_ONEDNN_ACTIVATION_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/onednn/activation.h"

namespace attention {

// An activation of a fixed count of numbers, compiled by oneDNN once: the same bits as at the end
// of a product (OnednnMatmul). Safe to run from many threads on different memory.
class OnednnActivation {
 public:
  // `count` at least 1. INTERNAL where oneDNN fails.
  static absl::StatusOr<OnednnActivation> Create(Activation activation, int64_t count);

  // x[i] = activation(x[i]). Throws std::exception where oneDNN fails, which only exhausted memory
  // can bring about.
  void Run(float* x) const;

 private:
  struct Impl;
  explicit OnednnActivation(std::shared_ptr<const Impl> impl);

  std::shared_ptr<const Impl> impl_;  // null: kNone
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ONEDNN_ONEDNN_ACTIVATION_H_
