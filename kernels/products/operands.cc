#include "kernels/products/operands.h"

#include <algorithm>

#include "kernels/memory/tiles.h"
#include "kernels/simd/tile_rows.h"

namespace attention {

absl::Status ToOperands(const void* x, DataType type, int64_t count, OperandFormat format, void* to,
                        Executor& executor) {
  constexpr int64_t kPart = int64_t{1} << 16;  // numbers that one task converts
  return executor.ParallelFor(CeilDiv(count, kPart), [&](int64_t part, Workspace&) {
    const int64_t first = part * kPart, size = std::min(kPart, count - first);
    const RowsView row = {static_cast<const char*>(x) + first * ByteSize(type), type, size, 1,
                          size};
    LoadRows(row, format, size, static_cast<char*>(to) + first * ByteSize(format.operand));
    return absl::OkStatus();
  });
}

}  // namespace attention
