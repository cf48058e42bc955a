#ifndef ATTENTION_KERNELS_MEMORY_TILES_H_
#define ATTENTION_KERNELS_MEMORY_TILES_H_

#include <cstdint>
#include <initializer_list>

// Integer arithmetic for cutting lengths into tiles. Pure functions.
namespace attention {

// How many tiles of `tile` cover `length`; both at least 1.
constexpr int64_t CeilDiv(int64_t length, int64_t tile) { return (length + tile - 1) / tile; }

// `n` rounded up to a multiple of `unit`.
constexpr int64_t RoundUp(int64_t n, int64_t unit) { return CeilDiv(n, unit) * unit; }

// Returns the smallest of the ascending `tiles` that is at least `length`; if there is none, the
// largest.
constexpr int64_t ChooseTile(int64_t length, std::initializer_list<int64_t> tiles) {
  for (const int64_t tile : tiles) {
    if (length <= tile) return tile;
  }
  return *(tiles.end() - 1);
}

}  // namespace attention

#endif  // ATTENTION_KERNELS_MEMORY_TILES_H_
