#ifndef ATTENTION_TESTS_SERVER_ENGINE_LAYERS_SAFETENSORS_FILE_H_
#define ATTENTION_TESTS_SERVER_ENGINE_LAYERS_SAFETENSORS_FILE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace attention::engine {

// The bytes of a file with this header and this data, right or wrong.
inline std::vector<std::byte> SafetensorsFile(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  file += header + data;
  const auto* const bytes = reinterpret_cast<const std::byte*>(file.data());
  return {bytes, bytes + file.size()};
}

}  // namespace attention::engine

#endif  // ATTENTION_TESTS_SERVER_ENGINE_LAYERS_SAFETENSORS_FILE_H_
