#ifndef ATTENTION_SERVER_RPC_MESSAGES_DECODE_CONFIG_H_
#define ATTENTION_SERVER_RPC_MESSAGES_DECODE_CONFIG_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attention/v1/attention.pb.h"
#include "kernels/attention/attention_problem.h"
#include "kernels/memory/data_type.h"
#include "server/rpc/messages/decode_tensor.h"

// The settings of a request (AttentionConfig), decoded and checked.
namespace attention::rpc {

// A position, and a window, is at most so large.
inline constexpr int64_t kMaxPosition = int64_t{1} << 31;

// The call that a config is for.
struct ConfiguredCall {
  int64_t batch = 1;
  int64_t num_heads = 1;
  int64_t num_kv_heads = 1;
  int64_t head_dim = 1;
  int64_t q_len = 1;   // queries of a sequence; of a ragged batch the most
  int64_t kv_len = 1;  // keys, the past included; likewise
};

// What an AttentionConfig says, but for its rotary embedding. `settings` and `mask` read the
// config's memory and the storage's.
struct DecodedConfig {
  AttentionSettings settings;
  ComputeType compute_type = ComputeType::kFloat32;
  MaskView mask;  // of the first sequence
  int64_t mask_batch_stride = 0;
};

// `config` and `storage` must outlive the result. FieldError where something does not fit the call.
absl::StatusOr<DecodedConfig> DecodeConfig(const v1::AttentionConfig& config,
                                           const ConfiguredCall& call, TensorStorage& storage);

// FieldError unless the value of an enum is `valid`; `want` names those that are.
absl::Status WantEnum(bool valid, int value, absl::string_view want, absl::string_view field);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MESSAGES_DECODE_CONFIG_H_
