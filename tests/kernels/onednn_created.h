#ifndef ATTENTION_TESTS_KERNELS_ONEDNN_CREATED_H_
#define ATTENTION_TESTS_KERNELS_ONEDNN_CREATED_H_

namespace attention {

// Primitives and primitive descriptors that the program has asked oneDNN for. The program is linked
// with --wrap for the two functions of onednn_created.cc.
int PrimitivesCreated();

}  // namespace attention

#endif  // ATTENTION_TESTS_KERNELS_ONEDNN_CREATED_H_
