#ifndef ATTENTION_CLIENT_LOAD_LOAD_OPTIONS_H_
#define ATTENTION_CLIENT_LOAD_LOAD_OPTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/channel.h"
#include "client/load/lengths.h"

namespace attention::client {

// What a load test does. Shares are of 1.
struct LoadOptions {
  // Servers, which calls go round; each over so many connections.
  std::vector<std::string> targets = {"localhost:50051"};
  int connections = 1;
  std::optional<TlsFiles> tls = std::nullopt;

  // Closed loop: so many callers, each of whom calls again as soon as the answer is there; it shows
  // what a server can do. Open loop, where `rate` is above 0: calls a second that come by chance
  // (Poisson), answered or not; it shows what users meet.
  int callers = 8;
  double rate = 0;
  absl::Duration warm_up = absl::Seconds(1);  // answered, not counted
  absl::Duration duration = absl::Seconds(10);
  absl::Duration timeout = absl::Seconds(60);  // the deadline of each call
  // Whether calls that fail are made again as AttentionClient does it, over other connections where
  // there are any: the targets are servers that stand for each other. A call then lasts until it is
  // answered or given up.
  bool retry = false;
  // Open loop: calls in flight; those that would be more are not made and counted as failed.
  int most_in_flight = 20000;

  // A stored layer or encoder that is called; empty: the simplified attention of tokens that the
  // call brings, `width` numbers each.
  std::string layer = "";
  int64_t width = 64;
  Lengths lengths;
  bool only_output = true;  // else scores and weights too, which encoders do not have
  // Calls that differ; they are made before the test, with the random numbers of `seed`, and then
  // sent over and over.
  int distinct_calls = 32;
  uint64_t seed = 1;

  // Of all calls, those that are cancelled on the way, and those that are wrong and have to be
  // refused.
  double cancelled_share = 0;
  double invalid_share = 0;
  // Whether the bytes of each answer are compared with those that the call got when it was made
  // alone, before the test; those are compared with this client's own arithmetic where it can.
  bool verify = false;

  // The server's process, where it runs on this machine: its CPU time and memory are read. 0: not.
  pid_t server_pid = 0;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_OPTIONS_H_
