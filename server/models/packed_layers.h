#ifndef ATTENTION_SERVER_MODELS_PACKED_LAYERS_H_
#define ATTENTION_SERVER_MODELS_PACKED_LAYERS_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernels/memory/aligned_buffer.h"
#include "kernels/threads/executor.h"
#include "server/host/reserved_bytes.h"
#include "server/models/layer_model.h"
#include "server/models/stored_layer.h"

namespace attention::engine {

// A stored layer with its weights packed for products of one type.
struct PackedLayer {
  std::shared_ptr<const StoredLayer> layer;
  LayerModel model;  // as the layer's, but each linear layer reads its packed panels
  AlignedBuffer memory;
};

// The packed layers that are resident. A layer is packed when it is first called, and stays so
// until others need the room: then the least recently used ones that no call uses are let go, and
// packed again when they are called again. Thread-safe.
//
// One lock, mutex_, guards the list of layers; layers are let go under it, and packed without it. A
// layer's own lock is held while the layer is packed, so that calls of it wait for that; it is
// taken before mutex_, and no lock is taken under mutex_.
class PackedLayers {
 public:
  // At most `most_bytes` are packed or reserved at any time, those that calls use included.
  explicit PackedLayers(int64_t most_bytes);

  // The layer, packed now on the executor's threads if need be; to be called from one of its tasks.
  // Gives back the pages of the mapped file that it reads. RESOURCE_EXHAUSTED where layers that
  // calls use leave no room, or no memory is left; fails as Executor::ParallelFor.
  absl::StatusOr<std::shared_ptr<const PackedLayer>> Get(
      const std::shared_ptr<const StoredLayer>& layer, ComputeType compute_type,
      Executor& executor);

  // The layer if it is packed, or null; does not wait.
  std::shared_ptr<const PackedLayer> Find(const StoredLayer& layer, ComputeType compute_type);

  // FAILED_PRECONDITION where the layer is too large ever to be packed beside `other_bytes`.
  absl::Status CheckFits(const StoredLayer& layer, int64_t other_bytes) const;

  // Sets bytes aside for something else than packed layers, which are let go for it where that
  // helps. RESOURCE_EXHAUSTED.
  absl::StatusOr<ReservedBytes> Reserve(int64_t bytes);

  // Lets the layer go, because it was deleted or has changed: retires it. Calls that use it go on.
  void Forget(const StoredLayer& layer);

  int64_t most_bytes() const { return most_bytes_; }
  // What is packed or reserved, and what is reserved alone.
  int64_t bytes() const { return bytes_->load(); }
  int64_t reserved() const { return reserved_bytes_->load(); }
  // How many are packed.
  int64_t count() const;
  // What this layer takes of it.
  int64_t BytesOf(const StoredLayer& layer) const;

 private:
  struct Entry;
  using Entries = std::list<std::shared_ptr<Entry>>;

  absl::StatusOr<std::shared_ptr<Entry>> FindOrReserve(
      const std::shared_ptr<const StoredLayer>& layer, ComputeType compute_type)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Drop(const std::shared_ptr<Entry>& entry) ABSL_LOCKS_EXCLUDED(mutex_);
  // Where that helps, removes unused entries until there is room for `bytes`; whether there is.
  bool MakeRoom(int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t most_bytes_;
  // Of all that is packed or about to be; goes down when the last call lets go of a layer.
  const std::shared_ptr<ReservedBytes::Counter> bytes_, reserved_bytes_;
  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // most recently used first
  // What calls still use of others.
  std::list<std::weak_ptr<Entry>> retired_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_MODELS_PACKED_LAYERS_H_
