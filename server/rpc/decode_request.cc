#include "server/rpc/decode_request.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/rpc/decode_source.h"
#include "server/rpc/encode_response.h"
#include "server/rpc/field_error.h"

namespace attention::rpc {
namespace {

constexpr size_t kMaxRequestIdBytes = 256;
constexpr int kMaxResults = 64;  // several times as many as there are

bool IsWeighted(const DecodedRequest& decoded) {
  return std::holds_alternative<engine::WeightedSource>(decoded.call.source);
}

absl::Status DecodeSource(const v1::ComputeAttentionRequest& request, DecodedRequest& decoded) {
  const v1::AttentionConfig& config = request.config();
  if (config.head_dim() < 0) {
    return FieldError("config.head_dim",
                      absl::StrCat("is ", config.head_dim(), "; want at least 1, or 0"));
  }
  switch (request.source_case()) {
    case v1::ComputeAttentionRequest::kTokens:
      return DecodeTokens(request.tokens(), config, decoded);
    case v1::ComputeAttentionRequest::kProjected:
      return DecodeProjected(request.projected(), config, decoded);
    case v1::ComputeAttentionRequest::kWeighted:
      return DecodeWeighted(request.weighted(), config, decoded);
    case v1::ComputeAttentionRequest::SOURCE_NOT_SET:
      break;
  }
  return FieldError("source", "is not set; want one of tokens, projected and weighted");
}

absl::Status CheckTokenCount(const engine::CallShape& shape, int64_t max_tokens) {
  const int64_t longest = std::max(shape.q_len, shape.kv_len);
  // Divided, not multiplied: the product might overflow.
  if (longest <= max_tokens / shape.batch) return absl::OkStatus();
  return FieldError("source", absl::StrCat("holds ", shape.batch, " sequences of ", longest,
                                           " tokens; this server takes at most ", max_tokens,
                                           " tokens a call (--max_tokens)"));
}

// The mask's axes, aligned from the right with [batch, num_heads, q_len, kv_len]. The last may be
// short; each other is full or 1, which stands for all.
absl::Status DecodeMaskInto(const v1::AttentionConfig& config, DecodedRequest& decoded) {
  const absl::StatusOr<TensorView> mask = DecodeMask(config.mask(), "config.mask", decoded.storage);
  if (!mask.ok()) return mask.status();
  const engine::CallShape& s = decoded.call.shape;
  const int64_t full[] = {s.batch, s.num_heads, decoded.call.source_len, s.kv_len};
  int64_t strides[] = {0, 0, 0, 0};
  int64_t stride = 1;
  for (int64_t axis = mask->rank() - 1, to = 3; axis >= 0; --axis, --to) {
    const int64_t length = mask->shape[axis];
    if (to == 3 ? length > full[to] : length != full[to] && length != 1) {
      return FieldError("config.mask.shape",
                        absl::StrCat("is ", ShapeText(mask->shape), "; want it to broadcast to ",
                                     ShapeText(full), " = [batch, num_heads, q_len, kv_len]"));
    }
    strides[to] = length == 1 ? 0 : stride;
    stride *= length;
  }
  decoded.call.mask = {.bias = mask->floats,
                       .visible = mask->bools,
                       .head_stride = strides[1],
                       .row_stride = strides[2],
                       .key_count = mask->shape.back()};
  decoded.call.mask_batch_stride = strides[0];
  return absl::OkStatus();
}

absl::Status DecodeConfig(const v1::AttentionConfig& config, DecodedRequest& decoded) {
  engine::AttentionCall& call = decoded.call;
  if (!v1::Normalization_IsValid(config.normalization())) {
    return FieldError("config.normalization",
                      absl::StrCat("is unknown: ", config.normalization(),
                                   "; want NORMALIZATION_SOFTMAX or NORMALIZATION_SUM"));
  }
  call.settings.num_heads = call.shape.num_heads;
  call.settings.num_kv_heads = call.shape.num_kv_heads;
  if (config.normalization() == v1::NORMALIZATION_SUM) {
    call.settings.normalization = Normalization::kSum;
  }
  if (config.has_scale() && !std::isfinite(config.scale())) {
    return FieldError("config.scale",
                      absl::StrCat("is ", config.scale(), "; want a finite number"));
  }
  const double head_dim = static_cast<double>(call.shape.head_dim);
  call.settings.scale =
      config.has_scale() ? config.scale() : static_cast<float>(1.0 / std::sqrt(head_dim));
  call.settings.causal = config.causal();
  return config.has_mask() ? DecodeMaskInto(config, decoded) : absl::OkStatus();
}

// A combination uses the weights as they are: a setting that would change them is a mistake.
absl::Status RefuseScoreSettings(const v1::AttentionConfig& config) {
  const char* field = config.has_scale()            ? "config.scale"
                      : config.normalization() != 0 ? "config.normalization"
                      : config.causal()             ? "config.causal"
                      : config.has_mask()           ? "config.mask"
                      : config.head_dim() != 0      ? "config.head_dim"
                                                    : nullptr;
  if (field == nullptr) return absl::OkStatus();
  return FieldError(field, "is set; want it unset, since `weighted` uses its weights as they are");
}

// The place in `wanted` of `result`; null where it is none.
bool* PlaceOf(v1::Result result, engine::WantedResults& wanted) {
  switch (result) {
    case v1::RESULT_OUTPUT:
      return &wanted.output;
    case v1::RESULT_ATTENTION_SCORES:
      return &wanted.attention_scores;
    case v1::RESULT_ATTENTION_WEIGHTS:
      return &wanted.attention_weights;
    case v1::RESULT_QUERY:
      return &wanted.query;
    case v1::RESULT_KEY:
      return &wanted.key;
    case v1::RESULT_VALUE:
      return &wanted.value;
    case v1::RESULT_WEIGHTED_VALUES:
      return &wanted.weighted_values;
    case v1::RESULT_TOP_KEYS:
      return &wanted.top_keys;
    case v1::RESULT_LOG_SUM_EXP:
      return &wanted.log_sum_exp;
    default:
      return nullptr;
  }
}

// That results[i] is a result, and one that the call can have.
absl::Status CheckResult(const v1::ComputeAttentionRequest& request, int i, bool weighted) {
  const v1::Result result = request.results(i);
  const auto field = [i] { return absl::StrCat("results[", i, "]"); };
  if (engine::WantedResults any; PlaceOf(result, any) == nullptr) {
    return FieldError(field(), absl::StrCat("is ", result, "; want a value of Result from 1 to ",
                                            v1::Result_MAX));
  }
  const bool of_scores = result == v1::RESULT_ATTENTION_SCORES || result == v1::RESULT_QUERY ||
                         result == v1::RESULT_KEY || result == v1::RESULT_LOG_SUM_EXP;
  if (of_scores && weighted) {
    return FieldError(field(), absl::StrCat("is ", v1::Result_Name(result),
                                            "; want a result that `weighted` has: it takes no "
                                            "query and no key"));
  }
  if (result == v1::RESULT_LOG_SUM_EXP &&
      request.config().normalization() == v1::NORMALIZATION_SUM) {
    return FieldError(field(), "is RESULT_LOG_SUM_EXP; want NORMALIZATION_SOFTMAX with it");
  }
  return absl::OkStatus();
}

absl::Status DecodeResults(const v1::ComputeAttentionRequest& request, DecodedRequest& decoded) {
  const bool weighted = IsWeighted(decoded);
  engine::WantedResults& wanted = decoded.call.wanted;
  if (request.results_size() > kMaxResults) {
    return FieldError("results", absl::StrCat("has ", request.results_size(),
                                              " elements; want at most ", kMaxResults));
  }
  for (int i = 0; i < request.results_size(); ++i) {
    if (absl::Status status = CheckResult(request, i, weighted); !status.ok()) return status;
    *PlaceOf(request.results(i), wanted) = true;
  }
  if (request.results().empty()) {
    wanted.output = true;
    wanted.attention_scores = wanted.attention_weights = !weighted;
  }
  return absl::OkStatus();
}

absl::Status DecodeTopK(int32_t top_k, DecodedRequest& decoded) {
  const int64_t kv_len = decoded.call.shape.kv_len;
  if (top_k < 0 || top_k > kv_len) {
    return FieldError("top_k", absl::StrCat("is ", top_k, "; want 1 to ", kv_len, " = kv_len"));
  }
  decoded.top_k = top_k == 0 ? 1 : top_k;
  return absl::OkStatus();
}

// Narrows the call to the queries asked for.
absl::Status DecodeQueryIndices(const v1::ComputeAttentionRequest& request, int64_t max_tokens,
                                DecodedRequest& decoded) {
  if (request.query_indices().empty()) return absl::OkStatus();
  engine::AttentionCall& call = decoded.call;
  if (request.query_indices_size() > max_tokens / call.shape.batch) {
    return FieldError("query_indices",
                      absl::StrCat("has ", request.query_indices_size(), " elements; want at most ",
                                   max_tokens / call.shape.batch));
  }
  for (int i = 0; i < request.query_indices_size(); ++i) {
    const int64_t index = request.query_indices(i);
    if (index < 0 || index >= call.source_len) {
      return FieldError(
          absl::StrCat("query_indices[", i, "]"),
          absl::StrCat("is ", index, "; want 0 to ", call.source_len - 1, " = q_len - 1"));
    }
  }
  call.query_indices.assign(request.query_indices().begin(), request.query_indices().end());
  call.shape.q_len = request.query_indices_size();
  const size_t rank = decoded.output_shape.size();
  decoded.output_shape[rank - 2] = call.shape.q_len;
  return absl::OkStatus();
}

absl::Status CheckResponseSize(const DecodedRequest& decoded, int64_t max_bytes) {
  const double bytes = ResponseBytes(decoded);
  if (bytes <= static_cast<double>(max_bytes)) return absl::OkStatus();
  return FieldError("results",
                    absl::StrFormat("would take %.0f bytes; this server sends at most %d "
                                    "(--max_message_mib): ask for fewer results, name "
                                    "query_indices, or send fewer tokens",
                                    bytes, max_bytes));
}

}  // namespace

absl::StatusOr<DecodedRequest> DecodeRequest(const v1::ComputeAttentionRequest& request,
                                             const RequestLimits& limits) {
  const int64_t bytes = static_cast<int64_t>(request.ByteSizeLong());
  if (bytes > limits.max_message_bytes) {
    return FieldError("request",
                      absl::StrCat("is ", bytes, " bytes; want at most ", limits.max_message_bytes,
                                   " (--max_message_mib): send fewer sequences or tokens at a "
                                   "time"));
  }
  if (request.request_id().size() > kMaxRequestIdBytes) {
    return FieldError("request_id", absl::StrCat("has ", request.request_id().size(),
                                                 " bytes; want at most ", kMaxRequestIdBytes));
  }
  DecodedRequest decoded;
  absl::Status status = DecodeSource(request, decoded);
  if (status.ok()) status = CheckTokenCount(decoded.call.shape, limits.max_tokens);
  if (status.ok() && IsWeighted(decoded)) status = RefuseScoreSettings(request.config());
  if (status.ok()) status = DecodeConfig(request.config(), decoded);
  if (status.ok()) status = DecodeResults(request, decoded);
  if (status.ok()) status = DecodeTopK(request.top_k(), decoded);
  if (status.ok()) status = DecodeQueryIndices(request, limits.max_tokens, decoded);
  if (status.ok()) status = CheckResponseSize(decoded, limits.max_message_bytes);
  if (!status.ok()) return status;
  return decoded;
}

}  // namespace attention::rpc
