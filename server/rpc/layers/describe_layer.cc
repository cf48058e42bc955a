#include "server/rpc/layers/describe_layer.h"

#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/models/family.h"
#include "server/rpc/messages/decode_layer.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

void SetTime(absl::Time from, google::protobuf::Timestamp& to) {
  const int64_t seconds = absl::ToUnixSeconds(from);
  to.set_seconds(seconds);
  to.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(from - absl::FromUnixSeconds(seconds))));
}

void DescribeModel(const engine::AttentionModel& model, v1::Layer& to) {
  to.set_d_model(model.d_model);
  to.set_num_heads(static_cast<int32_t>(model.num_heads));
  v1::AttentionLayerInfo& info = *to.mutable_attention();
  info.set_num_kv_heads(static_cast<int32_t>(model.num_kv_heads));
  info.set_head_dim(static_cast<int32_t>(model.head_dim));
  info.set_v_head_dim(static_cast<int32_t>(model.v_head_dim));
  info.set_d_context(model.d_context);
  const auto& o = model.projections.o;
  info.set_d_out(o.has_value() ? o->weight.out : model.num_heads * model.v_head_dim);
  info.set_extra_keys(static_cast<int32_t>(model.extra_keys));
}

void DescribeModel(const engine::EncoderModel& model, v1::Layer& to) {
  to.set_d_model(model.shape.d_model);
  to.set_num_heads(static_cast<int32_t>(model.shape.num_heads));
  v1::EncoderLayerInfo& info = *to.mutable_encoder();
  info.set_num_layers(static_cast<int32_t>(model.layers.size()));
  info.set_ffn_dim(model.shape.ffn_dim);
  info.set_vocabulary(model.embedding.tokens.count);
  info.set_token_types(model.embedding.types.count);
  info.set_max_len(model.max_len);
}

}  // namespace

void Describe(const engine::LayerStore::Listed& listed, bool with_config,
              engine::LayerStore& layers, v1::Layer& to) {
  // A damaged one may be called anything.
  to.set_name(engine::IsLayerName(listed.name) ? listed.name : absl::CEscape(listed.name));
  to.set_version(listed.version);
  SetTime(listed.created, *to.mutable_create_time());
  if (listed.layer == nullptr) {
    to.set_problem(std::string(listed.problem.message()));
    return;
  }
  const engine::StoredLayer& layer = *listed.layer;
  to.set_kind(KindOf(layer));
  to.set_format(layer.config().family->names[0]);
  if (with_config) to.set_config_json(layer.config_json());
  to.set_file_bytes(static_cast<int64_t>(layer.file().bytes().size()));
  to.set_parameter_count(layer.parameters());
  to.set_sha256(layer.sha256());
  to.set_resident_bytes(layers.packed().BytesOf(layer));
  std::visit([&](const auto& model) { DescribeModel(model, to); }, layer.model());
}

bool PageToken::IsBefore(const engine::LayerStore::Listed& listed) const {
  return listed.name != name ? listed.name > name : listed.version < version;
}

std::string PageTokenOf(const v1::Layer& layer) {
  return absl::StrCat(layer.name(), "/", layer.version());
}

absl::StatusOr<PageToken> ParsePageToken(const std::string& token) {
  PageToken result;
  if (token.empty()) return result;
  const std::vector<std::string> parts = absl::StrSplit(token, '/');
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &result.version)) {
    return FieldError("page_token", "is none that this server made; want next_page_token");
  }
  result.name = parts[0];
  return result;
}

}  // namespace attention::rpc
