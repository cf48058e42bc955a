#include "server/rpc/attention/decode_heads.h"

#include "absl/strings/str_cat.h"
#include "server/rpc/messages/decode_fields.h"

namespace attention::rpc {
namespace {

constexpr char kLayouts[] =
    "[len, heads * dim], [batch, len, heads * dim] or [batch, heads, len, dim]";

}  // namespace

std::optional<int64_t> ImpliedHeads(const TensorView& tensor) {
  return tensor.rank() == 4 ? std::optional(tensor.shape[1]) : std::nullopt;
}

absl::StatusOr<HeadsShape> ReadHeads(const TensorView& tensor, int64_t heads,
                                     absl::string_view heads_name, absl::string_view field) {
  absl::Status ranks = WantRank(tensor, tensor.rank() >= 2 && tensor.rank() <= 4, kLayouts, field);
  if (!ranks.ok()) return ranks;
  if (tensor.rank() == 4) {
    absl::Status fits = WantRank(tensor, tensor.shape[1] == heads,
                                 absl::StrCat(heads_name, " = ", heads, " on axis 1"), field);
    if (!fits.ok()) return fits;
    return HeadsShape{tensor.shape[0], heads, tensor.shape[2], tensor.shape[3]};
  }
  const absl::StatusOr<int64_t> dim = HeadWidth(tensor, heads, heads_name, field);
  if (!dim.ok()) return dim.status();
  if (tensor.rank() == 2) return HeadsShape{1, heads, tensor.shape[0], *dim};
  return HeadsShape{tensor.shape[0], heads, tensor.shape[1], *dim};
}

engine::BatchView ViewHeads(const TensorView& tensor, const HeadsShape& s) {
  const auto [data, type] = tensor.numbers;
  if (tensor.rank() == 4) return engine::HeadMajorBatch(data, type, s.len, s.heads, s.dim);
  return engine::TokenMajorBatch(data, type, s.heads, s.dim);
}

std::vector<int64_t> OutputShape(int64_t rank, int64_t rows, const engine::CallShape& s) {
  if (rank == 4) return {s.batch, s.num_heads, rows, s.v_head_dim};
  if (rank == 3) return {s.batch, rows, s.num_heads * s.v_head_dim};
  return {rows, s.num_heads * s.v_head_dim};
}

}  // namespace attention::rpc
