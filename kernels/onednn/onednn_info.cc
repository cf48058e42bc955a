#include "kernels/onednn/onednn_info.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <oneapi/dnnl/dnnl.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/memory/data_type.h"
#include "kernels/onednn/onednn_matmul.h"

namespace attention {
namespace {

// Tries the products of a tile of scores and of a projection, of the sizes that most calls have.
std::string ProductsOf(DataType operand) {
  for (const int64_t depth : {64, 768}) {
    const auto product =
        OnednnMatmul::Create({.m = 16, .k = depth, .n = 2 * depth, .operand = operand});
    if (!product.ok() || !product->reads_all_panels()) return "panel by panel";
  }
  return "all panels at once";
}

}  // namespace

std::string OnednnVersion() {
  const dnnl::version_t* version = dnnl::version();
  return absl::StrCat(version->major, ".", version->minor, ".", version->patch);
}

std::string OnednnIsa() {
  constexpr std::pair<dnnl::cpu_isa, const char*> kNames[] = {
      {dnnl::cpu_isa::sse41, "sse41"},
      {dnnl::cpu_isa::avx, "avx"},
      {dnnl::cpu_isa::avx2, "avx2"},
      {dnnl::cpu_isa::avx2_vnni, "avx2_vnni"},
      {dnnl::cpu_isa::avx512_core, "avx512_core"},
      {dnnl::cpu_isa::avx512_core_vnni, "avx512_core_vnni"},
      {dnnl::cpu_isa::avx512_core_bf16, "avx512_core_bf16"},
      {dnnl::cpu_isa::avx512_core_amx, "avx512_core_amx"}};
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  const auto* const found = std::find_if(std::begin(kNames), std::end(kNames),
                                         [&](const auto& name) { return name.first == isa; });
  return found == std::end(kNames) ? "other" : found->second;
}

std::string OnednnProducts() {
  std::string float32 = ProductsOf(DataType::kFloat32);
  const DataType operand = OnednnMatmul::OperandsFor(ComputeType::kBfloat16).operand;
  if (operand == DataType::kFloat32) return float32;  // the same products
  const std::string bfloat16 = ProductsOf(operand);
  if (bfloat16 == float32) return float32;
  return absl::StrCat("float32 ", float32, ", bfloat16 ", bfloat16);
}

}  // namespace attention
