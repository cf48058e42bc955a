#ifndef ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_
#define ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "kernels/attention/attention_problem.h"
#include "kernels/attention/rotary.h"
#include "kernels/memory/data_type.h"
#include "kernels/memory/heads_view.h"
#include "server/engine/result_table.h"
#include "server/models/projections.h"

// One call of attention as the engine runs it: shapes, where queries, keys and values come from,
// settings, and where the results go. It owns none of the memory that it points to.
namespace attention::engine {

class StoredLayer;

// The sizes that all sequences of a call share; all but past_len at least 1, and num_heads a
// multiple of num_kv_heads.
struct CallShape {
  int64_t batch = 1;         // independent sequences
  int64_t q_len = 1;         // query tokens that are computed; of a ragged batch the most
  int64_t kv_len = 1;        // key/value tokens, the past included; of a ragged batch the most
  int64_t past_len = 0;      // those of an earlier call
  int64_t num_heads = 1;     // query heads
  int64_t num_kv_heads = 1;  // key/value heads
  int64_t head_dim = 1;      // width of one query or key head
  int64_t v_head_dim = 1;    // width of one value head
  int64_t extra_keys = 0;    // that the call's stored layer adds behind the kv_len of a sequence

  // Length of a row of scores.
  int64_t score_len() const { return kv_len + extra_keys; }
};

// The lengths of one sequence.
struct SequenceShape {
  int64_t q_len = 1;        // queries that are computed; 0 in a ragged batch
  int64_t kv_len = 1;       // keys, the past included; 0 in a ragged batch
  int64_t visible_len = 1;  // keys from here on are padding
  // Query i stands at position i + causal_offset among the keys.
  int64_t causal_offset = 0;
};

// Numbers of one type. Does not own them; they may be unaligned.
struct NumbersView {
  const std::byte* data = nullptr;
  DataType type = DataType::kFloat32;
};

// The heads of all sequences of a batch. They are batch_stride numbers apart; where that is 0 their
// tokens follow each other along the rows.
template <typename Byte>
struct BasicBatchView {
  BasicHeadsView<Byte> first;
  int64_t batch_stride = 0;

  // Sequence `b`, before whose tokens come `rows_before` others.
  BasicHeadsView<Byte> At(int64_t b, int64_t rows_before) const {
    BasicHeadsView<Byte> view = first;
    if (view.data == nullptr) return view;
    const int64_t before = batch_stride != 0 ? b * batch_stride : rows_before * first.row_stride;
    view.data += before * ByteSize(view.type);
    return view;
  }
};
using BatchView = BasicBatchView<const std::byte>;
using MutableBatchView = BasicBatchView<std::byte>;

// Numbers [tokens of all sequences, heads * dim].
template <typename Byte>
BasicBatchView<Byte> TokenMajorBatch(Byte* data, DataType type, int64_t heads, int64_t dim) {
  return {TokenMajorView(data, type, heads, dim), 0};
}

// Numbers [batch, heads, len, dim].
template <typename Byte>
BasicBatchView<Byte> HeadMajorBatch(Byte* data, DataType type, int64_t len, int64_t heads,
                                    int64_t dim) {
  return {HeadMajorView(data, type, len, dim), heads * len * dim};
}

// Query, key and value come from tokens. Without projections query = tokens and key = value =
// context. There is no past.
struct TokensSource {
  NumbersView tokens;   // [query tokens of all sequences, d_model]
  NumbersView context;  // [key tokens of all sequences, d_context]; in self-attention the tokens
  int64_t d_model = 0;
  std::optional<Projections> projections;
};

struct ProjectedSource {
  BatchView query;       // [batch, num_heads, source_len, head_dim]
  BatchView key;         // [batch, num_kv_heads, kv_len - past_len, head_dim]
  BatchView value;       // [batch, num_kv_heads, kv_len - past_len, v_head_dim]
  BatchView past_key;    // [batch, num_kv_heads, past_len, head_dim], where past_len is not 0
  BatchView past_value;  // [batch, num_kv_heads, past_len, v_head_dim], likewise
};

struct WeightedSource {
  BatchView attention_weights;  // [batch, num_heads, source_len, kv_len]
  BatchView value;              // [batch, num_kv_heads, kv_len, v_head_dim]
};

// Results over disjoint keys. Keys and head_dim have no meaning.
struct PartialsSource {
  struct Part {
    BatchView output;                    // [batch, num_heads, source_len, v_head_dim]
    const float* log_sum_exp = nullptr;  // [batch, num_heads, source_len]
  };
  std::vector<Part> parts;
};

// Rotary embedding of query and key.
struct CallRotary {
  RotarySettings settings;
  // [query tokens of all sequences, before query_indices] and [key tokens of all sequences]; or
  // both empty: query i of a sequence is at i + causal_offset, key j of the call at past_len + j.
  std::vector<int64_t> query_positions;
  std::vector<int64_t> key_positions;
};

// The types of results' numbers, as NumbersOf says.
struct ResultTypes {
  DataType result = DataType::kFloat32;
  DataType key = DataType::kFloat32;
  DataType value = DataType::kFloat32;
};

// Where the results go; what is null is not wanted. Row-major and, but for the output, dense; of a
// ragged batch sequence after sequence, each as in a batch of one. Their axes are those that the
// contract lists (attention.proto, enum Result), with the keys that a stored layer adds counted in
// kv_len.
struct CallOutputs {
  // [batch, num_heads, q_len, v_head_dim]; the result after the output projection, if there is one.
  MutableBatchView output;
  int64_t top_k = 0;               // for the two below, 1 to kv_len
  int32_t* top_indices = nullptr;  // [batch, num_heads, q_len, top_k]
  float* top_weights = nullptr;    // [batch, num_heads, q_len, top_k]

  // Any other result.
  std::byte* At(Result result) const { return places_[static_cast<size_t>(result)]; }
  void Set(Result result, std::byte* place) { places_[static_cast<size_t>(result)] = place; }

  float* log_sum_exp() const { return reinterpret_cast<float*>(At(Result::kLogSumExp)); }

 private:
  std::array<std::byte*, kResultCount> places_ = {};
};

// One call, ready to run: whoever makes one has checked that the shapes fit together and that all
// memory that it reads is there. It owns none of that memory.
struct AttentionCall {
  CallShape shape;
  std::vector<SequenceShape> sequences;  // `batch` of them
  bool ragged = false;                   // whether they differ in q_len or kv_len
  int64_t source_len = 1;                // the queries of each sequence that the source holds
  std::variant<TokensSource, ProjectedSource, WeightedSource, PartialsSource> source;
  std::shared_ptr<const StoredLayer> layer;  // of a TokensSource: whose projections it has, or null
  AttentionSettings settings;                // heads as in `shape`
  ComputeType compute_type = ComputeType::kFloat32;
  std::optional<CallRotary> rotary;
  MaskView mask;  // of the first sequence
  int64_t mask_batch_stride = 0;
  std::vector<int64_t> query_indices;  // q_len of them, each below source_len; empty: all
  ResultSet wanted;
  ResultTypes types;
  CallOutputs outputs;  // a place for each of `wanted`, there when the call runs

  // Whether the queries have to be picked from the source. Never of a ragged batch.
  bool PicksQueries() const { return !query_indices.empty() && wanted.NeedQuery(); }
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ATTENTION_CALL_H_
