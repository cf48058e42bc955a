#include "server/rpc/decode_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/tensor.h"

namespace attention::rpc {
namespace {

using testing::ElementsAre;

std::vector<float> Values(const TensorView& view, int64_t count) {
  return {view.floats, view.floats + count};
}

TEST(DecodeFloats, ReadsBytesWhereProtobufPutThem) {
  const v1::Tensor tensor = client::MakeTensor({2, 2}, {1, 2, 3, 4});
  TensorStorage storage;
  const auto view = DecodeFloats(tensor, "x", storage);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(static_cast<const void*>(view->floats), tensor.data().data());
  EXPECT_THAT(Values(*view, 4), ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(storage.floats.empty());
}

TEST(DecodeFloats, ReadsNumbersInPlaceWithoutADataType) {
  v1::Tensor tensor;
  tensor.add_shape(2);
  tensor.add_float_values(5);
  tensor.add_float_values(6);
  TensorStorage storage;
  const auto view = DecodeFloats(tensor, "x", storage);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->floats, tensor.float_values().data());
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
