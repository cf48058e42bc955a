#ifndef ATTENTION_SERVER_OPS_METRICS_H_
#define ATTENTION_SERVER_OPS_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attention::ops {

// What a server has done and how it stands, as Prometheus scrapes it. Names follow Prometheus's
// conventions: base units (seconds, bytes), `_total` for counters. Thread-safe.
//
// The lock guards the list of methods; what is counted guards itself, by locks of the library that
// are taken after this one. Text does not take it, so a scrape holds up no call.
class Metrics {
 public:
  // One call that was answered.
  struct Call {
    absl::string_view method;                       // one of the .proto's: a label
    absl::StatusCode code = absl::StatusCode::kOk;  // of the answer: "RESOURCE_EXHAUSTED", a label
    absl::Duration total, queue, compute;
    bool was_computed = false;  // else there is neither queue nor compute
  };
  // One batch that ran.
  struct Batch {
    int64_t calls = 0;
    int64_t tokens = 0;
    absl::Duration wasted;  // computing for callers who had left
  };
  // How things stand when they are scraped.
  struct Levels {
    int64_t waiting_calls = 0;
    int64_t running_batches = 0;
    int64_t message_bytes = 0;
    double working_bytes = 0;
    double flop_per_second = 0;
    absl::Duration oldest_waits;
    int64_t resident_layers = 0;
    int64_t layer_bytes = 0;
    int64_t memory_budget_bytes = 0;
    int64_t compute_threads = 0;
  };
  // Constants of the process: labels of attention_build_info.
  struct Build {
    std::string version, isa, onednn;
  };

  // `levels` is called by Text.
  Metrics(const Build& build, absl::AnyInvocable<Levels() const> levels);

  void Observe(const Call& call);
  void Observe(const Batch& batch);
  void CountDenied() { denied_.Increment(); }    // a call that the policy refused
  void CountStalled() { stalled_.Increment(); }  // a call whose peer was given up

  // All metrics in Prometheus's text format.
  std::string Text() const;

 private:
  // What is counted of one method; kept, since the families look it up by maps of texts.
  struct OfMethod {
    prometheus::Histogram *total, *queue, *compute;
    std::map<absl::StatusCode, prometheus::Counter*> calls;
  };
  OfMethod& FindOrAdd(absl::string_view method) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Build build_;
  const absl::AnyInvocable<Levels() const> levels_;
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& calls_;
  prometheus::Family<prometheus::Histogram>&total_, &queue_, &compute_;
  prometheus::Counter &tokens_, &wasted_, &denied_, &stalled_;
  prometheus::Histogram &batch_calls_, &batch_tokens_;
  absl::Mutex mutex_;
  std::map<std::string, OfMethod, std::less<>> methods_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attention::ops

#endif  // ATTENTION_SERVER_OPS_METRICS_H_
