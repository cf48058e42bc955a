#include "kernels/instruction_set.h"

#include <hwy/targets.h>

#include <string>

#include "absl/strings/match.h"
#include "kernels/onednn_info.h"

namespace attention {

void LimitInstructionSet() {
  const std::string isa = OnednnIsa();
  if (absl::StartsWith(isa, "avx512")) return;
  const int64_t avx512 = HWY_AVX3_DL | HWY_AVX3;
  hwy::DisableTargets(absl::StartsWith(isa, "avx2") ? avx512 : avx512 | HWY_AVX2);
}

}  // namespace attention
