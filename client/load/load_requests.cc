#include "client/load/load_requests.h"

#include <grpcpp/support/proto_buffer_writer.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "client/tensor.h"

namespace attention::client {
namespace {

grpc::ByteBuffer Serialized(const google::protobuf::Message& message) {
  grpc::ByteBuffer bytes;
  bool own = false;
  grpc::SerializationTraits<google::protobuf::Message>::Serialize(message, &bytes, &own);
  return bytes;
}

std::vector<float> RandomNumbers(int64_t count, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = normal(random);
  return numbers;
}

v1::ComputeAttentionRequest AttentionRequest(const LoadOptions& options, int64_t tokens,
                                             int64_t width, std::mt19937_64& random) {
  v1::ComputeAttentionRequest request;
  v1::TokensSource& source = *request.mutable_tokens();
  *source.mutable_tokens() = MakeTensor({tokens, width}, RandomNumbers(tokens * width, random));
  if (!options.layer.empty()) source.mutable_layer()->set_name(options.layer);
  if (options.only_output) request.add_results(v1::RESULT_OUTPUT);
  return request;
}

v1::EncodeRequest EncodeRequestFor(const v1::Layer& layer, int64_t tokens,
                                   std::mt19937_64& random) {
  const v1::EncoderLayerInfo& encoder = layer.encoder();
  v1::EncodeRequest request;
  request.mutable_layer()->set_name(layer.name());
  if (encoder.vocabulary() > 0) {
    std::uniform_int_distribution<int64_t> id(0, encoder.vocabulary() - 1);
    for (int64_t i = 0; i < tokens; ++i) request.add_token_ids(id(random));
  } else {
    *request.mutable_embeddings() =
        MakeTensor({tokens, layer.d_model()}, RandomNumbers(tokens * layer.d_model(), random));
  }
  request.add_lens(tokens);
  request.add_results(v1::ENCODE_RESULT_POOLED);
  return request;
}

// The simplified attention of the tutorials in double precision: each output number may differ by
// 1e-5 of the largest number of the tokens. It goes row by row, so that no scores are stored.
bool AgreesWithOwnArithmetic(const v1::Tensor& tokens, const v1::Tensor& output) {
  const auto x = FloatValues(tokens), y = FloatValues(output);
  if (!x.ok() || !y.ok() || x->size() != y->size()) return false;
  const int64_t len = tokens.shape(0), width = tokens.shape(1);
  const auto at = [width](const std::vector<float>& matrix, int64_t row, int64_t column) {
    return double{matrix[static_cast<size_t>(row * width + column)]};
  };
  double largest = 0;
  for (const float number : *x) largest = std::max(largest, std::abs(double{number}));
  std::vector<double> weights(static_cast<size_t>(len));  // [len], the weights of one query
  for (int64_t i = 0; i < len; ++i) {
    double most = -HUGE_VAL, sum = 0;
    for (int64_t j = 0; j < len; ++j) {
      double score = 0;
      for (int64_t d = 0; d < width; ++d) score += at(*x, i, d) * at(*x, j, d);
      weights[static_cast<size_t>(j)] = score / std::sqrt(width);
      most = std::max(most, weights[static_cast<size_t>(j)]);
    }
    for (double& weight : weights) sum += weight = std::exp(weight - most);
    for (int64_t d = 0; d < width; ++d) {
      double want = 0;
      for (int64_t j = 0; j < len; ++j)
        want += weights[static_cast<size_t>(j)] / sum * at(*x, j, d);
      if (!(std::abs(at(*y, i, d) - want) <= 1e-5 * largest)) return false;
    }
  }
  return true;
}

absl::Status CheckAlone(const LoadOptions& options, const AttentionClient& client,
                        const v1::ComputeAttentionRequest& request, LoadRequest& call) {
  const auto alone = client.ComputeAttention(request, options.timeout);
  if (!alone.ok()) return alone.status();
  call.want = OutputDigest(*alone);
  if (!options.layer.empty() ||
      AgreesWithOwnArithmetic(request.tokens().tokens(), alone->output())) {
    return absl::OkStatus();
  }
  return absl::DataLossError("the server's output is not what the client computes itself");
}

absl::Status CheckAlone(const LoadOptions& options, const AttentionClient& client,
                        const v1::EncodeRequest& request, LoadRequest& call) {
  const auto alone = client.Encode(request, options.timeout);
  if (!alone.ok()) return alone.status();
  call.want = OutputDigest(*alone);
  return absl::OkStatus();
}

// Makes a LoadRequest of `request`, and checks its answer if options.verify asks for that.
template <typename Request>
absl::StatusOr<LoadRequest> Ready(const LoadOptions& options, const AttentionClient& client,
                                  const Request& request, int64_t tokens) {
  LoadRequest call;
  call.is_encode = std::is_same_v<Request, v1::EncodeRequest>;
  call.message = Serialized(request);
  call.tokens = tokens;
  if (!options.verify) return call;
  absl::Status status = CheckAlone(options, client, request, call);
  if (!status.ok()) return status;
  return call;
}

v1::ComputeAttentionRequest InvalidRequest() {
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() = MakeTensor({1, 1}, {1});
  request.add_query_indices(1);
  return request;
}

}  // namespace

size_t OutputDigest(const v1::ComputeAttentionResponse& response) {
  return absl::HashOf(response.output().data(), response.attention_scores().data(),
                      response.attention_weights().data());
}
size_t OutputDigest(const v1::EncodeResponse& response) {
  return absl::HashOf(response.pooled().data());
}

absl::StatusOr<LoadRequests> MakeLoadRequests(const LoadOptions& options,
                                              const AttentionClient& client) {
  std::optional<v1::Layer> layer;
  if (!options.layer.empty()) {
    absl::StatusOr<v1::Layer> found = client.GetLayer(options.layer);
    if (!found.ok()) return found.status();
    if (!found->problem().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer ", options.layer, " cannot be used: ", found->problem()));
    }
    layer = *std::move(found);
  }
  std::mt19937_64 random(options.seed);
  LoadRequests requests;
  for (int i = 0; i < options.distinct_calls; ++i) {
    int64_t tokens = options.lengths.Draw(random);
    const bool encodes = layer.has_value() && layer->kind() == v1::LAYER_KIND_ENCODER;
    const int64_t width = layer.has_value() ? layer->d_model() : options.width;
    if (encodes && layer->encoder().max_len() > 0) {
      tokens = std::min(tokens, layer->encoder().max_len());
    }
    auto call =
        encodes ? Ready(options, client, EncodeRequestFor(*layer, tokens, random), tokens)
                : Ready(options, client, AttentionRequest(options, tokens, width, random), tokens);
    if (!call.ok()) return call.status();
    requests.valid.push_back(*std::move(call));
  }
  requests.invalid.message = Serialized(InvalidRequest());
  return requests;
}

}  // namespace attention::client
