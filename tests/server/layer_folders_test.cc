// Layers in a folder: kept, shared by servers, put there by hand, damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "tests/server/stored_layers.h"
#include "tests/temporary_folder.h"

namespace attention {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class LayerFolders : public LayersToUpload {
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
    const auto layer =
        UploadBytes(*client, "times", kTimesConfig, TimesFile(static_cast<float>(i)));
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
        const auto layer = UploadBytes(t % 2 == 0 ? *client_ : *client, "times", kTimesConfig,
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
  Write("inside/config.json", kTimesConfig);
  Write("inside/model.safetensors", TimesFile(5));
  Write("beside.json", kTimesConfig);
  Write("beside.safetensors", TimesFile(6));
  EXPECT_EQ(*Call("inside"), 5);
  EXPECT_EQ(*Call("beside"), 6);
  EXPECT_EQ(UploadTimes("beside", 7)->version(), 2);
  EXPECT_EQ(*Call("beside"), 7);
  EXPECT_EQ(*Call("beside", 1), 6);
  ASSERT_TRUE(client_->DeleteLayer("inside").ok());
  Write("inside/config.json", kTimesConfig);
  Write("inside/model.safetensors", TimesFile(8));
  EXPECT_EQ(Call("inside").status().code(), absl::StatusCode::kNotFound)
      << "the number was deleted";
  EXPECT_THAT(Listed(), testing::ElementsAre("beside/2", "beside/1"));
}

TEST_F(LayerFolders, ServeTheOthersWhereOneIsDamaged) {
  Write("good/1/config.json", kTimesConfig);
  Write("good/1/model.safetensors", TimesFile(5));
  Write("bad/1/config.json", kTimesConfig);
  Write("bad/1/model.safetensors", TimesFile(5).substr(0, 50));
  Write("empty/1/config.json", kTimesConfig);
  Write("strange name/config.json", kTimesConfig);
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

// Such a folder was once as if it were not there.
TEST_F(LayerFolders, SayOfAPyTorchCheckpointHowItBecomesALayer) {
  Write("torch/config.json", kTimesConfig);
  Write("torch/pytorch_model.bin", std::string("PK\3\4", 4) + std::string(100, 'x'));
  const absl::Status status = Call("torch").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(HasSubstr("layer torch version 1 cannot be used: "),
                             HasSubstr("is a PyTorch checkpoint; make a safetensors file of it"),
                             HasSubstr("python3 -c")));
  Write("torch/model.safetensors", TimesFile(3));
  EXPECT_EQ(*Call("torch"), 3);
  EXPECT_THAT(Listed(), testing::ElementsAre("torch/1"));
}

TEST_F(LayerFolders, HoldNothingOfAnUploadThatBreaksOffWithAllItsBytesThere) {
  v1::UploadLayerHeader header;
  header.set_name("times");
  header.set_config_json(kTimesConfig);
  const std::string file = TimesFile(2);
  bool sent = false;
  const auto status = client_->UploadLayer(header, [&]() -> absl::StatusOr<absl::string_view> {
    if (std::exchange(sent, true)) return absl::AbortedError("no more");
    return file;
  });
  EXPECT_EQ(status.status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(Listed(), testing::IsEmpty());
  // The server hears of it a moment later.
  for (int i = 0; i < 500 && !std::filesystem::is_empty(folder_.path()); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(LayerFolders, HoldNothingOfAnUploadThatFailed) {
  EXPECT_FALSE(UploadBytes(*client_, "times", kTimesConfig, "no model").ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
  ASSERT_TRUE(UploadTimes("times", 2).ok());
  ASSERT_TRUE(UploadTimes("times", 2).ok());
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().filename(), "times");
  }
}

}  // namespace
}  // namespace attention
