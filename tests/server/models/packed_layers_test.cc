#include "server/models/packed_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <latch>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/models/random_layer.h"

namespace attention::engine {
namespace {

// An attention layer whose four weights take 64 x 64 numbers each when they are packed.
constexpr int64_t kFloat32Bytes = 4 * 64 * 64 * 4;

std::shared_ptr<const StoredLayer> MakeLayer(const std::string& name) {
  RandomAttention attention;
  attention.d_model = attention.d_context = attention.d_out = 64;
  attention.head_dim = attention.v_head_dim = 64;
  RandomLayerSpec spec;
  spec.layer = attention;
  const absl::StatusOr<FileHandle> file = FileHandle::InMemory();
  EXPECT_TRUE(WriteRandomLayer(spec, [&](absl::Span<const std::byte> bytes) {
                return WriteAll(*file, bytes);
              }).ok());
  auto layer = StoredLayer::Make({name, 1}, RandomLayerConfig(spec), *MappedFile::Map(*file));
  EXPECT_TRUE(layer.ok()) << layer.status();
  return *std::move(layer);
}

class PackedLayersTest : public testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<const PackedLayer>> Get(
      const std::shared_ptr<const StoredLayer>& layer, ComputeType type = ComputeType::kFloat32) {
    return layers_.Get(layer, type, executor_);
  }

  Executor executor_{2};
  PackedLayers layers_{2 * kFloat32Bytes};
  const std::shared_ptr<const StoredLayer> a_ = MakeLayer("a"), b_ = MakeLayer("b"),
                                           c_ = MakeLayer("c");
};

TEST_F(PackedLayersTest, PacksALayerOnceForEachTypeOfProducts) {
  const auto first = Get(a_), again = Get(a_);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(*first, *again);
  EXPECT_EQ(layers_.bytes(), kFloat32Bytes);
  const auto narrow = Get(a_, ComputeType::kBfloat16);
  ASSERT_TRUE(narrow.ok()) << narrow.status();
  EXPECT_NE((*narrow)->memory.data(), (*first)->memory.data());
  EXPECT_EQ(layers_.BytesOf(*a_), layers_.bytes());
}

TEST_F(PackedLayersTest, LetsGoOfTheLeastRecentlyUsed) {
  ASSERT_TRUE(Get(a_).ok());
  ASSERT_TRUE(Get(b_).ok());
  ASSERT_TRUE(Get(a_).ok());
  ASSERT_TRUE(Get(c_).ok());
  EXPECT_EQ(layers_.BytesOf(*a_), kFloat32Bytes);
  EXPECT_EQ(layers_.BytesOf(*b_), 0);
  EXPECT_EQ(layers_.bytes(), 2 * kFloat32Bytes);
}

TEST_F(PackedLayersTest, KeepsWhatACallUsesAndSaysSo) {
  auto a = Get(a_);
  const auto b = Get(b_);
  const auto c = Get(c_);
  EXPECT_EQ(c.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(c.status().message()), testing::HasSubstr("no room for layer c"));
  a = absl::UnknownError("let go");
  EXPECT_TRUE(Get(c_).ok());
}

TEST_F(PackedLayersTest, CountsAForgottenLayerAsLongAsACallUsesIt) {
  auto a = Get(a_);
  layers_.Forget(*a_);
  EXPECT_EQ(layers_.BytesOf(*a_), 0);
  EXPECT_EQ(layers_.bytes(), kFloat32Bytes);
  a = absl::UnknownError("let go");
  EXPECT_EQ(layers_.bytes(), 0);
  // A call that was on its way when the layer was deleted.
  EXPECT_TRUE(Get(a_).ok());
  EXPECT_EQ(layers_.bytes(), 0);
}

TEST_F(PackedLayersTest, ReservesRoomAtTheExpenseOfUnusedLayers) {
  ASSERT_TRUE(Get(a_).ok());
  ASSERT_TRUE(Get(b_).ok());
  auto reserved = layers_.Reserve(kFloat32Bytes);
  ASSERT_TRUE(reserved.ok()) << reserved.status();
  EXPECT_EQ(layers_.BytesOf(*a_), 0);
  EXPECT_EQ(layers_.Reserve(2 * kFloat32Bytes).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(layers_.CheckFits(*a_, 0).ok());
  EXPECT_EQ(layers_.CheckFits(*a_, 2 * kFloat32Bytes).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(PackedLayersTest, GivesManyCallsAtOnceTheSameCopy) {
  std::vector<std::shared_ptr<const PackedLayer>> copies(8);
  std::latch done(8);
  for (auto& copy : copies) {
    executor_.Enqueue([&] {
      copy = *Get(a_);
      done.count_down();
    });
  }
  done.wait();
  EXPECT_EQ(std::count(copies.begin(), copies.end(), copies[0]), 8);
}

}  // namespace
}  // namespace attention::engine
