#ifndef ATTENTION_TESTS_BENCH_ROUNDS_H_
#define ATTENTION_TESTS_BENCH_ROUNDS_H_

#include <functional>
#include <vector>

#include "kernels/threads/executor.h"

namespace attention {

// Times things against each other on a machine whose speed drifts: all sides in turn, round after
// round; a ratio is the median of the ratios of the rounds, in which both sides met the same
// machine. Not thread-safe.
class Rounds {
 public:
  // `run` is called often enough in each round to take some milliseconds. Returns the side's index.
  int Add(std::function<void()> run);

  // Alternates for about a second on a compute thread, where the server's calls run too. Warms up
  // first.
  void Run(Executor& executor);

  // Median seconds of one run of the side.
  double Seconds(int side) const;
  // CPU seconds that the process took a second of all rounds: how many cores it really had.
  double Cpus() const { return cpus_; }
  // Median of the rounds' seconds of `side` / seconds of `other`.
  double Ratio(int side, int other) const;

 private:
  struct Side {
    std::function<void()> run;
    int calls = 1;                // in a round
    std::vector<double> seconds;  // of one call, by round
  };
  static double Time(const Side& side);
  void RunHere();

  std::vector<Side> sides_;
  double cpus_ = 0;
};

double Median(std::vector<double> numbers);

// Runs `f` on a compute thread and waits for it.
void RunOnComputeThread(Executor& executor, std::function<void()> f);

}  // namespace attention

#endif  // ATTENTION_TESTS_BENCH_ROUNDS_H_
