// Token embeddings that a request brings, and the weights that project them (see decode_source.h).
#include <string>

#include "absl/strings/str_cat.h"
#include "server/rpc/attention/decode_source.h"
#include "server/rpc/messages/decode_embeddings.h"
#include "server/rpc/messages/decode_fields.h"
#include "server/rpc/messages/decode_layer.h"
#include "server/rpc/messages/decode_lengths.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

constexpr char kTokens[] = "tokens.tokens";
constexpr char kContext[] = "tokens.context";
constexpr char kWeights[] = "tokens.projection_weights";
constexpr char kTakesIds[] = "Encode";

// One of the learned matrices with its bias: weight [in, any multiple of heads], bias [out].
struct ProjectionFields {
  bool has_weight;
  const v1::Tensor& weight;
  bool has_bias;
  const v1::Tensor& bias;
  absl::string_view name;  // q, k, v or o
};

// What such a matrix is multiplied with.
struct ProjectionInput {
  int64_t width;
  absl::string_view name;
  const TensorView* tokens = nullptr;  // null: what was computed from them
};

absl::StatusOr<Linear> DecodeProjection(const ProjectionFields& fields,
                                        const ProjectionInput& input, TensorStorage& storage) {
  const int64_t in = input.width;
  const std::string field = absl::StrCat(kWeights, ".", fields.name, "_proj");
  const absl::StatusOr<TensorView> weight = Required(fields.has_weight, fields.weight, field);
  if (!weight.ok()) return weight.status();
  if (weight->rank() != 2 || weight->shape[0] != in) {
    return FieldError(
        absl::StrCat(field, ".shape"),
        absl::StrCat("is ", ShapeText(weight->shape), "; want [", in, ", out] with ", in, " = ",
                     input.name,
                     input.tokens == nullptr ? "" : TokenIdsHint(*input.tokens, kTakesIds)));
  }
  Linear projection = {.weight = {.data = weight->numbers.data,
                                  .type = weight->numbers.type,
                                  .in = in,
                                  .out = weight->shape[1]}};
  if (!fields.has_bias) return projection;
  const std::string bias_field = absl::StrCat(kWeights, ".", fields.name, "_bias");
  const absl::StatusOr<TensorView> bias = DecodeNumbers(fields.bias, bias_field);
  if (!bias.ok()) return bias.status();
  absl::Status fits = WantShape(*bias, {projection.weight.out},
                                absl::StrCat("the width of ", fields.name, "_proj"), bias_field);
  if (!fits.ok()) return fits;
  projection.bias = AsFloats(*bias, storage);
  return projection;
}

// The projections that come with a call, one after the other: each tells the next how wide heads
// are.
class ProjectionsDecoder {
 public:
  ProjectionsDecoder(const v1::ProjectionWeights& weights, const TensorView& tokens,
                     const TensorView& context, DecodedRequest& decoded,
                     engine::Projections& projections)
      : w_(weights),
        queries_{tokens.shape.back(), "d_model, the width of tokens", &tokens},
        attended_{context.shape.back(), "the width of the tokens attended to", &context},
        shape_(decoded.call.shape),
        storage_(decoded.storage),
        to_(projections) {}

  // Sets head_dim.
  absl::Status Query(const v1::AttentionConfig& config) {
    absl::Status status =
        Decode({w_.has_q_proj(), w_.q_proj(), w_.has_q_bias(), w_.q_bias(), "q"}, queries_, to_.q);
    if (status.ok()) status = Width(to_.q, shape_.num_heads, "num_heads", "q", shape_.head_dim);
    return status.ok() ? CheckHeadDim(config, shape_.head_dim) : status;
  }

  absl::Status Key() {
    absl::Status status =
        Decode({w_.has_k_proj(), w_.k_proj(), w_.has_k_bias(), w_.k_bias(), "k"}, attended_, to_.k);
    if (!status.ok()) return status;
    return WantShape(Matrix(to_.k), {attended_.width, shape_.num_kv_heads * shape_.head_dim},
                     "[d_context, num_kv_heads * head_dim]", absl::StrCat(kWeights, ".k_proj"));
  }

  // Sets v_head_dim.
  absl::Status Value() {
    absl::Status status =
        Decode({w_.has_v_proj(), w_.v_proj(), w_.has_v_bias(), w_.v_bias(), "v"}, attended_, to_.v);
    if (!status.ok()) return status;
    return Width(to_.v, shape_.num_kv_heads, "num_kv_heads", "v", shape_.v_head_dim);
  }

  absl::Status Output() {
    if (w_.has_o_proj()) {
      return Decode({true, w_.o_proj(), w_.has_o_bias(), w_.o_bias(), "o"},
                    {shape_.num_heads * shape_.v_head_dim, "num_heads * v_head_dim"},
                    to_.o.emplace());
    }
    if (!w_.has_o_bias()) return absl::OkStatus();
    return FieldError(absl::StrCat(kWeights, ".o_bias"),
                      "is set without o_proj; want both or none");
  }

 private:
  absl::Status Decode(const ProjectionFields& fields, const ProjectionInput& input, Linear& to) {
    absl::StatusOr<Linear> projection = DecodeProjection(fields, input, storage_);
    if (projection.ok()) to = *projection;
    return projection.status();
  }

  static TensorView Matrix(const Linear& projection) {
    return {.shape = {projection.weight.in, projection.weight.out}, .numbers = {}};
  }

  // The width of one of `heads` heads.
  static absl::Status Width(const Linear& projection, int64_t heads, absl::string_view heads_name,
                            absl::string_view name, int64_t& to) {
    const absl::StatusOr<int64_t> width = HeadWidth(Matrix(projection), heads, heads_name,
                                                    absl::StrCat(kWeights, ".", name, "_proj"));
    if (width.ok()) to = *width;
    return width.status();
  }

  const v1::ProjectionWeights& w_;
  const ProjectionInput queries_, attended_;
  engine::CallShape& shape_;
  TensorStorage& storage_;
  engine::Projections& to_;
};

// Decodes the four projections; sets head_dim and v_head_dim.
absl::Status DecodeProjections(const v1::ProjectionWeights& weights,
                               const v1::AttentionConfig& config, const TensorView& tokens,
                               const TensorView& context, DecodedRequest& decoded,
                               engine::Projections& projections) {
  ProjectionsDecoder decoder(weights, tokens, context, decoded, projections);
  absl::Status status = decoder.Query(config);
  if (status.ok()) status = decoder.Key();
  if (status.ok()) status = decoder.Value();
  return status.ok() ? decoder.Output() : status;
}

// A setting that a stored layer decides: unset, or what the layer says.
absl::Status WantLayers(int64_t got, int64_t want, absl::string_view name) {
  if (got == 0 || got == want) return absl::OkStatus();
  return FieldError(absl::StrCat("config.", name),
                    absl::StrCat("is ", got, "; want ", want, ", as the layer has it, or 0"));
}

absl::Status WantWidth(const TensorView& tokens, int64_t want, absl::string_view name,
                       absl::string_view field) {
  const int64_t got = tokens.shape.back();
  if (got == want) return absl::OkStatus();
  return FieldError(absl::StrCat(field, ".shape"),
                    absl::StrCat("is ", got, " wide; want ", want, " = ", name, " of the layer",
                                 TokenIdsHint(tokens, kTakesIds)));
}

// The projections of a stored layer, which says the heads as well.
absl::Status DecodeStored(const v1::LayerRef& ref, const v1::AttentionConfig& config,
                          const TensorView& tokens, const TensorView& context, bool has_context,
                          engine::LayerStore& layers, engine::AttentionCall& call,
                          engine::TokensSource& source) {
  absl::StatusOr<std::shared_ptr<const engine::StoredLayer>> layer =
      DecodeLayer(ref, v1::LAYER_KIND_ATTENTION, "tokens.layer", layers);
  if (!layer.ok()) return layer.status();
  call.layer = *std::move(layer);
  const auto& model = std::get<engine::AttentionModel>(call.layer->model());
  source.projections = model.projections;
  engine::CallShape& shape = call.shape;
  shape.num_heads = model.num_heads;
  shape.num_kv_heads = model.num_kv_heads;
  shape.head_dim = model.head_dim;
  shape.v_head_dim = model.v_head_dim;
  shape.extra_keys = model.extra_keys;
  absl::Status status = WantLayers(config.num_heads(), model.num_heads, "num_heads");
  if (status.ok()) status = WantLayers(config.num_kv_heads(), model.num_kv_heads, "num_kv_heads");
  if (status.ok()) status = WantLayers(config.head_dim(), model.head_dim, "head_dim");
  if (status.ok()) status = WantWidth(tokens, model.d_model, "d_model", kTokens);
  if (status.ok()) {
    status = WantWidth(context, model.d_context, "d_context", has_context ? kContext : kTokens);
  }
  if (status.ok() && model.extra_keys > 0 && !config.alibi_slopes().empty()) {
    status = FieldError("config.alibi_slopes",
                        "is set; want it unset, since the layer has keys that stand nowhere "
                        "(bias_k, add_zero_attn)");
  }
  return status;
}

// Without learned weights the tokens themselves are query, key and value.
absl::Status DecodeSimplified(const TensorView& tokens, const TensorView& context, bool has_context,
                              const v1::AttentionConfig& config, engine::CallShape& shape) {
  const absl::StatusOr<int64_t> head_dim = HeadWidth(tokens, shape.num_heads, "num_heads", kTokens);
  if (!head_dim.ok()) return head_dim.status();
  shape.head_dim = shape.v_head_dim = *head_dim;
  if (absl::Status fits = CheckHeadDim(config, *head_dim); !fits.ok()) return fits;
  const int64_t want = shape.num_kv_heads * shape.head_dim;
  if (context.shape.back() == want) return absl::OkStatus();
  return FieldError(absl::StrCat(has_context ? kContext : kTokens, ".shape"),
                    absl::StrCat("is ", ShapeText(context.shape), "; want ", want, " = ",
                                 "num_kv_heads * head_dim on the last axis, since there are no "
                                 "projection_weights to change the width"));
}

// The tokens, and those that they attend to: `tokens` themselves where there are no others.
struct TokenTensors {
  TensorView tokens, context;
  int64_t rank() const { return tokens.rank(); }
};

absl::Status CheckTokens(const TensorView& tokens) {
  if (tokens.rank() == 2 || tokens.rank() == 3) return absl::OkStatus();
  return FieldError(absl::StrCat(kTokens, ".shape"),
                    absl::StrCat("is ", ShapeText(tokens.shape),
                                 "; want [q_len, d_model] or [batch, q_len, d_model]",
                                 TokenIdsHint(tokens, kTakesIds)));
}

absl::Status CheckContext(const TensorView& context, const TensorView& tokens) {
  const int64_t rank = tokens.rank();
  const bool fits = context.rank() == rank && (rank == 2 || context.shape[0] == tokens.shape[0]);
  if (fits) return absl::OkStatus();
  return FieldError(absl::StrCat(kContext, ".shape"),
                    absl::StrCat("is ", ShapeText(context.shape), "; want ", rank,
                                 " axes and the batch of tokens ", ShapeText(tokens.shape),
                                 TokenIdsHint(context, kTakesIds)));
}

absl::StatusOr<TokenTensors> DecodeTensors(const v1::TokensSource& source) {
  if (!source.has_tokens()) return FieldError(kTokens, "is not set; want a float tensor");
  const absl::StatusOr<TensorView> tokens = DecodeEmbeddings(source.tokens(), kTokens, kTakesIds);
  if (!tokens.ok()) return tokens.status();
  if (absl::Status fits = CheckTokens(*tokens); !fits.ok()) return fits;
  if (!source.has_context()) return TokenTensors{*tokens, *tokens};
  const absl::StatusOr<TensorView> context =
      DecodeEmbeddings(source.context(), kContext, kTakesIds);
  absl::Status status = context.ok() ? CheckContext(*context, *tokens) : context.status();
  if (!status.ok()) return status;
  return TokenTensors{*tokens, *context};
}

// Where the projections come from; sets head_dim and v_head_dim.
absl::Status DecodeWeights(const v1::TokensSource& source, const v1::AttentionConfig& config,
                           const TokenTensors& given, engine::LayerStore& layers,
                           DecodedRequest& decoded, engine::TokensSource& to) {
  if (source.has_layer()) {
    return DecodeStored(source.layer(), config, given.tokens, given.context, source.has_context(),
                        layers, decoded.call, to);
  }
  absl::Status status = DecodeHeads(config, 1, std::nullopt, decoded.call.shape);
  if (!status.ok()) return status;
  if (source.has_projection_weights()) {
    return DecodeProjections(source.projection_weights(), config, given.tokens, given.context,
                             decoded, to.projections.emplace());
  }
  return DecodeSimplified(given.tokens, given.context, source.has_context(), config,
                          decoded.call.shape);
}

}  // namespace

absl::Status DecodeTokens(const v1::TokensSource& source, const v1::AttentionConfig& config,
                          int64_t max_tokens, engine::LayerStore& layers, DecodedRequest& decoded) {
  const absl::StatusOr<TokenTensors> given = DecodeTensors(source);
  if (!given.ok()) return given.status();
  const auto& [tokens, context] = *given;
  const int64_t rank = given->rank();
  engine::AttentionCall& call = decoded.call;
  engine::TokensSource to = {.tokens = tokens.numbers,
                             .context = context.numbers,
                             .d_model = tokens.shape.back(),
                             .projections = std::nullopt};
  absl::Status status = DecodeLengths({.rank = rank,
                                       .batch = rank == 3 ? tokens.shape[0] : 1,
                                       .q_len = tokens.shape[rank - 2],
                                       .kv_len = context.shape[rank - 2],
                                       .q_lens = source.q_lens(),
                                       .kv_lens = source.kv_lens()},
                                      config.causal_alignment(), max_tokens, "tokens", call);
  if (status.ok()) status = DecodeWeights(source, config, *given, layers, decoded, to);
  if (!status.ok()) return status;

  const bool has_o = to.projections.has_value() && to.projections->o.has_value();
  decoded.output_shape.assign(tokens.shape.begin(), tokens.shape.end());
  decoded.output_shape.back() =
      has_o ? to.projections->o->weight.out : call.shape.num_heads * call.shape.v_head_dim;
  call.types = {tokens.numbers.type, context.numbers.type, context.numbers.type};
  call.source = to;
  return absl::OkStatus();
}

}  // namespace attention::rpc
