#ifndef ATTENTION_SERVER_ENGINE_CALL_BUFFERS_H_
#define ATTENTION_SERVER_ENGINE_CALL_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "kernels/memory/tiles.h"
#include "kernels/threads/executor.h"
#include "server/engine/attention_call.h"

namespace attention::engine {

// Memory for what a call keeps between two steps, on loan until this is destroyed. For one thread.
// Throws std::bad_alloc.
class CallBuffers {
 public:
  explicit CallBuffers(Executor& executor) : pool_(executor.buffers()) {}

  // Room for `count` numbers of a type, not set.
  std::byte* Bytes(int64_t count, DataType type) {
    loans_.push_back(pool_.Borrow(CeilDiv(count * ByteSize(type), sizeof(float))));
    return reinterpret_cast<std::byte*>(loans_.back().data());
  }

  // Room for float32 numbers [rows, heads * dim], not set.
  MutableBatchView Rows(int64_t rows, int64_t heads, int64_t dim) {
    return TokenMajorBatch(Bytes(rows * heads * dim, DataType::kFloat32), DataType::kFloat32, heads,
                           dim);
  }

 private:
  BufferPool& pool_;
  std::deque<BufferPool::Loan> loans_;
};

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_ENGINE_CALL_BUFFERS_H_
