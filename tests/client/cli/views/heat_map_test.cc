#include "client/cli/views/heat_map.h"

#include <limits>
#include <string>
#include <vector>

#include "client/cli/views/attended_keys.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(FormatHeatMap, ShadesWithCharacters) {
  const std::vector<float> weights = {0.125f, 0.875f, 0.5f, 0.5f};
  const Grid grid = {
      .values = weights, .row_names = {"jim", "über"}, .column_names = {"猫", "swimming"}};
  EXPECT_EQ(FormatHeatMap(grid, Shading::kCharacters),
            R"(          猫 swimming
 jim    12.5  ██ 87.5 jim
über ▒▒ 50.0  ▒▒ 50.0 über
scale: 0.0 % [  ░░▒▒▓▓██] 87.5 %
)");
}

TEST(FormatHeatMap, ShadesWithColors) {
  const std::vector<float> weights = {0.0f, 1.0f};
  const Grid grid = {.values = weights, .row_names = {"jim"}, .column_names = {"a", "football"}};
  const std::string map = FormatHeatMap(grid, Shading::kColor);
  EXPECT_THAT(map,
              testing::StartsWith("       a  football \n"
                                  "jim \x1b[48;2;68;1;84m\x1b[38;2;255;255;255m 0.0 \x1b[0m"
                                  "\x1b[48;2;253;231;37m\x1b[38;2;0;0;0m    100.0 \x1b[0m jim\n"
                                  "scale: 0.0 % \x1b[48;2;68;1;84m"));
  EXPECT_THAT(map, testing::EndsWith("\x1b[48;2;253;231;37m\x1b[38;2;0;0;0m \x1b[0m 100.0 %\n"));
}

TEST(FormatHeatMap, PrintsNoEscapesWithoutColors) {
  const std::vector<float> weights = {0.5f, kNan};
  const Grid grid = {.values = weights, .row_names = {"a"}, .column_names = {"a", "b"}};
  EXPECT_THAT(FormatHeatMap(grid, Shading::kCharacters), Not(HasSubstr("\x1b")));
}

TEST(FormatHeatMap, ShadesNothingForRowsThatSeeNoKeyAndForNan) {
  const std::vector<float> weights = {0.0f, 0.0f, kNan, std::numeric_limits<float>::infinity()};
  const Grid grid = {.values = weights, .row_names = {"a", "b"}, .column_names = {"a", "b"}};
  EXPECT_EQ(FormatHeatMap(grid, Shading::kCharacters),
            "       a      b\n"
            "a    0.0    0.0 a\n"
            "b    nan    inf b\n"
            "scale: 0.0 % [  ░░▒▒▓▓██] 0.0 %\n");
}

TEST(FormatHeatMap, BeginsTheScaleAtNegativeWeights) {
  const std::vector<float> weights = {-1.0f, 2.0f};
  const Grid grid = {.values = weights, .row_names = {"a"}, .column_names = {"a", "b"}};
  EXPECT_THAT(FormatHeatMap(grid, Shading::kCharacters),
              testing::EndsWith("scale: -100.0 % [  ░░▒▒▓▓██] 200.0 %\n"));
}

TEST(FormatHeatMap, StaysFiniteForTheLargestWeights) {
  const float kMax = std::numeric_limits<float>::max();
  const std::vector<float> weights = {-kMax, kMax};
  const Grid grid = {.values = weights, .row_names = {"a"}, .column_names = {"a", "b"}};
  EXPECT_THAT(FormatHeatMap(grid, Shading::kCharacters), HasSubstr("██ 3.4e+40 a"));
}

TEST(FormatHeatMap, ShowsTheUpperLeftPartOfALargeGrid) {
  const std::vector<float> weights(size_t{100} * 50, 0.5f);
  const Grid grid = {.values = weights,
                     .row_names = std::vector<std::string>(100, "row"),
                     .column_names = std::vector<std::string>(50, "column")};
  EXPECT_THAT(FormatHeatMap(grid, Shading::kCharacters),
              HasSubstr("(64 of 100 rows, 32 of 50 columns; attend --json has them all)\n"));
}

TEST(MostAttended, OrdersByWeightAndThenByIndex) {
  const std::vector<AttendedKey> keys = MostAttended({0.1f, 0.4f, 0.1f, 0.4f}, 3);
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys[0].key, 1);
  EXPECT_EQ(keys[1].key, 3);
  EXPECT_EQ(keys[2].key, 0);
}

TEST(MostAttended, LeavesOutKeysThatGetNothing) {
  EXPECT_EQ(MostAttended({0.0f, 1.0f, kNan}, 3).size(), 1u);
  EXPECT_THAT(MostAttended({0.0f, 0.0f}, 3), IsEmpty());
}

TEST(FormatAttendedKeys, NamesTheKeys) {
  const TokenNames names = {.queries = {}, .keys = {"jim", "football", "swimming"}};
  EXPECT_EQ(FormatAttendedKeys("jim", 4, {{2, 0.1528f}, {1, 0.1439f}, {7, 0.1f}}, names),
            " jim -> swimming 15.3 %, football 14.4 %, k7 10.0 %\n");
  EXPECT_EQ(FormatAttendedKeys("jim", 3, {}, names), "jim -> no key\n");
}

}  // namespace
}  // namespace attention::client
