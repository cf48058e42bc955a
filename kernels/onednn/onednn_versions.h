#ifndef ATTENTION_KERNELS_ONEDNN_ONEDNN_VERSIONS_H_
#define ATTENTION_KERNELS_ONEDNN_ONEDNN_VERSIONS_H_

#include <oneapi/dnnl/dnnl.hpp>

// The one file that knows which of oneDNN's two interfaces is installed. Until 2.x a primitive_desc
// is made from the `desc` of an operation, and an activation behind a product has a scale;
// since 3.0 a primitive_desc is made from the operands at once, and there is no such scale. Each
// function throws dnnl::error where oneDNN cannot make what is asked for.
namespace attention::onednn {

// C = A B + bias, or C = A B if `bias` is null.
inline dnnl::matmul::primitive_desc MatmulDesc(const dnnl::engine& engine,
                                               const dnnl::memory::desc& a,
                                               const dnnl::memory::desc& b,
                                               const dnnl::memory::desc* bias,
                                               const dnnl::memory::desc& c,
                                               const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return bias != nullptr ? dnnl::matmul::primitive_desc(engine, a, b, *bias, c, attributes)
                         : dnnl::matmul::primitive_desc(engine, a, b, c, attributes);
#else
  const dnnl::matmul::desc operation =
      bias != nullptr ? dnnl::matmul::desc(a, b, *bias, c) : dnnl::matmul::desc(a, b, c);
  return {operation, attributes, engine};
#endif
}

// y[i] = algorithm(x[i]) for inference; x and y have the same layout. The parameters of the
// algorithm are 0.
inline dnnl::eltwise_forward::primitive_desc EltwiseDesc(const dnnl::engine& engine,
                                                         dnnl::algorithm algorithm,
                                                         const dnnl::memory::desc& numbers) {
  constexpr auto kInference = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kInference, algorithm, numbers, numbers, 0.0f, 0.0f};
#else
  return {dnnl::eltwise_forward::desc(kInference, algorithm, numbers, 0.0f, 0.0f), engine};
#endif
}

// The weights of a softmax over `axis`, for inference; scores and weights have the same layout.
inline dnnl::softmax_forward::primitive_desc SoftmaxDesc(const dnnl::engine& engine,
                                                         const dnnl::memory::desc& scores, int axis,
                                                         const dnnl::primitive_attr& attributes) {
  constexpr auto kInference = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kInference, dnnl::algorithm::softmax_accurate, scores, scores, axis, attributes};
#else
  return {dnnl::softmax_forward::desc(kInference, scores, axis), attributes, engine};
#endif
}

// Applies algorithm(x), with these two parameters, to the results of the primitive.
inline void AppendEltwise(dnnl::post_ops& post_ops, dnnl::algorithm algorithm, float alpha = 0,
                          float beta = 0) {
#if DNNL_VERSION_MAJOR >= 3
  post_ops.append_eltwise(algorithm, alpha, beta);
#else
  post_ops.append_eltwise(1.0f, algorithm, alpha, beta);
#endif
}

inline dnnl::memory::dims Dims(const dnnl::memory::desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  return desc.get_dims();
#else
  return desc.dims();
#endif
}

}  // namespace attention::onednn

#endif  // ATTENTION_KERNELS_ONEDNN_ONEDNN_VERSIONS_H_
