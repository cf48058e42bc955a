#include "client/cli/files/npy.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/files/array_file.h"
#include "client/cli/files/token_ids_hint.h"
#include "client/narrow_floats.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
// The header begins at this byte in version 1, whose length field has 2 bytes, and 2 bytes later in
// other versions.
constexpr size_t kHeaderAt = 10;
constexpr size_t kMostNpyHeaderBytes = size_t{64} << 10;
constexpr int kMostNpyAxes = 32;                       // as NumPy has it; the server takes 4
constexpr size_t kAlignment = 64;                      // of the data, as NumPy writes it
constexpr size_t kConvertedAtOnce = size_t{16} << 10;  // numbers: 64 KiB of float32

struct NumpyType {
  absl::string_view descr;
  v1::DataType type;
};
// The first entry of a type is the one that is written.
constexpr std::array<NumpyType, 7> kNumpyTypes = {{{"<f4", v1::DATA_TYPE_FLOAT32},
                                                   {"<f8", v1::DATA_TYPE_FLOAT64},
                                                   {"<f2", v1::DATA_TYPE_FLOAT16},
                                                   {"|b1", v1::DATA_TYPE_BOOL},
                                                   {"<i4", v1::DATA_TYPE_INT32},
                                                   {"<V2", v1::DATA_TYPE_BFLOAT16},
                                                   {"|V2", v1::DATA_TYPE_BFLOAT16}}};

// Returns the text after 'KEY': in the header, which is a Python dict; empty if there is no such
// key.
absl::string_view ValueOf(absl::string_view header, absl::string_view key) {
  const size_t at = header.find(absl::StrCat("'", key, "':"));
  if (at == header.npos) return "";
  return absl::StripLeadingAsciiWhitespace(header.substr(at + key.size() + 3));
}

// Returns the text between `open`, its first character, and the first `close`.
absl::string_view Between(absl::string_view text, char open, char close) {
  if (text.empty() || text[0] != open) return "";
  const size_t end = text.find(close, 1);
  return end == text.npos ? "" : text.substr(1, end - 1);
}

// Returns whether the type is one of integers, such as "<i8" or "|u1".
bool IsOfIntegers(absl::string_view descr) {
  return descr.size() > 1 && (descr[1] == 'i' || descr[1] == 'u');
}

absl::StatusOr<v1::DataType> TypeOf(absl::string_view header) {
  const absl::string_view descr = Between(ValueOf(header, "descr"), '\'', '\'');
  for (const NumpyType& known : kNumpyTypes) {
    if (known.descr == descr) return known.type;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("its dtype is ", descr.empty() ? "none that is simple" : descr,
                   "; want float32, float64, float16, bfloat16 or bool in little-endian "
                   "order: save it after .astype(numpy.float32)",
                   IsOfIntegers(descr) ? kTokenIdsHint : ""));
}

absl::Status ReadShape(absl::string_view header, v1::Tensor& tensor) {
  const absl::string_view shape = Between(ValueOf(header, "shape"), '(', ')');
  for (absl::string_view part : absl::StrSplit(shape, ',')) {
    part = absl::StripAsciiWhitespace(part);
    if (part.empty()) continue;  // the part after the last comma
    int64_t axis = 0;
    if (!absl::SimpleAtoi(part, &axis) || tensor.shape_size() == kMostNpyAxes) {
      return absl::InvalidArgumentError("its shape cannot be read");
    }
    tensor.add_shape(axis);
  }
  return absl::OkStatus();
}

// Reads the header, a Python dict as text. Sets `data_at` to the byte where the data begins.
absl::StatusOr<std::string> ReadHeader(ByteReader& file, uint64_t& data_at) {
  std::array<char, kHeaderAt + 2> start;
  if (file.size() < kHeaderAt) return absl::InvalidArgumentError("it is no .npy file");
  if (absl::Status status = file.Read(start.data(), kHeaderAt); !status.ok()) return status;
  if (!absl::StartsWith({start.data(), kHeaderAt}, kMagic)) {
    return absl::InvalidArgumentError("it is no .npy file");
  }
  const auto byte = [&start](size_t i) {
    return static_cast<size_t>(static_cast<uint8_t>(start[i]));
  };
  const size_t version = byte(6);
  if (version < 1 || version > 3) {
    return absl::InvalidArgumentError(absl::StrCat("its version is ", version));
  }
  size_t begin = kHeaderAt, length = byte(8) | byte(9) << 8;
  if (version > 1) {
    begin += 2;
    if (file.size() < begin) return absl::InvalidArgumentError("it ends in its header");
    if (absl::Status status = file.Read(&start[kHeaderAt], 2); !status.ok()) return status;
    length |= byte(10) << 16 | byte(11) << 24;
  }
  if (length > kMostNpyHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat("its header has ", length, " bytes"));
  }
  if (length > file.size() - begin) return absl::InvalidArgumentError("it ends in its header");
  std::string header(length, '\0');
  if (absl::Status status = file.Read(header.data(), length); !status.ok()) return status;
  data_at = begin + length;
  return header;
}

// Makes the header for an array of this type and shape.
std::string HeaderFor(v1::DataType type, const v1::Tensor& tensor) {
  absl::string_view descr;
  for (const NumpyType& known : kNumpyTypes) {
    if (known.type == type && descr.empty()) descr = known.descr;
  }
  std::string header = absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (",
                                    absl::StrJoin(tensor.shape(), ", "),
                                    tensor.shape_size() == 1 ? "," : "", "), }");
  const size_t unpadded = kHeaderAt + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  std::string start(kMagic);
  start += {1, 0, static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return start + header;
}

}  // namespace

absl::StatusOr<v1::Tensor> ReadNpy(ByteReader& file, uint64_t most_bytes) {
  uint64_t data_at = 0;
  const absl::StatusOr<std::string> header = ReadHeader(file, data_at);
  if (!header.ok()) return header.status();
  v1::Tensor tensor;
  const absl::StatusOr<v1::DataType> type = TypeOf(*header);
  if (!type.ok()) return type.status();
  tensor.set_data_type(*type);
  if (!absl::StartsWith(ValueOf(*header, "fortran_order"), "False")) {
    return absl::InvalidArgumentError(
        "its columns lie one behind the other; save numpy.ascontiguousarray() of it");
  }
  if (absl::Status status = ReadShape(*header, tensor); !status.ok()) return status;
  const absl::StatusOr<size_t> want = ByteCount(tensor);
  if (!want.ok()) return want.status();
  if (file.size() - data_at != *want) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", file.size() - data_at, " bytes of data; want ", *want));
  }
  if (*want > most_bytes) return TooLargeForMessage(*want, most_bytes);
  std::string& data = *tensor.mutable_data();
  data.resize(*want);
  if (absl::Status status = file.Read(data.data(), *want); !status.ok()) return status;
  return tensor;
}

absl::StatusOr<NpyPieces> NpyPieces::Of(const v1::Tensor& tensor) {
  const absl::StatusOr<size_t> want = ByteCount(tensor);
  if (!want.ok()) return want.status();
  if (tensor.data().size() != *want) {
    return absl::InvalidArgumentError("the tensor's bytes are not what its shape says");
  }
  const v1::DataType type =
      tensor.data_type() == v1::DATA_TYPE_BFLOAT16 ? v1::DATA_TYPE_FLOAT32 : tensor.data_type();
  return NpyPieces(tensor, HeaderFor(type, tensor));
}

uint64_t NpyPieces::bytes() const {
  const uint64_t data = tensor_->data().size();
  const bool widened = tensor_->data_type() == v1::DATA_TYPE_BFLOAT16;
  return header_.size() + (widened ? data / sizeof(uint16_t) * sizeof(float) : data);
}

absl::string_view NpyPieces::Next() {
  if (!std::exchange(header_given_, true)) return header_;
  const absl::string_view rest = absl::string_view(tensor_->data()).substr(position_);
  if (tensor_->data_type() != v1::DATA_TYPE_BFLOAT16) {
    position_ += rest.size();
    return rest;
  }
  floats_.resize(std::min(kConvertedAtOnce, rest.size() / sizeof(uint16_t)));
  for (size_t i = 0; i < floats_.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, &rest[i * sizeof(bits)], sizeof(bits));
    floats_[i] = FromBfloat16(bits);
  }
  position_ += floats_.size() * sizeof(uint16_t);
  return {reinterpret_cast<const char*>(floats_.data()), floats_.size() * sizeof(float)};
}

void NpyPieces::Rewind() {
  header_given_ = false;
  position_ = 0;
}

}  // namespace attention::client
