#ifndef ATTENTION_SERVER_RPC_MESSAGES_REQUEST_LIMITS_H_
#define ATTENTION_SERVER_RPC_MESSAGES_REQUEST_LIMITS_H_

#include <cstdint>

namespace attention::rpc {

// What this server accepts of one call.
struct RequestLimits {
  int64_t max_message_bytes = int64_t{64} << 20;  // of a request, and of a response's results
  int64_t max_tokens = 131072;                    // batch * q_len, and batch * kv_len
};

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_MESSAGES_REQUEST_LIMITS_H_
