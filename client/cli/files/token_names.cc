#include "client/cli/files/token_names.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "client/cli/display_text.h"
#include "client/cli/files/request_file.h"

namespace attention::client {
namespace {

// Returns the length of the axis that is `from_end` axes from the end: 2 for `len` in [..., len,
// dim].
std::optional<int64_t> AxisFromEnd(const v1::Tensor& tensor, int from_end) {
  const int rank = tensor.shape_size();
  if (rank < 2 || rank > 4) return std::nullopt;
  return tensor.shape(rank - from_end);
}

// Whether the keys are the tokens that the queries are, as far as a request can tell.
bool KeysAreQueries(const v1::ComputeAttentionRequest& request) {
  if (request.has_tokens()) return !request.tokens().has_context();
  return QueryLength(request) == KeyLength(request);
}

std::string NameAt(const std::vector<std::string>& names, int64_t index, const char* kind) {
  if (index >= 0 && static_cast<size_t>(index) < names.size()) {
    return names[static_cast<size_t>(index)];
  }
  return absl::StrCat(kind, index);
}

}  // namespace

std::optional<int64_t> QueryLength(const v1::ComputeAttentionRequest& request) {
  if (request.has_tokens()) return AxisFromEnd(request.tokens().tokens(), 2);
  if (request.has_projected()) return AxisFromEnd(request.projected().query(), 2);
  if (request.has_weighted()) return AxisFromEnd(request.weighted().attention_weights(), 2);
  return std::nullopt;
}

std::optional<int64_t> KeyLength(const v1::ComputeAttentionRequest& request) {
  if (request.has_tokens()) {
    const v1::TokensSource& source = request.tokens();
    return AxisFromEnd(source.has_context() ? source.context() : source.tokens(), 2);
  }
  if (request.has_projected()) {
    const std::optional<int64_t> length = AxisFromEnd(request.projected().key(), 2);
    if (!length.has_value() || !request.projected().has_past_key()) return length;
    return *length + AxisFromEnd(request.projected().past_key(), 2).value_or(0);
  }
  if (request.has_weighted()) return AxisFromEnd(request.weighted().attention_weights(), 1);
  return std::nullopt;
}

std::optional<int64_t> TokenCount(const v1::EncodeRequest& request) {
  if (!request.has_embeddings()) return request.token_ids_size();
  const std::optional<int64_t> len = AxisFromEnd(request.embeddings(), 2);
  if (request.embeddings().shape_size() != 3) return len;
  return *len * request.embeddings().shape(0);
}

std::string TokenNames::Query(int64_t index) const { return NameAt(queries, index, "q"); }

std::string TokenNames::Key(int64_t index) const { return NameAt(keys, index, "k"); }

TokenNames NamesFor(const RequestFile& file) {
  TokenNames names;
  for (const std::string& word : file.words) names.queries.push_back(EscapeControls(word));
  for (const std::string& word : file.context_words) names.keys.push_back(EscapeControls(word));
  if (names.keys.empty() && KeysAreQueries(file.request)) names.keys = names.queries;
  if (file.request.query_indices().empty()) return names;

  std::vector<std::string> selected;
  for (const int64_t index : file.request.query_indices()) selected.push_back(names.Query(index));
  names.queries = selected;
  return names;
}

TokenNames NamesFrom(const std::vector<std::string>& words, size_t first, int64_t count) {
  TokenNames names;
  const size_t end = std::min(words.size(), first + static_cast<size_t>(count));
  for (size_t i = first; i < end; ++i) names.keys.push_back(EscapeControls(words[i]));
  names.queries = names.keys;
  return names;
}

}  // namespace attention::client
