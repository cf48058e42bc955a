#ifndef ATTENTION_KERNELS_ONEDNN_ONEDNN_INFO_H_
#define ATTENTION_KERNELS_ONEDNN_ONEDNN_INFO_H_

#include <string>

// Describes the oneDNN library that is loaded, for logs and to choose kernels. Thread-safe.
namespace attention {

// The version of the oneDNN library that is loaded, such as "2.6.3".
std::string OnednnVersion();

// The widest instruction set that oneDNN will use on this machine, such as "avx512_core_bf16";
// ONEDNN_MAX_CPU_ISA in the environment lowers it.
std::string OnednnIsa();

// How matrix products run here: "all panels at once", or "panel by panel" where this oneDNN has no
// kernel for operands as we pack them, and products are slower for it (OnednnMatmul). If float32
// and bfloat16 differ, the text names both. It compiles a few products, which takes some
// milliseconds.
std::string OnednnProducts();

}  // namespace attention

#endif  // ATTENTION_KERNELS_ONEDNN_ONEDNN_INFO_H_
