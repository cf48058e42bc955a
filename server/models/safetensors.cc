#include "server/models/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"
#include "server/json/quoted.h"

namespace attention::engine {
namespace {

struct Dtype {
  const char* name;
  int64_t bytes;
  std::optional<DataType> type;
};

constexpr Dtype kDtypes[] = {{"F32", 4, DataType::kFloat32}, {"BF16", 2, DataType::kBfloat16},
                             {"F16", 2, DataType::kFloat16}, {"F64", 8, DataType::kFloat64},
                             {"I64", 8, std::nullopt},       {"I32", 4, std::nullopt},
                             {"I16", 2, std::nullopt},       {"I8", 1, std::nullopt},
                             {"U64", 8, std::nullopt},       {"U32", 4, std::nullopt},
                             {"U16", 2, std::nullopt},       {"U8", 1, std::nullopt},
                             {"BOOL", 1, std::nullopt},      {"F8_E4M3", 1, std::nullopt},
                             {"F8_E5M2", 1, std::nullopt}};

const Dtype* FindDtype(const std::string& name) {
  const auto* const found = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                         [&](const Dtype& dtype) { return name == dtype.name; });
  return found == std::end(kDtypes) ? nullptr : found;
}

// One tensor as the header has it.
struct Entry {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> offsets;  // [begin, end) from the data's first byte
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// Takes the header as it is parsed, event by event: so that names that stand twice are seen, and
// nothing is kept that the format does not have.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;
  std::string error;  // why parsing ended, where it did

  bool null() override { return Refuse("null"); }
  bool boolean(bool) override { return Refuse("a truth value"); }
  bool number_float(number_float_t, const string_t&) override { return Refuse("a fraction"); }
  bool binary(binary_t&) override { return Refuse("binary data"); }

  bool number_integer(number_integer_t) override { return Refuse("a negative number"); }

  bool number_unsigned(number_unsigned_t number) override {
    if (place_ != Place::kNumbers) return Refuse("a number");
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Refuse("a number over 2^63 - 1");
    }
    if (numbers_->size() == Safetensors::kMostAxes) return Refuse("a list of more than 8 numbers");
    numbers_->push_back(static_cast<int64_t>(number));
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::kMetadata) {
      metadata[member_] = text;
      return true;
    }
    if (place_ != Place::kTensor || member_ != "dtype") return Refuse("a text");
    entry_->dtype = text;
    return true;
  }

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::kNothing:
        place_ = Place::kHeader;
        return true;
      case Place::kHeader:
        if (name_ == "__metadata__") {
          place_ = Place::kMetadata;
          return true;
        }
        entry_ = &entries[name_];
        place_ = Place::kTensor;
        return true;
      default:
        return Refuse("an object");
    }
  }

  bool end_object() override {
    place_ = place_ == Place::kHeader ? Place::kNothing : Place::kHeader;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || member_ == "dtype") return Refuse("a list");
    numbers_ = member_ == "shape" ? &entry_->shape : &entry_->offsets;
    place_ = Place::kNumbers;
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool key(string_t& key) override {
    if (place_ == Place::kHeader) return StartMember(key);
    member_ = key;
    if (place_ == Place::kMetadata) {
      if (metadata.count(key) != 0) {
        return Fail(absl::StrCat("its metadata has ", Quoted(key), " twice"));
      }
      return metadata.size() < Safetensors::kMostMetadata ||
             Fail(absl::StrCat("its metadata has more than ", Safetensors::kMostMetadata,
                               " members"));
    }
    bool* const seen = key == "dtype"          ? &entry_->has_dtype
                       : key == "shape"        ? &entry_->has_shape
                       : key == "data_offsets" ? &entry_->has_offsets
                                               : nullptr;
    if (seen == nullptr) {
      return Fail(absl::StrCat("tensor ", Quoted(name_), " has a member ", Quoted(key),
                               "; want dtype, shape and data_offsets"));
    }
    if (std::exchange(*seen, true)) {
      return Fail(absl::StrCat("tensor ", Quoted(name_), " has ", key, " twice"));
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return Fail(absl::StrCat("the header is no JSON: look at byte ", position));
  }

 private:
  enum class Place : uint8_t { kNothing, kHeader, kMetadata, kTensor, kNumbers };

  bool StartMember(const std::string& key) {
    name_ = key;
    if (key == "__metadata__") {
      return !std::exchange(has_metadata_, true) || Fail("it has __metadata__ twice");
    }
    if (entries.count(key) != 0) return Fail(absl::StrCat("tensor ", Quoted(key), " stands twice"));
    if (static_cast<int64_t>(entries.size()) == Safetensors::kMostTensors) {
      return Fail(absl::StrCat("it has more than ", Safetensors::kMostTensors, " tensors"));
    }
    return true;
  }

  bool Refuse(const char* what) {
    switch (place_) {
      case Place::kNothing:
        return Fail(absl::StrCat("the header is ", what, "; want an object"));
      case Place::kHeader:
        return Fail(absl::StrCat("tensor ", Quoted(name_), " is ", what, "; want an object"));
      case Place::kMetadata:
        return Fail(absl::StrCat("metadata ", Quoted(member_), " is ", what, "; want a text"));
      case Place::kTensor:
        return Fail(absl::StrCat("tensor ", Quoted(name_), " has ", what, " as ", member_,
                                 "; want ", member_ == "dtype" ? "a text" : "a list of numbers"));
      case Place::kNumbers:
        return Fail(absl::StrCat("tensor ", Quoted(name_), " has ", what, " in ", member_,
                                 "; want whole numbers from 0"));
    }
    return false;
  }
  bool Fail(std::string why) {
    if (error.empty()) error = std::move(why);
    return false;
  }

  Place place_ = Place::kNothing;
  bool has_metadata_ = false;
  std::string name_;    // the header's member
  std::string member_;  // the tensor's, or the metadata's
  Entry* entry_ = nullptr;
  std::vector<int64_t>* numbers_ = nullptr;
};

absl::Status Invalid(const std::string& problem) {
  return absl::InvalidArgumentError(absl::StrCat("safetensors: ", problem));
}

// What torch.save writes: a zip archive, before PyTorch 1.6 a pickle. As the length of a header
// either would be over kMostHeaderBytes.
bool IsTorchFile(absl::Span<const std::byte> file) {
  const absl::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  return absl::StartsWith(text, "PK\3\4") || absl::StartsWith(text, "\x80\2");
}

constexpr char kTorchFile[] =
    "the file is a PyTorch checkpoint; make a safetensors file of it in its folder: python3 -c "
    "\"import torch; from safetensors.torch import save_file; save_file({k: v.contiguous().clone() "
    "for k, v in torch.load('pytorch_model.bin', map_location='cpu', weights_only=True).items()}, "
    "'model.safetensors')\"";

// The bytes that dtype and shape say; null where that overflows.
std::optional<int64_t> SizeOf(const Dtype& dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = dtype.bytes;
  for (const int64_t length : shape) {
    if (length == 0) return 0;
    if (bytes > std::numeric_limits<int64_t>::max() / length) return std::nullopt;
    bytes *= length;
  }
  return bytes;
}

absl::StatusOr<StoredTensor> MakeTensor(const std::string& name, const Entry& entry,
                                        absl::Span<const std::byte> data) {
  const auto refuse = [&](const auto&... problem) {
    return Invalid(absl::StrCat("tensor ", Quoted(name), " ", problem...));
  };
  if (!entry.has_dtype || !entry.has_shape || !entry.has_offsets) {
    return refuse("has no ", !entry.has_dtype   ? "dtype"
                             : !entry.has_shape ? "shape"
                                                : "data_offsets");
  }
  const Dtype* const dtype = FindDtype(entry.dtype);
  if (dtype == nullptr) return refuse("has an unknown dtype ", Quoted(entry.dtype));
  const auto size = static_cast<int64_t>(data.size());
  const auto& offsets = entry.offsets;
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > size) {
    return refuse("has data_offsets [", absl::StrJoin(offsets, ", "),
                  "]; want [begin, end] within the ", size, " bytes of data");
  }
  const std::optional<int64_t> want = SizeOf(*dtype, entry.shape);
  const int64_t got = offsets[1] - offsets[0];
  if (want != got) {
    return refuse("has ", got, " bytes; want ", want.has_value() ? absl::StrCat(*want) : "more",
                  " = ", dtype->bytes, " * product of shape [", absl::StrJoin(entry.shape, ", "),
                  "]");
  }
  return StoredTensor{.dtype = entry.dtype,
                      .data_type = dtype->type,
                      .shape = entry.shape,
                      .data = data.subspan(offsets[0], got)};
}

// That the tensors cover the data, each byte once.
absl::Status CheckCover(const std::map<std::string, StoredTensor>& tensors,
                        absl::Span<const std::byte> data) {
  std::vector<std::pair<const std::byte*, const std::string*>> begins;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.data.empty()) begins.emplace_back(tensor.data.data(), &name);
  }
  std::sort(begins.begin(), begins.end());
  const std::byte* end = data.data();
  const std::string* before = nullptr;
  for (const auto& [begin, name] : begins) {
    if (begin < end) {
      return Invalid(absl::StrCat("tensors ", Quoted(*before), " and ", Quoted(*name), " overlap"));
    }
    if (begin > end) {
      return Invalid(absl::StrCat("the ", begin - end, " bytes before tensor ", Quoted(*name),
                                  " belong to no tensor"));
    }
    end += tensors.at(*name).data.size();
    before = name;
  }
  const int64_t left = data.data() + data.size() - end;
  if (left == 0) return absl::OkStatus();
  return Invalid(absl::StrCat("the last ", left, " bytes belong to no tensor"));
}

}  // namespace

int64_t StoredTensor::count() const {
  int64_t count = 1;
  for (const int64_t length : shape) count *= length;
  return count;
}

absl::StatusOr<Safetensors> Safetensors::Parse(absl::Span<const std::byte> file) {
  uint64_t header_bytes = 0;
  constexpr size_t kLeast = sizeof(header_bytes) + 2;
  if (file.size() < kLeast) {
    return Invalid(absl::StrCat("the file has ", file.size(), " bytes; want at least ", kLeast,
                                ", the length of a header and {}"));
  }
  std::memcpy(&header_bytes, file.data(), sizeof(header_bytes));
  const absl::Span<const std::byte> rest = file.subspan(sizeof(header_bytes));
  if (header_bytes > rest.size() || header_bytes > kMostHeaderBytes) {
    if (IsTorchFile(file)) return Invalid(kTorchFile);
    return Invalid(absl::StrCat("the header has ", header_bytes, " bytes; want at most ",
                                std::min<uint64_t>(rest.size(), kMostHeaderBytes)));
  }
  HeaderReader reader;
  const absl::string_view header(reinterpret_cast<const char*>(rest.data()), header_bytes);
  // The library takes a NUL for the end of the text.
  if (const size_t nul = header.find('\0'); nul != header.npos) {
    return Invalid(absl::StrCat("the header is no JSON: look at byte ", nul + 1));
  }
  if (!nlohmann::json::sax_parse(header.begin(), header.end(), &reader)) {
    return Invalid(reader.error);
  }

  Safetensors result;
  result.metadata = std::move(reader.metadata);
  const absl::Span<const std::byte> data = rest.subspan(header_bytes);
  for (const auto& [name, entry] : reader.entries) {
    absl::StatusOr<StoredTensor> tensor = MakeTensor(name, entry, data);
    if (!tensor.ok()) return tensor.status();
    result.tensors.emplace(name, *std::move(tensor));
  }
  if (absl::Status s = CheckCover(result.tensors, data); !s.ok()) return s;
  return result;
}

}  // namespace attention::engine
