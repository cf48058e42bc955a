#include "client/cli/pictures/color_scale.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace attention::client {

ColorScale ScaleOf(absl::Span<const float> values) {
  ColorScale scale;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    scale.low = std::min(scale.low, value);
    scale.high = std::max(scale.high, value);
  }
  return scale;
}

Rgb ColorAt(double position) {
  constexpr std::array<Rgb, 5> kAnchors = {
      {{68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}}};
  const double scaled = std::clamp(position, 0.0, 1.0) * (kAnchors.size() - 1);
  const size_t below = std::min(static_cast<size_t>(scaled), kAnchors.size() - 2);
  const double part = scaled - static_cast<double>(below);
  const auto mix = [part](int from, int to) {
    return static_cast<int>(std::lround(from + part * (to - from)));
  };
  const Rgb& from = kAnchors[below];
  const Rgb& to = kAnchors[below + 1];
  return {mix(from.red, to.red), mix(from.green, to.green), mix(from.blue, to.blue)};
}

Rgb InkOn(Rgb color) {
  // The luma of Rec. 601, 0 to 255.
  const double luma = 0.299 * color.red + 0.587 * color.green + 0.114 * color.blue;
  return luma > 128 ? Rgb{0, 0, 0} : Rgb{255, 255, 255};
}

}  // namespace attention::client
