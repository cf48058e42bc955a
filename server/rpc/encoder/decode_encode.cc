#include "server/rpc/encoder/decode_encode.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/encoder/decode_encode_results.h"
#include "server/rpc/encoder/write_encode_response.h"
#include "server/rpc/messages/decode_config.h"
#include "server/rpc/messages/decode_embeddings.h"
#include "server/rpc/messages/decode_fields.h"
#include "server/rpc/messages/decode_layer.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

using Ids = google::protobuf::RepeatedField<int64_t>;

// The tokens as they were sent: how many, in which sequences.
struct Tokens {
  int64_t count = 0;
  std::vector<int64_t> lens;
  std::optional<TensorView> embeddings;
};

absl::Status CheckIds(const Ids& ids, int64_t count, int64_t limit, absl::string_view limit_name,
                      absl::string_view field) {
  if (limit == 0) return FieldError(field, "is set; want it unset: the layer has no such ids");
  if (ids.size() != count) {
    return FieldError(field,
                      absl::StrCat("has ", ids.size(), " elements; want ", count, ", one a token"));
  }
  for (int i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < limit) continue;
    return FieldError(
        absl::StrCat(field, "[", i, "]"),
        absl::StrCat("is ", ids[i], "; want 0 to ", limit - 1, " = ", limit_name, " - 1"));
  }
  return absl::OkStatus();
}

absl::Status DecodeVectors(const v1::Tensor& tensor, int64_t d_model, Tokens& to) {
  const absl::StatusOr<TensorView> given = DecodeEmbeddings(tensor, "embeddings", "token_ids");
  if (!given.ok()) return given.status();
  if ((given->rank() != 2 && given->rank() != 3) || given->shape.back() != d_model) {
    return FieldError("embeddings.shape",
                      absl::StrCat("is ", ShapeText(given->shape), "; want [tokens, ", d_model,
                                   "] or [batch, len, ", d_model, "], d_model of the layer",
                                   TokenIdsHint(*given, "token_ids")));
  }
  to.embeddings = *given;
  to.count = given->shape[0] * (given->rank() == 3 ? given->shape[1] : 1);
  if (given->rank() == 3) to.lens.assign(given->shape[0], given->shape[1]);
  return absl::OkStatus();
}

// What a length that is refused should be, where the sequences before it leave `left` tokens.
std::string WantedLength(int64_t len, int64_t left) {
  if (len < 1) return "at least 1: leave out a sequence without tokens";
  if (left == 0) return "lens to end before it: those before it hold all tokens";
  return absl::StrCat("1 to ", left, ", the tokens that are left");
}

absl::Status DecodeLens(const Ids& lens, Tokens& to) {
  if (lens.empty()) {
    if (to.lens.empty()) to.lens = {to.count};
    return absl::OkStatus();
  }
  if (to.embeddings.has_value() && to.embeddings->rank() == 3) {
    return FieldError("lens", "is set; want it unset, since embeddings have 3 axes");
  }
  int64_t sum = 0;
  for (int i = 0; i < lens.size(); ++i) {
    const int64_t left = to.count - sum;
    if (lens[i] < 1 || lens[i] > left) {
      return FieldError(absl::StrCat("lens[", i, "]"),
                        absl::StrCat("is ", lens[i], "; want ", WantedLength(lens[i], left)));
    }
    sum += lens[i];
  }
  if (sum != to.count) {
    return FieldError("lens", absl::StrCat("has sum ", sum, "; want ", to.count, ", the tokens"));
  }
  to.lens.assign(lens.begin(), lens.end());
  return absl::OkStatus();
}

absl::Status DecodeTokens(const v1::EncodeRequest& request, const engine::EncoderModel& model,
                          int64_t max_tokens, Tokens& to) {
  if (request.token_ids().empty() == !request.has_embeddings()) {
    return FieldError("token_ids", request.has_embeddings()
                                       ? "is set beside embeddings; want one of them"
                                       : "is empty; want token_ids or embeddings");
  }
  absl::Status status;
  if (request.has_embeddings()) {
    status = DecodeVectors(request.embeddings(), model.shape.d_model, to);
  } else if (model.embedding.tokens.data == nullptr) {
    status = FieldError("token_ids", "is set; want embeddings, since the layer has no table");
  } else {
    to.count = request.token_ids_size();
    status = CheckIds(request.token_ids(), to.count, model.embedding.tokens.count, "vocabulary",
                      "token_ids");
  }
  if (status.ok() && to.count > max_tokens) {
    status = FieldError(
        request.has_embeddings() ? "embeddings" : "token_ids",
        absl::StrCat("has ", to.count, " tokens; want at most ", max_tokens, " (--max_tokens)"));
  }
  if (status.ok() && !request.type_ids().empty()) {
    status = CheckIds(request.type_ids(), to.count, model.embedding.types.count, "token_types",
                      "type_ids");
  }
  return status.ok() ? DecodeLens(request.lens(), to) : status;
}

// RoBERTa counts positions without the tokens that are padding, which stand at padding_id.
int64_t Position(const engine::EncoderModel& model, int64_t id, int64_t& next) {
  if (model.padding_id.has_value() && id == *model.padding_id) return *model.padding_id;
  return model.first_position + next++;
}

// The tokens that are kept, and where they stand.
absl::Status KeepTokens(const v1::EncodeRequest& request, const engine::EncoderModel& model,
                        const Tokens& tokens, engine::EncodeCall& call) {
  const bool ids = !request.has_embeddings();
  const bool truncates = request.truncation() == v1::TRUNCATION_KEEP_FIRST;
  int64_t first = 0;
  for (size_t b = 0; b < tokens.lens.size(); first += tokens.lens[b++]) {
    const int64_t len = tokens.lens[b];
    if (model.max_len > 0 && len > model.max_len && !truncates) {
      return FieldError(
          "lens", absl::StrCat("of sequence ", b, " is ", len, "; want at most ", model.max_len,
                               " = max_len of the layer, or truncation "
                               "TRUNCATION_KEEP_FIRST"));
    }
    call.lens.push_back(model.max_len > 0 ? std::min(len, model.max_len) : len);
    int64_t next = 0;
    for (int64_t i = first; i < first + call.lens.back(); ++i) {
      const int64_t id = ids ? request.token_ids(static_cast<int>(i)) : -1;
      call.ids.push_back(ids ? id : i);
      if (model.embedding.positions.data != nullptr) {
        call.positions.push_back(Position(model, id, next));
      }
      if (!request.type_ids().empty()) {
        call.types.push_back(request.type_ids(static_cast<int>(i)));
      }
    }
  }
  if (!ids) {
    const engine::NumbersView& numbers = tokens.embeddings->numbers;
    call.vectors = VectorTable{numbers.data, numbers.type, tokens.count, model.shape.d_model};
  }
  return absl::OkStatus();
}

absl::Status DecodeSettings(const v1::AttentionConfig& config, DecodedEncode& decoded) {
  using Config = v1::AttentionConfig;
  absl::Status status = RefuseOtherFields(
      config,
      {Config::kCausalFieldNumber, Config::kMaskFieldNumber, Config::kLeftWindowFieldNumber,
       Config::kRightWindowFieldNumber, Config::kAlibiSlopesFieldNumber,
       Config::kComputeTypeFieldNumber, Config::kScoreStageFieldNumber},
      "an encoder has its own");
  if (!status.ok()) return status;
  engine::EncodeCall& call = decoded.call;
  const EncoderShape& shape = call.model().shape;
  const int64_t longest = *std::max_element(call.lens.begin(), call.lens.end());
  absl::StatusOr<DecodedConfig> settings =
      DecodeConfig(config,
                   {.batch = static_cast<int64_t>(call.lens.size()),
                    .num_heads = shape.num_heads,
                    .num_kv_heads = shape.num_heads,
                    .head_dim = shape.head_dim(),
                    .q_len = longest,
                    .kv_len = longest},
                   decoded.storage);
  if (!settings.ok()) return settings.status();
  call.settings = settings->settings;
  call.mask = settings->mask;
  call.mask_batch_stride = settings->mask_batch_stride;
  call.compute_type = settings->compute_type;
  return absl::OkStatus();
}

absl::Status CheckEnum(bool valid, int value, absl::string_view field) {
  if (valid) return absl::OkStatus();
  return FieldError(field, absl::StrCat("is unknown: ", value));
}

}  // namespace

absl::StatusOr<DecodedEncode> DecodeRequest(const v1::EncodeRequest& request,
                                            const RequestLimits& limits,
                                            engine::LayerStore& layers) {
  absl::Status status = CheckEnvelope(request, request.request_id(), limits);
  if (!status.ok()) return status;
  if (!request.has_layer()) return FieldError("layer", "is not set; want a stored encoder");
  absl::StatusOr<std::shared_ptr<const engine::StoredLayer>> layer =
      DecodeLayer(request.layer(), v1::LAYER_KIND_ENCODER, "layer", layers);
  if (!layer.ok()) return layer.status();
  DecodedEncode decoded;
  decoded.call.layer = *std::move(layer);
  const engine::EncoderModel& model = decoded.call.model();
  Tokens tokens;
  status =
      CheckEnum(v1::Truncation_IsValid(request.truncation()), request.truncation(), "truncation");
  if (status.ok()) {
    status = CheckEnum(v1::Pooling_IsValid(request.pooling()), request.pooling(), "pooling");
  }
  if (status.ok()) status = DecodeTokens(request, model, limits.max_tokens, tokens);
  if (status.ok()) status = KeepTokens(request, model, tokens, decoded.call);
  if (status.ok()) status = DecodeSettings(request.config(), decoded);
  if (status.ok()) status = DecodeEncodeResults(request, decoded.call);
  if (status.ok()) {
    const absl::StatusOr<ResultForm> form =
        DecodeResultForm(request.result_format(), request.embeddings());
    status = form.status();
    if (form.ok()) decoded.form = *form;
  }
  if (status.ok()) status = CheckResponseBytes(ResponseBytes(decoded), limits);
  if (!status.ok()) return status;
  return decoded;
}

}  // namespace attention::rpc
