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

// What a call is to return. It decides what is computed.
struct WantedResults {
  bool output = false;
  bool attention_scores = false;
  bool attention_weights = false;
  bool query = false;
  bool key = false;
  bool value = false;
  bool weighted_values = false;
  bool top_keys = false;
  bool log_sum_exp = false;

  // Whether the attention operator runs: all but query, key and value come from it.
  bool NeedOperator() const {
    return output || attention_scores || attention_weights || weighted_values || top_keys ||
           log_sum_exp;
  }
  bool NeedQuery() const { return query || NeedOperator(); }
  bool NeedKey() const { return key || NeedOperator(); }
  bool NeedValue() const { return value || output || weighted_values; }
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
// memory that it reads is there. It owns none of that memory.
struct AttentionCall {
  AttentionShape shape;    // q_len: the queries that are computed
  int64_t source_len = 1;  // the queries that the source holds
  std::variant<TokensSource, ProjectedSource, WeightedSource> source;
  float scale = 1.0f;
  Normalization normalization = Normalization::kSoftmax;
  bool causal = false;
  MaskView mask;
  std::vector<int64_t> query_indices;  // q_len of them, each below source_len; empty: all
  WantedResults wanted;
  CallOutputs outputs;  // a place for each of `wanted`, there when the call runs

  // The problem that the attention operator solves: without a value where none is needed.
  AttentionShape OperatorShape() const {
    AttentionShape needed = shape;
    if (!wanted.NeedValue()) needed.v_head_dim = 1;
    return needed;
  }
  // Whether the queries have to be picked from the source.
  bool PicksQueries() const { return !query_indices.empty() && wanted.NeedQuery(); }
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_
