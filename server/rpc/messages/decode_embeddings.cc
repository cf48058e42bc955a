#include "server/rpc/messages/decode_embeddings.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "kernels/simd/convert.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

std::string Hint(absl::string_view takes) {
  return absl::StrCat("; if these are token ids, ", takes, " takes them");
}

}  // namespace

absl::StatusOr<TensorView> DecodeEmbeddings(const v1::Tensor& tensor, absl::string_view field,
                                            absl::string_view takes) {
  if (tensor.data_type() != v1::DATA_TYPE_INT32) return DecodeNumbers(tensor, field);
  return FieldError(absl::StrCat(field, ".data_type"),
                    absl::StrCat("is DATA_TYPE_INT32; want DATA_TYPE_FLOAT32, BFLOAT16, FLOAT16 or "
                                 "FLOAT64",
                                 Hint(takes)));
}

std::string TokenIdsHint(const TensorView& embeddings, absl::string_view takes) {
  std::array<float, 1024> numbers;
  int64_t count = 1;  // cannot overflow: the request has as many numbers
  for (const int64_t length : embeddings.shape) count *= length;
  count = std::min<int64_t>(count, numbers.size());
  ToFloat32(embeddings.numbers.data, embeddings.numbers.type, count, numbers.data());
  const bool may_be_ids = std::all_of(numbers.begin(), numbers.begin() + count, [](float x) {
    return x >= 0 && std::isfinite(x) && x == std::floor(x);
  });
  return may_be_ids ? Hint(takes) : "";
}

}  // namespace attention::rpc
