#include "kernels/simd/instruction_set.h"

#include <hwy/targets.h>

#include <string>

#include "absl/strings/match.h"
#include "kernels/onednn/onednn_info.h"

namespace attention {

void LimitInstructionSet() {
  const std::string isa = OnednnIsa();
  if (absl::StartsWith(isa, "avx512")) return;
  // Highway numbers its targets downwards: what is below one is better.
  hwy::DisableTargets((absl::StartsWith(isa, "avx2") ? HWY_AVX2 : HWY_SSE4) - 1);
}

}  // namespace attention
