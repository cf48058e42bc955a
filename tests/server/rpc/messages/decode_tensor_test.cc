#include "server/rpc/messages/decode_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "client/tensor.h"

namespace attention::rpc {
namespace {

using testing::ElementsAre;

TEST(DecodeNumbers, ReadsBytesWhereProtobufPutThem) {
  const v1::Tensor tensor = client::MakeTensor({2, 2}, {1, 2, 3, 4});
  const auto view = DecodeNumbers(tensor, "x");
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(static_cast<const void*>(view->numbers.data), tensor.data().data());
  EXPECT_EQ(view->numbers.type, DataType::kFloat32);
  EXPECT_THAT(view->shape, ElementsAre(2, 2));
}

TEST(DecodeNumbers, ReadsNumbersTypedByHandInPlaceWithoutADataType) {
  v1::Tensor tensor;
  tensor.add_shape(2);
  tensor.add_float_values(5);
  tensor.add_float_values(6);
  const auto view = DecodeNumbers(tensor, "x");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(static_cast<const void*>(view->numbers.data), tensor.float_values().data());
}

TEST(DecodeNumbers, TakesEveryFloatType) {
  for (const auto& [on_wire, type] : {std::pair(v1::DATA_TYPE_BFLOAT16, DataType::kBfloat16),
                                      std::pair(v1::DATA_TYPE_FLOAT16, DataType::kFloat16),
                                      std::pair(v1::DATA_TYPE_FLOAT64, DataType::kFloat64)}) {
    const auto view = DecodeNumbers(client::MakeTensor({3}, {1, 2, 3}, on_wire), "x");
    ASSERT_TRUE(view.ok()) << view.status();
    EXPECT_EQ(view->numbers.type, type);
  }
}

TEST(DecodePast, MayHoldNoTokens) {
  const v1::Tensor empty = client::MakeTensor({2, 3, 0, 4}, {});
  EXPECT_TRUE(DecodePast(empty, "x").ok());
  EXPECT_FALSE(DecodeNumbers(empty, "x").ok());
  EXPECT_FALSE(DecodePast(client::MakeTensor({2, 0, 0, 4}, {}), "x").ok());
}

TEST(AsFloats, ReadsFloat32InPlaceAndConvertsTheRest) {
  TensorStorage storage;
  const v1::Tensor floats = client::MakeTensor({2}, {1, 2});
  EXPECT_EQ(static_cast<const void*>(AsFloats(*DecodeNumbers(floats, "x"), storage)),
            floats.data().data());
  EXPECT_TRUE(storage.floats.empty());
  const v1::Tensor halves = client::MakeTensor({2}, {1.5f, -2}, v1::DATA_TYPE_FLOAT16);
  const float* const numbers = AsFloats(*DecodeNumbers(halves, "x"), storage);
  EXPECT_THAT(std::vector<float>(numbers, numbers + 2), ElementsAre(1.5f, -2));
}

// A mask of -1e300 is finite: it must not hide a key as -inf does.
TEST(AsFloats, KeepsFiniteDoublesFinite) {
  const double numbers[] = {-1e300, 1e300, -INFINITY, 0.5};
  v1::Tensor tensor;
  tensor.set_data_type(v1::DATA_TYPE_FLOAT64);
  tensor.add_shape(4);
  tensor.set_data(numbers, sizeof(numbers));
  TensorStorage storage;
  const float* const floats = AsFloats(*DecodeNumbers(tensor, "x"), storage);
  const float max = std::numeric_limits<float>::max();
  EXPECT_THAT(std::vector<float>(floats, floats + 4), ElementsAre(-max, max, -INFINITY, 0.5f));
}

TEST(DecodeMask, TakesFloatsAndBoolsInBothEncodings) {
  TensorStorage storage;
  const auto floats = DecodeMask(client::MakeTensor({2}, {0, -1}), "mask", storage);
  ASSERT_TRUE(floats.ok());
  EXPECT_NE(floats->floats, nullptr);

  const v1::Tensor bools = client::MakeBoolTensor({3}, {true, false, true});
  const auto view = DecodeMask(bools, "mask", storage);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->floats, nullptr);
  EXPECT_THAT(std::vector<int>(view->bools, view->bools + 3), ElementsAre(1, 0, 1));

  v1::Tensor typed;
  typed.set_data_type(v1::DATA_TYPE_BOOL);
  typed.add_shape(2);
  typed.add_float_values(0);
  typed.add_float_values(1);
  const auto typed_view = DecodeMask(typed, "mask", storage);
  ASSERT_TRUE(typed_view.ok());
  EXPECT_THAT(std::vector<int>(typed_view->bools, typed_view->bools + 2), ElementsAre(0, 1));
}

}  // namespace
}  // namespace attention::rpc
