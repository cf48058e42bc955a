#ifndef ATTENTION_SERVER_RPC_MESSAGES_DECODE_LENGTHS_H_
#define ATTENTION_SERVER_RPC_MESSAGES_DECODE_LENGTHS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attention/v1/attention.pb.h"
#include "server/engine/attention_call.h"

// The lengths of the sequences of a request, decoded and checked.
namespace attention::rpc {

// What a source says of its lengths: by its tensors' axes and by its q_lens and kv_lens.
struct SourceLengths {
  int64_t rank = 2;    // axes of query, key and value
  int64_t batch = 1;   // where the batch is not ragged
  int64_t q_len = 1;   // tokens along the axis of the queries: in a ragged batch of all sequences
  int64_t kv_len = 1;  // the same of the call's own keys
  int64_t past_len = 0;
  bool has_past = false;
  bool is_cache = false;  // kv_lens of a batch that is not ragged say how full a cache is
  absl::Span<const int64_t> q_lens;
  absl::Span<const int64_t> kv_lens;
};

// Sets call.sequences, call.ragged, call.source_len and batch, q_len, kv_len and past_len in
// call.shape, for all queries of the source. FieldError where the lengths do not fit the axes, or
// where the call holds more than `max_tokens` tokens or sequences. `source` is the field that has
// q_lens and kv_lens, such as "projected".
absl::Status DecodeLengths(const SourceLengths& lengths, v1::CausalAlignment alignment,
                           int64_t max_tokens, absl::string_view source,
                           engine::AttentionCall& call);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MESSAGES_DECODE_LENGTHS_H_
