#ifndef ATTENTION_TESTS_BENCH_CASES_H_
#define ATTENTION_TESTS_BENCH_CASES_H_

// The benchmarks, a family a function. Each registers its own with Google Benchmark. All but memory
// and first_call count `cpus`, CPU seconds a second: far below t means that the machine lent fewer
// cores, and that the row says nothing about t threads.
namespace attention {

// attention/{f32,bf16}/{full,causal}/b<batch>/n<length>/h<heads>/g<kv_heads>/d<head_dim>/t<threads>
//   gflops                4 * batch * heads * length^2 * head_dim a call, for causal half of that
//   ceiling_fraction      gflops / those of the best oneDNN product of this type and thread count
//   composition_fraction  full: the same of the plain composition (onednn_baselines.h)
//   vs_composition        full: its time / ours
//   by_head_fraction      full: the same two of the composition head by head
//   vs_by_head
//   vs_full               causal: time of the same call without causality / ours
void RegisterAttention();

// attention_with/{mask,window,narrow_window,softcap,alibi,scores_and_weights}/{f32,bf16}/b...
//   (window: as wide as the sequence, so it hides nothing; narrow_window: 1/16 to each side)
//   vs_plain          time / time of the same call without it
void RegisterSettings();

// decode/{f32,bf16}/b1/n<keys>/h32/g8/d<head_dim>/t<threads>: one query
//   gbytes_per_second   10^9 bytes of keys and values
//   bandwidth_fraction  gbytes_per_second / those of a plain read of the same keys and values
void RegisterDecode();

// encoder/{f32,bf16}/l<layers>/d<d_model>/h<heads>/f<ffn_dim>/b<batch>/n<tokens>/t<threads>
//   gflops            the products', and 4 * tokens * d_model a token for attention
//   ceiling_fraction  as above
//   read_fraction     time of a plain read of all weights / ours
void RegisterEncoder();

// memory/{f32,bf16}/n<length>/h1/g1/d<head_dim>/t<threads>: a first call, output only
//   mib_per_thread           peak of what it allocates beyond one packed copy of keys and values
//   mib_per_thread_resident  the same from the process's resident memory, oneDNN's own included
//   mib_per_thread_promised  the same from AttentionOp::Memory
void RegisterMemory();

// first_call/{f32,bf16}/h12/g12/d64/t<threads>: calls of lengths that the operator has not seen
//   vs_warm        median of time / median time of five more calls of the same length
//   vs_warm_worst  the worst length
void RegisterFirstCall();

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_CASES_H_
