#ifndef ATTENTION_KERNELS_MEMORY_ALIGNED_BUFFER_H_
#define ATTENTION_KERNELS_MEMORY_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace attention {

// Uninitialised memory for `float`s that begins on a cache line, so that vector loads never
// straddle two lines. Movable; not thread-safe.
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;  // bytes; a cache line and a 512-bit vector

  AlignedBuffer() = default;
  // Makes room for `size` floats; `size` is at least 0. Throws std::bad_alloc.
  explicit AlignedBuffer(int64_t size) { Grow(size); }

  float* data() { return memory_.get(); }
  const float* data() const { return memory_.get(); }
  int64_t size() const { return size_; }

  // Makes room for at least `size` floats. Where the buffer has to grow, its old memory is freed
  // before the new is allocated, so that the two never exist at the same time; its contents are
  // lost. Throws std::bad_alloc, and leaves the buffer empty then.
  void Grow(int64_t size) {
    if (size <= size_) return;
    memory_.reset();
    size_ = 0;
    memory_.reset(static_cast<float*>(::operator new (
        static_cast<std::size_t>(size) * sizeof(float), std::align_val_t{kAlignment})));
    size_ = size;
  }

 private:
  struct Free {
    void operator()(float* memory) const {
      ::operator delete (memory, std::align_val_t{kAlignment});
    }
  };

  std::unique_ptr<float, Free> memory_;
  int64_t size_ = 0;
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_ALIGNED_BUFFER_H_
