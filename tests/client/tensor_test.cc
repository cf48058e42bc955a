#include "client/tensor.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "client/narrow_floats.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Tensor Float32(const std::vector<int64_t>& shape, const std::string& data) {
  v1::Tensor tensor;
  tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  tensor.set_data(data);
  return tensor;
}

TEST(MakeTensor, WritesLittleEndianBytesInRowMajorOrder) {
  const v1::Tensor tensor = MakeTensor({2, 1}, {1.0f, -2.0f});
  EXPECT_EQ(tensor.data_type(), v1::DATA_TYPE_FLOAT32);
  EXPECT_THAT(tensor.shape(), ElementsAre(2, 1));
  EXPECT_EQ(tensor.data(), std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8));
  EXPECT_TRUE(tensor.float_values().empty());
}

TEST(MakeTensor, WritesOneByteForATruthValue) {
  const v1::Tensor tensor = MakeBoolTensor({3}, {true, false, true});
  EXPECT_EQ(tensor.data_type(), v1::DATA_TYPE_BOOL);
  EXPECT_EQ(tensor.data(), std::string("\1\0\1", 3));
}

TEST(FloatValues, ReadsBackWhatMakeTensorWrote) {
  const float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {0.1f, -0.0f, 3e38f, 1e-45f, kInfinity, -kInfinity};
  EXPECT_EQ(*FloatValues(MakeTensor({1, 2, 3}, values)), values);
}

// 1 + 2^-8 lies halfway between two bfloat16, 1 + 2^-11 between two float16: ties go to even.
TEST(MakeTensor, RoundsToTheSixteenBitTypes) {
  const std::vector<float> values = {1, -2.5f, 1.00390625f, 1.01171875f};
  EXPECT_THAT(*FloatValues(MakeTensor({4}, values, v1::DATA_TYPE_BFLOAT16)),
              ElementsAre(1, -2.5f, 1, 1.015625f));
  const std::vector<float> halves = {1.00048828125f, 1.00146484375f, 65519, 65520, 6e-8f, 2e-8f};
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_THAT(*FloatValues(MakeTensor({6}, halves, v1::DATA_TYPE_FLOAT16)),
              ElementsAre(1, 1.001953125f, 65504, inf, 0x1p-24f, 0));
}

TEST(FloatValues, ReadsEveryFloat16BackToItself) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float number = FromFloat16(static_cast<uint16_t>(bits));
    if (std::isnan(number)) {
      EXPECT_TRUE(std::isnan(FromFloat16(ToFloat16(number))));
    } else {
      EXPECT_EQ(ToFloat16(number), bits);
    }
    const float wide = FromBfloat16(static_cast<uint16_t>(bits));
    if (!std::isnan(wide)) {
      EXPECT_EQ(ToBfloat16(wide), bits);
    }
  }
}

TEST(FloatValues, ReadsDoubles) {
  EXPECT_THAT(*FloatValues(MakeTensor({2}, {0.5f, -3}, v1::DATA_TYPE_FLOAT64)),
              ElementsAre(0.5f, -3));
}

TEST(FloatValues, ReadsNumbersThatWereTypedByHand) {
  v1::Tensor tensor;
  tensor.add_shape(2);
  tensor.add_float_values(1.5f);
  tensor.add_float_values(2.5f);
  EXPECT_THAT(*FloatValues(tensor), ElementsAre(1.5f, 2.5f));
}

TEST(FloatValues, RefusesAnotherNumberOfBytesThanTheShapeSays) {
  for (const size_t bytes : {0, 4, 15, 17, 20}) {
    const absl::Status status = FloatValues(Float32({2, 2}, std::string(bytes, 'x'))).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bytes;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("want 4 elements of 4 bytes, the shape being [2, 2]"));
  }
}

// A product that wraps to what the bytes hold must not pass, and nothing may be allocated for it.
TEST(FloatValues, RefusesShapesWhoseProductOverflows) {
  const std::vector<std::vector<int64_t>> shapes = {
      {int64_t{1} << 62, 4},
      {int64_t{1} << 32, int64_t{1} << 32},
      {(int64_t{1} << 61) + 1, 8},
      {std::numeric_limits<int64_t>::max(), 2},
  };
  for (const auto& shape : shapes) {
    EXPECT_EQ(FloatValues(Float32(shape, "")).status().code(), absl::StatusCode::kInvalidArgument);
  }
  // The elements can be counted, their bytes cannot.
  EXPECT_FALSE(FloatValues(Float32({int64_t{1} << 62}, "")).ok());
}

TEST(FloatValues, RefusesAxesBelowOneAndNoAxes) {
  EXPECT_FALSE(FloatValues(Float32({}, "")).ok());
  EXPECT_FALSE(FloatValues(Float32({0}, "")).ok());
  EXPECT_FALSE(FloatValues(Float32({-2, -2}, std::string(16, 'x'))).ok());
}

TEST(FloatValues, RefusesOtherTypesAndBothEncodingsAtOnce) {
  EXPECT_THAT(std::string(FloatValues(MakeBoolTensor({1}, {true})).status().message()),
              HasSubstr("data_type is DATA_TYPE_BOOL"));
  v1::Tensor both = MakeTensor({1}, {1.0f});
  both.add_float_values(1.0f);
  EXPECT_THAT(std::string(FloatValues(both).status().message()), HasSubstr("both"));
  both.clear_data();
  both.add_float_values(2.0f);
  EXPECT_THAT(std::string(FloatValues(both).status().message()),
              HasSubstr("float_values holds 2 numbers; want 1"));
}

TEST(FloatView, CopiesOnlyWhatIsNotFloat32) {
  std::vector<float> storage;
  const v1::Tensor floats = MakeTensor({2}, {1, 2.5f});
  const auto view = FloatView(floats, storage);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_THAT(*view, ElementsAre(1, 2.5f));
  EXPECT_EQ(static_cast<const void*>(view->data()), floats.data().data());
  EXPECT_TRUE(storage.empty());
  EXPECT_THAT(*FloatView(MakeTensor({2}, {1, 2}, v1::DATA_TYPE_FLOAT64), storage),
              ElementsAre(1, 2));
  EXPECT_THAT(storage, ElementsAre(1, 2));
  v1::Tensor short_of_one = floats;
  short_of_one.set_shape(0, 3);
  EXPECT_THAT(std::string(FloatView(short_of_one, storage).status().message()),
              HasSubstr("data holds 8 bytes; want 3 elements"));
}

TEST(Int32Values, ReadsLittleEndianTwosComplement) {
  v1::Tensor tensor = Float32({2}, std::string("\x02\x01\x00\x00\xff\xff\xff\xff", 8));
  EXPECT_FALSE(Int32Values(tensor).ok());
  tensor.set_data_type(v1::DATA_TYPE_INT32);
  EXPECT_THAT(*Int32Values(tensor), ElementsAre(258, -1));
  tensor.set_shape(0, 3);
  EXPECT_FALSE(Int32Values(tensor).ok());
}

// As `top_keys.indices` come where the tokens were typed by hand.
TEST(Int32Values, ReadsWholeNumbersAndRefusesOthers) {
  v1::Tensor tensor;
  tensor.set_data_type(v1::DATA_TYPE_INT32);
  tensor.add_shape(2);
  for (const float value : {7.0f, -1.0f}) tensor.add_float_values(value);
  EXPECT_THAT(*Int32Values(tensor), ElementsAre(7, -1));
  for (const float bad : {0.5f, 2147483648.0f, std::nanf("")}) {
    tensor.set_float_values(1, bad);
    EXPECT_THAT(std::string(Int32Values(tensor).status().message()), HasSubstr("whole numbers"));
  }
  tensor.mutable_float_values()->RemoveLast();
  EXPECT_FALSE(Int32Values(tensor).ok());
}

TEST(AsBytes, MakesBytesOfNumbersAndLeavesBytes) {
  v1::Tensor typed;
  typed.add_shape(2);
  for (const float value : {7.0f, -1.0f}) typed.add_float_values(value);
  const v1::Tensor bytes = MakeTensor({2}, {7, -1});
  EXPECT_EQ(AsBytes(typed)->SerializeAsString(), bytes.SerializeAsString());
  EXPECT_EQ(AsBytes(bytes)->SerializeAsString(), bytes.SerializeAsString());
  typed.set_data_type(v1::DATA_TYPE_INT32);
  EXPECT_THAT(*Int32Values(*AsBytes(typed)), ElementsAre(7, -1));
  EXPECT_TRUE(AsBytes(typed)->float_values().empty());
  typed.add_shape(2);
  EXPECT_FALSE(AsBytes(typed).ok());
}

}  // namespace
}  // namespace attention::client
