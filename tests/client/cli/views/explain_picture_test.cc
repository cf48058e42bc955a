#include "client/cli/views/explain_picture.h"

#include <png.h>

#include <algorithm>
#include <string>
#include <vector>

#include "client/cli/pictures/color_scale.h"
#include "client/cli/pictures/picture.h"
#include "client/tensor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attention::client {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// A PNG file, decoded.
struct Pixels {
  int width = 0;
  int height = 0;
  std::vector<Rgb> colors;
};

Pixels Decode(const std::string& file) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&image, file.data(), file.size()), 0);
  image.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> bytes(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, bytes.data(), 0, nullptr), 0);
  Pixels pixels{.width = static_cast<int>(image.width),
                .height = static_cast<int>(image.height),
                .colors = {}};
  for (size_t i = 0; i < bytes.size(); i += 3) {
    pixels.colors.push_back({bytes[i], bytes[i + 1], bytes[i + 2]});
  }
  return pixels;
}

// The picture of `count` maps of len x len whose weights are all `weight`, but for the first.
absl::StatusOr<std::string> PictureOf(int len, int count, float weight,
                                      const RequestFile& file = {}) {
  v1::ComputeAttentionResponse response;
  std::vector<float> weights(static_cast<size_t>(len) * len * count, weight);
  weights[0] = 1;
  *response.mutable_attention_weights() = MakeTensor({1, count, len, len}, weights);
  return ExplainPicture(file, *MapsOf(file, response));
}

TEST(ExplainPicture, ShowsEachWeightInItsColor) {
  const absl::StatusOr<std::string> png = PictureOf(3, 1, 0.5f);
  ASSERT_TRUE(png.ok()) << png.status();
  const Pixels pixels = Decode(*png);
  EXPECT_THAT(pixels.colors, Contains(ColorAt(1)));
  EXPECT_GT(std::count(pixels.colors.begin(), pixels.colors.end(), ColorAt(0.5)),
            4 * std::count(pixels.colors.begin(), pixels.colors.end(), ColorAt(1)))
      << "eight cells of it, and one of the other";
}

TEST(ExplainPicture, HasRoomForTheTitleAndForEachMap) {
  RequestFile file;
  const Pixels one = Decode(*PictureOf(3, 1, 0.5f, file));
  const Pixels four = Decode(*PictureOf(3, 4, 0.5f, file));
  EXPECT_EQ(four.width, 2 * one.width);
  EXPECT_EQ(four.height, 2 * one.height);
  file.title = std::string(200, 'w');
  const Pixels titled = Decode(*PictureOf(3, 1, 0.5f, file));
  EXPECT_GT(titled.width, 200 * 10);
  EXPECT_GT(titled.height, one.height);
}

TEST(ExplainPicture, RefusesWhatWouldBeTooLarge) {
  EXPECT_TRUE(PictureOf(300, 1, 0).ok());
  EXPECT_THAT(std::string(PictureOf(3000, 1, 0).status().message()),
              HasSubstr("want at most 64000000"));
}

TEST(Picture, CutsOffWhatLiesBeyondItsEdges) {
  Picture picture(10, 10);
  const Font font(20);
  picture.Fill({.x = -5, .y = 5, .width = 100, .height = 100}, {1, 2, 3});
  picture.Write(font, -3, 4, "äß漢\xff", {0, 0, 0});
  picture.Write(font, 9, 9, "up", {0, 0, 0}, Direction::kUp);
  EXPECT_EQ(picture.At(0, 9), (Rgb{1, 2, 3}));
  EXPECT_EQ(Decode(picture.Png()).colors[95], picture.At(5, 9));
}

TEST(Picture, WritesDarkOnLightAlongAndUp) {
  const Font font(20);
  for (const Direction direction : {Direction::kRight, Direction::kUp}) {
    Picture picture(100, 100);
    picture.Write(font, 50, 50, "I", {0, 0, 0}, direction);
    int dark = 0;
    for (int y = 0; y < 100; ++y) {
      for (int x = 0; x < 100; ++x) dark += picture.At(x, y).red < 128 ? 1 : 0;
    }
    EXPECT_GT(dark, 10);
    EXPECT_LT(dark, 100);
  }
  EXPECT_GT(font.Width("wide"), font.Width("i"));
}

}  // namespace
}  // namespace attention::client
