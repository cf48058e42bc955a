// Any bytes as a safetensors file: they are refused in words, or every tensor lies within them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "server/models/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using attention::engine::Safetensors;
  const auto* const bytes = reinterpret_cast<const std::byte*>(data);
  const auto file = Safetensors::Parse({bytes, size});
  if (!file.ok()) {
    if (file.status().message().empty() || file.status().message().size() > 2000) std::abort();
    return 0;
  }
  for (const auto& [name, tensor] : file->tensors) {
    unsigned sum = 0;
    for (const std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);
    // Keeps the reads; no sum comes near it.
    if (sum == ~0u || tensor.count() < 0) std::abort();
  }
  return 0;
}
