#include "kernels/instruction_set.h"

#include <hwy/targets.h>

#include "absl/strings/match.h"
#include "kernels/onednn_info.h"

namespace attention {

void LimitInstructionSet() {
  if (absl::StartsWith(OnednnIsa(), "avx512")) return;
  hwy::DisableTargets(HWY_AVX3_DL | HWY_AVX3);
}

}  // namespace attention
