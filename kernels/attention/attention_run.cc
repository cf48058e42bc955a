#include "kernels/attention/attention_run.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/attention/in_place_tile.h"
#include "kernels/attention/packed_tile.h"
#include "kernels/attention/rows/score_rows.h"
#include "kernels/attention/rows/stream_rows.h"
#include "kernels/memory/tiles.h"
#include "kernels/simd/convert.h"

namespace attention {
namespace {

// A head whose packed form has at most this number of bytes is packed by the task that computes
// with it, and is then still in the L2 cache.
constexpr int64_t kCachedHeadBytes = int64_t{512} << 10;

// Units that one task packs.
constexpr int64_t kPackUnits = 4;

}  // namespace

AttentionRun::AttentionRun(const AttentionProducts& products, const AttentionSettings& settings,
                           absl::Span<const AttentionSequence> sequences,
                           absl::Span<const WeightedSequence> weighted, Executor* executor,
                           Buffers& buffers)
    : products_(products),
      settings_(settings),
      sequences_(sequences),
      weighted_(weighted),
      executor_(executor),
      packed_bytes_(
          sequences, [&](const AttentionSequence& s) { return PackedBytes(s); }, buffers) {}

absl::Status AttentionRun::Run() {
  if (HeadByHead(executor_->threads())) return RunHeads();
  Buffers::Loan packed = executor_->buffers().Borrow(CeilDiv(packed_bytes_.total(), sizeof(float)));
  packed_ = reinterpret_cast<char*>(packed.data());
  if (absl::Status status = PackAll(); !status.ok()) return status;
  return RunTiles();
}

WorkingMemory AttentionRun::Memory(int threads, AttentionOp::Company company) const {
  // Other sequences of the run may decide whether it goes head by head.
  const bool may_pack_heads = company == AttentionOp::Company::kMayHaveSome || HeadByHead(threads);
  const bool may_pack_all = company == AttentionOp::Company::kMayHaveSome || !HeadByHead(threads);
  int64_t workspace = 0;
  for (const AttentionSequence& s : sequences_) {
    workspace = std::max(workspace, WorkspaceSize(s) + (may_pack_heads ? HeadFloats(s) : 0));
  }
  const double packed = may_pack_all ? static_cast<double>(packed_bytes_.total()) : 0;
  // There are two TaskRuns at a time: packed_bytes_, and that of PackAll or of RunTiles.
  return {.shared = packed + 2 * TaskRuns::BorrowedBytes(sequences_.size()),
          .workspace = sizeof(float) * static_cast<double>(workspace)};
}

// Whether the sequence has so few query rows that keys and values are read in place.
bool AttentionRun::InPlace(const AttentionSequence& s) const {
  return settings_.Group() * s.q_len <= kMostStreamedRows;
}

int64_t AttentionRun::HeadBytes(const AttentionSequence& s) const {
  return InPlace(s) ? 0 : PackedHead::Bytes(products_.widths(), s.kv_len);
}

int64_t AttentionRun::HeadFloats(const AttentionSequence& s) const {
  return std::min(HeadBytes(s), kCachedHeadBytes) / static_cast<int64_t>(sizeof(float));
}

int64_t AttentionRun::PackedBytes(const AttentionSequence& s) const {
  return settings_.num_kv_heads * HeadBytes(s);
}

// The floats of workspace that a task of the sequence needs, without the head that it packs itself.
int64_t AttentionRun::WorkspaceSize(const AttentionSequence& s) const {
  const int64_t tile = InPlace(s) ? InPlaceTile::WorkspaceSize(products_, settings_, s)
                                  : PackedTile::WorkspaceSize(products_, settings_, s);
  const int64_t mean = settings_.average_weights ? kRowTile * s.kv_len : 0;
  return std::max(tile + mean, PackedHead::ScratchSize(products_.widths()));
}

PackedHead AttentionRun::Head(int64_t sequence, int64_t kv_head) const {
  const AttentionSequence& s = sequences_[sequence];
  return {products_.widths(), s.kv_len,
          packed_ + packed_bytes_.First(sequence) + kv_head * HeadBytes(s)};
}

// Whether each head is packed and computed by one task. This is so if heads are small and there are
// enough of them to keep the threads busy.
bool AttentionRun::HeadByHead(int threads) const {
  if (settings_.average_weights) return false;
  const auto small = [&](const AttentionSequence& s) { return HeadBytes(s) <= kCachedHeadBytes; };
  const auto heads = static_cast<int64_t>(sequences_.size()) * settings_.num_kv_heads;
  const bool enough = threads == 1 || heads % threads == 0 || heads >= int64_t{4} * threads;
  return enough && std::all_of(sequences_.begin(), sequences_.end(), small);
}

absl::Status AttentionRun::RunHeads() const {
  const auto heads = static_cast<int64_t>(sequences_.size()) * settings_.num_kv_heads;
  return executor_->ParallelFor(heads, [&](int64_t task, Workspace& workspace) {
    const int64_t sequence = task / settings_.num_kv_heads;
    const int64_t kv_head = task % settings_.num_kv_heads;
    const AttentionSequence& s = sequences_[sequence];
    workspace.Grow(HeadFloats(s) + WorkspaceSize(s));
    const PackedHead head(products_.widths(), s.kv_len, workspace.data());
    float* const memory = workspace.data() + HeadFloats(s);
    if (!InPlace(s)) {
      for (int64_t u = 0; u < PackedHead::Units(s.kv_len); ++u) Pack(s, head, kv_head, u, memory);
    }
    return RunHead(sequence, kv_head, head, memory);
  });
}

absl::Status AttentionRun::RunHead(int64_t sequence, int64_t kv_head, const PackedHead& head,
                                   float* memory) const {
  const RowTiling tiling(settings_, sequences_[sequence].q_len);
  for (int64_t block = 0; block < tiling.head_blocks(); ++block) {
    for (int64_t query = 0; query < tiling.query_tiles(); ++query) {
      absl::Status status =
          RunTile(sequence, tiling.Tile(kv_head, block, query), head, memory, nullptr);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status AttentionRun::PackAll() const {
  const auto tasks_of_head = [&](const AttentionSequence& s) {
    return InPlace(s) ? 0 : CeilDiv(PackedHead::Units(s.kv_len), kPackUnits);
  };
  const auto tasks_of = [&](const AttentionSequence& s) {
    return settings_.num_kv_heads * tasks_of_head(s);
  };
  const TaskRuns runs(sequences_, tasks_of, executor_->buffers());
  return executor_->ParallelFor(runs.total(), [&](int64_t index, Workspace& workspace) {
    const auto [sequence, task] = runs.Find(index);
    const AttentionSequence& s = sequences_[sequence];
    const int64_t kv_head = task / tasks_of_head(s);
    const int64_t first = task % tasks_of_head(s) * kPackUnits;
    const int64_t end = std::min(first + kPackUnits, PackedHead::Units(s.kv_len));
    workspace.Grow(WorkspaceSize(s));
    const PackedHead head = Head(sequence, kv_head);
    for (int64_t u = first; u < end; ++u) Pack(s, head, kv_head, u, workspace.data());
    return absl::OkStatus();
  });
}

void AttentionRun::Pack(const AttentionSequence& s, const PackedHead& head, int64_t kv_head,
                        int64_t unit, float* scratch) const {
  if (weighted_.empty()) head.PackKeys(s.key, kv_head, unit, scratch);
  if (s.results.output.data != nullptr) head.PackValues(s.value, kv_head, unit, scratch);
}

// A task computes one tile. With average_weights it computes all heads of one tile of queries, so
// that their weights are added up in a fixed order.
absl::Status AttentionRun::RunTiles() const {
  const auto tasks_of = [&](const AttentionSequence& s) {
    const RowTiling tiling(settings_, s.q_len);
    if (settings_.average_weights) return tiling.query_tiles();
    return settings_.num_kv_heads * tiling.head_blocks() * tiling.query_tiles();
  };
  const TaskRuns runs(sequences_, tasks_of, executor_->buffers());
  return executor_->ParallelFor(runs.total(), [&](int64_t index, Workspace& workspace) {
    const auto [sequence, task] = runs.Find(index);
    const AttentionSequence& s = sequences_[sequence];
    workspace.Grow(WorkspaceSize(s));
    if (settings_.average_weights) return RunAveraged(sequence, task, workspace.data());
    const RowTiling tiling(settings_, s.q_len);
    const int64_t query = task % tiling.query_tiles(), block = task / tiling.query_tiles();
    const int64_t kv_head = block / tiling.head_blocks();
    return RunTile(sequence, tiling.Tile(kv_head, block % tiling.head_blocks(), query),
                   Head(sequence, kv_head), workspace.data(), nullptr);
  });
}

absl::Status AttentionRun::RunAveraged(int64_t sequence, int64_t query_tile, float* memory) const {
  const AttentionSequence& s = sequences_[sequence];
  const RowTiling tiling(settings_, s.q_len);
  const int64_t first = query_tile * kRowTile, queries = std::min(kRowTile, s.q_len - first);
  float* const mean = memory;  // [queries, kv_len]
  std::fill_n(mean, queries * s.kv_len, 0.0f);
  for (int64_t h = 0; h < settings_.num_kv_heads * tiling.head_blocks(); ++h) {
    const int64_t kv_head = h / tiling.head_blocks();
    const RowTile tile = tiling.Tile(kv_head, h % tiling.head_blocks(), query_tile);
    absl::Status status =
        RunTile(sequence, tile, Head(sequence, kv_head), memory + kRowTile * s.kv_len, mean);
    if (!status.ok()) return status;
  }
  if (s.results.attention_weights == nullptr) return absl::OkStatus();
  DivideRow(mean, queries * s.kv_len, static_cast<float>(settings_.num_heads));
  FromFloat32(mean, queries * s.kv_len, s.results.type,
              s.results.attention_weights + first * s.kv_len * ByteSize(s.results.type));
  return absl::OkStatus();
}

absl::Status AttentionRun::RunTile(int64_t sequence, const RowTile& tile, const PackedHead& head,
                                   float* memory, float* mean) const {
  const AttentionTile::Task task = {products_, settings_, sequences_[sequence], tile, mean};
  if (InPlace(task.sequence)) {
    InPlaceTile work(task, memory);
    return RunTile(sequence, work);
  }
  PackedTile work(task, head, memory);
  return RunTile(sequence, work);
}

absl::Status AttentionRun::RunTile(int64_t sequence, AttentionTile& work) const {
  if (!weighted_.empty()) {
    work.Combine(weighted_[sequence].attention_weights);
    return absl::OkStatus();
  }
  const absl::Status status = work.Run();
  if (status.ok()) return status;
  return {status.code(), absl::StrCat("in sequence ", sequence, ": ", status.message())};
}

}  // namespace attention
