#ifndef ATTENTION_SERVER_RPC_ATTENTION_CONTRACT_RESULTS_H_
#define ATTENTION_SERVER_RPC_ATTENTION_CONTRACT_RESULTS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "attention/v1/attention_service.pb.h"
#include "server/engine/result_table.h"

// The results of ComputeAttention as the contract lists them (attention.proto, enum Result): what a
// client may know of them is read from there, and what only the server knows from engine::kResults.
// Thread-safe.
namespace attention::rpc {

// The axes that the contract names; what their lengths are, engine::CallShape says.
enum class ResultAxis : uint8_t {
  kBatch,
  kNumHeads,
  kNumKvHeads,
  kQLen,
  kKvLen,   // the keys that a stored layer adds included, where scores are meant
  kNewLen,  // kv_len - past_len
  kHeadDim,
  kVHeadDim,
  kTopK,
};

struct ListedResult {
  const engine::ResultRow* row = nullptr;
  v1::Result number = v1::RESULT_UNSPECIFIED;
  const google::protobuf::FieldDescriptor* field = nullptr;  // of ComputeAttentionResponse
  std::vector<ResultAxis> axes;
};

// All of them, in the order of the contract. A service reads them when it is made, so that a
// mistake in them is found before any call.
absl::Span<const ListedResult> ListedResults();

// Null where there is none of this number.
const ListedResult* FindResult(int number);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_ATTENTION_CONTRACT_RESULTS_H_
