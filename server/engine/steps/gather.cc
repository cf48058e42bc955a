#include "server/engine/steps/gather.h"

#include <cstring>
#include <variant>

#include "server/engine/steps/return_heads.h"

namespace attention::engine {
namespace {

std::byte* Copy(const NumbersView& from, int64_t count, std::byte* to) {
  const int64_t bytes = count * ByteSize(from.type);
  std::memcpy(to, from.data, bytes);
  return to + bytes;
}

}  // namespace

void PickQueries(const AttentionCall& call, const BatchView& from, int64_t heads, int64_t dim,
                 const MutableBatchView& to) {
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    CopyRows(from.At(b, offsets.source_queries), heads, call.query_indices, dim,
             to.At(b, offsets.queries));
  });
}

std::byte* GatherTokens(const Member& member, std::byte* to) {
  const auto& source = std::get<TokensSource>(member.call->source);
  const int64_t count = member.totals.queries * source.d_model;
  if (!member.call->PicksQueries()) return Copy(source.tokens, count, to);
  PickQueries(*member.call,
              TokenMajorBatch(source.tokens.data, source.tokens.type, 1, source.d_model), 1,
              source.d_model, TokenMajorBatch(to, DataType::kFloat32, 1, source.d_model));
  return to + count * ByteSize(DataType::kFloat32);
}

std::byte* GatherContext(const Member& member, std::byte* to) {
  const auto& source = std::get<TokensSource>(member.call->source);
  return Copy(source.context, member.totals.current_keys * source.projections->k.weight.in, to);
}

}  // namespace attention::engine
