#ifndef ATTENTION_SERVER_ENGINE_STEPS_MEMBER_H_
#define ATTENTION_SERVER_ENGINE_STEPS_MEMBER_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/memory/data_type.h"
#include "kernels/threads/plan.h"
#include "server/engine/attention_call.h"
#include "server/engine/call_sequences.h"

// A call of a batch on its way through the steps of an attention plan, and the rows that the plan
// keeps for it.
namespace attention::engine {

inline BatchView ReadOnly(const MutableBatchView& view) {
  return {attention::ReadOnly(view.first), view.batch_stride};
}

// The rows of `view` from `rows` on.
inline MutableBatchView RowsFrom(int64_t rows, MutableBatchView view) {
  view.first = view.At(0, rows);
  return view;
}

// Room in `plan` for float32 rows [rows, heads * dim], not set; null where the plan is counted.
inline MutableBatchView ReserveRows(int64_t rows, int64_t heads, int64_t dim, Plan& plan) {
  float* const data = plan.Reserve<float>(rows * heads * dim);
  return TokenMajorBatch(reinterpret_cast<std::byte*>(data), DataType::kFloat32, heads, dim);
}

// One call of a batch on its way through the steps of a plan: where its queries, keys and values
// are at the moment. What it does not need is null, and all of it where the plan is counted.
struct Member {
  const AttentionCall* call = nullptr;
  SequenceOffsets totals;   // of its sequences
  int64_t first_query = 0;  // the queries of the members before it
  int64_t first_key = 0;    // their current keys

  BatchView query;                 // [batch, num_heads, q_len, head_dim], those picked alone
  BatchView key;                   // [batch, num_kv_heads, kv_len - past_len, head_dim]
  BatchView value;                 // [batch, num_kv_heads, kv_len - past_len, v_head_dim]
  BatchView past_key, past_value;  // [batch, num_kv_heads, past_len, ...]
  MutableBatchView output;         // [batch, num_heads, q_len, v_head_dim]: the operator's

  // Keys and values of sequence `b`, those of the past before its own.
  CachedHeadsView Key(int64_t b, const SequenceOffsets& offsets) const {
    return {past_key.At(b, 0), key.At(b, offsets.current_keys), call->shape.past_len};
  }
  CachedHeadsView Value(int64_t b, const SequenceOffsets& offsets) const {
    return {past_value.At(b, 0), value.At(b, offsets.current_keys), call->shape.past_len};
  }

  // The same rows as query and key, where they are the plan's and may be overwritten.
  std::optional<MutableBatchView> own_query, own_key;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_STEPS_MEMBER_H_
