#include "client/load/canceller.h"

#include <utility>
#include <vector>

#include "absl/time/clock.h"

namespace attention::client {

Canceller::Canceller() : thread_([this] { Work(); }) {}

Canceller::~Canceller() {
  {
    const absl::MutexLock lock(&mutex_);
    end_ = true;
  }
  thread_.join();
}

void Canceller::CancelAt(absl::Time when, std::shared_ptr<grpc::ClientContext> context) {
  const absl::MutexLock lock(&mutex_);
  const auto place = due_.emplace(when, std::move(context));
  news_ = news_ || place == due_.begin();
}

void Canceller::Work() {
  for (;;) {
    std::vector<std::shared_ptr<grpc::ClientContext>> now;
    {
      const absl::MutexLock lock(&mutex_);
      const absl::Time next = due_.empty() ? absl::InfiniteFuture() : due_.begin()->first;
      mutex_.AwaitWithDeadline(absl::Condition(this, &Canceller::HasNews), next);
      if (end_) return;
      news_ = false;
      const auto later = due_.upper_bound(absl::Now());
      for (auto it = due_.begin(); it != later; ++it) now.push_back(std::move(it->second));
      due_.erase(due_.begin(), later);
    }
    for (const auto& context : now) context->TryCancel();
  }
}

}  // namespace attention::client
