#ifndef ATTENTION_SERVER_HOST_MIB_H_
#define ATTENTION_SERVER_HOST_MIB_H_

#include <cstdint>

namespace attention::engine {

// Bytes in a mebibyte, in which flags and messages count memory.
inline constexpr int64_t kMib = 1 << 20;

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_HOST_MIB_H_
