#include "tests/bench/rounds.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <future>
#include <utility>

namespace attention {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSliceSeconds = 0.008;  // of a side in a round, at least
constexpr double kSeconds = 0.8;         // of all rounds, about
constexpr size_t kFewestRounds = 5, kMostRounds = 41;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

double Median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<int64_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

int Rounds::Add(std::function<void()> run) {
  sides_.push_back({.run = std::move(run), .calls = 1, .seconds = {}});
  return static_cast<int>(sides_.size()) - 1;
}

void Rounds::Run(Executor& executor) {
  RunOnComputeThread(executor, [&] { RunHere(); });
}

double Rounds::Seconds(int side) const { return Median(sides_[side].seconds); }

double Rounds::Ratio(int side, int other) const {
  std::vector<double> ratios;
  for (size_t i = 0; i < sides_[side].seconds.size(); ++i) {
    ratios.push_back(sides_[side].seconds[i] / sides_[other].seconds[i]);
  }
  return Median(ratios);
}

double Rounds::Time(const Side& side) {
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < side.calls; ++i) side.run();
  return SecondsSince(start) / side.calls;
}

void Rounds::RunHere() {
  for (Side& side : sides_) {
    Time(side);
    side.calls = std::max(1, static_cast<int>(std::ceil(kSliceSeconds / Time(side))));
  }
  const Clock::time_point start = Clock::now();
  const std::clock_t cpu_start = std::clock();
  for (size_t round = 0; round < kMostRounds; ++round) {
    if (round >= kFewestRounds && SecondsSince(start) > kSeconds) break;
    for (Side& side : sides_) side.seconds.push_back(Time(side));
  }
  cpus_ = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC / SecondsSince(start);
}

void RunOnComputeThread(Executor& executor, std::function<void()> f) {
  std::promise<void> done;
  executor.Enqueue([&] {
    try {
      f();
      done.set_value();
    } catch (...) {
      done.set_exception(std::current_exception());
    }
  });
  done.get_future().get();
}

}  // namespace attention
