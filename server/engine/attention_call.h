#ifndef ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_
#define ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "kernels/attention_op.h"
#include "kernels/attention_shape.h"
#include "kernels/mask.h"
#include "kernels/normalize.h"

namespace attention::engine {

// Y = X weight + bias.
struct Projection {
  const float* weight = nullptr;  // [in, out]
  const float* bias = nullptr;    // [out], or null
  int64_t in = 0;
  int64_t out = 0;
};

struct Projections {
  Projection q;                 // [d_model, num_heads * head_dim]
  Projection k;                 // [d_context, num_kv_heads * head_dim]
  Projection v;                 // [d_context, num_kv_heads * v_head_dim]
  std::optional<Projection> o;  // [num_heads * v_head_dim, d_out]
};

// Query, key and value come from tokens. Without projections query = tokens and key = value =
// context.
struct TokensSource {
  const float* tokens = nullptr;   // [batch, source_len, d_model]
  const float* context = nullptr;  // [batch, kv_len, d_context]; in self-attention the tokens
  int64_t d_model = 0;
  std::optional<Projections> projections;
};

struct ProjectedSource {
  HeadsView<const float> query;  // [batch, num_heads, source_len, head_dim]
  HeadsView<const float> key;    // [batch, num_kv_heads, kv_len, head_dim]
  HeadsView<const float> value;  // [batch, num_kv_heads, kv_len, v_head_dim]
};

struct WeightedSource {
  HeadsView<const float> attention_weights;  // [batch, num_heads, source_len, kv_len]
  HeadsView<const float> value;              // [batch, num_kv_heads, kv_len, v_head_dim]
};

// Where the results go; what is null is not wanted. AttentionOutputs::output is the result after
// the output projection, if there is one.
struct CallOutputs {
  AttentionOutputs attention;
  float* query = nullptr;  // [batch, num_heads, q_len, head_dim]
  float* key = nullptr;    // [batch, num_kv_heads, kv_len, head_dim]
  float* value = nullptr;  // [batch, num_kv_heads, kv_len, v_head_dim]
};

// One call, ready to run: whoever makes one has checked that the shapes fit together and that all
// memory is there. It owns none of that memory.
struct AttentionCall {
  AttentionShape shape;    // q_len: the queries that are computed
  int64_t source_len = 1;  // the queries that the source holds
  std::variant<TokensSource, ProjectedSource, WeightedSource> source;
  float scale = 1.0f;
  Normalization normalization = Normalization::kSoftmax;
  bool causal = false;
  MaskView mask;
  std::vector<int64_t> query_indices;  // q_len of them, each below source_len; empty: all
  CallOutputs outputs;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_
