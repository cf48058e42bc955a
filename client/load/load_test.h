#ifndef ATTENTION_CLIENT_LOAD_LOAD_TEST_H_
#define ATTENTION_CLIENT_LOAD_LOAD_TEST_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/load/load_options.h"
#include "client/load/load_result.h"
#include "client/load/progress_watch.h"

namespace attention::client {

// INVALID_ARGUMENT, with a message for the user, if the options ask for something impossible.
absl::Status CheckLoadOptions(const LoadOptions& options);

// A load test that was run.
struct LoadRun {
  LoadOptions options;
  LoadResult result;
};

// Runs the load test of the options and waits until all calls have ended. It takes the warm-up, the
// duration and at most the timeout of a call. Fails as CheckLoadOptions, CreateChannel and
// MakeLoadRequests do; calls that fail under load are part of the result. `on_progress` is called
// once a second during the test, on another thread.
absl::StatusOr<LoadRun> RunLoadTest(const LoadOptions& options, OnProgress on_progress = nullptr);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_TEST_H_
