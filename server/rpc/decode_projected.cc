#include <string>

#include "absl/strings/str_cat.h"
#include "server/rpc/decode_fields.h"
#include "server/rpc/decode_source.h"
#include "server/rpc/field_error.h"

namespace attention::rpc {
namespace {

constexpr char kQuery[] = "projected.query";
constexpr char kKey[] = "projected.key";
constexpr char kValue[] = "projected.value";
constexpr char kAttentionWeights[] = "weighted.attention_weights";
constexpr char kWeightedValue[] = "weighted.value";
constexpr char kLayouts[] =
    "[len, heads * dim], [batch, len, heads * dim] or [batch, heads, len, dim]";

// The sizes of a tensor in one of kLayouts.
struct HeadsShape {
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t len = 1;
  int64_t dim = 1;  // of one head
};

// The number of heads that the shape itself says, 1 where it does not.
int64_t ImpliedHeads(const TensorView& tensor) { return tensor.rank() == 4 ? tensor.shape[1] : 1; }

// Reads `tensor` as `heads` heads. `heads_name` is the setting that says how many.
absl::StatusOr<HeadsShape> ReadHeads(const TensorView& tensor, int64_t heads,
                                     absl::string_view heads_name, absl::string_view field) {
  absl::Status ranks = WantRank(tensor, tensor.rank() >= 2 && tensor.rank() <= 4, kLayouts, field);
  if (!ranks.ok()) return ranks;
  if (tensor.rank() == 4) {
    absl::Status fits = WantRank(tensor, tensor.shape[1] == heads,
                                 absl::StrCat(heads_name, " = ", heads, " on axis 1"), field);
    if (!fits.ok()) return fits;
    return HeadsShape{tensor.shape[0], heads, tensor.shape[2], tensor.shape[3]};
  }
  const absl::StatusOr<int64_t> dim = HeadWidth(tensor, heads, heads_name, field);
  if (!dim.ok()) return dim.status();
  if (tensor.rank() == 2) return HeadsShape{1, heads, tensor.shape[0], *dim};
  return HeadsShape{tensor.shape[0], heads, tensor.shape[1], *dim};
}

engine::BatchView View(const TensorView& tensor, const HeadsShape& s) {
  if (tensor.rank() == 4) return engine::HeadMajorBatch(tensor.floats, s.len, s.heads, s.dim);
  return engine::TokenMajorBatch(tensor.floats, s.len, s.heads, s.dim);
}

// That two tensors agree in one size.
absl::Status WantSame(int64_t got, int64_t want, absl::string_view size, absl::string_view as,
                      absl::string_view field) {
  if (got == want) return absl::OkStatus();
  return FieldError(absl::StrCat(field, ".shape"),
                    absl::StrCat("has ", size, " ", got, "; want ", want, ", as ", as));
}

// The value's layout with q_len rows of num_heads heads: what `output` looks like.
std::vector<int64_t> OutputShape(int64_t rank, const engine::CallShape& s) {
  if (rank == 4) return {s.batch, s.num_heads, s.q_len, s.v_head_dim};
  if (rank == 3) return {s.batch, s.q_len, s.num_heads * s.v_head_dim};
  return {s.q_len, s.num_heads * s.v_head_dim};
}

}  // namespace

absl::Status DecodeProjected(const v1::ProjectedSource& source, const v1::AttentionConfig& config,
                             DecodedRequest& decoded) {
  TensorStorage& storage = decoded.storage;
  const auto query = Required(source.has_query(), source.query(), kQuery, storage);
  if (!query.ok()) return query.status();
  const auto key = Required(source.has_key(), source.key(), kKey, storage);
  if (!key.ok()) return key.status();
  const auto value = Required(source.has_value(), source.value(), kValue, storage);
  if (!value.ok()) return value.status();
  absl::Status status = WantSame(key->rank(), query->rank(), "axes:", kQuery, kKey);
  if (status.ok()) status = WantSame(value->rank(), query->rank(), "axes:", kQuery, kValue);
  if (!status.ok()) return status;

  engine::CallShape& s = decoded.call.shape;
  const auto implied_kv =
      key->rank() == 4 ? std::optional<int64_t>(ImpliedHeads(*key)) : std::nullopt;
  status = DecodeHeads(config, ImpliedHeads(*query), implied_kv, s);
  if (!status.ok()) return status;
  const absl::StatusOr<HeadsShape> q = ReadHeads(*query, s.num_heads, "num_heads", kQuery);
  if (!q.ok()) return q.status();
  const absl::StatusOr<HeadsShape> k = ReadHeads(*key, s.num_kv_heads, "num_kv_heads", kKey);
  if (!k.ok()) return k.status();
  const absl::StatusOr<HeadsShape> v = ReadHeads(*value, s.num_kv_heads, "num_kv_heads", kValue);
  if (!v.ok()) return v.status();
  status = WantSame(k->batch, q->batch, "batch", kQuery, kKey);
  if (status.ok()) status = WantSame(v->batch, q->batch, "batch", kQuery, kValue);
  if (status.ok()) status = WantSame(k->dim, q->dim, "head_dim", kQuery, kKey);
  if (status.ok()) status = WantSame(v->len, k->len, "kv_len", kKey, kValue);
  if (status.ok()) status = CheckHeadDim(config, q->dim);
  if (!status.ok()) return status;

  s.batch = q->batch;
  s.q_len = decoded.call.source_len = q->len;
  s.kv_len = k->len;
  s.head_dim = q->dim;
  s.v_head_dim = v->dim;
  decoded.output_shape = OutputShape(query->rank(), s);
  decoded.call.source = engine::ProjectedSource{View(*query, *q), View(*key, *k), View(*value, *v)};
  return absl::OkStatus();
}

absl::Status DecodeWeighted(const v1::WeightedSource& source, const v1::AttentionConfig& config,
                            DecodedRequest& decoded) {
  TensorStorage& storage = decoded.storage;
  const auto weights = Required(source.has_attention_weights(), source.attention_weights(),
                                kAttentionWeights, storage);
  if (!weights.ok()) return weights.status();
  const auto value = Required(source.has_value(), source.value(), kWeightedValue, storage);
  if (!value.ok()) return value.status();
  absl::Status status =
      WantRank(*weights, weights->rank() == 2 || weights->rank() == 4,
               "[q_len, kv_len] or [batch, num_heads, q_len, kv_len]", kAttentionWeights);
  if (!status.ok()) return status;

  engine::CallShape& s = decoded.call.shape;
  const int64_t rank = weights->rank();
  const int64_t heads = ImpliedHeads(*weights);
  const auto implied_kv =
      value->rank() == 4 ? std::optional<int64_t>(ImpliedHeads(*value)) : std::nullopt;
  status = DecodeHeads(config, heads, implied_kv, s);
  if (!status.ok()) return status;
  status = WantSame(heads, s.num_heads, "heads", "config.num_heads", kAttentionWeights);
  if (!status.ok()) return status;
  const absl::StatusOr<HeadsShape> v =
      ReadHeads(*value, s.num_kv_heads, "num_kv_heads", kWeightedValue);
  if (!v.ok()) return v.status();
  s.batch = rank == 4 ? weights->shape[0] : 1;
  s.q_len = decoded.call.source_len = weights->shape[rank - 2];
  s.kv_len = weights->shape[rank - 1];
  status = WantSame(v->batch, s.batch, "batch", kAttentionWeights, kWeightedValue);
  if (status.ok()) status = WantSame(v->len, s.kv_len, "kv_len", kAttentionWeights, kWeightedValue);
  if (!status.ok()) return status;

  s.head_dim = s.v_head_dim = v->dim;
  decoded.output_shape = OutputShape(value->rank(), s);
  decoded.call.source = engine::WeightedSource{
      engine::HeadMajorBatch(weights->floats, s.q_len, s.num_heads, s.kv_len), View(*value, *v)};
  return absl::OkStatus();
}

}  // namespace attention::rpc
