#include "tests/kernels/onednn_created.h"

#include <atomic>
#include <oneapi/dnnl/dnnl.hpp>

namespace attention {
namespace {

std::atomic<int> created = 0;

}  // namespace

int PrimitivesCreated() { return created; }

}  // namespace attention

// The linker puts __wrap_f in the place of f, and f in that of __real_f. Their names are its
// choice.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier)
dnnl_status_t __real_dnnl_primitive_create(dnnl_primitive_t* primitive,
                                           const_dnnl_primitive_desc_t desc);
dnnl_status_t __wrap_dnnl_primitive_create(dnnl_primitive_t* primitive,
                                           const_dnnl_primitive_desc_t desc) {
  ++attention::created;
  return __real_dnnl_primitive_create(primitive, desc);
}

#if DNNL_VERSION_MAJOR >= 3  // one function for each kind of primitive
dnnl_status_t __real_dnnl_matmul_primitive_desc_create(
    dnnl_primitive_desc_t* desc, dnnl_engine_t engine, const_dnnl_memory_desc_t a,
    const_dnnl_memory_desc_t b, const_dnnl_memory_desc_t bias, const_dnnl_memory_desc_t c,
    const_dnnl_primitive_attr_t attributes);
dnnl_status_t __wrap_dnnl_matmul_primitive_desc_create(
    dnnl_primitive_desc_t* desc, dnnl_engine_t engine, const_dnnl_memory_desc_t a,
    const_dnnl_memory_desc_t b, const_dnnl_memory_desc_t bias, const_dnnl_memory_desc_t c,
    const_dnnl_primitive_attr_t attributes) {
  ++attention::created;
  return __real_dnnl_matmul_primitive_desc_create(desc, engine, a, b, bias, c, attributes);
}

dnnl_status_t __real_dnnl_eltwise_forward_primitive_desc_create(
    dnnl_primitive_desc_t* desc, dnnl_engine_t engine, dnnl_prop_kind_t kind,
    dnnl_alg_kind_t algorithm, const_dnnl_memory_desc_t x, const_dnnl_memory_desc_t y, float alpha,
    float beta, const_dnnl_primitive_attr_t attributes);
dnnl_status_t __wrap_dnnl_eltwise_forward_primitive_desc_create(
    dnnl_primitive_desc_t* desc, dnnl_engine_t engine, dnnl_prop_kind_t kind,
    dnnl_alg_kind_t algorithm, const_dnnl_memory_desc_t x, const_dnnl_memory_desc_t y, float alpha,
    float beta, const_dnnl_primitive_attr_t attributes) {
  ++attention::created;
  return __real_dnnl_eltwise_forward_primitive_desc_create(desc, engine, kind, algorithm, x, y,
                                                           alpha, beta, attributes);
}
#else
dnnl_status_t __real_dnnl_primitive_desc_iterator_create(dnnl_primitive_desc_iterator_t* iterator,
                                                         const_dnnl_op_desc_t operation,
                                                         const_dnnl_primitive_attr_t attributes,
                                                         dnnl_engine_t engine,
                                                         const_dnnl_primitive_desc_t hint);
dnnl_status_t __wrap_dnnl_primitive_desc_iterator_create(dnnl_primitive_desc_iterator_t* iterator,
                                                         const_dnnl_op_desc_t operation,
                                                         const_dnnl_primitive_attr_t attributes,
                                                         dnnl_engine_t engine,
                                                         const_dnnl_primitive_desc_t hint) {
  ++attention::created;
  return __real_dnnl_primitive_desc_iterator_create(iterator, operation, attributes, engine, hint);
}
#endif
// NOLINTEND(bugprone-reserved-identifier)
}
