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

// Lets oneDNN use one OpenMP thread in calls from this thread. Debian's oneDNN spreads its work
// over OpenMP threads; their number is a property of the calling thread, is fixed when a primitive
// is made, and must be the same when the primitive runs.
void UseOneOpenMpThread();

// oneDNN's name for the activation; both of its parameters are 0 or unused. Not for kNone.
dnnl::algorithm OnednnAlgorithm(Activation activation);

}  // namespace attention

#endif  // ATTENTION_KERNELS_ONEDNN_ONEDNN_ENGINE_H_
