#ifndef ATTENTION_KERNELS_MEMORY_BUFFER_POOL_H_
#define ATTENTION_KERNELS_MEMORY_BUFFER_POOL_H_

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/memory/aligned_buffer.h"

namespace attention {

// Memory that calls borrow and give back, so that the next call of its size allocates nothing.
// Thread-safe.
class BufferPool {
 public:
  // A borrowed buffer; gives it back when destroyed.
  class Loan {
   public:
    Loan(BufferPool& pool, AlignedBuffer buffer) : pool_(&pool), buffer_(std::move(buffer)) {}
    Loan(Loan&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), buffer_(std::move(other.buffer_)) {}
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (pool_ != nullptr) pool_->GiveBack(std::move(buffer_));
    }

    float* data() { return buffer_.data(); }

   private:
    BufferPool* pool_;  // null: moved from
    AlignedBuffer buffer_;
  };

  // At least `size` floats. Throws std::bad_alloc.
  Loan Borrow(int64_t size) {
    AlignedBuffer buffer = TakeBest(size);
    buffer.Grow(size);
    return Loan(*this, std::move(buffer));
  }

  // Frees all that is not lent.
  void Trim() {
    std::vector<AlignedBuffer> freed;
    const std::lock_guard lock(mutex_);
    freed.swap(free_);
  }

 private:
  // The smallest that is large enough, so that a small loan takes no large one away; else the
  // largest.
  AlignedBuffer TakeBest(int64_t size) {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return {};
    auto best = free_.begin();
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      const bool better = best->size() < size ? it->size() > best->size()
                                              : it->size() >= size && it->size() < best->size();
      if (better) best = it;
    }
    std::swap(*best, free_.back());
    AlignedBuffer buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }

  void GiveBack(AlignedBuffer buffer) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(buffer));
  }

  std::mutex mutex_;
  std::vector<AlignedBuffer> free_;  // guarded by mutex_
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_BUFFER_POOL_H_
