#ifndef ATTENTION_CLIENT_CLI_PICTURES_FONT_DATA_H_
#define ATTENTION_CLIENT_CLI_PICTURES_FONT_DATA_H_

#include <cstddef>
#include <cstdint>

namespace attention::client {

// DejaVu Sans Condensed (https://dejavu-fonts.github.io, free to embed), of Debian's
// fonts-dejavu-core when this was built.
const uint8_t* FontData();
size_t FontBytes();

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_PICTURES_FONT_DATA_H_
