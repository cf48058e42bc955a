#ifndef ATTENTION_CLIENT_LOAD_LOAD_REPORT_H_
#define ATTENTION_CLIENT_LOAD_LOAD_REPORT_H_

#include <string>

#include "absl/types/span.h"
#include "client/load/load_test.h"

namespace attention::client {

// Returns the results of a run as some lines of text for people.
std::string LoadText(const LoadRun& run);

// Returns the results of a run as one JSON object on one line. Durations are in milliseconds, and
// their names end with _ms. "histogram" has the latencies as pairs [upper end in milliseconds,
// number of calls].
std::string LoadJson(const LoadRun& run);

// Returns CSV (RFC 4180): a line of names, and one line for each run.
std::string LoadCsv(absl::Span<const LoadRun> runs);

// Returns one HTML page that needs no other file: a table of the runs, latency against throughput,
// and for each run its histogram and its course over time.
std::string LoadPage(absl::Span<const LoadRun> runs);

// Returns one line that shows how far the run is, and its last second.
std::string LoadProgressText(absl::Duration since_start, const LoadProgress& last);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_REPORT_H_
