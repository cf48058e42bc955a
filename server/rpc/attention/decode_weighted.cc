// Attention weights and values that a request brings (see decode_source.h).
#include "absl/strings/str_cat.h"
#include "server/rpc/attention/decode_heads.h"
#include "server/rpc/attention/decode_source.h"
#include "server/rpc/messages/decode_fields.h"
#include "server/rpc/messages/decode_lengths.h"

namespace attention::rpc {
namespace {

constexpr char kAttentionWeights[] = "weighted.attention_weights";
constexpr char kWeightedValue[] = "weighted.value";

struct WeightedTensors {
  TensorView weights, value;
};

absl::StatusOr<WeightedTensors> DecodeTensors(const v1::WeightedSource& source) {
  const absl::StatusOr<TensorView> weights =
      Required(source.has_attention_weights(), source.attention_weights(), kAttentionWeights);
  if (!weights.ok()) return weights.status();
  const absl::StatusOr<TensorView> value =
      Required(source.has_value(), source.value(), kWeightedValue);
  if (!value.ok()) return value.status();
  const int64_t rank = weights->rank();
  absl::Status status =
      WantRank(*weights, rank == 2 || rank == 4,
               "[q_len, kv_len] or [batch, num_heads, q_len, kv_len]", kAttentionWeights);
  if (!status.ok()) return status;
  return WeightedTensors{*weights, *value};
}

}  // namespace

absl::Status DecodeWeighted(const v1::WeightedSource& source, const v1::AttentionConfig& config,
                            int64_t max_tokens, DecodedRequest& decoded) {
  const absl::StatusOr<WeightedTensors> given = DecodeTensors(source);
  if (!given.ok()) return given.status();
  const auto& [weights, value] = *given;
  const int64_t rank = weights.rank();
  engine::AttentionCall& call = decoded.call;
  engine::CallShape& s = call.shape;
  const int64_t heads = ImpliedHeads(weights).value_or(1);
  absl::Status status = DecodeHeads(config, heads, ImpliedHeads(value), s);
  if (status.ok()) {
    status = WantSame(heads, s.num_heads, "heads", "config.num_heads", kAttentionWeights);
  }
  if (!status.ok()) return status;
  const absl::StatusOr<HeadsShape> v =
      ReadHeads(value, s.num_kv_heads, "num_kv_heads", kWeightedValue);
  if (!v.ok()) return v.status();
  const SourceLengths lengths = {.rank = rank,
                                 .batch = rank == 4 ? weights.shape[0] : 1,
                                 .q_len = weights.shape[rank - 2],
                                 .kv_len = weights.shape[rank - 1],
                                 .q_lens = {},
                                 .kv_lens = {}};
  status = WantSame(v->batch, lengths.batch, "batch", kAttentionWeights, kWeightedValue);
  if (status.ok()) {
    status = WantSame(v->len, lengths.kv_len, "kv_len", kAttentionWeights, kWeightedValue);
  }
  if (status.ok()) {
    status = DecodeLengths(lengths, config.causal_alignment(), max_tokens, "weighted", call);
  }
  if (!status.ok()) return status;

  s.head_dim = s.v_head_dim = v->dim;
  decoded.output_shape = OutputShape(value.rank(), lengths.q_len, s);
  call.types = {value.numbers.type, value.numbers.type, value.numbers.type};
  call.source =
      engine::WeightedSource{engine::HeadMajorBatch(weights.numbers.data, weights.numbers.type,
                                                    s.q_len, s.num_heads, s.kv_len),
                             ViewHeads(value, *v)};
  return absl::OkStatus();
}

}  // namespace attention::rpc
