#include "server/rpc/messages/decode_lengths.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/rpc/messages/field_error.h"

namespace attention::rpc {
namespace {

absl::Status TooMany(absl::string_view what, int64_t max_tokens) {
  return FieldError("source", absl::StrCat("holds ", what, "; this server takes at most ",
                                           max_tokens, " tokens a call (--max_tokens)"));
}

absl::Status WantCount(absl::Span<const int64_t> lens, int64_t batch, absl::string_view as,
                       absl::string_view field) {
  if (static_cast<int64_t>(lens.size()) == batch) return absl::OkStatus();
  return FieldError(field, absl::StrCat("has ", lens.size(), " elements; want ", batch, ", ", as));
}

// That each is from 0 to `most`.
absl::Status WantEach(absl::Span<const int64_t> lens, int64_t most, absl::string_view most_is,
                      absl::string_view field) {
  for (size_t i = 0; i < lens.size(); ++i) {
    if (lens[i] >= 0 && lens[i] <= most) continue;
    return FieldError(absl::StrCat(field, "[", i, "]"),
                      absl::StrCat("is ", lens[i], "; want 0 to ", most, " = ", most_is));
  }
  return absl::OkStatus();
}

// That they partition `rows`. Each is checked before they are added up.
absl::Status WantSum(absl::Span<const int64_t> lens, int64_t rows, absl::string_view rows_of,
                     absl::string_view field) {
  if (absl::Status s = WantEach(lens, rows, absl::StrCat("the rows of ", rows_of), field);
      !s.ok()) {
    return s;
  }
  int64_t sum = 0;
  for (const int64_t len : lens) sum = std::min(sum + len, rows + 1);  // cannot overflow
  if (sum == rows) return absl::OkStatus();
  return FieldError(
      field, absl::StrCat("adds up to ", sum > rows ? "more than " : "", sum > rows ? rows : sum,
                          "; want ", rows, ", the rows of ", rows_of));
}

absl::Status DecodeRagged(const SourceLengths& lengths, int64_t max_tokens,
                          absl::string_view source, engine::AttentionCall& call) {
  const std::string q_field = absl::StrCat(source, ".q_lens");
  const std::string kv_field = absl::StrCat(source, ".kv_lens");
  if (lengths.rank != 2 || lengths.has_past) {
    return FieldError(q_field, lengths.has_past
                                   ? "is set; want it unset, since there is a past"
                                   : absl::StrCat("is set; want tensors [sum of lens, heads * dim] "
                                                  "with it, not of ",
                                                  lengths.rank, " axes"));
  }
  const auto batch = static_cast<int64_t>(lengths.q_lens.size());
  if (batch > max_tokens) return TooMany(absl::StrCat(batch, " sequences"), max_tokens);
  const bool own = !lengths.kv_lens.empty();
  const absl::Span<const int64_t> kv_lens = own ? lengths.kv_lens : lengths.q_lens;
  absl::Status status = WantSum(lengths.q_lens, lengths.q_len, "the queries", q_field);
  if (status.ok()) status = WantCount(kv_lens, batch, "as many as q_lens", kv_field);
  if (status.ok()) {
    status = WantSum(kv_lens, lengths.kv_len, "the keys", own ? kv_field : q_field);
  }
  if (!status.ok()) return status;
  call.ragged = true;
  call.shape.batch = batch;
  call.shape.q_len = *std::max_element(lengths.q_lens.begin(), lengths.q_lens.end());
  call.shape.kv_len = *std::max_element(kv_lens.begin(), kv_lens.end());
  for (int64_t b = 0; b < batch; ++b) {
    call.sequences.push_back(
        {.q_len = lengths.q_lens[b], .kv_len = kv_lens[b], .visible_len = kv_lens[b]});
  }
  return absl::OkStatus();
}

absl::Status DecodeEqual(const SourceLengths& lengths, int64_t max_tokens, absl::string_view source,
                         engine::AttentionCall& call) {
  const int64_t kv_len = lengths.past_len + lengths.kv_len;
  const int64_t longest = std::max(lengths.q_len, kv_len);
  // Divided, not multiplied: the product might overflow.
  if (longest > max_tokens / lengths.batch) {
    return TooMany(absl::StrCat(lengths.batch, " sequences of ", longest, " tokens"), max_tokens);
  }
  const std::string field = absl::StrCat(source, ".kv_lens");
  if (!lengths.kv_lens.empty()) {
    absl::Status status = WantCount(lengths.kv_lens, lengths.batch, "one a sequence", field);
    if (status.ok()) status = WantEach(lengths.kv_lens, kv_len, "kv_len", field);
    if (!status.ok()) return status;
  }
  call.shape.batch = lengths.batch;
  call.shape.q_len = lengths.q_len;
  call.shape.kv_len = kv_len;
  call.shape.past_len = lengths.past_len;
  for (int64_t b = 0; b < lengths.batch; ++b) {
    const int64_t visible = lengths.kv_lens.empty() ? kv_len : lengths.kv_lens[b];
    call.sequences.push_back({.q_len = lengths.q_len, .kv_len = kv_len, .visible_len = visible});
  }
  return absl::OkStatus();
}

// Where query 0 of the sequence stands among the keys.
int64_t Offset(const SourceLengths& lengths, const engine::SequenceShape& s, bool ragged,
               v1::CausalAlignment alignment) {
  const int64_t bottom_right = s.visible_len - s.q_len;
  if (alignment == v1::CAUSAL_ALIGNMENT_BOTTOM_RIGHT) return bottom_right;
  if (alignment == v1::CAUSAL_ALIGNMENT_TOP_LEFT) return 0;
  if (lengths.has_past) return lengths.past_len;
  return lengths.is_cache && !ragged && !lengths.kv_lens.empty() ? bottom_right : 0;
}

}  // namespace

absl::Status DecodeLengths(const SourceLengths& lengths, v1::CausalAlignment alignment,
                           int64_t max_tokens, absl::string_view source,
                           engine::AttentionCall& call) {
  const bool ragged = !lengths.q_lens.empty();
  if (ragged && std::max(lengths.q_len, lengths.kv_len) > max_tokens) {
    return TooMany(absl::StrCat(std::max(lengths.q_len, lengths.kv_len), " tokens"), max_tokens);
  }
  absl::Status status = ragged ? DecodeRagged(lengths, max_tokens, source, call)
                               : DecodeEqual(lengths, max_tokens, source, call);
  if (!status.ok()) return status;
  if (!v1::CausalAlignment_IsValid(alignment)) {
    return FieldError("config.causal_alignment", absl::StrCat("is unknown: ", alignment,
                                                              "; want CAUSAL_ALIGNMENT_TOP_LEFT or "
                                                              "CAUSAL_ALIGNMENT_BOTTOM_RIGHT"));
  }
  for (engine::SequenceShape& s : call.sequences) {
    s.causal_offset = Offset(lengths, s, ragged, alignment);
  }
  call.source_len = call.shape.q_len;
  return absl::OkStatus();
}

}  // namespace attention::rpc
