#ifndef ATTENTION_TESTS_SERVER_MODELS_SAFETENSORS_FILE_H_
#define ATTENTION_TESTS_SERVER_MODELS_SAFETENSORS_FILE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace attention::engine {

// A file with this header and this data, right or wrong.
inline std::string SafetensorsText(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file + header + data;
}

// Its bytes.
inline std::vector<std::byte> SafetensorsFile(const std::string& header, const std::string& data) {
  const std::string file = SafetensorsText(header, data);
  const auto* const bytes = reinterpret_cast<const std::byte*>(file.data());
  return {bytes, bytes + file.size()};
}

}  // namespace attention::engine

#endif  // ATTENTION_TESTS_SERVER_MODELS_SAFETENSORS_FILE_H_
