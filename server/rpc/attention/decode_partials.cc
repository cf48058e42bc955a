// Partial results that a request brings (see decode_source.h).
#include <string>

#include "absl/strings/str_cat.h"
#include "server/rpc/attention/decode_heads.h"
#include "server/rpc/attention/decode_source.h"
#include "server/rpc/messages/decode_fields.h"
#include "server/rpc/messages/decode_lengths.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

constexpr int kMaxParts = 64;

std::string PartField(int part, absl::string_view name) {
  return absl::StrCat("partials.parts[", part, "].", name);
}

// One part, whose output has the shape `want` where that is not empty.
absl::Status DecodePart(const v1::PartialResult& part, int index, absl::Span<const int64_t> want,
                        TensorView& output, TensorView& log_sum_exp) {
  const std::string field = PartField(index, "output");
  absl::StatusOr<TensorView> given = Required(part.has_output(), part.output(), field);
  if (!given.ok()) return given.status();
  output = *std::move(given);
  if (!want.empty()) {
    absl::Status fits = WantShape(output, want, "the shape of the first part", field);
    if (!fits.ok()) return fits;
  }
  absl::StatusOr<TensorView> logs =
      Required(part.has_log_sum_exp(), part.log_sum_exp(), PartField(index, "log_sum_exp"));
  if (!logs.ok()) return logs.status();
  log_sum_exp = *std::move(logs);
  return absl::OkStatus();
}

// What the first part says for all: heads, lengths and the shape of the output.
absl::Status DecodeFirst(const v1::PartialsSource& source, const v1::AttentionConfig& config,
                         int64_t max_tokens, const TensorView& output, DecodedRequest& decoded) {
  engine::CallShape& s = decoded.call.shape;
  absl::Status status = DecodeHeads(config, ImpliedHeads(output).value_or(1), std::nullopt, s);
  if (!status.ok()) return status;
  const absl::StatusOr<HeadsShape> heads =
      ReadHeads(output, s.num_heads, "num_heads", PartField(0, "output"));
  if (!heads.ok()) return heads.status();
  s.head_dim = s.v_head_dim = heads->dim;
  status = DecodeLengths({.rank = output.rank(),
                          .batch = heads->batch,
                          .q_len = heads->len,
                          .kv_len = source.q_lens().empty() ? 1 : heads->len,
                          .q_lens = source.q_lens(),
                          .kv_lens = {}},
                         config.causal_alignment(), max_tokens, "partials", decoded.call);
  if (!status.ok()) return status;
  decoded.output_shape = OutputShape(output.rank(), heads->len, s);
  return absl::OkStatus();
}

// The place of a part, whose shapes have to fit the call's.
absl::Status AddPart(int index, const TensorView& output, const TensorView& logs,
                     DecodedRequest& decoded, engine::PartialsSource& to) {
  const engine::CallShape& s = decoded.call.shape;
  const absl::StatusOr<HeadsShape> heads =
      ReadHeads(output, s.num_heads, "num_heads", PartField(index, "output"));
  if (!heads.ok()) return heads.status();
  const bool ragged = decoded.call.ragged;
  const std::vector<int64_t> want =
      ragged ? std::vector{s.num_heads * heads->len} : std::vector{s.batch, s.num_heads, s.q_len};
  absl::Status status =
      WantShape(logs, want, ragged ? "[num_heads * sum of q_lens]" : "[batch, num_heads, q_len]",
                PartField(index, "log_sum_exp"));
  if (!status.ok()) return status;
  to.parts.push_back({ViewHeads(output, *heads), AsFloats(logs, decoded.storage)});
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodePartials(const v1::PartialsSource& source, const v1::AttentionConfig& config,
                            int64_t max_tokens, DecodedRequest& decoded) {
  if (source.parts().empty() || source.parts_size() > kMaxParts) {
    return FieldError("partials.parts", absl::StrCat("has ", source.parts_size(),
                                                     " elements; want 1 to ", kMaxParts));
  }
  engine::PartialsSource to;
  TensorView first;
  for (int i = 0; i < source.parts_size(); ++i) {
    TensorView output, logs;
    absl::Status status = DecodePart(source.parts(i), i, first.shape, output, logs);
    if (status.ok() && i == 0) {
      first = output;
      status = DecodeFirst(source, config, max_tokens, output, decoded);
    }
    if (status.ok()) status = AddPart(i, output, logs, decoded, to);
    if (!status.ok()) return status;
  }
  decoded.call.types = {first.numbers.type, first.numbers.type, first.numbers.type};
  decoded.call.source = std::move(to);
  return absl::OkStatus();
}

}  // namespace attention::rpc
