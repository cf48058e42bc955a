#ifndef ATTENTION_KERNELS_MEMORY_ROWS_VIEW_H_
#define ATTENTION_KERNELS_MEMORY_ROWS_VIEW_H_

#include <cstdint>

#include "kernels/memory/data_type.h"

namespace attention {

// `count` rows of numbers in the caller's memory, any alignment; row i begins at
// data + i * stride * ByteSize(type).
struct RowsView {
  const void* data = nullptr;
  DataType type = DataType::kFloat32;
  int64_t stride = 0;  // numbers from one row to the next
  int64_t count = 0;
  int64_t width = 0;  // numbers of a row
};

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_ROWS_VIEW_H_
