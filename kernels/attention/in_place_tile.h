#ifndef ATTENTION_KERNELS_ATTENTION_IN_PLACE_TILE_H_
#define ATTENTION_KERNELS_ATTENTION_IN_PLACE_TILE_H_

#include <cstdint>

#include "kernels/attention/attention_tile.h"

namespace attention {

// A tile of so few rows, up to kMostStreamedRows, that its keys and values are read where they lie,
// once and in float32: packing them would cost more than it saves.
class InPlaceTile final : public AttentionTile {
 public:
  // Floats of workspace that a tile of the sequence needs.
  static int64_t WorkspaceSize(const AttentionProducts& products, const AttentionSettings& settings,
                               const AttentionSequence& sequence);

  // `workspace` has WorkspaceSize floats, aligned to 64 bytes.
  InPlaceTile(const Task& task, float* workspace);

 private:
  static Layout LayoutOf(const Task& task);

  KeyBlock NextBlock(int64_t first, int64_t end) const override;
  void ScoreBlock(const KeyBlock& block) override;
  void AddKeySizes(const KeyBlock& block) override;
  void CombineBlock(const KeyBlock& block) override;

  int64_t LayOut(float* workspace);
  // Y += P V once more, without the values that hold infinities or NaNs, which are added to the
  // rows that see them.
  void CombineFinite(const KeyBlock& block);

  // In the workspace.
  float* saved_sums_ = nullptr;  // what Y held before a block
  float* values_ = nullptr;      // [64, v_head_dim]
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_IN_PLACE_TILE_H_
