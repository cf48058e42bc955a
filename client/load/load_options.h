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

// What a load test does. Shares are fractions of 1.
struct LoadOptions {
  // Servers, which get calls in turn, each over `connections` connections.
  std::vector<std::string> targets = {"localhost:50051"};
  int connections = 1;
  std::optional<TlsFiles> tls = std::nullopt;

  // Closed loop: there are `callers` callers, and each calls again as soon as it has its answer;
  // this shows what a server can do. Open loop, if `rate` is above 0: calls begin at random times
  // (Poisson), `rate` each second, whether earlier calls were answered or not; this shows what
  // users experience.
  int callers = 8;
  double rate = 0;
  absl::Duration warm_up = absl::Seconds(1);  // its calls are answered, but not counted
  absl::Duration duration = absl::Seconds(10);
  absl::Duration timeout = absl::Seconds(60);  // the deadline of each call
  // Whether calls that fail are made again as AttentionClient does it, over other connections if
  // there are any. The targets must then be servers that can replace each other. The latency of a
  // call lasts until it is answered or given up.
  bool retry = false;
  // Open loop: the most calls in flight. Calls beyond that are not made, and count as failed.
  int most_in_flight = 20000;

  // The stored layer or encoder that is called. If it is empty, the calls are simplified attention
  // over tokens of `width` numbers.
  std::string layer = "";
  int64_t width = 64;
  Lengths lengths;
  bool only_output = true;  // otherwise scores and weights too, which encoders do not have
  // The number of different requests. They are made before the test, from random numbers with
  // `seed`, and then sent again and again.
  int distinct_calls = 32;
  uint64_t seed = 1;

  // The shares of calls that are cancelled before their answer, and of calls that are invalid and
  // must be refused.
  double cancelled_share = 0;
  double invalid_share = 0;
  // Whether the bytes of each answer are compared with the answer that the same call got alone,
  // before the test. That answer is compared with the client's own arithmetic where it can compute
  // the result.
  bool verify = false;

  // The server's process, if it runs on this machine; its CPU time and memory are then measured. 0:
  // they are not.
  pid_t server_pid = 0;
};

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_LOAD_LOAD_OPTIONS_H_
