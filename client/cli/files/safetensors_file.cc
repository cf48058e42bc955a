#include "client/cli/files/safetensors_file.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/files/json_text.h"
#include "client/cli/files/token_ids_hint.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

// The limit of the format's own library.
constexpr uint64_t kMostSafetensorsHeaderBytes = uint64_t{100} << 20;
constexpr int kMostSafetensorsAxes = 32;  // as NumPy has it; the server takes 4
constexpr char kMetadata[] = "__metadata__";

struct SafetensorsType {
  absl::string_view name;
  v1::DataType type;
};
constexpr std::array<SafetensorsType, 6> kSafetensorsTypes = {{{"F32", v1::DATA_TYPE_FLOAT32},
                                                               {"BF16", v1::DATA_TYPE_BFLOAT16},
                                                               {"F16", v1::DATA_TYPE_FLOAT16},
                                                               {"F64", v1::DATA_TYPE_FLOAT64},
                                                               {"BOOL", v1::DATA_TYPE_BOOL},
                                                               {"I32", v1::DATA_TYPE_INT32}}};

// Returns a tensor with the type and shape of an entry. `begin` and `end` are the range of its
// bytes after the header.
absl::StatusOr<v1::Tensor> Describe(const nlohmann::json& entry, uint64_t& begin, uint64_t& end) {
  v1::Tensor tensor;
  try {
    const auto dtype = entry.at("dtype").get<std::string>();
    for (const SafetensorsType& known : kSafetensorsTypes) {
      if (known.name == dtype) tensor.set_data_type(known.type);
    }
    if (tensor.data_type() == v1::DATA_TYPE_UNSPECIFIED) {
      const bool of_integers = absl::StartsWith(dtype, "I") || absl::StartsWith(dtype, "U");
      return absl::InvalidArgumentError(absl::StrCat("its dtype is ", dtype,
                                                     "; want F32, BF16, F16, F64 or BOOL",
                                                     of_integers ? kTokenIdsHint : ""));
    }
    for (const auto& axis : entry.at("shape")) {
      if (!axis.is_number_unsigned() || tensor.shape_size() == kMostSafetensorsAxes) {
        return absl::InvalidArgumentError("its shape cannot be read");
      }
      tensor.add_shape(axis.get<int64_t>());
    }
    const auto& offsets = entry.at("data_offsets");
    if (!offsets.at(0).is_number_unsigned() || !offsets.at(1).is_number_unsigned()) {
      return absl::InvalidArgumentError("its offsets cannot be read");
    }
    begin = offsets.at(0).get<uint64_t>();
    end = offsets.at(1).get<uint64_t>();
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError("its header cannot be read");
  }
  return tensor;
}

absl::StatusOr<nlohmann::json> ReadHeader(FileReader& file) {
  uint64_t length = 0;
  if (file.size() < sizeof(length)) return absl::InvalidArgumentError("it ends before its header");
  std::array<char, sizeof(length)> bytes;
  if (absl::Status status = file.Read(bytes.data(), bytes.size()); !status.ok()) return status;
  std::memcpy(&length, bytes.data(), bytes.size());  // both are little-endian (tensor.cc)
  if (length > kMostSafetensorsHeaderBytes || length > file.size() - bytes.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("it is no safetensors file: its header would have ", length, " bytes"));
  }
  std::string text(length, '\0');
  if (absl::Status status = file.Read(text.data(), length); !status.ok()) return status;
  absl::StatusOr<nlohmann::json> header = ParseJson(text, "its header");
  if (header.ok() && !header->is_object()) {
    return absl::InvalidArgumentError("its header is no JSON object");
  }
  if (header.ok()) header->erase(kMetadata);
  return header;
}

}  // namespace

absl::StatusOr<v1::Tensor> ReadSafetensor(FileReader& file, const std::string& name,
                                          uint64_t most_bytes) {
  const absl::StatusOr<nlohmann::json> header = ReadHeader(file);
  if (!header.ok()) return header.status();
  const uint64_t data_at = file.position();

  std::vector<std::string> names;
  for (const auto& [key, entry] : header->items()) names.push_back(key);
  const std::string& wanted = name.empty() && names.size() == 1 ? names[0] : name;
  if (!header->contains(wanted)) return NoSuchArray(name, names);
  uint64_t begin = 0, end = 0;
  absl::StatusOr<v1::Tensor> tensor = Describe(header->at(wanted), begin, end);
  if (!tensor.ok()) return tensor.status();
  const absl::StatusOr<size_t> bytes = ByteCount(*tensor);
  if (!bytes.ok()) return bytes.status();
  if (begin > end || end - begin != *bytes || end > file.size() - data_at) {
    return absl::InvalidArgumentError(absl::StrCat(wanted, " has other bytes than its shape says"));
  }
  if (*bytes > most_bytes) return TooLargeForMessage(*bytes, most_bytes);
  std::string& data = *tensor->mutable_data();
  data.resize(*bytes);
  file.Seek(data_at + begin);
  if (absl::Status status = file.Read(data.data(), *bytes); !status.ok()) return status;
  return tensor;
}

absl::StatusOr<std::string> SafetensorsHeader(absl::Span<const NamedTensor> tensors) {
  nlohmann::json header = nlohmann::json::object();
  uint64_t begin = 0;
  for (const auto& [name, tensor] : tensors) {
    const absl::StatusOr<size_t> bytes = ByteCount(*tensor);
    if (!bytes.ok()) return bytes.status();
    if (tensor->data().size() != *bytes) {
      return absl::InvalidArgumentError("the tensor's bytes are not what its shape says");
    }
    if (header.contains(name)) {
      return absl::InvalidArgumentError(absl::StrCat("there are two tensors called ", name));
    }
    for (const SafetensorsType& known : kSafetensorsTypes) {
      if (known.type == tensor->data_type()) header[name]["dtype"] = known.name;
    }
    header[name]["shape"] = std::vector<int64_t>(tensor->shape().begin(), tensor->shape().end());
    header[name]["data_offsets"] = {begin, begin + *bytes};
    begin += *bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the data is aligned, as the format
                                                // requires
  const uint64_t length = text.size();
  std::string start(sizeof(length), '\0');
  std::memcpy(start.data(), &length, sizeof(length));
  return start + text;
}

}  // namespace attention::client
