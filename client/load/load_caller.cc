#include "client/load/load_caller.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/time/clock.h"

namespace attention::client {
namespace {

// Answers up to so large are all read; of larger ones, whose reading would cost the time that is to
// be measured, nothing but how they ended.
constexpr size_t kMostReadBytes = 64 << 10;
constexpr absl::Duration kLatestCancel = absl::Milliseconds(20);

const std::string& MethodOf(const LoadRequest& request) {
  static const std::string kEncode = "/attention.v1.AttentionService/Encode";
  static const std::string kCompute = "/attention.v1.AttentionService/ComputeAttention";
  return request.is_encode ? kEncode : kCompute;
}

// What the answer says; false where it is no message.
template <typename Response>
bool Read(const grpc::ByteBuffer& bytes, size_t want, CallEnd& end) {
  Response response;
  grpc::ByteBuffer copy = bytes;  // of references
  if (!grpc::SerializationTraits<Response>::Deserialize(&copy, &response).ok()) return false;
  end.timing = response.timing();
  end.is_wrong = want != 0 && OutputDigest(response) != want;
  return true;
}

}  // namespace

struct LoadCaller::InFlight {
  const LoadRequest* request;
  CallEnd end;
  std::shared_ptr<grpc::ClientContext> context = std::make_shared<grpc::ClientContext>();
  grpc::ByteBuffer response;
  std::function<void()> done;
};

LoadCaller::LoadCaller(const LoadOptions& options, const LoadRequests& requests, Stubs& stubs,
                       Canceller& canceller, LoadRecorder& recorder, uint64_t seed)
    : options_(options),
      requests_(requests),
      stubs_(stubs),
      canceller_(canceller),
      recorder_(recorder),
      random_(seed),
      next_stub_(seed % stubs.size()) {}

Intent LoadCaller::DrawIntent() {
  if (options_.cancelled_share + options_.invalid_share == 0) return Intent::kAnswer;
  const double drawn = std::uniform_real_distribution<double>()(random_);
  if (drawn < options_.cancelled_share) return Intent::kCancel;
  return drawn < options_.cancelled_share + options_.invalid_share ? Intent::kBeRefused
                                                                   : Intent::kAnswer;
}

CallEnd LoadCaller::EndOf(const InFlight& call, const grpc::Status& status) {
  CallEnd end = call.end;
  end.ended = std::chrono::steady_clock::now();
  end.code = status.error_code();
  end.message = status.error_message();
  end.tokens = call.request->tokens;
  const size_t want = call.request->want;
  if (!status.ok() || (want == 0 && call.response.Length() > kMostReadBytes)) return end;
  const bool read = call.request->is_encode
                        ? Read<v1::EncodeResponse>(call.response, want, end)
                        : Read<v1::ComputeAttentionResponse>(call.response, want, end);
  end.is_wrong = end.is_wrong || !read;
  return end;
}

void LoadCaller::Call(SteadyTime intended, std::function<void()> done) {
  auto call = std::make_unique<InFlight>();
  call->end.intent = DrawIntent();
  call->end.intended = intended;
  call->request = call->end.intent == Intent::kBeRefused
                      ? &requests_.invalid
                      : &requests_.valid[random_() % requests_.valid.size()];
  call->context->set_deadline(absl::ToChronoTime(absl::Now() + options_.timeout));
  call->done = std::move(done);
  if (call->end.intent == Intent::kCancel) {
    const double part = std::uniform_real_distribution<double>()(random_);
    canceller_.CancelAfter(part * kLatestCancel, call->context);
  }
  grpc::GenericStub& stub = *stubs_[next_stub_++ % stubs_.size()];
  InFlight* const own = call.release();  // its callback's, which is called in any case
  stub.UnaryCall(own->context.get(), MethodOf(*own->request), {}, &own->request->message,
                 &own->response, [own, &recorder = recorder_](const grpc::Status& status) {
                   const std::unique_ptr<InFlight> ended(own);
                   recorder.Add(EndOf(*ended, status));
                   ended->done();
                 });
}

absl::StatusOr<LoadCaller::Stubs> ConnectAll(const LoadOptions& options) {
  LoadCaller::Stubs stubs;
  for (int i = 0; i < options.connections; ++i) {
    for (const std::string& target : options.targets) {
      const auto channel = CreateChannel({.target = target, .tls = options.tls}, Connection::kOwn);
      if (!channel.ok()) return channel.status();
      stubs.push_back(std::make_unique<grpc::GenericStub>(*channel));
    }
  }
  return stubs;
}

}  // namespace attention::client
