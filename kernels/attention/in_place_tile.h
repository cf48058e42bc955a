#ifndef ATTENTION_KERNELS_ATTENTION_IN_PLACE_TILE_H_
#define ATTENTION_KERNELS_ATTENTION_IN_PLACE_TILE_H_

#include <cstdint>

#include "kernels/attention/attention_tile.h"

namespace attention {

// A tile of at most kMostStreamedRows rows. It reads the keys and values once, in the caller's
// memory, and computes in float32, because for so few rows packing would cost more than it saves.
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

  int64_t LayOutAll(float* workspace);
  // Computes Y += P V again, without the values that hold infinities or NaNs. Those are added only
  // to the rows that see them.
  void CombineFinite(const KeyBlock& block);

  // In the workspace.
  float* saved_sums_ = nullptr;  // what Y held before a block
  float* values_ = nullptr;      // [64, v_head_dim]
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_ATTENTION_IN_PLACE_TILE_H_
