#ifndef ATTENTION_KERNELS_MEMORY_BUFFER_POOL_H_
#define ATTENTION_KERNELS_MEMORY_BUFFER_POOL_H_

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "kernels/memory/aligned_buffer.h"

namespace attention {

// Memory that calls borrow (see Buffers) and give back, so that the next call of the same size
// allocates nothing. Thread-safe. The lock guards the list of free buffers. While it is held,
// elements of that list are moved and nothing else is done; no other lock is taken.
class BufferPool {
 public:
  // A buffer of at least `size` floats. Throws std::bad_alloc.
  AlignedBuffer Take(int64_t size) {
    AlignedBuffer buffer = TakeBest(size);
    buffer.Grow(size);
    return buffer;
  }

  void GiveBack(AlignedBuffer buffer) {
    const absl::MutexLock lock(&mutex_);
    free_.push_back(std::move(buffer));
  }

  // Frees every buffer that is not borrowed at the moment.
  void Trim() {
    std::vector<AlignedBuffer> freed;
    const absl::MutexLock lock(&mutex_);
    freed.swap(free_);
  }

 private:
  // Returns the smallest free buffer that is large enough, so that a small request does not take a
  // large buffer away; if none is large enough, the largest.
  AlignedBuffer TakeBest(int64_t size) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
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

  absl::Mutex mutex_;
  std::vector<AlignedBuffer> free_ ABSL_GUARDED_BY(mutex_);
};

// Borrows buffers from a pool for one piece of work, and counts the most that it held at a time.
// Thread-safe.
class Buffers {
 public:
  // A borrowed buffer; gives it back when destroyed.
  class Loan {
   public:
    Loan(Loan&& other) noexcept
        : from_(std::exchange(other.from_, nullptr)),
          size_(other.size_),
          buffer_(std::move(other.buffer_)) {}
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (from_ == nullptr) return;
      from_->lent_.fetch_sub(size_, std::memory_order_relaxed);
      from_->pool_.GiveBack(std::move(buffer_));
    }

    float* data() { return buffer_.data(); }
    const float* data() const { return buffer_.data(); }

   private:
    friend class Buffers;
    Loan(Buffers& from, int64_t size) : from_(&from), size_(size), buffer_(from.pool_.Take(size)) {}

    Buffers* from_;  // null: moved from
    int64_t size_;   // floats that were asked for
    AlignedBuffer buffer_;
  };

  // The pool must outlive this.
  explicit Buffers(BufferPool& pool) : pool_(pool) {}

  // Returns a buffer of at least `size` floats. Throws std::bad_alloc.
  Loan Borrow(int64_t size) {
    Loan loan(*this, size);
    const int64_t lent = lent_.fetch_add(size, std::memory_order_relaxed) + size;
    int64_t most = most_lent_.load(std::memory_order_relaxed);
    while (lent > most && !most_lent_.compare_exchange_weak(most, lent)) {
    }
    return loan;
  }

  // The most bytes that were borrowed at a time. It counts the sizes that were asked for, not those
  // of the buffers, which may be larger.
  int64_t MostLentBytes() const {
    return most_lent_.load(std::memory_order_relaxed) * static_cast<int64_t>(sizeof(float));
  }
  // Starts to count again, from what is lent at this moment.
  void ForgetMostLent() { most_lent_.store(lent_.load()); }

 private:
  BufferPool& pool_;
  std::atomic<int64_t> lent_ = 0;       // floats
  std::atomic<int64_t> most_lent_ = 0;  // floats
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_BUFFER_POOL_H_
