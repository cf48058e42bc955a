#include "client/cli/views/attend_view.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/cli/display_text.h"
#include "client/cli/views/attended_keys.h"
#include "client/cli/views/grid.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

// More tables than this would be too many to read.
constexpr int64_t kMaxTables = 64;

// One result, as the contract describes it (attention.v1.ResultInfo). Each axis is named by one
// letter: b for sequences, h for heads, q for queries, k for keys, d for the numbers of one vector.
struct ResultView {
  std::string name;
  std::string axes;
  std::string meaning;
  const v1::Tensor& tensor;
};

char LetterOf(absl::string_view axis) {
  if (axis == "batch") return 'b';
  if (axis == "num_heads" || axis == "num_kv_heads") return 'h';
  if (axis == "q_len" || axis == "tokens") return 'q';
  if (axis == "kv_len" || axis == "new_len") return 'k';
  return 'd';
}

// Returns, in the order of the enumeration `results`, those results that `response` has as tensors.
std::vector<ResultView> ViewsOf(const google::protobuf::Message& response,
                                const google::protobuf::EnumDescriptor& results) {
  std::vector<ResultView> views;
  for (int i = 0; i < results.value_count(); ++i) {
    const v1::ResultInfo& info = results.value(i)->options().GetExtension(v1::result);
    const google::protobuf::FieldDescriptor* const field =
        response.GetDescriptor()->FindFieldByName(info.field());
    if (field == nullptr || field->message_type() != v1::Tensor::descriptor()) continue;
    if (!response.GetReflection()->HasField(response, field)) continue;
    std::string axes;
    for (const std::string& axis : info.axes()) axes.push_back(LetterOf(axis));
    views.push_back(
        {info.field(), axes, info.meaning(),
         static_cast<const v1::Tensor&>(response.GetReflection()->GetMessage(response, field))});
  }
  return views;
}

std::string WithoutAxis(std::string axes, char axis) {
  axes.erase(std::remove(axes.begin(), axes.end(), axis), axes.end());
  return axes;
}

// Returns the letters for a tensor of `rank` axes: the output has no axes for heads and sequences
// where the query had none. Axes without a name get 'x'.
std::string AxesFor(const std::string& axes, size_t rank) {
  if (axes.size() == rank) return axes;
  const std::string merged = WithoutAxis(axes, 'h');
  if (merged.size() == rank) return merged;
  const std::string single = WithoutAxis(merged, 'b');
  return single.size() == rank ? single : std::string(rank, 'x');
}

std::string PlaceName(char axis, int64_t index, const TokenNames& names) {
  switch (axis) {
    case 'b':
      return absl::StrCat("sequence ", index);
    case 'h':
      return absl::StrCat("head ", index);
    case 'q':
      return names.Query(index);
    case 'k':
      return names.Key(index);
    default:
      return absl::StrCat("[", index, "]");
  }
}

std::vector<std::string> PlaceNames(char axis, int64_t length, const TokenNames& names) {
  std::vector<std::string> places;
  for (int64_t i = 0; i < length; ++i) places.push_back(PlaceName(axis, i, names));
  return places;
}

// Names a table, such as "sequence 1, head 0". An axis of length 1 is not named.
std::string TableName(int64_t table, absl::Span<const int64_t> outer_shape, const std::string& axes,
                      const TokenNames& names) {
  std::vector<std::string> parts;
  for (size_t axis = outer_shape.size(); axis-- > 0;) {
    const int64_t index = table % outer_shape[axis];
    table /= outer_shape[axis];
    const bool only_one = outer_shape[axis] == 1 && (axes[axis] == 'b' || axes[axis] == 'h');
    if (only_one) continue;
    // The word of a token alone would not tell whether it is the key or the query.
    const char* kind = axes[axis] == 'k' ? "key " : axes[axis] == 'q' ? "query " : "";
    parts.push_back(absl::StrCat(kind, PlaceName(axes[axis], index, names)));
  }
  std::reverse(parts.begin(), parts.end());
  return absl::StrJoin(parts, ", ");
}

absl::Status Unreadable(absl::string_view name, const absl::Status& status) {
  return absl::InternalError(
      absl::StrCat("the server's ", name, " cannot be read: ", status.message()));
}

absl::StatusOr<std::string> FormatTensor(const ResultView& view, const TokenNames& names) {
  absl::StatusOr<std::vector<float>> values = FloatValues(view.tensor);
  if (!values.ok()) return Unreadable(view.name, values.status());
  std::vector<int64_t> shape(view.tensor.shape().begin(), view.tensor.shape().end());
  std::string text =
      absl::StrCat(view.name, " [", absl::StrJoin(shape, ", "), "]: ", view.meaning, "\n");
  std::string axes = AxesFor(view.axes, shape.size());
  if (shape.size() == 1) {
    shape.insert(shape.begin(), 1);
    axes = absl::StrCat("x", axes);
  }

  const int64_t columns = shape.back();
  const int64_t rows = shape[shape.size() - 2];
  const absl::Span<const int64_t> outer_shape(shape.data(), shape.size() - 2);
  const int64_t tables = static_cast<int64_t>(values->size()) / rows / columns;
  Grid grid{.row_names = PlaceNames(axes[outer_shape.size()], rows, names),
            .column_names = PlaceNames(axes.back(), columns, names)};
  for (int64_t table = 0; table < std::min(tables, kMaxTables); ++table) {
    const std::string table_name = TableName(table, outer_shape, axes, names);
    if (!table_name.empty()) absl::StrAppend(&text, table_name, "\n");
    grid.values = absl::MakeConstSpan(*values).subspan(static_cast<size_t>(table * rows * columns),
                                                       static_cast<size_t>(rows * columns));
    absl::StrAppend(&text, FormatTable(grid));
  }
  if (tables > kMaxTables) absl::StrAppend(&text, "(", kMaxTables, " of ", tables, " tables)\n");
  return text;
}

// Appends the results that were asked for.
absl::Status AppendTensors(const std::vector<ResultView>& views, const TokenNames& names,
                           std::string& text) {
  for (const ResultView& view : views) {
    if (view.tensor.shape().empty()) continue;
    absl::StatusOr<std::string> tables = FormatTensor(view, names);
    if (!tables.ok()) return tables.status();
    absl::StrAppend(&text, *tables, "\n");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FormatTopKeys(const v1::TopKeys& top_keys, const TokenNames& names) {
  absl::StatusOr<std::vector<int32_t>> indices = Int32Values(top_keys.indices());
  if (!indices.ok()) return Unreadable("top_keys.indices", indices.status());
  absl::StatusOr<std::vector<float>> weights = FloatValues(top_keys.attention_weights());
  if (!weights.ok()) return Unreadable("top_keys.attention_weights", weights.status());
  std::vector<int64_t> shape(top_keys.indices().shape().begin(), top_keys.indices().shape().end());
  if (shape.size() == 2) shape.insert(shape.begin(), {1, 1});  // a ragged batch, row by row
  if (shape.size() != 4 || weights->size() != indices->size()) {
    return Unreadable("top_keys",
                      absl::InternalError("want 2 or 4 axes, the same in both tensors"));
  }
  const int64_t q_len = shape[2];
  const auto top_k = static_cast<size_t>(shape[3]);
  std::string text = "top_keys: the most attended keys of each query\n";
  size_t name_width = 0;
  for (int64_t i = 0; i < q_len; ++i) {
    name_width = std::max(name_width, DisplayWidth(names.Query(i)));
  }
  for (size_t row = 0; row < indices->size() / top_k; ++row) {
    const auto query = static_cast<int64_t>(row) % q_len;
    const std::string head =
        TableName(static_cast<int64_t>(row) / q_len, {shape[0], shape[1]}, "bh", names);
    if (query == 0 && !head.empty()) absl::StrAppend(&text, head, "\n");
    std::vector<AttendedKey> keys;
    for (size_t i = row * top_k; i < (row + 1) * top_k; ++i) {
      keys.push_back({.key = (*indices)[i], .attention_weight = (*weights)[i]});
    }
    absl::StrAppend(&text, FormatAttendedKeys(names.Query(query), name_width, keys, names));
  }
  return text;
}

std::string FormatTiming(const v1::Timing& timing) {
  const auto format = [](const google::protobuf::Duration& duration) {
    return absl::FormatDuration(absl::Seconds(duration.seconds()) +
                                absl::Nanoseconds(duration.nanos()));
  };
  return absl::StrCat("time on the server: queue ", format(timing.queue()), ", decode ",
                      format(timing.decode()), ", prepare ", format(timing.prepare()), ", compute ",
                      format(timing.compute()), "\n");
}

}  // namespace

absl::StatusOr<std::string> FormatResults(const v1::EncodeResponse& response,
                                          const std::vector<std::string>& words) {
  TokenNames names;
  // With several sequences a table would give all of them the names of the first.
  if (response.lens_size() == 1) {
    for (const std::string& word : words) names.queries.push_back(EscapeControls(word));
  }
  names.keys = names.queries;
  std::string text;
  const google::protobuf::EnumDescriptor& results = *v1::EncodeResult_descriptor();
  absl::Status status = AppendTensors(ViewsOf(response, results), names, text);
  for (int i = 0; i < response.probes_size() && status.ok(); ++i) {
    absl::StrAppend(&text, "probe ", i, "\n\n");
    status = AppendTensors(ViewsOf(response.probes(i), results), names, text);
  }
  if (!status.ok()) return status;
  if (response.has_timing()) absl::StrAppend(&text, FormatTiming(response.timing()));
  return text;
}

absl::StatusOr<std::string> FormatResults(const v1::ComputeAttentionResponse& response,
                                          const TokenNames& names) {
  std::string text;
  absl::Status status = AppendTensors(ViewsOf(response, *v1::Result_descriptor()), names, text);
  if (!status.ok()) return status;
  if (response.has_top_keys()) {
    absl::StatusOr<std::string> top_keys = FormatTopKeys(response.top_keys(), names);
    if (!top_keys.ok()) return top_keys.status();
    absl::StrAppend(&text, *top_keys, "\n");
  }
  if (response.has_timing()) absl::StrAppend(&text, FormatTiming(response.timing()));
  return text;
}

}  // namespace attention::client
