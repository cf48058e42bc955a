#ifndef ATTENTION_CLIENT_LOAD_LOAD_REPORT_H_
#define ATTENTION_CLIENT_LOAD_LOAD_REPORT_H_

#include <string>

#include "client/load/load_options.h"
#include "client/load/load_result.h"

namespace attention::client {

// For a person to read, some lines.
std::string LoadText(const LoadOptions& options, const LoadResult& result);

// One JSON object, one line. Durations are milliseconds, and end with _ms.
std::string LoadJson(const LoadOptions& options, const LoadResult& result);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_REPORT_H_
