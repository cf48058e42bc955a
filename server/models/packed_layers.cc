#include "server/models/packed_layers.h"

#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/memory/panel_layout.h"
#include "kernels/onednn/onednn_matmul.h"
#include "kernels/products/packed_weight.h"
#include "server/host/mib.h"

namespace attention::engine {
namespace {

// Packs the weight of `linear` and lets it read the panels; the file's pages are given back.
absl::Status Pack(const MappedFile& file, OperandFormat format, char* to, Linear& linear,
                  Executor& executor) {
  const WeightView& weight = linear.weight;
  const int64_t panel_bytes = PackedPanelBytes(weight.in, format.operand);
  absl::Status status = executor.ParallelFor(PanelCount(weight.out), [&](int64_t i, Workspace&) {
    PackWeightPanel(weight, i, format, to + i * panel_bytes);
    return absl::OkStatus();
  });
  const int64_t bytes = weight.in * weight.out * ByteSize(weight.type);
  file.Release({static_cast<const std::byte*>(weight.data), static_cast<size_t>(bytes)});
  linear.packed = to;
  return status;
}

absl::Status PackAll(const StoredLayer& layer, ComputeType compute_type, PackedLayer& packed,
                     Executor& executor) {
  const OperandFormat format = OnednnMatmul::OperandsFor(compute_type);
  packed.memory.Grow(layer.PackedBytes(compute_type) / static_cast<int64_t>(sizeof(float)));
  packed.model = layer.model();
  auto* to = reinterpret_cast<char*>(packed.memory.data());
  absl::Status status;
  ForEachLinear(packed.model, [&](Linear& linear) {
    if (status.ok()) status = Pack(layer.file(), format, to, linear, executor);
    to += PackedBytes(linear.weight.in, linear.weight.out, format.operand);
  });
  return status;
}

}  // namespace

// A layer that is packed, or for which there is room.
struct PackedLayers::Entry {
  Entry(std::shared_ptr<const StoredLayer> of, ComputeType type, ReservedBytes bytes)
      : layer(std::move(of)), compute_type(type), reserved(std::move(bytes)) {}

  const std::shared_ptr<const StoredLayer> layer;
  const ComputeType compute_type;
  const ReservedBytes reserved;
  absl::Mutex mutex;  // held while it is packed; guards result until then
  std::atomic<bool> packed = false;
  PackedLayer result;  // constant once packed
};

PackedLayers::PackedLayers(int64_t most_bytes)
    : most_bytes_(most_bytes),
      bytes_(std::make_shared<ReservedBytes::Counter>(0)),
      reserved_bytes_(std::make_shared<ReservedBytes::Counter>(0)) {}

absl::StatusOr<std::shared_ptr<const PackedLayer>> PackedLayers::Get(
    const std::shared_ptr<const StoredLayer>& layer, ComputeType compute_type, Executor& executor) {
  absl::StatusOr<std::shared_ptr<Entry>> found = FindOrReserve(layer, compute_type);
  if (!found.ok()) return found.status();
  Entry& entry = **found;
  // Other calls of this layer wait here. The loops below need none of them: a thread that waits
  // for the end of a loop takes up no other call.
  const absl::MutexLock lock(&entry.mutex);
  if (!entry.packed) {
    entry.result.layer = layer;
    absl::Status status;
    try {
      status = PackAll(*layer, compute_type, entry.result, executor);
    } catch (const std::bad_alloc&) {
      status = absl::ResourceExhaustedError(
          absl::StrCat("no memory is left to pack layer ", layer->name(), "; try again later"));
    }
    if (!status.ok()) {
      Drop(*found);
      return status;
    }
    entry.packed = true;
  }
  return std::shared_ptr<const PackedLayer>(*found, &entry.result);
}

std::shared_ptr<const PackedLayer> PackedLayers::Find(const StoredLayer& layer,
                                                      ComputeType compute_type) {
  const absl::MutexLock lock(&mutex_);
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const std::shared_ptr<Entry>& entry = *it;
    if (entry->layer.get() != &layer || entry->compute_type != compute_type) continue;
    if (!entry->packed) return nullptr;
    entries_.splice(entries_.begin(), entries_, it);
    return {entries_.front(), &entries_.front()->result};
  }
  return nullptr;
}

void PackedLayers::Drop(const std::shared_ptr<Entry>& entry) {
  const absl::MutexLock lock(&mutex_);
  entries_.remove(entry);
}

absl::Status PackedLayers::CheckFits(const StoredLayer& layer, int64_t other_bytes) const {
  const int64_t bytes = layer.PackedBytes(ComputeType::kFloat32) + other_bytes;
  if (bytes <= most_bytes_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("it takes ", bytes / kMib + 1, " MiB of memory; this server grants all layers ",
                   most_bytes_ / kMib, " MiB (--layer_memory_mib)"));
}

absl::StatusOr<ReservedBytes> PackedLayers::Reserve(int64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  if (MakeRoom(bytes)) return ReservedBytes(bytes_, bytes, reserved_bytes_);
  return absl::ResourceExhaustedError(absl::StrCat("the memory for layers, ", most_bytes_ / kMib,
                                                   " MiB (--layer_memory_mib), is full"));
}

void PackedLayers::Forget(const StoredLayer& layer) {
  const absl::MutexLock lock(&mutex_);
  layer.Retire();
  for (auto it = entries_.begin(); it != entries_.end();) {
    if ((*it)->layer.get() == &layer) {
      retired_.push_back(*it);
      it = entries_.erase(it);
    } else {
      ++it;
    }
  }
}

int64_t PackedLayers::count() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(entries_.size());
}

int64_t PackedLayers::BytesOf(const StoredLayer& layer) const {
  const absl::MutexLock lock(&mutex_);
  int64_t bytes = 0;
  for (const auto& entry : entries_) {
    if (entry->layer.get() == &layer) bytes += entry->reserved.bytes();
  }
  return bytes;
}

absl::StatusOr<std::shared_ptr<PackedLayers::Entry>> PackedLayers::FindOrReserve(
    const std::shared_ptr<const StoredLayer>& layer, ComputeType compute_type) {
  const absl::MutexLock lock(&mutex_);
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if ((*it)->layer != layer || (*it)->compute_type != compute_type) continue;
    entries_.splice(entries_.begin(), entries_, it);
    return entries_.front();
  }
  retired_.remove_if([](const auto& entry) { return entry.expired(); });
  for (const auto& retired : retired_) {
    const std::shared_ptr<Entry> entry = retired.lock();
    if (entry != nullptr && entry->layer == layer && entry->compute_type == compute_type) {
      return entry;
    }
  }
  const int64_t bytes = layer->PackedBytes(compute_type);
  if (!MakeRoom(bytes)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("layers that are in use leave no room for layer ", layer->name(), " within ",
                     most_bytes_ / kMib, " MiB (--layer_memory_mib); try again later"));
  }
  auto entry = std::make_shared<Entry>(layer, compute_type, ReservedBytes(bytes_, bytes));
  if (layer->retired()) {
    retired_.push_back(entry);
  } else {
    entries_.push_front(entry);
  }
  return entry;
}

bool PackedLayers::MakeRoom(int64_t bytes) {
  int64_t unused = 0;
  for (const auto& entry : entries_) {
    if (entry.use_count() == 1) unused += entry->reserved.bytes();
  }
  if (*bytes_ - unused + bytes > most_bytes_) return false;
  for (auto it = entries_.end(); it != entries_.begin() && *bytes_ + bytes > most_bytes_;) {
    --it;
    if (it->use_count() == 1) it = entries_.erase(it);
  }
  return *bytes_ + bytes <= most_bytes_;
}

}  // namespace attention::engine
