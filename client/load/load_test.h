#ifndef ATTENTION_CLIENT_LOAD_LOAD_TEST_H_
#define ATTENTION_CLIENT_LOAD_LOAD_TEST_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/load/load_options.h"
#include "client/load/load_result.h"
#include "client/load/progress_watch.h"

namespace attention::client {

// What is asked for that cannot be. INVALID_ARGUMENT, with words for the user.
absl::Status CheckLoadOptions(const LoadOptions& options);

// A load test that was made.
struct LoadRun {
  LoadOptions options;
  LoadResult result;
};

// Loads the servers as the options say and waits until all calls have ended: the duration, the
// warm-up and at most the timeout of a call. Fails as CheckLoadOptions, CreateChannel and
// MakeLoadRequests do; calls that fail under load are part of the result.
// `on_progress` is told once a second meanwhile, on another thread.
absl::StatusOr<LoadRun> RunLoadTest(const LoadOptions& options, OnProgress on_progress = nullptr);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_TEST_H_
