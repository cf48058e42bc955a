// Any bytes as a layer's config.json: they are refused in words, or what they say is in range.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "server/models/layer_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using attention::engine::LayerConfig;
  const auto config = LayerConfig::Parse({reinterpret_cast<const char*>(data), size});
  if (!config.ok()) {
    if (config.status().message().empty()) std::abort();
    return 0;
  }
  const bool in_range = config->num_heads >= 1 && config->num_kv_heads >= 1 &&
                        config->max_len >= 0 && config->layer_norm_eps > 0 &&
                        config->rotary_base >= 1;
  if (!in_range) std::abort();
  return 0;
}
