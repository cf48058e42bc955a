#ifndef ATTENTION_SERVER_OPS_DESCRIPTOR_H_
#define ATTENTION_SERVER_OPS_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace attention::ops {

// Owns a file descriptor, or none (-1), and closes it. Can be moved.
class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Descriptor(Descriptor&& other) noexcept : descriptor_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  bool is_open() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }
  // From now on somebody else closes it.
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_DESCRIPTOR_H_
