#ifndef ATTENTION_SERVER_RPC_WARM_UP_H_
#define ATTENTION_SERVER_RPC_WARM_UP_H_

#include "absl/status/status.h"
#include "server/models/stored_layer.h"
#include "server/rpc/shared/compute_call.h"

namespace attention::rpc {

// Compiles the operators of calls that bring their own query, key and value with heads of the usual
// widths: 64 and 128, in float32. Some milliseconds each; computes nothing.
absl::Status CompileUsualWidths(const ComputeContext& context);

// Compiles those of calls for the newest version of a stored layer, whose first caller then need
// not wait. Packs no weights. Fails as the call would.
absl::Status CompileLayer(const ComputeContext& context, const engine::StoredLayer& layer);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_WARM_UP_H_
