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

// A picture on which boxes and text are drawn. Positions and lengths are in pixels, from the upper
// left corner.
namespace attention::client {

// DejaVu Sans Condensed in one size. The font is part of the program. Not thread-safe.
class Font {
 public:
  explicit Font(int pixels);
  ~Font();
  Font(const Font&) = delete;
  Font& operator=(const Font&) = delete;

  int pixels() const { return pixels_; }
  // The width of a UTF-8 text in pixels. A character that the font lacks is drawn as a box.
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
  // Makes a white picture. It needs 3 bytes for each pixel.
  Picture(int width, int height);

  int width() const { return width_; }
  int height() const { return height_; }
  Rgb At(int x, int y) const;

  // Drawing beyond the edges is cut off.
  void Fill(const Box& box, Rgb color);
  // The text begins at (x, baseline) and runs to the right, or up with its letters to the left of
  // x.
  void Write(const Font& font, int x, int baseline, absl::string_view text, Rgb ink,
             Direction direction = Direction::kRight);

  // As a PNG file of 24-bit RGB.
  std::string Png() const;

 private:
  void Blend(int x, int y, Rgb ink, int coverage);  // `coverage` is 0 to 255

  const int width_, height_;
  std::vector<uint8_t> pixels_;  // [height, width, 3]
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_PICTURES_PICTURE_H_
