#include "client/cli/views/explain_page.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "client/cli/files/token_names.h"
#include "client/cli/views/explain_page_html.h"
#include "client/cli/views/explain_view.h"
#include "client/programs/page_data.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

using OrderedJson = nlohmann::ordered_json;

// The numbers of a tensor as matrices over its last two axes, or of a given size.
struct Matrices {
  std::vector<float> values;
  int64_t rows = 0, columns = 0;

  int64_t count() const { return static_cast<int64_t>(values.size()) / (rows * columns); }
};

absl::StatusOr<Matrices> ReadMatrices(const v1::Tensor& tensor) {
  absl::StatusOr<std::vector<float>> values = FloatValues(tensor);
  const int axes = tensor.shape_size();
  if (!values.ok() || axes < 2) {
    return absl::InternalError(absl::StrCat(
        "a result cannot be read: ", values.ok() ? "it has one axis" : values.status().message()));
  }
  return Matrices{.values = *std::move(values),
                  .rows = tensor.shape(axes - 2),
                  .columns = tensor.shape(axes - 1)};
}

// Writes a float as people would: 0.1 and not the nearest double. Infinities and NaN become texts,
// because JSON has none.
OrderedJson Number(float value) {
  if (!std::isfinite(value)) return absl::StrCat(value);
  return OrderedJson::parse(absl::StrFormat("%.7g", value));
}

OrderedJson MatrixJson(absl::Span<const float> values, int64_t columns) {
  OrderedJson rows = OrderedJson::array();
  for (size_t i = 0; i < values.size(); i += static_cast<size_t>(columns)) {
    OrderedJson row = OrderedJson::array();
    for (const float value : values.subspan(i, static_cast<size_t>(columns))) {
      row.push_back(Number(value));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

OrderedJson MatrixJson(const Matrices& matrices, int64_t index) {
  const auto size = static_cast<size_t>(matrices.rows * matrices.columns);
  return MatrixJson(absl::MakeConstSpan(matrices.values).subspan(index * size, size),
                    matrices.columns);
}

OrderedJson Names(const TokenNames& names, int64_t count,
                  std::string (TokenNames::*name)(int64_t) const) {
  OrderedJson list = OrderedJson::array();
  for (int64_t i = 0; i < count; ++i) list.push_back((names.*name)(i));
  return list;
}

absl::Status CheckCells(int64_t cells) {
  if (cells <= kMostPageCells) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the page would have ", cells,
                                                 " cells; want at most ", kMostPageCells,
                                                 ": ask for fewer tokens, heads or layers"));
}

std::string Page(const RequestFile& file, OrderedJson data) {
  data["title"] = file.title.empty() ? "Attention" : file.title;
  return PageWithData(kExplainPage,
                      data.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
}

OrderedJson MapJson(int64_t sequence, int64_t head, const TokenNames& names, int64_t q_len,
                    int64_t kv_len) {
  return {{"sequence", sequence},
          {"head", head},
          {"queries", Names(names, q_len, &TokenNames::Query)},
          {"keys", Names(names, kv_len, &TokenNames::Key)}};
}

// The results beside the weights in a response to AskForPage; missing results are empty.
struct Parts {
  Matrices scores, query, key, value;
};

int64_t HeadsOf(const v1::Tensor& tensor) {
  return tensor.shape_size() == 4 ? std::max<int64_t>(tensor.shape(1), 1) : 1;
}

// Returns how many numbers of queries, keys and values the page will have.
int64_t NumbersOf(const v1::ComputeAttentionResponse& response) {
  int64_t numbers = 0;
  for (const v1::Tensor* const tensor :
       {&response.query(), &response.present_key(), &response.present_value()}) {
    const absl::StatusOr<int64_t> count = ElementCount(tensor->shape());
    // Each query head gets its own copy of shared keys and values.
    if (count.ok()) numbers += *count / HeadsOf(*tensor) * HeadsOf(response.query());
  }
  return numbers;
}

absl::StatusOr<Parts> ReadParts(const v1::ComputeAttentionResponse& response) {
  Parts parts;
  const std::pair<const v1::Tensor*, Matrices*> all[] = {
      {&response.attention_scores(), &parts.scores},
      {&response.query(), &parts.query},
      {&response.present_key(), &parts.key},
      {&response.present_value(), &parts.value}};
  for (const auto& [tensor, matrices] : all) {
    absl::StatusOr<Matrices> read = ReadMatrices(*tensor);
    if (!read.ok()) return read.status();
    *matrices = *std::move(read);
  }
  return parts;
}

// The factor on query . key.
float ScoreScale(const v1::AttentionConfig& config, int64_t head_dim) {
  return config.has_scale() ? config.scale()
                            : static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
}

// Describes for people the steps between scale * query . key and the scores that are normalised.
std::string AddedToScores(const v1::AttentionConfig& config) {
  std::vector<std::string> steps;
  if (config.softcap() != 0) steps.push_back(absl::StrCat("a softcap of ", config.softcap()));
  if (!config.alibi_slopes().empty()) steps.emplace_back("ALiBi");
  if (config.has_mask()) steps.emplace_back("the mask");
  return absl::StrJoin(steps, ", ");
}

void AddParts(const Parts& parts, int64_t map, int64_t maps, const Matrices& weights,
              OrderedJson& json) {
  json["scores"] = MatrixJson(parts.scores, map);
  // A layer may add its own keys after those of the tokens; these keys are not in the results.
  if (parts.key.rows != weights.columns || parts.query.rows != weights.rows) return;
  const int64_t group = maps / parts.key.count();  // query heads that share a key head
  json["query"] = MatrixJson(parts.query, map);
  json["key"] = MatrixJson(parts.key, map / group);
  json["value"] = MatrixJson(parts.value, map / group);
}

// Adds the maps of one probe, whose results are stored sequence by sequence and head by head.
absl::Status AddProbe(const RequestFile& file, const v1::EncodeResponse& response, int index,
                      int64_t& cells, OrderedJson& maps) {
  const v1::EncodeRequest& request = *file.encode;
  const v1::Probe& probe = request.probes(index);
  const auto weights = FloatValues(response.probes(index).attention_weights());
  const auto scores = FloatValues(response.probes(index).attention_scores());
  size_t squares = 0;
  for (const int64_t len : response.lens()) squares += static_cast<size_t>(len * len);
  if (!weights.ok() || !scores.ok() || weights->empty() || scores->size() != weights->size() ||
      squares == 0 || weights->size() % squares != 0) {
    return absl::InternalError("the attention weights are not [num_heads, len, len]");
  }
  cells += static_cast<int64_t>(weights->size());
  if (absl::Status few = CheckCells(cells); !few.ok()) return few;
  const auto heads = static_cast<int64_t>(weights->size() / squares);
  size_t used = 0, first_word = 0;
  for (int b = 0; b < response.lens_size(); ++b) {
    const int64_t len = response.lens(b);
    const auto size = static_cast<size_t>(len * len);
    const TokenNames names = NamesFrom(file.words, first_word, len);
    first_word += static_cast<size_t>(b < request.lens_size() ? request.lens(b) : len);
    for (int64_t h = 0; h < heads; ++h, used += size) {
      OrderedJson json = MapJson(b, probe.first_head() + h, names, len, len);
      json["layer"] = probe.layer();
      json["scores"] = MatrixJson(absl::MakeConstSpan(*scores).subspan(used, size), len);
      json["weights"] = MatrixJson(absl::MakeConstSpan(*weights).subspan(used, size), len);
      maps.push_back(std::move(json));
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AskForPage(v1::ComputeAttentionRequest& request) {
  AskForExplanation(request);
  if (request.has_weighted()) return;
  for (const v1::Result result : {v1::RESULT_ATTENTION_SCORES, v1::RESULT_QUERY,
                                  v1::RESULT_PRESENT_KEY, v1::RESULT_PRESENT_VALUE}) {
    request.add_results(result);
  }
  request.mutable_config()->set_score_stage(v1::SCORE_STAGE_BIASED);
  request.mutable_config()->clear_average_attention_weights();
}

void AskForPage(int num_layers, v1::EncodeRequest& request) {
  AskForExplanation(num_layers, request);
  request.mutable_config()->set_score_stage(v1::SCORE_STAGE_BIASED);
  for (v1::Probe& probe : *request.mutable_probes()) {
    probe.add_results(v1::ENCODE_RESULT_ATTENTION_SCORES);
  }
}

absl::StatusOr<std::string> ExplainPage(const RequestFile& file,
                                        const v1::ComputeAttentionResponse& response) {
  const v1::ComputeAttentionRequest& request = file.request;
  if (!request.tokens().q_lens().empty() || !request.projected().q_lens().empty() ||
      request.has_partials()) {
    return absl::InvalidArgumentError(
        "a page shows sequences of one length: send them one by one, or use attend");
  }
  const bool supplied = request.has_weighted();
  const v1::Tensor& tensor =
      supplied ? request.weighted().attention_weights() : response.attention_weights();
  const absl::StatusOr<Matrices> weights = ReadMatrices(tensor);
  if (!weights.ok()) return weights.status();
  absl::Status few = CheckCells(static_cast<int64_t>(weights->values.size()) +
                                (supplied ? 0 : NumbersOf(response)));
  if (!few.ok()) return few;
  const int64_t heads = HeadsOf(tensor);
  const TokenNames names = NamesFor(file);
  Parts parts;
  if (!supplied) {
    absl::StatusOr<Parts> read = ReadParts(response);
    if (!read.ok()) return read.status();
    parts = *std::move(read);
  }
  OrderedJson maps = OrderedJson::array();
  for (int64_t map = 0; map < weights->count(); ++map) {
    OrderedJson json = MapJson(map / heads, map % heads, names, weights->rows, weights->columns);
    json["weights"] = MatrixJson(*weights, map);
    if (!supplied) AddParts(parts, map, weights->count(), *weights, json);
    maps.push_back(std::move(json));
  }
  OrderedJson data = {
      {"maps", std::move(maps)},
      {"normalization",
       request.config().normalization() == v1::NORMALIZATION_SUM ? "sum" : "softmax"},
      {"adds", AddedToScores(request.config())}};
  for (const float sink : request.config().sinks()) data["sinks"].push_back(Number(sink));
  if (!supplied) data["scale"] = Number(ScoreScale(request.config(), parts.query.columns));
  return Page(file, std::move(data));
}

absl::StatusOr<std::string> ExplainPage(const RequestFile& file,
                                        const v1::EncodeResponse& response) {
  const v1::EncodeRequest& request = *file.encode;
  if (response.probes_size() != request.probes_size()) {
    return absl::InternalError("the response has not one answer a probe");
  }
  int64_t cells = 0;
  OrderedJson maps = OrderedJson::array();
  for (int p = 0; p < response.probes_size(); ++p) {
    if (absl::Status status = AddProbe(file, response, p, cells, maps); !status.ok()) return status;
  }
  return Page(file, {{"maps", std::move(maps)}, {"normalization", "softmax"}});
}

}  // namespace attention::client
