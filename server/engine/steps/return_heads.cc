#include "server/engine/steps/return_heads.h"

#include <algorithm>
#include <cstring>

#include "kernels/simd/convert.h"

namespace attention::engine {
namespace {

void CopyRow(const std::byte* from, DataType from_type, int64_t dim, std::byte* to,
             DataType to_type) {
  if (from_type == to_type) {
    std::memcpy(to, from, dim * ByteSize(to_type));
    return;
  }
  constexpr int64_t kPart = 256;
  float part[kPart];
  for (int64_t i = 0; i < dim; i += kPart) {
    const int64_t count = std::min(kPart, dim - i);
    ToFloat32(from + i * ByteSize(from_type), from_type, count, part);
    FromFloat32(part, count, to_type, to + i * ByteSize(to_type));
  }
}

// [heads, len, dim] of one sequence in a result that has rows_before tokens of others before it.
struct Place {
  std::byte* result;  // null: not wanted
  DataType type;
  int64_t rows_before;
};

void Return(const CachedHeadsView& from, int64_t heads, int64_t len, int64_t dim,
            const Place& place) {
  if (place.result == nullptr) return;
  const MutableHeadsView to = HeadMajorView(
      place.result + place.rows_before * heads * dim * ByteSize(place.type), place.type, len, dim);
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t i = 0; i < len; ++i) {
      CopyRow(from.Row(h, i), from.Type(i), dim, to.Row(h, i), to.type);
    }
  }
}

}  // namespace

void CopyRows(const HeadsView& from, int64_t heads, absl::Span<const int64_t> rows, int64_t dim,
              const MutableHeadsView& to) {
  for (int64_t h = 0; h < heads; ++h) {
    for (size_t i = 0; i < rows.size(); ++i) {
      CopyRow(from.Row(h, rows[i]), from.type, dim, to.Row(h, static_cast<int64_t>(i)), to.type);
    }
  }
}

void ReturnHeads(const Member& member) {
  const AttentionCall& call = *member.call;
  const CallShape& s = call.shape;
  const CallOutputs& to = call.outputs;
  const ResultTypes& types = call.types;
  ForEachSequence(call, [&](int64_t b, const SequenceOffsets& offsets) {
    const int64_t kv_len = call.sequences[b].kv_len, len = kv_len - s.past_len;
    const CachedHeadsView query = {.past = {}, .current = member.query.At(b, offsets.queries)};
    const CachedHeadsView key = {.past = {}, .current = member.key.At(b, offsets.current_keys)};
    const CachedHeadsView value = {.past = {}, .current = member.value.At(b, offsets.current_keys)};
    Return(query, s.num_heads, call.sequences[b].q_len, s.head_dim,
           {to.At(Result::kQuery), types.result, offsets.queries});
    Return(key, s.num_kv_heads, len, s.head_dim,
           {to.At(Result::kKey), types.key, offsets.current_keys});
    Return(value, s.num_kv_heads, len, s.v_head_dim,
           {to.At(Result::kValue), types.value, offsets.current_keys});
    Return(member.Key(b, offsets), s.num_kv_heads, kv_len, s.head_dim,
           {to.At(Result::kPresentKey), types.key, offsets.keys});
    Return(member.Value(b, offsets), s.num_kv_heads, kv_len, s.v_head_dim,
           {to.At(Result::kPresentValue), types.value, offsets.keys});
  });
}

}  // namespace attention::engine
