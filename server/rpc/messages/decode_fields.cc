#include "server/rpc/messages/decode_fields.h"

#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

constexpr size_t kMaxRequestIdBytes = 256;

// How many heads a setting and a shape say: `setting` 0 means `implied`.
absl::StatusOr<int64_t> Heads(int32_t setting, int64_t implied, absl::string_view field) {
  if (setting < 0) {
    return FieldError(field, absl::StrCat("is ", setting, "; want at least 1, or 0 for ", implied));
  }
  return setting == 0 ? implied : setting;
}

}  // namespace

absl::StatusOr<TensorView> Required(bool present, const v1::Tensor& tensor,
                                    absl::string_view field) {
  if (!present) return FieldError(field, "is not set; want a float tensor");
  return DecodeNumbers(tensor, field);
}

absl::Status WantShape(const TensorView& tensor, absl::Span<const int64_t> want,
                       absl::string_view names, absl::string_view field) {
  if (absl::MakeConstSpan(tensor.shape) == want) return absl::OkStatus();
  return FieldError(
      absl::StrCat(field, ".shape"),
      absl::StrCat("is ", ShapeText(tensor.shape), "; want ", ShapeText(want), " = ", names));
}

absl::Status WantRank(const TensorView& tensor, bool fits, absl::string_view want,
                      absl::string_view field) {
  if (fits) return absl::OkStatus();
  return FieldError(absl::StrCat(field, ".shape"),
                    absl::StrCat("is ", ShapeText(tensor.shape), "; want ", want));
}

absl::Status DecodeHeads(const v1::AttentionConfig& config, int64_t implied_heads,
                         std::optional<int64_t> implied_kv_heads, engine::CallShape& shape) {
  const absl::StatusOr<int64_t> heads =
      Heads(config.num_heads(), implied_heads, "config.num_heads");
  if (!heads.ok()) return heads.status();
  const absl::StatusOr<int64_t> kv_heads =
      Heads(config.num_kv_heads(), implied_kv_heads.value_or(*heads), "config.num_kv_heads");
  if (!kv_heads.ok()) return kv_heads.status();
  if (*heads % *kv_heads != 0) {
    return FieldError("config.num_kv_heads",
                      absl::StrCat("is ", *kv_heads, "; want a divisor of num_heads = ", *heads));
  }
  shape.num_heads = *heads;
  shape.num_kv_heads = *kv_heads;
  return absl::OkStatus();
}

absl::Status WantSame(int64_t got, int64_t want, absl::string_view size, absl::string_view as,
                      absl::string_view field) {
  if (got == want) return absl::OkStatus();
  return FieldError(absl::StrCat(field, ".shape"),
                    absl::StrCat("has ", size, " ", got, "; want ", want, ", as ", as));
}

absl::StatusOr<int64_t> HeadWidth(const TensorView& tensor, int64_t heads,
                                  absl::string_view heads_name, absl::string_view field) {
  const int64_t width = tensor.shape.back();
  if (width % heads == 0) return width / heads;
  return FieldError(absl::StrCat(field, ".shape"),
                    absl::StrCat("is ", ShapeText(tensor.shape), ", ", width,
                                 " wide; want a multiple of ", heads_name, " = ", heads));
}

absl::Status RefuseOtherFields(const v1::AttentionConfig& config, absl::Span<const int> allowed,
                               absl::string_view why) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  config.GetReflection()->ListFields(config, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (absl::c_linear_search(allowed, field->number())) continue;
    return FieldError(absl::StrCat("config.", field->name()),
                      absl::StrCat("is set; want it unset, since ", why));
  }
  return absl::OkStatus();
}

absl::string_view ShownRequestId(absl::string_view request_id) {
  return request_id.size() <= kMaxRequestIdBytes ? request_id : absl::string_view();
}

absl::Status CheckEnvelope(const google::protobuf::Message& request, absl::string_view request_id,
                           const RequestLimits& limits) {
  const auto bytes = static_cast<int64_t>(request.ByteSizeLong());
  if (bytes > limits.max_message_bytes) {
    return FieldError("request",
                      absl::StrCat("is ", bytes, " bytes; want at most ", limits.max_message_bytes,
                                   " (--max_message_mib): send fewer sequences or tokens at a "
                                   "time"));
  }
  if (request_id.size() <= kMaxRequestIdBytes) return absl::OkStatus();
  return FieldError("request_id", absl::StrCat("has ", request_id.size(), " bytes; want at most ",
                                               kMaxRequestIdBytes));
}

absl::StatusOr<ResultForm> DecodeResultForm(v1::ResultFormat format, const v1::Tensor& tokens) {
  switch (format) {
    case v1::RESULT_FORMAT_UNSPECIFIED:
      return tokens.float_values().empty() ? ResultForm::kBytes : ResultForm::kFloatValues;
    case v1::RESULT_FORMAT_BYTES:
      return ResultForm::kBytes;
    case v1::RESULT_FORMAT_FLOAT_VALUES:
      return ResultForm::kFloatValues;
    default:
      return FieldError("result_format",
                        absl::StrCat("is unknown: ", static_cast<int>(format),
                                     "; want RESULT_FORMAT_BYTES or RESULT_FORMAT_FLOAT_VALUES"));
  }
}

absl::Status CheckResponseBytes(double bytes, const RequestLimits& limits) {
  if (bytes <= static_cast<double>(limits.max_message_bytes)) return absl::OkStatus();
  return FieldError("results",
                    absl::StrFormat("would take %.0f bytes; this server sends at most %d "
                                    "(--max_message_mib): ask for fewer of them or "
                                    "send fewer tokens",
                                    bytes, limits.max_message_bytes));
}

absl::Status CheckHeadDim(const v1::AttentionConfig& config, int64_t head_dim) {
  if (config.head_dim() == 0 || config.head_dim() == head_dim) return absl::OkStatus();
  return FieldError("config.head_dim", absl::StrCat("is ", config.head_dim(), "; want ", head_dim,
                                                    ", as the shapes say, or 0"));
}

}  // namespace attention::rpc
