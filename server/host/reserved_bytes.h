#ifndef ATTENTION_SERVER_HOST_RESERVED_BYTES_H_
#define ATTENTION_SERVER_HOST_RESERVED_BYTES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace attention::engine {

// Bytes of memory that are counted as long as this lives. Movable.
class ReservedBytes {
 public:
  using Counter = std::atomic<int64_t>;

  ReservedBytes() = default;
  // Counts in `counter` and, if there is one, in `other`.
  ReservedBytes(std::shared_ptr<Counter> counter, int64_t bytes,
                std::shared_ptr<Counter> other = nullptr)
      : counter_(std::move(counter)), other_(std::move(other)), bytes_(bytes) {
    *counter_ += bytes_;
    if (other_ != nullptr) *other_ += bytes_;
  }
  ReservedBytes(ReservedBytes&& other) noexcept { *this = std::move(other); }
  ReservedBytes& operator=(ReservedBytes&& other) noexcept {
    std::swap(counter_, other.counter_);
    std::swap(other_, other.other_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  int64_t bytes() const { return bytes_; }
  ~ReservedBytes() {
    if (counter_ != nullptr) *counter_ -= bytes_;
    if (other_ != nullptr) *other_ -= bytes_;
  }

 private:
  std::shared_ptr<Counter> counter_, other_;
  int64_t bytes_ = 0;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_HOST_RESERVED_BYTES_H_
