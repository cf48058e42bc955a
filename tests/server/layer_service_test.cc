// Layers that live on the server: uploaded, made, listed, pinned, deleted, and called.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "tests/server/stored_layers.h"
#include "tests/temporary_folder.h"

namespace attention {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kConfig[] = R"({"format": "attention", "num_heads": 1})";

// A layer 1 wide whose output is `factor` times its token.
std::string TimesFile(float factor) {
  const std::string header = R"({"q_proj":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},)"
                             R"("k_proj":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]},)"
                             R"("v_proj":{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]}})";
  const uint64_t length = header.size();
  const float values[] = {1, 1, factor};
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header +
         std::string(reinterpret_cast<const char*>(values), sizeof(values));
}

class LayerService : public ServerWithLayers {
 protected:
  absl::StatusOr<v1::Layer> UploadTimes(const std::string& name, float factor) const {
    return UploadBytes(*client_, name, kConfig, TimesFile(factor));
  }

  // What the layer gives for a token of 1.
  absl::StatusOr<float> Call(const std::string& name, int64_t version = 0) const {
    v1::ComputeAttentionRequest request;
    *request.mutable_tokens()->mutable_tokens() = client::MakeTensor({1, 1}, {1});
    request.mutable_tokens()->mutable_layer()->set_name(name);
    request.mutable_tokens()->mutable_layer()->set_version(version);
    request.add_results(v1::RESULT_OUTPUT);
    const auto response = client_->ComputeAttention(request);
    if (!response.ok()) return response.status();
    return Floats(response->output(), {1, 1})[0];
  }

  std::vector<std::string> Listed() const {
    std::vector<std::string> names;
    const auto layers = client_->ListLayers();
    EXPECT_TRUE(layers.ok()) << layers.status();
    for (const v1::Layer& layer : *layers) {
      names.push_back(absl::StrCat(layer.name(), "/", layer.version()));
    }
    return names;
  }
};

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

TEST_F(LayerService, KeepsNothingOfAnUploadThatBreaksOff) {
  v1::UploadLayerHeader header;
  header.set_name("times");
  header.set_config_json(kConfig);
  const auto status = client_->UploadLayer(
      header, [] { return absl::StatusOr<absl::string_view>(absl::AbortedError("no more")); });
  EXPECT_EQ(status.status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(Listed(), IsEmpty());
}

TEST_F(LayerService, RefusesAFileThatIsNotWhatTheHeaderSays) {
  const std::string file = TimesFile(2);
  v1::UploadLayerHeader header;
  header.set_name("times");
  header.set_config_json(kConfig);
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
  EXPECT_THAT(refused("../x", kConfig, file), HasSubstr("header.name is \"../x\"; want 1 to 63"));
  EXPECT_THAT(refused("x", "[]", file), HasSubstr("it is not a JSON object"));
  EXPECT_THAT(refused("x", R"({"format": "keras"})", file), HasSubstr("names no format"));
  EXPECT_THAT(refused("x", R"({"format": "attention"})", file), HasSubstr("num_heads is missing"));
  EXPECT_THAT(refused("x", R"({"format": "attention", "num_heads": 1, "nun_heads": 2})", file),
              HasSubstr("it has a member \"nun_heads\""));
  EXPECT_THAT(refused("x", R"({"format": "attention", "num_heads": 2})", file),
              HasSubstr("\"q_proj\" is 1 wide; want a multiple of 2 heads"));
  EXPECT_THAT(refused("x", R"({"format": "torch.nn.MultiheadAttention", "num_heads": 1})", file),
              HasSubstr("\"out_proj.weight\" is missing"));
  EXPECT_THAT(refused("x", kConfig, file.substr(0, file.size() - 1)), HasSubstr("data_offsets"));
  EXPECT_THAT(refused("x", kConfig, ""), HasSubstr("want at least 8"));
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

TEST_F(LayerService, LetsTheLeastRecentlyUsedLayerGoForAnother) {
  Start({.port = 0, .threads = 1, .layer_memory_mib = 6});
  for (const char* const name : {"a", "b"}) {
    v1::CreateLayerRequest request = SmallAttention(name, 1);
    request.mutable_attention()->set_d_model(256);  // 1 MiB in its file, 1 MiB packed
    request.mutable_attention()->set_num_heads(1);
    Create(request);
  }
  v1::CreateLayerRequest large = SmallAttention("large", 1);
  large.mutable_attention()->set_d_model(1024);
  EXPECT_EQ(client_->CreateLayer(large).status().code(), absl::StatusCode::kResourceExhausted);
  for (int round = 0; round < 3; ++round) {
    for (const char* const name : {"a", "b"}) {
      v1::ComputeAttentionRequest request;
      *request.mutable_tokens()->mutable_tokens() =
          client::MakeTensor({1, 256}, std::vector<float>(256, 0.1f));
      request.mutable_tokens()->mutable_layer()->set_name(name);
      Compute(request);
    }
  }
}

class LayerFolders : public LayerService {
 protected:
  void SetUp() override { Start(Options()); }
  ServerOptions Options() const {
    return {.port = 0, .threads = 1, .layer_dir = folder_.path().string()};
  }
  void Write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    std::ofstream(folder_.File(name), std::ios::binary) << text;
  }

  TemporaryFolder folder_;
};

TEST_F(LayerFolders, KeepLayersFromServerToServer) {
  ASSERT_TRUE(UploadTimes("times", 2).ok());
  Start(Options());
  EXPECT_EQ(*Call("times"), 2);
  EXPECT_EQ(UploadTimes("times", 2)->version(), 1) << "known already";
}

TEST_F(LayerFolders, ShowOneServersLayersToTheOtherAtOnce) {
  const auto other = Server::Start(Options());
  ASSERT_TRUE(other.ok()) << other.status();
  const auto client = client::AttentionClient::Create({.target = (*other)->address()});
  for (int i = 1; i <= 5; ++i) {
    const auto layer = UploadBytes(*client, "times", kConfig, TimesFile(static_cast<float>(i)));
    ASSERT_TRUE(layer.ok()) << layer.status();
    EXPECT_EQ(layer->version(), i);
    EXPECT_EQ(*Call("times"), i);
  }
  ASSERT_TRUE(client->DeleteLayer("times", 5).ok());
  EXPECT_EQ(*Call("times"), 4);
  EXPECT_EQ(UploadTimes("times", 9)->version(), 6);
}

TEST_F(LayerFolders, GiveEachOfManyUploadsAtOnceItsOwnVersion) {
  const auto other = Server::Start(Options());
  ASSERT_TRUE(other.ok()) << other.status();
  const auto client = client::AttentionClient::Create({.target = (*other)->address()});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        const auto layer = UploadBytes(t % 2 == 0 ? *client_ : *client, "times", kConfig,
                                       TimesFile(static_cast<float>(10 * t + i + 1)));
        EXPECT_TRUE(layer.ok()) << layer.status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Listed(), SizeIs(20));
  EXPECT_EQ(client_->GetLayer("times")->version(), 20);
}

TEST_F(LayerFolders, TakeLayersThatWerePutThereByHand) {
  Write("inside/config.json", kConfig);
  Write("inside/model.safetensors", TimesFile(5));
  Write("beside.json", kConfig);
  Write("beside.safetensors", TimesFile(6));
  EXPECT_EQ(*Call("inside"), 5);
  EXPECT_EQ(*Call("beside"), 6);
  EXPECT_EQ(UploadTimes("beside", 7)->version(), 2);
  EXPECT_EQ(*Call("beside"), 7);
  EXPECT_EQ(*Call("beside", 1), 6);
  ASSERT_TRUE(client_->DeleteLayer("inside").ok());
  EXPECT_THAT(Listed(), testing::ElementsAre("beside/2", "beside/1"));
}

TEST_F(LayerFolders, ServeTheOthersWhereOneIsDamaged) {
  Write("good/1/config.json", kConfig);
  Write("good/1/model.safetensors", TimesFile(5));
  Write("bad/1/config.json", kConfig);
  Write("bad/1/model.safetensors", TimesFile(5).substr(0, 50));
  Write("empty/1/config.json", kConfig);
  Write("strange name/config.json", kConfig);
  Start(Options());
  EXPECT_EQ(*Call("good"), 5);
  const absl::Status status = Call("bad").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("layer bad version 1 cannot be used: safetensors: the header has"));
  EXPECT_EQ(Call("empty").status().code(), absl::StatusCode::kFailedPrecondition);
  const auto layers = client_->ListLayers();
  ASSERT_TRUE(layers.ok()) << layers.status();
  EXPECT_EQ(layers->size(), 4);
  for (const v1::Layer& layer : *layers) {
    EXPECT_EQ(layer.problem().empty(), layer.name() == "good") << layer.ShortDebugString();
  }
}

TEST_F(LayerFolders, HoldNothingOfAnUploadThatFailed) {
  EXPECT_FALSE(UploadBytes(*client_, "times", kConfig, "no model").ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
  ASSERT_TRUE(UploadTimes("times", 2).ok());
  ASSERT_TRUE(UploadTimes("times", 2).ok());
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().filename(), "times");
  }
}

}  // namespace
}  // namespace attention
