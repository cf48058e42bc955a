// Encode: stored encoders from token ids or embeddings to hidden states, pooled vectors and a look
// into any layer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/server/stored_layers.h"

namespace attention {
namespace {

using testing::HasSubstr;

// Three layers, 32 wide, 4 heads, 20 ids, sequences of up to 12 tokens.
v1::CreateLayerRequest SmallEncoder(const std::string& name,
                                    v1::CreateEncoder::Positions positions) {
  v1::CreateLayerRequest request;
  request.set_name(name);
  v1::CreateEncoder& encoder = *request.mutable_encoder();
  encoder.set_d_model(32);
  encoder.set_num_heads(4);
  encoder.set_num_layers(3);
  encoder.set_vocabulary(20);
  encoder.set_positions(positions);
  encoder.set_max_len(12);
  return request;
}

v1::EncodeRequest Sequences(const std::string& layer,
                            const std::vector<std::vector<int64_t>>& sequences) {
  v1::EncodeRequest request;
  request.mutable_layer()->set_name(layer);
  for (const auto& ids : sequences) {
    for (const int64_t id : ids) request.add_token_ids(id);
    request.add_lens(static_cast<int64_t>(ids.size()));
  }
  return request;
}

v1::Probe& AddProbe(v1::EncodeRequest& request, int layer) {
  v1::Probe& probe = *request.add_probes();
  probe.set_layer(layer);
  for (const auto result : {v1::ENCODE_RESULT_HIDDEN_STATES, v1::ENCODE_RESULT_ATTENTION_SCORES,
                            v1::ENCODE_RESULT_ATTENTION_WEIGHTS}) {
    probe.add_results(result);
  }
  return probe;
}

class Encoding : public ServerWithLayers {
 protected:
  void SetUp() override {
    RunningServer::SetUp();
    Create(SmallEncoder("encoder", v1::CreateEncoder::POSITIONS_LEARNED));
  }

  std::string Refusal(const v1::EncodeRequest& request) const {
    const absl::Status status = client_->Encode(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }
};

TEST_F(Encoding, GivesEachSequenceOfABatchTheBytesThatItHasAlone) {
  const std::vector<std::vector<int64_t>> sequences = {
      {1, 2, 3, 4, 5}, {7}, {19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8}, {1, 2, 3}};
  for (const auto type : {v1::COMPUTE_TYPE_FLOAT32, v1::COMPUTE_TYPE_BFLOAT16}) {
    v1::EncodeRequest request = Sequences("encoder", sequences);
    request.mutable_config()->set_compute_type(type);
    AddProbe(request, 1);
    const v1::EncodeResponse together = Encode(request);
    std::string hidden, pooled, weights, scores;
    for (const auto& ids : sequences) {
      v1::EncodeRequest alone = Sequences("encoder", {ids});
      alone.mutable_config()->set_compute_type(type);
      AddProbe(alone, 1);
      const v1::EncodeResponse response = Encode(alone);
      hidden += response.hidden_states().data();
      pooled += response.pooled().data();
      scores += response.probes(0).attention_scores().data();
      weights += response.probes(0).attention_weights().data();
    }
    EXPECT_EQ(together.hidden_states().data(), hidden);
    EXPECT_EQ(together.pooled().data(), pooled);
    EXPECT_EQ(together.probes(0).attention_scores().data(), scores);
    EXPECT_EQ(together.probes(0).attention_weights().data(), weights);
  }
}

TEST_F(Encoding, ReturnsWhatIsAskedForAlone) {
  v1::EncodeRequest request = Sequences("encoder", {{1, 2, 3}});
  const v1::EncodeResponse both = Encode(request);
  EXPECT_EQ(both.layer().version(), 1);
  EXPECT_THAT(both.hidden_states().shape(), testing::ElementsAre(3, 32));
  EXPECT_THAT(both.pooled().shape(), testing::ElementsAre(1, 32));
  request.add_results(v1::ENCODE_RESULT_POOLED);
  const v1::EncodeResponse pooled = Encode(request);
  EXPECT_FALSE(pooled.has_hidden_states());
  EXPECT_EQ(pooled.pooled().data(), both.pooled().data());
}

TEST_F(Encoding, ProbesAnyLayerAndHead) {
  v1::EncodeRequest request = Sequences("encoder", {{1, 2, 3}, {4, 5, 6}});
  for (int layer = 0; layer < 3; ++layer) AddProbe(request, layer);
  v1::Probe& one_head = AddProbe(request, 2);
  one_head.set_first_head(3);
  one_head.set_num_heads(1);
  const v1::EncodeResponse response = Encode(request);
  EXPECT_EQ(response.probes(2).hidden_states().data(), response.hidden_states().data())
      << "there is no final normalisation";
  const auto all = Floats(response.probes(2).attention_weights(), {2, 4, 3, 3});
  const auto head = Floats(response.probes(3).attention_weights(), {2, 1, 3, 3});
  for (int b = 0; b < 2; ++b) {
    for (int i = 0; i < 9; ++i) EXPECT_EQ(head[b * 9 + i], all[(b * 4 + 3) * 9 + i]);
    float sum = 0;
    for (int j = 0; j < 3; ++j) sum += head[b * 9 + j];
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

TEST_F(Encoding, RefusesOrTruncatesWhatIsTooLong) {
  const std::vector<int64_t> longest = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  std::vector<int64_t> too_long = longest;
  too_long.push_back(13);
  v1::EncodeRequest request = Sequences("encoder", {{1}, too_long, {2}});
  EXPECT_THAT(Refusal(request), HasSubstr("lens of sequence 1 is 13; want at most 12 = max_len"));
  request.set_truncation(v1::TRUNCATION_KEEP_FIRST);
  const v1::EncodeResponse truncated = Encode(request);
  EXPECT_THAT(truncated.lens(), testing::ElementsAre(1, 12, 1));
  EXPECT_EQ(truncated.hidden_states().data(),
            Encode(Sequences("encoder", {{1}, longest, {2}})).hidden_states().data());
}

TEST_F(Encoding, TakesEmbeddingsInPlaceOfTokenIds) {
  Create(SmallEncoder("none", v1::CreateEncoder::POSITIONS_NONE));
  v1::EncodeRequest request;
  request.mutable_layer()->set_name("none");
  std::vector<float> embeddings(2 * 3 * 32);
  for (size_t i = 0; i < embeddings.size(); ++i) embeddings[i] = std::sin(static_cast<float>(i));
  *request.mutable_embeddings() = client::MakeTensor({2, 3, 32}, embeddings);
  const v1::EncodeResponse dense = Encode(request);
  EXPECT_THAT(dense.lens(), testing::ElementsAre(3, 3));
  *request.mutable_embeddings() = client::MakeTensor({6, 32}, embeddings);
  request.add_lens(3);
  request.add_lens(3);
  EXPECT_EQ(Encode(request).hidden_states().data(), dense.hidden_states().data());
}

TEST_F(Encoding, HidesWhatMaskAndCausalityHide) {
  v1::EncodeRequest causal = Sequences("encoder", {{1, 2, 3, 4}}), masked = causal;
  causal.mutable_config()->set_causal(true);
  v1::Tensor& mask = *masked.mutable_config()->mutable_mask();
  mask.set_data_type(v1::DATA_TYPE_BOOL);
  for (const int64_t length : {4, 4}) mask.add_shape(length);
  mask.set_data(std::string("\1\0\0\0\1\1\0\0\1\1\1\0\1\1\1\1", 16));
  EXPECT_EQ(Encode(causal).hidden_states().data(), Encode(masked).hidden_states().data());
  // So the first tokens do not know what follows.
  v1::EncodeRequest first = Sequences("encoder", {{1, 2}});
  first.mutable_config()->set_causal(true);
  EXPECT_EQ(Encode(first).hidden_states().data(),
            Encode(causal).hidden_states().data().substr(0, 2 * 32 * sizeof(float)));
}

TEST_F(Encoding, PoolsTheMeanOrTheFirstTokenAndNormalizes) {
  v1::EncodeRequest request = Sequences("encoder", {{1, 2, 3}, {4}});
  const auto hidden = Floats(Encode(request).hidden_states(), {4, 32});
  const auto mean = Floats(Encode(request).pooled(), {2, 32});
  request.set_pooling(v1::POOLING_FIRST_TOKEN);
  const auto first = Floats(Encode(request).pooled(), {2, 32});
  request.set_normalize(true);
  const auto normalized = Floats(Encode(request).pooled(), {2, 32});
  double squares = 0;
  for (int j = 0; j < 32; ++j) {
    EXPECT_NEAR(mean[j], (hidden[j] + hidden[32 + j] + hidden[64 + j]) / 3, 1e-6);
    EXPECT_EQ(first[j], hidden[j]);
    EXPECT_EQ(first[32 + j], hidden[96 + j]);
    squares += normalized[j] * normalized[j];
  }
  EXPECT_NEAR(squares, 1, 1e-6);
}

TEST_F(Encoding, KnowsTheOrderOfTokensByItsPositions) {
  for (const auto positions :
       {v1::CreateEncoder::POSITIONS_SINUSOIDAL, v1::CreateEncoder::POSITIONS_ROTARY,
        v1::CreateEncoder::POSITIONS_NONE}) {
    Create(SmallEncoder("positions", positions));
    const auto there = Floats(Encode(Sequences("positions", {{1, 2, 3}})).pooled(), {1, 32});
    const auto back = Floats(Encode(Sequences("positions", {{3, 2, 1}})).pooled(), {1, 32});
    float largest = 0;
    for (int j = 0; j < 32; ++j) largest = std::max(largest, std::abs(there[j] - back[j]));
    if (positions == v1::CreateEncoder::POSITIONS_NONE) {
      EXPECT_LT(largest, 1e-5);
    } else {
      EXPECT_GT(largest, 1e-3);
    }
  }
}

TEST_F(Encoding, SaysWhichFieldIsWrong) {
  const v1::EncodeRequest good = Sequences("encoder", {{1, 2, 3}});
  const auto refusal = [&](const auto& change) {
    v1::EncodeRequest request = good;
    change(request);
    return Refusal(request);
  };
  using R = v1::EncodeRequest;
  EXPECT_THAT(refusal([](R& r) { r.clear_layer(); }), HasSubstr("layer is not set"));
  EXPECT_THAT(refusal([](R& r) { r.mutable_layer()->set_name(".x"); }),
              HasSubstr("layer.name is \".x\""));
  EXPECT_THAT(refusal([](R& r) { r.clear_token_ids(); }), HasSubstr("token_ids is empty"));
  EXPECT_THAT(refusal([](R& r) { r.set_token_ids(1, 20); }),
              HasSubstr("token_ids[1] is 20; want 0 to 19 = vocabulary - 1"));
  EXPECT_THAT(refusal([](R& r) { r.set_token_ids(2, -1); }), HasSubstr("token_ids[2] is -1"));
  EXPECT_THAT(refusal([](R& r) { r.add_type_ids(0); }),
              HasSubstr("type_ids is set; want it unset"));
  EXPECT_THAT(refusal([](R& r) { r.set_lens(0, 2); }), HasSubstr("lens has sum 2; want 3"));
  EXPECT_THAT(refusal([](R& r) { r.set_lens(0, 4); }), HasSubstr("lens[0] is 4; want 1 to 3"));
  EXPECT_THAT(refusal([](R& r) { r.add_lens(0); }),
              HasSubstr("lens[1] is 0; want at least 1: leave out a sequence without tokens"));
  EXPECT_THAT(refusal([](R& r) { r.set_lens(0, -1); }),
              HasSubstr("lens[0] is -1; want at least 1"));
  EXPECT_THAT(
      refusal([](R& r) { r.add_lens(2); }),
      HasSubstr("lens[1] is 2; want lens to end before it: those before it hold all tokens"));
  EXPECT_THAT(refusal([](R& r) { r.mutable_config()->set_num_heads(2); }),
              HasSubstr("config.num_heads is set; want it unset, since an encoder has its own"));
  EXPECT_THAT(refusal([](R& r) { r.set_pooling(static_cast<v1::Pooling>(9)); }),
              HasSubstr("pooling is unknown: 9"));
  EXPECT_THAT(refusal([](R& r) { r.set_truncation(static_cast<v1::Truncation>(9)); }),
              HasSubstr("truncation is unknown: 9"));
  EXPECT_THAT(refusal([](R& r) { r.add_results(v1::ENCODE_RESULT_ATTENTION_SCORES); }),
              HasSubstr("results[0] is ENCODE_RESULT_ATTENTION_SCORES"));
  EXPECT_THAT(refusal([](R& r) { AddProbe(r, 3); }),
              HasSubstr("probes[0].layer is 3; want 0 to 2 = num_layers - 1"));
  EXPECT_THAT(refusal([](R& r) { AddProbe(r, 0).set_first_head(4); }),
              HasSubstr("probes[0].first_head is 4"));
  EXPECT_THAT(refusal([](R& r) { AddProbe(r, 0).clear_results(); }),
              HasSubstr("probes[0].results has 0 elements"));
  EXPECT_THAT(refusal([](R& r) {
                *r.mutable_embeddings() = client::MakeTensor({1, 32}, std::vector<float>(32));
              }),
              HasSubstr("token_ids is set beside embeddings"));
  Create(SmallAttention("attention", 1));
  EXPECT_THAT(refusal([](R& r) { r.mutable_layer()->set_name("attention"); }),
              HasSubstr("of kind LAYER_KIND_ATTENTION; want one of kind LAYER_KIND_ENCODER, or "
                        "ComputeAttention"));
  EXPECT_EQ(Encode(good).lens_size(), 1) << "the next call works";
}

// They were once taken for embeddings, and the shape alone was found wanting.
TEST_F(Encoding, SaysWhereTokenIdsBelong) {
  const v1::Tensor ids = client::MakeTensor({1, 3}, {101, 2023, 102});
  v1::EncodeRequest encode = Sequences("encoder", {});
  *encode.mutable_embeddings() = ids;
  EXPECT_THAT(Refusal(encode),
              HasSubstr("d_model of the layer; if these are token ids, token_ids takes them"));
  Create(SmallAttention("attention", 1));
  v1::ComputeAttentionRequest attend;
  *attend.mutable_tokens()->mutable_tokens() = ids;
  attend.mutable_tokens()->mutable_layer()->set_name("attention");
  EXPECT_THAT(
      std::string(client_->ComputeAttention(attend).status().message()),
      HasSubstr("tokens.tokens.shape is 3 wide; want 8 = d_model of the layer; if these are "
                "token ids, Encode takes them"));
  attend.mutable_tokens()->mutable_layer()->set_name("encoder");
  EXPECT_THAT(std::string(client_->ComputeAttention(attend).status().message()),
              HasSubstr("want one of kind LAYER_KIND_ATTENTION, or Encode"));
}

}  // namespace
}  // namespace attention
