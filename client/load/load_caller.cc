#include "client/load/load_caller.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "client/call_status.h"

namespace attention::client {
namespace {

// Answers of up to this size are parsed. Larger ones would take time that disturbs the measurement,
// so of these only the status is used.
constexpr size_t kMostReadBytes = 64 << 10;
constexpr absl::Duration kLatestCancel = absl::Milliseconds(20);

const std::string& MethodOf(const LoadRequest& request) {
  static const std::string kEncode = "/attention.v1.EncoderService/Encode";
  static const std::string kCompute = "/attention.v1.AttentionService/ComputeAttention";
  return request.is_encode ? kEncode : kCompute;
}

// Reads the answer into `end`; returns false if it is not a valid message.
template <typename Response>
bool Read(const grpc::ByteBuffer& bytes, size_t want, CallEnd& end) {
  Response response;
  grpc::ByteBuffer copy = bytes;  // copies references, not bytes
  if (!grpc::SerializationTraits<Response>::Deserialize(&copy, &response).ok()) return false;
  end.timing = response.timing();
  end.is_wrong = want != 0 && OutputDigest(response) != want;
  return true;
}

}  // namespace

struct LoadCaller::InFlight {
  const LoadRequest* request;
  CallEnd end;
  absl::Time deadline;
  std::shared_ptr<grpc::ClientContext> context;  // of the current attempt
  grpc::ByteBuffer response;
  std::function<void()> done;
};

LoadCaller::LoadCaller(Shared& shared, uint64_t seed)
    : shared_(shared), random_(seed), next_target_(seed % shared.targets.size()) {}

Intent LoadCaller::DrawIntent() {
  const double cancelled = shared_.options.cancelled_share;
  const double either = cancelled + shared_.options.invalid_share;
  if (either == 0) return Intent::kAnswer;
  const double drawn = std::uniform_real_distribution<double>()(random_);
  if (drawn < cancelled) return Intent::kCancel;
  return drawn < either ? Intent::kBeRefused : Intent::kAnswer;
}

CallEnd LoadCaller::EndOf(const InFlight& call, const absl::Status& status) {
  CallEnd end = call.end;
  end.ended = std::chrono::steady_clock::now();
  end.code = static_cast<grpc::StatusCode>(status.code());
  end.message = std::string(status.message());
  end.tokens = call.request->tokens;
  const size_t want = call.request->want;
  if (!status.ok() || (want == 0 && call.response.Length() > kMostReadBytes)) return end;
  const bool read = call.request->is_encode
                        ? Read<v1::EncodeResponse>(call.response, want, end)
                        : Read<v1::ComputeAttentionResponse>(call.response, want, end);
  end.is_wrong = end.is_wrong || !read;
  return end;
}

grpc::GenericStub& LoadCaller::NextStub() {
  const size_t count = shared_.targets.size();
  size_t next = next_target_++ % count;
  for (size_t i = 1; i < count && shared_.options.retry; ++i) {
    const auto state = shared_.targets[next].channel->GetState(/*try_to_connect=*/true);
    if (state != GRPC_CHANNEL_TRANSIENT_FAILURE && state != GRPC_CHANNEL_CONNECTING) break;
    next = next_target_++ % count;
  }
  return *shared_.targets[next].stub;
}

void LoadCaller::Call(SteadyTime intended, std::function<void()> done) {
  auto call = std::make_unique<InFlight>();
  call->end.intent = DrawIntent();
  call->end.intended = intended;
  const LoadRequests& requests = shared_.requests;
  call->request = call->end.intent == Intent::kBeRefused
                      ? &requests.invalid
                      : &requests.valid[random_() % requests.valid.size()];
  call->deadline = absl::Now() + shared_.options.timeout;
  call->context = std::make_shared<grpc::ClientContext>();
  call->done = std::move(done);
  if (call->end.intent == Intent::kCancel) {
    const double part = std::uniform_real_distribution<double>()(random_);
    shared_.timer.After(part * kLatestCancel, [context = call->context] { context->TryCancel(); });
  }
  Start(std::move(call));
}

void LoadCaller::Start(std::unique_ptr<InFlight> call) {
  call->context->set_deadline(absl::ToChronoTime(call->deadline));
  InFlight* const own = call.release();  // the callback owns it, and is always called
  NextStub().UnaryCall(own->context.get(), MethodOf(*own->request), {}, &own->request->message,
                       &own->response, [this, own](const grpc::Status& status) {
                         Ended(std::unique_ptr<InFlight>(own), FromGrpcStatus(status));
                       });
}

void LoadCaller::Ended(std::unique_ptr<InFlight> call, const absl::Status& status) {
  if (shared_.options.retry && call->end.intent == Intent::kAnswer) {
    if (status.ok()) shared_.retries.CountSuccess();
    const int failures = call->end.retries + 1;
    const auto wait = status.ok()
                          ? std::nullopt
                          : shared_.retries.NextWait(status, PushbackOf(*call->context), failures);
    if (wait.has_value() && absl::Now() + *wait < call->deadline) {
      ++call->end.retries;
      call->context = std::make_shared<grpc::ClientContext>();
      call->response.Clear();
      shared_.timer.After(*wait,
                          [this, own = call.release()] { Start(std::unique_ptr<InFlight>(own)); });
      return;
    }
  }
  shared_.recorder.Add(EndOf(*call, status));
  // The last call may end the test and with it the channels. The call's context holds a channel,
  // which must not be destroyed on this thread of gRPC, so the call is destroyed first.
  const std::function<void()> done = std::move(call->done);
  call.reset();
  done();
}

absl::StatusOr<std::vector<LoadCaller::Target>> ConnectAll(const LoadOptions& options,
                                                           const Credentials& credentials) {
  std::vector<LoadCaller::Target> targets;
  for (int i = 0; i < options.connections; ++i) {
    for (const std::string& target : options.targets) {
      auto channel = CreateChannel({.target = target, .health_checks = false, .tls = options.tls},
                                   credentials, ConnectionKind::kOwn);
      if (!channel.ok()) return channel.status();
      auto stub = std::make_unique<grpc::GenericStub>(*channel);
      targets.push_back({.channel = *std::move(channel), .stub = std::move(stub)});
    }
  }
  return targets;
}

}  // namespace attention::client
