#ifndef ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_
#define ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "kernels/attention_problem.h"
#include "kernels/data_type.h"
#include "kernels/heads_view.h"

namespace attention::engine {

// The sizes of a call; all at least 1, and num_heads a multiple of num_kv_heads.
struct CallShape {
  int64_t batch = 1;         // independent sequences
  int64_t q_len = 1;         // query tokens that are computed
  int64_t kv_len = 1;        // key/value tokens
  int64_t num_heads = 1;     // query heads
  int64_t num_kv_heads = 1;  // key/value heads
  int64_t head_dim = 1;      // width of one query or key head
  int64_t v_head_dim = 1;    // width of one value head
};

// The heads of all sequences of a batch, batch_stride numbers apart.
template <typename Byte>
struct BasicBatchView {
  BasicHeadsView<Byte> first;
  int64_t batch_stride = 0;

  BasicHeadsView<Byte> At(int64_t b) const {
    BasicHeadsView<Byte> view = first;
    if (view.data != nullptr) view.data += b * batch_stride * ByteSize(view.type);
    return view;
  }
};
using BatchView = BasicBatchView<const std::byte>;
using MutableBatchView = BasicBatchView<std::byte>;

// float32 numbers [batch, len, heads * dim], and with batch = 1 [len, heads * dim].
inline BatchView TokenMajorBatch(const float* data, int64_t len, int64_t heads, int64_t dim) {
  return {TokenMajorView(reinterpret_cast<const std::byte*>(data), DataType::kFloat32, heads, dim),
          len * heads * dim};
}
inline MutableBatchView TokenMajorBatch(float* data, int64_t len, int64_t heads, int64_t dim) {
  return {TokenMajorView(reinterpret_cast<std::byte*>(data), DataType::kFloat32, heads, dim),
          len * heads * dim};
}

// float32 numbers [batch, heads, len, dim].
inline BatchView HeadMajorBatch(const float* data, int64_t len, int64_t heads, int64_t dim) {
  return {HeadMajorView(reinterpret_cast<const std::byte*>(data), DataType::kFloat32, len, dim),
          heads * len * dim};
}
inline MutableBatchView HeadMajorBatch(float* data, int64_t len, int64_t heads, int64_t dim) {
  return {HeadMajorView(reinterpret_cast<std::byte*>(data), DataType::kFloat32, len, dim),
          heads * len * dim};
}

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
  BatchView query;  // [batch, num_heads, source_len, head_dim]
  BatchView key;    // [batch, num_kv_heads, kv_len, head_dim]
  BatchView value;  // [batch, num_kv_heads, kv_len, v_head_dim]
};

struct WeightedSource {
  BatchView attention_weights;  // [batch, num_heads, source_len, kv_len]
  BatchView value;              // [batch, num_kv_heads, kv_len, v_head_dim]
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

// Where the results go; what is null is not wanted. Dense and row-major but for `output`, which is
// the result after the output projection, if there is one.
struct CallOutputs {
  MutableBatchView output;             // [batch, num_heads, q_len, v_head_dim]
  float* attention_scores = nullptr;   // [batch, num_heads, q_len, kv_len]
  float* attention_weights = nullptr;  // [batch, num_heads, q_len, kv_len]
  float* weighted_values = nullptr;    // [batch, num_heads, kv_len, q_len, v_head_dim]
  float* log_sum_exp = nullptr;        // [batch, num_heads, q_len]
  int64_t top_k = 0;                   // for the two below, 1 to kv_len
  int32_t* top_indices = nullptr;      // [batch, num_heads, q_len, top_k]
  float* top_weights = nullptr;        // [batch, num_heads, q_len, top_k]
  float* query = nullptr;              // [batch, num_heads, q_len, head_dim]
  float* key = nullptr;                // [batch, num_kv_heads, kv_len, head_dim]
  float* value = nullptr;              // [batch, num_kv_heads, kv_len, v_head_dim]
};

// One call, ready to run: whoever makes one has checked that the shapes fit together and that all
// memory that it reads is there. It owns none of that memory.
struct AttentionCall {
  CallShape shape;         // q_len: the queries that are computed
  int64_t source_len = 1;  // the queries that the source holds
  std::variant<TokensSource, ProjectedSource, WeightedSource> source;
  AttentionSettings settings;  // heads as in `shape`
  MaskView mask;               // of the first sequence
  int64_t mask_batch_stride = 0;
  std::vector<int64_t> query_indices;  // q_len of them, each below source_len; empty: all
  WantedResults wanted;
  CallOutputs outputs;  // a place for each of `wanted`, there when the call runs

  // Whether the queries have to be picked from the source.
  bool PicksQueries() const { return !query_indices.empty() && wanted.NeedQuery(); }
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_
