#include "server/rpc/attention/decode_rotary.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/engine/call_sequences.h"
#include "server/rpc/messages/decode_config.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

// The positions of `count` tokens, sequence by sequence: as many are given, or, where all sequences
// are equally long, those of one.
absl::Status DecodePositions(absl::Span<const int64_t> given, int64_t count, int64_t batch,
                             bool ragged, absl::string_view field, std::vector<int64_t>& to) {
  const auto size = static_cast<int64_t>(given.size());
  const bool alike = !ragged && size * batch == count;
  if (size != count && !alike) {
    const std::string one = ragged || batch == 1 ? "" : absl::StrCat(count / batch, " or ");
    return FieldError(field,
                      absl::StrCat("has ", size, " elements; want ", one, count, ", one a token"));
  }
  for (int64_t i = 0; i < size; ++i) {
    if (given[i] >= -kMaxPosition && given[i] <= kMaxPosition) continue;
    return FieldError(absl::StrCat(field, "[", i, "]"),
                      absl::StrCat("is ", given[i], "; want -2^31 to 2^31"));
  }
  while (static_cast<int64_t>(to.size()) < count) to.insert(to.end(), given.begin(), given.end());
  return absl::OkStatus();
}

absl::Status DecodeSettings(const v1::RotaryEmbedding& rotary, int64_t head_dim,
                            RotarySettings& to) {
  using v1::RotaryEmbedding;
  absl::Status status =
      WantEnum(RotaryEmbedding::Pairing_IsValid(rotary.pairing()), rotary.pairing(),
               "PAIRING_SPLIT_HALF or PAIRING_INTERLEAVED", "config.rotary.pairing");
  if (!status.ok()) return status;
  if (rotary.pairing() == RotaryEmbedding::PAIRING_INTERLEAVED) {
    to.pairing = RotaryPairing::kInterleaved;
  }
  if (head_dim < 2) {
    return FieldError("config.rotary",
                      absl::StrCat("is set; want it unset, since it rotates pairs of numbers and "
                                   "head_dim is ",
                                   head_dim));
  }
  to.rotary_dim = rotary.rotary_dim() == 0 ? head_dim : rotary.rotary_dim();
  if (to.rotary_dim < 2 || to.rotary_dim % 2 != 0 || to.rotary_dim > head_dim) {
    return FieldError(
        "config.rotary.rotary_dim",
        absl::StrCat("is ", rotary.rotary_dim(), rotary.rotary_dim() == 0 ? ", all" : "",
                     "; want an even number from 2 to ", head_dim, " = head_dim"));
  }
  if (rotary.base() != 0) to.base = rotary.base();
  if (!std::isfinite(to.base) || to.base < 1) {
    return FieldError("config.rotary.base",
                      absl::StrCat("is ", rotary.base(), "; want at least 1, or 0 for 10000"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeRotary(const v1::RotaryEmbedding& rotary, engine::AttentionCall& call) {
  engine::CallRotary& to = call.rotary.emplace();
  absl::Status status = DecodeSettings(rotary, call.shape.head_dim, to.settings);
  if (!status.ok()) return status;
  if (rotary.query_positions().empty() != rotary.key_positions().empty()) {
    return FieldError(rotary.query_positions().empty() ? "config.rotary.query_positions"
                                                       : "config.rotary.key_positions",
                      "is not set; want query_positions and key_positions, or neither");
  }
  if (rotary.query_positions().empty()) return absl::OkStatus();
  const engine::SequenceOffsets totals = engine::Totals(call);
  status = DecodePositions(rotary.query_positions(), totals.source_queries, call.shape.batch,
                           call.ragged, "config.rotary.query_positions", to.query_positions);
  if (!status.ok()) return status;
  return DecodePositions(rotary.key_positions(), totals.current_keys, call.shape.batch, call.ragged,
                         "config.rotary.key_positions", to.key_positions);
}

}  // namespace attention::rpc
