#ifndef ATTENTION_SERVER_ENGINE_STEPS_RETURN_HEADS_H_
#define ATTENTION_SERVER_ENGINE_STEPS_RETURN_HEADS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/memory/heads_view.h"
#include "server/engine/steps/member.h"

namespace attention::engine {

// Rows rows[0], rows[1], ... of each head of `from`, as [heads, number of rows, dim], converted
// where the types differ. Thread-safe.
void CopyRows(const HeadsView& from, int64_t heads, absl::Span<const int64_t> rows, int64_t dim,
              const MutableHeadsView& to);

// Query, key, value, present key and present value of `member` to those places of its call's
// outputs that there are. Thread-safe.
void ReturnHeads(const Member& member);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_STEPS_RETURN_HEADS_H_
