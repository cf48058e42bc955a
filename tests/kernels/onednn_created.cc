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
// NOLINTEND(bugprone-reserved-identifier)
}
