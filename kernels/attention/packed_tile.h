#ifndef ATTENTION_KERNELS_ATTENTION_PACKED_TILE_H_
#define ATTENTION_KERNELS_ATTENTION_PACKED_TILE_H_

#include <cstdint>

#include "kernels/attention/attention_tile.h"
#include "kernels/attention/packed_heads.h"

namespace attention {

// A tile whose keys and values are packed, so that oneDNN multiplies whole panels of them.
class PackedTile final : public AttentionTile {
 public:
  // Floats of workspace that a tile of the sequence needs.
  static int64_t WorkspaceSize(const AttentionProducts& products, const AttentionSettings& settings,
                               const AttentionSequence& sequence);

  // `head` holds the keys and values that the tile's heads read, and must outlive this. `workspace`
  // has WorkspaceSize floats, aligned to 64 bytes.
  PackedTile(const Task& task, const PackedHead& head, float* workspace);

 private:
  static Layout LayoutOf(const Task& task);

  KeyBlock NextBlock(int64_t first, int64_t end) const override;
  void ScoreBlock(const KeyBlock& block) override;
  void AddKeySizes(const KeyBlock& block) override;
  void CombineBlock(const KeyBlock& block) override;

  // Adds the values that hold infinities or NaNs, which are packed as zeros, to the rows that see
  // them, and sets their weights in the product to 0.
  void CombineNonFinite(const KeyBlock& block);

  const PackedHead& head_;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_PACKED_TILE_H_
