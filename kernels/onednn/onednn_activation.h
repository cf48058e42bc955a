#ifndef ATTENTION_KERNELS_ONEDNN_ONEDNN_ACTIVATION_H_
#define ATTENTION_KERNELS_ONEDNN_ONEDNN_ACTIVATION_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/onednn/activation.h"

namespace attention {

// An activation of a fixed count of numbers, which oneDNN compiles once. It exists to give the same
// bits as the activation at the end of a product (OnednnMatmul). Safe to run from many threads on
// different memory.
class OnednnActivation {
 public:
  // `count` is at least 1. INTERNAL if oneDNN fails.
  static absl::StatusOr<OnednnActivation> Create(Activation activation, int64_t count);

  // x[i] = activation(x[i]). Throws std::exception if oneDNN fails, which happens only when memory
  // is exhausted.
  void Run(float* x) const;

 private:
  struct Impl;
  explicit OnednnActivation(std::shared_ptr<const Impl> impl);

  std::shared_ptr<const Impl> impl_;  // null: kNone
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ONEDNN_ONEDNN_ACTIVATION_H_
