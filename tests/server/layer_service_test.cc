// Layers that live on the server: uploaded, made, listed, pinned, deleted, and called.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "tests/server/stored_layers.h"

namespace attention {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using LayerService = LayersToUpload;

TEST_F(LayerService, GivesEachUploadTheNextVersionAndCallsTheNewestOrAPinnedOne) {
  EXPECT_EQ(UploadTimes("times", 2)->version(), 1);
  EXPECT_EQ(UploadTimes("times", 3)->version(), 2);
  EXPECT_EQ(*Call("times"), 3);
  EXPECT_EQ(*Call("times", 1), 2);
  EXPECT_EQ(Call("times", 3).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Call("time").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Listed(), testing::ElementsAre("times/2", "times/1"));
}

TEST_F(LayerService, TakesTheSameContentTwiceForOne) {
  EXPECT_EQ(UploadTimes("times", 2)->version(), 1);
  EXPECT_EQ(UploadTimes("times", 2)->version(), 1);
  EXPECT_EQ(UploadTimes("times", 3)->version(), 2);
  EXPECT_EQ(UploadTimes("times", 2)->version(), 3) << "the newest is to be this one again";
}

TEST_F(LayerService, DescribesALayer) {
  const auto layer = UploadTimes("times", 2);
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->kind(), v1::LAYER_KIND_ATTENTION);
  EXPECT_EQ(layer->format(), "attention");
  EXPECT_EQ(layer->d_model(), 1);
  EXPECT_EQ(layer->parameter_count(), 3);
  EXPECT_EQ(layer->file_bytes(), TimesFile(2).size());
  EXPECT_THAT(layer->sha256(), SizeIs(64));
  EXPECT_EQ(layer->resident_bytes(), 0) << "nobody has called it";
  ASSERT_TRUE(Call("times").ok());
  EXPECT_GT(client_->GetLayer("times")->resident_bytes(), 0);
}

TEST_F(LayerService, NeverGivesTheNumberOfADeletedVersionToAnother) {
  ASSERT_TRUE(UploadTimes("times", 2).ok());
  ASSERT_TRUE(UploadTimes("times", 3).ok());
  ASSERT_TRUE(client_->DeleteLayer("times", 2).ok());
  EXPECT_EQ(*Call("times"), 2);
  ASSERT_TRUE(client_->DeleteLayer("times").ok());
  EXPECT_EQ(Call("times").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(client_->DeleteLayer("times").code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_EQ(UploadTimes("times", 4)->version(), 3);
}

TEST_F(LayerService, RefusesAFileThatIsNotWhatTheHeaderSays) {
  const std::string file = TimesFile(2);
  v1::UploadLayerHeader header;
  header.set_name("times");
  header.set_config_json(kTimesConfig);
  const auto upload = [&] {
    absl::string_view left = file;
    return client_
        ->UploadLayer(
            header, [&]() -> absl::StatusOr<absl::string_view> { return std::exchange(left, ""); })
        .status();
  };
  header.set_file_bytes(7);
  EXPECT_THAT(upload().message(), HasSubstr("header.file_bytes is 7, but the chunks have"));
  header.set_file_bytes(static_cast<int64_t>(file.size()));
  header.set_sha256("00");
  EXPECT_THAT(upload().message(), HasSubstr("header.sha256 is another"));
  header.set_sha256("");
  EXPECT_TRUE(upload().ok());
}

TEST_F(LayerService, SaysWhatIsWrongWithAnUpload) {
  const auto refused = [&](const std::string& name, const std::string& config,
                           const std::string& file) {
    const absl::Status status = UploadBytes(*client_, name, config, file).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  const std::string file = TimesFile(1);
  EXPECT_THAT(refused("../x", kTimesConfig, file),
              HasSubstr("header.name is \"../x\"; want 1 to 63"));
  EXPECT_THAT(refused("x", "[]", file), HasSubstr("it is not a JSON object"));
  EXPECT_THAT(refused("x", "{}", file), HasSubstr("it names no format; want \"format\", one of"));
  EXPECT_THAT(refused("x", R"({"format": "keras"})", file),
              HasSubstr("its format is \"keras\"; want \"format\", one of \"attention\", "));
  // A family of models that is not supported once was told that its config named no format.
  EXPECT_THAT(refused("x", R"({"model_type": "gpt2", "n_head": 12})", file),
              HasSubstr("its model_type is \"gpt2\"; want \"format\", one of "));
  EXPECT_THAT(refused("x", R"({"model_type": "gpt2", "n_head": 12})", file),
              HasSubstr("model_type\", one of \"bert\", \"roberta\", \"xlm-roberta\""));
  EXPECT_THAT(refused("x", R"({"model_type": 7})", file),
              HasSubstr("its model_type is \"7\"; want"));
  EXPECT_THAT(refused("x", R"({"format": "pt", "model_type": "bert"})", file),
              HasSubstr("its format is \"pt\"; want"));
  const std::string deep(500000, '[');
  EXPECT_THAT(refused("x",
                      R"({"format": "attention", "num_heads": )" + deep +
                          std::string(deep.size(), ']') + "}",
                      file),
              HasSubstr("config: it has more than 64 levels of arrays and objects"));
  EXPECT_THAT(refused("x", R"({"format": "attention", "num_heads": [[8]]})", file),
              HasSubstr("num_heads is an array; want a whole number"));
  // The last of the two once won.
  EXPECT_THAT(refused("x", R"({"format": "attention", "num_heads": 1, "num_heads": 1})", file),
              HasSubstr("config: it has the key \"num_heads\" twice in the outermost object"));
  EXPECT_THAT(refused("x", R"({"model_type": "bert", "id2label": {"0": "a", "0": "b"}})", file),
              HasSubstr("config: it has the key \"0\" twice in id2label"));
  EXPECT_THAT(refused("x", R"({"format": "attention",})", file),
              HasSubstr("config: it is not JSON; look at line 1, column 24"));
  EXPECT_THAT(refused("x.safetensors", kTimesConfig, file), HasSubstr("want 1 to 63"));
  EXPECT_THAT(refused("x", R"({"format": "attention"})", file), HasSubstr("num_heads is missing"));
  EXPECT_THAT(refused("x", R"({"format": "attention", "num_heads": 1, "nun_heads": 2})", file),
              HasSubstr("it has a member \"nun_heads\""));
  EXPECT_THAT(refused("x", R"({"format": "attention", "num_heads": 2})", file),
              HasSubstr("\"q_proj\" is 1 wide; want a multiple of 2 heads"));
  EXPECT_THAT(refused("x", R"({"format": "torch.nn.MultiheadAttention", "num_heads": 1})", file),
              HasSubstr("\"out_proj.weight\" is missing"));
  EXPECT_THAT(refused("x", kTimesConfig, file.substr(0, file.size() - 1)),
              HasSubstr("data_offsets"));
  EXPECT_THAT(refused("x", kTimesConfig, ""), HasSubstr("want at least 10"));
  // Any length once was wanted, and this one refused.
  EXPECT_THAT(
      refused("x", kTimesConfig,
              engine::SafetensorsText(
                  R"({"q_proj": {"dtype": "F32", "shape": [0, 4], "data_offsets": [0, 0]}})", "")),
      HasSubstr("\"q_proj\" has shape [0, 4]; want [at least 1, at least 1]"));
  // What no call could use.
  const std::string wide = engine::SafetensorsText(
      R"({"q_proj": {"dtype": "F32", "shape": [131073, 1], "data_offsets": [0, 524292]},)"
      R"( "k_proj": {"dtype": "F32", "shape": [131073, 1], "data_offsets": [524292, 1048584]},)"
      R"( "v_proj": {"dtype": "F32", "shape": [131073, 1], "data_offsets": [1048584, 1572876]}})",
      std::string(1572876, '\0'));
  EXPECT_THAT(refused("x", kTimesConfig, wide), HasSubstr("131073 rows; want at most 131072"));
  EXPECT_THAT(Listed(), IsEmpty());
}

TEST_F(LayerService, MakesTheSameRandomLayerFromTheSameSeed) {
  const v1::Layer a = Create(SmallAttention("a", 1)), b = Create(SmallAttention("b", 1)),
                  c = Create(SmallAttention("c", 2));
  // Written down, so that no compiler or machine may change them.
  EXPECT_EQ(a.sha256(), "af80ee6b0b3aa05a5457ccaa278e3a7969814b4558d98b95fac89db0b0a425c0");
  EXPECT_EQ(a.sha256(), b.sha256());
  EXPECT_NE(a.sha256(), c.sha256());
}

TEST_F(LayerService, ListsPageByPage) {
  for (int i = 0; i < 5; ++i) Create(SmallAttention(absl::StrCat("layer", i % 2), i));
  auto stub = v1::LayerService::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  v1::ListLayersRequest request;
  request.set_page_size(2);
  std::vector<int> sizes;
  std::vector<std::string> names;
  do {
    grpc::ClientContext context;
    v1::ListLayersResponse response;
    ASSERT_TRUE(stub->ListLayers(&context, request, &response).ok());
    sizes.push_back(response.layers_size());
    for (const auto& layer : response.layers()) {
      names.push_back(absl::StrCat(layer.name(), "/", layer.version()));
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(sizes, testing::ElementsAre(2, 2, 1));
  EXPECT_EQ(names, Listed());
}

TEST_F(LayerService, GivesTheBytesOfTheSameWeightsSentWithTheCall) {
  // The stored layer's weights are packed once, those of a call on the way.
  const std::string file = TimesFile(2);
  ASSERT_TRUE(UploadTimes("times", 2).ok());
  v1::ComputeAttentionRequest stored, sent;
  *stored.mutable_tokens()->mutable_tokens() = client::MakeTensor({5, 1}, {1, -2, 0.3f, 4, 5});
  sent = stored;
  stored.mutable_tokens()->mutable_layer()->set_name("times");
  auto& weights = *sent.mutable_tokens()->mutable_projection_weights();
  *weights.mutable_q_proj() = *weights.mutable_k_proj() = client::MakeTensor({1, 1}, {1});
  *weights.mutable_v_proj() = client::MakeTensor({1, 1}, {2});
  const auto a = Compute(stored), b = Compute(sent);
  EXPECT_EQ(a.output().data(), b.output().data());
  EXPECT_EQ(a.attention_weights().data(), b.attention_weights().data());
}

// 40 equal tokens of 4: scores of 16, so that weights before division are e^16 each, or, by
// SUM, 16.
TEST_F(LayerService, GivesOutputsOfAnySize) {
  for (const float factor : {0x1p-140f, 0x1p-100f, 1.0f, 0x1p110f, 0x1p124f}) {
    ASSERT_TRUE(UploadTimes("times", factor).ok());
    for (const auto normalization : {v1::NORMALIZATION_SOFTMAX, v1::NORMALIZATION_SUM}) {
      v1::ComputeAttentionRequest request;
      *request.mutable_tokens()->mutable_tokens() =
          client::MakeTensor({40, 1}, std::vector<float>(40, 4));
      request.mutable_tokens()->mutable_layer()->set_name("times");
      request.mutable_config()->set_normalization(normalization);
      request.add_results(v1::RESULT_OUTPUT);
      const auto response = client_->ComputeAttention(request);
      ASSERT_TRUE(response.ok()) << response.status();
      for (const float y : Floats(response->output(), {40, 1})) {
        EXPECT_NEAR(y / factor, 4, 1e-5) << factor;
      }
    }
  }
}

TEST_F(LayerService, LetsACallFinishOnTheVersionThatItBeganWith) {
  v1::CreateLayerRequest create = SmallAttention("layer", 1);
  create.mutable_attention()->set_d_model(128);
  Create(create);
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() =
      client::MakeTensor({8192, 128}, std::vector<float>(8192 * 128, 0.1f));
  request.mutable_tokens()->mutable_layer()->set_name("layer");
  request.add_results(v1::RESULT_OUTPUT);
  const v1::ComputeAttentionResponse want = Compute(request);
  absl::StatusOr<v1::ComputeAttentionResponse> got = absl::NotFoundError("not called yet");
  // On a busy machine the layer may be gone before the call has arrived: then once more.
  for (int version = 1; absl::IsNotFound(got.status()) && version < 50; version += 2) {
    request.mutable_tokens()->mutable_layer()->set_version(version);
    auto in_flight =
        std::async(std::launch::async, [&] { return client_->ComputeAttention(request); });
    absl::SleepFor(absl::Milliseconds(10 * version));
    create.set_seed(2);
    EXPECT_EQ(Create(create).version(), version + 1);
    ASSERT_TRUE(client_->DeleteLayer("layer", version).ok());
    got = in_flight.get();
    if (!absl::IsNotFound(got.status())) break;
    create.set_seed(1);
    Create(create);
    ASSERT_TRUE(client_->DeleteLayer("layer", version + 1).ok());
  }
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->output().data(), want.output().data());
  request.mutable_tokens()->mutable_layer()->set_version(0);
  EXPECT_NE(Compute(request).output().data(), want.output().data());
}

TEST_F(LayerService, LetsTheLeastRecentlyUsedLayerGoForAnother) {
  // Room for two files of a little over 1 MiB and one packed copy of 1 MiB, but not two.
  Start({.port = 0, .threads = 1, .layer_memory_mib = 4});
  for (const char* const name : {"a", "b"}) {
    v1::CreateLayerRequest request = SmallAttention(name, 1);
    request.mutable_attention()->set_d_model(256);
    request.mutable_attention()->set_num_heads(1);
    Create(request);
  }
  for (int round = 0; round < 3; ++round) {
    for (const char* const name : {"a", "b"}) {
      v1::ComputeAttentionRequest request;
      *request.mutable_tokens()->mutable_tokens() =
          client::MakeTensor({1, 256}, std::vector<float>(256, 0.1f));
      request.mutable_tokens()->mutable_layer()->set_name(name);
      Compute(request);
      const std::string other = name[0] == 'a' ? "b" : "a";
      EXPECT_EQ(client_->GetLayer(name)->resident_bytes(), 1 << 20);
      EXPECT_EQ(client_->GetLayer(other)->resident_bytes(), 0);
    }
  }
}

TEST_F(LayerService, RefusesALayerThatWouldLeaveNoRoomForTheOthers) {
  Start({.port = 0, .threads = 1, .layer_memory_mib = 5});
  v1::CreateLayerRequest request = SmallAttention("layer", 1);
  request.mutable_attention()->set_d_model(256);
  request.mutable_attention()->set_num_heads(1);
  int there = 0;
  for (; there < 9; ++there) {
    request.set_seed(there);
    if (!client_->CreateLayer(request).ok()) break;
  }
  EXPECT_GE(there, 2);
  EXPECT_LT(there, 5);
  v1::ComputeAttentionRequest call;
  *call.mutable_tokens()->mutable_tokens() =
      client::MakeTensor({1, 256}, std::vector<float>(256, 0.1f));
  call.mutable_tokens()->mutable_layer()->set_name("layer");
  Compute(call);
  request.mutable_attention()->set_d_model(2048);
  EXPECT_THAT(std::string(client_->CreateLayer(request).status().message()),
              HasSubstr("--layer_memory_mib"));
}

}  // namespace
}  // namespace attention
