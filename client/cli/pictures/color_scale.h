#ifndef ATTENTION_CLIENT_CLI_PICTURES_COLOR_SCALE_H_
#define ATTENTION_CLIENT_CLI_PICTURES_COLOR_SCALE_H_

#include "absl/types/span.h"

// Maps the numbers of a heat map to colours.
namespace attention::client {

// The range of a heat map, from the smallest number (0, unless there are negative ones) to the
// largest.
struct ColorScale {
  float low = 0;
  float high = 0;

  // The value's position on the scale, 0 to 1. It is computed in double, so that high - low cannot
  // overflow.
  double Position(double value) const {
    return high > low ? (value - low) / (static_cast<double>(high) - low) : 0;
  }
};

// Returns the scale of the finite numbers among the values.
ColorScale ScaleOf(absl::Span<const float> values);

struct Rgb {  // each 0 to 255
  int red = 0;
  int green = 0;
  int blue = 0;

  friend bool operator==(const Rgb&, const Rgb&) = default;
};

// Returns the colour of a position, which is clamped to 0 to 1. The colours interpolate the viridis
// map (van der Walt and Smith, 2015) between its quarters. It looks even to the eye, and
// colour-blind people can read it.
Rgb ColorAt(double position);

// Returns black or white, whichever is easier to read on this colour.
Rgb InkOn(Rgb color);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_PICTURES_COLOR_SCALE_H_
