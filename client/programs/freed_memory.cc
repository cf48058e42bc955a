#include "client/programs/freed_memory.h"

#include <malloc.h>

#include <cstdint>

namespace attention::client {

void KeepFreedMemory() {
  constexpr int kLargest = 32 << 20;  // the largest threshold that malloc accepts; larger blocks
                                      // are always mapped
  mallopt(M_MMAP_THRESHOLD, kLargest);
  mallopt(M_TRIM_THRESHOLD, INT32_MAX);
  mallopt(M_TOP_PAD, 16 << 20);
}

}  // namespace attention::client
