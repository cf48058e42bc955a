#ifndef ATTENTION_KERNELS_SIMD_INSTRUCTION_SET_H_
#define ATTENTION_KERNELS_SIMD_INSTRUCTION_SET_H_

namespace attention {

// Holds our own vector kernels to the instruction set that oneDNN may use, so that
// ONEDNN_MAX_CPU_ISA=AVX2, or SSE41, in the environment limits both. Before the first kernel runs;
// Executor calls it.
void LimitInstructionSet();

}  // namespace attention

#endif  // ATTENTION_KERNELS_SIMD_INSTRUCTION_SET_H_
