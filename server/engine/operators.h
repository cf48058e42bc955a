#ifndef ATTENTION_SERVER_ENGINE_OPERATORS_H_
#define ATTENTION_SERVER_ENGINE_OPERATORS_H_

#include "absl/status/status.h"
#include "kernels/attention/attention_op.h"
#include "kernels/encoder/encoder_op.h"
#include "kernels/memory/data_type.h"
#include "kernels/products/linear_op.h"
#include "server/engine/op_cache.h"
#include "server/models/layer_model.h"

namespace attention::engine {

// The operators that calls have needed so far, which are kept. Thread-safe.
struct Operators {
  OpCache<LinearOp> linear;
  OpCache<AttentionOp> attention;
  OpCache<EncoderOp> encoder;

  // Makes those of calls for a stored layer of this model, without any results but the output.
  // Fails as their Create.
  absl::Status MakeFor(const LayerModel& model, ComputeType compute_type);
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_OPERATORS_H_
