#ifndef ATTENTION_SERVER_ENGINE_STEPS_GATHER_H_
#define ATTENTION_SERVER_ENGINE_STEPS_GATHER_H_

#include <cstddef>
#include <cstdint>

#include "server/engine/attention_call.h"
#include "server/engine/steps/member.h"

// Rows that the next step wants one behind the other. Thread-safe.
namespace attention::engine {

// Rows query_indices of each sequence of `from`, [batch, heads, source_len, dim], to `to`, [batch,
// heads, q_len, dim], converted where the types differ.
void PickQueries(const AttentionCall& call, const BatchView& from, int64_t heads, int64_t dim,
                 const MutableBatchView& to);

// The query tokens of `member`, those picked alone, to `to`: [queries, d_model] of its members'
// common type. Returns the end of what it wrote.
std::byte* GatherTokens(const Member& member, std::byte* to);

// The key tokens, to `to`: [current keys, d_context]. Returns the end of what it wrote.
std::byte* GatherContext(const Member& member, std::byte* to);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_STEPS_GATHER_H_
