#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/encoder/encoder_op.h"
#include "kernels/reference/reference_encoder.h"
#include "tests/bench/cases.h"
#include "tests/bench/read_memory.h"
#include "tests/bench/rounds.h"
#include "tests/bench/sides.h"
#include "tests/random_encoder.h"

namespace attention {
namespace {

// The widths of a model that people use, and what is put through it.
struct EncoderCase {
  int64_t layers, d_model, heads, ffn_dim;
  int64_t batch, length;
  ComputeType type;
  int threads;

  bool bfloat16() const { return type == ComputeType::kBfloat16; }
  EncoderShape Shape() const {
    return {.d_model = d_model, .num_heads = heads, .ffn_dim = ffn_dim};
  }
  std::string Name() const {
    return absl::StrCat("encoder/", bfloat16() ? "bf16" : "f32", "/l", layers, "/d", d_model, "/h",
                        heads, "/f", ffn_dim, "/b", batch, "/n", length, "/t", threads);
  }
  double Flops() const {
    const double products =
        2.0 * static_cast<double>(4 * d_model * d_model + 2 * d_model * ffn_dim);
    const double attention = 4.0 * static_cast<double>(length * d_model);
    return static_cast<double>(layers * batch * length) * (products + attention);
  }
};

// A stack whose layers have packed weights of their own, so that they are read from memory, and a
// batch of embeddings.
class BenchEncoder {
 public:
  explicit BenchEncoder(const EncoderCase& c)
      : case_(c),
        op_(*EncoderOp::Create({.shape = c.Shape(), .compute_type = c.type})),
        weights_(c.Shape(), 1),
        lens_(c.batch, c.length) {
    for (int64_t i = 0; i < c.layers; ++i) {
      layers_.push_back(packed_.emplace_back(weights_.layer(), c.type).layer());
    }
    for (int64_t i = 0; i < c.batch * c.length * c.d_model; ++i) {
      x_.push_back(static_cast<float>(std::sin(1e-2 * static_cast<double>(i * (i % 97)))));
    }
    y_ = x_;
  }

  // Puts the batch through the first `layers` layers. What goes in is what came out last time.
  void Run(Executor& executor, size_t layers) {
    EncoderBatch batch;
    batch.lens = lens_;
    batch.x = y_.data();
    const absl::Status status =
        op_.Run(absl::MakeSpan(layers_).first(layers), nullptr, batch, executor);
    if (!status.ok()) throw std::runtime_error(status.ToString());
  }
  void RunAll(Executor& executor) { Run(executor, layers_.size()); }

  // Compares the first layer's result for some tokens of the last sequence with the oracle's. All
  // layers are the same code. Empty, or what is wrong.
  std::string Compare(Executor& executor) {
    y_ = x_;
    Run(executor, 1);
    const std::vector<int64_t> rows = {0, case_.length / 2, case_.length - 1};
    const int64_t first = (case_.batch - 1) * case_.length * case_.d_model;
    const std::vector<double> want = ReferenceEncoderLayer(case_.Shape(), weights_.layer(), {}, {},
                                                           absl::MakeSpan(x_).subspan(first), rows);
    double largest = 0;
    for (const double x : want) largest = std::max(largest, std::abs(x));
    // As in the tests: float32 within 1e-5 of the largest; bfloat16 rounds five times a layer.
    const double tolerance = largest * (case_.bfloat16() ? 5.0 / 512 : 1e-5);
    for (size_t i = 0; i < want.size(); ++i) {
      const auto width = static_cast<size_t>(case_.d_model);
      const float got = y_[first + rows[i / width] * case_.d_model + i % width];
      if (std::abs(got - want[i]) <= tolerance) continue;
      return absl::StrCat("token ", rows[i / width], ", column ", i % width, " is ", got, "; want ",
                          want[i], " within ", tolerance);
    }
    return "";
  }

  // A plain read of all packed weights, an equal share of each layer's for each thread.
  void ReadWeights(Executor& executor) const {
    const int threads = case_.threads;
    executor
        .ParallelFor(threads,
                     [&](int64_t thread, Workspace&) {
                       for (const PackedLayer& layer : packed_) {
                         const int64_t share = layer.bytes() / threads;
                         const auto* const data =
                             static_cast<const std::byte*>(layer.layer().q.packed);
                         benchmark::DoNotOptimize(ReadMemory(data + thread * share, share));
                       }
                       return absl::OkStatus();
                     })
        .IgnoreError();
  }
  double WeightBytes() const {
    return static_cast<double>(packed_.front().bytes()) * static_cast<double>(packed_.size());
  }

 private:
  const EncoderCase case_;
  const EncoderOp op_;
  const RandomLayer weights_;
  std::deque<PackedLayer> packed_;
  std::vector<EncoderLayer> layers_;
  const std::vector<int64_t> lens_;
  std::vector<float> x_, y_;
};

void Encode(benchmark::State& state, const EncoderCase& c) {
  BenchEncoder encoder(c);
  Executor executor(c.threads);
  const Ceiling ceiling(c.type, c.threads);
  ceiling.Run(executor);
  const std::string wrong_ceiling = ceiling.Compare();
  const std::string wrong = wrong_ceiling.empty() ? encoder.Compare(executor) : wrong_ceiling;
  if (!wrong.empty()) return Skip(state, wrong);

  Rounds rounds;
  const int best = rounds.Add([&] { ceiling.Run(executor); });
  const int ours = rounds.Add([&] { encoder.RunAll(executor); });
  const int read = rounds.Add([&] { encoder.ReadWeights(executor); });
  for (auto _ : state) {
    rounds.Run(executor);
    state.SetIterationTime(rounds.Seconds(ours));
  }
  state.counters["cpus"] = rounds.Cpus();
  state.counters["gflops"] = c.Flops() / rounds.Seconds(ours) * 1e-9;
  state.counters["ceiling_gflops"] = ceiling.Flops() / rounds.Seconds(best) * 1e-9;
  state.counters["ceiling_fraction"] = rounds.Ratio(best, ours) * c.Flops() / ceiling.Flops();
  state.counters["read_fraction"] = rounds.Ratio(read, ours);
  state.counters["read_gbytes_per_second"] = encoder.WeightBytes() / rounds.Seconds(read) * 1e-9;
}

}  // namespace

void RegisterEncoder() {
  for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
    for (const int threads : ThreadCounts()) {
      for (const auto& [batch, length] : {std::pair{1, 16}, {1, 128}, {8, 128}, {1, 512}}) {
        const EncoderCase bert_base = {12, 768, 12, 3072, batch, length, type, threads};
        const EncoderCase mini_lm = {6, 384, 12, 1536, batch, length, type, threads};
        for (const EncoderCase& c : {bert_base, mini_lm}) {
          Register(c.Name(), [=](benchmark::State& state) { Encode(state, c); });
        }
      }
    }
  }
}

}  // namespace attention
