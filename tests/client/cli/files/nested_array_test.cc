#include "client/cli/files/nested_array.h"

#include <cmath>
#include <string>
#include <vector>

#include "client/tensor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

using ::testing::ElementsAre;

absl::StatusOr<v1::Tensor> Convert(const std::string& text) {
  return TensorFromNestedArray(nlohmann::json::parse(text), "t");
}

std::string NestedArrayFailure(const std::string& text) {
  const absl::Status status = Convert(text).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

TEST(TensorFromNestedArray, TakesTheShapeFromTheNesting) {
  EXPECT_THAT(Convert("[1, 2, 3]")->shape(), ElementsAre(3));
  EXPECT_THAT(Convert("[[1, 2, 3], [4, 5, 6]]")->shape(), ElementsAre(2, 3));
  EXPECT_THAT(Convert("[[[[1], [2]]]]")->shape(), ElementsAre(1, 1, 2, 1));
  EXPECT_THAT(*FloatValues(*Convert("[[1, -2.5, 1e3], [4, 5, 6]]")),
              ElementsAre(1, -2.5f, 1000, 4, 5, 6));
}

TEST(TensorFromNestedArray, MakesAMaskOfTruthValues) {
  absl::StatusOr<v1::Tensor> mask = Convert("[[true, false], [true, true]]");
  ASSERT_TRUE(mask.ok()) << mask.status();
  EXPECT_EQ(mask->data_type(), v1::DATA_TYPE_BOOL);
  EXPECT_THAT(mask->shape(), ElementsAre(2, 2));
  EXPECT_EQ(mask->data(), std::string("\1\0\1\1", 4));
}

TEST(TensorFromNestedArray, ReadsInfinitiesAndNan) {
  const std::vector<float> values =
      *FloatValues(*Convert(R"(["inf", "-inf", "nan", "Infinity", "-Infinity", "NaN"])"));
  EXPECT_EQ(values[0], INFINITY);
  EXPECT_EQ(values[1], -INFINITY);
  EXPECT_TRUE(std::isnan(values[2]));
  EXPECT_EQ(values[3], INFINITY);
  EXPECT_EQ(values[4], -INFINITY);
  EXPECT_TRUE(std::isnan(values[5]));
}

TEST(TensorFromNestedArray, NamesTheRowThatIsTooShortOrTooLong) {
  EXPECT_EQ(NestedArrayFailure("[[1, 2, 3], [4, 5]]"), "t[1] has length 2; want 3, as t[0] has");
  EXPECT_EQ(NestedArrayFailure("[[[1], [2]], [[3], [4], [5]]]"),
            "t[1] has length 3; want 2, as t[0] has");
  EXPECT_EQ(NestedArrayFailure("[[[1, 2]], [[3]]]"),
            "t[1][0] has length 1; want 2, as t[0][0] has");
  EXPECT_EQ(NestedArrayFailure("[[1], 2]"), "t[1] is a number; want a row of 1, as t[0] is");
  EXPECT_EQ(NestedArrayFailure("[1, [2]]"), "t[1] is an array of 1; want a number");
}

TEST(TensorFromNestedArray, NamesThePlaceOfAHole) {
  EXPECT_EQ(NestedArrayFailure("[[1, 2, 3], [4, 5, null]]"), "t[1][2] is null; want a number");
  EXPECT_EQ(NestedArrayFailure("[null]"), "t[0] is null; want a number");
  EXPECT_EQ(NestedArrayFailure("[[1], null]"), "t[1] is null; want a row of 1, as t[0] is");
  EXPECT_EQ(NestedArrayFailure("[]"), "t is an empty array; want numbers in it");
  EXPECT_EQ(NestedArrayFailure("[[1], []]"), "t[1] is an empty array; want numbers in it");
  EXPECT_EQ(NestedArrayFailure("[[], [1]]"), "t[0] is an empty array; want numbers in it");
}

TEST(TensorFromNestedArray, RefusesWhatIsNoNumber) {
  EXPECT_EQ(NestedArrayFailure(R"([1, "two"])"), "t[1] is \"two\"; want a number");
  EXPECT_EQ(NestedArrayFailure(R"([1, {}])"), "t[1] is an object; want a number");
  EXPECT_EQ(NestedArrayFailure("[1, true]"), "t[1] is true; want a number");
  EXPECT_EQ(NestedArrayFailure("[true, 1]"), "t[1] is a number; want true or false, as t[0] is");
}

TEST(TensorFromNestedArray, RefusesNumbersBeyondFloat32) {
  EXPECT_TRUE(Convert("[3.4028234e38, -3.4028234e38]").ok());
  EXPECT_EQ(NestedArrayFailure("[1, 1e39]"),
            "t[1] is 1e+39, which float32 cannot hold; want at most 3.40282e+38 or \"inf\"");
  EXPECT_THAT(NestedArrayFailure("[-1e300]"), testing::StartsWith("t[0] is -1e+300"));
}

}  // namespace
}  // namespace attention::client
