#ifndef ATTENTION_SERVER_MODELS_PROJECTIONS_H_
#define ATTENTION_SERVER_MODELS_PROJECTIONS_H_

#include <optional>

#include "kernels/products/packed_weight.h"

namespace attention::engine {

// What an attention layer has learned.
struct Projections {
  Linear q;                 // [d_model, num_heads * head_dim]
  Linear k;                 // [d_context, num_kv_heads * head_dim]
  Linear v;                 // [d_context, num_kv_heads * v_head_dim]
  std::optional<Linear> o;  // [num_heads * v_head_dim, d_out]
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_PROJECTIONS_H_
