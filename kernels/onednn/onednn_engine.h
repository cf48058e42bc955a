#ifndef ATTENTION_KERNELS_ONEDNN_ONEDNN_ENGINE_H_
#define ATTENTION_KERNELS_ONEDNN_ONEDNN_ENGINE_H_

#include "kernels/onednn/activation.h"

namespace dnnl {
struct engine;
enum class algorithm;
}  // namespace dnnl

// What the files that call oneDNN share. Thread-safe.
namespace attention {

// The one CPU engine that all primitives share.
const dnnl::engine& OnednnEngine();

// Debian's oneDNN shares its work out over OpenMP, with a thread count that is fixed when a
// primitive is made and must be the same when it runs. The count is a property of the calling
// thread.
void UseOneOpenMpThread();

// oneDNN's name for it, with both parameters 0 or unused. Not for kNone.
dnnl::algorithm OnednnAlgorithm(Activation activation);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ONEDNN_ONEDNN_ENGINE_H_
