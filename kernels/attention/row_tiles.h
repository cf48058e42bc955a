#ifndef ATTENTION_KERNELS_ATTENTION_ROW_TILES_H_
#define ATTENTION_KERNELS_ATTENTION_ROW_TILES_H_

#include <algorithm>
#include <cstdint>

#include "kernels/attention/attention_problem.h"
#include "kernels/memory/tiles.h"

namespace attention {

// The most query rows that one product takes. The scores of 64 rows and 1024 keys in float32 are
// 256 KiB; with the packed keys and values of a head of 64 (512 KiB) they stay in a 1 MiB L2 cache.
constexpr int64_t kRowTile = 64;

// The query rows of one tile: `queries` queries of each of `heads` heads, which share a key/value
// head. Row r is query first + r % queries of head `head` + r / queries.
struct RowTile {
  int64_t head = 0;
  int64_t heads = 1;
  int64_t first = 0;
  int64_t queries = 1;

  int64_t rows() const { return heads * queries; }
  int64_t Head(int64_t row) const { return head + row / queries; }
  int64_t Query(int64_t row) const { return first + row % queries; }
};

// Cuts the query rows of one sequence into tiles, which depend only on its own lengths. A tile
// takes kRowTile queries of one head; if the sequence has fewer, a tile takes all its queries of as
// many heads of a group as fit.
class RowTiling {
 public:
  RowTiling(const AttentionSettings& settings, int64_t q_len)
      : q_len_(q_len),
        group_(settings.Group()),
        heads_(std::clamp<int64_t>(kRowTile / std::max<int64_t>(q_len, 1), 1, group_)) {}

  int64_t query_tiles() const { return CeilDiv(q_len_, kRowTile); }
  int64_t head_blocks() const { return CeilDiv(group_, heads_); }  // of one key/value head

  RowTile Tile(int64_t kv_head, int64_t head_block, int64_t query_tile) const {
    const int64_t in_group = head_block * heads_, first = query_tile * kRowTile;
    return {.head = kv_head * group_ + in_group,
            .heads = std::min(heads_, group_ - in_group),
            .first = first,
            .queries = std::min(kRowTile, q_len_ - first)};
  }

 private:
  int64_t q_len_;
  int64_t group_;
  int64_t heads_;  // of one tile
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_ROW_TILES_H_
