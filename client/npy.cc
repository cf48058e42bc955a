#include "client/npy.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
// A header's bytes begin here in version 1, whose length has 2 bytes, and 2 later in the others.
constexpr size_t kHeaderAt = 10;
constexpr size_t kMostHeaderBytes = size_t{64} << 10;
constexpr int kMostAxes = 32;      // as NumPy has it; the server takes 4
constexpr size_t kAlignment = 64;  // of the data, as NumPy writes it

struct NumpyType {
  absl::string_view descr;
  v1::DataType type;
};
// The first of a type is what is written.
constexpr std::array<NumpyType, 7> kTypes = {{{"<f4", v1::DATA_TYPE_FLOAT32},
                                              {"<f8", v1::DATA_TYPE_FLOAT64},
                                              {"<f2", v1::DATA_TYPE_FLOAT16},
                                              {"|b1", v1::DATA_TYPE_BOOL},
                                              {"<i4", v1::DATA_TYPE_INT32},
                                              {"<V2", v1::DATA_TYPE_BFLOAT16},
                                              {"|V2", v1::DATA_TYPE_BFLOAT16}}};

absl::Status Error(absl::string_view what) { return absl::InvalidArgumentError(what); }

// What stands behind 'KEY': in the header, a dict of Python's; empty: there is none.
absl::string_view ValueOf(absl::string_view header, absl::string_view key) {
  const size_t at = header.find(absl::StrCat("'", key, "':"));
  if (at == header.npos) return "";
  return absl::StripLeadingAsciiWhitespace(header.substr(at + key.size() + 3));
}

// The text between the first two of these characters.
absl::string_view Between(absl::string_view text, char open, char close) {
  if (text.empty() || text[0] != open) return "";
  const size_t end = text.find(close, 1);
  return end == text.npos ? "" : text.substr(1, end - 1);
}

absl::StatusOr<v1::DataType> TypeOf(absl::string_view header) {
  const absl::string_view descr = Between(ValueOf(header, "descr"), '\'', '\'');
  for (const NumpyType& known : kTypes) {
    if (known.descr == descr) return known.type;
  }
  return Error(absl::StrCat("its dtype is ", descr.empty() ? "none that is simple" : descr,
                            "; want float32, float64, float16, bfloat16 or bool in little-endian "
                            "order: save it after .astype(numpy.float32)"));
}

absl::Status ReadShape(absl::string_view header, v1::Tensor& tensor) {
  const absl::string_view shape = Between(ValueOf(header, "shape"), '(', ')');
  for (absl::string_view part : absl::StrSplit(shape, ',')) {
    part = absl::StripAsciiWhitespace(part);
    if (part.empty()) continue;  // behind the last comma
    int64_t axis = 0;
    if (!absl::SimpleAtoi(part, &axis) || tensor.shape_size() == kMostAxes) {
      return Error("its shape cannot be read");
    }
    tensor.add_shape(axis);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::Tensor> TensorFromNpy(absl::string_view bytes) {
  if (!absl::StartsWith(bytes, kMagic) || bytes.size() < kHeaderAt) {
    return Error("it is no .npy file");
  }
  const auto byte = [bytes](size_t i) {
    return static_cast<size_t>(static_cast<uint8_t>(bytes[i]));
  };
  const size_t version = byte(6);
  size_t begin = kHeaderAt, length = byte(8) | byte(9) << 8;
  if (version > 1) {
    begin += 2;
    if (bytes.size() < begin) return Error("it ends in its header");
    length |= byte(10) << 16 | byte(11) << 24;
  }
  if (version < 1 || version > 3) return Error(absl::StrCat("its version is ", version));
  if (length > kMostHeaderBytes) return Error(absl::StrCat("its header has ", length, " bytes"));
  if (length > bytes.size() - begin) return Error("it ends in its header");
  const absl::string_view header = bytes.substr(begin, length);
  bytes.remove_prefix(begin + length);

  v1::Tensor tensor;
  const absl::StatusOr<v1::DataType> type = TypeOf(header);
  if (!type.ok()) return type.status();
  tensor.set_data_type(*type);
  if (!absl::StartsWith(ValueOf(header, "fortran_order"), "False")) {
    return Error("its columns lie one behind the other; save numpy.ascontiguousarray() of it");
  }
  if (absl::Status status = ReadShape(header, tensor); !status.ok()) return status;
  const absl::StatusOr<size_t> want = ByteCount(tensor);
  if (!want.ok()) return want.status();
  if (bytes.size() != *want) {
    return Error(absl::StrCat("it has ", bytes.size(), " bytes of data; want ", *want));
  }
  tensor.set_data(bytes.data(), bytes.size());
  return tensor;
}

absl::StatusOr<std::string> NpyFromTensor(const v1::Tensor& given) {
  const absl::StatusOr<v1::Tensor> bytes = AsBytes(given);
  if (!bytes.ok()) return bytes.status();
  const v1::Tensor& tensor = *bytes;
  if (tensor.data_type() == v1::DATA_TYPE_BFLOAT16) {
    const absl::StatusOr<std::vector<float>> values = FloatValues(tensor);
    if (!values.ok()) return values.status();
    return NpyFromTensor(
        MakeTensor(std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end()), *values));
  }
  const absl::StatusOr<size_t> want = ByteCount(tensor);
  if (!want.ok()) return want.status();
  if (tensor.data().size() != *want) return Error("the tensor's bytes are not what its shape says");
  absl::string_view descr;
  for (const NumpyType& known : kTypes) {
    if (known.type == tensor.data_type() && descr.empty()) descr = known.descr;
  }
  std::string header = absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (",
                                    absl::StrJoin(tensor.shape(), ", "),
                                    tensor.shape_size() == 1 ? "," : "", "), }");
  const size_t unpadded = kHeaderAt + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  std::string file(kMagic);
  file += {1, 0, static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return absl::StrCat(file, header, tensor.data());
}

}  // namespace attention::client
