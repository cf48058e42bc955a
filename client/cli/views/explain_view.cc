#include "client/cli/views/explain_view.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/views/attended_keys.h"

namespace attention::client {
namespace {

constexpr int64_t kDefaultTopKeys = 3;

std::string FormatMap(const AttentionMap& map, int64_t top_k, Shading shading) {
  const Grid& grid = map.grid;
  std::string text = absl::StrCat("attention weights in percent", map.which,
                                  ": how much each word on the left attends to each word above\n",
                                  FormatHeatMap(grid, shading));
  const size_t name_width = RowNameWidth(grid);
  const size_t columns = grid.column_names.size();
  for (size_t i = 0; i < grid.ShownRows(); ++i) {
    const std::vector<AttendedKey> keys =
        MostAttended(grid.values.subspan(i * columns, columns), top_k);
    absl::StrAppend(&text, FormatAttendedKeys(grid.row_names[i], name_width, keys, map.names));
  }
  return absl::StrCat(text, "\n");
}

}  // namespace

void AskForExplanation(int num_layers, v1::EncodeRequest& request) {
  request.clear_results();
  request.add_results(v1::ENCODE_RESULT_POOLED);  // the smallest result
  if (request.probes().empty()) {
    for (int i = 0; i < num_layers; ++i) request.add_probes()->set_layer(i);
  }
  for (v1::Probe& probe : *request.mutable_probes()) {
    probe.clear_results();
    probe.add_results(v1::ENCODE_RESULT_ATTENTION_WEIGHTS);
  }
}

void AskForExplanation(v1::ComputeAttentionRequest& request) {
  request.clear_results();
  if (request.has_weighted()) {
    request.clear_query_indices();  // the map shows all weights that the caller supplied
  } else {
    request.add_results(v1::RESULT_ATTENTION_WEIGHTS);
  }
}

std::string FormatExplanation(const RequestFile& file, const AttentionMaps& maps, Shading shading) {
  const int64_t top_k = file.request.top_k() > 0 ? file.request.top_k() : kDefaultTopKeys;
  std::string text;
  for (const AttentionMap& map : maps.maps) absl::StrAppend(&text, FormatMap(map, top_k, shading));
  return absl::StrCat(text, LeftOutNote(maps));
}

}  // namespace attention::client
