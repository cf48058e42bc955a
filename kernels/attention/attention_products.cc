#include "kernels/attention/attention_products.h"

#include <algorithm>
#include <utility>

namespace attention {
namespace {

constexpr int64_t kCacheBytes = int64_t{512} << 10;  // half of a 1 MiB L2 cache

size_t Index(int64_t rows, int64_t keys) {
  const auto& row_tiles = AttentionProducts::kRowTiles;
  const auto& key_tiles = AttentionProducts::kKeyTiles;
  const auto row = std::find(row_tiles.begin(), row_tiles.end(), rows) - row_tiles.begin();
  const auto key = std::find(key_tiles.begin(), key_tiles.end(), keys) - key_tiles.begin();
  return static_cast<size_t>(row) * key_tiles.size() + static_cast<size_t>(key);
}

int64_t MostKeys(const PackedHead::Widths& widths) {
  const int64_t bytes_per_key =
      (widths.head_dim + widths.v_head_dim) * ByteSize(widths.format.operand);
  for (size_t i = AttentionProducts::kKeyTiles.size() - 1; i > 1; --i) {
    if (AttentionProducts::kKeyTiles[i] * bytes_per_key <= kCacheBytes) {
      return AttentionProducts::kKeyTiles[i];
    }
  }
  return kPanelWidth;
}

}  // namespace

AttentionProducts::AttentionProducts(const PackedHead::Widths& widths)
    : widths_(widths),
      value_panels_(CeilDiv(widths.v_head_dim, kPanelWidth)),
      most_keys_(MostKeys(widths)) {}

absl::StatusOr<AttentionProducts> AttentionProducts::Create(const PackedHead::Widths& widths) {
  AttentionProducts products(widths);
  if (absl::Status s = products.Compile(); !s.ok()) return s;
  return products;
}

absl::Status AttentionProducts::Compile() {
  const DataType operand = widths_.format.operand;
  const int64_t last = PanelWidth(value_panels_ - 1);
  const auto add = [](const OnednnMatmul::Config& config, std::vector<OnednnMatmul>& to) {
    absl::StatusOr<OnednnMatmul> product = OnednnMatmul::Create(config);
    if (!product.ok()) return product.status();
    to.push_back(*std::move(product));
    return absl::OkStatus();
  };
  for (const int64_t rows : kRowTiles) {
    for (const int64_t keys : kKeyTiles) {
      absl::Status s =
          add({.m = rows, .k = widths_.head_dim, .n = keys, .operand = operand}, scores_);
      for (const bool accumulate : {false, true}) {
        OnednnMatmul::Config combine = {
            .m = rows, .k = keys, .n = kPanelWidth, .operand = operand, .accumulate = accumulate};
        if (s.ok() && widths_.v_head_dim >= kPanelWidth) s = add(combine, combine_[accumulate]);
        combine.n = last;
        if (s.ok() && last < kPanelWidth) s = add(combine, combine_last_[accumulate]);
      }
      if (!s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

int64_t AttentionProducts::PanelWidth(int64_t panel) const {
  return std::min(kPanelWidth, widths_.v_head_dim - panel * kPanelWidth);
}

KeyBlock AttentionProducts::Block(int64_t first, int64_t end, int64_t kv_len) const {
  const int64_t wanted = end - first;
  int64_t keys = kKeyTiles[0];
  if (wanted > keys) {
    // Takes the largest tile that is filled except for its last panel.
    const int64_t panels = CeilDiv(wanted, kPanelWidth) * kPanelWidth;
    for (const int64_t tile : kKeyTiles) {
      if (tile <= panels && tile <= most_keys_) keys = tile;
    }
  }
  return {.first = first, .keys = keys, .count = std::min(keys, kv_len - first), .stride = keys};
}

void AttentionProducts::Scores(int64_t rows, const KeyBlock& block, const void* q,
                               const PackedHead& head, float* scores) const {
  scores_[Index(RowsFor(rows), block.keys)].Run(q, head.Keys(block.first), scores);
}

void AttentionProducts::Combine(int64_t rows, const KeyBlock& block, const void* weights,
                                const PackedHead& head, bool accumulate, float* sums) const {
  const size_t index = Index(RowsFor(rows), block.keys);
  for (int64_t panel = 0; panel < value_panels_; ++panel) {
    const auto& products = PanelWidth(panel) == kPanelWidth ? combine_ : combine_last_;
    products[accumulate][index].Run(weights, head.Values(block.first, panel),
                                    sums + panel * kPanelWidth * RowsFor(rows));
  }
}

}  // namespace attention
