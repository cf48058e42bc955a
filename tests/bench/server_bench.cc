// How many calls a second a server answers, against another in the same run:
//
//   server_bench smallest    8 callers of 8 x 3 tokens: against a service that computes nothing and
//                            answers with as many bytes, over the same transport
//   server_bench batching    16 callers of 8 tokens x 768, a stored layer: against a server with
//                            --max_batch_tokens=0; batching_bfloat16: in that
//
// Prints one JSON object: calls/s of both (medians), CPU microseconds that a call takes of each
// server's process, and the median of the ratios of rounds in which both took turns. Servers run in
// processes of their own on loopback; the client shares the machine with them.
#include <grpcpp/server_builder.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "client/attention_client.h"
#include "client/tensor.h"
#include "server/transport.h"
#include "tests/bench/callers.h"
#include "tests/bench/rounds.h"
#include "tests/server_process.h"

namespace attention {
namespace {

constexpr int kRounds = 15;
constexpr absl::Duration kTurn = absl::Milliseconds(500);

// Answers with what a call of 8 x 3 tokens gets: output, attention_scores and attention_weights.
class EchoService final : public v1::AttentionService::CallbackService {
 public:
  EchoService() {
    *answer_.mutable_output() = client::MakeTensor({8, 3}, std::vector<float>(24));
    *answer_.mutable_attention_scores() = client::MakeTensor({1, 8, 8}, std::vector<float>(64));
    *answer_.mutable_attention_weights() = client::MakeTensor({1, 8, 8}, std::vector<float>(64));
    answer_.mutable_timing();
  }
  grpc::ServerUnaryReactor* ComputeAttention(grpc::CallbackServerContext* rpc,
                                             const v1::ComputeAttentionRequest* /*request*/,
                                             v1::ComputeAttentionResponse* response) override {
    *response = answer_;
    grpc::ServerUnaryReactor* const reactor = rpc->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  v1::ComputeAttentionResponse answer_;
};

std::string ServeEcho() {
  static EchoService service;
  grpc::ServerBuilder builder;
  LimitTransport({}, int64_t{1} << 30, builder);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  static const auto server = builder.BuildAndStart();
  return "127.0.0.1:" + std::to_string(port);
}

v1::ComputeAttentionRequest Tokens(int64_t tokens, int64_t width) {
  std::vector<float> numbers(tokens * width);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = std::sin(static_cast<float>(i));
  v1::ComputeAttentionRequest request;
  *request.mutable_tokens()->mutable_tokens() = client::MakeTensor({tokens, width}, numbers);
  return request;
}

struct Side {
  const ServerProcess& server;
  Callers callers;
  std::vector<double> rates, cpu;  // calls/s and CPU seconds of a call, by round

  void TakeTurn() {
    const double before = server.CpuSeconds();
    const Callers::Answered answered = callers.CallFor(kTurn);
    rates.push_back(answered.PerSecond());
    cpu.push_back((server.CpuSeconds() - before) / static_cast<double>(answered.calls));
  }
};

void Compare(const char* what, Side& side, const char* other_name, Side& other) {
  for (Side* const s : {&side, &other}) s->callers.CallFor(kTurn);  // warms up
  std::vector<double> ratios;
  for (int round = 0; round < kRounds; ++round) {
    side.TakeTurn();
    other.TakeTurn();
    ratios.push_back(side.rates.back() / other.rates.back());
  }
  std::printf(
      "{\"measured\": \"%s\", \"calls_per_s\": %.0f, \"%s_calls_per_s\": %.0f, \"ratio\": %.3f, "
      "\"cpu_us\": %.1f, \"%s_cpu_us\": %.1f}\n",
      what, Median(side.rates), other_name, Median(other.rates), Median(ratios),
      1e6 * Median(side.cpu), other_name, 1e6 * Median(other.cpu));
}

void MeasureSmallest() {
  const ServerProcess server([] { return Serve({.port = 0}); });
  const ServerProcess echo([] { return ServeEcho(); });
  const v1::ComputeAttentionRequest request = Tokens(8, 3);
  constexpr int kCallers = 8;
  Side ours{server, Callers(server.address(), kCallers, request), {}, {}};
  Side others{echo, Callers(echo.address(), kCallers, request), {}, {}};
  Compare("smallest", ours, "echo", others);
}

void MeasureBatching(const char* what, v1::ComputeType compute_type) {
  const ServerProcess batching([] { return Serve({.port = 0}); });
  const ServerProcess alone([] { return Serve({.port = 0, .max_batch_tokens = 0}); });
  v1::CreateLayerRequest layer;
  layer.set_name("layer");
  layer.mutable_attention()->set_d_model(768);
  layer.mutable_attention()->set_num_heads(12);
  for (const ServerProcess* const server : {&batching, &alone}) {
    const auto client = client::AttentionClient::Create({.target = server->address()});
    if (!client.ok() || !client->CreateLayer(layer).ok()) std::abort();
  }
  v1::ComputeAttentionRequest request = Tokens(8, 768);
  request.mutable_tokens()->mutable_layer()->set_name("layer");
  request.mutable_config()->set_compute_type(compute_type);
  request.add_results(v1::RESULT_OUTPUT);
  constexpr int kCallers = 16;
  Side together{batching, Callers(batching.address(), kCallers, request), {}, {}};
  Side singly{alone, Callers(alone.address(), kCallers, request), {}, {}};
  Compare(what, together, "alone", singly);
}

}  // namespace
}  // namespace attention

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const std::string_view what = argc == 2 ? argv[1] : "";
  if (what == "smallest") {
    attention::MeasureSmallest();
  } else if (what == "batching") {
    attention::MeasureBatching(argv[1], attention::v1::COMPUTE_TYPE_FLOAT32);
  } else if (what == "batching_bfloat16") {
    attention::MeasureBatching(argv[1], attention::v1::COMPUTE_TYPE_BFLOAT16);
  } else {
    std::fprintf(stderr, "server_bench smallest | batching | batching_bfloat16\n");
    return 2;
  }
  return 0;
}
