// Any bytes as a .npy file (behind a byte 0) or a safetensors file (behind a 1), as the command
// line reads them: they are refused in words, or make a tensor whose bytes are those of its shape.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "absl/strings/string_view.h"
#include "client/npy.h"
#include "client/safetensors_file.h"
#include "client/tensor.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  absl::StatusOr<attention::v1::Tensor> tensor;
  if (data[0] == 0) {
    tensor = attention::client::TensorFromNpy(bytes);
  } else {
    std::istringstream file{std::string(bytes)};
    tensor = attention::client::ReadSafetensor(file, "");
  }
  if (!tensor.ok()) {
    if (tensor.status().message().empty() || tensor.status().message().size() > 8000) std::abort();
    return 0;
  }
  const auto want = attention::client::ByteCount(*tensor);
  if (!want.ok() || tensor->data().size() != *want) std::abort();
  return 0;
}
