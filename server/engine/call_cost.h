#ifndef ATTENTION_SERVER_ENGINE_CALL_COST_H_
#define ATTENTION_SERVER_ENGINE_CALL_COST_H_

#include <cstdint>

#include "server/engine/attention_call.h"
#include "server/engine/encode_call.h"

namespace attention::engine {

// What a call asks of the compute threads; for batches, estimates and metrics.
struct CallCost {
  // Floating-point operations of its products, and a little for what every call takes. How long
  // they take is measured as the server runs. A double, which does not overflow.
  double flop = 0;
  int64_t tokens = 0;  // of its sequences: queries or keys, whichever are more
};

CallCost CostOf(const AttentionCall& call);
CallCost CostOf(const EncodeCall& call);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_CALL_COST_H_
