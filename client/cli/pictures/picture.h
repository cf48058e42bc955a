#ifndef ATTENTION_CLIENT_CLI_PICTURES_PICTURE_H_
#define ATTENTION_CLIENT_CLI_PICTURES_PICTURE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/pictures/color_scale.h"

struct FT_FaceRec_;
struct FT_LibraryRec_;

// A picture of pixels to draw boxes and text on. Lengths are pixels, from the upper left corner.
namespace attention::client {

// DejaVu Sans Condensed in one size; it is part of the program. Not thread-safe.
class Font {
 public:
  explicit Font(int pixels);
  ~Font();
  Font(const Font&) = delete;
  Font& operator=(const Font&) = delete;

  int pixels() const { return pixels_; }
  // How long the text is, which is UTF-8. What the font lacks shows as a box.
  int Width(absl::string_view text) const;

 private:
  friend class Picture;

  const int pixels_;
  FT_LibraryRec_* library_ = nullptr;
  FT_FaceRec_* face_ = nullptr;
};

struct Box {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
};

enum class Direction { kRight, kUp };

class Picture {
 public:
  // White. Needs 3 bytes a pixel.
  Picture(int width, int height);

  int width() const { return width_; }
  int height() const { return height_; }
  Rgb At(int x, int y) const;

  // What lies beyond the edges is cut off.
  void Fill(const Box& box, Rgb color);
  // The text begins at (x, baseline) and runs to the right, or up with its letters to the left of
  // x.
  void Write(const Font& font, int x, int baseline, absl::string_view text, Rgb ink,
             Direction direction = Direction::kRight);

  // As a PNG file of 24-bit RGB.
  std::string Png() const;

 private:
  void Blend(int x, int y, Rgb ink, int coverage);  // of 255

  const int width_, height_;
  std::vector<uint8_t> pixels_;  // [height, width, 3]
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_PICTURES_PICTURE_H_
