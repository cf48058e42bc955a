#include <benchmark/benchmark.h>

#include <cmath>
#include <string>

#include "tests/bench/cases.h"
#include "tests/bench/rounds.h"
#include "tests/bench/sides.h"

namespace attention {
namespace {

enum class Setting { kMask, kWindow, kNarrowWindow, kSoftcap, kAlibi, kScoresAndWeights };

const char* NameOf(Setting setting) {
  switch (setting) {
    case Setting::kMask:
      return "mask";
    case Setting::kWindow:
      return "window";
    case Setting::kNarrowWindow:
      return "narrow_window";
    case Setting::kSoftcap:
      return "softcap";
    case Setting::kAlibi:
      return "alibi";
    case Setting::kScoresAndWeights:
      return "scores_and_weights";
  }
  return "";
}

// What a setting reads and writes beside query, key, value and output.
struct Extras {
  std::vector<float> mask;             // [q_len, kv_len]
  std::vector<float> slopes;           // [num_heads]
  std::vector<float> scores, weights;  // [num_heads, q_len, kv_len]
};

// The problem has a batch of 1.
void Apply(Setting setting, BenchProblem& problem, Extras& extras) {
  const BenchShape& s = problem.shape;
  AttentionSequence& sequence = problem.sequences[0];
  const int64_t size = s.num_heads * s.q_len * s.kv_len;
  switch (setting) {
    case Setting::kMask:
      for (int64_t i = 0; i < s.q_len * s.kv_len; ++i) {
        extras.mask.push_back(static_cast<float>(i * 37 % 101) / 101 - 0.5f);
      }
      sequence.mask = {.bias = extras.mask.data(), .row_stride = s.kv_len, .key_count = s.kv_len};
      return;
    case Setting::kWindow:  // as wide as the sequence: the same work as without
      problem.settings.left_window = problem.settings.right_window = s.kv_len;
      return;
    case Setting::kNarrowWindow:
      problem.settings.left_window = problem.settings.right_window = s.kv_len / 16;
      return;
    case Setting::kSoftcap:
      problem.settings.softcap = 20;
      return;
    case Setting::kAlibi:
      for (int64_t h = 0; h < s.num_heads; ++h) {
        extras.slopes.push_back(static_cast<float>(std::exp2(-0.5 * static_cast<double>(h + 2))));
      }
      problem.settings.alibi_slopes = extras.slopes;
      return;
    case Setting::kScoresAndWeights:
      extras.scores.resize(size);
      extras.weights.resize(size);
      sequence.results.attention_scores = reinterpret_cast<std::byte*>(extras.scores.data());
      sequence.results.attention_weights = reinterpret_cast<std::byte*>(extras.weights.data());
      return;
  }
}

void WithSetting(benchmark::State& state, const BenchShape& shape, Setting setting) {
  Sides sides(shape);
  BenchProblem plain(shape);
  Extras extras;
  Apply(setting, sides.problem, extras);
  plain.Run(sides.op, sides.executor);
  std::string wrong = plain.Compare();
  if (wrong.empty()) wrong = sides.Compare({});
  if (!wrong.empty()) return Skip(state, wrong);

  Rounds rounds;
  const int with = rounds.Add([&] { sides.problem.Run(sides.op, sides.executor); });
  const int without = rounds.Add([&] { plain.Run(sides.op, sides.executor); });
  for (auto _ : state) {
    rounds.Run(sides.executor);
    state.SetIterationTime(rounds.Seconds(with));
  }
  state.counters["cpus"] = rounds.Cpus();
  state.counters["vs_plain"] = rounds.Ratio(with, without);
}

}  // namespace

void RegisterSettings() {
  for (const Setting setting : {Setting::kMask, Setting::kWindow, Setting::kNarrowWindow,
                                Setting::kSoftcap, Setting::kAlibi, Setting::kScoresAndWeights}) {
    for (const ComputeType type : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
      for (const int threads : ThreadCounts()) {
        const BenchShape shape = {.compute_type = type,
                                  .q_len = 1024,
                                  .kv_len = 1024,
                                  .num_heads = 12,
                                  .num_kv_heads = 12,
                                  .head_dim = 64,
                                  .threads = threads};
        Register(shape.Name(std::string("attention_with/") + NameOf(setting), ""),
                 [=](benchmark::State& state) { WithSetting(state, shape, setting); });
      }
    }
  }
}

}  // namespace attention
