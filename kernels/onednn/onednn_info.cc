#include "kernels/onednn/onednn_info.h"

#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>

#include "absl/strings/str_cat.h"
#include "kernels/memory/data_type.h"
#include "kernels/onednn/onednn_matmul.h"

namespace attention {
namespace {

// Of a tile of scores and of a projection, whose sizes are what most calls have.
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
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core:
      return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return "other";
  }
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
