#include "client/safetensors_file.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <istream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/json_text.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

constexpr uint64_t kMostHeaderBytes = uint64_t{100} << 20;  // as the format's own library has it
constexpr int kMostAxes = 32;                               // as NumPy has it; the server takes 4
constexpr char kMetadata[] = "__metadata__";

struct SafetensorsType {
  absl::string_view name;
  v1::DataType type;
};
constexpr std::array<SafetensorsType, 6> kTypes = {{{"F32", v1::DATA_TYPE_FLOAT32},
                                                    {"BF16", v1::DATA_TYPE_BFLOAT16},
                                                    {"F16", v1::DATA_TYPE_FLOAT16},
                                                    {"F64", v1::DATA_TYPE_FLOAT64},
                                                    {"BOOL", v1::DATA_TYPE_BOOL},
                                                    {"I32", v1::DATA_TYPE_INT32}}};

absl::Status Error(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Type and shape of a header's entry, and where its bytes begin behind the header.
absl::StatusOr<v1::Tensor> Describe(const nlohmann::json& entry, uint64_t& begin, uint64_t& end) {
  v1::Tensor tensor;
  try {
    const auto dtype = entry.at("dtype").get<std::string>();
    for (const SafetensorsType& known : kTypes) {
      if (known.name == dtype) tensor.set_data_type(known.type);
    }
    if (tensor.data_type() == v1::DATA_TYPE_UNSPECIFIED) {
      return Error(absl::StrCat("its dtype is ", dtype, "; want F32, BF16, F16, F64 or BOOL"));
    }
    for (const auto& axis : entry.at("shape")) {
      if (!axis.is_number_unsigned() || tensor.shape_size() == kMostAxes) {
        return Error("its shape cannot be read");
      }
      tensor.add_shape(axis.get<int64_t>());
    }
    const auto& offsets = entry.at("data_offsets");
    if (!offsets.at(0).is_number_unsigned() || !offsets.at(1).is_number_unsigned()) {
      return Error("its offsets cannot be read");
    }
    begin = offsets.at(0).get<uint64_t>();
    end = offsets.at(1).get<uint64_t>();
  } catch (const nlohmann::json::exception&) {
    return Error("its header cannot be read");
  }
  return tensor;
}

absl::StatusOr<nlohmann::json> ReadHeader(std::istream& file, uint64_t file_bytes) {
  uint64_t length = 0;
  std::array<char, sizeof(length)> bytes;
  if (!file.read(bytes.data(), bytes.size())) return Error("it ends before its header");
  std::memcpy(&length, bytes.data(), bytes.size());  // little-endian, as memory is (tensor.cc)
  if (length > kMostHeaderBytes || length > file_bytes - bytes.size()) {
    return Error(
        absl::StrCat("it is no safetensors file: its header would have ", length, " bytes"));
  }
  std::string text(length, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(length))) {
    return Error("it ends in its header");
  }
  absl::StatusOr<nlohmann::json> header = ParseJson(text, "its header");
  if (header.ok() && !header->is_object()) return Error("its header is no JSON object");
  if (header.ok()) header->erase(kMetadata);
  return header;
}

}  // namespace

absl::StatusOr<v1::Tensor> ReadSafetensor(const std::string& path, const std::string& name) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError("it cannot be opened");
  return ReadSafetensor(file, name);
}

absl::StatusOr<v1::Tensor> ReadSafetensor(std::istream& file, const std::string& name) {
  file.seekg(0, std::ios::end);
  const auto file_bytes = static_cast<uint64_t>(file.tellg());
  file.seekg(0);
  if (file_bytes < sizeof(uint64_t)) return Error("it ends before its header");
  const absl::StatusOr<nlohmann::json> header = ReadHeader(file, file_bytes);
  if (!header.ok()) return header.status();
  const uint64_t data_at = static_cast<uint64_t>(file.tellg());

  std::vector<std::string> names;
  for (const auto& [key, entry] : header->items()) names.push_back(key);
  const std::string& wanted = name.empty() && names.size() == 1 ? names[0] : name;
  if (!header->contains(wanted)) return NoSuchArray(name, names);
  uint64_t begin = 0, end = 0;
  absl::StatusOr<v1::Tensor> tensor = Describe(header->at(wanted), begin, end);
  if (!tensor.ok()) return tensor.status();
  const absl::StatusOr<size_t> bytes = ByteCount(*tensor);
  if (!bytes.ok()) return bytes.status();
  if (begin > end || end - begin != *bytes || end > file_bytes - data_at) {
    return Error(absl::StrCat(wanted, " has other bytes than its shape says"));
  }
  if (*bytes > kMostArrayBytes) return Error(absl::StrCat(wanted, " has ", *bytes, " bytes"));
  std::string data(*bytes, '\0');
  file.seekg(static_cast<std::streamoff>(data_at + begin));
  if (!file.read(data.data(), static_cast<std::streamsize>(*bytes))) return Error("it ends early");
  tensor->set_data(std::move(data));
  return tensor;
}

absl::StatusOr<std::string> SafetensorsFrom(absl::Span<const NamedTensor> tensors) {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const auto& [name, given] : tensors) {
    const absl::StatusOr<v1::Tensor> with_data = AsBytes(given);
    if (!with_data.ok()) return with_data.status();
    const v1::Tensor& tensor = *with_data;
    const absl::StatusOr<size_t> bytes = ByteCount(tensor);
    if (!bytes.ok()) return bytes.status();
    if (tensor.data().size() != *bytes)
      return Error("the tensor's bytes are not what its shape says");
    if (header.contains(name)) return Error(absl::StrCat("there are two tensors called ", name));
    for (const SafetensorsType& known : kTypes) {
      if (known.type == tensor.data_type()) header[name]["dtype"] = known.name;
    }
    header[name]["shape"] = std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end());
    header[name]["data_offsets"] = {data.size(), data.size() + *bytes};
    data += tensor.data();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // the data is aligned, as the format wants it
  const uint64_t length = text.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return absl::StrCat(file, text, data);
}

}  // namespace attention::client
