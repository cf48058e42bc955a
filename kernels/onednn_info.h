#ifndef ATTENTION_KERNELS_ONEDNN_INFO_H_
#define ATTENTION_KERNELS_ONEDNN_INFO_H_

#include <string>

namespace attention {

// The version of the oneDNN library that is loaded, such as "2.6.3".
std::string OnednnVersion();

// The widest instruction set that oneDNN will use on this machine, such as "avx512_core_bf16";
// ONEDNN_MAX_CPU_ISA in the environment lowers it.
std::string OnednnIsa();

}  // namespace attention

#endif  // ATTENTION_KERNELS_ONEDNN_INFO_H_
