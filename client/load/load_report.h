#ifndef ATTENTION_CLIENT_LOAD_LOAD_REPORT_H_
#define ATTENTION_CLIENT_LOAD_LOAD_REPORT_H_

#include <string>

#include "absl/types/span.h"
#include "client/load/load_test.h"

namespace attention::client {

// For a person to read, some lines.
std::string LoadText(const LoadRun& run);

// One JSON object, one line. Durations are milliseconds, and end with _ms. "histogram" are the
// latencies: [up to so many milliseconds, calls].
std::string LoadJson(const LoadRun& run);

// A line of names, and one for each run (RFC 4180).
std::string LoadCsv(absl::Span<const LoadRun> runs);

// One HTML page that needs nothing else: a table of the runs, latency against throughput, and of
// each run its histogram and its seconds.
std::string LoadPage(absl::Span<const LoadRun> runs);

// One line for those who watch: how far the run is, and its last second.
std::string LoadProgressText(absl::Duration since_start, const LoadProgress& last);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_REPORT_H_
