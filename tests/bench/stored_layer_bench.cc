// What a stored layer costs the server's CPU through the RPC, against the same call in process:
//
//   stored_layer_bench [--tokens=512] [--width=768] [--threads=1] [--callers=1]
//
// Prints one JSON object: the median milliseconds of CPU time that one call takes, of the server's
// process and in process, and the median of the ratios of rounds in which both took turns. The
// server runs in a process of its own, on loopback; the client's CPU time does not count.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <latch>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "client/attention_client.h"
#include "client/tensor.h"
#include "server/engine/engine.h"
#include "server/models/random_layer.h"
#include "server/rpc/attention/decode_request.h"
#include "server/rpc/attention/write_response.h"
#include "server/server.h"
#include "tests/bench/callers.h"
#include "tests/bench/rounds.h"
#include "tests/server_process.h"

namespace attention {
namespace {

constexpr int kRounds = 21;
constexpr int kCalls = 10;  // of a round in process

struct Options {
  int64_t tokens = 512, width = 768;
  int threads = 1, callers = 1;
};

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "stored_layer_bench: %s\n", result.status().ToString().c_str());
  std::exit(1);
}

v1::CreateLayerRequest LayerFor(const Options& options) {
  v1::CreateLayerRequest request;
  request.set_name("layer");
  request.mutable_attention()->set_d_model(options.width);
  request.mutable_attention()->set_num_heads(static_cast<int32_t>(options.width / 64));
  return request;
}

v1::ComputeAttentionRequest CallFor(const Options& options) {
  v1::ComputeAttentionRequest request;
  std::vector<float> numbers(options.tokens * options.width);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = std::sin(static_cast<float>(i));
  *request.mutable_tokens()->mutable_tokens() =
      client::MakeTensor({options.tokens, options.width}, numbers);
  request.mutable_tokens()->mutable_layer()->set_name("layer");
  request.add_results(v1::RESULT_OUTPUT);
  return request;
}

// The call on this process's own engine, its request decoded and its room made once.
class InProcess {
 public:
  InProcess(const Options& options, const v1::ComputeAttentionRequest& request)
      : layers_(Must(engine::LayerStore::Open({}))),
        engine_({.threads = options.threads}, layers_->packed()) {
    engine::RandomAttention attention;
    attention.d_model = attention.d_context = attention.d_out = options.width;
    attention.num_heads = attention.num_kv_heads = options.width / 64;
    attention.head_dim = attention.v_head_dim = 64;
    engine::RandomLayerSpec spec;
    spec.layer = attention;
    auto upload = Must(layers_->Begin("layer", engine::RandomLayerConfig(spec)));
    const absl::Status written = engine::WriteRandomLayer(
        spec, [&](absl::Span<const std::byte> bytes) { return upload.Write(bytes); });
    if (!written.ok() || !upload.Finish().ok()) std::abort();
    Must(upload.Publish());
    decoded_ = Must(rpc::DecodeRequest(request, {}, *layers_));
    rpc::MakeRoom(decoded_, response_);
  }

  void Run() {
    std::latch done(1);
    const auto job = std::make_shared<engine::Job>();
    job->call = &decoded_.call;
    job->prepare = [] { return absl::OkStatus(); };
    job->done = [&](const absl::Status& status, const engine::CallTiming&) {
      if (!status.ok()) std::abort();
      done.count_down();
    };
    if (!engine_.Submit(job).ok()) std::abort();
    done.wait();
  }
  const v1::ComputeAttentionResponse& response() const { return response_; }

 private:
  std::unique_ptr<engine::LayerStore> layers_;
  engine::Engine engine_;
  rpc::DecodedRequest decoded_;
  v1::ComputeAttentionResponse response_;
};

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const int64_t value = equals == argument.npos ? 0 : std::atoll(argv[i] + equals + 1);
    if (name == "--tokens" && value > 0) {
      options.tokens = value;
    } else if (name == "--width" && value > 0 && value % 64 == 0) {
      options.width = value;
    } else if (name == "--threads" && value > 0) {
      options.threads = static_cast<int>(value);
    } else if (name == "--callers" && value > 0) {
      options.callers = static_cast<int>(value);
    } else {
      std::fprintf(
          stderr, "stored_layer_bench [--tokens=N] [--width=64 * N] [--threads=N] [--callers=N]\n");
      std::exit(2);
    }
  }
  return options;
}

int Main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  const ServerProcess server([&] { return Serve({.port = 0, .threads = options.threads}); });
  const auto client = Must(client::AttentionClient::Create({.target = server.address()}));
  Must(client.CreateLayer(LayerFor(options)));
  const v1::ComputeAttentionRequest request = CallFor(options);
  InProcess here(options, request);
  here.Run();
  if (Must(client.ComputeAttention(request)).output().data() != here.response().output().data()) {
    std::fprintf(stderr, "stored_layer_bench: the two sides give other bytes\n");
    return 1;
  }
  Callers callers(server.address(), options.callers, request);
  std::vector<double> served, own, ratios;
  for (int round = 0; round < kRounds; ++round) {
    const double before = server.CpuSeconds();
    const int64_t calls = callers.CallFor(absl::Milliseconds(200)).calls;
    served.push_back((server.CpuSeconds() - before) / static_cast<double>(calls));
    const double own_before = Seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < kCalls; ++i) here.Run();
    own.push_back((Seconds(CLOCK_PROCESS_CPUTIME_ID) - own_before) / kCalls);
    ratios.push_back(served.back() / own.back());
  }
  std::printf(
      "{\"tokens\": %ld, \"width\": %ld, \"threads\": %d, \"callers\": %d, \"server_cpu_ms\": "
      "%.3f, "
      "\"in_process_cpu_ms\": %.3f, \"ratio\": %.3f}\n",
      static_cast<long>(options.tokens), static_cast<long>(options.width), options.threads,
      options.callers, 1e3 * Median(served), 1e3 * Median(own), Median(ratios));
  return 0;
}

}  // namespace
}  // namespace attention

int main(int argc, char** argv) {
  // As the server does.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return attention::Main(argc, argv);
}
