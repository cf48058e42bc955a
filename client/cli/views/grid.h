#ifndef ATTENTION_CLIENT_CLI_VIEWS_GRID_H_
#define ATTENTION_CLIENT_CLI_VIEWS_GRID_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace attention::client {

// A matrix with names for its rows and columns, which a table or a heat map shows. Names must be
// free of control characters (display_text.h). Does not own the numbers.
struct Grid {
  absl::Span<const float> values = {};  // [row_names.size(), column_names.size()], row-major
  std::vector<std::string> row_names;
  std::vector<std::string> column_names;

  float At(size_t row, size_t column) const { return values[row * column_names.size() + column]; }
  // How many rows and columns are shown: as many as people can read.
  size_t ShownRows() const;
  size_t ShownColumns() const;
};

// Longer names of rows and columns are cut to this number of terminal columns.
inline constexpr size_t kMaxNameColumns = 16;

// Formats the grid as an aligned table, with the column names right-aligned in a line above it.
// Every number has four decimals, or all have five digits if one is 100000 or more. Of a large grid
// only the upper left part is shown, and a line says so. Each line ends with '\n'.
std::string FormatTable(const Grid& grid);

// The terminal columns that the row names take, at most kMaxNameColumns.
size_t RowNameWidth(const Grid& grid);

// Returns "" if the whole grid is shown, otherwise a line that says how much of it is.
std::string ShownNote(const Grid& grid);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_GRID_H_
