#include "server/rpc/attention/decode_request.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/rpc/attention/contract_results.h"
#include "server/rpc/attention/decode_rotary.h"
#include "server/rpc/attention/decode_source.h"
#include "server/rpc/attention/write_response.h"
#include "server/rpc/messages/decode_config.h"
#include "server/rpc/messages/decode_fields.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

using engine::Result;

// Whether the source is attended to with scores of its own.
bool TakesScores(const v1::ComputeAttentionRequest& request) {
  return request.has_tokens() || request.has_projected();
}

std::string SourceName(const v1::ComputeAttentionRequest& request) {
  return v1::ComputeAttentionRequest::descriptor()
      ->FindFieldByNumber(request.source_case())
      ->name();
}

absl::Status DecodeSource(const v1::ComputeAttentionRequest& request, int64_t max_tokens,
                          engine::LayerStore& layers, DecodedRequest& decoded) {
  const v1::AttentionConfig& config = request.config();
  if (config.head_dim() < 0) {
    return FieldError("config.head_dim",
                      absl::StrCat("is ", config.head_dim(), "; want at least 1, or 0"));
  }
  switch (request.source_case()) {
    case v1::ComputeAttentionRequest::kTokens:
      return DecodeTokens(request.tokens(), config, max_tokens, layers, decoded);
    case v1::ComputeAttentionRequest::kProjected:
      return DecodeProjected(request.projected(), config, max_tokens, decoded);
    case v1::ComputeAttentionRequest::kWeighted:
      return DecodeWeighted(request.weighted(), config, max_tokens, decoded);
    case v1::ComputeAttentionRequest::kPartials:
      return DecodePartials(request.partials(), config, max_tokens, decoded);
    case v1::ComputeAttentionRequest::SOURCE_NOT_SET:
      break;
  }
  return FieldError("source", "is not set; want one of tokens, projected, weighted and partials");
}

// Whether a call with this source has the result.
bool HasResult(v1::ComputeAttentionRequest::SourceCase source, const engine::ResultRow& row) {
  if (source == v1::ComputeAttentionRequest::kWeighted) return row.of_weighted;
  if (source == v1::ComputeAttentionRequest::kPartials) return row.of_partials;
  return true;
}

// That results[i] is a result, and one that the call can have.
absl::Status CheckResult(const v1::ComputeAttentionRequest& request, int i) {
  const v1::Result result = request.results(i);
  const auto field = [i] { return absl::StrCat("results[", i, "]"); };
  const ListedResult* const listed = FindResult(result);
  if (listed == nullptr) {
    return FieldError(field(), absl::StrCat("is ", result, "; want a value of Result from 1 to ",
                                            v1::Result_MAX));
  }
  if (!HasResult(request.source_case(), *listed->row)) {
    return FieldError(field(),
                      absl::StrCat("is ", v1::Result_Name(result), "; want a result that `",
                                   SourceName(request), "` can give"));
  }
  if (result == v1::RESULT_LOG_SUM_EXP &&
      request.config().normalization() == v1::NORMALIZATION_SUM) {
    return FieldError(field(), "is RESULT_LOG_SUM_EXP; want NORMALIZATION_SOFTMAX with it");
  }
  return absl::OkStatus();
}

absl::Status DecodeResults(const v1::ComputeAttentionRequest& request, DecodedRequest& decoded) {
  engine::ResultSet& wanted = decoded.call.wanted;
  if (request.results_size() > kMaxResults) {
    return FieldError("results", absl::StrCat("has ", request.results_size(),
                                              " elements; want at most ", kMaxResults));
  }
  for (int i = 0; i < request.results_size(); ++i) {
    if (absl::Status status = CheckResult(request, i); !status.ok()) return status;
    wanted.Add(FindResult(request.results(i))->row->result);
  }
  if (request.results().empty()) {
    wanted.Add(Result::kOutput);
    if (TakesScores(request)) {
      wanted.Add(Result::kAttentionScores);
      wanted.Add(Result::kAttentionWeights);
    }
    if (request.has_partials()) wanted.Add(Result::kLogSumExp);
  }
  decoded.call.settings.average_weights =
      request.config().average_attention_weights() && wanted.Has(Result::kAttentionWeights);
  return absl::OkStatus();
}

absl::Status DecodeTopK(int32_t top_k, DecodedRequest& decoded) {
  const engine::AttentionCall& call = decoded.call;
  int64_t fewest = call.shape.kv_len;  // keys that a query has
  for (size_t b = 0; b < call.sequences.size(); ++b) {
    const engine::SequenceShape& s = call.sequences[b];
    if (s.q_len == 0) continue;
    fewest = std::min(fewest, s.kv_len);
    if (s.kv_len == 0 && call.wanted.Has(Result::kTopKeys)) {
      return FieldError("results", absl::StrCat("has RESULT_TOP_KEYS; want it left out, since "
                                                "sequence ",
                                                b, " has no keys"));
    }
    if (s.kv_len == 0 && top_k != 0) {
      return FieldError("top_k", absl::StrCat("is ", top_k, "; want it unset, since sequence ", b,
                                              " has no keys"));
    }
  }
  if (top_k < 0 || top_k > fewest) {
    return FieldError("top_k", absl::StrCat("is ", top_k, "; want 1 to ", fewest,
                                            " = kv_len of the shortest sequence"));
  }
  decoded.top_k = top_k == 0 ? 1 : top_k;
  return absl::OkStatus();
}

// Narrows the call to the queries asked for.
absl::Status DecodeQueryIndices(const v1::ComputeAttentionRequest& request, int64_t max_tokens,
                                DecodedRequest& decoded) {
  if (request.query_indices().empty()) return absl::OkStatus();
  engine::AttentionCall& call = decoded.call;
  if (call.ragged) return FieldError("query_indices", "is set; want it unset, since q_lens is set");
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
  for (engine::SequenceShape& s : call.sequences) s.q_len = call.shape.q_len;
  const size_t rank = decoded.output_shape.size();
  decoded.output_shape[rank - 2] = call.shape.q_len;
  return absl::OkStatus();
}

// The tensor whose type the results have.
const v1::Tensor& MainTensor(const v1::ComputeAttentionRequest& request) {
  switch (request.source_case()) {
    case v1::ComputeAttentionRequest::kProjected:
      return request.projected().query();
    case v1::ComputeAttentionRequest::kWeighted:
      return request.weighted().value();
    case v1::ComputeAttentionRequest::kPartials:
      return request.partials().parts(0).output();
    default:
      return request.tokens().tokens();
  }
}

absl::Status DecodeResultFormat(const v1::ComputeAttentionRequest& request,
                                DecodedRequest& decoded) {
  const absl::StatusOr<ResultForm> form =
      DecodeResultForm(request.result_format(), MainTensor(request));
  if (!form.ok()) return form.status();
  decoded.form = *form;
  if (*form == ResultForm::kBytes) return absl::OkStatus();
  engine::AttentionCall& call = decoded.call;
  call.types = {DataType::kFloat32, DataType::kFloat32, DataType::kFloat32};
  if (call.wanted.Has(Result::kTopKeys) && call.shape.score_len() > kMostExactIndex) {
    return FieldError("result_format",
                      absl::StrCat("asks for numbers, and float32 cannot hold the indices of ",
                                   call.shape.score_len(), " keys; want RESULT_FORMAT_BYTES"));
  }
  return absl::OkStatus();
}

// Settings, mask, compute type and rotary embedding; the source is decoded.
absl::Status DecodeSettings(const v1::AttentionConfig& config, DecodedRequest& decoded) {
  engine::AttentionCall& call = decoded.call;
  const engine::CallShape& shape = call.shape;
  const absl::StatusOr<DecodedConfig> settings = DecodeConfig(config,
                                                              {.batch = shape.batch,
                                                               .num_heads = shape.num_heads,
                                                               .num_kv_heads = shape.num_kv_heads,
                                                               .head_dim = shape.head_dim,
                                                               .q_len = call.source_len,
                                                               .kv_len = shape.kv_len},
                                                              decoded.storage);
  if (!settings.ok()) return settings.status();
  call.settings = settings->settings;
  call.compute_type = settings->compute_type;
  call.mask = settings->mask;
  call.mask_batch_stride = settings->mask_batch_stride;
  return config.has_rotary() ? DecodeRotary(config.rotary(), call) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<DecodedRequest> DecodeRequest(const v1::ComputeAttentionRequest& request,
                                             const RequestLimits& limits,
                                             engine::LayerStore& layers) {
  absl::Status status = CheckEnvelope(request, request.request_id(), limits);
  if (!status.ok()) return status;
  DecodedRequest decoded;
  status = DecodeSource(request, limits.max_tokens, layers, decoded);
  if (status.ok() && !TakesScores(request)) {
    using Config = v1::AttentionConfig;
    // What takes no scores uses what it is given as it is: a setting that would change it is a
    // mistake.
    status = RefuseOtherFields(
        request.config(),
        {Config::kNumHeadsFieldNumber, Config::kNumKvHeadsFieldNumber,
         Config::kComputeTypeFieldNumber, Config::kAverageAttentionWeightsFieldNumber},
        absl::StrCat("`", SourceName(request), "` uses what it is given as it is"));
  }
  if (status.ok()) status = DecodeSettings(request.config(), decoded);
  if (status.ok()) status = DecodeResults(request, decoded);
  if (status.ok()) status = DecodeTopK(request.top_k(), decoded);
  if (status.ok()) status = DecodeQueryIndices(request, limits.max_tokens, decoded);
  if (status.ok()) status = DecodeResultFormat(request, decoded);
  if (status.ok()) status = CheckResponseBytes(ResponseBytes(decoded), limits);
  if (!status.ok()) return status;
  return decoded;
}

}  // namespace attention::rpc
