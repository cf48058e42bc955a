#include "client/cli/pictures/picture.h"

#include <ft2build.h>
#include <png.h>
#include FT_FREETYPE_H

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <utility>

#include "client/cli/display_text.h"
#include "client/cli/pictures/font_data.h"

namespace attention::client {
namespace {

constexpr int kFixed = 1 << 16;  // 1 in FreeType's 16.16 numbers
constexpr int kSubpixels = 64;   // units of FreeType's positions in one pixel

// Removes the first code point of a text and returns it; U+FFFD if it is not UTF-8.
uint32_t TakeCodePoint(absl::string_view& text) {
  const Character first = Decode(text);
  text.remove_prefix(first.bytes);
  return first.valid ? first.code : 0xfffd;
}

}  // namespace

// The font is part of the program, so an error of FreeType would be our own bug.
Font::Font(int pixels) : pixels_(pixels) {
  [[maybe_unused]] FT_Error error = FT_Init_FreeType(&library_);
  assert(error == 0);
  error = FT_New_Memory_Face(library_, FontData(), static_cast<FT_Long>(FontBytes()), 0, &face_);
  assert(error == 0);
  error = FT_Set_Pixel_Sizes(face_, 0, static_cast<FT_UInt>(pixels));
  assert(error == 0);
}

Font::~Font() {
  FT_Done_Face(face_);
  FT_Done_FreeType(library_);
}

int Font::Width(absl::string_view text) const {
  FT_Set_Transform(face_, nullptr, nullptr);
  FT_Pos width = 0;
  while (!text.empty()) {
    if (FT_Load_Char(face_, TakeCodePoint(text), FT_LOAD_DEFAULT) == 0) {
      width += face_->glyph->advance.x;
    }
  }
  return static_cast<int>((width + kSubpixels - 1) / kSubpixels);
}

Picture::Picture(int width, int height)
    : width_(width), height_(height), pixels_(size_t{3} * width * height, 255) {}

Rgb Picture::At(int x, int y) const {
  const uint8_t* const pixel = &pixels_[(static_cast<size_t>(y) * width_ + x) * 3];
  return {pixel[0], pixel[1], pixel[2]};
}

void Picture::Fill(const Box& box, Rgb color) {
  const int right = std::min(box.x + box.width, width_);
  const int below = std::min(box.y + box.height, height_);
  for (int y = std::max(box.y, 0); y < below; ++y) {
    for (int x = std::max(box.x, 0); x < right; ++x) Blend(x, y, color, 255);
  }
}

void Picture::Blend(int x, int y, Rgb ink, int coverage) {
  if (x < 0 || x >= width_ || y < 0 || y >= height_) return;
  uint8_t* const pixel = &pixels_[(static_cast<size_t>(y) * width_ + x) * 3];
  const auto mix = [coverage](int below, int above) {
    return static_cast<uint8_t>((below * (255 - coverage) + above * coverage + 127) / 255);
  };
  pixel[0] = mix(pixel[0], ink.red);
  pixel[1] = mix(pixel[1], ink.green);
  pixel[2] = mix(pixel[2], ink.blue);
}

void Picture::Write(const Font& font, int x, int baseline, absl::string_view text, Rgb ink,
                    Direction direction) {
  FT_Matrix up = {.xx = 0, .xy = -kFixed, .yx = kFixed, .yy = 0};
  FT_Vector pen = {.x = 0, .y = 0};  // relative to the start of the text, y upwards
  const FT_GlyphSlot glyph = font.face_->glyph;
  while (!text.empty()) {
    FT_Set_Transform(font.face_, direction == Direction::kUp ? &up : nullptr, &pen);
    if (FT_Load_Char(font.face_, TakeCodePoint(text), FT_LOAD_RENDER) != 0) continue;
    const FT_Bitmap& bitmap = glyph->bitmap;  // of 256 greys
    for (unsigned row = 0; row < bitmap.rows; ++row) {
      for (unsigned column = 0; column < bitmap.width; ++column) {
        Blend(x + glyph->bitmap_left + static_cast<int>(column),
              baseline - glyph->bitmap_top + static_cast<int>(row), ink,
              bitmap.buffer[static_cast<ptrdiff_t>(row) * bitmap.pitch + column]);
      }
    }
    pen.x += glyph->advance.x;
    pen.y += glyph->advance.y;
  }
}

std::string Picture::Png() const {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_);
  image.height = static_cast<png_uint_32>(height_);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string file(bytes, '\0');
  [[maybe_unused]] const int written = png_image_write_to_memory(
      &image, file.data(), &bytes, /*convert_to_8_bit=*/0, pixels_.data(), 0, nullptr);
  assert(written != 0);  // the buffer is large enough
  file.resize(bytes);
  return file;
}

}  // namespace attention::client
