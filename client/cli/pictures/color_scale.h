#ifndef ATTENTION_CLIENT_CLI_PICTURES_COLOR_SCALE_H_
#define ATTENTION_CLIENT_CLI_PICTURES_COLOR_SCALE_H_

#include "absl/types/span.h"

// Which colour shows which number of a heat map.
namespace attention::client {

// From the smallest number (0, unless there are negative ones) to the largest.
struct ColorScale {
  float low = 0;
  float high = 0;

  // Where the value lies on the scale, 0 to 1. In double, where high - low cannot overflow.
  double Position(double value) const {
    return high > low ? (value - low) / (static_cast<double>(high) - low) : 0;
  }
};

// That of the finite ones among the values.
ColorScale ScaleOf(absl::Span<const float> values);

struct Rgb {  // each 0 to 255
  int red = 0;
  int green = 0;
  int blue = 0;

  friend bool operator==(const Rgb&, const Rgb&) = default;
};

// The colour of a position, which is cut to 0 to 1. The viridis map (van der Walt and Smith, 2015)
// at quarters: even to the eye, and told apart by people who do not see all colours.
Rgb ColorAt(double position);

// Black or white, whichever is easier to read on a colour.
Rgb InkOn(Rgb color);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_PICTURES_COLOR_SCALE_H_
