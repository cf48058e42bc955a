#ifndef ATTENTION_SERVER_ENGINE_OP_CACHE_H_
#define ATTENTION_SERVER_ENGINE_OP_CACHE_H_

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace attention::engine {

// Operators that have been made, by their configuration, so that each is compiled once. Holds at
// most `capacity` and forgets the least recently used, since clients choose the widths.
// Thread-safe. The lock guards which operators there are; they are made without it, and no other
// lock is taken under it.
//
// `Op` has a type Config with an order, and static absl::StatusOr<Op> Create(const Config&).
template <typename Op>
class OpCache {
 public:
  // Each operator holds some 100 KiB of compiled code.
  static constexpr size_t kUsualCapacity = 256;

  explicit OpCache(size_t capacity = kUsualCapacity) : capacity_(capacity) {}

  // The operator for `config`, made now if need be. Fails as Op::Create; a failure is not kept.
  absl::StatusOr<std::shared_ptr<const Op>> Get(const typename Op::Config& config) {
    if (std::shared_ptr<const Op> op = Find(config)) return op;
    // Made outside the lock: compiling takes milliseconds, and callers with other widths go on. Two
    // threads may make the same one; the first stays.
    absl::StatusOr<Op> op = Op::Create(config);
    if (!op.ok()) return op.status();
    return Insert(config, std::make_shared<const Op>(*std::move(op)));
  }

 private:
  using Entry = std::pair<typename Op::Config, std::shared_ptr<const Op>>;

  std::shared_ptr<const Op> Find(const typename Op::Config& config) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    const auto it = index_.find(config);
    if (it == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, it->second);
    return it->second->second;
  }

  std::shared_ptr<const Op> Insert(const typename Op::Config& config, std::shared_ptr<const Op> op)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    const auto it = index_.find(config);
    if (it != index_.end()) return it->second->second;
    entries_.emplace_front(config, std::move(op));
    index_[config] = entries_.begin();
    if (entries_.size() > capacity_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return entries_.front().second;
  }

  const size_t capacity_;
  absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // most recently used first
  std::map<typename Op::Config, typename std::list<Entry>::iterator> index_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_OP_CACHE_H_
