#ifndef ATTENTION_CLIENT_PROGRAMS_PAGE_DATA_H_
#define ATTENTION_CLIENT_PROGRAMS_PAGE_DATA_H_

#include <string>

#include "absl/strings/string_view.h"

namespace attention::client {

// Returns an HTML page with `json` in place of "PAGE_DATA", which stands in a script element of
// type application/json. No text in `json` can end the script element.
std::string PageWithData(absl::string_view page, absl::string_view json);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_PROGRAMS_PAGE_DATA_H_
