#ifndef ATTENTION_SERVER_RPC_LAYERS_DESCRIBE_LAYER_H_
#define ATTENTION_SERVER_RPC_LAYERS_DESCRIBE_LAYER_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "attention/v1/layer.pb.h"
#include "server/models/layer_store.h"

namespace attention::rpc {

// Sets all fields of `to`, config_json only `with_config`.
void Describe(const engine::LayerStore::Listed& listed, bool with_config,
              engine::LayerStore& layers, v1::Layer& to);

// The last layer of a page, behind which the next one begins. Lists go by name and then the newest
// version first; so a token stays good while layers come and go.
struct PageToken {
  std::string name;
  int64_t version = 0;

  // Whether `listed` comes later in the list.
  bool IsBefore(const engine::LayerStore::Listed& listed) const;
};

std::string PageTokenOf(const v1::Layer& layer);
// FieldError. An empty one is before all.
absl::StatusOr<PageToken> ParsePageToken(const std::string& token);

}  // namespace attention::rpc

#endif  // ATTENTION_SERVER_RPC_LAYERS_DESCRIBE_LAYER_H_
