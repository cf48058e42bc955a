#ifndef ATTENTION_CLIENT_CLI_VIEWS_HEAT_MAP_H_
#define ATTENTION_CLIENT_CLI_VIEWS_HEAT_MAP_H_

#include <string>

#include "client/cli/views/grid.h"

namespace attention::client {

// How a heat map shows what is large.
enum class Shading {
  kColor,       // 24-bit ANSI background colours
  kCharacters,  // " ░▒▓█" beside the numbers, for files, pipes and NO_COLOR
};

// The grid as a heat map: each cell has its number in percent and is shaded from the smallest value
// (0, unless there are negative ones) to the largest, a legend below. NaN and infinities are not
// shaded. Of a large grid the upper left part, and a line that says so. Each line ends with '\n'.
std::string FormatHeatMap(const Grid& grid, Shading shading);

// A weight in percent: 0.1528 is "15.3".
std::string Percent(float weight);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_HEAT_MAP_H_
