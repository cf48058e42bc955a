#include "client/cli/views/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/display_text.h"
#include "client/cli/pictures/color_scale.h"

namespace attention::client {
namespace {

constexpr char kResetColor[] = "\x1b[0m";
// The number of cells of the legend: enough for the eye to see a gradient.
constexpr int kLegendCells = 24;

// Writes the text on its colour, in black or white, whichever is easier to read.
std::string Colored(const std::string& text, double position) {
  const Rgb rgb = ColorAt(position);
  const Rgb ink = InkOn(rgb);
  return absl::StrFormat("\x1b[48;2;%d;%d;%dm\x1b[38;2;%d;%d;%dm%s%s", rgb.red, rgb.green, rgb.blue,
                         ink.red, ink.green, ink.blue, text, kResetColor);
}

// The columns of the shade beside the number of a cell.
constexpr size_t kShadeColumns = 2;
constexpr std::array<const char*, 5> kShades = {" ", "░", "▒", "▓", "█"};

const char* ShadeAt(double position) {
  const auto level = static_cast<size_t>(std::clamp(position, 0.0, 1.0) * kShades.size());
  return kShades[std::min(level, kShades.size() - 1)];
}

// One cell, `width` columns.
std::string Cell(float value, const ColorScale& scale, size_t width, Shading shading) {
  const std::string number = Percent(value);
  const bool shaded = std::isfinite(value);
  if (shading == Shading::kColor) {
    const std::string text = absl::StrCat(AlignRight(number, width - 1), " ");
    return shaded ? Colored(text, scale.Position(value)) : text;
  }
  std::string shade;
  for (size_t i = 0; i < kShadeColumns; ++i) {
    absl::StrAppend(&shade, shaded ? ShadeAt(scale.Position(value)) : " ");
  }
  return AlignRight(absl::StrCat(shade, " ", number), width);
}

std::string Legend(const ColorScale& scale, Shading shading) {
  std::string gradient;
  if (shading == Shading::kColor) {
    for (int i = 0; i < kLegendCells; ++i) {
      absl::StrAppend(&gradient, Colored(" ", static_cast<double>(i) / (kLegendCells - 1)));
    }
  } else {
    for (const char* shade : kShades) absl::StrAppend(&gradient, shade, shade);
    gradient = absl::StrCat("[", gradient, "]");
  }
  return absl::StrCat("scale: ", Percent(scale.low), " % ", gradient, " ", Percent(scale.high),
                      " %\n");
}

// Returns the width of each column: that of its name or of its widest number, and the space around
// it.
std::vector<size_t> CellWidths(const Grid& grid, Shading shading) {
  const bool color = shading == Shading::kColor;
  const size_t name_room = color ? 2 : 1;                    // a space on both sides, or one before
  const size_t number_room = color ? 2 : kShadeColumns + 2;  // the same, with the shade
  std::vector<size_t> widths;
  for (size_t j = 0; j < grid.ShownColumns(); ++j) {
    size_t width = name_room + std::min(DisplayWidth(grid.column_names[j]), kMaxNameColumns);
    for (size_t i = 0; i < grid.ShownRows(); ++i) {
      width = std::max(width, number_room + Percent(grid.At(i, j)).size());
    }
    widths.push_back(width);
  }
  return widths;
}

}  // namespace

std::string Percent(float weight) {
  const double percent = 100.0 * static_cast<double>(weight);
  if (!std::isfinite(percent)) return absl::StrFormat("%g", percent);
  return std::abs(percent) < 1e5 ? absl::StrFormat("%.1f", percent)
                                 : absl::StrFormat("%.1e", percent);
}

std::string FormatHeatMap(const Grid& grid, Shading shading) {
  const ColorScale scale = ScaleOf(grid.values);
  const std::vector<size_t> widths = CellWidths(grid, shading);
  const size_t name_width = RowNameWidth(grid);
  // A coloured cell has a coloured space on both sides of its number, a plain cell has a space
  // before it. So only coloured cells need another space between the name and the cell.
  const std::string margin(shading == Shading::kColor ? 1 : 0, ' ');

  std::string map(name_width + margin.size(), ' ');
  for (size_t j = 0; j < grid.ShownColumns(); ++j) {
    const std::string name = Shorten(grid.column_names[j], kMaxNameColumns);
    absl::StrAppend(&map, AlignRight(name, widths[j] - margin.size()), margin);
  }
  absl::StrAppend(&map, "\n");
  for (size_t i = 0; i < grid.ShownRows(); ++i) {
    const std::string name = Shorten(grid.row_names[i], kMaxNameColumns);
    absl::StrAppend(&map, AlignRight(name, name_width), margin);
    for (size_t j = 0; j < grid.ShownColumns(); ++j) {
      absl::StrAppend(&map, Cell(grid.At(i, j), scale, widths[j], shading));
    }
    // The name stands again at the end, because the eye loses the line on a wide map.
    absl::StrAppend(&map, " ", name, "\n");
  }
  return absl::StrCat(map, ShownNote(grid), Legend(scale, shading));
}

}  // namespace attention::client
