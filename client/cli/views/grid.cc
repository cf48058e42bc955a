#include "client/cli/views/grid.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/display_text.h"

namespace attention::client {
namespace {

// About two screens of lines, and the columns that a wide terminal has room for.
constexpr size_t kMaxRows = 64;
constexpr size_t kMaxColumns = 32;

constexpr float kFixedPointBelow = 1e5f;

bool FitsFixedPoint(absl::Span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) {
    return !std::isfinite(value) || std::abs(value) < kFixedPointBelow;
  });
}

}  // namespace

size_t Grid::ShownRows() const { return std::min(row_names.size(), kMaxRows); }

size_t Grid::ShownColumns() const { return std::min(column_names.size(), kMaxColumns); }

size_t RowNameWidth(const Grid& grid) {
  size_t width = 0;
  for (size_t i = 0; i < grid.ShownRows(); ++i) {
    width = std::max(width, DisplayWidth(grid.row_names[i]));
  }
  return std::min(width, kMaxNameColumns);
}

std::string ShownNote(const Grid& grid) {
  const size_t rows = grid.row_names.size();
  const size_t columns = grid.column_names.size();
  if (grid.ShownRows() == rows && grid.ShownColumns() == columns) return "";
  return absl::StrFormat("(%d of %d rows, %d of %d columns; attend --json has them all)\n",
                         grid.ShownRows(), rows, grid.ShownColumns(), columns);
}

std::string FormatTable(const Grid& grid) {
  const bool fixed = FitsFixedPoint(grid.values);
  const size_t rows = grid.ShownRows();
  const size_t columns = grid.ShownColumns();
  std::vector<std::string> cells;  // [rows, columns]
  std::vector<size_t> widths;      // [columns]
  for (size_t j = 0; j < columns; ++j) {
    widths.push_back(std::min(DisplayWidth(grid.column_names[j]), kMaxNameColumns));
  }
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      cells.push_back(fixed ? absl::StrFormat("%.4f", grid.At(i, j))
                            : absl::StrFormat("%.4e", grid.At(i, j)));
      widths[j] = std::max(widths[j], cells.back().size());
    }
  }

  const size_t name_width = RowNameWidth(grid);
  std::string table(name_width, ' ');
  for (size_t j = 0; j < columns; ++j) {
    const std::string name = Shorten(grid.column_names[j], kMaxNameColumns);
    absl::StrAppend(&table, "  ", AlignRight(name, widths[j]));
  }
  absl::StrAppend(&table, "\n");
  for (size_t i = 0; i < rows; ++i) {
    absl::StrAppend(&table, AlignRight(Shorten(grid.row_names[i], kMaxNameColumns), name_width));
    for (size_t j = 0; j < columns; ++j) {
      absl::StrAppend(&table, "  ", AlignRight(cells[i * columns + j], widths[j]));
    }
    absl::StrAppend(&table, "\n");
  }
  return absl::StrCat(table, ShownNote(grid));
}

}  // namespace attention::client
