#include "client/cli/views/attention_maps.h"

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

// Returns the numbers of a tensor without a copy if possible; otherwise they are converted into
// maps.weights.
absl::StatusOr<absl::Span<const float>> ReadValues(const v1::Tensor& tensor, AttentionMaps& maps) {
  absl::StatusOr<absl::Span<const float>> values = FloatView(tensor, maps.weights.emplace_back());
  if (values.ok()) return values;
  return absl::InternalError(
      absl::StrCat("the attention weights cannot be read: ", values.status().message()));
}

// Returns the shape as [batch, num_heads, q_len, kv_len]. Weights that the caller supplied may have
// no axes for a single sequence or head, and averaged weights have no axis for heads.
absl::StatusOr<std::vector<int64_t>> FullShape(const v1::Tensor& tensor) {
  std::vector<int64_t> shape(tensor.shape().begin(), tensor.shape().end());
  if (shape.size() == 2) shape.insert(shape.begin(), {1, 1});
  if (shape.size() == 3) shape.insert(shape.begin() + 1, 1);
  if (shape.size() == 4) return shape;
  return absl::InternalError(absl::StrCat("the attention weights' shape is [",
                                          absl::StrJoin(tensor.shape(), ", "),
                                          "]; want [batch, num_heads, q_len, kv_len]"));
}

// Adds the next map, [q_len, kv_len], unless there are enough.
void AddMap(const std::string& which, const TokenNames& names, int64_t q_len, int64_t kv_len,
            absl::Span<const float> values, AttentionMaps& maps) {
  if (maps.count++ >= kMaxMaps) return;
  AttentionMap& map = maps.maps.emplace_back();
  map.which = which;
  map.names = names;
  map.grid.values = values;
  for (int64_t i = 0; i < q_len; ++i) map.grid.row_names.push_back(names.Query(i));
  for (int64_t j = 0; j < kv_len; ++j) map.grid.column_names.push_back(names.Key(j));
}

std::string Which(absl::string_view layer, size_t num_sequences, size_t sequence,
                  absl::string_view head) {
  std::string which(layer);
  if (num_sequences > 1) absl::StrAppend(&which, ", sequence ", sequence);
  return absl::StrCat(which, head);
}

// Adds the maps of one probe.
absl::Status AddProbe(const RequestFile& file, const v1::Probe& probe,
                      const v1::ProbeResponse& response, absl::Span<const int64_t> lens,
                      AttentionMaps& maps) {
  const absl::StatusOr<absl::Span<const float>> values =
      ReadValues(response.attention_weights(), maps);
  if (!values.ok()) return values.status();
  int64_t squares = 0;
  const auto count = static_cast<int64_t>(values->size());
  for (const int64_t len : lens) {
    if (len < 1 || len > count / len || squares > count - len * len) {
      return absl::InternalError("the attention weights are fewer than the lengths say");
    }
    squares += len * len;
  }
  if (squares == 0 || count % squares != 0) {
    return absl::InternalError("the attention weights are not [num_heads, len, len]");
  }
  absl::Span<const float> rest = *values;
  const auto& sent_lens = file.encode->lens();
  size_t first_word = 0;
  for (size_t b = 0; b < lens.size(); ++b) {
    const TokenNames names = NamesFrom(file.words, first_word, lens[b]);
    const auto at = static_cast<int>(b);
    first_word += static_cast<size_t>(at < sent_lens.size() ? sent_lens[at] : lens[b]);
    for (int64_t h = 0; h < count / squares; ++h) {
      const std::string which = Which(absl::StrCat(", layer ", probe.layer()), lens.size(), b,
                                      absl::StrCat(", head ", probe.first_head() + h));
      const auto numbers = static_cast<size_t>(lens[b] * lens[b]);
      AddMap(which, names, lens[b], lens[b], rest.first(numbers), maps);
      rest.remove_prefix(numbers);
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string LeftOutNote(const AttentionMaps& maps) {
  if (maps.count <= kMaxMaps) return "";
  return absl::StrCat("(", kMaxMaps, " of ", maps.count, " heat maps)\n");
}

absl::StatusOr<AttentionMaps> MapsOf(const RequestFile& file, const v1::EncodeResponse& response) {
  if (response.probes_size() != file.encode->probes_size()) {
    return absl::InternalError("the response has not one answer a probe");
  }
  AttentionMaps maps;
  for (int i = 0; i < response.probes_size(); ++i) {
    absl::Status status =
        AddProbe(file, file.encode->probes(i), response.probes(i), response.lens(), maps);
    if (!status.ok()) return status;
  }
  return maps;
}

absl::StatusOr<AttentionMaps> MapsOf(const RequestFile& file,
                                     const v1::ComputeAttentionResponse& response) {
  if (!file.request.tokens().q_lens().empty() || !file.request.projected().q_lens().empty()) {
    return absl::InvalidArgumentError(
        "request has q_lens; explain draws sequences of one length: send them one by one, or use "
        "attend");
  }
  const bool supplied = file.request.has_weighted();
  const v1::Tensor& tensor =
      supplied ? file.request.weighted().attention_weights() : response.attention_weights();
  AttentionMaps maps;
  const absl::StatusOr<absl::Span<const float>> values = ReadValues(tensor, maps);
  if (!values.ok()) return values.status();
  const absl::StatusOr<std::vector<int64_t>> shape = FullShape(tensor);
  if (!shape.ok()) return shape.status();

  absl::Span<const float> rest = *values;
  const TokenNames names = NamesFor(file);
  const int64_t num_heads = (*shape)[1], q_len = (*shape)[2], kv_len = (*shape)[3];
  const auto numbers = static_cast<size_t>(q_len * kv_len);
  for (int64_t b = 0; b < (*shape)[0]; ++b) {
    for (int64_t h = 0; h < num_heads; ++h) {
      const std::string head = num_heads > 1 ? absl::StrCat(", head ", h) : "";
      AddMap(Which("", static_cast<size_t>((*shape)[0]), static_cast<size_t>(b), head), names,
             q_len, kv_len, rest.first(numbers), maps);
      rest.remove_prefix(numbers);
    }
  }
  return maps;
}

}  // namespace attention::client
