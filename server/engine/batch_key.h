#ifndef ATTENTION_SERVER_ENGINE_BATCH_KEY_H_
#define ATTENTION_SERVER_ENGINE_BATCH_KEY_H_

#include <string>

#include "server/engine/attention_call.h"
#include "server/engine/encode_call.h"

namespace attention::engine {

// Which calls may run as one batch: those with the same key. Their stored layer, compute type,
// settings, types and wanted results are equal; lengths, masks, positions and query_indices may
// differ. Empty: the call runs alone. So do calls without a stored layer, which have nothing to
// share, and Encode calls with a look into a layer.
//
// Names the layer by its address: valid while one of the calls holds it.
std::string BatchKey(const AttentionCall& call);
std::string BatchKey(const EncodeCall& call);

// Whether the key is not empty.
bool MayJoinBatch(const AttentionCall& call);
bool MayJoinBatch(const EncodeCall& call);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_BATCH_KEY_H_
