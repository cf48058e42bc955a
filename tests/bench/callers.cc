#include "tests/bench/callers.h"

#include <grpcpp/create_channel.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"

namespace attention {

// Runs on gRPC's threads: a call's answer starts the next one.
class Callers::Caller {
 public:
  Caller(v1::AttentionService::Stub& stub, const v1::ComputeAttentionRequest& request)
      : stub_(stub), request_(request) {}

  void CallUntil(absl::Time end, absl::BlockingCounter& done) {
    end_ = end;
    done_ = &done;
    calls_ = 0;
    Call();
  }
  int64_t calls() const { return calls_; }

 private:
  void Call() {
    context_.emplace();
    stub_.async()->ComputeAttention(&*context_, &request_, &response_,
                                    [this](const grpc::Status& status) { OnAnswer(status); });
  }
  void OnAnswer(const grpc::Status& status) {
    if (!status.ok()) {
      std::fprintf(stderr, "a call failed: %s\n", status.error_message().c_str());
      std::_Exit(1);
    }
    ++calls_;
    if (absl::Now() < end_) return Call();
    done_->DecrementCount();
  }

  v1::AttentionService::Stub& stub_;
  const v1::ComputeAttentionRequest& request_;
  std::optional<grpc::ClientContext> context_;
  v1::ComputeAttentionResponse response_;
  absl::Time end_;
  absl::BlockingCounter* done_ = nullptr;
  int64_t calls_ = 0;
};

Callers::Callers(const std::string& address, int callers,
                 const v1::ComputeAttentionRequest& request) {
  constexpr int kOfOneConnection = 4;
  for (int i = 0; i < callers; ++i) {
    if (i % kOfOneConnection == 0) {
      grpc::ChannelArguments arguments;
      arguments.SetMaxReceiveMessageSize(-1);
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      stubs_.push_back(v1::AttentionService::NewStub(
          grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
    }
    callers_.push_back(std::make_unique<Caller>(*stubs_.back(), request));
  }
}

Callers::~Callers() = default;

Callers::Answered Callers::CallFor(absl::Duration how_long) {
  absl::BlockingCounter done(static_cast<int>(callers_.size()));
  const absl::Time start = absl::Now();
  for (const auto& caller : callers_) caller->CallUntil(start + how_long, done);
  done.Wait();
  Answered answered = {.calls = 0, .seconds = absl::ToDoubleSeconds(absl::Now() - start)};
  for (const auto& caller : callers_) answered.calls += caller->calls();
  return answered;
}

}  // namespace attention
