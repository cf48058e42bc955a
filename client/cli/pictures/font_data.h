#ifndef ATTENTION_CLIENT_CLI_PICTURES_FONT_DATA_H_
#define ATTENTION_CLIENT_CLI_PICTURES_FONT_DATA_H_

#include <cstddef>
#include <cstdint>

namespace attention::client {

// The bytes of the font DejaVu Sans Condensed (https://dejavu-fonts.github.io, free to embed), from
// Debian's fonts-dejavu-core at build time.
const uint8_t* FontData();
size_t FontBytes();

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_PICTURES_FONT_DATA_H_
