#ifndef ATTENTION_KERNELS_SIMD_INSTRUCTION_SET_H_
#define ATTENTION_KERNELS_SIMD_INSTRUCTION_SET_H_

namespace attention {

// Limits our own vector kernels to the instruction set that oneDNN may use, so that
// ONEDNN_MAX_CPU_ISA=AVX2, or SSE41, in the environment limits both. It must be called before the
// first kernel runs; the constructor of Executor calls it.
void LimitInstructionSet();

}  // namespace attention

#endif  // ATTENTION_KERNELS_SIMD_INSTRUCTION_SET_H_
