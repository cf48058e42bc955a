#ifndef ATTENTION_SERVER_ENGINE_OPERATORS_H_
#define ATTENTION_SERVER_ENGINE_OPERATORS_H_

#include "kernels/attention/attention_op.h"
#include "kernels/encoder/encoder_op.h"
#include "kernels/products/linear_op.h"
#include "server/engine/op_cache.h"

namespace attention::engine {

// The operators that calls have needed so far, which are kept. Thread-safe.
struct Operators {
  OpCache<LinearOp> linear;
  OpCache<AttentionOp> attention;
  OpCache<EncoderOp> encoder;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_OPERATORS_H_
