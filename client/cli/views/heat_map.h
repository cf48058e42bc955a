#ifndef ATTENTION_CLIENT_CLI_VIEWS_HEAT_MAP_H_
#define ATTENTION_CLIENT_CLI_VIEWS_HEAT_MAP_H_

#include <string>

#include "client/cli/views/grid.h"

namespace attention::client {

// How a heat map shows which numbers are large.
enum class Shading {
  kColor,       // 24-bit ANSI background colours
  kCharacters,  // " ░▒▓█" beside the numbers, for files, pipes and NO_COLOR
};

// Formats the grid as a heat map with a legend below. Each cell has its number in percent and is
// shaded on a scale from the smallest value (0, unless there are negative ones) to the largest. NaN
// and infinities are not shaded. Of a large grid only the upper left part is shown, and a line says
// so. Each line ends with '\n'.
std::string FormatHeatMap(const Grid& grid, Shading shading);

// Formats a weight in percent: 0.1528 is "15.3".
std::string Percent(float weight);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_VIEWS_HEAT_MAP_H_
