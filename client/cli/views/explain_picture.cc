#include "client/cli/views/explain_picture.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/display_text.h"
#include "client/cli/pictures/color_scale.h"
#include "client/cli/pictures/picture.h"
#include "client/cli/views/heat_map.h"

namespace attention::client {
namespace {

constexpr int64_t kMostPixels = 64'000'000;

constexpr int kTitlePixels = 26, kTextPixels = 18;
constexpr int kMargin = 24;  // around each map
constexpr int kGap = 6;      // between parts that belong together
constexpr int kLegendHeight = 14;
// Up to this number of columns a cell has room for its number.
constexpr size_t kMostNumbered = 24;
constexpr int kNumberedHeight = 40;
constexpr int kSmallestCell = 4;
constexpr int kMapWidth = 720;  // of a map of many columns, unless cells would be too small

constexpr Rgb kInk = {32, 32, 32}, kFaint = {110, 110, 110}, kNoNumber = {214, 214, 214};

// The places of the parts of one map. All maps of a picture have the same layout, which the largest
// one determines.
struct Layout {
  int cell_width = 0;
  int cell_height = 0;
  bool numbered = false;
  bool names_upright = false;  // the names of columns are written upwards
  int row_names = 0;           // their width
  int column_names = 0;        // their height
  int cells_left = 0;          // from the map's left margin to its cells
  int cells_top = 0;           // from its upper margin
  int64_t width = 0;           // of a map, and its height, margins included
  int64_t height = 0;
};

std::string ShortName(const std::string& name) { return Shorten(name, kMaxNameColumns); }

int WidestName(const Font& font, const std::vector<std::string>& names) {
  int width = 0;
  for (const std::string& name : names) width = std::max(width, font.Width(ShortName(name)));
  return width;
}

Layout LayoutFor(const AttentionMaps& maps, const Font& font) {
  size_t rows = 1, columns = 1;
  Layout layout;
  int widest_column = 0;
  for (const AttentionMap& map : maps.maps) {
    rows = std::max(rows, map.grid.row_names.size());
    columns = std::max(columns, map.grid.column_names.size());
    layout.row_names = std::max(layout.row_names, WidestName(font, map.grid.row_names));
    widest_column = std::max(widest_column, WidestName(font, map.grid.column_names));
  }
  layout.numbered = columns <= kMostNumbered;
  if (layout.numbered) {
    const int number = font.Width("100.0");
    layout.cell_width = std::max(number, std::min(widest_column, 2 * number)) + 2 * kGap;
    layout.cell_height = kNumberedHeight;
  } else {
    layout.cell_width = std::max(kSmallestCell, static_cast<int>(kMapWidth / columns));
    layout.cell_height = layout.cell_width;
  }
  layout.names_upright = widest_column + kGap > layout.cell_width;
  layout.column_names = layout.names_upright ? widest_column : font.pixels();
  const int64_t cells_width = layout.cell_width * static_cast<int64_t>(columns);
  const int64_t cells_height = layout.cell_height * static_cast<int64_t>(rows);
  const int title =
      font.Width("attention weights in percent, layer 99, sequence 99, head 99") + 2 * kMargin;
  layout.cells_left = layout.row_names + kGap;
  layout.cells_top = font.pixels() + kGap + layout.column_names + kGap;
  const int below = 2 * kGap + kLegendHeight + kGap + font.pixels() + 2 * kMargin;
  layout.width = std::max<int64_t>(cells_width + layout.cells_left + kMargin + kMargin, title);
  layout.height = layout.cells_top + cells_height + below;
  return layout;
}

// Returns n, so that writing each n-th name avoids overlaps.
size_t NameStep(int cell, const Font& font) {
  return static_cast<size_t>((font.pixels() + cell - 1) / cell);
}

// Draws one map at its place.
class MapDrawing {
 public:
  MapDrawing(const AttentionMap& map, const Layout& layout, const Font& font, int x, int y,
             Picture& picture)
      : map_(map),
        layout_(layout),
        font_(font),
        picture_(picture),
        scale_(ScaleOf(map.grid.values)),
        left_(x + kMargin),
        top_(y + kMargin),
        cells_left_(left_ + layout.cells_left),
        cells_top_(top_ + layout.cells_top) {}

  void Draw() {
    picture_.Write(font_, left_, top_ + font_.pixels() - kGap,
                   absl::StrCat("attention weights in percent", map_.which), kFaint);
    DrawColumnNames();
    DrawRowNames();
    for (size_t i = 0; i < map_.grid.row_names.size(); ++i) {
      for (size_t j = 0; j < map_.grid.column_names.size(); ++j) DrawCell(i, j);
    }
    DrawLegend();
  }

 private:
  Box CellAt(size_t row, size_t column) const {
    return {.x = cells_left_ + static_cast<int>(column) * layout_.cell_width,
            .y = cells_top_ + static_cast<int>(row) * layout_.cell_height,
            .width = layout_.cell_width,
            .height = layout_.cell_height};
  }
  // Returns the baseline for a line of text in the middle of a height.
  int Middle(int top, int height) const { return top + (height + font_.pixels() * 7 / 10) / 2; }

  void DrawColumnNames() {
    const auto& names = map_.grid.column_names;
    const size_t step = layout_.names_upright ? NameStep(layout_.cell_width, font_) : 1;
    for (size_t j = 0; j < names.size(); j += step) {
      const Box cell = CellAt(0, j);
      const std::string name = ShortName(names[j]);
      if (layout_.names_upright) {
        picture_.Write(font_, Middle(cell.x, cell.width), cells_top_ - kGap, name, kInk,
                       Direction::kUp);
      } else {
        picture_.Write(font_, cell.x + (cell.width - font_.Width(name)) / 2, cells_top_ - kGap,
                       name, kInk);
      }
    }
  }

  void DrawRowNames() {
    const auto& names = map_.grid.row_names;
    for (size_t i = 0; i < names.size(); i += NameStep(layout_.cell_height, font_)) {
      const Box cell = CellAt(i, 0);
      const std::string name = ShortName(names[i]);
      picture_.Write(font_, cells_left_ - kGap - font_.Width(name), Middle(cell.y, cell.height),
                     name, kInk);
    }
  }

  void DrawCell(size_t row, size_t column) {
    const Box cell = CellAt(row, column);
    const float value = map_.grid.At(row, column);
    const Rgb color = std::isfinite(value) ? ColorAt(scale_.Position(value)) : kNoNumber;
    picture_.Fill(cell, color);
    if (!layout_.numbered) return;
    const std::string number = Percent(value);
    picture_.Write(font_, cell.x + (cell.width - font_.Width(number)) / 2,
                   Middle(cell.y, cell.height), number, InkOn(color));
  }

  void DrawLegend() {
    const Box below = CellAt(map_.grid.row_names.size(), 0);
    const int width = std::min(layout_.cell_width * static_cast<int>(map_.grid.column_names.size()),
                               kMapWidth / 2);
    const int top = below.y + 2 * kGap;
    for (int x = 0; x < width; ++x) {
      picture_.Fill({.x = below.x + x, .y = top, .width = 1, .height = kLegendHeight},
                    ColorAt(static_cast<double>(x) / std::max(width - 1, 1)));
    }
    const int baseline = top + kLegendHeight + kGap + font_.pixels() - kGap;
    const std::string high = absl::StrCat(Percent(scale_.high), " %");
    picture_.Write(font_, below.x, baseline, absl::StrCat(Percent(scale_.low), " %"), kFaint);
    picture_.Write(font_, below.x + width - font_.Width(high), baseline, high, kFaint);
  }

  const AttentionMap& map_;
  const Layout& layout_;
  const Font& font_;
  Picture& picture_;
  const ColorScale scale_;
  const int left_, top_, cells_left_, cells_top_;
};

}  // namespace

absl::StatusOr<std::string> ExplainPicture(const RequestFile& file, const AttentionMaps& maps) {
  const Font title_font(kTitlePixels), font(kTextPixels);
  const Layout layout = LayoutFor(maps, font);
  const auto count = static_cast<int>(maps.maps.size());
  // The maps form a grid that is about square.
  const int across = std::max(1, static_cast<int>(std::ceil(std::sqrt(count))));
  const int down = (count + across - 1) / across;
  const std::string title = EscapeControls(file.title);
  const std::string note = LeftOutNote(maps);
  const int title_height = title.empty() ? 0 : kMargin + kTitlePixels;
  const int note_height = note.empty() ? 0 : kMargin + kTextPixels;
  const int64_t width =
      std::max(across * layout.width, int64_t{title_font.Width(title) + 2 * kMargin});
  const int64_t height = down * layout.height + title_height + note_height;
  if (width * height > kMostPixels) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the picture would have ", width, " x ", height, " pixels; want at most ", kMostPixels,
        ": explain fewer tokens, fewer query_indices, or one head by a probe"));
  }
  Picture picture(static_cast<int>(width), static_cast<int>(height));
  picture.Write(title_font, kMargin, kMargin + kTitlePixels - kGap, title, kInk);
  for (int i = 0; i < count; ++i) {
    const auto x = static_cast<int>(i % across * layout.width);
    const auto y = static_cast<int>(title_height + i / across * layout.height);
    MapDrawing(maps.maps[static_cast<size_t>(i)], layout, font, x, y, picture).Draw();
  }
  picture.Write(font, kMargin, picture.height() - kMargin, absl::StripSuffix(note, "\n"), kFaint);
  return picture.Png();
}

}  // namespace attention::client
