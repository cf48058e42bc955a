#include "kernels/simd/instruction_set.h"

#include <hwy/targets.h>

#include <string>

#include "absl/strings/match.h"
#include "kernels/onednn/onednn_info.h"

namespace attention {

void LimitInstructionSet() {
  const std::string isa = OnednnIsa();
  if (absl::StartsWith(isa, "avx512")) return;
  // Highway numbers its targets downwards: a smaller number is a better instruction set.
  hwy::DisableTargets((absl::StartsWith(isa, "avx2") ? HWY_AVX2 : HWY_SSE4) - 1);
}

}  // namespace attention
