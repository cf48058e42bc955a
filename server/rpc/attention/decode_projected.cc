// Queries, keys and values that a request brings (see decode_source.h).
#include <string>

#include "absl/strings/str_cat.h"
#include "server/rpc/attention/decode_heads.h"
#include "server/rpc/attention/decode_source.h"
#include "server/rpc/messages/decode_fields.h"
#include "server/rpc/messages/decode_lengths.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

constexpr char kSource[] = "projected";
constexpr char kQuery[] = "projected.query";
constexpr char kKey[] = "projected.key";
constexpr char kValue[] = "projected.value";
constexpr char kPastKey[] = "projected.past_key";
constexpr char kPastValue[] = "projected.past_value";

// Query, key and value, which go together.
struct Projected {
  TensorView query, key, value;
  HeadsShape q, k, v;
};

absl::Status DecodeCurrent(const v1::ProjectedSource& source, const v1::AttentionConfig& config,
                           engine::CallShape& s, Projected& to) {
  const auto require = [](bool present, const v1::Tensor& tensor, absl::string_view field,
                          TensorView& view) {
    absl::StatusOr<TensorView> given = Required(present, tensor, field);
    if (!given.ok()) return given.status();
    view = *std::move(given);
    return absl::OkStatus();
  };
  absl::Status status = require(source.has_query(), source.query(), kQuery, to.query);
  if (status.ok()) status = require(source.has_key(), source.key(), kKey, to.key);
  if (status.ok()) status = require(source.has_value(), source.value(), kValue, to.value);
  if (status.ok()) status = WantSame(to.key.rank(), to.query.rank(), "axes:", kQuery, kKey);
  if (status.ok()) status = WantSame(to.value.rank(), to.query.rank(), "axes:", kQuery, kValue);
  if (status.ok()) {
    status = DecodeHeads(config, ImpliedHeads(to.query).value_or(1), ImpliedHeads(to.key), s);
  }
  const auto read = [](const TensorView& tensor, int64_t heads, absl::string_view heads_name,
                       absl::string_view field, HeadsShape& shape) {
    const absl::StatusOr<HeadsShape> heads_shape = ReadHeads(tensor, heads, heads_name, field);
    if (heads_shape.ok()) shape = *heads_shape;
    return heads_shape.status();
  };
  if (status.ok()) status = read(to.query, s.num_heads, "num_heads", kQuery, to.q);
  if (status.ok()) status = read(to.key, s.num_kv_heads, "num_kv_heads", kKey, to.k);
  if (status.ok()) status = read(to.value, s.num_kv_heads, "num_kv_heads", kValue, to.v);
  if (status.ok()) status = WantSame(to.k.batch, to.q.batch, "batch", kQuery, kKey);
  if (status.ok()) status = WantSame(to.v.batch, to.q.batch, "batch", kQuery, kValue);
  if (status.ok()) status = WantSame(to.k.dim, to.q.dim, "head_dim", kQuery, kKey);
  if (status.ok()) status = WantSame(to.v.len, to.k.len, "kv_len", kKey, kValue);
  return status.ok() ? CheckHeadDim(config, to.q.dim) : status;
}

// The past's key or value, [batch, heads, past_len, dim]; sets `past_len`.
absl::Status DecodeOnePast(const v1::Tensor& tensor, absl::string_view field,
                           const HeadsShape& current, int64_t& past_len, engine::BatchView& view) {
  const absl::StatusOr<TensorView> past = DecodePast(tensor, field);
  if (!past.ok()) return past.status();
  const absl::Span<const int64_t> shape = past->shape;
  const bool fits = past->rank() == 4 && shape[0] == current.batch && shape[1] == current.heads &&
                    shape[3] == current.dim;
  absl::Status status =
      WantRank(*past, fits,
               absl::StrCat("[", current.batch, ", ", current.heads, ", past_len, ", current.dim,
                            "] = [batch, num_kv_heads, past_len, head_dim]"),
               field);
  if (!status.ok()) return status;
  past_len = shape[2];
  view = engine::HeadMajorBatch(past->numbers.data, past->numbers.type, past_len, current.heads,
                                current.dim);
  return absl::OkStatus();
}

absl::Status DecodePasts(const v1::ProjectedSource& source, const Projected& current,
                         int64_t& past_len, engine::ProjectedSource& to) {
  if (source.has_past_key() != source.has_past_value()) {
    return FieldError(source.has_past_key() ? kPastValue : kPastKey,
                      "is not set; want past_key and past_value, or neither");
  }
  if (!source.has_past_key()) return absl::OkStatus();
  absl::Status status =
      DecodeOnePast(source.past_key(), kPastKey, current.k, past_len, to.past_key);
  int64_t value_len = 0;
  if (status.ok()) {
    status = DecodeOnePast(source.past_value(), kPastValue, current.v, value_len, to.past_value);
  }
  return status.ok() ? WantSame(value_len, past_len, "past_len", kPastKey, kPastValue) : status;
}

}  // namespace

absl::Status DecodeProjected(const v1::ProjectedSource& source, const v1::AttentionConfig& config,
                             int64_t max_tokens, DecodedRequest& decoded) {
  engine::AttentionCall& call = decoded.call;
  Projected current;
  absl::Status status = DecodeCurrent(source, config, call.shape, current);
  if (!status.ok()) return status;
  const auto& [query, key, value, q, k, v] = current;
  call.shape.head_dim = q.dim;
  call.shape.v_head_dim = v.dim;
  engine::ProjectedSource to = {.query = ViewHeads(query, q),
                                .key = ViewHeads(key, k),
                                .value = ViewHeads(value, v),
                                .past_key = {},
                                .past_value = {}};
  SourceLengths lengths = {.rank = query.rank(),
                           .batch = q.batch,
                           .q_len = q.len,
                           .kv_len = k.len,
                           .has_past = source.has_past_key(),
                           .is_cache = true,
                           .q_lens = source.q_lens(),
                           .kv_lens = source.kv_lens()};
  status = DecodePasts(source, current, lengths.past_len, to);
  if (status.ok()) {
    status = DecodeLengths(lengths, config.causal_alignment(), max_tokens, kSource, call);
  }
  if (!status.ok()) return status;
  decoded.output_shape = OutputShape(query.rank(), q.len, call.shape);
  call.types = {query.numbers.type, key.numbers.type, value.numbers.type};
  call.source = to;
  return absl::OkStatus();
}

}  // namespace attention::rpc
