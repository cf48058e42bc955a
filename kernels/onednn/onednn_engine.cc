#include "kernels/onednn/onednn_engine.h"

#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>

namespace attention {

const dnnl::engine& OnednnEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

void UseOneOpenMpThread() { omp_set_num_threads(1); }

dnnl::algorithm OnednnAlgorithm(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      break;
    case Activation::kRelu:
      return dnnl::algorithm::eltwise_relu;
    case Activation::kGelu:
      return dnnl::algorithm::eltwise_gelu_erf;
    case Activation::kGeluTanh:
      return dnnl::algorithm::eltwise_gelu_tanh;
  }
  return dnnl::algorithm::undef;
}

}  // namespace attention
