#ifndef ATTENTION_SERVER_RPC_SHARED_SET_DURATION_H_
#define ATTENTION_SERVER_RPC_SHARED_SET_DURATION_H_

#include <cstdint>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace attention::rpc {

// A finite duration as protobuf has it.
inline void SetDuration(absl::Duration from, google::protobuf::Duration& to) {
  to.set_seconds(absl::IDivDuration(from, absl::Seconds(1), &from));
  to.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(from)));
}

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_SHARED_SET_DURATION_H_
