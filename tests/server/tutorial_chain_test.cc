// The chain of tutorial 003_2c3689fe9e37d19f from its embedding module to its encoder layer, step
// by step in plain loops beside the same through a server: the sentence "The cat sat on the mat
// because it was warm", of which the last words are truncated and the future is masked.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/models/safetensors_file.h"
#include "tests/server/stored_layers.h"

namespace attention {
namespace {

using Row = std::vector<double>;
using Matrix = std::vector<Row>;

constexpr int kModel = 8;  // d_model
constexpr int kHeads = 2;
constexpr int kFeedForward = 16;
constexpr int kVocabulary = 9;  // the cat sat on mat because it was warm
constexpr int kMaxLen = 8;

// What the layer has learned: any numbers will do, if they are the same on both sides.
struct Learned {
  Matrix embedding = Some(kVocabulary, kModel, 1);
  Matrix in_proj = Some(3 * kModel, kModel, 2), out_proj = Some(kModel, kModel, 3);
  Row in_proj_bias = Some(1, 3 * kModel, 4)[0], out_proj_bias = Some(1, kModel, 5)[0];
  Matrix linear1 = Some(kFeedForward, kModel, 6), linear2 = Some(kModel, kFeedForward, 7);
  Row linear1_bias = Some(1, kFeedForward, 8)[0], linear2_bias = Some(1, kModel, 9)[0];
  Row norm1 = Some(1, kModel, 10)[0], norm1_bias = Some(1, kModel, 11)[0];
  Row norm2 = Some(1, kModel, 12)[0], norm2_bias = Some(1, kModel, 13)[0];

  static Matrix Some(int rows, int columns, int seed) {
    Matrix matrix(rows, Row(columns));
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        matrix[i][j] = static_cast<float>(std::sin(seed + 1.7 * i + 0.6 * j));
      }
    }
    return matrix;
  }
};

// --- the chain ---

// Embedding module: each word's vector.
Matrix Embed(const Learned& w, const std::vector<int>& words) {
  Matrix x;
  for (const int word : words) x.push_back(w.embedding[word]);
  return x;
}

// Positional encoding: sine and cosine.
void AddPositions(Matrix& x) {
  for (size_t p = 0; p < x.size(); ++p) {
    for (int j = 0; j < kModel; ++j) {
      const double angle =
          static_cast<double>(p) / std::pow(10000.0, static_cast<double>(j - j % 2) / kModel);
      x[p][j] += j % 2 == 0 ? std::sin(angle) : std::cos(angle);
    }
  }
}

// A linear layer with the rows `first` to `first + out` of a weight [.., in].
Matrix Linear(const Matrix& x, const Matrix& weight, const Row& bias, int first, int out) {
  Matrix y(x.size(), Row(out));
  for (size_t i = 0; i < x.size(); ++i) {
    for (int o = 0; o < out; ++o) {
      y[i][o] = bias[first + o];
      for (size_t j = 0; j < x[i].size(); ++j) y[i][o] += x[i][j] * weight[first + o][j];
    }
  }
  return y;
}

// One head: columns `first` to `first + width` of query, key and value; the future is masked.
Matrix AttentionWeights(const Matrix& q, const Matrix& k, int first, int width) {
  Matrix weights(q.size(), Row(k.size()));
  for (size_t i = 0; i < q.size(); ++i) {
    double sum = 0;
    for (size_t j = 0; j <= i; ++j) {
      double score = 0;
      for (int d = first; d < first + width; ++d) score += q[i][d] * k[j][d];
      weights[i][j] = std::exp(score / std::sqrt(width));
      sum += weights[i][j];
    }
    for (double& weight : weights[i]) weight /= sum;
  }
  return weights;
}

// Multi-headed attention: query, key and value are split N ways.
Matrix MultiHead(const Learned& w, const Matrix& x, std::vector<Matrix>& weights) {
  const Matrix q = Linear(x, w.in_proj, w.in_proj_bias, 0, kModel);
  const Matrix k = Linear(x, w.in_proj, w.in_proj_bias, kModel, kModel);
  const Matrix v = Linear(x, w.in_proj, w.in_proj_bias, 2 * kModel, kModel);
  const int width = kModel / kHeads;
  Matrix heads(x.size(), Row(kModel));
  for (int h = 0; h < kHeads; ++h) {
    weights.push_back(AttentionWeights(q, k, h * width, width));
    for (size_t i = 0; i < x.size(); ++i) {
      for (size_t j = 0; j < x.size(); ++j) {
        for (int d = h * width; d < (h + 1) * width; ++d) {
          heads[i][d] += weights[h][i][j] * v[j][d];
        }
      }
    }
  }
  return Linear(heads, w.out_proj, w.out_proj_bias, 0, kModel);
}

// Residual connection, followed by layer normalisation.
Matrix AddAndNormalize(const Matrix& x, const Matrix& y, const Row& gamma, const Row& beta) {
  Matrix result = x;
  for (size_t i = 0; i < x.size(); ++i) {
    double mean = 0, variance = 0;
    for (int j = 0; j < kModel; ++j) mean += (x[i][j] + y[i][j]) / kModel;
    for (int j = 0; j < kModel; ++j) {
      variance += std::pow(x[i][j] + y[i][j] - mean, 2) / kModel;
    }
    for (int j = 0; j < kModel; ++j) {
      result[i][j] = (x[i][j] + y[i][j] - mean) / std::sqrt(variance + 1e-5) * gamma[j] + beta[j];
    }
  }
  return result;
}

// The fully connected network.
Matrix FeedForward(const Learned& w, const Matrix& x) {
  Matrix wide = Linear(x, w.linear1, w.linear1_bias, 0, kFeedForward);
  for (Row& row : wide) {
    for (double& number : row) number = std::max(number, 0.0);
  }
  return Linear(wide, w.linear2, w.linear2_bias, 0, kModel);
}

// --- the same layer as a file ---

std::string Checkpoint(const Learned& w) {
  const std::map<std::string, Matrix> tensors = {
      {"embedding.weight", w.embedding},
      {"layers.0.self_attn.in_proj_weight", w.in_proj},
      {"layers.0.self_attn.in_proj_bias", {w.in_proj_bias}},
      {"layers.0.self_attn.out_proj.weight", w.out_proj},
      {"layers.0.self_attn.out_proj.bias", {w.out_proj_bias}},
      {"layers.0.linear1.weight", w.linear1},
      {"layers.0.linear1.bias", {w.linear1_bias}},
      {"layers.0.linear2.weight", w.linear2},
      {"layers.0.linear2.bias", {w.linear2_bias}},
      {"layers.0.norm1.weight", {w.norm1}},
      {"layers.0.norm1.bias", {w.norm1_bias}},
      {"layers.0.norm2.weight", {w.norm2}},
      {"layers.0.norm2.bias", {w.norm2_bias}}};
  std::string header = "{", data;
  for (const auto& [name, matrix] : tensors) {
    const size_t begin = data.size();
    for (const Row& row : matrix) {
      for (const double number : row) {
        const auto value = static_cast<float>(number);
        data.append(reinterpret_cast<const char*>(&value), sizeof(value));
      }
    }
    absl::StrAppend(&header, begin == 0 ? "" : ",", "\"", name, R"(":{"dtype":"F32","shape":[)",
                    matrix.size(), ",", matrix[0].size(), R"(],"data_offsets":[)", begin, ",",
                    data.size(), "]}");
  }
  header += "}";
  return engine::SafetensorsText(header, data);
}

using TutorialChain = ServerWithLayers;

TEST_F(TutorialChain, FromWordsToTheEncoderLayersOutput) {
  const Learned learned;
  const std::vector<int> sentence = {0, 1, 2, 3, 0, 4, 5, 6, 7, 8};

  // Truncating: the model takes eight words.
  Matrix x = Embed(learned, {sentence.begin(), sentence.begin() + kMaxLen});
  AddPositions(x);
  std::vector<Matrix> weights;
  x = AddAndNormalize(x, MultiHead(learned, x, weights), learned.norm1, learned.norm1_bias);
  x = AddAndNormalize(x, FeedForward(learned, x), learned.norm2, learned.norm2_bias);

  const auto layer = UploadBytes(*client_, "tutorial",
                                 R"({"format": "torch.nn.TransformerEncoder", "num_heads": 2,
                                     "positions": "sinusoidal", "max_len": 8})",
                                 Checkpoint(learned));
  ASSERT_TRUE(layer.ok()) << layer.status();
  v1::EncodeRequest request;
  request.mutable_layer()->set_name("tutorial");
  request.mutable_token_ids()->Assign(sentence.begin(), sentence.end());
  request.set_truncation(v1::TRUNCATION_KEEP_FIRST);
  request.mutable_config()->set_causal(true);
  v1::Probe& probe = *request.add_probes();
  probe.add_results(v1::ENCODE_RESULT_ATTENTION_WEIGHTS);
  const v1::EncodeResponse response = Encode(request);

  const auto hidden = Floats(response.hidden_states(), {kMaxLen, kModel});
  const auto got = Floats(response.probes(0).attention_weights(), {1, kHeads, kMaxLen, kMaxLen});
  for (int i = 0; i < kMaxLen; ++i) {
    for (int j = 0; j < kModel; ++j) EXPECT_NEAR(hidden[i * kModel + j], x[i][j], 1e-5);
    for (int h = 0; h < kHeads; ++h) {
      for (int j = 0; j < kMaxLen; ++j) {
        EXPECT_NEAR(got[(h * kMaxLen + i) * kMaxLen + j], weights[h][i][j], 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace attention
