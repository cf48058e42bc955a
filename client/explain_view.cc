#include "client/explain_view.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "client/attended_keys.h"
#include "client/tensor.h"
#include "client/token_names.h"

namespace attention::client {
namespace {

constexpr int64_t kDefaultTopKeys = 3;
// More heat maps than this say nothing to a reader.
constexpr int64_t kMaxMaps = 64;

// [batch, num_heads, q_len, kv_len], row-major.
struct AttentionWeights {
  std::vector<float> values;
  std::vector<int64_t> shape;
};

absl::StatusOr<std::vector<float>> ReadValues(const v1::Tensor& tensor) {
  absl::StatusOr<std::vector<float>> values = FloatValues(tensor);
  if (values.ok()) return values;
  return absl::InternalError(
      absl::StrCat("the attention weights cannot be read: ", values.status().message()));
}

absl::StatusOr<AttentionWeights> ReadWeights(const v1::Tensor& tensor) {
  absl::StatusOr<std::vector<float>> values = ReadValues(tensor);
  if (!values.ok()) return values.status();
  AttentionWeights weights{.values = *std::move(values),
                           .shape = {tensor.shape().begin(), tensor.shape().end()}};
  // One sequence and one head may go unsaid where the caller supplied the weights, and there are no
  // heads where the weights are averaged over them.
  if (weights.shape.size() == 2) weights.shape.insert(weights.shape.begin(), {1, 1});
  if (weights.shape.size() == 3) weights.shape.insert(weights.shape.begin() + 1, 1);
  if (weights.shape.size() != 4) {
    return absl::InternalError(absl::StrCat("the attention weights' shape is [",
                                            absl::StrJoin(tensor.shape(), ", "),
                                            "]; want [batch, num_heads, q_len, kv_len]"));
  }
  return weights;
}

std::string MapTitle(absl::string_view which) {
  return absl::StrCat("attention weights in percent", which,
                      ": how much each word on the left attends to each word above\n");
}

std::string MapName(int64_t map, const AttentionWeights& weights) {
  const int64_t num_heads = weights.shape[1];
  std::string which;
  if (weights.shape[0] > 1) absl::StrAppend(&which, ", sequence ", map / num_heads);
  if (num_heads > 1) absl::StrAppend(&which, ", head ", map % num_heads);
  return MapTitle(which);
}

std::string FormatMap(const Grid& grid, const TokenNames& names, int64_t top_k, Shading shading) {
  std::string text = FormatHeatMap(grid, shading);
  const size_t name_width = RowNameWidth(grid);
  const size_t columns = grid.column_names.size();
  for (size_t i = 0; i < grid.ShownRows(); ++i) {
    const std::vector<AttendedKey> keys =
        MostAttended(grid.values.subspan(i * columns, columns), top_k);
    absl::StrAppend(&text, FormatAttendedKeys(grid.row_names[i], name_width, keys, names));
  }
  return absl::StrCat(text, "\n");
}

// A map without its numbers.
Grid GridFor(const TokenNames& names, int64_t q_len, int64_t kv_len) {
  Grid grid;
  for (int64_t i = 0; i < q_len; ++i) grid.row_names.push_back(names.Query(i));
  for (int64_t j = 0; j < kv_len; ++j) grid.column_names.push_back(names.Key(j));
  return grid;
}

// The maps of one probe; counts them in `maps`.
absl::StatusOr<std::string> FormatProbe(const v1::Probe& probe, const v1::ProbeResponse& response,
                                        absl::Span<const int64_t> lens,
                                        absl::Span<const int64_t> sent_lens,
                                        const std::vector<std::string>& words, Shading shading,
                                        int64_t& maps) {
  absl::StatusOr<std::vector<float>> weights = ReadValues(response.attention_weights());
  if (!weights.ok()) return weights.status();
  int64_t squares = 0;
  for (const int64_t len : lens) squares += len * len;
  const auto count = static_cast<int64_t>(weights->size());
  if (squares == 0 || count % squares != 0) {
    return absl::InternalError("the attention weights are not [num_heads, len, len]");
  }
  const int64_t heads = count / squares;
  std::string text;
  size_t used = 0, first_word = 0;
  for (size_t b = 0; b < lens.size(); ++b) {
    const TokenNames names = NamesFrom(words, first_word, lens[b]);
    first_word += static_cast<size_t>(b < sent_lens.size() ? sent_lens[b] : lens[b]);
    Grid grid = GridFor(names, lens[b], lens[b]);
    for (int64_t h = 0; h < heads; ++h) {
      const auto numbers = static_cast<size_t>(lens[b] * lens[b]);
      grid.values = absl::MakeConstSpan(*weights).subspan(used, numbers);
      used += numbers;
      if (maps++ >= kMaxMaps) continue;
      std::string which = absl::StrCat(", layer ", probe.layer());
      if (lens.size() > 1) absl::StrAppend(&which, ", sequence ", b);
      absl::StrAppend(&which, ", head ", probe.first_head() + h);
      absl::StrAppend(&text, MapTitle(which), FormatMap(grid, names, kDefaultTopKeys, shading));
    }
  }
  return text;
}

}  // namespace

void AskForExplanation(int num_layers, v1::EncodeRequest& request) {
  request.clear_results();
  request.add_results(v1::ENCODE_RESULT_POOLED);  // the smallest
  if (request.probes().empty()) {
    for (int i = 0; i < num_layers; ++i) request.add_probes()->set_layer(i);
  }
  for (v1::Probe& probe : *request.mutable_probes()) {
    probe.clear_results();
    probe.add_results(v1::ENCODE_RESULT_ATTENTION_WEIGHTS);
  }
}

absl::StatusOr<std::string> FormatExplanation(const RequestFile& file,
                                              const v1::EncodeResponse& response, Shading shading) {
  if (response.probes_size() != file.encode->probes_size()) {
    return absl::InternalError("the response has not one answer a probe");
  }
  std::string text;
  int64_t maps = 0;
  for (int i = 0; i < response.probes_size(); ++i) {
    const absl::StatusOr<std::string> part =
        FormatProbe(file.encode->probes(i), response.probes(i), response.lens(),
                    file.encode->lens(), file.words, shading, maps);
    if (!part.ok()) return part.status();
    absl::StrAppend(&text, *part);
  }
  if (maps > kMaxMaps) absl::StrAppend(&text, "(", kMaxMaps, " of ", maps, " heat maps)\n");
  return text;
}

void AskForExplanation(v1::ComputeAttentionRequest& request) {
  request.clear_results();
  if (request.has_weighted()) {
    request.clear_query_indices();  // the map shows the weights that the caller has, all of them
  } else {
    request.add_results(v1::RESULT_ATTENTION_WEIGHTS);
  }
}

absl::StatusOr<std::string> FormatExplanation(const RequestFile& file,
                                              const v1::ComputeAttentionResponse& response,
                                              Shading shading) {
  if (!file.request.tokens().q_lens().empty() || !file.request.projected().q_lens().empty()) {
    return absl::InvalidArgumentError(
        "request has q_lens; explain draws sequences of one length: send them one by one, or use "
        "attend");
  }
  const bool supplied = file.request.has_weighted();
  absl::StatusOr<AttentionWeights> weights = ReadWeights(
      supplied ? file.request.weighted().attention_weights() : response.attention_weights());
  if (!weights.ok()) return weights.status();
  const TokenNames names = NamesFor(file);

  const int64_t q_len = weights->shape[2];
  const int64_t kv_len = weights->shape[3];
  Grid grid = GridFor(names, q_len, kv_len);
  const int64_t top_k = file.request.top_k() > 0 ? file.request.top_k() : kDefaultTopKeys;
  const int64_t maps = weights->shape[0] * weights->shape[1];
  std::string text;
  for (int64_t map = 0; map < std::min(maps, kMaxMaps); ++map) {
    grid.values = absl::MakeConstSpan(weights->values)
                      .subspan(static_cast<size_t>(map * q_len * kv_len),
                               static_cast<size_t>(q_len * kv_len));
    absl::StrAppend(&text, MapName(map, *weights), FormatMap(grid, names, top_k, shading));
  }
  if (maps > kMaxMaps) absl::StrAppend(&text, "(", kMaxMaps, " of ", maps, " heat maps)\n");
  return text;
}

}  // namespace attention::client
