#ifndef ATTENTION_CLIENT_CLI_COMMANDS_HTTP_HEALTH_H_
#define ATTENTION_CLIENT_CLI_COMMANDS_HTTP_HEALTH_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attention::client {

// Asks http://ADDRESS/readyz of the server's --metrics_port whether the server is ready. It is
// meant for the health check of a container, which then needs no certificates even if calls use
// TLS. `address` is HOST:PORT. OK if the server is ready; UNAVAILABLE if it is not, or if nothing
// answers in time; INVALID_ARGUMENT if the address is wrong.
absl::Status CheckReady(const std::string& address, absl::Duration timeout);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_HTTP_HEALTH_H_
