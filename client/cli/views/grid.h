#ifndef ATTENTION_CLIENT_CLI_VIEWS_GRID_H_
#define ATTENTION_CLIENT_CLI_VIEWS_GRID_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace attention::client {

// A matrix and what its rows and columns are called; what a table or a heat map shows. Names are
// free of control characters (display_text.h). Does not own the numbers.
struct Grid {
  absl::Span<const float> values = {};  // [row_names.size(), column_names.size()], row-major
  std::vector<std::string> row_names;
  std::vector<std::string> column_names;

  float At(size_t row, size_t column) const { return values[row * column_names.size() + column]; }
  // How much of it is shown: what people can still read.
  size_t ShownRows() const;
  size_t ShownColumns() const;
};

// Longer names are cut, in row and column heads alike.
inline constexpr size_t kMaxNameColumns = 16;

// The grid as an aligned table, names to the right of their column, with the first names in a line
// above it. Every number has four decimals, or all have five digits where one is 100000 or more. Of
// a large grid the upper left part, and a line that says so. Each line ends with '\n'.
std::string FormatTable(const Grid& grid);

// The columns that the row names take, cut to kMaxNameColumns.
size_t RowNameWidth(const Grid& grid);

// "" when all is shown, else a line that says how much is.
std::string ShownNote(const Grid& grid);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_GRID_H_
