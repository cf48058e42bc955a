#ifndef ATTENTION_SERVER_ENGINE_ANY_CALL_H_
#define ATTENTION_SERVER_ENGINE_ANY_CALL_H_

#include <cstdint>
#include <memory>
#include <variant>

#include "kernels/memory/data_type.h"
#include "server/engine/attention_call.h"
#include "server/engine/encode_call.h"
#include "server/models/stored_layer.h"

namespace attention::engine {

// A call of either kind, and what both can be asked.
using AnyCall = std::variant<const AttentionCall*, const EncodeCall*>;

// The stored layer that the call names, or null.
inline const std::shared_ptr<const StoredLayer>& LayerOf(const AnyCall& any) {
  return std::visit(
      [](const auto* call) -> const auto& { return call->layer; }, any);
}

inline ComputeType ComputeTypeOf(const AnyCall& any) {
  return std::visit([](const auto* call) { return call->compute_type; }, any);
}

inline int64_t SequencesOf(const AnyCall& any) {
  if (const auto* const call = std::get_if<const AttentionCall*>(&any)) return (*call)->shape.batch;
  return static_cast<int64_t>(std::get<const EncodeCall*>(any)->lens.size());
}

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_ANY_CALL_H_
