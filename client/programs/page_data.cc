#include "client/programs/page_data.h"

#include "absl/strings/str_replace.h"

namespace attention::client {

std::string PageWithData(absl::string_view page, absl::string_view json) {
  // Without "<" the data cannot contain anything that HTML interprets.
  return absl::StrReplaceAll(page, {{"PAGE_DATA", absl::StrReplaceAll(json, {{"<", "\\u003c"}})}});
}

}  // namespace attention::client
